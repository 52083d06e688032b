/* From verdicts to alerts. Of an alert that is over only the numbers are kept (struct watch); the
 * whole state machine stands in a pool until then. Which place of the pool shows nowhere. */
#include <assert.h>
#include <string.h>

#include "pipeline/engine/engine_state.h"

#define OWN(rule, what) \
    { .name = rule, .metric = what, .kind = DETECTOR_LIMIT, .has_high = true, \
      .severity = SEVERITY_MAJOR }

/* Raised and cleared by what engine_rejects.c, engine_pressure.c and engine_alarm.c find, which is
 * slow to fall. */
const struct detector_config engine_own_rules[ENGINE_OWN] = {
    [ENGINE_OWN_REJECTS] = OWN("reject_rate", "rejects"),
    [ENGINE_OWN_LAG] = OWN("lag_grows", "lag"),
    [ENGINE_OWN_SHED] = OWN("shed_for_long", "shed"),
    [ENGINE_OWN_STORM] = OWN("alarm_storm", "incidents"),
};

/* What an alert is about: a rule on a series, or (series ENGINE_NONE) a whole device, or (device
 * ENGINE_NONE too) the gateway itself. */
struct subject {
    uint32_t device, series;
    struct watch *watch;
    const struct detector_config *rule;
};

static struct subject series_subject(struct engine *e, uint32_t series, struct watch *w)
{
    return (struct subject){ e->series[series].device, series, w, &e->config->rules[w->rule] };
}

static struct subject device_subject(struct engine *e, uint32_t device,
                                     enum engine_device_rule what)
{
    return (struct subject){ device, ENGINE_NONE, &e->devices[device].watches[what],
                             &engine_device_rules[what] };
}

static struct subject own_subject(struct engine *e, enum engine_own what)
{
    return (struct subject){ ENGINE_NONE, ENGINE_NONE, &e->own[what], &engine_own_rules[what] };
}

/* A watch that is new to the state may be an old one whose numbers were forgotten: with a damaged
 * checkpoint, or because its rule was away for a while. */
void engine_watch_init(const struct engine *e, struct watch *w, uint8_t rule)
{
    *w = (struct watch){ .number = e->block << ALERT_NUMBER_SHIFT, .rule = rule };
}

static struct alert watch_alert(const struct engine *e, const struct watch *w)
{
    if (w->open)
        return e->alerts[w->place].alert;
    struct alert a;
    alert_init(&a);
    a.number = w->number;
    a.suppressed = w->suppressed;
    return a;
}

void engine_give_place(struct engine *e, uint32_t place)
{
    e->alerts[place].next_free = e->free_alert;
    e->free_alert = place;
    e->alerts_placed--;
}

/* Only its numbers are kept. */
static void close_watch(struct engine *e, struct watch *w, const struct alert *alert)
{
    if (w->open)
        engine_give_place(e, w->place);
    w->open = w->live = false;
    w->number = alert->number;
    w->suppressed = engine_suppressed(alert);
}

/* Whether it holds a place for cool-down alone, or not even that. */
static bool gives_way(const struct engine *e, const struct alert *alert)
{
    return !alert_is_live(alert) && alert->shelved_until_ms <= engine_wall_ms(e);
}

static bool close_if_it_gives_way(struct engine *e, struct watch *w)
{
    if (!w->open || !gives_way(e, &e->alerts[w->place].alert))
        return false;
    const struct alert alert = e->alerts[w->place].alert;
    close_watch(e, w, &alert);
    return true;
}

/* The pool is full: whatever gives way does so, all of it, so that no order of theirs matters. A
 * device that is silent again, and waited for the end of its cool-down, waits less long. */
static void make_room(struct engine *e)
{
    if (e->t_ms < e->alerts_again_ms)
        return;
    e->alerts_again_ms = e->t_ms + ENGINE_ALERTS_AGAIN_MS;
    for (uint32_t s = 0; s < e->series_count; s++)
        for (uint32_t i = 0; i < e->series[s].watch_count; i++) {
            struct watch *w = &engine_watches(e, s)[i];
            if (!close_if_it_gives_way(e, w) ||
                e->config->rules[w->rule].kind != DETECTOR_SILENT)
                continue;
            w->silence_waits = !w->silence_told;
            engine_arm(e, s);
        }
    for (uint32_t d = 0; d < e->device_count; d++)
        for (int what = 0; what < ENGINE_DEVICE_RULES; what++)
            (void)close_if_it_gives_way(e, &e->devices[d].watches[what]);
    for (int what = 0; what < ENGINE_OWN; what++)
        (void)close_if_it_gives_way(e, &e->own[what]);
}

/* Places never used stand behind those used; those given back form a list. */
uint32_t engine_take_place(struct engine *e)
{
    uint32_t place = e->free_alert;
    if (place != ENGINE_NONE)
        e->free_alert = e->alerts[place].next_free;
    else if (e->alerts_used < e->alerts_max)
        place = e->alerts_used++;
    e->alerts_placed += place != ENGINE_NONE;
    return place;
}

/* False: the pool is full. */
bool engine_watch_place(struct engine *e, struct watch *w, const struct alert *alert)
{
    if (!w->open && e->alerts_placed == e->alerts_max)
        make_room(e);
    uint32_t place = w->open ? w->place : engine_take_place(e);
    if (place == ENGINE_NONE)
        return false;
    w->open = true;
    w->live = alert_is_live(alert);
    w->place = place;
    e->alerts[place].alert = *alert;
    return true;
}

uint32_t engine_unwatch(struct engine *e, struct watch *w)
{
    if (!w->open)
        return ENGINE_NONE;
    const struct alert alert = e->alerts[w->place].alert;
    uint32_t place = alert_is_open(&alert) ? w->place : ENGINE_NONE;
    if (place != ENGINE_NONE)
        w->open = false;
    close_watch(e, w, &alert);
    return place;
}

/* Cool-down is a comfort, and stops when places are short: so make_room rarely has to look. */
static bool places_are_short(const struct engine *e)
{
    return e->alerts_placed > e->alerts_max - e->alerts_max / 16;
}

/* False: the pool is full and the alert, which is not over, has no place in it. */
static bool keep(struct engine *e, const struct subject *of, const struct alert *alert)
{
    if (!alert_is_over(alert, of->rule, e->t_ms, engine_wall_ms(e)) &&
        !(gives_way(e, alert) && places_are_short(e)))
        return engine_watch_place(e, of->watch, alert);
    close_watch(e, of->watch, alert);
    return true;
}

static void count_transition(struct engine *e, uint32_t device, enum alert_transition what)
{
    uint32_t none = 0;
    uint32_t *of_device = device != ENGINE_NONE ? &e->devices[device].alerts_open : &none;
    switch (what) {
    case ALERT_NO_CHANGE:
        break;
    case ALERT_RAISE:
        e->counts.alerts_raised++;
        e->counts.alerts_open++;
        ++*of_device;
        break;
    case ALERT_UPDATE:
        e->counts.alerts_updated++;
        break;
    case ALERT_CLEAR:
        e->counts.alerts_cleared++;
        assert(e->counts.alerts_open > 0);
        assert(device == ENGINE_NONE || *of_device > 0);
        e->counts.alerts_open--;
        --*of_device;
        break;
    }
}

static struct alert_event event_of(const struct engine *e, const struct subject *of,
                                   const struct alert *alert, enum alert_transition what)
{
    struct alert_event event = {
        .transition = what,
        .alert = alert,
        .rule = of->rule,
        .severity = alert_severity(alert, of->rule),
        .t_ms = e->t_ms,
        .event_time_ms = what == ALERT_RAISE ? alert->onset_event_ms : alert->last_event_ms,
        .first_block = alert->onset_block,
        .last_block = e->block,
    };
    if (of->device == ENGINE_NONE) {
        event.device = text_of(ENGINE_GATEWAY_NAME);
        event.metric = text_of(of->rule->metric);
        if (of->rule == &engine_own_rules[ENGINE_OWN_LAG] ||
            of->rule == &engine_own_rules[ENGINE_OWN_SHED])
            event.unit = text_of("s");
    } else {
        event.device = engine_name(e, e->devices[of->device].name);
    }
    if (of->series != ENGINE_NONE) {
        const struct series *s = &e->series[of->series];
        event.metric = engine_name(e, s->metric);
        event.unit = engine_name(e, s->unit);
        event.partner = engine_partner(e, of->rule, alert);
        event.usual = &s->statistics;
        event.recent = engine_recent(e, of->series);
        event.recent_count = s->recent_count;
        event.contract_version = engine_contract_version(e, s->source);
    }
    event.key = alert_key(e->config->store, event.device, event.metric, text_of(of->rule->name),
                          alert->number);
    alert_id_of(event.key, event.id);
    engine_incident_id(e, event.device, alert, event.incident);
    event.maintained = engine_is_maintained(e, event.device);
    return event;
}

static void tell(struct engine *e, const struct subject *of, const struct alert *alert,
                 enum alert_transition what, bool notify)
{
    count_transition(e, of->device, what);
    if (what == ALERT_NO_CHANGE || e->out == NULL)
        return;
    struct alert_event event = event_of(e, of, alert, what);
    event.notify = notify;
    e->out->alert(e->out->ctx, &event);
}

/* Count, tell and keep what an alert has become. False: there is no place for it, and only the
 * anomaly is counted, a silence that is tried again only once. */
/* An alert that was told may be unknown to this state: after a crash another configuration finds
 * others in the journal. Its number is of an older block, so it does not come twice. */
static void number_by_block(const struct engine *e, struct alert *alert)
{
    uint64_t first = (e->block << ALERT_NUMBER_SHIFT) + 1;
    alert->number = alert->number < first ? first : alert->number;
}

static bool finish(struct engine *e, const struct subject *of, struct alert *alert,
                   enum alert_transition what)
{
    if (what == ALERT_RAISE)
        number_by_block(e, alert);
    if (!keep(e, of, alert)) {
        bool more = !of->watch->silence_waits && of->watch->suppressed < UINT16_MAX;
        of->watch->suppressed = (uint16_t)(of->watch->suppressed + more);
        e->counts.alerts_suppressed += !of->watch->silence_waits;
        return false;
    }
    if (what == ALERT_NO_CHANGE)
        return true;
    const struct alarm alarm = { alert, of->rule, what };
    bool notify = engine_note_alarm(e, of->device, of->series, alarm);
    if (of->watch->open)
        e->alerts[of->watch->place].alert = *alert;
    tell(e, of, alert, what, notify);
    return true;
}

static bool judge(struct engine *e, const struct subject *of, const struct verdict *verdict,
                  int64_t event_time_ms, bool learning)
{
    if (!verdict->known || (!verdict->anomalous && !of->watch->open))
        return true;
    struct alert alert = watch_alert(e, of->watch);
    const struct alert before = alert;
    enum alert_transition what =
        alert_on_verdict(&alert, of->rule, verdict, event_time_ms, e->t_ms, learning);
    if (!alert_is_live(&before) && alert_is_live(&alert))
        alert.onset_block = e->block;
    e->counts.alerts_suppressed += alert.suppressed - before.suppressed;
    return finish(e, of, &alert, what);
}

static bool is_learning(const struct engine *e, const struct series *s, enum detector_kind kind)
{
    return detector_ops(kind)->learns && engine_is_learning(e, s);
}

/* Mostly the alert only holds its place for what it remembers. */
void engine_forget_alerts(struct engine *e, uint32_t series)
{
    struct series *s = &e->series[series];
    bool remembers = false;
    for (uint32_t i = 0; s->remembers && i < s->watch_count; i++) {
        struct watch *w = &engine_watches(e, series)[i];
        if (w->open && !w->live) {
            const struct alert alert = e->alerts[w->place].alert;
            if (alert_is_over(&alert, &e->config->rules[w->rule], e->t_ms, engine_wall_ms(e)))
                close_watch(e, w, &alert);
        }
        remembers = remembers || w->open;
    }
    s->remembers = remembers;
}

bool engine_on_verdict(struct engine *e, uint32_t series, struct watch *w,
                       const struct verdict *verdict, int64_t event_time_ms)
{
    struct subject of = series_subject(e, series, w);
    if (!verdict->anomalous && !w->live)
        return true; /* a usual reading */
    bool learning = is_learning(e, &e->series[series], of.rule->kind);
    e->series[series].stirred = e->series[series].remembers = true;
    return judge(e, &of, verdict, event_time_ms, learning);
}

int64_t engine_watch_deadline(const struct engine *e, const struct watch *w,
                              const struct detector_config *rule)
{
    return w->open ? alert_deadline(&e->alerts[w->place].alert, rule) : INT64_MAX;
}

int64_t engine_watch_cool_ms(const struct engine *e, const struct watch *w,
                             const struct detector_config *rule)
{
    return w->open ? alert_cool_ms(&e->alerts[w->place].alert, rule) : INT64_MIN;
}

void engine_on_alert_timer(struct engine *e, uint32_t series, struct watch *w)
{
    struct subject of = series_subject(e, series, w);
    struct alert alert = watch_alert(e, w);
    enum alert_transition what = alert_on_timer(&alert, of.rule, e->t_ms);
    assert(what != ALERT_NO_CHANGE);
    (void)finish(e, &of, &alert, what); /* it has its place */
}

/* What its rule was called, and how grave, is all that is left of the rule. */
void engine_clear_withdrawn(struct engine *e, const struct withdrawn *w)
{
    struct detector_config rule = { .kind = w->rule.kind, .severity = w->rule.severity };
    struct alert alert = *w->alert;
    struct subject of = { w->device, w->series, NULL, &rule };
    assert(w->rule.name.bytes <= DETECTOR_NAME_BYTES_MAX);
    memcpy(rule.name, w->rule.name.at, w->rule.name.bytes);
    tell(e, &of, &alert, alert_withdraw(&alert, e->t_ms), false);
}

bool engine_on_device_verdict(struct engine *e, struct device_finding finding,
                              const struct verdict *verdict, int64_t event_time_ms)
{
    struct subject of = device_subject(e, finding.device, finding.what);
    bool learning = finding.series != ENGINE_NONE &&
                    is_learning(e, &e->series[finding.series], of.rule->kind);
    return judge(e, &of, verdict, event_time_ms, learning);
}

/* --- the gateway itself --- */

bool engine_on_own(struct engine *e, enum engine_own what, double observed, double allowed,
                   bool over)
{
    struct verdict verdict = {
        .known = true,
        .anomalous = over,
        .observed = observed,
        .high = allowed,
        .score = allowed > 0 ? observed / allowed : 0,
        .threshold = 1,
    };
    struct subject of = own_subject(e, what);
    return judge(e, &of, &verdict, engine_wall_ms(e), false);
}

/* --- what people ask for --- */

/* From *cursor on, the next watch that has an alert: of the series, of the devices, of the gateway
 * itself. */
static bool next_subject(struct engine *e, uint64_t *cursor, struct subject *of)
{
    uint32_t stride = e->config->rules_per_series;
    uint64_t places = (uint64_t)e->series_count * stride;
    uint64_t of_devices = (uint64_t)e->device_count * ENGINE_DEVICE_RULES;
    for (; *cursor < places + of_devices + ENGINE_OWN; ++*cursor) {
        if (*cursor < places) {
            uint32_t series = (uint32_t)(*cursor / stride), at = (uint32_t)(*cursor % stride);
            if (at >= e->series[series].watch_count)
                continue;
            *of = series_subject(e, series, &engine_watches(e, series)[at]);
        } else if (*cursor < places + of_devices) {
            uint64_t at = *cursor - places;
            *of = device_subject(e, (uint32_t)(at / ENGINE_DEVICE_RULES),
                                 (enum engine_device_rule)(at % ENGINE_DEVICE_RULES));
        } else {
            *of = own_subject(e, (enum engine_own)(*cursor - places - of_devices));
        }
        if (!of->watch->open)
            continue;
        ++*cursor;
        return true;
    }
    return false;
}

/* True when this was the alert that was meant. */
static bool try_command(struct engine *e, const struct subject *of,
                        const struct engine_command *command)
{
    struct alert alert = watch_alert(e, of->watch);
    if (!alert_is_open(&alert))
        return false;
    struct alert_event event = event_of(e, of, &alert, ALERT_UPDATE);
    if (!text_equal(command->id, text_of(event.id)))
        return false;
    enum alert_transition what = command->verb == COMMAND_ACK
                                     ? alert_acknowledge(&alert, of->rule, e->t_ms)
                                     : alert_shelve(&alert, command->until_ms);
    (void)finish(e, of, &alert, what); /* it has its place */
    if (of->series != ENGINE_NONE)
        engine_arm(e, of->series); /* a latch may have kept it from clearing */
    return true;
}

void engine_on_command(struct engine *e, struct text text)
{
    struct engine_command command;
    struct subject of;
    if (!engine_parse_command(text, &command))
        return;
    if (command.verb == COMMAND_MAINTAIN)
        engine_on_maintain(e, &command.order);
    else if (command.verb == COMMAND_RESUME)
        engine_on_resume(e, command.order.device);
    else /* an id that nobody has: the alert has gone meanwhile */
        for (uint64_t cursor = 0; next_subject(e, &cursor, &of);)
            if (try_command(e, &of, &command))
                return;
}

bool engine_release_alert(struct engine *e, uint64_t *cursor)
{
    struct subject of;
    while (next_subject(e, cursor, &of)) {
        struct alert alert = watch_alert(e, of.watch);
        if (!alert.owed || engine_calls_are_kept(e, of.device))
            continue;
        enum alert_transition what = alert_release(&alert);
        (void)finish(e, &of, &alert, what); /* it has its place */
        return true;
    }
    return false;
}
