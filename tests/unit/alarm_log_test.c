/* Goal: alerts are counted in the hour, and the day, in which they were raised, and floods for as
 * long as they last. Method: a random walk through a week, with raises, floods and long silences,
 * against a plain list of all that happened; saved and loaded between the steps.
 * Links: pipeline/alerts/alarm_log.c pipeline/alerts/severity.c pipeline/bytes.c */
#include "pipeline/alerts/alarm_log.h"

#include <string.h>

#include "tests/lib/check.h"

enum { EVENTS = 4000, HOUR = 3600000 };

struct event {
    int64_t t_ms, until_ms; /* of a flood; until_ms 0: a raise */
    enum severity severity;
};

static void through_store(struct alarm_log *log)
{
    uint8_t bytes[4096];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    alarm_log_save(log, &w);
    assert_false(w.failed);
    memset(log, 0x5a, sizeof *log);
    struct byte_reader r = { bytes, w.used, 0, false };
    alarm_log_load(log, &r);
    assert_true(!r.failed && r.used == r.bytes);
}

static int64_t overlap(const struct event *e, int64_t from_ms, int64_t to_ms)
{
    int64_t begin = e->t_ms > from_ms ? e->t_ms : from_ms;
    int64_t end = e->until_ms < to_ms ? e->until_ms : to_ms;
    return end > begin ? end - begin : 0;
}

/* The log's sum from an hour on, told from the list. */
static void compare(const struct alarm_log *log, const struct event *events, int count,
                    int64_t first, int64_t last)
{
    struct alarm_hour want = { .raised = 0 };
    uint32_t busiest = 0, want_busiest = 0;
    int64_t flood_ms = 0;
    for (int64_t hour = first; hour <= last; hour++) {
        uint32_t raised = 0;
        for (int i = 0; i < count; i++) {
            const struct event *e = &events[i];
            if (e->until_ms > 0) {
                flood_ms += overlap(e, hour * HOUR, (hour + 1) * HOUR);
            } else if (e->t_ms / HOUR == hour) {
                want.learning += e->severity == SEVERITY_LEARNING;
                raised += e->severity != SEVERITY_LEARNING;
                if (e->severity != SEVERITY_LEARNING)
                    want.of_severity[e->severity]++;
            }
        }
        want.raised += raised;
        want_busiest = raised > want_busiest ? raised : want_busiest;
    }
    want.flood_ms = (uint32_t)flood_ms;
    struct alarm_hour got = alarm_log_sum(log, first * HOUR, &busiest);
    assert_memory_equal(&got, &want, sizeof got);
    assert_int_equal(busiest, want_busiest);
}

static void hours_are_what_happened_in_them(void **state)
{
    static struct event events[EVENTS];
    struct alarm_log log = { .hour = 0 };
    uint64_t seed = check_seed();
    int64_t t_ms = 0;
    (void)state;
    for (int i = 0; i < EVENTS; i++) {
        int64_t span_ms = rnd(&seed) % 300 == 0 ? 60 * (int64_t)HOUR : HOUR / 10;
        struct event *e = &events[i];
        *e = (struct event){ .t_ms = t_ms };
        t_ms += (int64_t)(rnd(&seed) % (uint64_t)span_ms);
        if (rnd(&seed) % 4 == 0) {
            e->until_ms = t_ms;
            alarm_log_flood(&log, e->t_ms, t_ms);
        } else {
            e->t_ms = t_ms;
            e->severity = (enum severity)(rnd(&seed) % 6) - 1;
            alarm_log_raise(&log, t_ms, e->severity);
        }
        if (i % 7 == 0)
            through_store(&log);
        int64_t last = log.hour, first = last - (int64_t)(rnd(&seed) % ALARM_LOG_HOURS);
        if (i % 20 == 0)
            compare(&log, events, i + 1, first > 0 ? first : 0, last);
    }
}

static void days_are_two(void **state)
{
    struct alarm_days days = { 0 };
    const int64_t day = 24 * (int64_t)HOUR;
    (void)state;
    assert_int_equal(alarm_days_add(&days, 5), 1);
    assert_int_equal(alarm_days_add(&days, day - 1), 2);
    assert_int_equal(alarm_days_add(&days, day), 1);
    assert_int_equal(alarm_days_sum(&days, day), 3);
    assert_int_equal(alarm_days_sum(&days, 2 * day), 1);
    assert_int_equal(alarm_days_sum(&days, 3 * day), 0);
    assert_int_equal(alarm_days_add(&days, 5 * day), 1);
    assert_int_equal(alarm_days_sum(&days, 5 * day), 1);
    assert_int_equal(alarm_days_from(day - 1), 0);
    assert_int_equal(alarm_days_from(3 * day + 7), 2 * day);
    days.today = UINT16_MAX;
    assert_int_equal(alarm_days_add(&days, 5 * day), UINT16_MAX);
}

static void a_damaged_log_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    struct alarm_log log = { .hour = 3 };
    log.hours[2].flood_ms = HOUR + 1;
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    alarm_log_save(&log, &w);
    struct byte_reader r = { bytes, w.used, 0, false };
    alarm_log_load(&log, &r);
    assert_true(r.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hours_are_what_happened_in_them),
        cmocka_unit_test(days_are_two),
        cmocka_unit_test(a_damaged_log_is_refused),
    };
    return cmocka_run_group_tests_name("alarm_log", tests, NULL, NULL);
}
