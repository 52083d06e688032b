/* mqtt_bytes: MQTT packets in a notation that can be read:
 *   hex digits in pairs      bytes
 *   'text'                   its characters
 *   { ... }                  two bytes of length, then what stands between
 *   ( ... )                  a variable byte integer of length, then what stands between
 * so "10 ({'MQTT'} 05 02 003c () {'dev'})" is a CONNECT without properties. Spaces mean nothing. */
#ifndef TESTS_LIB_MQTT_BYTES_H
#define TESTS_LIB_MQTT_BYTES_H

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MQTT_NOTED_MAX = 1 << 13 };

static inline unsigned noted_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = memchr(digits, c, 16);
    assert(at != NULL);
    return (unsigned)(at - digits);
}

static inline size_t noted_varint(uint8_t *to, size_t value)
{
    size_t used = 0;
    do {
        to[used++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    return used;
}

static inline const char *noted_until(const char *from, char end, uint8_t *to, size_t *used);

static inline const char *noted_group(const char *from, uint8_t *to, size_t *used)
{
    uint8_t *inner = malloc(MQTT_NOTED_MAX);
    assert(inner != NULL);
    size_t bytes = 0;
    const char *end = noted_until(from + 1, *from == '{' ? '}' : ')', inner, &bytes);
    if (*from == '{') {
        to[(*used)++] = (uint8_t)(bytes >> 8);
        to[(*used)++] = (uint8_t)bytes;
    } else {
        *used += noted_varint(to + *used, bytes);
    }
    memcpy(to + *used, inner, bytes);
    *used += bytes;
    free(inner);
    return end;
}

/* Read up to and with `end`; where it goes on. */
static inline const char *noted_until(const char *from, char end, uint8_t *to, size_t *used)
{
    while (*from != end) {
        assert(*from != '\0');
        if (*from == ' ') {
            from++;
        } else if (*from == '{' || *from == '(') {
            from = noted_group(from, to, used);
        } else if (*from == '\'') {
            for (from++; *from != '\''; from++)
                to[(*used)++] = (uint8_t)*from;
            from++;
        } else {
            to[(*used)++] = (uint8_t)(noted_digit(from[0]) << 4 | noted_digit(from[1]));
            from += 2;
        }
    }
    return end == '\0' ? from : from + 1;
}

/* The bytes, in their own heap block of just that size, so that a sanitizer sees each byte read behind
 * them. The caller frees it. */
static inline uint8_t *mqtt_noted(const char *notation, size_t *bytes)
{
    uint8_t *room = malloc(MQTT_NOTED_MAX);
    assert(room != NULL);
    *bytes = 0;
    (void)noted_until(notation, '\0', room, bytes);
    uint8_t *exact = malloc(*bytes > 0 ? *bytes : 1);
    assert(exact != NULL);
    memcpy(exact, room, *bytes);
    free(room);
    return exact;
}

#endif
