/* codec_json_check: whether bytes are the one JSON value that the codec reads, in one pass, before
 * cJSON sees them; and what a name may look like. Allocates nothing, recurses nowhere. */
#ifndef PIPELINE_CODEC_CODEC_JSON_CHECK_H
#define PIPELINE_CODEC_CODEC_JSON_CHECK_H

#include <stdbool.h>

#include "pipeline/reject.h"
#include "pipeline/text.h"

enum {
    JSON_DEPTH_MAX = 32,        /* of nesting that a limit may allow */
    JSON_NUMBER_BYTES_MAX = 63  /* what every version of cJSON reads whole */
};

struct json_fault {
    enum reject_reason reason;  /* REJECT_NONE: good */
    uint32_t offset;            /* byte where the fault was seen; the end when more was wanted */
};

/* RFC 8259, stricter in three ways, because of what comes behind: at most `depth` (<= 32)
 * containers inside each other; no \u0000, where cJSON's strings would end; no number that
 * overflows a double or has more than 63 bytes. NaN and Infinity, as printf and Python write them,
 * are told from other faults. A lone surrogate is invalid UTF-8, since no UTF-8 can hold it.
 * Duplicate keys are found in the tree, where escapes are resolved. */
struct json_fault json_check(struct text json, uint32_t depth);

/* Bytes of the UTF-8 sequence at `at` (RFC 3629), 0 when there is none: overlong forms, surrogates
 * and what lies above U+10FFFF are none. */
uint32_t json_utf8_bytes(const unsigned char *at, const unsigned char *end);

/* 1 to 64 bytes of UTF-8, no control characters, none of / + #, no space at either end: what can
 * stand in a topic and in a log line. */
bool name_valid(struct text name);

#endif
