/* Keeping the state: field by field, in parts (the head, each device, each series), so that a
 * digest needs room for one part only. What depends on a definition that may change (windows,
 * duplicates, held readings, a detector's state) carries its length, so that it can be left out. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

enum {
    HEAD_BYTES_MAX = 1328 + ALARM_LOG_HOURS * 32 + FLOOD_INCIDENTS_MAX * 8 +
                     MAINTENANCE_MAX * MAINTENANCE_BYTES_MAX +
                     ENGINE_RULES_MAX * (DETECTOR_NAME_BYTES_MAX + 11),
    DEVICE_BYTES_MAX = 768,    /* without what dedup keeps */
    SERIES_BYTES_MAX = 512,    /* without windows, samples, rules */
    WINDOW_BYTES_MAX = 128,
    SAMPLE_BYTES = 16,
    /* and its alert, without the detector's state. A withdrawn one, with the name of its rule,
     * takes the room of a watch that has none; for those of more places than there are watches, and
     * for some beside them, there is room too. */
    WATCH_BYTES_MAX = 256,
    WITHDRAWN_SPARE = 128
};

/* Not secret: it tells definitions apart, no more. */
static const struct hash_key DEFINITION_KEY = { 0x7765697264656669u, 0x6e6974696f6e0001u };

static uint64_t digest_of(const uint8_t *at, const struct byte_writer *w)
{
    assert(!w->failed);
    return hash64(DEFINITION_KEY, at, w->used);
}

/* What a detector's state depends on. Severity, `for` and the like act from now on. */
uint64_t engine_rule_digest(const struct detector_config *rule)
{
    uint8_t bytes[512];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    put_u8(&w, (uint8_t)rule->kind);
    put_bool(&w, rule->has_low);
    put_bool(&w, rule->has_high);
    put_f64(&w, rule->low);
    put_f64(&w, rule->high);
    put_f64(&w, rule->hysteresis);
    put_f64(&w, rule->threshold);
    put_f64(&w, rule->drift);
    put_f64(&w, rule->per_second_max);
    put_u32(&w, rule->stuck_readings);
    put_i64(&w, rule->silent_min_ms);
    put_f64(&w, rule->silent_intervals);
    put_u8(&w, (uint8_t)rule->sensitivity);
    put_bool(&w, rule->parts.seasons);
    put_bool(&w, rule->parts.pace);
    put_bool(&w, rule->parts.jump);
    put_bool(&w, rule->parts.habit);
    return digest_of(bytes, &w);
}

uint64_t engine_window_digest(const struct engine_config *c)
{
    uint8_t bytes[32];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    put_i64(&w, c->window.size_ms);
    put_i64(&w, c->window.lateness_ms);
    put_u32(&w, c->window.slots);
    return digest_of(bytes, &w);
}

uint64_t engine_held_digest(const struct engine_config *c)
{
    uint8_t bytes[32];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    put_i64(&w, c->reorder_ms);
    put_u32(&w, c->reorder_ms > 0 ? c->reorder_slots : 0);
    return digest_of(bytes, &w);
}

uint64_t engine_dedup_digest(const struct engine_config *c)
{
    uint8_t bytes[32];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    put_u32(&w, c->dedup.ranges);
    put_u32(&w, c->dedup.keep);
    return digest_of(bytes, &w);
}

static size_t head_bytes_max(const struct engine_config *c)
{
    return HEAD_BYTES_MAX + (size_t)c->source_count * ENGINE_SOURCE_BYTES;
}

static size_t device_bytes_max(const struct engine_config *c)
{
    return DEVICE_BYTES_MAX + (size_t)c->dedup.ranges * 40 + (size_t)c->dedup.keep * 10;
}

static size_t series_bytes_max(const struct engine_config *c)
{
    return SERIES_BYTES_MAX + (size_t)c->window.slots * WINDOW_BYTES_MAX +
           ((size_t)c->recent + (c->reorder_ms > 0 ? c->reorder_slots : 0)) * SAMPLE_BYTES +
           (size_t)c->rules_per_series * WATCH_BYTES_MAX + engine_states_bytes(c);
}

size_t engine_part_bytes_max(const struct engine_config *c)
{
    size_t most = head_bytes_max(c);
    most = device_bytes_max(c) > most ? device_bytes_max(c) : most;
    most = streams_part_bytes_max(&c->streams) > most ? streams_part_bytes_max(&c->streams) : most;
    return series_bytes_max(c) > most ? series_bytes_max(c) : most;
}

static size_t withdrawn_bytes_max(const struct engine_config *c)
{
    size_t places = engine_alerts_max(c), watches = (size_t)c->series_max * c->rules_per_series;
    return ((places > watches ? places - watches : 0) + WITHDRAWN_SPARE) * WATCH_BYTES_MAX;
}

size_t engine_save_bytes_max(const struct engine_config *config)
{
    size_t names = (size_t)config->devices_max * ENGINE_DEVICE_NAME_BYTES +
                   (size_t)config->series_max * ENGINE_SERIES_NAME_BYTES +
                   ENGINE_NAMES_SPARE_BYTES;
    return head_bytes_max(config) + names + withdrawn_bytes_max(config) +
           config->devices_max * device_bytes_max(config) +
           config->series_max * series_bytes_max(config) +
           streams_save_bytes_max(&config->streams);
}

/* --- writing --- */

/* A length of two bytes goes in first and is set right afterwards. */
static size_t begin_sized(struct byte_writer *w)
{
    put_u16(w, 0);
    return w->used;
}

static void end_sized(struct byte_writer *w, size_t from)
{
    size_t bytes = w->used - from;
    assert(bytes <= UINT16_MAX);
    if (w->failed || w->at == NULL)
        return;
    w->at[from - 2] = (uint8_t)bytes;
    w->at[from - 1] = (uint8_t)(bytes >> 8);
}

static void save_counts(const struct engine_counts *c, struct byte_writer *w)
{
    const uint64_t all[] = { c->readings, c->sequence_restarts, c->late, c->unordered,
                             c->forced_windows, c->results, c->revisions, c->alerts_raised,
                             c->alerts_updated, c->alerts_cleared, c->alerts_suppressed,
                             c->alerts_learning, c->alerts_maintained, c->alerts_notified,
                             c->storms, c->dedup_forgotten };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        put_u64(w, all[i]);
}

static void save_watch(const struct engine *e, const struct watch *watch, struct byte_writer *w)
{
    const struct alert *alert = watch->open ? &e->alerts[watch->place].alert : NULL;
    put_u8(w, watch->rule);
    put_bool(w, watch->silence_told);
    put_bool(w, watch->silence_waits);
    put_u64(w, alert != NULL ? alert->number : watch->number);
    put_u16(w, alert != NULL ? engine_suppressed(alert) : watch->suppressed);
    put_bool(w, watch->open);
    if (alert != NULL)
        alert_save(alert, w);
}

static void save_rejects(const struct engine *e, struct byte_writer *w)
{
    for (int i = 0; i < ENGINE_REJECT_SLOTS; i++)
        put_u32(w, e->rejects.counts[i]);
    put_i64(w, e->rejects.slot);
}

static void save_head(const struct engine *e, struct byte_writer *w)
{
    const struct engine_config *c = e->config;
    put_u32(w, ENGINE_LAYOUT_MAGIC);
    put_u32(w, ENGINE_LAYOUT_VERSION);
    put_u64(w, engine_window_digest(c));
    put_u64(w, engine_held_digest(c));
    put_u64(w, engine_dedup_digest(c));
    put_u8(w, (uint8_t)c->rule_count);
    for (uint32_t i = 0; i < c->rule_count; i++) {
        put_text(w, text_of(c->rules[i].name));
        put_u8(w, (uint8_t)c->rules[i].kind);
        put_u8(w, (uint8_t)c->rules[i].severity);
        put_u64(w, engine_rule_digest(&c->rules[i]));
    }
    put_i64(w, e->t_ms);
    put_u64(w, e->block);
    put_i64(w, e->clock.offset_ms);
    put_u8(w, (uint8_t)e->clock.state);
    put_u64(w, e->clock.boot);
    put_i64(w, e->clock_t_ms);
    put_i64(w, e->alerts_again_ms);
    put_i64(w, e->withdraw_ms);
    put_u32(w, e->withdrawn_count);
    save_counts(&e->counts, w);
    engine_sources_save(e, w);
    save_rejects(e, w);
    alarm_log_save(&e->alarm_log, w);
    flood_save(&e->flood, w);
    engine_save_maintenance(e, w);
    put_u8(w, (uint8_t)e->shed.level);
    put_i64(w, e->shed.since_ms);
    put_i64(w, e->shed.due_ms);
    put_i64(w, e->lag_ms);
    for (int what = 0; what < ENGINE_OWN; what++)
        save_watch(e, &e->own[what], w);
    for (uint32_t i = 0; i < ENGINE_NAMES_SHARED; i++)
        put_u32(w, e->shared[i]);
    put_u32(w, e->shared_next);
    put_u32(w, e->device_count);
    put_u32(w, e->series_count);
    put_u32(w, e->names_used);
}

static void save_device(const struct engine *e, uint32_t index, struct byte_writer *w)
{
    const struct device *d = &e->devices[index];
    put_u32(w, d->name);
    put_u64(w, d->readings);
    put_i64(w, d->future_since_ms);
    put_u32(w, d->future_count);
    put_bool(w, d->gone);
    put_u8(w, (uint8_t)(d->incident_worst - SEVERITY_LEARNING));
    put_u16(w, d->incident_members);
    put_i64(w, d->incident_ms);
    put_i64(w, d->back_ms);
    put_i64(w, d->off.since_ms);
    put_i64(w, d->off.lead_ms);
    put_u32(w, d->off.count);
    for (int what = 0; what < ENGINE_DEVICE_RULES; what++)
        save_watch(e, &d->watches[what], w);
    size_t from = begin_sized(w);
    dedup_save(engine_dedup(e, index), &e->config->dedup, w);
    end_sized(w, from);
}

static void save_sample(const struct sample *sample, struct byte_writer *w)
{
    put_i64(w, sample->event_time_ms);
    put_f64(w, sample->value);
}

static void save_recent(const struct engine *e, uint32_t index, struct byte_writer *w)
{
    put_u32(w, e->series[index].recent_count);
    for (uint32_t i = 0; i < e->series[index].recent_count; i++)
        save_sample(&engine_recent(e, index)[i], w);
}

static void save_series(const struct engine *e, uint32_t index, struct byte_writer *w)
{
    const struct series *s = &e->series[index];
    put_u32(w, s->device);
    put_u32(w, s->metric);
    put_u32(w, s->unit);
    put_u16(w, s->source);
    put_i64(w, s->watermark_ms);
    put_i64(w, s->last_t_ms);
    put_u32(w, s->span_ms);
    put_i64(w, s->last_event_ms);
    put_u32(w, s->readings);
    put_i64(w, s->device_time_max_ms);
    put_u16(w, s->alarms.day);
    put_u16(w, s->alarms.today);
    put_u16(w, s->alarms.before);
    statistics_save(&s->statistics, w);
    size_t from = begin_sized(w);
    windows_save(engine_windows(e, index), &e->config->window, w);
    end_sized(w, from);
    put_u8(w, s->held);
    for (uint32_t i = 0; i < s->held; i++)
        save_sample(&engine_held(e, index)[i], w);
    save_recent(e, index, w);
    put_u8(w, s->watch_count);
    for (uint32_t i = 0; i < s->watch_count; i++) {
        const struct watch *watch = &engine_watches(e, index)[i];
        save_watch(e, watch, w);
        const void *state = engine_detector_state(e, index, i);
        from = begin_sized(w);
        detector_ops(e->config->rules[watch->rule].kind)->save(state, w);
        end_sized(w, from);
    }
}

static void save_withdrawn(const struct engine *e, uint32_t index, struct byte_writer *w)
{
    const struct withdrawn withdrawn = engine_withdrawn(e, index);
    struct alert alert = *withdrawn.alert;
    memset(alert.changes_s, 0, sizeof alert.changes_s); /* they are the withdrawal's own */
    put_u32(w, withdrawn.device);
    put_u32(w, withdrawn.series);
    put_text(w, withdrawn.rule.name);
    put_u8(w, (uint8_t)withdrawn.rule.kind);
    put_u8(w, (uint8_t)withdrawn.rule.severity);
    alert_save(&alert, w);
}

void engine_save(const struct engine *engine, struct byte_writer *w)
{
    save_head(engine, w);
    put_raw(w, engine->names, engine->names_used);
    for (uint32_t i = 0; i < engine->device_count; i++)
        save_device(engine, i, w);
    for (uint32_t i = 0; i < engine->series_count; i++)
        save_series(engine, i, w);
    for (uint32_t i = 0; i < engine->withdrawn_count; i++)
        save_withdrawn(engine, i, w);
    streams_save(engine->streams, w, NULL, NULL);
}

static void digest_part(const struct engine *e, struct hash_state *h, struct byte_writer *w)
{
    assert(!w->failed);
    hash_add(h, e->scratch, w->used);
    *w = (struct byte_writer){ e->scratch, e->scratch_bytes, 0, false };
}

struct digesting {
    const struct engine *engine;
    struct hash_state hash;
};

static void digest_streams_part(void *ctx, struct byte_writer *w)
{
    struct digesting *d = ctx;
    digest_part(d->engine, &d->hash, w);
}

struct hash128 engine_digest(const struct engine *engine)
{
    struct digesting d = { .engine = engine };
    struct hash_state *h = &d.hash;
    hash_begin(h, DEFINITION_KEY, 1);
    struct byte_writer w = { engine->scratch, engine->scratch_bytes, 0, false };
    save_head(engine, &w);
    digest_part(engine, h, &w);
    hash_add(h, engine->names, engine->names_used);
    for (uint32_t i = 0; i < engine->device_count; i++) {
        save_device(engine, i, &w);
        digest_part(engine, h, &w);
    }
    for (uint32_t i = 0; i < engine->series_count; i++) {
        save_series(engine, i, &w);
        digest_part(engine, h, &w);
    }
    for (uint32_t i = 0; i < engine->withdrawn_count; i++) {
        save_withdrawn(engine, i, &w);
        digest_part(engine, h, &w);
    }
    streams_save(engine->streams, &w, digest_streams_part, &d);
    digest_part(engine, h, &w);
    return hash_end128(h);
}
