/* What one reading changes: its window, the statistics, the detectors, the watermark. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

uint32_t engine_contract_version(const struct engine *e, uint16_t source)
{
    if (source >= e->config->source_count)
        return 0; /* it is no more */
    const struct contract *contract = e->config->sources[source].contract;
    return contract != NULL ? contract->version : 0;
}

static bool has_live_alert(const struct engine *e, uint32_t series)
{
    const struct watch *watches = engine_watches(e, series);
    for (uint32_t i = 0; e->series[series].stirred && i < e->series[series].watch_count; i++)
        if (watches[i].live)
            return true;
    return false;
}

void engine_tell_window(struct engine *e, uint32_t series, const struct window *window, bool forced)
{
    const struct series *s = &e->series[series];
    if (window->revision == 0)
        e->counts.results++;
    else
        e->counts.revisions++;
    engine_forget_alerts(e, series);
    if (e->out == NULL)
        return;
    const struct window_result result = {
        .device = engine_name(e, e->devices[s->device].name),
        .metric = engine_name(e, s->metric),
        .unit = engine_name(e, s->unit),
        .start_ms = window->start_ms,
        .end_ms = window->start_ms + e->config->window.size_ms,
        .revision = window->revision,
        .forced = forced,
        .alert_open = has_live_alert(e, series),
        .aggregate = window->aggregate,
        .first_block = window->first_block,
        .last_block = e->block,
        .contract_version = engine_contract_version(e, s->source),
    };
    e->out->result(e->out->ctx, &result);
}

static void tell_late(struct engine *e, uint32_t series, const struct record *record)
{
    const struct window_config *c = &e->config->window;
    if (e->out == NULL)
        return;
    e->out->late(e->out->ctx, record);
    if (!e->config->late_out || e->out->too_late == NULL)
        return;
    int64_t start_ms = window_start(record->event_time_ms, c->size_ms);
    int64_t needed_ms = e->series[series].watermark_ms - (start_ms + c->size_ms) + 1;
    const struct stream_late late = {
        .record = record, .start_ms = start_ms, .end_ms = start_ms + c->size_ms,
        .slide_ms = c->size_ms, .windows = 1, .lateness_ms = c->lateness_ms,
        .needed_ms = needed_ms > 0 ? needed_ms : 0,
    };
    e->out->too_late(e->out->ctx, &late);
}

static void push_window(struct engine *e, uint32_t series, const struct record *record)
{
    struct series *s = &e->series[series];
    struct window forced;
    int err = windows_push(engine_windows(e, series), &e->config->window, s->watermark_ms,
                           record->event_time_ms, record->reading.value.number, e->block, &forced);
    if (err != 0) {
        e->counts.late++;
        tell_late(e, series, record);
        return;
    }
    if (!forced.open)
        return;
    e->counts.forced_windows++;
    if (forced.dirty)
        engine_tell_window(e, series, &forced, true);
}

bool engine_is_learning(const struct engine *e, const struct series *s)
{
    return s->readings < e->config->learning_readings ||
           s->span_ms < e->config->learning_ms;
}

void engine_keep_recent(struct engine *e, uint32_t series, const struct sample *sample)
{
    struct series *s = &e->series[series];
    struct sample *recent = engine_recent(e, series);
    uint32_t room = e->config->recent;
    if (room == 0)
        return;
    if (s->recent_count == room)
        memmove(recent, recent + 1, --s->recent_count * sizeof *recent);
    recent[s->recent_count++] = *sample;
}

/* False: the reading is no measurement. */
static bool tell_verdict(struct engine *e, uint32_t series, uint32_t place,
                         const struct detector_input *in, const struct verdict *verdict)
{
    struct watch *watch = &engine_watches(e, series)[place];
    (void)engine_on_verdict(e, series, watch, verdict, in->sample->event_time_ms);
    return !verdict->bad;
}

/* The detectors see the statistics as they were before this reading. What the first of them calls
 * bad (only RANGE does, and stands first) is no measurement. */
static void feed(struct engine *e, uint32_t series, const struct sample *sample)
{
    struct series *s = &e->series[series];
    const uint8_t *rules = engine_rules(e, series);
    const struct watch *watches = engine_watches(e, series);
    uint8_t *state = engine_detector_state(e, series, s->silent_count);
    uint32_t count = s->watch_count;
    bool stirred = s->stirred;
    struct detector_input in = { .sample = sample, .before = &s->statistics };
    assert(s->statistics.count == 0 || sample->event_time_ms >= s->statistics.last_ms);
    engine_keep_recent(e, series, sample);
    for (uint32_t i = s->silent_count; i < count; i++) {
        const struct engine_rule *rule = &e->rules[rules[i]];
        struct verdict verdict;
        if (rule->ops->on_siblings != NULL)
            engine_siblings_tell(e, series, rule->ops, state, sample->event_time_ms);
        in.config = rule->config;
        in.asked = stirred && watches[i].live;
        bool anomalous = rule->ops->on_reading(&in, state, &verdict);
        state += rule->state_bytes;
        if ((anomalous || in.asked) && !tell_verdict(e, series, i, &in, &verdict))
            return;
    }
    statistics_push(&s->statistics, sample->event_time_ms, sample->value);
}

/* Feed the held readings whose event time is at most this, oldest first. */
void engine_release_held(struct engine *e, uint32_t series, int64_t up_to_ms)
{
    struct series *s = &e->series[series];
    struct sample *held = s->held > 0 ? engine_held(e, series) : NULL;
    uint32_t released = 0;
    while (released < s->held && held[released].event_time_ms <= up_to_ms)
        feed(e, series, &held[released++]);
    if (released == 0)
        return;
    s->held = (uint8_t)(s->held - released);
    memmove(held, held + released, s->held * sizeof *held);
}

/* Sorted by event time, equal times in order of arrival. When there is no room the oldest of all
 * goes on, which may be the sample itself. */
static void hold(struct engine *e, uint32_t series, const struct sample *sample)
{
    struct series *s = &e->series[series];
    struct sample *held = engine_held(e, series);
    if (s->held == e->config->reorder_slots) {
        if (sample->event_time_ms < held[0].event_time_ms) {
            feed(e, series, sample);
            return;
        }
        struct sample oldest = held[0];
        s->held--;
        memmove(held, held + 1, s->held * sizeof *held);
        feed(e, series, &oldest);
    }
    uint32_t at = s->held++;
    for (; at > 0 && held[at - 1].event_time_ms > sample->event_time_ms; at--)
        held[at] = held[at - 1];
    held[at] = *sample;
    engine_release_held(e, series, held[s->held - 1].event_time_ms - e->config->reorder_ms);
}

static void take_sample(struct engine *e, uint32_t series, const struct record *record)
{
    const struct series *s = &e->series[series];
    const struct sample sample = { record->event_time_ms, record->reading.value.number };
    if (s->statistics.count > 0 && sample.event_time_ms < s->statistics.last_ms)
        e->counts.unordered++;
    else if (e->config->reorder_ms > 0)
        hold(e, series, &sample);
    else
        feed(e, series, &sample);
}

static void end_silence(struct engine *e, uint32_t series, const struct record *record)
{
    static const struct verdict here = { .known = true };
    struct watch *watches = engine_watches(e, series);
    engine_end_device_silence(e, series);
    if (!e->series[series].stirred)
        return;
    for (uint32_t i = 0; i < e->series[series].silent_count; i++) {
        watches[i].silence_told = watches[i].silence_waits = false;
        if (watches[i].live)
            (void)engine_on_verdict(e, series, &watches[i], &here, record->event_time_ms);
    }
}

/* The watermark moves first: what it closes makes room for the reading's window. A late reading
 * changes one that has been told: it is told again. */
void engine_think(struct engine *e, uint32_t series, const struct record *record)
{
    int64_t reached_ms = engine_reached_ms(e, record);
    end_silence(e, series, record);
    engine_watermark_move(e, series, reached_ms - e->config->out_of_orderness_ms);
    if (record->reading.value.type == VALUE_TEXT)
        return;
    push_window(e, series, record);
    take_sample(e, series, record);
    if (record->event_time_ms < e->series[series].watermark_ms) /* its window may be over */
        engine_tell_due(e, series);
}
