/* reading: one measured value of one metric of one device, as the codecs make it and the journal
 * keeps it.
 * Plain data; slices point into the message or the decoder's arena and live until the message was
 * handled. */
#ifndef PIPELINE_READING_H
#define PIPELINE_READING_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/text.h"

enum {
    READING_FIELDS_MAX = 8,     /* further fields that a source's configuration may name */
    READING_NAME_BYTES_MAX = 64, /* of a device, a metric or a unit */
    READING_TEXT_BYTES_MAX = 1024 /* of a text value */
};

/* Numbers stay inside this, so that squares and their sums stay finite. */
#define READING_NUMBER_MAX 1e140

/* Times stay inside this, either way (the year 287,000), so that adding spans never overflows. */
#define TIME_MS_MAX ((int64_t)1 << 53)

enum value_type { VALUE_NUMBER, VALUE_BOOLEAN, VALUE_TEXT };

struct value {
    enum value_type type;
    double number;    /* NUMBER: finite, within READING_NUMBER_MAX; BOOLEAN: 0 or 1; TEXT: 0 */
    struct text text; /* TEXT only */
};

struct reading {
    struct text device; /* 1..READING_NAME_BYTES_MAX bytes, as are metric and unit when given */
    struct text metric;
    struct text unit;   /* empty: none */
    struct value value;
    bool has_device_time;
    bool has_sequence;
    uint16_t source;         /* index of the configured source that it came by */
    uint32_t index;          /* of this reading in its message, from 0 */
    int64_t device_time_ms;  /* Unix time by the device's clock */
    uint64_t sequence;       /* the device's number for the message */
    /* of the contract that the message says it follows; 0: it does not say. Not journalled */
    uint32_t contract_version;
    /* whoever hands it in knows that it is no repeat, whatever its number says. Not journalled */
    bool surely_new;
    /* what dedup_hash says of the rest, kept for who comes next; 0: not asked. Not journalled */
    uint64_t repeat_hash;
    struct text extra;       /* further fields, packed: (u8 index, u8 value_type, f64 or text)...,
                                in the source's order of fields; empty: none */
};

#endif
