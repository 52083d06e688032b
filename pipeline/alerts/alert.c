#include "pipeline/alerts/alert.h"

#include <assert.h>
#include <string.h>

void alert_init(struct alert *a)
{
    *a = (struct alert){ .state = ALERT_QUIET };
}

static bool is_legal(enum alert_state from, enum alert_state to)
{
    switch (from) {
    case ALERT_QUIET:
        return to == ALERT_PENDING;
    case ALERT_PENDING:
        return to == ALERT_QUIET || to == ALERT_RAISED;
    case ALERT_RAISED:
        return to == ALERT_QUIET || to == ALERT_COOLING || to == ALERT_CLEARING;
    case ALERT_CLEARING:
        return to == ALERT_QUIET || to == ALERT_COOLING || to == ALERT_RAISED;
    case ALERT_COOLING:
        return to == ALERT_PENDING;
    }
    return false;
}

static void set_state(struct alert *a, enum alert_state to, int64_t t_ms)
{
    assert(is_legal(a->state, to));
    a->state = to;
    a->since_ms = t_ms;
}

/* --- severity --- */

enum { STEPS_LATE_FACTOR = 4 };

static enum severity severity_max(const struct detector_config *rule)
{
    if (rule->severity == SEVERITY_INFO)
        return SEVERITY_INFO;
    return rule->severity > SEVERITY_MAJOR ? rule->severity : SEVERITY_MAJOR;
}

enum severity alert_severity(const struct alert *a, const struct detector_config *rule)
{
    if (a->learning)
        return SEVERITY_LEARNING;
    int severity = (int)rule->severity + a->far + a->late_steps;
    enum severity most = severity_max(rule);
    return severity < (int)most ? (enum severity)severity : most;
}

static int64_t escalation_ms(const struct alert *a, const struct detector_config *rule)
{
    bool may = rule->escalate_after_ms > 0 && !a->acknowledged &&
               a->late_steps < ALERT_STEPS_LATE_MAX;
    if (!may || a->learning || alert_severity(a, rule) >= severity_max(rule))
        return INT64_MAX;
    int64_t after_ms = rule->escalate_after_ms * (a->late_steps > 0 ? STEPS_LATE_FACTOR : 1);
    return a->raised_ms + after_ms;
}

static void escalate(struct alert *a, const struct detector_config *rule, int64_t t_ms)
{
    while (escalation_ms(a, rule) <= t_ms)
        a->late_steps++;
}

/* --- chatter --- */

static const int64_t CHATTER_MS = 60000, CHATTER_HOUR_MS = 3600000;
enum { CHATTER_IN_MINUTE = 3, CHATTER_FACTOR = 4, CHATTER_CLEAR_MS = 5000 };

/* t of the n-th last raise or clear; INT64_MIN: there was none. */
static int64_t change_ms(const struct alert *a, int nth)
{
    return a->changes_s[nth] > 0 ? ((int64_t)a->changes_s[nth] - 1) * 1000 : INT64_MIN;
}

static bool changed_within(const struct alert *a, int nth, int64_t t_ms, int64_t span_ms)
{
    int64_t then_ms = change_ms(a, nth);
    return then_ms != INT64_MIN && t_ms - then_ms <= span_ms;
}

/* Three in a minute, or six in an hour; over when there was none for an hour. */
static void note_change(struct alert *a, const struct detector_config *rule, int64_t t_ms)
{
    if (!rule->chatter)
        return;
    if (!changed_within(a, 0, t_ms, CHATTER_HOUR_MS))
        a->chattering = false;
    if (changed_within(a, CHATTER_IN_MINUTE - 2, t_ms, CHATTER_MS) ||
        changed_within(a, ALERT_CHANGES - 1, t_ms, CHATTER_HOUR_MS))
        a->chattering = true;
    memmove(a->changes_s + 1, a->changes_s, (ALERT_CHANGES - 1) * sizeof a->changes_s[0]);
    a->changes_s[0] = (uint32_t)(t_ms / 1000 + 1);
}

static int64_t clear_after_ms(const struct alert *a, const struct detector_config *rule)
{
    if (!a->chattering)
        return rule->clear_after_ms;
    return CHATTER_FACTOR * (rule->clear_after_ms > CHATTER_CLEAR_MS ? rule->clear_after_ms
                                                                     : CHATTER_CLEAR_MS);
}

/* --- in readings --- */

static uint32_t least_readings(const struct detector_config *rule)
{
    return rule->for_readings > 1 ? rule->for_readings : 1;
}

/* As many as are looked back on: at least those that must be anomalous. */
static uint32_t readings_looked_at(const struct detector_config *rule)
{
    uint32_t least = least_readings(rule);
    return rule->of_readings > least ? rule->of_readings : least;
}

static uint32_t anomalous_readings(const struct alert *a, const struct detector_config *rule)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < readings_looked_at(rule); i++)
        count += a->judged >> i & 1;
    return count;
}

static bool enough_readings(const struct alert *a, const struct detector_config *rule)
{
    return anomalous_readings(a, rule) >= least_readings(rule);
}

/* A usual reading does not end what is pending where not all must be anomalous, and one was. */
static bool lasts(const struct alert *a, const struct detector_config *rule)
{
    return readings_looked_at(rule) > least_readings(rule) && anomalous_readings(a, rule) > 0;
}

static_assert(CHATTER_FACTOR * DETECTOR_CLEAR_READINGS_MAX <= UINT8_MAX, "quiet ends there");

static bool quiet_enough(const struct alert *a, const struct detector_config *rule)
{
    uint32_t least = rule->clear_readings;
    return a->quiet >= (a->chattering && least > 1 ? CHATTER_FACTOR * least : least);
}

/* --- from verdicts to revisions --- */

static enum alert_transition tell(struct alert *a, enum alert_transition what)
{
    a->revision++;
    return what;
}

static enum alert_transition raise(struct alert *a, const struct detector_config *rule,
                                   int64_t t_ms)
{
    set_state(a, ALERT_RAISED, t_ms);
    a->number++;
    a->revision = 0;
    a->raised_ms = t_ms;
    a->acknowledged = a->alarmed = a->over_budget = a->in_storm = a->owed = false;
    a->late_steps = 0;
    a->member = 0;
    note_change(a, rule, t_ms);
    return tell(a, ALERT_RAISE);
}

static enum alert_transition clear(struct alert *a, const struct detector_config *rule,
                                   int64_t t_ms)
{
    set_state(a, rule->cooldown_ms > 0 ? ALERT_COOLING : ALERT_QUIET, t_ms);
    a->owed = false;
    note_change(a, rule, t_ms);
    return tell(a, ALERT_CLEAR);
}

static uint16_t thousandths(float term)
{
    if (term >= 65)
        return UINT16_MAX;
    if (term <= 0)
        return 0;
    return (uint16_t)(1000 * term + 0.5f);
}

static void note(struct alert *a, const struct detector_config *rule,
                 const struct verdict *verdict, int64_t event_time_ms)
{
    a->count++;
    a->last_event_ms = event_time_ms;
    if (verdict->reason != REASON_NONE)
        a->reason = verdict->reason;
    if (rule->escalate_score > 0 && verdict->threshold > 0 &&
        verdict->score >= rule->escalate_score * verdict->threshold)
        a->far = true;
    if (a->count > 1 && verdict->score <= a->peak.score)
        return;
    a->peak = (struct alert_figures){ verdict->observed, verdict->low, verdict->high,
                                      verdict->score, verdict->threshold };
    a->about = verdict->about;
    for (int i = 0; i < REASON_TERMS; i++)
        a->terms[i] = thousandths(verdict->terms[i]);
}

static void begin(struct alert *a, const struct detector_config *rule,
                  const struct verdict *verdict, int64_t event_time_ms, int64_t t_ms)
{
    set_state(a, ALERT_PENDING, t_ms);
    a->count = 0;
    a->judged = 0;
    a->onset_event_ms = event_time_ms;
    a->reason = REASON_NONE;
    a->far = false;
    note(a, rule, verdict, event_time_ms);
}

static enum alert_transition on_anomaly(struct alert *a, const struct detector_config *rule,
                                        int64_t t_ms, bool learning)
{
    switch (a->state) {
    case ALERT_QUIET:
    case ALERT_COOLING:
        assert(false);
        break;
    case ALERT_PENDING:
        a->learning = learning;
        a->judged = a->judged << 1 | 1;
        return t_ms - a->since_ms >= rule->for_ms && enough_readings(a, rule)
                   ? raise(a, rule, t_ms)
                   : ALERT_NO_CHANGE;
    case ALERT_CLEARING:
        set_state(a, ALERT_RAISED, t_ms);
        break;
    case ALERT_RAISED:
        break;
    }
    a->learning = a->learning && learning;
    escalate(a, rule, t_ms);
    return alert_severity(a, rule) != (enum severity)a->told_severity ? tell(a, ALERT_UPDATE)
                                                                      : ALERT_NO_CHANGE;
}

/* Gone for as long as its rule wants; a latch still keeps it until somebody has seen it. */
static bool gone_long_enough(const struct alert *a, const struct detector_config *rule,
                             int64_t t_ms)
{
    return t_ms - a->since_ms >= clear_after_ms(a, rule) && quiet_enough(a, rule);
}

static bool held_by_latch(const struct alert *a, const struct detector_config *rule)
{
    return rule->latch && !a->acknowledged;
}

bool alert_is_latched(const struct alert *a, const struct detector_config *rule, int64_t t_ms)
{
    return a->state == ALERT_CLEARING && held_by_latch(a, rule) && gone_long_enough(a, rule, t_ms);
}

static enum alert_transition on_normal(struct alert *a, const struct detector_config *rule,
                                       int64_t t_ms)
{
    switch (a->state) {
    case ALERT_QUIET:
    case ALERT_COOLING:
        return ALERT_NO_CHANGE;
    case ALERT_PENDING:
        a->judged <<= 1;
        if (lasts(a, rule))
            return ALERT_NO_CHANGE;
        set_state(a, ALERT_QUIET, t_ms);
        a->revision = 0; /* what was known of the one before is written over */
        return ALERT_NO_CHANGE;
    case ALERT_RAISED:
        set_state(a, ALERT_CLEARING, t_ms);
        a->quiet = 0;
        break;
    case ALERT_CLEARING:
        break;
    }
    a->quiet = (uint8_t)(a->quiet + (a->quiet < UINT8_MAX));
    bool over = gone_long_enough(a, rule, t_ms) && !held_by_latch(a, rule);
    return over ? clear(a, rule, t_ms) : ALERT_NO_CHANGE;
}

bool alert_is_live(const struct alert *a)
{
    return a->state != ALERT_QUIET && a->state != ALERT_COOLING;
}

bool alert_is_open(const struct alert *a)
{
    return a->state == ALERT_RAISED || a->state == ALERT_CLEARING;
}

bool alert_is_past(const struct alert *a)
{
    return !alert_is_live(a) && a->revision > 0;
}

int64_t alert_cool_ms(const struct alert *a, const struct detector_config *rule)
{
    return a->state == ALERT_COOLING ? a->since_ms + rule->cooldown_ms : INT64_MIN;
}

static bool is_cooling(const struct alert *a, const struct detector_config *rule, int64_t t_ms)
{
    return t_ms < alert_cool_ms(a, rule);
}

enum alert_transition alert_on_verdict(struct alert *a, const struct detector_config *rule,
                                       const struct verdict *verdict, int64_t event_time_ms,
                                       int64_t t_ms, bool learning)
{
    if (!verdict->known)
        return ALERT_NO_CHANGE;
    if (!verdict->anomalous)
        return on_normal(a, rule, t_ms);
    if (is_cooling(a, rule, t_ms)) {
        a->suppressed++;
        return ALERT_NO_CHANGE;
    }
    if (alert_is_live(a))
        note(a, rule, verdict, event_time_ms);
    else
        begin(a, rule, verdict, event_time_ms, t_ms);
    return on_anomaly(a, rule, t_ms, learning);
}

enum alert_transition alert_withdraw(struct alert *a, int64_t t_ms)
{
    assert(alert_is_open(a));
    set_state(a, ALERT_QUIET, t_ms);
    return tell(a, ALERT_CLEAR);
}

int64_t alert_deadline(const struct alert *a, const struct detector_config *rule)
{
    switch (a->state) {
    case ALERT_PENDING:
        return enough_readings(a, rule) ? a->since_ms + rule->for_ms : INT64_MAX;
    case ALERT_CLEARING:
        return quiet_enough(a, rule) && !held_by_latch(a, rule)
                   ? a->since_ms + clear_after_ms(a, rule)
                   : INT64_MAX;
    case ALERT_RAISED:
        return escalation_ms(a, rule);
    case ALERT_QUIET:
    case ALERT_COOLING:
        break;
    }
    return INT64_MAX;
}

enum alert_transition alert_on_timer(struct alert *a, const struct detector_config *rule,
                                     int64_t t_ms)
{
    if (t_ms < alert_deadline(a, rule))
        return ALERT_NO_CHANGE;
    if (a->state == ALERT_PENDING)
        return raise(a, rule, t_ms);
    if (a->state == ALERT_CLEARING)
        return clear(a, rule, t_ms);
    escalate(a, rule, t_ms);
    return tell(a, ALERT_UPDATE);
}

bool alert_is_over(const struct alert *a, const struct detector_config *rule, int64_t t_ms,
                   int64_t wall_ms)
{
    return !alert_is_live(a) && !is_cooling(a, rule, t_ms) && a->shelved_until_ms <= wall_ms &&
           !changed_within(a, 0, t_ms, CHATTER_HOUR_MS) &&
           !(alert_is_past(a) && t_ms - a->since_ms < rule->keep_ms);
}

enum alert_transition alert_acknowledge(struct alert *a, const struct detector_config *rule,
                                        int64_t t_ms)
{
    if (!alert_is_open(a) || a->acknowledged)
        return ALERT_NO_CHANGE;
    bool over = alert_is_latched(a, rule, t_ms);
    a->acknowledged = true;
    a->owed = false; /* somebody knows */
    return over ? clear(a, rule, t_ms) : tell(a, ALERT_UPDATE);
}

/* Told anew, whatever its severity was in between. */
enum alert_transition alert_release(struct alert *a)
{
    if (!a->owed || !alert_is_open(a))
        return ALERT_NO_CHANGE;
    a->owed = false;
    a->told_severity = SEVERITY_LEARNING;
    return tell(a, ALERT_UPDATE);
}

enum alert_transition alert_shelve(struct alert *a, int64_t until_wall_ms)
{
    if (!alert_is_open(a) || a->shelved_until_ms == until_wall_ms)
        return ALERT_NO_CHANGE;
    a->shelved_until_ms = until_wall_ms;
    return tell(a, ALERT_UPDATE);
}
