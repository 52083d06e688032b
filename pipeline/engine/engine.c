#include "pipeline/engine/engine.h"

#include <assert.h>

#include "pipeline/engine/engine_state.h"

enum { STATE_ALIGN = 4, STRETCH_ALIGN = 8 }; /* of a detector's state; of what stands beside it */

static size_t aligned(size_t bytes)
{
    return (bytes + STRETCH_ALIGN - 1) / STRETCH_ALIGN * STRETCH_ALIGN;
}

static uint32_t table_slots(uint32_t items) /* a power of two, at most half full */
{
    uint32_t slots = 16;
    while (slots < 2 * items)
        slots *= 2;
    return slots;
}

static void check_config(const struct engine_config *c)
{
    assert(c->devices_max > 0 && c->devices_max < 1u << TABLE_INDEX_BITS);
    assert(c->series_max > 0 && c->series_max < 1u << TABLE_INDEX_BITS);
    assert(c->rules_per_series <= ENGINE_RULES_PER_SERIES_MAX);
    assert(c->rule_count <= ENGINE_RULES_MAX);
    assert(c->recent <= UINT8_MAX && c->learning_ms < UINT32_MAX);
    assert(c->reorder_ms == 0 || (c->reorder_slots >= 1 && c->reorder_slots <= UINT8_MAX));
    assert(c->window.slots >= 2 && c->window.size_ms > 0 && c->window.lateness_ms >= 0);
    assert(c->out_of_orderness_ms >= 0 && c->idle_ms > 0 && c->max_skew_ms >= 0);
    assert(c->source_count > 0 && c->source_count < UINT8_MAX && c->sources != NULL);
    assert(c->rule_count == 0 || c->rules != NULL);
}

static uint32_t state_bytes_of(const struct detector_config *rule)
{
    uint32_t used = detector_ops(rule->kind)->state_bytes;
    assert(used <= DETECTOR_STATE_BYTES);
    return (used + STATE_ALIGN - 1) / STATE_ALIGN * STATE_ALIGN;
}

/* Those of the rules_per_series rules that need most. */
uint32_t engine_states_bytes(const struct engine_config *c)
{
    uint32_t needs[ENGINE_RULES_MAX] = { 0 };
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < c->rule_count; i++) {
        uint32_t need = state_bytes_of(&c->rules[i]), at = i;
        for (; at > 0 && needs[at - 1] < need; at--)
            needs[at] = needs[at - 1];
        needs[at] = need;
    }
    for (uint32_t i = 0; i < c->rules_per_series && i < c->rule_count; i++)
        bytes += needs[i];
    return bytes;
}

static int64_t quiet_ms(const struct engine_config *c)
{
    int64_t least_ms = c->idle_ms;
    for (uint32_t i = 0; i < c->rule_count; i++)
        if (c->rules[i].kind == DETECTOR_SILENT && c->rules[i].silent_min_ms < least_ms)
            least_ms = c->rules[i].silent_min_ms;
    return least_ms;
}

static void take_series_memory(struct engine *e, const struct engine_config *c, struct arena *arena)
{
    size_t series = c->series_max, held = c->reorder_ms > 0 ? c->reorder_slots : 0;
    e->series = arena_take(arena, series, sizeof *e->series);
    for (uint32_t i = 0; i < c->rule_count; i++)
        e->rules[i] = (struct engine_rule){ &c->rules[i], detector_ops(c->rules[i].kind),
                                            state_bytes_of(&c->rules[i]) };
    e->states_at = aligned(c->rules_per_series);
    e->windows_at = aligned(e->states_at + engine_states_bytes(c));
    e->recent_at = e->windows_at + windows_bytes(&c->window);
    e->watches_at = e->recent_at + c->recent * sizeof(struct sample);
    e->stretch_bytes = aligned(e->watches_at + c->rules_per_series * sizeof(struct watch));
    e->stretches = arena_take(arena, series, e->stretch_bytes);
    e->held = arena_take(arena, series * held, sizeof *e->held);
    e->timers = timers_init(c->series_max + 1, arena);
}

static void take_memory(struct engine *e, const struct engine_config *c, struct arena *arena)
{
    size_t devices = c->devices_max;
    e->devices = arena_take(arena, devices, sizeof *e->devices);
    e->dedup_bytes = dedup_bytes(&c->dedup);
    e->dedups = arena_take(arena, devices, e->dedup_bytes);
    take_series_memory(e, c, arena);
    e->device_table_mask = table_slots(c->devices_max) - 1;
    e->device_table = arena_take(arena, e->device_table_mask + 1u, sizeof *e->device_table);
    uint32_t few = c->devices_max < ENGINE_AHEAD_DEVICES ? c->devices_max : ENGINE_AHEAD_DEVICES;
    e->guesses = arena_take(arena, 1, sizeof *e->guesses);
    uint16_t *after = arena_take(arena, few, sizeof *after);
    if (e->guesses != NULL)
        *e->guesses = (struct guesses){ .count = few, .after = after };
    e->ahead = arena_take(arena, 1, sizeof *e->ahead);
    e->series_table_mask = table_slots(c->series_max) - 1;
    e->series_table = arena_take(arena, e->series_table_mask + 1u, sizeof *e->series_table);
    e->alerts_max = engine_alerts_max(c);
    e->alerts = arena_take(arena, e->alerts_max, sizeof *e->alerts);
    size_t names = devices * ENGINE_DEVICE_NAME_BYTES +
                   (size_t)c->series_max * ENGINE_SERIES_NAME_BYTES + ENGINE_NAMES_SPARE_BYTES;
    assert(names < UINT32_MAX);
    e->names_bytes = (uint32_t)names;
    e->names = arena_take(arena, names, 1);
    e->sources = arena_take(arena, c->source_count + 1u, sizeof *e->sources);
    e->withdrawn = arena_take(arena, e->alerts_max, sizeof *e->withdrawn);
    e->gone_rules = arena_take(arena, ENGINE_GONE_RULES_MAX, sizeof *e->gone_rules);
    e->streams = streams_init(&c->streams, c->store, arena);
}

static void init_own(struct engine *e)
{
    for (int what = 0; what < ENGINE_OWN; what++) {
        assert(!e->own[what].open);
        engine_watch_init(e, &e->own[what], 0);
    }
}

struct engine *engine_init(const struct engine_config *config, struct arena *arena)
{
    check_config(config);
    struct engine *e = arena_take(arena, 1, sizeof *e);
    struct engine laid_out = { .config = config };
    take_memory(&laid_out, config, arena);
    laid_out.quiet_ms = quiet_ms(config);
    laid_out.scratch_bytes = engine_part_bytes_max(config);
    laid_out.scratch = arena_take(arena, laid_out.scratch_bytes, 1);
    if (e == NULL)
        return NULL;
    *e = laid_out;
    e->names_used = 1; /* the empty name */
    e->clock.state = CLOCK_UNSET;
    init_own(e);
    e->shed.due_ms = INT64_MAX;
    for (uint32_t i = 0; i < config->source_count; i++)
        e->sources[i] = (struct source_state){ .connected = true };
    e->free_alert = ENGINE_NONE;
    e->withdraw_ms = INT64_MAX;
    e->maintenance.due_ms = e->maintenance.release_ms = INT64_MAX;
    for (uint32_t i = 0; i < ENGINE_AHEAD; i++)
        e->ahead->expected[i].device = ENGINE_NONE;
    return e;
}

/* The bound: a reading's watermark fires each slot at most once, it pushes at most one window out,
 * and, late, has one told again. It releases at most the held readings and itself, each with one
 * verdict a rule, and a verdict tells at most one revision; one of all begins a storm, which is
 * told too; beside them a silence ends (its rule sees no samples), its device's does, and the
 * device's clock is right again; and the rules of streams have their say. A timer does less. */
uint32_t engine_out_max(const struct engine_config *config)
{
    uint32_t samples = 1 + (config->reorder_ms > 0 ? config->reorder_slots : 0);
    return config->window.slots + 2 + samples * config->rules_per_series +
           config->rules_per_series + 3 + streams_verdicts_max(&config->streams);
}

void engine_begin_block(struct engine *engine, uint64_t block)
{
    assert(block >= engine->block);
    bool first = engine->block == 0;
    engine->block = block;
    if (first) /* the gateway's own alerts appear with the state itself */
        init_own(engine);
}

/* What is applied was judged before, perhaps by another configuration than this. */
static bool is_again(const struct engine *e)
{
    return e->out == NULL || e->out->again;
}

/* The reading's series, made when it is new. ENGINE_NONE: there is no room, which only a rebuild
 * under smaller limits than the journal was written with can see. */
static uint32_t series_of(struct engine *e, const struct reading *reading)
{
    size_t bytes = reading->device.bytes + reading->metric.bytes + 2u;
    uint32_t d = engine_device_find(e, reading->device);
    uint32_t s = d != ENGINE_NONE ? engine_series_find(e, d, reading->metric) : ENGINE_NONE;
    if (s != ENGINE_NONE)
        return s;
    bool room = e->series_count < e->config->series_max && engine_names_room(e, bytes) &&
                (d != ENGINE_NONE || e->device_count < e->config->devices_max);
    /* or one of the same message has made a stream's rule take what was left */
    assert(room || is_again(e) || e->config->streams.count > 0);
    if (!room)
        return ENGINE_NONE;
    if (d == ENGINE_NONE)
        d = engine_device_make(e, reading->device);
    return engine_series_make(e, d, reading->metric);
}

static void mark_seen(struct engine *e, uint32_t device, const struct reading *reading)
{
    const struct dedup_config *config = &e->config->dedup;
    struct dedup *dedup = engine_dedup(e, device);
    bool numbered = reading->has_sequence && reading->has_device_time; /* others never restart */
    if (numbered && dedup_check(dedup, config, reading) == DEDUP_RESTART)
        e->counts.sequence_restarts++;
    e->counts.dedup_forgotten += dedup_mark(dedup, config, reading);
}

static void note_event_time(struct series *s, int64_t event_time_ms)
{
    if (s->readings == 0)
        s->last_event_ms = event_time_ms;
    if (event_time_ms <= s->last_event_ms)
        return;
    int64_t span_ms = s->span_ms + (event_time_ms - s->last_event_ms);
    s->span_ms = span_ms < UINT32_MAX ? (uint32_t)span_ms : UINT32_MAX;
    s->last_event_ms = event_time_ms;
}

static void note_reading(struct engine *e, uint32_t series, const struct record *record)
{
    const struct reading *reading = &record->reading;
    struct series *s = &e->series[series];
    s->last_t_ms = record->t_ms;
    note_event_time(s, record->event_time_ms);
    if (reading->has_device_time && reading->device_time_ms > s->device_time_max_ms)
        s->device_time_max_ms = reading->device_time_ms;
    uint32_t none = e->config->source_count;
    s->source = (uint8_t)(reading->source < none ? reading->source : none);
    if (s->unit == 0 && reading->unit.bytes > 0 && engine_names_room(e, reading->unit.bytes + 1u))
        engine_series_unit(e, series, engine_name_store(e, reading->unit));
}

static void apply_reading(struct engine *e, const struct record *record)
{
    const struct reading *reading = &record->reading;
    assert(record->event_time_ms > -TIME_MS_MAX && record->event_time_ms < TIME_MS_MAX);
    uint32_t s = series_of(e, reading);
    if (s == ENGINE_NONE)
        return;
    struct series *series = &e->series[s];
    struct device *device = &e->devices[series->device];
    mark_seen(e, series->device, reading);
    engine_on_arrival(e, s, record->t_ms);
    e->counts.readings++;
    device->last_series = s;
    device->readings++;
    device->gone = false;
    note_reading(e, s, record);
    if (record->time_source == TIME_DEVICE)
        engine_on_device_time(e, series->device, reading->device_time_ms);
    engine_think(e, s, record);
    engine_feed_streams(e, record);
    series->readings += series->readings < UINT32_MAX;
    engine_arm_after_reading(e, s);
}

/* A device whose very first readings come from the future is worth an alert too, so it is made. */
static void apply_reject(struct engine *e, const struct record *record)
{
    struct text name = record->reading.device;
    engine_count_reject(e);
    if (record->reason != REJECT_TIME_FUTURE || name.bytes == 0)
        return;
    uint32_t d = engine_device_find(e, name);
    if (d == ENGINE_NONE && e->device_count < e->config->devices_max &&
        engine_names_room(e, name.bytes + 1u))
        d = engine_device_make(e, name);
    if (d != ENGINE_NONE)
        engine_on_device_future(e, d);
}

static void fire(struct engine *e)
{
    uint32_t key = ENGINE_NONE;
    int64_t deadline_ms = engine_timer(e, INT64_MAX, &key);
    assert(key != ENGINE_NONE);
    /* A changed configuration can set a deadline into the past; time still does not go back. */
    if (deadline_ms > e->t_ms)
        e->t_ms = deadline_ms;
    if (key >= e->config->series_max) {
        if (key == e->config->series_max)
            engine_fire_own(e);
        else
            engine_fire_streams(e);
        return;
    }
    engine_fire_series(e, key);
    engine_arm(e, key);
}

int64_t engine_deadline(const struct engine *engine, int64_t t_ms)
{
    uint32_t key;
    return engine_timer(engine, t_ms, &key);
}

static bool timer_due(const struct engine *e, int64_t t_ms)
{
    return engine_deadline(e, t_ms) <= t_ms;
}

static void apply_tick(struct engine *e, const struct record *record)
{
    for (uint64_t i = 0; i < record->count; i++) {
        bool due = timer_due(e, record->t_ms);
        assert(due || is_again(e));
        if (!due)
            break;
        fire(e);
    }
}

/* One that never sent a reading is nobody here. */
static void apply_gone(struct engine *e, const struct record *record)
{
    uint32_t device = engine_device_find(e, record->reading.device);
    if (device != ENGINE_NONE)
        e->devices[device].gone = true;
}

static void apply(struct engine *e, const struct record *record)
{
    switch (record->kind) {
    case RECORD_READING:
        apply_reading(e, record);
        break;
    case RECORD_REJECT:
        apply_reject(e, record);
        break;
    case RECORD_CLOCK:
        engine_on_clock(e, record);
        break;
    case RECORD_SOURCE:
        engine_on_source(e, record);
        break;
    case RECORD_COMMAND:
        engine_on_command(e, record->content);
        break;
    case RECORD_SHED:
        engine_on_shed(e, record);
        break;
    case RECORD_LAG:
        engine_on_lag(e, record);
        break;
    case RECORD_GONE:
        apply_gone(e, record);
        break;
    case RECORD_CONFIG:
        engine_on_config(e, record);
        break;
    case RECORD_TICK:
    case RECORD_INVENTORY:
    case RECORD_MADE:
        break;
    }
}

void engine_apply(struct engine *engine, const struct record *record, const struct engine_out *out)
{
    assert(record->t_ms >= engine->t_ms && record->t_ms < TIME_MS_MAX);
    assert(engine->out == NULL);
    engine->out = out;
    if (record->kind == RECORD_TICK)
        apply_tick(engine, record);
    /* Live, the caller has fired what was due. A journal written under another configuration tells
     * of other timers: then what is due here fires here, the same way at each rebuild. */
    while (record->kind == RECORD_READING && is_again(engine) && timer_due(engine, record->t_ms))
        fire(engine);
    assert(record->kind != RECORD_READING || !timer_due(engine, record->t_ms));
    engine->t_ms = record->t_ms;
    apply(engine, record);
    engine->out = NULL;
}

void engine_fire(struct engine *engine, const struct engine_out *out)
{
    assert(engine->out == NULL);
    engine->out = out;
    fire(engine);
    engine->out = NULL;
}
