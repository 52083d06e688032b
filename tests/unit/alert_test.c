/* Goal: the alert's state machine tells each revision once, at the right time, and its identity never
 * changes. Method: timelines as tables (t, verdict or timer, what is told, the state after), saving and
 * loading between every two steps; then a random walk that checks what must always hold.
 * Links: pipeline/alerts/%.c pipeline/bytes.c pipeline/hash.c */
#include "pipeline/alerts/alert.h"

#include <string.h>

#include "tests/lib/check.h"

enum happening { END, NORMAL, ANOMALY, UNKNOWN, TIMER };

struct step {
    int64_t t_ms;
    enum happening what;
    double score;
    enum alert_transition want;
    enum alert_state state;
};

struct timeline {
    const char *name;
    int64_t for_ms, clear_after_ms, cooldown_ms;
    struct step steps[10];
};

static const struct timeline TIMELINES[] = {
    { "at once", 0, 0, 0, {
        { 10, ANOMALY, 5, ALERT_RAISE, ALERT_RAISED },
        { 20, ANOMALY, 5, ALERT_NO_CHANGE, ALERT_RAISED },
        { 30, UNKNOWN, 0, ALERT_NO_CHANGE, ALERT_RAISED },
        { 40, NORMAL, 0, ALERT_CLEAR, ALERT_QUIET },
        { 40, ANOMALY, 5, ALERT_RAISE, ALERT_RAISED } } },
    { "for", 100, 0, 0, {
        { 10, ANOMALY, 5, ALERT_NO_CHANGE, ALERT_PENDING },
        { 50, NORMAL, 0, ALERT_NO_CHANGE, ALERT_QUIET },
        { 60, ANOMALY, 5, ALERT_NO_CHANGE, ALERT_PENDING },
        { 159, TIMER, 0, ALERT_NO_CHANGE, ALERT_PENDING },
        { 160, TIMER, 0, ALERT_RAISE, ALERT_RAISED } } },
    { "for, by a reading", 100, 0, 0, {
        { 10, ANOMALY, 5, ALERT_NO_CHANGE, ALERT_PENDING },
        { 110, ANOMALY, 5, ALERT_RAISE, ALERT_RAISED } } },
    { "clear after", 0, 100, 0, {
        { 10, ANOMALY, 5, ALERT_RAISE, ALERT_RAISED },
        { 20, NORMAL, 0, ALERT_NO_CHANGE, ALERT_CLEARING },
        { 60, ANOMALY, 5, ALERT_NO_CHANGE, ALERT_RAISED },
        { 70, NORMAL, 0, ALERT_NO_CHANGE, ALERT_CLEARING },
        { 169, NORMAL, 0, ALERT_NO_CHANGE, ALERT_CLEARING },
        { 170, TIMER, 0, ALERT_CLEAR, ALERT_QUIET } } },
    { "cool-down", 0, 0, 100, {
        { 10, ANOMALY, 5, ALERT_RAISE, ALERT_RAISED },
        { 20, NORMAL, 0, ALERT_CLEAR, ALERT_COOLING },
        { 119, ANOMALY, 5, ALERT_NO_CHANGE, ALERT_COOLING },
        { 120, ANOMALY, 5, ALERT_RAISE, ALERT_RAISED } } },
    { "cool-down, with `for`", 50, 0, 100, {
        { 10, ANOMALY, 5, ALERT_NO_CHANGE, ALERT_PENDING },
        { 60, TIMER, 0, ALERT_RAISE, ALERT_RAISED },
        { 70, NORMAL, 0, ALERT_CLEAR, ALERT_COOLING },
        { 170, ANOMALY, 5, ALERT_NO_CHANGE, ALERT_PENDING },
        { 180, NORMAL, 0, ALERT_NO_CHANGE, ALERT_QUIET },
        { 181, ANOMALY, 5, ALERT_NO_CHANGE, ALERT_PENDING } } },
    { "no updates", 0, 0, 0, {
        { 0, ANOMALY, 4, ALERT_RAISE, ALERT_RAISED },
        { 60000, ANOMALY, 99, ALERT_NO_CHANGE, ALERT_RAISED },
        { 3600000, ANOMALY, 999, ALERT_NO_CHANGE, ALERT_RAISED } } },
    { "chatter, in a minute", 0, 10, 0, {
        { 0, ANOMALY, 4, ALERT_RAISE, ALERT_RAISED },
        { 50000, NORMAL, 0, ALERT_NO_CHANGE, ALERT_CLEARING },
        { 50010, TIMER, 0, ALERT_CLEAR, ALERT_QUIET },
        { 60000, ANOMALY, 4, ALERT_RAISE, ALERT_RAISED },
        { 60001, NORMAL, 0, ALERT_NO_CHANGE, ALERT_CLEARING },
        { 60011, TIMER, 0, ALERT_NO_CHANGE, ALERT_CLEARING },
        { 80001, TIMER, 0, ALERT_CLEAR, ALERT_QUIET } } },
};

static void through_store(struct alert *a)
{
    uint8_t bytes[512];
    enum reason reason = a->reason;
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    alert_save(a, &w);
    assert_false(w.failed);
    memset(a, 0x5a, sizeof *a);
    struct byte_reader r = { bytes, w.used, 0, false };
    alert_load(a, &r);
    assert_true(!r.failed && r.used == r.bytes);
    assert_int_equal(a->reason, reason);
}

static enum alert_transition take(struct alert *a, const struct detector_config *rule,
                                  const struct step *step)
{
    struct verdict verdict = { .known = step->what != UNKNOWN, .anomalous = step->what == ANOMALY,
                               .score = step->score, .threshold = 1,
                               .reason = step->score >= 10 ? REASON_SPIKE : REASON_PATTERN };
    return step->what == TIMER ? alert_on_timer(a, rule, step->t_ms)
                               : alert_on_verdict(a, rule, &verdict, step->t_ms, step->t_ms, false);
}

static void follows_its_timelines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof TIMELINES / sizeof TIMELINES[0]; i++) {
        const struct timeline *line = &TIMELINES[i];
        struct detector_config rule = { .for_ms = line->for_ms,
                                        .clear_after_ms = line->clear_after_ms,
                                        .cooldown_ms = line->cooldown_ms,
                                        .chatter = line->clear_after_ms == 10 };
        struct alert a;
        alert_init(&a);
        for (const struct step *step = line->steps; step->what != END; step++) {
            enum alert_transition got = take(&a, &rule, step);
            if (got != step->want || a.state != step->state)
                fail_msg("%s, step %d: told %d, state %d", line->name, (int)(step - line->steps),
                         (int)got, (int)a.state);
            through_store(&a);
        }
    }
}

static void tells_the_most_anomalous_since_the_last_revision(void **state)
{
    (void)state;
    struct detector_config rule = { .for_ms = 100 };
    struct alert a;
    alert_init(&a);
    static const double scores[] = { 3, 8, 5 };
    for (int i = 0; i < 3; i++) {
        struct verdict v = { .known = true, .anomalous = true, .score = scores[i] };
        alert_on_verdict(&a, &rule, &v, 1000 + i, 10 * i, true);
    }
    assert_int_equal(alert_deadline(&a, &rule), 100);
    assert_int_equal(alert_on_timer(&a, &rule, 100), ALERT_RAISE);
    assert_true(a.peak.score == 8);
    assert_true(a.count == 3 && a.number == 1 && a.revision == 1 && a.learning);
    assert_true(a.onset_event_ms == 1000 && a.last_event_ms == 1002);
}

/* Told again once, at the first anomaly after learning, and not while it is about to clear. */
static void the_end_of_learning_is_told(void **state)
{
    (void)state;
    struct detector_config rule = { .clear_after_ms = 100 };
    struct verdict bad = { .known = true, .anomalous = true, .score = 5 }, good = { .known = true };
    struct alert a;
    alert_init(&a);
    assert_int_equal(alert_on_verdict(&a, &rule, &bad, 1, 1, true), ALERT_RAISE);
    a.told_severity = SEVERITY_LEARNING; /* as the engine does */
    assert_int_equal(alert_on_verdict(&a, &rule, &bad, 2, 2, true), ALERT_NO_CHANGE);
    assert_true(a.learning);
    assert_int_equal(alert_on_verdict(&a, &rule, &good, 3, 3, false), ALERT_NO_CHANGE);
    assert_true(a.learning && a.state == ALERT_CLEARING);
    through_store(&a);
    assert_int_equal(alert_on_verdict(&a, &rule, &bad, 4, 4, false), ALERT_UPDATE);
    assert_true(!a.learning && a.revision == 2 && a.number == 1);
    a.told_severity = SEVERITY_INFO;
    assert_int_equal(alert_on_verdict(&a, &rule, &bad, 5, 5, false), ALERT_NO_CHANGE);
}

/* A letter a second. Readings: A anomalous, n usual, a person: k acknowledges; t: nothing but time. What is told: r raised,
 * u updated, c cleared. */
static void delays_count_readings_and_a_latch_waits_for_people(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct detector_config rule;
        const char *given, *told;
    } CASES[] = {
        { "three in a row", { .for_readings = 3 }, "AAnAAAA", "-----r-" },
        { "three of five", { .for_readings = 3, .of_readings = 5 }, "AnAnA", "----r" },
        { "the first of them is too old", { .for_readings = 3, .of_readings = 5 }, "AnAnnA", "------" },
        { "and begins anew", { .for_readings = 2, .of_readings = 3 }, "AnnnAA", "-----r" },
        { "of fewer than it must be", { .for_readings = 2, .of_readings = 1 }, "AnAA", "---r" },
        { "both delays, the time later", { .for_readings = 2, .for_ms = 3000 }, "AAAtA", "---r-" },
        { "both delays, the readings later", { .for_readings = 3, .for_ms = 1000 }, "AAttA", "----r" },
        { "a reading that breaks it", { .for_readings = 2, .for_ms = 3000 }, "AAnAAtt", "------r" },
        { "three quiet ones", { .clear_readings = 3 }, "AnnAnntn", "r------c" },
        { "three quiet ones in time", { .clear_readings = 3, .clear_after_ms = 5000 }, "Annntttt", "r-----c-" },
        { "latched", { .latch = true }, "Annnkn", "r---c-" },
        { "latched, seen in time", { .latch = true }, "Akn", "ruc" },
        { "latched, and there again", { .latch = true }, "AnnAkAn", "r---u-c" },
        { "latched and young", { .latch = true, .clear_after_ms = 3000 }, "Ankttt", "r-u-c-" },
        { "latched and few", { .latch = true, .clear_readings = 3 }, "Ankntn", "r-u--c" },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const struct detector_config *rule = &CASES[i].rule;
        char told[16] = "";
        struct alert a;
        alert_init(&a);
        for (int at = 0; CASES[i].given[at] != '\0'; at++) {
            int64_t t_ms = 1000 * at;
            char what = CASES[i].given[at];
            struct verdict verdict = { .known = true, .anomalous = what == 'A', .score = what == 'A' ? 2 : 0 };
            enum alert_transition change = ALERT_NO_CHANGE;
            if (alert_deadline(&a, rule) <= t_ms)
                change = alert_on_timer(&a, rule, t_ms);
            else if (what == 'k')
                change = alert_acknowledge(&a, rule, t_ms);
            else if (what != 't')
                change = alert_on_verdict(&a, rule, &verdict, t_ms, t_ms, false);
            told[at] = "-ruc"[change];
            bool waits = rule->latch && a.state == ALERT_CLEARING && !a.acknowledged &&
                         t_ms - a.since_ms >= rule->clear_after_ms && a.quiet >= rule->clear_readings;
            assert_int_equal(alert_is_latched(&a, rule, t_ms), waits);
            a.told_severity = (int8_t)alert_severity(&a, rule);
            through_store(&a);
        }
        if (strcmp(told, CASES[i].told) != 0)
            fail_msg("%s: %s gave %s, not %s", CASES[i].name, CASES[i].given, told, CASES[i].told);
    }
}

static void flags_are_told_once(void **state)
{
    (void)state;
    struct detector_config rule = { .cooldown_ms = 0 };
    struct verdict bad = { .known = true, .anomalous = true, .score = 2 }, good = { .known = true };
    struct alert a;
    alert_init(&a);
    assert_int_equal(alert_acknowledge(&a, &rule, 9), ALERT_NO_CHANGE);
    alert_on_verdict(&a, &rule, &bad, 1, 1, false);
    assert_int_equal(alert_acknowledge(&a, &rule, 9), ALERT_UPDATE);
    assert_int_equal(alert_acknowledge(&a, &rule, 9), ALERT_NO_CHANGE);
    assert_int_equal(alert_shelve(&a, 99), ALERT_UPDATE);
    assert_int_equal(alert_shelve(&a, 99), ALERT_NO_CHANGE);
    assert_int_equal(alert_shelve(&a, 0), ALERT_UPDATE);
    assert_int_equal(a.revision, 4);
    alert_on_verdict(&a, &rule, &good, 7, 7, false);
    alert_on_verdict(&a, &rule, &bad, 8, 8, false);
    assert_true(a.number == 2 && a.revision == 1 && !a.acknowledged);
}

static void identities_differ_and_stay(void **state)
{
    (void)state;
    struct hash_key store = { 1, 2 };
    char id[ALERT_ID_BYTES + 1], other[ALERT_ID_BYTES + 1];
    struct hash128 key = alert_key(store, text_of("ab"), text_of("c"), text_of("high"), 1);
    alert_id_of(key, id);
    assert_int_equal(strlen(id), ALERT_ID_BYTES);
    alert_id_of(alert_key(store, text_of("a"), text_of("bc"), text_of("high"), 1), other);
    assert_string_not_equal(id, other);
    alert_id_of(alert_key(store, text_of("ab"), text_of("c"), text_of("high"), 2), other);
    assert_string_not_equal(id, other);
    alert_id_of((struct hash128){ 0, 0 }, id);
    assert_string_equal(id, "00000000000000000000000000");
    alert_id_of((struct hash128){ UINT64_MAX, UINT64_MAX }, id);
    assert_string_equal(id, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
}

/* What is to be told of severity, step by step: t, the score over the threshold, and what is told. */
static void severity_rises(void **state)
{
    (void)state;
    static const struct {
        int64_t t_ms;
        double score; /* 0: the timer */
        enum alert_transition want;
        enum severity severity;
    } STEPS[] = { { 0, 1, ALERT_RAISE, SEVERITY_WARNING },
                  { 10, 2.9, ALERT_NO_CHANGE, SEVERITY_WARNING },
                  { 20, 3, ALERT_UPDATE, SEVERITY_MINOR },
                  { 30, 9, ALERT_NO_CHANGE, SEVERITY_MINOR },
                  { 999, 0, ALERT_NO_CHANGE, SEVERITY_MINOR },
                  { 1000, 0, ALERT_UPDATE, SEVERITY_MAJOR },
                  { 4000, 0, ALERT_NO_CHANGE, SEVERITY_MAJOR } };
    struct detector_config rule = { .severity = SEVERITY_WARNING, .escalate_after_ms = 1000,
                                    .escalate_score = 3 };
    struct alert a;
    alert_init(&a);
    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0]; i++) {
        struct verdict v = { .known = true, .anomalous = true, .score = 7 * STEPS[i].score,
                             .threshold = 7 };
        enum alert_transition got =
            STEPS[i].score > 0 ? alert_on_verdict(&a, &rule, &v, 1, STEPS[i].t_ms, false)
                               : alert_on_timer(&a, &rule, STEPS[i].t_ms);
        assert_int_equal(got, STEPS[i].want);
        assert_int_equal(alert_severity(&a, &rule), STEPS[i].severity);
        a.told_severity = (int8_t)alert_severity(&a, &rule); /* as the engine does */
        through_store(&a);
    }
    assert_true(alert_deadline(&a, &rule) == INT64_MAX);
}

/* Twice with time, unless somebody has taken it up; not info, and critical is the end. */
static void severity_rises_with_time(void **state)
{
    (void)state;
    struct verdict bad = { .known = true, .anomalous = true, .score = 2 };
    static const struct {
        enum severity severity, after_1, after_4;
    } CASES[] = { { SEVERITY_INFO, SEVERITY_INFO, SEVERITY_INFO },
                  { SEVERITY_WARNING, SEVERITY_MINOR, SEVERITY_MAJOR },
                  { SEVERITY_MINOR, SEVERITY_MAJOR, SEVERITY_MAJOR },
                  { SEVERITY_CRITICAL, SEVERITY_CRITICAL, SEVERITY_CRITICAL } };
    for (size_t i = 0; i < 2 * sizeof CASES / sizeof CASES[0]; i++) {
        bool acknowledged = i % 2;
        struct detector_config rule = { .severity = CASES[i / 2].severity, .escalate_after_ms = 100 };
        struct alert a;
        alert_init(&a);
        alert_on_verdict(&a, &rule, &bad, 1, 50, false);
        if (acknowledged)
            alert_acknowledge(&a, &rule, 9);
        while (alert_deadline(&a, &rule) <= 150)
            assert_int_equal(alert_on_timer(&a, &rule, 150), ALERT_UPDATE);
        assert_int_equal(alert_severity(&a, &rule),
                         acknowledged ? CASES[i / 2].severity : CASES[i / 2].after_1);
        while (alert_deadline(&a, &rule) <= 450)
            assert_int_equal(alert_on_timer(&a, &rule, alert_deadline(&a, &rule)), ALERT_UPDATE);
        assert_int_equal(alert_severity(&a, &rule),
                         acknowledged ? CASES[i / 2].severity : CASES[i / 2].after_4);
    }
}

/* Against a list of all changes: three in a minute or six in an hour; kept until an hour is quiet. */
static void chatter_is_what_changes_too_often(void **state)
{
    (void)state;
    enum { CHANGES = 3000 };
    static int64_t changes[CHANGES];
    uint64_t seed = check_seed();
    struct detector_config rule = { .chatter = true };
    struct verdict bad = { .known = true, .anomalous = true, .score = 2 }, good = { .known = true };
    struct alert a;
    alert_init(&a);
    bool chatters = false;
    int64_t t_ms = 0;
    uint32_t seen = 0;
    for (int i = 0; i < CHANGES; i++) {
        int64_t span_s = rnd(&seed) % 20 == 0 ? 5000 : rnd(&seed) % 3 ? 2000 : 60;
        t_ms += 1000 * (21 + (int64_t)(rnd(&seed) % (uint64_t)span_s));
        bool open = alert_is_open(&a);
        if (open && a.chattering) { /* it is only cleared after twenty seconds */
            assert_int_equal(alert_on_verdict(&a, &rule, &good, 1, t_ms - 20000, false), ALERT_NO_CHANGE);
            assert_int_equal(alert_on_timer(&a, &rule, t_ms - 1), ALERT_NO_CHANGE);
            assert_int_equal(alert_on_timer(&a, &rule, t_ms), ALERT_CLEAR);
        } else {
            alert_on_verdict(&a, &rule, open ? &good : &bad, 1, t_ms, false);
        }
        assert_int_equal(alert_is_open(&a), !open);
        changes[i] = t_ms;
        if (i > 0 && t_ms - changes[i - 1] > 3600000)
            chatters = false;
        chatters |= i >= 2 && t_ms - changes[i - 2] <= 60000;
        chatters |= i >= 5 && t_ms - changes[i - 5] <= 3600000;
        assert_int_equal(a.chattering, chatters);
        seen += chatters;
        assert_int_equal(alert_is_over(&a, &rule, t_ms + 3600000, 0), false);
        assert_int_equal(alert_is_over(&a, &rule, t_ms + 3600001, 0), open);
        through_store(&a);
    }
    assert_in_range(seen, CHANGES / 20, CHANGES - CHANGES / 20);
}

/* Always: revisions grow by one, a raise begins at 1 with a new number, updates change the severity. */
static void walks_at_random(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct detector_config rule = { .for_ms = 300, .clear_after_ms = 500, .cooldown_ms = 2000,
                                    .severity = SEVERITY_WARNING, .escalate_after_ms = 9000,
                                    .escalate_score = 3 };
    struct alert a;
    alert_init(&a);
    int64_t t_ms = 0, cool_ms = 0;
    uint32_t told[4] = { 0 };
    for (int i = 0; i < 50000; i++) {
        const struct alert before = a;
        struct step step = { .what = rnd(&seed) % 3 == 0 ? NORMAL : ANOMALY };
        int64_t next_ms = t_ms + (int64_t)(rnd(&seed) % (rnd(&seed) % 8 == 0 ? 40000 : 400));
        if (alert_deadline(&a, &rule) <= next_ms) {
            next_ms = alert_deadline(&a, &rule);
            step.what = TIMER;
        }
        step.t_ms = t_ms = next_ms;
        step.score = 2 + 2 * rnd_unit(&seed) * rnd_unit(&seed);
        enum alert_transition got = take(&a, &rule, &step);
        told[got]++;
        assert_int_equal(a.number, before.number + (got == ALERT_RAISE));
        if (got == ALERT_RAISE)
            assert_true(a.revision == 1 && t_ms >= cool_ms);
        else
            assert_int_equal(a.revision, before.state == ALERT_PENDING ? a.state == ALERT_PENDING ? before.revision : 0
                                         : before.revision + (got != ALERT_NO_CHANGE));
        if (got == ALERT_CLEAR)
            cool_ms = t_ms + rule.cooldown_ms;
        assert_int_equal(alert_is_over(&a, &rule, t_ms, 0),
                         !alert_is_live(&a) && (a.state == ALERT_QUIET || t_ms >= cool_ms));
        if (got == ALERT_UPDATE)
            assert_true(alert_severity(&a, &rule) > (enum severity)before.told_severity);
        if (got != ALERT_NO_CHANGE)
            a.told_severity = (int8_t)alert_severity(&a, &rule);
        else if (alert_is_open(&a) && a.state == ALERT_RAISED)
            assert_int_equal(alert_severity(&a, &rule), a.told_severity);
        assert_true(alert_deadline(&a, &rule) > t_ms);
        through_store(&a);
    }
    assert_true(told[ALERT_RAISE] > 100 && told[ALERT_UPDATE] > 0);
    assert_in_range(told[ALERT_RAISE] - told[ALERT_CLEAR], 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_its_timelines),
        cmocka_unit_test(tells_the_most_anomalous_since_the_last_revision),
        cmocka_unit_test(the_end_of_learning_is_told),
        cmocka_unit_test(delays_count_readings_and_a_latch_waits_for_people),
        cmocka_unit_test(flags_are_told_once),
        cmocka_unit_test(severity_rises),
        cmocka_unit_test(severity_rises_with_time),
        cmocka_unit_test(chatter_is_what_changes_too_often),
        cmocka_unit_test(identities_differ_and_stay),
        cmocka_unit_test(walks_at_random),
    };
    return cmocka_run_group_tests_name("alert", tests, NULL, NULL);
}
