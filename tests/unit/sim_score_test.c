/* Goal: the report's arithmetic says what happened, at the edges too. Method: tables of one fault and one alert, then
 * seeded journals with known losses and repetitions against what was planted.
 * Links: simulator/score.c */
#include "simulator/score.h"

#include "tests/lib/check.h"

enum { START = 100000, END = 105000, PUBLISHED = 500000 };

static void a_fault_is_detected_by_the_right_alert(void **state)
{
    (void)state;
    static const struct {
        enum fault_kind kind;
        uint64_t device, series;
        bool learning;
        int64_t event_ms;
        bool detected, false_alarm;
    } table[] = {
        { FAULT_SHIFT, 1, 10, false, START, true, false },
        { FAULT_SHIFT, 1, 10, false, START - 1, false, true },
        { FAULT_SHIFT, 1, 10, false, END + SCORE_MARGIN_MS, true, false },
        { FAULT_SHIFT, 1, 10, false, END + SCORE_MARGIN_MS + 1, false, false },
        { FAULT_SPIKE, 1, 10, false, END + SCORE_SPIKE_MARGIN_MS, true, false },
        { FAULT_SPIKE, 1, 10, false, END + SCORE_SPIKE_MARGIN_MS + 1, false, false },
        { FAULT_SPIKE, 1, 10, false, END + SCORE_AFTERMATH_MS, false, false },
        { FAULT_SPIKE, 1, 10, false, END + SCORE_AFTERMATH_MS + 1, false, true },
        { FAULT_SPIKE, 1, 10, true, START, false, false },
        { FAULT_SPIKE, 1, 11, false, START, false, false }, /* the device's other metric */
        { FAULT_SPIKE, 2, 20, false, START, false, true },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct score_fault f = { .device = 1, .series = 10, .kind = table[i].kind,
                                 .start_ms = START, .end_ms = END, .published_ms = PUBLISHED };
        struct score_alert a = { .device = table[i].device, .series = table[i].series,
                                 .learning = table[i].learning, .event_ms = table[i].event_ms };
        score_match(&f, 1, &a, 1);
        assert_int_equal(f.detected, table[i].detected);
        assert_int_equal(a.false_alarm, table[i].false_alarm);
    }
}

static void the_first_to_arrive_counts(void **state)
{
    (void)state;
    struct score_fault f = { .device = 1, .series = 10, .kind = FAULT_SHIFT, .start_ms = START,
                             .end_ms = END, .published_ms = PUBLISHED };
    struct score_alert alerts[] = {
        { .device = 1, .series = 10, .event_ms = START, .arrived_ms = PUBLISHED + 900 },
        { .device = 1, .series = 10, .event_ms = END, .arrived_ms = PUBLISHED + 400 },
        { .device = 1, .series = 10, .event_ms = START, .arrived_ms = PUBLISHED, .learning = true },
    };
    score_match(&f, 1, alerts, 3);
    assert_int_equal(score_delay_ms(&f, NULL, 0), 400);
}

static void delays_count_from_the_end_of_an_outage(void **state)
{
    (void)state;
    static const struct { int64_t start_ms, end_ms, want_ms; } table[] = {
        { 0, 50, 900 },      /* over before */
        { 0, 100, 900 },     /* ended as it was published */
        { 0, 400, 600 },     /* published within it */
        { 300, 700, 300 },   /* between publication and arrival */
        { 1000, 1500, 900 }, /* began when it had arrived */
        { 900, 1200, 0 },    /* arrived within it */
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct score_fault f = { .published_ms = 100, .detected = true, .arrived_ms = 1000 };
        struct score_outage o = { table[i].start_ms, table[i].end_ms };
        assert_int_equal(score_delay_ms(&f, &o, 1), table[i].want_ms);
    }
}

static void percentiles_are_of_the_nearest_rank(void **state)
{
    (void)state;
    int64_t values[100];
    for (int i = 0; i < 100; i++)
        values[i] = 100 - i;
    assert_int_equal(score_percentile(values, 100, 50), 50);
    assert_int_equal(score_percentile(values, 100, 99), 99);
    assert_int_equal(score_percentile(values, 100, 100), 100);
    assert_int_equal(score_percentile(values, 1, 99), 1);
    assert_int_equal(score_percentile(values, 0, 99), 0);
}

static void losses_are_those_that_were_planted(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    static struct score_key published[MANY], journal[2 * MANY];
    uint64_t seed = check_seed();
    for (int round = 0; round < 20; round++) {
        struct score_loss want = { 0 };
        size_t count = 0;
        for (int i = 0; i < MANY; i++) {
            uint64_t fate = rnd(&seed) % 100;
            published[i] = (struct score_key){ rnd(&seed), fate != 0 };
            if (fate == 0)
                continue; /* never acknowledged, never stored: no loss */
            want.lost += fate == 1;
            if (fate == 1)
                continue;
            journal[count++] = published[i];
            if (fate == 2)
                journal[count++] = published[i];
            if (fate == 3)
                journal[count++] = (struct score_key){ rnd(&seed), false };
            want.duplicates += fate == 2;
            want.unknown += fate == 3;
        }
        struct score_loss got = score_compare(published, MANY, journal, count);
        assert_int_equal(got.lost, want.lost);
        assert_int_equal(got.duplicates, want.duplicates);
        assert_int_equal(got.unknown, want.unknown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_is_detected_by_the_right_alert),
        cmocka_unit_test(the_first_to_arrive_counts),
        cmocka_unit_test(delays_count_from_the_end_of_an_outage),
        cmocka_unit_test(percentiles_are_of_the_nearest_rank),
        cmocka_unit_test(losses_are_those_that_were_planted),
    };
    return cmocka_run_group_tests_name("sim_score", tests, NULL, NULL);
}
