/* codec_json: one JSON message to readings, by a mapping of JSON pointers (RFC 6901).
 *
 * Any shape: cJSON builds the tree in the caller's fixed arena (through `json_memory`, reset for
 * each message), so a message can cost at most that arena. For a flat object, the common case, a
 * scanner of our own builds the same tree (codec_json_scan.h). Strict where cJSON is lax: the whole
 * input must be one valid UTF-8 JSON value (RFC 8259) with no duplicate keys, nothing behind it, no
 * NaN, and no number that a double can't hold (codec_json_check.h lists it); each fault has its own
 * reason. Whole numbers for time and sequence are exact: below 2^53, refused from there on.
 * A message is all or nothing in its syntax; within a good message each reading stands alone.
 * `null` stands for nothing: a member that is null is read as if it were absent. */
#ifndef PIPELINE_CODEC_CODEC_JSON_H
#define PIPELINE_CODEC_CODEC_JSON_H

#include <stddef.h>

#include "pipeline/reading.h"
#include "pipeline/reject.h"
#include "pipeline/timestamp.h"

enum { POINTER_BYTES_MAX = 128 };

enum time_format {
    TIME_FORMAT_AUTO,
    TIME_FORMAT_SECONDS,
    TIME_FORMAT_MILLISECONDS,
    TIME_FORMAT_RFC3339
};

struct json_pointer { /* compiled: reference tokens, unescaped, each with its NUL */
    uint8_t token_count;
    uint8_t key;            /* json_key_hash of the first token */
    char tokens[POINTER_BYTES_MAX];
};

/* Pointers; empty: not given. `value`, `metrics` are looked up in one reading's object; the others
 * there first, else in the root, so that what all readings share may stand once. */
struct json_mapping {
    /* an array of readings, or one; not given: the root is the one reading */
    char readings[POINTER_BYTES_MAX];
    char device[POINTER_BYTES_MAX];   /* not given or absent: the topic's */
    char metric[POINTER_BYTES_MAX];   /* not given or absent: the topic's */
    /* empty: the reading itself is the value. Not looked at when metrics are given */
    char value[POINTER_BYTES_MAX];
    char time[POINTER_BYTES_MAX];
    char unit[POINTER_BYTES_MAX];
    char sequence[POINTER_BYTES_MAX];
    char version[POINTER_BYTES_MAX];  /* of the contract that the message follows */
    /* an object whose members are metrics: name -> value; nested objects give dotted names
     * (BME280.Temperature), a metric in the topic goes before them (vibration.rms). Members that
     * `device`, `time`, `sequence`, `version`, `unit` or a field name are left out */
    char metrics[POINTER_BYTES_MAX];
    bool metrics_given, readings_given; /* "" is a pointer too: the root */
    /* AUTO: a string is RFC 3339, a number from 1e11 on milliseconds */
    enum time_format time_format;
    uint32_t field_count;             /* further fields to keep with each reading */
    char field_names[READING_FIELDS_MAX][READING_NAME_BYTES_MAX + 1];
    char field_pointers[READING_FIELDS_MAX][POINTER_BYTES_MAX];
    uint8_t field_numbers[READING_FIELDS_MAX]; /* each's place in the source's list of them */
    struct {                          /* json_mapping_compile's */
        bool done;
        struct json_pointer readings, device, metric, value, time, unit, sequence, version, metrics;
        struct json_pointer fields[READING_FIELDS_MAX];
    } compiled;
};

/* Make ready what the configuration wrote; before the first message, and after every change. An
 * empty pointer is no error. Fields are numbered as they stand; a source whose topics keep others
 * numbers them anew.
 *   WEIR_EINVAL  with a sentence in *why: one does not begin with /, or has ~ but not ~0 or ~1 */
int json_mapping_compile(struct json_mapping *mapping, const char **why);

/* One of them, of at most POINTER_BYTES_MAX - 1 bytes: NULL, or the sentence. */
const char *json_pointer_compile(struct json_pointer *to, const char *from);

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

enum { DECODED_BAD_MAX = 64 };

struct decoded { /* what became of one message */
    enum reject_reason reason;   /* of the whole message; REJECT_NONE: see the readings */
    /* byte of the payload where the fault was seen, as exactly as known; of a good message its
     * first bad reading's */
    uint32_t fault_offset;
    uint32_t count;              /* of readings in decoder->readings */
    /* readings of a good message that could not be read. An object with a bad time, sequence, unit,
     * version, device or field is one, whatever it holds */
    uint32_t bad_count;
    struct {
        enum reject_reason reason;
        uint32_t index;          /* of the reading in the message */
        uint32_t fault_offset;   /* byte of the payload where the faulty value begins */
        bool has_sequence;
        struct text device, metric; /* as far as known, and no longer than a name */
        uint64_t sequence;          /* likewise: of its message */
    } bad[DECODED_BAD_MAX];      /* the first of them; bad_count may be more */
};

/* Decode one message that came on a topic with these names in it (empty: not in the topic).
 * A device named by both must be the same, else IDENTITY_MISMATCH: of the whole message where the
 * root names it, else of that reading. A text value of more than READING_TEXT_BYTES_MAX is a
 * VALUE_TYPE. Readings point into `payload`, the topic, cJSON's arena and `extra`: they live until
 * the next call. `source` is copied into each. O(payload), O(n log n) in an object's members. */
void decode_json(struct decoder *decoder, const struct json_mapping *mapping, uint16_t source,
                 struct text topic_device, struct text topic_metric, struct text payload,
                 struct decoded *out);

#endif
