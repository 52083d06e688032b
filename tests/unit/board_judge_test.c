/* Goal: the watchdog is fed for progress and for nothing else, the LED and the relay say what is so.
 * Method: a simulated machine that does what was wished, a gateway of four numbers, a look a second. Examples first, then
 * random histories against a model that knows only when progress was made.
 * Links: firmware/board/board_judge.c hal/sim/hal_sim.c pipeline/hash.c */
#include "tests/lib/check.h"

#include <string.h>

#include "firmware/board/board_judge.h"
#include "hal/sim/hal_sim.h"
#include "pipeline/err.h"

enum { LIMIT_S = 120, SILENCE_S = LIMIT_S / BOARD_PARTS_OF_TIMEOUT };

struct bench {
    struct board_judgement judgement;
    struct board_sight sight;
    struct board_wish wish;
    struct hal_sim machine;
    struct hal hal;
    bool held;        /* somebody else holds the watchdog */
    bool store_works; /* a self-test that is wished for comes back as a commit at the next look */
    bool tested;
    uint32_t self_tests;
};

static void bench_init(struct bench *b, uint32_t watchdog_most_s)
{
    memset(b, 0, sizeof *b);
    b->judgement.limit_ms = LIMIT_S * 1000;
    b->machine.watchdog_most_s = watchdog_most_s;
    b->machine.now.mono_ms = 5000000;
    for (int part = 0; part < HAL_PARTS; part++)
        b->machine.there[part] = true;
    b->hal = hal_sim(&b->machine);
    b->store_works = true;
}

static void do_what_is_wished(struct bench *b)
{
    uint32_t granted_s;
    if (b->wish.feed && b->held) {
        /* tried in vain */
    } else if (b->wish.feed && b->machine.watchdog_running) {
        assert_int_equal(b->hal.watchdog_feed(b->hal.ctx), 0);
    } else if (b->wish.feed) {
        assert_int_equal(b->hal.watchdog_start(b->hal.ctx, LIMIT_S, &granted_s), 0);
        b->judgement.granted_ms = (int64_t)granted_s * 1000;
    }
    b->self_tests += b->wish.self_test;
    b->tested = b->wish.self_test;
}

/* A second passes; `readings` were committed in it. */
static void second(struct bench *b, uint32_t readings)
{
    hal_sim_pass(&b->machine, 1000);
    b->sight.mono_ms = b->machine.now.mono_ms;
    b->sight.received += readings;
    b->sight.commits += readings > 0 || (b->tested && b->store_works);
    b->wish = board_judge(&b->judgement, &b->sight);
    do_what_is_wished(b);
}

static void seconds(struct bench *b, int count, uint32_t readings)
{
    for (int i = 0; i < count; i++)
        second(b, readings);
}

static int64_t seconds_to_reset(const struct bench *b, int64_t since_ms)
{
    assert_true(b->machine.reset_mono_ms > 0);
    return (b->machine.reset_mono_ms - since_ms) / 1000;
}

static void readings_feed_it(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0);
    seconds(&b, 3600, 5);
    assert_int_equal(b.machine.starts, 1);
    assert_in_range(b.machine.feeds, 3595, 3600);
    assert_int_equal(b.machine.reset_mono_ms, 0);
    assert_in_range(b.self_tests, 0, 1); /* before the first reading */
    assert_int_equal(b.wish.led, LED_GOOD);
}

static void silence_is_tested(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0);
    seconds(&b, 3600, 0);
    assert_int_equal(b.machine.starts, 1);
    assert_int_equal(b.machine.reset_mono_ms, 0);
    assert_in_range(b.self_tests, 3600 / (SILENCE_S + 2), 3600 / SILENCE_S + 1);
    assert_in_range(b.machine.feeds, b.self_tests - 2, b.self_tests); /* for nothing else */
}

static void store_that_stops_committing_resets_the_machine(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0);
    seconds(&b, 600, 1);
    int64_t last_ms = b.machine.now.mono_ms;
    b.store_works = false;
    seconds(&b, LIMIT_S / 2 + 1, 0);
    assert_int_equal(b.wish.led, LED_FAILED);
    assert_true(board_moves(&b.judgement, b.machine.now.mono_ms));
    seconds(&b, LIMIT_S, 0);
    assert_int_equal(seconds_to_reset(&b, last_ms), LIMIT_S);
    assert_false(board_moves(&b.judgement, b.machine.now.mono_ms));
    assert_true(b.self_tests >= 3); /* it was asked */
}

/* Commits go through, of fired timers say, but no reading does. */
static void readings_that_wait_are_not_silence(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0);
    seconds(&b, 600, 1);
    int64_t last_ms = b.machine.now.mono_ms;
    b.sight.waiting = true;
    uint32_t tests = b.self_tests;
    for (int i = 0; i < LIMIT_S + 5; i++) {
        b.sight.commits++;
        second(&b, 0);
    }
    assert_int_equal(seconds_to_reset(&b, last_ms), LIMIT_S);
    assert_int_equal(b.self_tests, tests);
}

static void watchdog_that_somebody_held_is_taken_at_once(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 15);
    b.held = true;
    seconds(&b, 3 * SILENCE_S + SILENCE_S / 2, 0);
    b.held = false;
    second(&b, 0); /* no progress in this second */
    assert_int_equal(b.machine.starts, 1);

    /* but not on the word of a process that stands still */
    bench_init(&b, 15);
    b.held = true;
    seconds(&b, 10, 1);
    b.sight.waiting = true;
    b.store_works = false;
    seconds(&b, LIMIT_S / 2 + 1, 0);
    b.held = false;
    seconds(&b, 10, 0);
    assert_int_equal(b.machine.starts, 0);
}

static void process_that_never_made_progress_feeds_nothing(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0);
    b.store_works = false;
    second(&b, 0);
    assert_int_equal(b.wish.led, LED_STARTING);
    assert_true(b.wish.self_test); /* at once */
    seconds(&b, 600, 0);
    assert_int_equal(b.machine.starts, 0);
    assert_int_equal(b.wish.led, LED_FAILED);
    b.store_works = true;
    seconds(&b, SILENCE_S + 2, 0);
    assert_int_equal(b.machine.starts, 1);
    assert_int_equal(b.wish.led, LED_GOOD);
}

/* What was committed before the first look may be years old. */
static void the_past_is_no_progress(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0);
    b.sight.commits = b.sight.received = b.sight.failures = 1000000;
    b.store_works = false;
    seconds(&b, 10, 0);
    assert_int_equal(b.machine.starts, 0);
}

static void short_watchdog_is_bridged_but_not_longer_than_the_limit(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 15);
    seconds(&b, 3600, 0); /* self-tests half a minute apart */
    assert_int_equal(b.machine.reset_mono_ms, 0);
    seconds(&b, 10, 1);
    int64_t last_ms = b.machine.now.mono_ms;
    b.store_works = false;
    seconds(&b, 3 * LIMIT_S, 0);
    assert_in_range(seconds_to_reset(&b, last_ms), LIMIT_S - 15, LIMIT_S);
}

static void full_disk_is_an_answer_and_another_error_is_not(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0);
    seconds(&b, 60, 1);
    b.sight.waiting = true;
    b.sight.disk_full = true;
    b.sight.health = HEALTH_FAILED;
    for (int i = 0; i < 5 * LIMIT_S; i++) {
        b.sight.failures++;
        second(&b, 0);
    }
    assert_int_equal(b.machine.reset_mono_ms, 0);
    assert_int_equal(b.wish.led, LED_FAILED);
    int64_t last_ms = b.machine.now.mono_ms;
    b.sight.disk_full = false;
    for (int i = 0; i < 5 * LIMIT_S; i++) {
        b.sight.failures++;
        second(&b, 0);
    }
    assert_int_equal(seconds_to_reset(&b, last_ms), LIMIT_S);
}

/* A disk that was full when it was last asked, and has not answered since. */
static void old_answer_is_none(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0);
    seconds(&b, 60, 1);
    int64_t last_ms = b.machine.now.mono_ms;
    b.sight.waiting = b.sight.disk_full = true;
    seconds(&b, LIMIT_S + 5, 0);
    assert_int_equal(seconds_to_reset(&b, last_ms), LIMIT_S);
}

static void led_and_relay_say_what_is_so(void **state)
{
    (void)state;
    static const struct {
        enum health_state health;
        bool alarm;
        enum led_pattern led;
    } cases[] = { { HEALTH_GOOD, false, LED_GOOD },         { HEALTH_DEGRADED, false, LED_DEGRADED },
                  { HEALTH_FAILED, false, LED_FAILED },     { HEALTH_GOOD, true, LED_ALERT },
                  { HEALTH_DEGRADED, true, LED_ALERT },     { HEALTH_FAILED, true, LED_FAILED } };
    struct bench b;
    bench_init(&b, 0);
    seconds(&b, 3, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        b.sight.health = cases[i].health;
        b.sight.alarm = cases[i].alarm;
        second(&b, 1);
        assert_int_equal(b.wish.led, cases[i].led);
        assert_int_equal(b.wish.relay, cases[i].alarm);
    }
}

/* Random histories. The model: the last second in which readings were committed, a self-test came
 * back while nothing waited, or the disk said that it is full. */
static void fed_for_progress_alone(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    uint32_t resets = 0, worlds = 300;
    for (uint32_t world = 0; world < worlds; world++) {
        struct bench b;
        static const uint32_t most[] = { 0, 15, 60 };
        bench_init(&b, most[rnd(&chance) % 3]);
        int64_t progress_ms = -1;
        for (int i = 0; i < 2000 && b.machine.reset_mono_ms == 0; i++) {
            if (rnd(&chance) % 100 == 0) {
                b.store_works = rnd(&chance) % 3 != 0;
                b.sight.disk_full = !b.store_works && rnd(&chance) % 3 == 0;
                b.sight.waiting = rnd(&chance) % 2 == 0;
            }
            uint32_t readings = b.store_works && b.sight.waiting && rnd(&chance) % 3 == 0;
            bool failure = !b.store_works && b.sight.waiting && rnd(&chance) % 2 == 0;
            b.sight.failures += failure;
            bool proof = b.tested && b.store_works && !b.sight.waiting;
            bool first = i == 0;
            uint32_t feeds = b.machine.feeds + b.machine.starts;
            second(&b, readings);
            if (!first && (readings > 0 || proof || (failure && b.sight.disk_full)))
                progress_ms = b.sight.mono_ms;
            if (b.machine.feeds + b.machine.starts > feeds) {
                assert_true(progress_ms >= 0);
                assert_true(b.sight.mono_ms == progress_ms ||
                            b.sight.mono_ms - progress_ms <= LIMIT_S * 1000 -
                                                                 b.judgement.granted_ms);
            }
            int64_t since_s = (b.sight.mono_ms - progress_ms) / 1000;
            if (progress_ms >= 0 && b.machine.reset_mono_ms == 0)
                assert_true(since_s < LIMIT_S);
        }
        resets += b.machine.reset_mono_ms > 0;
    }
    printf("# %u of %u machines were reset\n", resets, worlds);
    assert_in_range(resets, worlds / 10, worlds - worlds / 10); /* both happened */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readings_feed_it),
        cmocka_unit_test(silence_is_tested),
        cmocka_unit_test(store_that_stops_committing_resets_the_machine),
        cmocka_unit_test(readings_that_wait_are_not_silence),
        cmocka_unit_test(watchdog_that_somebody_held_is_taken_at_once),
        cmocka_unit_test(process_that_never_made_progress_feeds_nothing),
        cmocka_unit_test(the_past_is_no_progress),
        cmocka_unit_test(short_watchdog_is_bridged_but_not_longer_than_the_limit),
        cmocka_unit_test(full_disk_is_an_answer_and_another_error_is_not),
        cmocka_unit_test(old_answer_is_none),
        cmocka_unit_test(led_and_relay_say_what_is_so),
        cmocka_unit_test(fed_for_progress_alone),
    };
    return cmocka_run_group_tests_name("board_judge", tests, NULL, NULL);
}
