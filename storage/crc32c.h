/* crc32c: the Castagnoli CRC (RFC 3720, appendix B.4) of stored bytes, eight at a time.
 * The tables are computed once into the caller's memory: 8 KiB, no global state. */
#ifndef STORAGE_CRC32C_H
#define STORAGE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

struct crc32c {
    uint32_t table[8][256];
};

void crc32c_init(struct crc32c *crc);
uint32_t crc32c_of(const struct crc32c *crc, const void *at, size_t bytes);

#endif
