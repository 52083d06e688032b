#include "pipeline/codec/json_writer.h"

#include <assert.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/timestamp.h"

enum { DEPTH_MAX = 31 };

struct json_writer json_writer_over(void *at, size_t bytes)
{
    assert(at != NULL);
    return (struct json_writer){ .out = { .at = at, .bytes = bytes } };
}

static void put_ascii(struct json_writer *w, const char *terminated)
{
    put_raw(&w->out, terminated, strlen(terminated));
}

/* Before anything that stands in an array, in an object or behind a key. */
static void separate(struct json_writer *w)
{
    uint32_t bit = 1u << w->depth;
    if (!w->after_key && (w->comma & bit) != 0)
        put_u8(&w->out, ',');
    w->comma |= bit;
    w->after_key = false;
}

static void open_with(struct json_writer *w, uint8_t bracket)
{
    separate(w);
    put_u8(&w->out, bracket);
    assert(w->depth < DEPTH_MAX);
    w->depth++;
    w->comma &= ~(1u << w->depth);
}

static void close_with(struct json_writer *w, uint8_t bracket)
{
    assert(w->depth > 0);
    assert(!w->after_key);
    put_u8(&w->out, bracket);
    w->depth--;
}

void json_object(struct json_writer *w)
{
    open_with(w, '{');
}

void json_object_end(struct json_writer *w)
{
    close_with(w, '}');
}

void json_array(struct json_writer *w)
{
    open_with(w, '[');
}

void json_array_end(struct json_writer *w)
{
    close_with(w, ']');
}

void json_key(struct json_writer *w, const char *key)
{
    assert(!w->after_key);
    separate(w);
    put_u8(&w->out, '"');
    put_ascii(w, key);
    put_ascii(w, "\":");
    w->after_key = true;
}

void json_colon(struct json_writer *w)
{
    assert(!w->after_key);
    put_u8(&w->out, ':');
    w->after_key = true;
}

/* Bytes of the UTF-8 sequence that starts here (RFC 3629: no overlong form, no surrogate, nothing
 * above U+10FFFF); 0: there is none. */
static uint32_t sequence_bytes(const uint8_t *at, uint32_t left)
{
    static const struct { uint8_t from, to, second_from, second_to, bytes; } forms[] = {
        { 0x00, 0x7f, 0, 0, 1 },          { 0xc2, 0xdf, 0x80, 0xbf, 2 },
        { 0xe0, 0xe0, 0xa0, 0xbf, 3 },    { 0xe1, 0xec, 0x80, 0xbf, 3 },
        { 0xed, 0xed, 0x80, 0x9f, 3 },    { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 },    { 0xf1, 0xf3, 0x80, 0xbf, 4 },
        { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (at[0] < forms[i].from || at[0] > forms[i].to)
            continue;
        uint32_t bytes = forms[i].bytes;
        if (bytes > left)
            return 0;
        if (bytes > 1 && (at[1] < forms[i].second_from || at[1] > forms[i].second_to))
            return 0;
        for (uint32_t k = 2; k < bytes; k++)
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        return bytes;
    }
    return 0;
}

static void put_control(struct json_writer *w, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    const char *named = byte == '\n' ? "\\n" : byte == '\r' ? "\\r" : byte == '\t' ? "\\t" : NULL;
    char escape[] = { '\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15], 0 };
    put_ascii(w, named != NULL ? named : escape);
}

void json_text(struct json_writer *w, struct text text)
{
    const uint8_t *at = (const uint8_t *)text.at;
    separate(w);
    put_u8(&w->out, '"');
    for (uint32_t i = 0; i < text.bytes && !w->out.failed;) {
        uint32_t bytes = sequence_bytes(at + i, text.bytes - i);
        if (bytes == 0)
            put_raw(&w->out, "\xef\xbf\xbd", 3);
        else if (at[i] < 0x20)
            put_control(w, at[i]);
        else {
            if (at[i] == '"' || at[i] == '\\')
                put_u8(&w->out, '\\');
            put_raw(&w->out, at + i, bytes);
        }
        i += bytes > 0 ? bytes : 1;
    }
    put_u8(&w->out, '"');
}

void json_string(struct json_writer *w, const char *terminated)
{
    json_text(w, text_of(terminated));
}

void json_base64(struct json_writer *w, struct text bytes)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *at = (const uint8_t *)bytes.at;
    separate(w);
    put_u8(&w->out, '"');
    for (uint32_t i = 0; i < bytes.bytes && !w->out.failed; i += 3) {
        uint32_t left = bytes.bytes - i;
        uint32_t group = (uint32_t)at[i] << 16 | (left > 1 ? (uint32_t)at[i + 1] << 8 : 0u) |
                         (left > 2 ? at[i + 2] : 0u);
        const char four[] = { digits[group >> 18], digits[group >> 12 & 63],
                              left > 1 ? digits[group >> 6 & 63] : '=',
                              left > 2 ? digits[group & 63] : '=' };
        put_raw(&w->out, four, sizeof four);
    }
    put_u8(&w->out, '"');
}

/* A normal double that has a text of at most 15 digits gets just that from %.15g, and 17 always
 * suffice. Below DBL_MIN a double has fewer digits, so there the search begins at one. */
void json_number(struct json_writer *w, double value)
{
    char digits[32];
    if (!(value >= -DBL_MAX && value <= DBL_MAX)) {
        json_null(w);
        return;
    }
    bool subnormal = value > -DBL_MIN && value < DBL_MIN;
    for (int precision = subnormal ? 1 : 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof digits, "%.*g", precision, value); /* at most 24 bytes */
        if (strtod(digits, NULL) == value)
            break;
    }
    separate(w);
    put_ascii(w, digits);
}

void json_unsigned(struct json_writer *w, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    separate(w);
    put_raw(&w->out, digits + at, sizeof digits - at);
}

void json_integer(struct json_writer *w, int64_t value)
{
    if (value < 0) {
        separate(w);
        put_u8(&w->out, '-');
        w->after_key = true; /* the digits follow without a comma */
    }
    json_unsigned(w, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_bool(struct json_writer *w, bool value)
{
    separate(w);
    put_ascii(w, value ? "true" : "false");
}

void json_null(struct json_writer *w)
{
    separate(w);
    put_ascii(w, "null");
}

void json_time(struct json_writer *w, int64_t unix_ms)
{
    char text[TIMESTAMP_BYTES];
    timestamp_print(unix_ms, text);
    json_string(w, text);
}

void json_put_text(struct json_writer *w, const char *key, struct text text)
{
    json_key(w, key);
    json_text(w, text);
}

void json_put_string(struct json_writer *w, const char *key, const char *terminated)
{
    json_key(w, key);
    json_string(w, terminated);
}

void json_put_number(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    json_number(w, value);
}

void json_put_integer(struct json_writer *w, const char *key, int64_t value)
{
    json_key(w, key);
    json_integer(w, value);
}

void json_put_unsigned(struct json_writer *w, const char *key, uint64_t value)
{
    json_key(w, key);
    json_unsigned(w, value);
}

void json_put_bool(struct json_writer *w, const char *key, bool value)
{
    json_key(w, key);
    json_bool(w, value);
}

void json_put_members(struct json_writer *w, struct text members)
{
    assert(!w->after_key && members.bytes > 0);
    separate(w);
    put_raw(&w->out, members.at, members.bytes);
}

void json_put_time(struct json_writer *w, const char *key, int64_t unix_ms)
{
    json_key(w, key);
    json_time(w, unix_ms);
}

struct text json_done(struct json_writer *w)
{
    assert(w->depth == 0);
    assert(!w->after_key);
    if (w->out.failed)
        return (struct text){ 0 };
    assert(w->out.used <= UINT32_MAX);
    return (struct text){ (const char *)w->out.at, (uint32_t)w->out.used };
}
