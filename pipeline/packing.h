/* packing: how rows of numbers become few bytes, for journal blocks and for batches upstream.
 *
 * A column is a row of whole numbers of which most are zero, because each is the difference to what
 * was predicted. It is stored as tokens, each a varint (bytes.h):
 *   even   so many zeros (token / 2), at least one
 *   odd    one number other than zero (token / 2)
 *   1      one number too large for that: eight bytes follow, little-endian
 * Zeros at its end are not stored: a column that has run out goes on with zeros for ever.
 *
 * A double becomes a whole number at a scale: times 10^scale where that loses nothing, else the
 * bits of a float or of the double itself. What somebody's arithmetic left of a short decimal
 * (74.93588199999998) is that decimal and the few doubles that lie in between (`ulps`). */
#ifndef PIPELINE_PACKING_H
#define PIPELINE_PACKING_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"

enum {
    PACKED_BYTES_MAX = 20,  /* of packed_put */
    PACKED_DECIMAL_MAX = 15,
    PACKED_FLOAT = 16,
    PACKED_DOUBLE = 17,
    PACKED_SCALES = 18
};

static inline uint64_t zigzag(uint64_t difference) /* two's complement: small magnitudes first */
{
    return difference << 1 ^ (0 - (difference >> 63));
}

static inline uint64_t unzigzag(uint64_t code)
{
    return code >> 1 ^ (0 - (code & 1));
}

/* The tokens for `zeros` zeros and then `code`, which is not zero. Returns the bytes written. */
uint32_t packed_put(uint8_t at[PACKED_BYTES_MAX], uint64_t zeros, uint64_t code);

struct packed_column { /* being read */
    struct byte_reader in;
    uint64_t zeros;        /* still to come */
};

/* The next token's first number. A damaged column gives 0 and in.failed. */
uint64_t packed_next(struct packed_column *column);

static inline uint64_t packed_get(struct packed_column *column)
{
    if (column->zeros == 0)
        return packed_next(column);
    column->zeros--;
    return 0;
}

struct packed_number {
    int64_t whole;
    int64_t ulps;
    uint8_t scale;
};

/* `number` bit for bit: of the decimal scales from `first` to `last` the first that fits, else
 * PACKED_FLOAT, else PACKED_DOUBLE. */
struct packed_number packed_number_of(double number, uint8_t first, uint8_t last);
/* And back. Any input gives some double, perhaps not a finite one. */
double packed_number_value(struct packed_number packed);

/* The whole number next to `number` at this scale; 0 where there is none. */
int64_t packed_whole_near(double number, uint8_t scale);

#endif
