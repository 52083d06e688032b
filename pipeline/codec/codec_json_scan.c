#include "pipeline/codec/codec_json_scan.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "pipeline/codec/codec_json_check.h"
#include "pipeline/codec/word.h"

enum {
    ALLOCATION_WASTE = 16, /* of each of cJSON's allocations, at most: what an arena aligns to */
    DIGITS_MAX = 18,       /* that an unsigned 64 bit significand always holds */
    TENS_MAX = 22          /* the largest exact power of ten in a double */
};

#define SIGNIFICAND_END (UINT64_C(1) << 53)

struct scanner {
    const unsigned char *at, *end;
    char *to;      /* where the next string's copy goes */
    cJSON *nodes;  /* the root, then the members so far */
    uint32_t members;
    struct json_keys *keys;
};

static inline int peek(const struct scanner *s)
{
    return s->at < s->end ? *s->at : -1;
}

static inline int next_token(struct scanner *s)
{
    if (s->at < s->end && *s->at > ' ') /* mostly */
        return *s->at;
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
    return peek(s);
}

/* --- strings --- */

static inline bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Plain bytes eight at a time, as long as eight are there. The copies may go up to seven bytes
 * beyond: into room that later strings overwrite, or the waste behind it. */
static inline const unsigned char *copy_plain(const unsigned char *at, const unsigned char *end,
                                              char **to)
{
    static_assert(ALLOCATION_WASTE >= 7, "there is room behind the last copy");
    for (; end - at >= 8; at += 8, *to += 8) {
        uint64_t word = word_at(at);
        uint64_t special = word_below(word, 0x20) | word_equal(word, '"') |
                           word_equal(word, '\\') | word_beyond_ascii(word);
        memcpy(*to, at, 8);
        if (special == 0)
            continue;
        *to += word_first(special);
        return at + word_first(special);
    }
    return at;
}

/* From the opening quote to behind the closing one: a terminated copy, or NULL. The copy never
 * takes more than the string took with its quotes. */
static inline char *scan_string(struct scanner *s)
{
    const unsigned char *at = s->at + 1, *end = s->end;
    char *copy = s->to, *to = copy;
    for (;;) {
        at = copy_plain(at, end, &to);
        while (at < end && is_plain(*at))
            *to++ = (char)*at++;
        uint32_t bytes = at < end && *at >= 0x80 ? json_utf8_bytes(at, end) : 0;
        if (bytes == 0)
            break;
        memcpy(to, at, bytes);
        to += bytes;
        at += bytes;
    }
    if (at == end || *at != '"')
        return NULL;
    *to++ = '\0';
    s->at = at + 1;
    s->to = to;
    return copy;
}

/* --- numbers --- */

struct decimal { /* (-1)^negative * significand * 10^-places, while it is exact */
    uint64_t significand;
    uint32_t digits; /* in it, leading zeros counted */
    uint32_t places;
    bool negative, has_exponent;
};

/* At least one digit. */
static inline bool scan_digits(struct scanner *s, struct decimal *d)
{
    const unsigned char *from = s->at, *at = from;
    uint64_t significand = d->significand;
    for (; at < s->end && *at >= '0' && *at <= '9'; at++)
        significand = significand * 10 + (uint64_t)(*at - '0'); /* wraps: not used then */
    d->significand = significand;
    d->digits += (uint32_t)(at - from);
    s->at = at;
    return at > from;
}

/* JSON's grammar of a number; stops behind it. */
static inline bool scan_decimal(struct scanner *s, struct decimal *d)
{
    *d = (struct decimal){ .negative = peek(s) == '-' };
    s->at += d->negative;
    if (peek(s) == '0')
        s->at++;
    else if (!scan_digits(s, d))
        return false;
    if (peek(s) == '.') {
        uint32_t whole = d->digits;
        s->at++;
        if (!scan_digits(s, d))
            return false;
        d->places = d->digits - whole;
    }
    d->has_exponent = peek(s) == 'e' || peek(s) == 'E';
    if (!d->has_exponent)
        return true;
    s->at++;
    s->at += peek(s) == '+' || peek(s) == '-';
    return scan_digits(s, &(struct decimal){ 0 });
}

static inline bool scan_number(struct scanner *s, double *number)
{
    static const double TENS[TENS_MAX + 1] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                               1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                               1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    static_assert(DIGITS_MAX <= TENS_MAX, "the places of a short significand have their power");
    const unsigned char *from = s->at;
    struct decimal d;
    if (!scan_decimal(s, &d))
        return false;
    if (!d.has_exponent && d.digits <= DIGITS_MAX && d.significand < SIGNIFICAND_END) {
        double magnitude = (double)d.significand / TENS[d.places];
        *number = d.negative ? -magnitude : magnitude;
        return true;
    }
    char copy[JSON_NUMBER_BYTES_MAX + 1];
    size_t bytes = (size_t)(s->at - from);
    if (bytes > JSON_NUMBER_BYTES_MAX)
        return false;
    memcpy(copy, from, bytes);
    copy[bytes] = '\0';
    *number = strtod(copy, NULL);
    return __builtin_isfinite(*number);
}

/* --- members --- */

static inline bool scan_word(struct scanner *s, const char *word, size_t bytes)
{
    if ((size_t)(s->end - s->at) < bytes || memcmp(s->at, word, bytes) != 0)
        return false;
    s->at += bytes;
    return true;
}

static inline bool scan_value(struct scanner *s, cJSON *to)
{
    switch (next_token(s)) {
    case '"':
        to->type = cJSON_String;
        to->valuestring = scan_string(s);
        return to->valuestring != NULL;
    case 't':
        to->type = cJSON_True;
        return scan_word(s, "true", 4);
    case 'f':
        to->type = cJSON_False;
        return scan_word(s, "false", 5);
    case 'n':
        to->type = cJSON_NULL;
        return scan_word(s, "null", 4);
    default: /* a digit, a minus, or what scan_number does not take */
        to->type = cJSON_Number;
        return scan_number(s, &to->valuedouble);
    }
}

/* Keys are compared only when their hashes are equal, which is seldom. */
static inline bool is_new_key(struct scanner *s, const char *key)
{
    uint8_t *member = &s->keys->member[json_key_hash(key, (size_t)(s->to - key) - 1)];
    bool maybe_known = *member != 0;
    *member = (uint8_t)(s->members + 1);
    for (uint32_t i = 1; maybe_known && i <= s->members; i++)
        if (strcmp(s->nodes[i].string, key) == 0)
            return false;
    return true;
}

static inline bool scan_member(struct scanner *s)
{
    if (s->members == JSON_SCAN_MEMBERS_MAX || peek(s) != '"')
        return false;
    char *key = scan_string(s);
    if (key == NULL || !is_new_key(s, key) || next_token(s) != ':')
        return false;
    s->at++;
    cJSON *node = &s->nodes[s->members + 1];
    *node = (cJSON){ .string = key };
    if (!scan_value(s, node))
        return false;
    if (s->members > 0)
        node[-1].next = node;
    s->members++;
    return true;
}

static inline bool scan_object(struct scanner *s)
{
    if (next_token(s) != '{')
        return false;
    do {
        s->at++;
        if (next_token(s) == '}' && s->members == 0)
            break;
        if (!scan_member(s))
            return false;
    } while (next_token(s) == ',');
    if (peek(s) != '}')
        return false;
    s->at++;
    return next_token(s) < 0;
}

struct cJSON *json_scan(struct text json, struct json_keys *keys)
{
    enum { NODES = JSON_SCAN_MEMBERS_MAX + 1 };
    size_t waste = 2 * JSON_SCAN_MEMBERS_MAX * (size_t)ALLOCATION_WASTE;
    const unsigned char *at = (const unsigned char *)json.at;
    if (json.bytes == 0 || json.bytes > INT32_MAX)
        return NULL;
    cJSON *nodes = cJSON_malloc(NODES * sizeof *nodes + json.bytes + waste);
    if (nodes == NULL)
        return NULL;
    struct scanner s = { .at = at, .end = at + json.bytes, .to = (char *)(nodes + NODES),
                         .nodes = nodes, .keys = keys };
    memset(keys, 0, sizeof *keys);
    bool flat = scan_object(&s);
    assert(s.to <= (char *)(nodes + NODES) + json.bytes);
    nodes[0] = (cJSON){ .type = cJSON_Object, .child = s.members > 0 ? &nodes[1] : NULL };
    return flat ? nodes : NULL;
}
