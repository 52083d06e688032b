/* block_columns: the columns of a journal block, and what writer and reader of one must compute
 * alike. For block_encode.c and block_decode.c alone.
 *
 * A column is a row of numbers of which most are zero, because each is the difference to what was
 * predicted. It is stored as tokens, each a varint:
 *   even   so many zeros (token / 2)
 *   odd    one number other than zero (token / 2)
 *   1      one number too large for that: eight bytes follow
 * Zeros at its end are not stored: a column that has run out goes on with zeros for ever. */
#ifndef STORAGE_BLOCK_COLUMNS_H
#define STORAGE_BLOCK_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"

/* One number for each record (t) or each reading (the rest), in the order in which they stand in a
 * block; SERIES, WHOLE and NAMES are not rows of numbers but entries one behind another. */
enum block_column {
    COLUMN_ORDER,       /* 0: the series that followed the last one before; ORDER_WHOLE; or which */
    COLUMN_T,           /* t - t of the record before */
    COLUMN_DEVICE_TIME, /* difference of differences, in the series */
    COLUMN_EVENT_TIME,  /* difference to what its source of time predicts */
    COLUMN_SEQUENCE,    /* difference of differences, in the series */
    COLUMN_INDEX,       /* likewise */
    COLUMN_SCALE,       /* of the value; difference to that of the series' value before */
    COLUMN_VALUE,       /* at that scale; difference in the series */
    COLUMN_ULPS,        /* how many doubles lie between the scaled decimal and the value */
    COLUMN_EXTRA,       /* name of the further fields; difference in the series */
    COLUMN_SERIES,      /* each series where it first appears */
    COLUMN_WHOLE,       /* records that are not readings, field by field */
    COLUMN_NAMES,       /* every name and text once, in order of first appearance */
    BLOCK_COLUMNS
};

enum {
    BLOCK_MAGIC = 0x4257,      /* "WB" */
    BLOCK_VERSION = 1,
    BLOCK_HEADER_BYTES_MAX = 2 + 1 + 5 * 5 + 10 + BLOCK_COLUMNS * 5,
    BLOCK_CRC_BYTES = 4,
    ORDER_WHOLE = 1,           /* 2 and up: series 0 and up */
    ORDER_SERIES = 2,
    SERIES_NONE = UINT16_MAX,
    ULPS_MAX = 15
};

/* How a number becomes a whole one: times 10^scale, or the bits of a float or a double. */
enum block_scale { SCALE_DECIMAL_MAX = 15, SCALE_FLOAT = 16, SCALE_DOUBLE = 17, SCALES = 18 };

/* What is constant in a series, and where it stood last. Both sides keep it alike. */
struct block_series {
    uint16_t device, metric, unit; /* names */
    uint16_t source;
    uint8_t flags;                 /* SERIES_* */
    uint8_t scale;                 /* of its last value */
    uint8_t decimals;              /* the last decimal scale that fitted */
    uint16_t next;                 /* the series that came after this one last time */
    uint16_t extra;                /* name */
    uint32_t index, index_step;
    uint64_t device_time, device_time_step;
    uint64_t sequence, sequence_step;
    int64_t whole;                 /* its last value, at `scale`; of a text its name */
    double number;                 /* its last value */
};

enum {
    SERIES_TYPE = 3,               /* enum value_type */
    SERIES_DEVICE_TIME = 4,
    SERIES_SEQUENCE = 8,
    SERIES_TIME_SOURCE_SHIFT = 4   /* two bits */
};

/* Fields of a record that is written whole, in this order; a mask names those that are not zero. */
enum block_field {
    FIELD_COUNT = 1 << 0,
    FIELD_REASON = 1 << 1,
    FIELD_SOURCE = 1 << 2,
    FIELD_DEVICE = 1 << 3,
    FIELD_METRIC = 1 << 4,
    FIELD_CLOCK = 1 << 5,
    FIELD_CONTENT = 1 << 6,
    FIELD_DIGEST = 1 << 7,
    FIELD_UNIT = 1 << 8,
    FIELD_VALUE = 1 << 9,
    FIELD_HAS = 1 << 10,
    FIELD_INDEX = 1 << 11,
    FIELD_DEVICE_TIME = 1 << 12,
    FIELD_SEQUENCE = 1 << 13,
    FIELD_EXTRA = 1 << 14,
    FIELD_EVENT_TIME = 1 << 15,
    FIELD_TIME_SOURCE = 1 << 16,
    FIELDS_END = 1 << 17
};

static inline uint64_t zigzag(uint64_t difference) /* two's complement */
{
    return difference << 1 ^ (0 - (difference >> 63));
}

static inline uint64_t unzigzag(uint64_t code)
{
    return code >> 1 ^ (0 - (code & 1));
}

/* The difference of differences, and its inverse: `last` and `step` move on. */
static inline uint64_t step_residue(uint64_t *last, uint64_t *step, uint64_t value)
{
    uint64_t residue = value - *last - *step;
    *step = value - *last;
    *last = value;
    return residue;
}

static inline uint64_t step_value(uint64_t *last, uint64_t *step, uint64_t residue)
{
    *step += residue;
    *last += *step;
    return *last;
}

/* A series not seen before in this block. */
struct block_series block_series_begin(void);

/* Whole number that stands for `number` at this scale, and the double that it gives back. `near`
 * need not be exact: it is what the next value's difference is taken to when the scale changes. */
int64_t block_whole_near(double number, uint8_t scale);
double block_number_of(int64_t whole, uint8_t scale);

/* Find scale, whole and ulps so that block_number_of(whole, scale) and ulps give `number` back bit
 * for bit. The scale that fitted last is tried first, so that steady series cost one try. */
struct block_scaled {
    int64_t whole;
    int64_t ulps;
    uint8_t scale;
};
struct block_scaled block_scaled_of(double number, const struct block_series *series);

double block_number_ulps(double number, uint64_t ulps);

#endif
