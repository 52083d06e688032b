/* Alerts that outlived their rule: it is gone from the configuration, or watches their series no
 * more, or judges a stream that began anew, so nothing can clear them but this. They keep their
 * places in the pool of alerts: so all of them have one. Only a load finds them. They are told when
 * the journal says that the configuration under which they were found is in force, one at a time as
 * timers are, so that a rebuild knows how many have been. */
#include <assert.h>
#include <string.h>

#include "pipeline/engine/engine_state.h"

/* What is cleared for good chatters no more: where an alert remembers when it was raised and
 * cleared before stands what it is about. So none of this takes memory of its own. */
enum { ABOUT_DEVICE, ABOUT_SERIES, ABOUT_RULE, ABOUT };
static_assert((int)ABOUT <= (int)ALERT_CHANGES, "there is room for it");

static bool is_rule(const struct gone_rule *gone, const struct old_rule *rule)
{
    return gone->alerts > 0 && gone->kind == (uint8_t)rule->kind &&
           gone->severity == (uint8_t)rule->severity &&
           text_equal((struct text){ gone->name, gone->name_bytes }, rule->name);
}

/* Where it stands, or may. ENGINE_NONE: all places are taken. */
static uint32_t place_of_rule(const struct engine *e, const struct old_rule *rule)
{
    uint32_t vacant = ENGINE_NONE;
    for (uint32_t i = ENGINE_GONE_RULES_MAX; i > 0; i--) {
        if (is_rule(&e->gone_rules[i - 1], rule))
            return i - 1;
        if (e->gone_rules[i - 1].alerts == 0)
            vacant = i - 1;
    }
    return vacant;
}

static void add_to_rule(struct gone_rule *gone, const struct old_rule *rule)
{
    assert(rule->name.bytes >= 1 && rule->name.bytes <= sizeof gone->name);
    gone->alerts++;
    gone->name_bytes = (uint8_t)rule->name.bytes;
    gone->kind = (uint8_t)rule->kind;
    gone->severity = (uint8_t)rule->severity;
    memcpy(gone->name, rule->name.at, rule->name.bytes);
}

static void add(struct engine *e, const struct withdrawn *what, uint32_t place)
{
    uint32_t rule = place_of_rule(e, &what->rule);
    assert(rule != ENGINE_NONE);
    assert(e->withdrawn_count < e->alerts_max); /* there are no more places */
    uint32_t *about = e->alerts[place].alert.changes_s;
    about[ABOUT_DEVICE] = what->device;
    about[ABOUT_SERIES] = what->series;
    about[ABOUT_RULE] = rule;
    add_to_rule(&e->gone_rules[rule], &what->rule);
    e->withdraw_ms = INT64_MAX;
    e->withdrawn[e->withdrawn_count++] = place;
}

struct withdrawn engine_withdrawn(const struct engine *e, uint32_t index)
{
    struct alert *alert = &e->alerts[e->withdrawn[index]].alert;
    const uint32_t *about = alert->changes_s;
    const struct gone_rule *gone = &e->gone_rules[about[ABOUT_RULE]];
    return (struct withdrawn){ .device = about[ABOUT_DEVICE],
                               .series = about[ABOUT_SERIES],
                               .rule = { { gone->name, gone->name_bytes },
                                         (enum detector_kind)gone->kind,
                                         (enum severity)gone->severity },
                               .alert = alert };
}

uint32_t engine_unkept(const struct engine *engine)
{
    return engine->unkept;
}

void engine_withdraw(struct engine *e, const struct withdrawn *what)
{
    bool known = place_of_rule(e, &what->rule) != ENGINE_NONE;
    uint32_t place = known ? engine_take_place(e) : ENGINE_NONE;
    e->unkept += place == ENGINE_NONE;
    if (place == ENGINE_NONE)
        return;
    e->alerts[place].alert = *what->alert;
    e->counts.alerts_open++;
    e->devices[what->device].alerts_open++;
    add(e, what, place);
}

/* Of a stream that began anew no key remembers that a rule was true of it, so none would be told to
 * be well. What is not told yet is forgotten. */
static void withdraw_series(struct engine *e, uint32_t series)
{
    for (uint32_t i = 0; i < e->series[series].watch_count; i++) {
        struct watch *w = &engine_watches(e, series)[i];
        const struct detector_config *rule = &e->config->rules[w->rule];
        const struct withdrawn what = {
            .device = e->series[series].device, .series = series,
            .rule = { text_of(rule->name), rule->kind, rule->severity },
        };
        bool known = place_of_rule(e, &what.rule) != ENGINE_NONE;
        e->unkept += w->open && !known; /* it stays raised */
        uint32_t place = known ? engine_unwatch(e, w) : ENGINE_NONE;
        if (place != ENGINE_NONE)
            add(e, &what, place);
    }
}

void engine_withdraw_streams(struct engine *e, uint64_t streams)
{
    const uint32_t begin = (uint32_t)strlen(STREAM_METRIC);
    for (uint32_t s = 0; s < e->series_count && streams != 0; s++) {
        struct text metric = engine_name(e, e->series[s].metric);
        if (metric.bytes <= begin || memcmp(metric.at, STREAM_METRIC, begin) != 0)
            continue;
        struct text name = { metric.at + begin, metric.bytes - begin };
        for (uint32_t i = 0; i < e->config->streams.count; i++)
            if ((streams >> i & 1) != 0 &&
                text_equal(name, text_of(e->config->streams.plans[i].config->name))) {
                withdraw_series(e, s);
                engine_arm(e, s);
            }
    }
}

void engine_on_config(struct engine *e, const struct record *record)
{
    bool present = record->digest.bytes == sizeof e->config->digest &&
                   memcmp(record->digest.at, e->config->digest, record->digest.bytes) == 0;
    if (!present || e->withdrawn_count == 0 || e->withdraw_ms != INT64_MAX)
        return;
    e->withdraw_ms = record->t_ms;
    engine_arm_own(e);
}

int64_t engine_withdraw_deadline(const struct engine *e)
{
    assert(e->withdrawn_count > 0 || e->withdraw_ms == INT64_MAX);
    return e->withdraw_ms;
}

/* The one that was found last goes first: none has to move. */
void engine_fire_withdrawn(struct engine *e)
{
    assert(e->withdrawn_count > 0);
    const struct withdrawn last = engine_withdrawn(e, --e->withdrawn_count);
    engine_clear_withdrawn(e, &last);
    e->gone_rules[last.alert->changes_s[ABOUT_RULE]].alerts--;
    engine_give_place(e, e->withdrawn[e->withdrawn_count]);
    if (e->withdrawn_count == 0)
        e->withdraw_ms = INT64_MAX;
}
