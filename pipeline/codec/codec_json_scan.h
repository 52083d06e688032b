/* codec_json_scan: one flat JSON object to the tree that cJSON makes of it, in a fraction of the
 * time. Messages of devices are such objects nearly always.
 *
 *   root = json_scan(json, &keys);
 *   root  the object and its members: order, types, keys, strings and every bit of every number as
 *         in the tree that cJSON makes of these bytes, which json_check calls good and in which
 *         json_duplicate finds nothing. Set are next, child, type, string, valuestring and
 *         valuedouble. One block of cJSON_malloc, no smaller than what cJSON would have taken.
 *         The members stand behind the root, one after the other; `keys` tells where to look first
 *   NULL  not for this scanner. That is no verdict: json_check and cJSON find the reason, if any
 *
 * It takes an object of at most JSON_SCAN_MEMBERS_MAX members with white space anywhere around its
 * tokens, whose values are numbers, true, false, null, and strings of valid UTF-8 without escapes.
 * It hands on everything else: an array or a scalar as the root, nesting, escapes, control
 * characters, invalid UTF-8, a key that stands twice, a number that is malformed, beyond a double
 * or longer than JSON_NUMBER_BYTES_MAX, anything behind the object, no memory.
 *
 * Numbers are rounded exactly, as strtod rounds them: a significand below 2^53 over a power of ten
 * up to 10^22 is one IEEE division of two exact doubles (W. Clinger, "How to Read Floating Point
 * Numbers Accurately", 1990); the rest goes through strtod. Reads no byte outside `json`,
 * recurses nowhere. O(bytes). */
#ifndef PIPELINE_CODEC_CODEC_JSON_SCAN_H
#define PIPELINE_CODEC_CODEC_JSON_SCAN_H

#include "pipeline/text.h"

enum { JSON_SCAN_MEMBERS_MAX = 32, JSON_KEYS = 64 };

struct cJSON;

struct json_keys { /* of one object */
    /* by json_key_hash: root + this is the last member whose key has that hash; 0: none has */
    uint8_t member[JSON_KEYS];
};

static inline uint8_t json_key_hash(const char *key, size_t bytes)
{
    unsigned first = bytes > 0 ? (unsigned char)key[0] : 0;
    unsigned last = bytes > 0 ? (unsigned char)key[bytes - 1] : 0;
    return (uint8_t)((first * 5u + last + (unsigned)bytes * 7u) % JSON_KEYS);
}

struct cJSON *json_scan(struct text json, struct json_keys *keys);

#endif
