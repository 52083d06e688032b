#include "pipeline/timers.h"

#include <stdbool.h>

struct timers *timers_init(uint32_t keys_max, struct arena *arena)
{
    struct timers *t = arena_take(arena, 1, sizeof *t);
    uint32_t *heap = arena_take(arena, keys_max, sizeof *heap);
    uint32_t *places = arena_take(arena, keys_max, sizeof *places);
    int64_t *deadlines_ms = arena_take(arena, keys_max, sizeof *deadlines_ms);
    if (t != NULL)
        *t = (struct timers){ heap, places, deadlines_ms, 0, keys_max };
    return t;
}

static bool is_before(const struct timers *t, uint32_t a, uint32_t b)
{
    if (t->deadlines_ms[a] != t->deadlines_ms[b])
        return t->deadlines_ms[a] < t->deadlines_ms[b];
    return a < b;
}

static void put(struct timers *t, uint32_t at, uint32_t key)
{
    t->heap[at] = key;
    t->places[key] = at + 1;
}

static void sift_up(struct timers *t, uint32_t at, uint32_t key)
{
    while (at > 0 && is_before(t, key, t->heap[(at - 1) / 2])) {
        put(t, at, t->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(t, at, key);
}

static void sift_down(struct timers *t, uint32_t at, uint32_t key)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= t->count)
            break;
        if (child + 1 < t->count && is_before(t, t->heap[child + 1], t->heap[child]))
            child++;
        if (!is_before(t, t->heap[child], key))
            break;
        put(t, at, t->heap[child]);
        at = child;
    }
    put(t, at, key);
}

static void settle(struct timers *t, uint32_t at, uint32_t key)
{
    if (at > 0 && is_before(t, key, t->heap[(at - 1) / 2]))
        sift_up(t, at, key);
    else
        sift_down(t, at, key);
}

void timers_set(struct timers *t, uint32_t key, int64_t deadline_ms)
{
    assert(key < t->keys_max);
    uint32_t place = t->places[key];
    if (place != 0 && t->deadlines_ms[key] == deadline_ms)
        return;
    t->deadlines_ms[key] = deadline_ms;
    if (deadline_ms != INT64_MAX) {
        settle(t, place != 0 ? place - 1 : t->count++, key);
    } else if (place != 0) {
        t->places[key] = 0;
        uint32_t last = t->heap[--t->count];
        if (last != key)
            settle(t, place - 1, last);
    }
    assert(t->count <= t->keys_max);
}

int64_t timers_get(const struct timers *t, uint32_t key)
{
    assert(key < t->keys_max);
    return t->places[key] != 0 ? t->deadlines_ms[key] : INT64_MAX;
}

int64_t timers_next(const struct timers *t, uint32_t *key)
{
    if (t->count == 0)
        return INT64_MAX;
    *key = t->heap[0];
    return t->deadlines_ms[t->heap[0]];
}
