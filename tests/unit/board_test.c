/* Goal: with the real gateway and its store, the machine is restarted when the store stops answering or readings stop
 * moving, and only then; LED and relay follow the gateway; what is not there does no harm.
 * Method: the gateway over a store under /tmp and a simulated machine, in turns of a quarter of a second. A job of the store's
 * is done in the next turn, or never, or comes back with an error.
 * Links: firmware/board/board.c firmware/board/board_judge.c firmware/board/health.c firmware/board/button.c firmware/log.c firmware/json_arena.c hal/board.c hal/sim/hal_sim.c firmware/gateway/%.c firmware/config/%.c storage/%.c pipeline/%.c pipeline/%/%.c
 * Libs: -lsqlite3 -lcjson -lyaml -lmbedcrypto -lz */
#include "tests/lib/gateway_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "firmware/board/board.h"
#include "firmware/board/button.h"
#include "firmware/log.h"
#include "hal/sim/hal_sim.h"

enum { TURN_MS = 250, LIMIT_S = 20 };

static const char yaml[] =
    "limits: {devices: 8, series: 16, payload: 1KiB, readings_per_message: 4}\n"
    "sources:\n"
    "  - {name: plant, url: 'mqtt://127.0.0.1', topics: ['telemetry/{device}/{metric}']}\n"
    "learning: {readings: 1, time: 0s}\n"
    "usual: {all: false}\ndetectors:\n"
    "  - {name: hot, type: limit, high: 80, clear_after: 0s, cooldown: 0s, severity: critical}\n"
    "  - {name: warm, type: limit, high: 60, clear_after: 0s, cooldown: 0s, severity: minor}\n"
    "commit: {max_age: 200ms, retry_for: 15s}\n"
    "watchdog: {timeout: 20s}\n";

struct site { /* a gateway on a machine */
    struct bench bench;
    struct hal_sim machine;
    struct hal hal;
    struct board board;
    struct button button;
    bool stuck;      /* the source is connected and never read until it has nothing more */
    uint32_t number; /* of the last message */
};

static void turn(struct site *s, const char *value)
{
    struct gateway *gateway = s->bench.gateway;
    char payload[64];
    hal_sim_pass(&s->machine, TURN_MS);
    s->bench.now = s->hal.time(s->hal.ctx);
    bench_begin(&s->bench, 0);
    if (value != NULL && gateway_may_take(gateway, 0)) {
        snprintf(payload, sizeof payload, "{\"value\":%s,\"sequence\":%u}", value, ++s->number);
        struct message message = { .qos = 1, .topic = text_of("telemetry/pump/temp"),
                                   .payload = text_of(payload) };
        (void)gateway_on_message(gateway, &message);
    }
    if (!s->stuck)
        gateway_on_drained(gateway, 0);
    struct gateway_view view = gateway_view(gateway);
    if (board_turn(&s->board, &view, s->bench.now.mono_ms))
        gateway_self_test(gateway);
    button_turn(&s->button, s->board.press, gateway, "/tmp/weir-board-test.sock");
    gateway_end_turn(gateway);
}

/* `value`: what the device says in every turn; NULL: it is silent. */
static void seconds(struct site *s, int count, const char *value)
{
    for (int i = 0; i < count * 1000 / TURN_MS && s->machine.reset_mono_ms == 0; i++)
        turn(s, value);
}

static int64_t reset_after_s(const struct site *s, int64_t since_ms)
{
    assert_true(s->machine.reset_mono_ms > 0);
    return (s->machine.reset_mono_ms - since_ms) / 1000;
}

static int setup(void **state)
{
    struct site *s = calloc(1, sizeof *s);
    log_to(open("/dev/null", O_WRONLY));
    bench_open(&s->bench, yaml);
    s->machine.now = s->bench.now;
    for (int part = 0; part < HAL_PARTS; part++)
        s->machine.there[part] = true;
    strcpy(s->machine.id, "0123456789abcdef");
    s->machine.storage = (struct hal_storage){ 10, 1, 0 };
    s->hal = hal_sim(&s->machine);
    board_init(&s->board, &s->hal, s->bench.config);
    gateway_on_source(s->bench.gateway, 0, true);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct site *s = *state;
    bench_close(&s->bench);
    free(s);
    return 0;
}

static bool has_reason(const struct site *s, const char *reason)
{
    struct gateway_view view = gateway_view(s->bench.gateway);
    struct health health = board_health(&s->board, &view);
    for (uint32_t i = 0; i < health.count; i++)
        if (strcmp(health.reasons[i], reason) == 0)
            return true;
    return false;
}

/* --- the watchdog --- */

static void silence_is_proved_by_commits(void **state)
{
    struct site *s = *state;
    assert_int_equal(s->machine.led, LED_STARTING);
    assert_int_equal(s->machine.starts, 0);
    seconds(s, 600, NULL);
    assert_int_equal(s->machine.reset_mono_ms, 0);
    assert_int_equal(s->machine.starts, 1);
    assert_int_equal(s->machine.led, LED_GOOD);
    struct gateway_view view = gateway_view(s->bench.gateway);
    assert_in_range(view.commits, 600 / (LIMIT_S / BOARD_PARTS_OF_TIMEOUT + 2),
                    600 / (LIMIT_S / BOARD_PARTS_OF_TIMEOUT) + 3);
    assert_true(view.ledger.received == 0);
    printf("# a self-test costs %" PRIu64 " bytes of journal and rows\n",
           view.bytes_committed / view.commits);
}

static void store_that_does_not_come_back_resets_the_machine(void **state)
{
    struct site *s = *state;
    seconds(s, 60, "20");
    assert_int_equal(s->machine.led, LED_GOOD);
    int64_t since_ms = s->machine.now.mono_ms;
    s->bench.store_hangs = true;
    seconds(s, LIMIT_S / 2 + 3, "20");
    assert_int_equal(s->machine.led, LED_FAILED);
    assert_int_equal(s->machine.reset_mono_ms, 0);
    assert_true(has_reason(s, "no_progress"));
    assert_true(has_reason(s, "shedding")); /* a commit that takes long is pressure */
    seconds(s, 2 * LIMIT_S, "20");
    assert_in_range(reset_after_s(s, since_ms), LIMIT_S - 2, LIMIT_S + 1);
}

static void and_in_silence_too(void **state)
{
    struct site *s = *state;
    seconds(s, 60, NULL);
    int64_t since_ms = s->machine.now.mono_ms;
    s->bench.store_hangs = true;
    seconds(s, 3 * LIMIT_S, NULL);
    assert_in_range(reset_after_s(s, since_ms), LIMIT_S - LIMIT_S / BOARD_PARTS_OF_TIMEOUT - 2,
                    LIMIT_S + 1);
}

/* The store is well; the readings do not get that far. */
static void source_that_is_never_drained_resets_the_machine(void **state)
{
    struct site *s = *state;
    seconds(s, 60, "20");
    int64_t since_ms = s->machine.now.mono_ms;
    s->stuck = true;
    seconds(s, 3 * LIMIT_S, NULL);
    assert_in_range(reset_after_s(s, since_ms), LIMIT_S - 2,
                    LIMIT_S + LIMIT_S / BOARD_PARTS_OF_TIMEOUT + 2);
}

/* A flood: never drained, but readings are committed all the time. */
static void flood_is_progress(void **state)
{
    struct site *s = *state;
    s->stuck = true;
    seconds(s, 10 * LIMIT_S, "20");
    assert_int_equal(s->machine.reset_mono_ms, 0);
}

/* Nothing is taken while the clock is unset; that may last, and is no fault. */
static void clock_that_is_waited_for_is_no_fault(void **state)
{
    struct site *s = *state;
    s->machine.now.state = CLOCK_UNSET;
    s->stuck = true;
    seconds(s, 100, "20"); /* clock.wait is 2 minutes */
    assert_int_equal(s->machine.reset_mono_ms, 0);
    assert_true(gateway_view(s->bench.gateway).ledger.received == 0);
    assert_int_equal(s->machine.led, LED_DEGRADED);
}

static void failing_commits_end_the_process_and_then_the_machine(void **state)
{
    struct site *s = *state;
    seconds(s, 60, "20");
    int64_t since_ms = s->machine.now.mono_ms;
    s->bench.commits_fail_with = WEIR_EIO;
    while (!gateway_failed(s->bench.gateway) && s->machine.reset_mono_ms == 0)
        turn(s, "20");
    assert_int_equal(s->machine.reset_mono_ms, 0); /* a restart is tried first */
    assert_int_equal(s->machine.led, LED_FAILED);
    board_stop(&s->board, false);
    assert_int_equal(s->machine.led, LED_FAILED);
    assert_true(s->machine.watchdog_running);
    board_init(&s->board, &s->hal, s->bench.config); /* the next process, as unlucky */
    seconds(s, 2 * LIMIT_S, "20");
    assert_in_range(reset_after_s(s, since_ms), LIMIT_S - 2, LIMIT_S + 1);
    assert_int_equal(s->machine.starts, 1);
}

static void full_disk_resets_nothing(void **state)
{
    struct site *s = *state;
    seconds(s, 60, "20");
    s->bench.commits_fail_with = WEIR_ENOSPC;
    seconds(s, 10 * LIMIT_S, "20");
    assert_int_equal(s->machine.reset_mono_ms, 0);
    assert_int_equal(s->machine.led, LED_FAILED);
    struct gateway_view view = gateway_view(s->bench.gateway);
    struct health health = board_health(&s->board, &view);
    assert_string_equal(health.reasons[0], "disk_full");
    s->bench.commits_fail_with = 0;
    seconds(s, 5, "20");
    assert_false(has_reason(s, "disk_full"));
    seconds(s, 30, "20"); /* what it shed meanwhile comes back in steps */
    assert_int_equal(s->machine.led, LED_GOOD);
}

static void watchdog_that_is_held_or_comes_late_is_tried_again(void **state)
{
    struct site *s = *state;
    s->machine.broken = WEIR_EBUSY;
    seconds(s, 30, "20");
    assert_int_equal(s->machine.starts, 0);
    assert_true((s->board.missing >> HAL_WATCHDOG & 1) != 0);
    s->machine.broken = 0;
    seconds(s, 5, "20");
    assert_int_equal(s->machine.starts, 1);
    assert_int_equal(s->board.missing, 0);
}

static void orderly_stop_stops_it(void **state)
{
    struct site *s = *state;
    seconds(s, 5, "20");
    seconds(s, 5, "90");
    assert_true(s->machine.watchdog_running);
    assert_true(s->machine.relay);
    board_stop(&s->board, true);
    assert_false(s->machine.watchdog_running);
    assert_int_equal(s->machine.stops, 1);
    assert_int_equal(s->machine.led, LED_OFF);
    assert_false(s->machine.relay);
}

static void watchdog_may_be_off(void **state)
{
    struct site *s = *state;
    s->bench.config->watchdog_s = 0;
    board_init(&s->board, &s->hal, s->bench.config);
    seconds(s, 60, "20");
    assert_int_equal(s->machine.starts, 0);
    assert_int_equal(s->machine.led, LED_GOOD);
}

/* --- LED and relay --- */

static void relay_follows_alerts_from_the_severity_on(void **state)
{
    struct site *s = *state;
    seconds(s, 5, "20");
    assert_false(s->machine.relay);
    seconds(s, 5, "70"); /* minor; major is asked for */
    assert_int_equal(engine_counts(gateway_view(s->bench.gateway).engine).alerts_open, 1);
    assert_false(s->machine.relay);
    assert_int_equal(s->machine.led, LED_GOOD);
    seconds(s, 5, "90");
    assert_true(s->machine.relay);
    assert_int_equal(s->machine.led, LED_ALERT);
    seconds(s, 5, "20");
    assert_false(s->machine.relay);
    assert_int_equal(s->machine.led, LED_GOOD);
    assert_int_equal(s->machine.relay_changes, 3); /* off, on, off */
}

static void alert_that_a_person_shelved_is_silent(void **state)
{
    struct site *s = *state;
    struct alert_view alert;
    uint64_t cursor = 0;
    char command[96];
    seconds(s, 5, "20");
    seconds(s, 5, "90");
    assert_true(s->machine.relay);
    while (engine_alert(gateway_view(s->bench.gateway).engine, &cursor, &alert)) {
        snprintf(command, sizeof command, "shelve %s %lld", alert.id,
                 (long long)s->machine.now.wall_ms + 60000);
        assert_int_equal(gateway_command(s->bench.gateway, text_of(command)), 0);
    }
    seconds(s, 30, "90");
    assert_false(s->machine.relay);
    seconds(s, 40, "90");
    assert_true(s->machine.relay); /* the time is over */
}

static int not_acknowledged(const struct site *s)
{
    struct alert_view alert;
    uint64_t cursor = 0;
    int count = 0;
    while (engine_alert(gateway_view(s->bench.gateway).engine, &cursor, &alert))
        count += !alert.alert->acknowledged;
    return count;
}

static void short_press_acknowledges_and_a_long_one_asks_for_the_reset(void **state)
{
    struct site *s = *state;
    static const char asks[] = "/tmp/factory-reset";
    assert_true(unlink(asks) == 0 || errno == ENOENT);
    s->machine.press = PRESS_SHORT; /* nothing is open: nothing comes of it */
    seconds(s, 5, "20");
    seconds(s, 5, "90");
    assert_int_equal(not_acknowledged(s), 2);
    s->machine.press = PRESS_SHORT;
    seconds(s, 2, "90");
    assert_int_equal(not_acknowledged(s), 0);
    assert_true(s->machine.relay); /* acknowledging turns nothing off */
    assert_int_equal(access(asks, F_OK), -1);
    s->machine.press = PRESS_LONG;
    seconds(s, 2, "90");
    assert_int_equal(unlink(asks), 0);
    s->machine.broken = WEIR_EIO;
    s->machine.press = PRESS_LONG; /* of a button that can't be read, nothing is believed */
    seconds(s, 2, "90");
    assert_int_equal(access(asks, F_OK), -1);
}

static void led_shows_what_is_lost(void **state)
{
    struct site *s = *state;
    seconds(s, 5, "20");
    gateway_on_source(s->bench.gateway, 0, false);
    seconds(s, 5, NULL);
    assert_int_equal(s->machine.led, LED_DEGRADED);
    gateway_on_source(s->bench.gateway, 0, true);
    seconds(s, 5, NULL);
    assert_int_equal(s->machine.led, LED_GOOD);
    s->machine.supply_low = true;
    seconds(s, 2, NULL);
    assert_int_equal(s->machine.led, LED_DEGRADED);
    s->machine.supply_low = false;
    seconds(s, 2, NULL);
    assert_int_equal(s->machine.led, LED_GOOD);
    s->machine.storage.pre_eol = 3;
    seconds(s, 70, NULL);
    assert_int_equal(s->machine.led, LED_DEGRADED);
}

static void machine_with_nothing_in_it_is_lived_with(void **state)
{
    struct site *s = *state;
    memset(s->machine.there, 0, sizeof s->machine.there);
    board_init(&s->board, &s->hal, s->bench.config);
    seconds(s, 60, "90");
    assert_int_equal(s->board.missing, (1u << HAL_PARTS) - 1);
    assert_true(gateway_view(s->bench.gateway).ledger.received > 100);
    assert_int_equal(s->machine.relay_changes, 0);
    assert_int_equal(s->board.id[0], '\0');
    board_stop(&s->board, true);
}

/* Ready for readings is not the same as good. */
static void not_ready_says_why(void **state)
{
    struct site *s = *state;
    struct gateway_view view = gateway_view(s->bench.gateway);
    s->machine.now.state = CLOCK_UNSET;
    seconds(s, 1, NULL);
    view = gateway_view(s->bench.gateway);
    assert_string_equal(health_unready(&view), "clock_unset");
    s->machine.now.state = CLOCK_SYNCED;
    seconds(s, 5, "90"); /* an alert stands */
    view = gateway_view(s->bench.gateway);
    assert_null(health_unready(&view));
    s->bench.commits_fail_with = WEIR_EIO;
    seconds(s, 5, "20");
    view = gateway_view(s->bench.gateway);
    assert_string_equal(health_unready(&view), "store_failing");
    s->bench.commits_fail_with = WEIR_ENOSPC;
    seconds(s, 5, "20");
    view = gateway_view(s->bench.gateway);
    assert_string_equal(health_unready(&view), "disk_full");
    gateway_begin_stop(s->bench.gateway);
    view = gateway_view(s->bench.gateway);
    assert_string_equal(health_unready(&view), "stopping");
}

static void flash_lasts_as_long_as_it_is_written_to(void **state)
{
    const int64_t day_ms = 24 * 3600 * 1000;
    struct hal_board board = { .storage_endurance_bytes = UINT64_C(6000000000000) };
    struct hal_storage gigabyte = { -1, -1, 1600000000 / 512 };
    (void)state;
    /* JEDEC's own example: 8 GB of MLC and 1.6 GB a day are ten years. */
    assert_in_range(100 * board_flash_years(&board, &gigabyte, day_ms), 1020, 1030);
    assert_in_range(100 * board_flash_years(&board, &gigabyte, 10 * day_ms), 10200, 10300);
    gigabyte.life_used_percent = 50;
    assert_in_range(100 * board_flash_years(&board, &gigabyte, day_ms), 510, 515);
    gigabyte.life_used_percent = 110; /* past its life */
    assert_true(board_flash_years(&board, &gigabyte, day_ms) <= 0);
    board.storage_endurance_bytes = 0;
    gigabyte.life_used_percent = -1;
    assert_true(board_flash_years(&board, &gigabyte, day_ms) <= 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(silence_is_proved_by_commits),
        CASE(store_that_does_not_come_back_resets_the_machine),
        CASE(and_in_silence_too),
        CASE(source_that_is_never_drained_resets_the_machine),
        CASE(flood_is_progress),
        CASE(clock_that_is_waited_for_is_no_fault),
        CASE(failing_commits_end_the_process_and_then_the_machine),
        CASE(full_disk_resets_nothing),
        CASE(watchdog_that_is_held_or_comes_late_is_tried_again),
        CASE(orderly_stop_stops_it),
        CASE(watchdog_may_be_off),
        CASE(relay_follows_alerts_from_the_severity_on),
        CASE(alert_that_a_person_shelved_is_silent),
        CASE(short_press_acknowledges_and_a_long_one_asks_for_the_reset),
        CASE(led_shows_what_is_lost),
        CASE(machine_with_nothing_in_it_is_lived_with),
        CASE(not_ready_says_why),
        CASE(flash_lasts_as_long_as_it_is_written_to),
    };
    return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
