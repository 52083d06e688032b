/* What a series waits for: idleness, the ends of `for` and clearing, silence. Every deadline
 * follows from the state, so none of them is saved; the heap keeps the earliest of each series. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

int64_t engine_wall_ms(const struct engine *e)
{
    return e->t_ms + e->clock.offset_ms;
}

int64_t engine_reached_ms(const struct engine *e, const struct record *record)
{
    int64_t wall_ms = engine_wall_ms(e);
    bool ahead = e->clock.state == CLOCK_SYNCED && record->event_time_ms > wall_ms;
    return ahead ? wall_ms : record->event_time_ms;
}

/* Fire the windows that end at or before the watermark, oldest first. */
void engine_tell_due(struct engine *e, uint32_t series)
{
    struct window due;
    while (windows_due(engine_windows(e, series), &e->config->window,
                       e->series[series].watermark_ms, &due))
        engine_tell_window(e, series, &due, false);
}

void engine_watermark_move(struct engine *e, uint32_t series, int64_t to_ms)
{
    if (to_ms <= e->series[series].watermark_ms)
        return;
    e->series[series].watermark_ms = to_ms;
    engine_tell_due(e, series);
}

static int64_t windows_end_of(const struct engine *e, uint32_t series)
{
    return windows_end(engine_windows(e, series), &e->config->window);
}

/* When the clock, in pipeline time, has passed the series' last window. While it is unset nothing
 * is taken, so nothing is missed by waiting. No saying of a window that is further ahead than a
 * device may be: its clock was ahead of one that was coarse, or ours was set back since. */
static int64_t windows_over_ms(const struct engine *e, uint32_t series)
{
    const struct engine_config *c = e->config;
    int64_t end_ms = windows_end_of(e, series);
    if (end_ms == INT64_MIN || e->clock_t_ms == 0)
        return INT64_MIN;
    if (e->clock.state == CLOCK_UNSET)
        return INT64_MAX;
    int64_t over_ms = end_ms + c->out_of_orderness_ms - e->clock.offset_ms;
    int64_t idle_ms = e->series[series].last_t_ms + c->idle_ms;
    return over_ms - idle_ms > c->max_skew_ms + c->window.size_ms ? INT64_MIN : over_ms;
}

static int64_t idle_deadline(const struct engine *e, uint32_t series)
{
    const struct series *s = &e->series[series];
    int64_t idle_ms = s->last_t_ms + e->config->idle_ms;
    if (s->held > 0)
        return idle_ms;
    if (windows_end_of(e, series) <= s->watermark_ms)
        return INT64_MAX;
    int64_t over_ms = windows_over_ms(e, series);
    over_ms = over_ms > e->clock_t_ms ? over_ms : e->clock_t_ms; /* a clock that went on */
    return over_ms > idle_ms ? over_ms : idle_ms;
}

/* When the series was last heard of, or could have been: a lost source, or one that is configured
 * no more, is no silence of its own, and a whole device's is the device's. */
static int64_t heard_ms(const struct engine *e, const struct series *s)
{
    int64_t since_ms = e->sources[s->source].since_ms, back_ms = e->devices[s->device].back_ms;
    since_ms = back_ms > since_ms ? back_ms : since_ms;
    return since_ms > s->last_t_ms ? since_ms : s->last_t_ms;
}

/* How long the series may be silent; 0: no saying. */
static int64_t silence_ms(const struct engine *e, uint32_t series, uint32_t place)
{
    const struct detector_config *rule = &e->config->rules[engine_watches(e, series)[place].rule];
    return detector_ops(rule->kind)->silence_ms(rule, engine_detector_state(e, series, place));
}

static int64_t silence_deadline(const struct engine *e, uint32_t series, uint32_t place)
{
    const struct series *s = &e->series[series];
    const struct watch *w = &engine_watches(e, series)[place];
    if (e->config->rules[w->rule].kind != DETECTOR_SILENT || w->silence_told ||
        !e->sources[s->source].connected)
        return INT64_MAX;
    int64_t allowed_ms = silence_ms(e, series, place);
    if (allowed_ms <= 0)
        return INT64_MAX;
    /* A silence has one verdict: in cool-down it would be the last that is heard of the device. */
    int64_t cool_ms = engine_watch_cool_ms(e, w, &e->config->rules[w->rule]);
    int64_t due_ms = heard_ms(e, s) + allowed_ms;
    if (w->silence_waits && e->alerts_again_ms > due_ms)
        due_ms = e->alerts_again_ms;
    if (engine_device_is_silent(e, s->device)) /* looked at again, until that is over */
        due_ms = e->t_ms + allowed_ms;
    return cool_ms > due_ms ? cool_ms : due_ms;
}

/* Before the reading counts as the last one. */
void engine_on_arrival(struct engine *e, uint32_t series, int64_t t_ms)
{
    const struct series *s = &e->series[series];
    int64_t gap_ms = t_ms - heard_ms(e, s);
    if (s->readings == 0 || gap_ms <= 0 || s->source == e->config->source_count)
        return; /* there was no source that could have brought one */
    uint8_t *state = engine_states(e, series);
    for (uint32_t i = 0; i < s->silent_count; i++) {
        const struct engine_rule *rule = &e->rules[engine_rules(e, series)[i]];
        rule->ops->on_arrival(rule->config, state, gap_ms);
        state += rule->state_bytes;
    }
}

enum wait_kind { WAIT_NONE, WAIT_IDLE, WAIT_ALERT, WAIT_SILENCE };

struct wait {
    int64_t deadline_ms;
    enum wait_kind kind;
    uint32_t watch;
};

static void consider(struct wait *earliest, int64_t deadline_ms, enum wait_kind kind,
                     uint32_t watch)
{
    if (deadline_ms < earliest->deadline_ms)
        *earliest = (struct wait){ deadline_ms, kind, watch };
}

/* Of equal deadlines idleness comes first, then the rules in order. */
static struct wait earliest_wait(const struct engine *e, uint32_t series)
{
    const struct series *s = &e->series[series];
    const struct watch *watches = engine_watches(e, series);
    struct wait earliest = { INT64_MAX, WAIT_NONE, 0 };
    consider(&earliest, idle_deadline(e, series), WAIT_IDLE, 0);
    for (uint32_t i = 0; i < s->watch_count; i++) {
        const struct detector_config *rule = &e->config->rules[watches[i].rule];
        consider(&earliest, engine_watch_deadline(e, &watches[i], rule), WAIT_ALERT, i);
        consider(&earliest, silence_deadline(e, series, i), WAIT_SILENCE, i);
    }
    return earliest;
}

/* Every reading moves its series' deadline on, and a heap is dear to keep in order. So one that
 * becomes later is left where it is: the heap may hold a series too early, until its turn comes. */
void engine_arm(struct engine *e, uint32_t series)
{
    int64_t deadline_ms = earliest_wait(e, series).deadline_ms;
    if (deadline_ms < timers_get(e->timers, series))
        timers_set(e->timers, series, deadline_ms);
}

/* The reading just applied moved idleness and silence at least `quiet_ms` away, and alerts wait for
 * nothing unless one is under way: mostly the heap holds an earlier time already. */
void engine_arm_after_reading(struct engine *e, uint32_t series)
{
    struct series *s = &e->series[series];
    const struct watch *watches = engine_watches(e, series);
    bool live = false, told = false;
    for (uint32_t i = 0; s->stirred && i < s->watch_count; i++) {
        live = live || watches[i].live;
        told = told || watches[i].silence_told || watches[i].silence_waits;
    }
    s->stirred = live || told;
    if (live)
        engine_arm(e, series);
    else if (timers_get(e->timers, series) > e->t_ms + e->quiet_ms)
        timers_set(e->timers, series, e->t_ms + e->quiet_ms);
}

/* What the gateway itself waits for; of equal deadlines the first in this order. */
enum own_wait { OWN_REJECTS, OWN_SHED, OWN_WITHDRAWN, OWN_FLOOD, OWN_MAINTENANCE };

static struct wait earliest_own(const struct engine *e)
{
    struct wait earliest = { INT64_MAX, WAIT_NONE, OWN_REJECTS };
    consider(&earliest, engine_rejects_deadline(e), WAIT_NONE, OWN_REJECTS);
    consider(&earliest, engine_shed_deadline(e), WAIT_NONE, OWN_SHED);
    consider(&earliest, engine_withdraw_deadline(e), WAIT_NONE, OWN_WITHDRAWN);
    consider(&earliest, engine_flood_deadline(e), WAIT_NONE, OWN_FLOOD);
    consider(&earliest, engine_maintenance_deadline(e), WAIT_NONE, OWN_MAINTENANCE);
    return earliest;
}

void engine_arm_own(struct engine *e)
{
    timers_set(e->timers, e->config->series_max, earliest_own(e).deadline_ms);
}

void engine_fire_own(struct engine *e)
{
    switch ((enum own_wait)earliest_own(e).watch) {
    case OWN_REJECTS:
        engine_fire_rejects(e);
        break;
    case OWN_SHED:
        engine_fire_shed(e);
        break;
    case OWN_WITHDRAWN:
        engine_fire_withdrawn(e);
        break;
    case OWN_FLOOD:
        engine_fire_flood(e);
        break;
    case OWN_MAINTENANCE:
        engine_fire_maintenance(e);
        break;
    }
    engine_arm_own(e);
}

static int64_t heap_timer(const struct engine *e, int64_t t_ms, uint32_t *key)
{
    for (;;) {
        int64_t held_ms = timers_next(e->timers, key);
        if (held_ms > t_ms || held_ms == INT64_MAX || *key == e->config->series_max)
            return held_ms;
        int64_t deadline_ms = earliest_wait(e, *key).deadline_ms;
        assert(deadline_ms >= held_ms);
        if (deadline_ms == held_ms)
            return held_ms;
        timers_set(e->timers, *key, deadline_ms);
    }
}

/* Of equal deadlines the streams' comes last. */
int64_t engine_timer(const struct engine *e, int64_t t_ms, uint32_t *key)
{
    int64_t heap_ms = heap_timer(e, t_ms, key);
    if (e->config->streams.count == 0)
        return heap_ms;
    int64_t streams_ms = streams_deadline(e->streams, t_ms);
    if (streams_ms >= heap_ms)
        return heap_ms;
    *key = e->config->series_max + 1;
    return streams_ms;
}

static void on_idle(struct engine *e, uint32_t series)
{
    engine_release_held(e, series, INT64_MAX);
    if (windows_over_ms(e, series) <= e->t_ms)
        engine_watermark_move(e, series, windows_end_of(e, series));
}

static void on_silence(struct engine *e, uint32_t series, uint32_t place)
{
    const struct series *s = &e->series[series];
    struct watch *w = &engine_watches(e, series)[place];
    int64_t allowed_ms = silence_ms(e, series, place);
    int64_t silent_ms = e->t_ms - s->last_t_ms;
    if (engine_device_is_silent(e, s->device) || engine_on_device_silence(e, series, allowed_ms))
        return;
    struct verdict verdict = {
        .known = true,
        .anomalous = true,
        .observed = (double)silent_ms,
        .high = (double)allowed_ms,
        .score = allowed_ms > 0 ? (double)silent_ms / (double)allowed_ms : 1.0,
        .threshold = 1.0,
    };
    e->series[series].stirred = true;
    w->silence_told = engine_on_verdict(e, series, w, &verdict, s->last_event_ms + allowed_ms);
    w->silence_waits = !w->silence_told;
}

void engine_fire_series(struct engine *e, uint32_t series)
{
    struct wait wait = earliest_wait(e, series);
    struct watch *w = &engine_watches(e, series)[wait.watch];
    switch (wait.kind) {
    case WAIT_IDLE:
        on_idle(e, series);
        break;
    case WAIT_ALERT:
        engine_on_alert_timer(e, series, w);
        break;
    case WAIT_SILENCE:
        on_silence(e, series, wait.watch);
        break;
    case WAIT_NONE:
        assert(false);
        break;
    }
}

/* Windows are over sooner by a clock that went on, and by one that was set far back. */
void engine_on_clock(struct engine *e, const struct record *record)
{
    bool moved = e->clock.state != record->clock.state ||
                 e->clock.offset_ms != record->clock.offset_ms;
    e->clock = record->clock;
    e->clock_t_ms = e->t_ms + 1; /* a reading of now is not behind any timer */
    engine_tell_streams_clock(e);
    engine_arm_maintenance(e);
    for (uint32_t i = 0; moved && i < e->series_count; i++)
        engine_arm(e, i);
}

/* A lost source silences its devices through no fault of theirs; once it is back each has the whole
 * of its allowance again. */
void engine_on_source(struct engine *e, const struct record *record)
{
    if (record->reading.source >= e->config->source_count) /* of an older configuration */
        return;
    struct source_state *source = &e->sources[record->reading.source];
    bool connected = record->count != 0;
    if (source->connected == connected)
        return;
    *source = (struct source_state){ .connected = connected, .since_ms = record->t_ms };
    for (uint32_t i = 0; i < e->series_count; i++)
        if (e->series[i].source == record->reading.source)
            engine_arm(e, i);
}
