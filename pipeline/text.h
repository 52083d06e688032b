/* text: a slice of bytes that somebody else owns. Not terminated; UTF-8 where it came from JSON.
 * A slice lives as long as the buffer it points into: the message, the arena of one decode, a
 * name table. Whoever keeps one longer copies it. */
#ifndef PIPELINE_TEXT_H
#define PIPELINE_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct text {
    const char *at; /* NULL only when bytes is 0 */
    uint32_t bytes;
};

static inline struct text text_of(const char *terminated)
{
    return (struct text){ terminated, (uint32_t)strlen(terminated) };
}

/* Names have 4 to 20 bytes, mostly, and a call of memcmp takes longer than comparing them. Of a
 * text that is no whole number of words, some bytes are compared twice. */
static inline bool bytes_equal(const char *a, const char *b, uint32_t bytes)
{
    uint64_t of_a, of_b;
    uint32_t half_a, half_b;
    if (bytes < 4)
        return bytes == 0 || (a[0] == b[0] && a[bytes / 2] == b[bytes / 2] &&
                              a[bytes - 1] == b[bytes - 1]);
    if (bytes < 8) {
        memcpy(&half_a, a, 4), memcpy(&half_b, b, 4);
        if (half_a != half_b)
            return false;
        memcpy(&half_a, a + bytes - 4, 4), memcpy(&half_b, b + bytes - 4, 4);
        return half_a == half_b;
    }
    for (uint32_t i = 0; i + 8 < bytes; i += 8) {
        memcpy(&of_a, a + i, 8), memcpy(&of_b, b + i, 8);
        if (of_a != of_b)
            return false;
    }
    memcpy(&of_a, a + bytes - 8, 8), memcpy(&of_b, b + bytes - 8, 8);
    return of_a == of_b;
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.bytes == b.bytes && bytes_equal(a.at, b.at, a.bytes);
}

/* One '*' in the pattern stands for any run of bytes, also none. */
static inline bool text_matches(const char *pattern, struct text name)
{
    const char *star = strchr(pattern, '*');
    if (star == NULL)
        return text_equal(text_of(pattern), name);
    size_t head_bytes = (size_t)(star - pattern);
    size_t tail_bytes = strlen(star + 1);
    return name.bytes >= head_bytes + tail_bytes &&
           memcmp(name.at, pattern, head_bytes) == 0 &&
           memcmp(name.at + name.bytes - tail_bytes, star + 1, tail_bytes) == 0;
}

#endif
