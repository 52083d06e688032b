/* Looking ahead: of many devices nearly every piece of state that a reading touches is a miss of
 * the cache, one after the other. Who knows what comes next says so, and the misses are under way
 * while the readings before it are handled. A hint: it may be wrong or missing, and nothing that is
 * said depends on it.
 *
 * Each step needs what the one before it fetched: the table's slot, then the device and what
 * repeats are known by, then the series that was heard last. So a device takes a step with every
 * few messages that are announced after it. */
#include "pipeline/engine/engine_state.h"

enum { LINE_BYTES = 64 };

static inline void fetch(const void *at, size_t bytes)
{
    const char *from = at;
    for (size_t offset = 0; offset < bytes; offset += LINE_BYTES)
        __builtin_prefetch(from + offset);
    __builtin_prefetch(from + bytes - 1);
}

static void fetch_device(const struct engine *e, struct expected *x)
{
    uint32_t at = x->hash, entry;
    while ((entry = e->device_table[at & e->device_table_mask]) != 0 &&
           !table_may_be(entry, x->hash))
        at++;
    if (entry == 0)
        return;
    x->device = table_index(entry);
    fetch(&e->devices[x->device], sizeof e->devices[0]);
    fetch(engine_dedup(e, x->device), e->dedup_bytes);
}

/* Inlined by force: a function that only fetches has no effect that gcc knows, and its calls go. */
__attribute__((always_inline)) static inline void fetch_series(const struct engine *e,
                                                               uint32_t device)
{
    if (device == ENGINE_NONE)
        return;
    const struct device *d = &e->devices[device];
    __builtin_prefetch(e->names + d->name);
    if (d->last_series == ENGINE_NONE)
        return;
    fetch(&e->series[d->last_series], sizeof e->series[0]);
    fetch(engine_rules(e, d->last_series), e->watches_at);
    timers_fetch(e->timers, d->last_series);
}

bool engine_looks_ahead(const struct engine *engine)
{
    return engine->device_count >= ENGINE_AHEAD_DEVICES;
}

void engine_expect(const struct engine *engine, struct text device)
{
    struct ahead *ahead = engine->ahead;
    uint32_t last = ahead->count++;
    struct expected *x = &ahead->expected[last % ENGINE_AHEAD];
    *x = (struct expected){ .hash = engine_device_hash(engine, device), .device = ENGINE_NONE };
    __builtin_prefetch(&engine->device_table[x->hash & engine->device_table_mask]);
    fetch_device(engine, &ahead->expected[(last - ENGINE_AHEAD_STEP) % ENGINE_AHEAD]);
    fetch_series(engine, ahead->expected[(last - 2 * ENGINE_AHEAD_STEP) % ENGINE_AHEAD].device);
}
