/* block: the journal's records of one commit as packed, typed columns.
 *
 * Layout (version 1): magic "WB", version, counts of records, readings, names and series, the bytes
 * of each column, the columns (storage/block_columns.h lists them), CRC-32C over all of it, little-
 * endian. What is constant in a series (device, metric, unit, source, type) is written once; which
 * series comes next is predicted from the order in which devices took turns; times, sequences and
 * indexes are differences of differences in their series; values are scaled decimals, or the bits
 * of a float or double, as differences in their series. Where a prediction is right, nothing is
 * stored (pipeline/packing.h). Whatever does not fit the columns is written whole, so every field
 * of every record comes back bit for bit.
 *
 * Measured with tests/bench/block_bench.c, blocks of 10,000: 7.5 bytes a reading for 1,000 devices
 * in turn (two decimals, jittered device time, sequence), 10.6 in random order, 13.2 and 16.3 with
 * doubles of full precision; 4.6 over half a million real readings, a series a block. 50 to 90 ns
 * to append, 40 to 65 ns to read; a builder touches 280 to 370 KiB.
 *
 * A block decodes by itself: no other block is needed, and a damaged one is known by its CRC. The
 * reader survives any bytes, also such as have a right CRC.
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
    uint32_t names_max;    /* different devices, metrics, units, texts kept once in one block */
};

enum { BLOCK_BYTES_MIN = 32 * 1024 }; /* of bytes_max */

struct block_builder; /* opaque; block_encode.c */

/* NULL while the arena only measures. */
struct block_builder *block_builder_init(const struct block_limits *limits, struct arena *arena);
void block_builder_reset(struct block_builder *b);

/* O(1) and a copy of every slice; numbers are finite. A block with names_max names takes more
 * records, at a higher price: each then holds its names itself.
 *   WEIR_EFULL  no room for this record; nothing changed */
int block_append(struct block_builder *b, const struct record *record);

uint32_t block_records(const struct block_builder *b);
uint32_t block_readings(const struct block_builder *b);
/* What block_finish would write at most if one more reading came. While it is no more than
 * bytes_max and records_max is not reached, block_append takes any reading; and any other record
 * while it is with that record's texts. */
size_t block_bytes(const struct block_builder *b);

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
