#include "pipeline/codec/codec_json_check.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "pipeline/reading.h"
#include "pipeline/codec/word.h"

struct scan {
    const unsigned char *start, *at, *end;
    uint64_t objects; /* bit d: the container that is d deep is an object */
    uint32_t depth, depth_max;
    enum reject_reason reason;
};

enum expected { WANT_VALUE, WANT_VALUE_OR_END, WANT_KEY, WANT_KEY_OR_END, WANT_COMMA_OR_END };

uint32_t json_utf8_bytes(const unsigned char *at, const unsigned char *end)
{
    unsigned char lead = at[0];
    if (lead < 0x80)
        return 1;
    uint32_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || end - at < (ptrdiff_t)bytes)
        return 0;
    unsigned char least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < least || at[1] > most)
        return 0;
    for (uint32_t i = 2; i < bytes; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

static bool fault(struct scan *s, const unsigned char *at, enum reject_reason reason)
{
    s->at = at;
    s->reason = reason;
    return false;
}

/* Something else stands where `at` is. */
static bool unexpected(struct scan *s)
{
    bool utf8 = s->at == s->end || json_utf8_bytes(s->at, s->end) > 0;
    return fault(s, s->at, utf8 ? REJECT_JSON_SYNTAX : REJECT_INVALID_UTF8);
}

static int peek(const struct scan *s)
{
    return s->at < s->end ? *s->at : -1;
}

static int next_token(struct scan *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
    return peek(s);
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind \u; `at` moves behind them. -1: they are not there. */
static int hex4(struct scan *s)
{
    int code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(peek(s));
        if (digit < 0) {
            (void)unexpected(s);
            return -1;
        }
        code = code * 16 + digit;
        s->at++;
    }
    return code;
}

static bool scan_unicode_escape(struct scan *s, const unsigned char *backslash)
{
    int code = hex4(s);
    if (code < 0)
        return false;
    if (code == 0)
        return fault(s, backslash, REJECT_JSON_SYNTAX);
    if (code < 0xd800 || code > 0xdfff)
        return true;
    if (code >= 0xdc00 || peek(s) != '\\' || s->end - s->at < 2 || s->at[1] != 'u')
        return fault(s, backslash, REJECT_INVALID_UTF8);
    s->at += 2;
    int low = hex4(s);
    if (low < 0)
        return false;
    return (low >= 0xdc00 && low <= 0xdfff) || fault(s, backslash, REJECT_INVALID_UTF8);
}

static bool scan_escape(struct scan *s)
{
    const unsigned char *backslash = s->at++;
    int c = peek(s);
    switch (c) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        s->at++;
        return true;
    case 'u':
        s->at++;
        return scan_unicode_escape(s, backslash);
    default:
        return unexpected(s);
    }
}

/* From the opening quote to behind the closing one. */
static bool scan_string(struct scan *s)
{
    s->at++;
    for (;;) {
        const unsigned char *at = s->at, *end = s->end;
        while (at < end && *at != '"' && *at != '\\' && *at >= 0x20 && *at < 0x80)
            at++;
        s->at = at;
        if (at == end || *at < 0x20)
            return unexpected(s);
        if (*at == '"') {
            s->at++;
            return true;
        }
        if (*at == '\\') {
            if (!scan_escape(s))
                return false;
            continue;
        }
        uint32_t bytes = json_utf8_bytes(at, end);
        if (bytes == 0)
            return unexpected(s);
        s->at += bytes;
    }
}

/* What printf and Python write for a number that is none: nan, NaN, inf, Infinity. */
static bool is_not_finite(const struct scan *s, const unsigned char *at)
{
    if (s->end - at < 3)
        return false;
    char word[] = { (char)(at[0] | 0x20), (char)(at[1] | 0x20), (char)(at[2] | 0x20) };
    return memcmp(word, "nan", 3) == 0 || memcmp(word, "inf", 3) == 0;
}

static bool scan_digits(struct scan *s)
{
    if (s->at == s->end || *s->at < '0' || *s->at > '9')
        return unexpected(s);
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return true;
}

/* Without an exponent 63 bytes can't overflow, so only those with one are computed. */
static bool check_magnitude(struct scan *s, const unsigned char *from, bool has_exponent)
{
    size_t bytes = (size_t)(s->at - from);
    if (bytes > JSON_NUMBER_BYTES_MAX)
        return fault(s, from, REJECT_NUMBER_TOO_LARGE);
    if (!has_exponent)
        return true;
    char copy[JSON_NUMBER_BYTES_MAX + 1];
    memcpy(copy, from, bytes);
    copy[bytes] = '\0';
    double number = strtod(copy, NULL);
    return __builtin_isfinite(number) || fault(s, from, REJECT_NUMBER_TOO_LARGE);
}

static bool scan_number(struct scan *s)
{
    const unsigned char *from = s->at;
    if (*s->at == '-')
        s->at++;
    if (is_not_finite(s, s->at))
        return fault(s, from, REJECT_NUMBER_NOT_FINITE);
    if (peek(s) == '0')
        s->at++;
    else if (!scan_digits(s))
        return false;
    if (peek(s) == '.') {
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    bool has_exponent = peek(s) == 'e' || peek(s) == 'E';
    if (has_exponent) {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (!scan_digits(s))
            return false;
    }
    return check_magnitude(s, from, has_exponent);
}

static bool scan_literal(struct scan *s, const char *word)
{
    for (; *word != '\0'; word++, s->at++)
        if (peek(s) != *word)
            return unexpected(s);
    return true;
}

static bool scan_other(struct scan *s)
{
    if (is_not_finite(s, s->at))
        return fault(s, s->at, REJECT_NUMBER_NOT_FINITE);
    switch (peek(s)) {
    case 't':
        return scan_literal(s, "true");
    case 'f':
        return scan_literal(s, "false");
    case 'n':
        return scan_literal(s, "null");
    default:
        return unexpected(s);
    }
}

static bool open_container(struct scan *s, bool object)
{
    if (s->depth == s->depth_max)
        return fault(s, s->at, REJECT_JSON_DEPTH);
    s->depth++;
    uint64_t bit = UINT64_C(1) << s->depth;
    s->objects = object ? s->objects | bit : s->objects & ~bit;
    s->at++;
    return true;
}

static bool in_object(const struct scan *s)
{
    return (s->objects >> s->depth & 1) != 0;
}

static bool scan_value(struct scan *s, int c, enum expected *want)
{
    *want = WANT_COMMA_OR_END;
    switch (c) {
    case '{':
        *want = WANT_KEY_OR_END;
        return open_container(s, true);
    case '[':
        *want = WANT_VALUE_OR_END;
        return open_container(s, false);
    case '"':
        return scan_string(s);
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7':
    case '8': case '9':
        return scan_number(s);
    default:
        return scan_other(s);
    }
}

static bool scan_key(struct scan *s, int c, enum expected *want)
{
    *want = WANT_VALUE;
    if (c != '"')
        return unexpected(s);
    if (!scan_string(s))
        return false;
    if (next_token(s) != ':')
        return unexpected(s);
    s->at++;
    return true;
}

static bool scan_comma(struct scan *s, int c, enum expected *want)
{
    if (c != ',')
        return unexpected(s);
    *want = in_object(s) ? WANT_KEY : WANT_VALUE;
    s->at++;
    return true;
}

static bool scan_step(struct scan *s, enum expected *want)
{
    int c = next_token(s);
    bool may_end = *want != WANT_VALUE && *want != WANT_KEY;
    if (may_end && c == (in_object(s) ? '}' : ']')) {
        s->depth--;
        s->at++;
        *want = WANT_COMMA_OR_END;
        return true;
    }
    switch (*want) {
    case WANT_VALUE:
    case WANT_VALUE_OR_END:
        return scan_value(s, c, want);
    case WANT_KEY:
    case WANT_KEY_OR_END:
        return scan_key(s, c, want);
    case WANT_COMMA_OR_END:
        return scan_comma(s, c, want);
    }
    return false;
}

struct json_fault json_check(struct text json, uint32_t depth)
{
    assert(depth <= JSON_DEPTH_MAX);
    const unsigned char *start = (const unsigned char *)json.at;
    struct scan s = { .start = start, .at = start, .end = start + json.bytes, .depth_max = depth };
    enum expected want = WANT_VALUE;
    if (json.bytes == 0)
        return (struct json_fault){ REJECT_JSON_SYNTAX, 0 };
    while (scan_step(&s, &want) && (s.depth > 0 || want != WANT_COMMA_OR_END))
        ;
    if (s.reason == REJECT_NONE && next_token(&s) >= 0)
        s.reason = REJECT_JSON_TRAILING;
    assert(s.at >= s.start && s.at <= s.end);
    return (struct json_fault){ s.reason, (uint32_t)(s.at - s.start) };
}

/* Whether these eight bytes are ASCII that any name may hold inside. */
static inline bool is_plain_word(const char *at)
{
    uint64_t word = word_at(at);
    return (word_below(word, 0x21) | word_equal(word, 0x7f) | word_equal(word, '/') |
            word_equal(word, '+') | word_equal(word, '#') | word_beyond_ascii(word)) == 0;
}

/* Most names: nothing in them needs a second look. The last eight bytes may be looked at twice. */
static bool is_plain_name(struct text name)
{
    if (name.bytes < 8)
        return false;
    for (uint32_t i = 0; i + 8 < name.bytes; i += 8)
        if (!is_plain_word(name.at + i))
            return false;
    return is_plain_word(name.at + name.bytes - 8);
}

bool name_valid(struct text name)
{
    if (name.bytes == 0 || name.bytes > READING_NAME_BYTES_MAX)
        return false;
    if (is_plain_name(name))
        return true;
    const unsigned char *at = (const unsigned char *)name.at, *end = at + name.bytes;
    if (*at == ' ' || end[-1] == ' ')
        return false;
    while (at < end) {
        if (*at < 0x80) {
            if (*at < 0x20 || *at == 0x7f || *at == '/' || *at == '+' || *at == '#')
                return false;
            at++;
            continue;
        }
        uint32_t bytes = json_utf8_bytes(at, end);
        bool control = bytes == 2 && at[0] == 0xc2 && at[1] < 0xa0; /* U+0080 to U+009F */
        if (bytes == 0 || control)
            return false;
        at += bytes;
    }
    return true;
}
