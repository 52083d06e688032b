/* bytes: bounded writing and reading of little-endian fields, for everything that is stored:
 * checkpoints, journal blocks, result batches. Structs are never written whole.
 *
 * A writer that runs out of room, and a reader that runs out of bytes, remembers that (`failed`)
 * and does nothing more; a caller checks once at the end. A failed reader returns zeros. */
#ifndef PIPELINE_BYTES_H
#define PIPELINE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/text.h"

/* Statistics kept as floats are loaded within it: larger than what readings lead to, and its
 * square is finite. */
#define STATISTIC_MAX 1e18f

struct byte_writer {
    uint8_t *at;     /* the caller's; NULL counts only */
    size_t bytes;    /* of room; ignored when `at` is NULL */
    size_t used;
    bool failed;
};

struct byte_reader {
    const uint8_t *at; /* the caller's */
    size_t bytes;
    size_t used;
    bool failed;
};

void put_u8(struct byte_writer *w, uint8_t value);
void put_u16(struct byte_writer *w, uint16_t value);
void put_u32(struct byte_writer *w, uint32_t value);
void put_u64(struct byte_writer *w, uint64_t value);
void put_i64(struct byte_writer *w, int64_t value);
void put_f32(struct byte_writer *w, float value);
void put_f64(struct byte_writer *w, double value);
void put_bool(struct byte_writer *w, bool value);
void put_varint(struct byte_writer *w, uint64_t value);  /* LEB128, 1 to 10 bytes */
void put_zigzag(struct byte_writer *w, int64_t value);   /* small magnitudes in few bytes */
void put_raw(struct byte_writer *w, const void *at, size_t bytes);
void put_text(struct byte_writer *w, struct text text);  /* varint length, then the bytes */

uint8_t get_u8(struct byte_reader *r);
uint16_t get_u16(struct byte_reader *r);
uint32_t get_u32(struct byte_reader *r);
uint64_t get_u64(struct byte_reader *r);
int64_t get_i64(struct byte_reader *r);
float get_f32(struct byte_reader *r);
float get_f32_within(struct byte_reader *r, float least, float most); /* others fail, NaN too */
double get_f64(struct byte_reader *r);
double get_finite(struct byte_reader *r);                /* as get_f64; NaN and infinities fail */
double get_measure(struct byte_reader *r);               /* beyond READING_NUMBER_MAX fails */
int64_t get_time(struct byte_reader *r);                 /* beyond TIME_MS_MAX fails */
bool get_bool(struct byte_reader *r);                    /* other than 0 or 1 fails */
uint64_t get_varint(struct byte_reader *r);              /* over 64 bits fails */
int64_t get_zigzag(struct byte_reader *r);
void get_raw(struct byte_reader *r, void *to, size_t bytes);
struct text get_text(struct byte_reader *r);             /* a slice of the reader's own bytes */

#endif
