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

/* \u escapes below 0x80 only: our writer escapes nothing else so. */
static char unescape(struct text value, size_t *at)
{
    char c = value.at[*at];
    static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
    if (c == 'u' && *at + 4 < value.bytes) {
        char hex[5] = { 0 };
        memcpy(hex, value.at + *at + 1, 4);
        *at += 4;
        return (char)(strtoul(hex, NULL, 16) & 0x7F);
    }
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    return found != NULL ? to[found - from] : c;
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
        char c = value.at[at];
        if (quoted && c == '\\' && at + 1 < end) {
            at++;
            c = unescape(value, &at);
        }
        to[used++] = c;
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
