/* Taking a saved state up again. Every byte may be wrong: what does not fit fails the reader, and
 * nothing is used before it was checked. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"
#include "pipeline/err.h"

enum { RULE_GONE = -1 };

struct loading {
    struct engine *e;
    struct byte_reader *r;
    bool same_windows, same_held, same_dedup;
    uint8_t rule_count;           /* of the state */
    struct old_rule old_rules[UINT8_MAX]; /* as they were */
    int rules[UINT8_MAX];         /* the present rule of the same name, or RULE_GONE */
    bool same_rule[UINT8_MAX];    /* and whether it is the same all through */
    bool known[ENGINE_RULES_MAX]; /* the present rule stands in the state */
    struct old_sources sources;
    uint32_t device_count, series_count, withdrawn_count;
    int64_t withdraw_ms;
};

static void need(struct loading *l, bool holds)
{
    if (!holds)
        l->r->failed = true;
}

/* A part that carries its length, as a reader of its own. */
static struct byte_reader get_sized(struct loading *l)
{
    uint32_t bytes = get_u16(l->r);
    need(l, bytes <= l->r->bytes - l->r->used);
    struct byte_reader part = { l->r->at + l->r->used, bytes, 0, l->r->failed };
    if (!l->r->failed)
        l->r->used += bytes;
    else
        part.bytes = 0;
    return part;
}

static void end_part(struct loading *l, const struct byte_reader *part)
{
    need(l, !part->failed && part->used == part->bytes);
}

/* A usual rule may have the name of one that stands in for it: better the one that is the same. */
static int present_rule(const struct loading *l, struct text name, uint64_t digest)
{
    const struct engine_config *c = l->e->config;
    int found = RULE_GONE;
    for (uint32_t j = c->rule_count; j > 0; j--) {
        const struct detector_config *rule = &c->rules[j - 1];
        if (l->known[j - 1] || !text_equal(name, text_of(rule->name)))
            continue;
        if (digest == engine_rule_digest(rule))
            return (int)(j - 1);
        found = (int)(j - 1);
    }
    return found;
}

static struct old_rule get_rule(struct loading *l)
{
    struct text name = get_text(l->r);
    uint8_t kind = get_u8(l->r), severity = get_u8(l->r);
    need(l, name.bytes >= 1 && name.bytes <= DETECTOR_NAME_BYTES_MAX && kind < DETECTOR_KINDS &&
                severity <= SEVERITY_CRITICAL);
    return (struct old_rule){ name, (enum detector_kind)kind, (enum severity)severity };
}

static void load_rules(struct loading *l)
{
    const struct engine_config *c = l->e->config;
    l->rule_count = get_u8(l->r);
    for (uint32_t i = 0; i < l->rule_count && !l->r->failed; i++) {
        l->old_rules[i] = get_rule(l);
        uint64_t digest = get_u64(l->r);
        l->rules[i] = RULE_GONE;
        if (l->r->failed)
            return;
        l->rules[i] = present_rule(l, l->old_rules[i].name, digest);
        if (l->rules[i] == RULE_GONE)
            continue;
        l->same_rule[i] = digest == engine_rule_digest(&c->rules[l->rules[i]]);
        l->known[l->rules[i]] = true;
    }
}

static uint32_t count_reset(const struct loading *l)
{
    uint32_t reset = 0;
    reset += !l->same_windows;
    reset += !l->same_held;
    reset += !l->same_dedup;
    for (uint32_t i = 0; i < l->rule_count; i++)
        reset += l->rules[i] != RULE_GONE && !l->same_rule[i];
    return reset;
}

static void load_counts(struct engine_counts *c, struct byte_reader *r)
{
    uint64_t *all[] = { &c->readings, &c->sequence_restarts, &c->late, &c->unordered,
                        &c->forced_windows, &c->results, &c->revisions, &c->alerts_raised,
                        &c->alerts_updated, &c->alerts_cleared, &c->alerts_suppressed,
                        &c->alerts_learning, &c->alerts_maintained, &c->alerts_notified,
                        &c->storms, &c->dedup_forgotten };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        *all[i] = get_u64(r);
}

/* What belongs to the rule's name goes on under it: numbers above all, for an alert's identity
 * hangs on them, and an open alert, which the rule can then clear. `device` has the watch; the
 * gateway itself where it is ENGINE_NONE. True: an open alert has no place any more. */
static bool load_watch(struct loading *l, struct watch *watch, uint32_t device,
                       struct alert *alert)
{
    struct engine *e = l->e;
    watch->silence_told = get_bool(l->r);
    watch->silence_waits = get_bool(l->r);
    watch->number = get_u64(l->r);
    watch->suppressed = get_u16(l->r);
    if (!get_bool(l->r))
        return false;
    alert_load(alert, l->r);
    need(l, alert->number == watch->number);
    if (l->r->failed || watch->open)
        return !l->r->failed && alert_is_open(alert);
    if (!engine_watch_place(e, watch, alert))
        return alert_is_open(alert);
    if (alert_is_open(alert)) {
        e->counts.alerts_open++;
        if (device != ENGINE_NONE)
            e->devices[device].alerts_open++;
    }
    return false;
}

static void load_rejects(struct loading *l)
{
    struct rejects *r = &l->e->rejects;
    for (int i = 0; i < ENGINE_REJECT_SLOTS; i++)
        r->counts[i] = get_u32(l->r);
    r->slot = get_time(l->r);
    need(l, r->slot >= 0 && r->slot <= l->e->t_ms / ENGINE_REJECT_SLOT_MS);
}

static void load_alarm_log(struct loading *l)
{
    struct alarm_log *log = &l->e->alarm_log;
    alarm_log_load(log, l->r);
    need(l, log->hour <= l->e->t_ms / ALARM_LOG_HOUR_MS);
    flood_load(&l->e->flood, l->r);
    need(l, !l->e->flood.on || l->e->flood.since_ms <= l->e->t_ms);
    engine_load_maintenance(l->e, l->r);
}

static void load_own(struct loading *l)
{
    uint8_t level = get_u8(l->r);
    need(l, level < SHED_LEVELS);
    l->e->shed.level = l->r->failed ? SHED_NORMAL : (enum shed_level)level;
    l->e->shed.since_ms = get_time(l->r);
    l->e->shed.due_ms = get_i64(l->r);
    need(l, l->e->shed.due_ms == INT64_MAX ||
                (l->e->shed.due_ms >= 0 && l->e->shed.level != SHED_NORMAL));
    l->e->lag_ms = get_time(l->r);
    need(l, l->e->lag_ms >= 0);
    for (int what = 0; what < ENGINE_OWN; what++) {
        need(l, get_u8(l->r) == 0); /* the place of a rule; these are built in */
        struct alert alert; /* the first to be loaded, so there is a place for it */
        (void)load_watch(l, &l->e->own[what], ENGINE_NONE, &alert);
    }
}

/* Returns 0, or WEIR_EFULL when more is in the state than there is room for. */
static int load_names(struct loading *l)
{
    struct engine *e = l->e;
    uint32_t used = 0;
    for (uint32_t i = 0; i < ENGINE_NAMES_SHARED; i++)
        e->shared[i] = get_u32(l->r);
    e->shared_next = get_u32(l->r);
    need(l, e->shared_next < ENGINE_NAMES_SHARED);
    l->device_count = get_u32(l->r);
    l->series_count = get_u32(l->r);
    used = get_u32(l->r);
    need(l, used >= 1 && used <= l->r->bytes - l->r->used);
    if (l->r->failed)
        return WEIR_ECORRUPT;
    if (used > e->names_bytes || l->device_count > e->config->devices_max ||
        l->series_count > e->config->series_max)
        return WEIR_EFULL;
    get_raw(l->r, e->names, used);
    e->names_used = used;
    need(l, e->names[0] == 0);
    return 0;
}

/* Whether the offset leads to a name; any length byte that stays inside will do, so that nothing
 * outside is read. */
static bool is_name(const struct engine *e, uint32_t offset, bool may_be_empty)
{
    if (offset >= e->names_used)
        return false;
    uint32_t bytes = (uint8_t)e->names[offset];
    return bytes <= READING_NAME_BYTES_MAX && (bytes > 0 || (may_be_empty && offset == 0)) &&
           bytes < e->names_used - offset;
}

static int load_head(struct loading *l)
{
    struct engine *e = l->e;
    const struct engine_config *c = e->config;
    need(l, get_u32(l->r) == ENGINE_LAYOUT_MAGIC);
    if (l->r->failed)
        return WEIR_ECORRUPT;
    if (get_u32(l->r) != ENGINE_LAYOUT_VERSION)
        return WEIR_EVERSION;
    l->same_windows = get_u64(l->r) == engine_window_digest(c);
    l->same_held = get_u64(l->r) == engine_held_digest(c);
    l->same_dedup = get_u64(l->r) == engine_dedup_digest(c);
    load_rules(l);
    e->t_ms = get_time(l->r);
    e->block = get_u64(l->r);
    e->clock.offset_ms = get_time(l->r);
    uint8_t state = get_u8(l->r);
    need(l, state <= CLOCK_SYNCED);
    e->clock.state = l->r->failed ? CLOCK_UNSET : (enum clock_state)state;
    e->clock.boot = get_u64(l->r);
    e->clock_t_ms = get_time(l->r);
    need(l, e->clock_t_ms <= e->t_ms + 1);
    e->alerts_again_ms = get_time(l->r);
    need(l, e->alerts_again_ms <= e->t_ms + ENGINE_ALERTS_AGAIN_MS);
    l->withdraw_ms = get_i64(l->r);
    l->withdrawn_count = get_u32(l->r);
    need(l, l->withdrawn_count <= l->r->bytes);
    need(l, l->withdraw_ms == INT64_MAX ||
                (l->withdrawn_count > 0 && l->withdraw_ms >= 0 && l->withdraw_ms <= e->t_ms));
    load_counts(&e->counts, l->r);
    engine_sources_load(e, &l->sources, l->r);
    load_rejects(l);
    load_alarm_log(l);
    load_own(l);
    if (l->r->failed)
        return WEIR_ECORRUPT;
    int err = load_names(l);
    for (uint32_t i = 0; i < ENGINE_NAMES_SHARED && err == 0; i++)
        need(l, is_name(e, e->shared[i], true));
    return err;
}

/* --- one device, one series --- */

static void load_dedup(struct loading *l, uint32_t device)
{
    struct byte_reader part = get_sized(l);
    if (!l->same_dedup)
        return;
    dedup_load(engine_dedup(l->e, device), &l->e->config->dedup, &part);
    end_part(l, &part);
}

static void load_device(struct loading *l)
{
    struct engine *e = l->e;
    uint32_t name = get_u32(l->r);
    need(l, is_name(e, name, false));
    need(l, l->r->failed || engine_device_find(e, engine_name(e, name)) == ENGINE_NONE);
    if (l->r->failed)
        return;
    uint32_t index = engine_device_enter(e, name);
    struct device *d = &e->devices[index];
    d->readings = get_u64(l->r);
    d->future_since_ms = get_time(l->r);
    d->future_count = get_u32(l->r);
    d->gone = get_bool(l->r);
    uint8_t worst = get_u8(l->r);
    need(l, worst <= SEVERITIES);
    d->incident_worst = (int8_t)(worst + SEVERITY_LEARNING);
    d->incident_members = get_u16(l->r);
    d->incident_ms = get_time(l->r);
    d->back_ms = get_time(l->r);
    d->off.since_ms = get_time(l->r);
    d->off.lead_ms = get_i64(l->r);
    d->off.count = get_u32(l->r);
    for (int what = 0; what < ENGINE_DEVICE_RULES; what++) {
        const struct detector_config *rule = &engine_device_rules[what];
        const struct old_rule built_in = { text_of(rule->name), rule->kind, rule->severity };
        struct alert alert;
        need(l, get_u8(l->r) == 0); /* the place of a rule */
        if (load_watch(l, &d->watches[what], index, &alert))
            engine_withdraw(e, &(struct withdrawn){ index, ENGINE_NONE, built_in, &alert });
    }
    load_dedup(l, index);
}

static struct sample get_sample(struct loading *l)
{
    struct sample sample = { .event_time_ms = get_time(l->r) };
    sample.value = get_measure(l->r);
    return sample;
}

static void load_windows(struct loading *l, uint32_t index)
{
    const struct window_config *config = &l->e->config->window;
    struct byte_reader part = get_sized(l);
    if (!l->same_windows)
        return;
    windows_load(engine_windows(l->e, index), config, &part);
    end_part(l, &part);
}

static void load_held(struct loading *l, uint32_t index)
{
    struct series *s = &l->e->series[index];
    uint32_t count = get_u8(l->r);
    need(l, !l->same_held || l->e->held != NULL || count == 0);
    need(l, !l->same_held || count == 0 || count <= l->e->config->reorder_slots);
    int64_t before_ms = s->statistics.count > 0 ? s->statistics.last_ms : -TIME_MS_MAX;
    for (uint32_t i = 0; i < count && !l->r->failed; i++) {
        struct sample sample = get_sample(l);
        need(l, sample.event_time_ms >= before_ms);
        before_ms = sample.event_time_ms;
        if (l->same_held && !l->r->failed) {
            engine_held(l->e, index)[i] = sample;
            s->held = (uint8_t)(i + 1);
        }
    }
}

/* When fewer are kept now, the newest stay. */
static void load_recent(struct loading *l, uint32_t index)
{
    uint32_t count = get_u32(l->r);
    need(l, count <= l->r->bytes);
    for (uint32_t i = 0; i < count && !l->r->failed; i++) {
        struct sample sample = get_sample(l);
        engine_keep_recent(l->e, index, &sample);
    }
}

static struct watch *watch_of_rule(struct engine *e, uint32_t series, int rule, uint32_t *place)
{
    for (*place = 0; *place < e->series[series].watch_count; ++*place) {
        struct watch *watch = &engine_watches(e, series)[*place];
        if (watch->rule == rule)
            return watch;
    }
    return NULL;
}

static void load_rule_state(struct loading *l, uint32_t series, uint64_t *loaded)
{
    struct engine *e = l->e;
    uint8_t saved = get_u8(l->r);
    need(l, saved < l->rule_count);
    if (l->r->failed)
        return;
    uint32_t place;
    struct watch *watch = watch_of_rule(e, series, l->rules[saved], &place);
    struct watch gone = { .open = true }; /* load_watch gives its alert no place */
    e->series[series].stirred = e->series[series].remembers = true; /* perhaps */
    if (watch != NULL)
        need(l, (*loaded & (uint64_t)1 << place) == 0);
    if (l->r->failed)
        return;
    struct alert alert;
    struct withdrawn lost = { e->series[series].device, series, l->old_rules[saved], &alert };
    if (load_watch(l, watch != NULL ? watch : &gone, lost.device, &alert))
        engine_withdraw(e, &lost);
    struct byte_reader part = get_sized(l);
    if (watch == NULL)
        return;
    *loaded |= (uint64_t)1 << place;
    if (!l->same_rule[saved])
        return;
    void *state = engine_detector_state(e, series, place);
    detector_ops(e->config->rules[watch->rule].kind)->load(state, &part);
    end_part(l, &part);
}

static void load_series(struct loading *l)
{
    struct engine *e = l->e;
    uint32_t device = get_u32(l->r), metric = get_u32(l->r), unit = get_u32(l->r);
    need(l, device < e->device_count && is_name(e, metric, false) && is_name(e, unit, true));
    need(l, l->r->failed ||
                engine_series_find(e, device, engine_name(e, metric)) == ENGINE_NONE);
    if (l->r->failed)
        return;
    uint32_t heard = e->devices[device].last_series;
    uint32_t index = engine_series_enter(e, device, metric);
    struct series *s = &e->series[index];
    engine_series_unit(e, index, unit);
    s->source = engine_source_load(e, &l->sources, l->r);
    s->watermark_ms = get_i64(l->r);
    need(l, s->watermark_ms == INT64_MIN ||
                (s->watermark_ms > -TIME_MS_MAX && s->watermark_ms < TIME_MS_MAX));
    s->last_t_ms = get_time(l->r);
    s->span_ms = get_u32(l->r);
    s->last_event_ms = get_time(l->r);
    s->readings = get_u32(l->r);
    s->device_time_max_ms = get_i64(l->r);
    s->alarms.day = get_u16(l->r);
    s->alarms.today = get_u16(l->r);
    s->alarms.before = get_u16(l->r);
    statistics_load(&s->statistics, l->r);
    need(l, s->statistics.last_ms > -TIME_MS_MAX && s->statistics.last_ms < TIME_MS_MAX);
    load_windows(l, index);
    load_held(l, index);
    load_recent(l, index);
    uint32_t watches = get_u8(l->r);
    uint64_t loaded = 0;
    for (uint32_t i = 0; i < watches && !l->r->failed; i++)
        load_rule_state(l, index, &loaded);
    if (heard != ENGINE_NONE && e->series[heard].last_t_ms > s->last_t_ms)
        e->devices[device].last_series = heard;
    if (!l->r->failed)
        engine_arm(e, index);
}

static void load_withdrawn(struct loading *l)
{
    struct engine *e = l->e;
    struct alert alert;
    struct withdrawn w = { .device = get_u32(l->r), .alert = &alert };
    w.series = get_u32(l->r);
    w.rule = get_rule(l);
    alert_load(&alert, l->r);
    need(l, w.device < e->device_count &&
                (w.series == ENGINE_NONE || w.series < e->series_count));
    need(l, alert_is_open(&alert));
    if (!l->r->failed)
        engine_withdraw(e, &w);
}

static void load_all_withdrawn(struct loading *l)
{
    bool found = l->e->withdrawn_count > 0; /* also by this load */
    for (uint32_t i = 0; i < l->withdrawn_count && !l->r->failed; i++)
        load_withdrawn(l);
    if (!found)
        l->e->withdraw_ms = l->withdraw_ms;
}

int engine_load(struct engine *engine, struct byte_reader *r, uint32_t *reset)
{
    assert(engine->device_count == 0 && engine->counts.readings == 0);
    struct loading l = { .e = engine, .r = r };
    int err = load_head(&l);
    for (uint32_t i = 0; i < l.device_count && err == 0 && !r->failed; i++)
        load_device(&l);
    for (uint32_t i = 0; i < l.series_count && err == 0 && !r->failed; i++)
        load_series(&l);
    if (err != 0)
        return err;
    load_all_withdrawn(&l);
    engine_tell_streams_clock(engine);
    uint64_t anew = streams_load(engine->streams, r);
    if (r->failed)
        return WEIR_ECORRUPT;
    engine_withdraw_streams(engine, anew);
    engine_arm_own(engine);
    *reset = count_reset(&l);
    for (uint64_t changed = streams_changed(engine->streams); changed != 0; changed &= changed - 1)
        ++*reset;
    return 0;
}
