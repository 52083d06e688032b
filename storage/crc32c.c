#include "storage/crc32c.h"

/* table[k][b] is the CRC of byte b followed by k zero bytes: "slicing by 8", Kounavis and Berry,
 * "A systematic approach to building high performance software-based CRC generators", 2005. */
void crc32c_init(struct crc32c *crc)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0x82f63b78u : value >> 1;
        crc->table[0][byte] = value;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (int k = 1; k < 8; k++) {
            uint32_t before = crc->table[k - 1][byte];
            crc->table[k][byte] = before >> 8 ^ crc->table[0][before & 0xff];
        }
}

uint32_t crc32c_of(const struct crc32c *crc, const void *at, size_t bytes)
{
    const uint8_t *from = at;
    uint32_t value = UINT32_MAX;
    for (; bytes >= 8; bytes -= 8, from += 8) {
        value ^= (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
                 (uint32_t)from[3] << 24;
        value = crc->table[7][value & 0xff] ^ crc->table[6][value >> 8 & 0xff] ^
                crc->table[5][value >> 16 & 0xff] ^ crc->table[4][value >> 24] ^
                crc->table[3][from[4]] ^ crc->table[2][from[5]] ^ crc->table[1][from[6]] ^
                crc->table[0][from[7]];
    }
    for (; bytes > 0; bytes--, from++)
        value = value >> 8 ^ crc->table[0][(value ^ *from) & 0xff];
    return ~value;
}
