/* block_columns: the columns of a journal block, and what writer and reader of one must compute
 * alike. For block_encode.c and block_decode.c alone.
 *
 * Rows of numbers are packed as pipeline/packing.h says. */
#ifndef STORAGE_BLOCK_COLUMNS_H
#define STORAGE_BLOCK_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/packing.h"

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
    SERIES_NONE = UINT16_MAX
};

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

#endif
