/* codec_json: one JSON message to readings, by a mapping of JSON pointers (RFC 6901).
 *
 * Any shape: cJSON builds the tree in the caller's fixed arena (through `json_memory`, reset for
 * each message), so a message can cost
 * at most that arena. Strict where cJSON is lax: the whole input must be one valid UTF-8 JSON value
 * (RFC 8259) with no
 * duplicate keys, nothing behind it, no NaN, and no number that a double can't hold; each fault has
 * its own reason.
 * Whole numbers for time and sequence are read exactly up to 2^53.
 * A message is all or nothing in its syntax; within a good message each reading stands alone.
 */
#ifndef PIPELINE_CODEC_JSON_H
#define PIPELINE_CODEC_JSON_H

#include <stddef.h>

#include "pipeline/reading.h"
#include "pipeline/reject.h"

enum { POINTER_BYTES_MAX = 128 };

enum time_format { TIME_FORMAT_AUTO, TIME_FORMAT_SECONDS, TIME_FORMAT_MILLISECONDS, TIME_FORMAT_RFC3339 };

/* pointers; empty: not given. All but `readings` are relative to one reading's object */
struct json_mapping {
    /* an array of readings, or one; "" with has_readings: the root */
    char readings[POINTER_BYTES_MAX];
    char device[POINTER_BYTES_MAX];
    char metric[POINTER_BYTES_MAX];
    char value[POINTER_BYTES_MAX];
    char time[POINTER_BYTES_MAX];     /* looked up in the reading first, else in the root */
    char unit[POINTER_BYTES_MAX];
    char sequence[POINTER_BYTES_MAX]; /* as time */
    char metrics[POINTER_BYTES_MAX];  /* an object whose members are metrics: name -> value; nested objects
                                         give dotted names (BME280.Temperature); members that `device`, `time`,
                                         `sequence`, `unit` or a field name are left out */
    bool metrics_given, readings_given; /* "" is a pointer too: the root */
    /* AUTO: a string is RFC 3339, a number from 1e11 on milliseconds */
    enum time_format time_format;
    uint32_t field_count;             /* further fields to keep with each reading */
    char field_names[READING_FIELDS_MAX][READING_NAME_BYTES_MAX + 1];
    char field_pointers[READING_FIELDS_MAX][POINTER_BYTES_MAX];
};

struct json_limits {
    uint32_t payload_bytes; /* of one message */
    uint32_t depth;         /* of nesting; the root's members are at depth 1; <= 32 */
    uint32_t readings;      /* in one message */
};

/* Where cJSON's memory comes from: its hooks carry no context, so the one arena in the process is
 * firmware's. */
struct json_memory {
    void (*reset)(void);         /* forget everything given out */
    bool (*exhausted)(void);     /* whether something was refused since the reset */
};

struct decoder {
    struct json_memory memory;
    struct json_limits limits;
    struct reading *readings;    /* [limits.readings], the caller's */
    uint8_t *extra;              /* room for the readings' further fields and unescaped names */
    size_t extra_bytes;
};

struct decoded { /* what became of one message */
    enum reject_reason reason;   /* of the whole message; REJECT_NONE: see the readings */
    /* byte of the payload where the fault was seen, as exactly as known */
    uint32_t fault_offset;
    uint32_t count;              /* of readings in decoder->readings */
    /* readings of a good message that could not be read: reason[] tells */
    uint32_t bad_count;
    struct {
        enum reject_reason reason;
        uint32_t index;          /* of the reading in the message */
        struct text device, metric; /* as far as known */
    } bad[64];                   /* the first 64; bad_count may be more */
};

/* Decode one message that came on a topic with these names in it (empty: not in the topic).
 * A device named by both must be the same, else IDENTITY_MISMATCH. Readings point into `payload`,
 * the topic, cJSON's arena and
 * `extra`: they live until the next call. `source` is copied into each. */
void decode_json(struct decoder *decoder, const struct json_mapping *mapping, uint16_t source,
                 struct text topic_device, struct text topic_metric, struct text payload,
                 struct decoded *out);

/* RFC 3339 to Unix milliseconds, years 0001-9999, fractions cut to milliseconds, leap second 60 as
 * the next second.
 * WEIR_EINVAL otherwise. */
int timestamp_parse(struct text text, int64_t *unix_ms);
/* "2026-09-21T14:13:20.250Z"; `to` has 25 bytes. */
void timestamp_print(int64_t unix_ms, char to[25]);

#endif
