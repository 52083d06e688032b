#include "firmware/cli/json_view.h"

#include <stdlib.h>
#include <string.h>

static size_t skip_space(struct text json, size_t at)
{
    while (at < json.bytes && strchr(" \t\r\n", json.at[at]) != NULL && json.at[at] != '\0')
        at++;
    return at;
}

static size_t skip_string(struct text json, size_t at)
{
    for (at++; at < json.bytes && json.at[at] != '"'; at++)
        if (json.at[at] == '\\')
            at++;
    return at < json.bytes ? at + 1 : json.bytes;
}

/* Past the value that begins at `at`. */
static size_t skip_value(struct text json, size_t at)
{
    uint32_t depth = 0;
    do {
        if (at >= json.bytes)
            return json.bytes;
        char c = json.at[at];
        if (c == '"') {
            at = skip_string(json, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
            at++;
        } else if (depth > 0) {
            at++;
        } else {
            while (at < json.bytes && memchr(",]} \t\r\n", json.at[at], 7) == NULL)
                at++;
        }
    } while (depth > 0);
    return at;
}

bool json_view_next(struct text json, size_t *cursor, struct text *key, struct text *value)
{
    size_t at = skip_space(json, *cursor == 0 ? 0 : *cursor);
    if (json.bytes == 0 || (json.at[0] != '{' && json.at[0] != '['))
        return false;
    if (*cursor == 0)
        at = skip_space(json, 1);
    if (at < json.bytes && json.at[at] == ',')
        at = skip_space(json, at + 1);
    if (at >= json.bytes || json.at[at] == '}' || json.at[at] == ']')
        return false;
    if (json.at[0] == '{') {
        size_t end = skip_string(json, at);
        if (key != NULL && end >= at + 2)
            *key = (struct text){ json.at + at + 1, (uint32_t)(end - at - 2) };
        at = skip_space(json, end);
        at = skip_space(json, at + 1); /* the colon */
    }
    size_t end = skip_value(json, at);
    if (at >= json.bytes || end == at)
        return false;
    *value = (struct text){ json.at + at, (uint32_t)(end - at) };
    *cursor = end;
    return true;
}

static struct text member(struct text object, struct text name)
{
    struct text key = { 0 }, value = { 0 };
    size_t cursor = 0;
    if (object.bytes == 0 || object.at[0] != '{')
        return (struct text){ 0 };
    while (json_view_next(object, &cursor, &key, &value))
        if (text_equal(key, name))
            return value;
    return (struct text){ 0 };
}

struct text json_view_at(struct text json, const char *path)
{
    size_t begin = skip_space(json, 0);
    json = (struct text){ json.at + begin, json.bytes - (uint32_t)begin };
    while (json.bytes > 0 && *path != '\0') {
        uint32_t bytes = (uint32_t)strcspn(path, ".");
        json = member(json, (struct text){ path, bytes });
        path += bytes;
        path += *path == '.';
    }
    return json;
}

static uint32_t hex_of(struct text value, size_t at)
{
    char hex[5] = { 0 };
    if (at + 4 > value.bytes)
        return 0;
    memcpy(hex, value.at + at, 4);
    return (uint32_t)strtoul(hex, NULL, 16);
}

/* Of \u, whose `u` stands at *at; moves to its last digit. Half of a pair alone is no character. */
static uint32_t escaped_character(struct text value, size_t *at)
{
    uint32_t code = hex_of(value, *at + 1), low = 0;
    *at += 4;
    bool pair = (code & 0xFC00) == 0xD800 && *at + 2 < value.bytes && value.at[*at + 1] == '\\' &&
                value.at[*at + 2] == 'u';
    if (pair)
        low = hex_of(value, *at + 3);
    if ((low & 0xFC00) != 0xDC00)
        return (code & 0xF800) == 0xD800 ? 0xFFFD : code;
    *at += 6;
    return 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
}

static size_t put_utf8(uint32_t code, char to[4])
{
    size_t bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t first[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (size_t i = bytes - 1; i > 0; i--, code >>= 6)
        to[i] = (char)(0x80 | (code & 0x3F));
    to[0] = (char)(first[bytes] | code);
    return bytes;
}

/* What is escaped, whose letter stands at *at. */
static size_t unescape(struct text value, size_t *at, char to[4])
{
    static const char from[] = "nrtbf", plain[] = "\n\r\t\b\f";
    char c = value.at[*at];
    if (c == 'u' && *at + 4 < value.bytes)
        return put_utf8(escaped_character(value, at), to);
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    to[0] = found != NULL ? plain[found - from] : c;
    return 1;
}

void json_view_print(struct text value, char *to, size_t bytes)
{
    size_t used = 0, at = 0, end = value.bytes;
    bool quoted = value.bytes >= 2 && value.at[0] == '"';
    if (value.bytes == 4 && memcmp(value.at, "null", 4) == 0)
        end = 0;
    if (quoted)
        at = 1, end = value.bytes - 1;
    for (; at < end && used + 1 < bytes; at++) {
        char one[4] = { value.at[at] };
        size_t more = 1;
        if (quoted && one[0] == '\\' && at + 1 < end) {
            at++;
            more = unescape(value, &at, one);
        }
        if (used + more >= bytes)
            break;
        memcpy(to + used, one, more);
        used += more;
    }
    to[used] = '\0';
}

void json_view_text(struct text json, const char *path, char *to, size_t bytes)
{
    json_view_print(json_view_at(json, path), to, bytes);
}

uint64_t json_view_unsigned(struct text json, const char *path)
{
    char digits[32];
    json_view_text(json, path, digits, sizeof digits);
    return strtoull(digits, NULL, 10);
}

double json_view_number(struct text json, const char *path)
{
    char digits[64];
    json_view_text(json, path, digits, sizeof digits);
    return strtod(digits, NULL);
}

bool json_view_bool(struct text json, const char *path)
{
    struct text value = json_view_at(json, path);
    return value.bytes == 4 && memcmp(value.at, "true", 4) == 0;
}
