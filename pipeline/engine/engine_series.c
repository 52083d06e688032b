/* Who is known: names, and the tables by which devices and series are found. Tables are keyed by
 * the store's key; what they hold is dense indexes, so their order shows nowhere. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

struct text engine_name(const struct engine *e, uint32_t offset)
{
    assert(offset < e->names_used);
    const char *at = e->names + offset;
    return (struct text){ at + 1, (uint8_t)*at };
}

bool engine_names_room(const struct engine *e, size_t bytes)
{
    return bytes <= e->names_bytes - e->names_used;
}

static uint32_t append_name(struct engine *e, struct text name)
{
    assert(name.bytes > 0 && name.bytes <= READING_NAME_BYTES_MAX);
    assert(engine_names_room(e, name.bytes + 1u));
    uint32_t offset = e->names_used;
    e->names[offset] = (char)name.bytes;
    memcpy(e->names + offset + 1, name.at, name.bytes);
    e->names_used += name.bytes + 1;
    return offset;
}

/* Metrics and units repeat from device to device, so the names stored last are looked through. */
uint32_t engine_name_store(struct engine *e, struct text name)
{
    if (name.bytes == 0)
        return 0;
    for (uint32_t i = 0; i < ENGINE_NAMES_SHARED; i++)
        if (e->shared[i] != 0 && text_equal(engine_name(e, e->shared[i]), name))
            return e->shared[i];
    uint32_t offset = append_name(e, name);
    e->shared[e->shared_next] = offset;
    e->shared_next = (e->shared_next + 1) % ENGINE_NAMES_SHARED;
    return offset;
}

uint32_t engine_device_hash(const struct engine *e, struct text name)
{
    return (uint32_t)hash64(e->config->store, name.at, name.bytes);
}

static bool is_device(const struct engine *e, uint32_t index, struct text name)
{
    return index < e->device_count && text_equal(engine_name(e, e->devices[index].name), name);
}

static uint32_t look_up(const struct engine *e, struct text name)
{
    uint32_t hash = engine_device_hash(e, name);
    for (uint32_t at = hash;; at++) {
        uint32_t entry = e->device_table[at & e->device_table_mask];
        if (entry == 0)
            return ENGINE_NONE;
        if (table_may_be(entry, hash) && is_device(e, table_index(entry), name))
            return table_index(entry);
    }
}

/* The one that was announced for the message at hand, or the one that came after the last one. */
static uint32_t guess(const struct engine *e)
{
    const struct ahead *ahead = e->ahead;
    if (engine_looks_ahead(e))
        return ahead->expected[(ahead->count - 1 - ENGINE_EXPECT_AHEAD) % ENGINE_AHEAD].device;
    const struct guesses *guesses = e->guesses;
    return guesses->last < guesses->count ? guesses->after[guesses->last] : ENGINE_NONE;
}

uint32_t engine_device_find(const struct engine *e, struct text name)
{
    struct guesses *guesses = e->guesses;
    if (is_device(e, guesses->last, name))
        return guesses->last;
    uint32_t found = guess(e);
    if (!is_device(e, found, name))
        found = look_up(e, name);
    if (found == ENGINE_NONE)
        return ENGINE_NONE;
    if (guesses->last < guesses->count && found < guesses->count)
        guesses->after[guesses->last] = (uint16_t)found;
    guesses->last = found;
    return found;
}

static void enter(uint32_t *table, uint32_t mask, uint32_t hash, uint32_t index)
{
    uint32_t at = hash;
    while (table[at & mask] != 0)
        at++;
    table[at & mask] = table_entry(hash, index);
}

uint32_t engine_device_enter(struct engine *e, uint32_t name)
{
    assert(e->device_count < e->config->devices_max);
    uint32_t index = e->device_count++;
    struct device *d = &e->devices[index];
    *d = (struct device){ .name = name, .last_series = ENGINE_NONE,
                          .newest_series = ENGINE_NONE };
    dedup_init(engine_dedup(e, index));
    for (int what = 0; what < ENGINE_DEVICE_RULES; what++)
        engine_watch_init(e, &d->watches[what], 0);
    uint32_t hash = engine_device_hash(e, engine_name(e, name));
    enter(e->device_table, e->device_table_mask, hash, index);
    return index;
}

uint32_t engine_device_make(struct engine *e, struct text name)
{
    return engine_device_enter(e, append_name(e, name));
}

static uint32_t series_hash(const struct engine *e, uint32_t device, struct text metric)
{
    struct hash_key key = e->config->store;
    key.k0 ^= device;
    return (uint32_t)hash64(key, metric.at, metric.bytes);
}

static bool is_series(const struct engine *e, uint32_t index, uint32_t device, struct text metric)
{
    const struct series *s = &e->series[index];
    return s->device == device && text_equal(engine_name(e, s->metric), metric);
}

uint32_t engine_series_find(const struct engine *e, uint32_t device, struct text metric)
{
    uint32_t guess = e->devices[device].last_series;
    if (guess == ENGINE_NONE)
        return ENGINE_NONE;
    if (is_series(e, guess, device, metric))
        return guess;
    uint32_t hash = series_hash(e, device, metric);
    for (uint32_t at = hash;; at++) {
        uint32_t entry = e->series_table[at & e->series_table_mask];
        if (entry == 0)
            return ENGINE_NONE;
        if (table_may_be(entry, hash) && is_series(e, table_index(entry), device, metric))
            return table_index(entry);
    }
}

/* SILENT first: it is asked when a reading comes, the others what it says. RANGE next: those do not
 * see what it calls bad. The baseline last: its state is large, and mostly its beginning is looked
 * at. */
static int order_of(enum detector_kind kind)
{
    return kind == DETECTOR_SILENT     ? 0
           : kind == DETECTOR_RANGE    ? 1
           : kind == DETECTOR_BASELINE ? 3
                                       : 2;
}

static void add_watches(struct engine *e, uint32_t index, int order)
{
    const struct engine_config *c = e->config;
    struct series *s = &e->series[index];
    struct text device = engine_name(e, e->devices[s->device].name);
    struct text metric = engine_name(e, s->metric);
    for (uint32_t r = 0; r < c->rule_count && s->watch_count < c->rules_per_series; r++) {
        if (order_of(c->rules[r].kind) != order ||
            !detector_watches(c->rules, c->rule_count, r, device, metric))
            continue;
        engine_rules(e, index)[s->watch_count] = (uint8_t)r;
        engine_watch_init(e, &engine_watches(e, index)[s->watch_count], (uint8_t)r);
        s->watch_count++;
    }
}

static void choose_rules(struct engine *e, uint32_t index)
{
    struct series *s = &e->series[index];
    memset(engine_states(e, index), 0, e->windows_at - e->states_at);
    add_watches(e, index, 0);
    s->silent_count = s->watch_count;
    for (int order = 1; order <= 3; order++)
        add_watches(e, index, order);
}

void engine_series_unit(struct engine *e, uint32_t index, uint32_t unit)
{
    struct series *s = &e->series[index];
    s->unit = unit;
    for (uint32_t i = 0; i < s->watch_count; i++) {
        const struct detector_config *rule = &e->config->rules[engine_watches(e, index)[i].rule];
        void *state = engine_detector_state(e, index, i);
        if (rule->kind == DETECTOR_RANGE)
            detector_ops(rule->kind)->on_unit(state, engine_name(e, unit));
    }
}

uint32_t engine_series_enter(struct engine *e, uint32_t device, uint32_t metric)
{
    assert(e->series_count < e->config->series_max);
    uint32_t index = e->series_count++;
    struct series *s = &e->series[index];
    *s = (struct series){ .device = device,
                          .metric = metric,
                          .watermark_ms = INT64_MIN,
                          .device_time_max_ms = INT64_MIN };
    statistics_init(&s->statistics);
    windows_init(engine_windows(e, index), &e->config->window);
    choose_rules(e, index);
    e->devices[device].series_count++;
    e->devices[device].last_series = index;
    engine_siblings_enter(e, index);
    uint32_t hash = series_hash(e, device, engine_name(e, metric));
    enter(e->series_table, e->series_table_mask, hash, index);
    return index;
}

uint32_t engine_series_make(struct engine *e, uint32_t device, struct text metric)
{
    assert(metric.bytes > 0);
    return engine_series_enter(e, device, engine_name_store(e, metric));
}
