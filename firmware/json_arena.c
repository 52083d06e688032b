#include "firmware/json_arena.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

enum { ALIGN = alignof(max_align_t) }; /* as the heap aligns: 8 bytes on armhf */

static struct {
    uint8_t *at;
    size_t bytes;
    size_t used;
    bool exhausted;
} arena;

static void *take(size_t bytes)
{
    size_t room = arena.bytes - arena.used;
    if (bytes > room || (bytes + ALIGN - 1) / ALIGN * ALIGN > room) {
        arena.exhausted = true;
        return NULL;
    }
    uint8_t *given = arena.at + arena.used;
    arena.used += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return given;
}

static void give_back(void *at)
{
    (void)at; /* the reset takes it all */
}

void json_arena_start(void *at, size_t bytes)
{
    assert(at != NULL);
    assert((uintptr_t)at % ALIGN == 0);
    arena.at = at;
    arena.bytes = bytes / ALIGN * ALIGN;
    arena.used = 0;
    arena.exhausted = false;
    cJSON_InitHooks(&(cJSON_Hooks){ .malloc_fn = take, .free_fn = give_back });
}

void json_arena_reset(void)
{
    arena.used = 0;
    arena.exhausted = false;
}

bool json_arena_exhausted(void)
{
    return arena.exhausted;
}
