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

static inline bool text_equal(struct text a, struct text b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.at, b.at, a.bytes) == 0);
}

#endif
