/* block: the journal's records of one commit as packed, typed columns.
 *
 * Layout (version 1, little-endian): header (magic, version, record count, reading count, first t,
 * column directory, CRC-32C over all
 * of it), then the columns: kinds as runs; t and event time as delta-of-delta; device, metric, unit
 * and text through the block's own
 * dictionaries; sequences as deltas for each device; numbers XOR-coded against the previous value
 * of the same series (Pelkonen et al.,
 * "Gorilla", VLDB 2015) or as a scaled decimal delta where that is exact and smaller; rare records
 * (clock, configuration) whole.
 * A block decodes by itself: no other block is needed, and a damaged one is known by its CRC.
 * Appending never fails silently: a block that has no room left says WEIR_EFULL and stays as it
 * was. */
#ifndef STORAGE_BLOCK_H
#define STORAGE_BLOCK_H

#include "pipeline/arena.h"
#include "pipeline/bytes.h"
#include "pipeline/record.h"

struct block_limits {
    uint32_t records_max;  /* in one block; <= 65535 */
    uint32_t bytes_max;    /* of an encoded block, text and configuration included */
    uint32_t names_max;    /* different devices, metrics, units, texts in one block */
};

enum { BLOCK_BYTES_MIN = 32 * 1024 }; /* of bytes_max */

struct block_builder; /* opaque; block_encode.c */

/* NULL while the arena only measures. */
struct block_builder *block_builder_init(const struct block_limits *limits, struct arena *arena);
void block_builder_reset(struct block_builder *b);

/* O(1) and a copy of every slice.
 *   WEIR_EFULL  no room for this record; nothing changed */
int block_append(struct block_builder *b, const struct record *record);

uint32_t block_records(const struct block_builder *b);
uint32_t block_readings(const struct block_builder *b);
size_t block_bytes(const struct block_builder *b); /* what block_finish would write at most */

/* The whole block into w; fails (w->failed) only for lack of room there. */
void block_finish(struct block_builder *b, struct byte_writer *w);

struct block_reader; /* opaque; block_decode.c */
struct block_reader *block_reader_init(const struct block_limits *limits, struct arena *arena);

/* Check and open a block; `bytes` outlive the reading.
 *   WEIR_ECORRUPT  CRC or structure wrong; WEIR_EVERSION  from a newer Weir; WEIR_EFULL  over the
 * limits */
int block_open(struct block_reader *r, struct text bytes);
/* The next record in order; slices live until the next block_open.
 *   1  a record; 0  the end; WEIR_ECORRUPT */
int block_next(struct block_reader *r, struct record *record);

#endif
