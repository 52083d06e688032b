/* Goal: with the real gateway and its store, the machine is restarted when the store stops answering or readings stop
 * moving, and only then; LED and relay follow the gateway; what is not there does no harm.
 * Method: the gateway over a store under /tmp and a simulated machine, in turns of a quarter of a second. A job of the store's
 * is done in the next turn, or never, or comes back with an error.
 * Links: firmware/board.c firmware/board_judge.c firmware/health.c firmware/log.c firmware/json_arena.c hal/board.c hal/sim/hal_sim.c firmware/config/config_check.c firmware/config/config_check_out.c firmware/config/config_derive.c firmware/config/config_docs.c firmware/config/config_environment.c firmware/config/config_parse.c firmware/config/config_promise.c firmware/config/config_read.c firmware/config/config_report.c firmware/config/config_schema.c firmware/config/config_show.c firmware/config/config_text.c firmware/config/config_units.c firmware/config/config_yaml.c firmware/gateway/gateway.c firmware/gateway/gateway_checkpoint.c firmware/gateway/gateway_clock.c firmware/gateway/gateway_fill.c firmware/gateway/gateway_intake.c firmware/gateway/gateway_sender.c firmware/gateway/gateway_start.c pipeline/alert.c pipeline/baseline.c pipeline/bytes.c pipeline/codec_json.c pipeline/codec_json_check.c pipeline/codec_json_pointer.c pipeline/codec_json_receipt.c pipeline/codec_json_tree.c pipeline/codec_results.c pipeline/codec_results_rows.c pipeline/contract.c pipeline/dedup.c pipeline/detector.c pipeline/detector_limit.c pipeline/detector_rate.c pipeline/detector_shift.c pipeline/detector_silent.c pipeline/detector_spike.c pipeline/detector_stuck.c pipeline/engine.c pipeline/engine_admit.c pipeline/engine_alert.c pipeline/engine_load.c pipeline/engine_rejects.c pipeline/engine_save.c pipeline/engine_series.c pipeline/engine_think.c pipeline/engine_time.c pipeline/engine_view.c pipeline/envelope.c pipeline/envelope_alert.c pipeline/err.c pipeline/hash.c pipeline/inventory.c pipeline/json_writer.c pipeline/packing.c pipeline/reject.c pipeline/shed.c pipeline/statistics.c pipeline/timers.c pipeline/timestamp.c pipeline/topic.c pipeline/window.c storage/block_chains.c storage/block_decode.c storage/block_encode.c storage/crc32c.c storage/ledger.c storage/store_checkpoint.c storage/store_contracts.c storage/store_commit.c storage/store_deflate.c storage/store_disk.c storage/store_letters.c storage/store_open.c storage/store_outbox.c storage/store_retention.c storage/store_schema.c storage/store_sql.c storage/store_state.c
 * Libs: -lsqlite3 -lcjson -lyaml -lmbedcrypto -lz */
#include "tests/lib/check.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "firmware/board.h"
#include "firmware/json_arena.h"
#include "firmware/log.h"
#include "hal/sim/hal_sim.h"
#include "pipeline/err.h"

enum { TURN_MS = 250, LIMIT_S = 20, ARENA_BYTES = 64 * 1024 };

static const char yaml[] =
    "gateway: {name: bench, data_dir: /nowhere, socket: /nowhere/weir.sock}\n"
    "limits: {devices: 8, series: 16, payload: 1KiB, readings_per_message: 4}\n"
    "sources:\n"
    "  - {name: plant, url: 'mqtt://127.0.0.1', topics: ['telemetry/{device}/{metric}']}\n"
    "learning: {readings: 1, time: 0s}\n"
    "detectors:\n"
    "  - {name: hot, type: limit, high: 80, clear_after: 0s, cooldown: 0s, severity: critical}\n"
    "  - {name: warm, type: limit, high: 60, clear_after: 0s, cooldown: 0s, severity: minor}\n"
    "commit: {max_age: 200ms, retry_for: 15s}\n"
    "watchdog: {timeout: 20s}\n";

struct bench {
    char folder[64], path[96];
    struct config config;
    struct hal_sim machine;
    struct hal hal;
    struct board board;
    struct gateway *gateway;
    struct store *store;
    struct store_job *job;
    void *memory, *json_memory;
    bool hung;       /* the store's worker does not come back */
    int fails_with;  /* what commits come back with; 0: they are done */
    bool stuck;      /* the source is connected and never read until it has nothing more */
    uint32_t number; /* of the last message */
};

/* --- the gateway's ports --- */

static void begin_job(void *ctx, struct store_job *job)
{
    struct bench *b = ctx;
    b->job = job;
}

static void acknowledge(void *ctx, uint32_t source)
{
    (void)ctx, (void)source;
}

static int send_row(void *ctx, const struct outbox_row *row)
{
    (void)ctx, (void)row;
    return WEIR_EAGAIN;
}

static void log_nothing(void *ctx, const char *event, const char *details)
{
    (void)ctx, (void)event, (void)details;
}

static void finish_job(struct bench *b)
{
    struct store_job *job = b->job;
    if (job == NULL || b->hung)
        return;
    b->job = NULL;
    if (job->kind == STORE_JOB_COMMIT && b->fails_with != 0)
        job->result = b->fails_with;
    else
        store_job_run(job, b->store);
    gateway_on_store_done(b->gateway, job);
}

/* --- turns --- */

static void turn(struct bench *b, const char *value)
{
    char payload[64];
    hal_sim_pass(&b->machine, TURN_MS);
    struct hal_time now = b->hal.time(b->hal.ctx);
    gateway_begin_turn(b->gateway, now);
    finish_job(b);
    if (value != NULL && gateway_may_take(b->gateway, 0)) {
        snprintf(payload, sizeof payload, "{\"value\":%s,\"sequence\":%u}", value, ++b->number);
        struct message message = { .qos = 1, .topic = text_of("telemetry/pump/temp"),
                                   .payload = text_of(payload) };
        gateway_on_message(b->gateway, &message);
    }
    if (!b->stuck)
        gateway_on_drained(b->gateway, 0);
    struct gateway_view view = gateway_view(b->gateway);
    if (board_turn(&b->board, &view, now.mono_ms))
        gateway_self_test(b->gateway);
    gateway_end_turn(b->gateway);
}

/* `value`: what the device says in every turn; NULL: it is silent. */
static void seconds(struct bench *b, int count, const char *value)
{
    for (int i = 0; i < count * 1000 / TURN_MS && b->machine.reset_mono_ms == 0; i++)
        turn(b, value);
}

static int64_t reset_after_s(const struct bench *b, int64_t since_ms)
{
    assert_true(b->machine.reset_mono_ms > 0);
    return (b->machine.reset_mono_ms - since_ms) / 1000;
}

/* --- start and end --- */

static void open_store(struct bench *b, struct store_recovery *recovery)
{
    char why[256] = "";
    uint64_t entropy[2] = { 11, 22 };
    struct store_config config = b->config.store;
    config.path = b->path;
    if (store_open(&config, entropy, &b->store, recovery, why) != 0)
        fail_msg("%s", why);
}

static void make_gateway(struct bench *b)
{
    const struct gateway_ports ports = { b, begin_job, acknowledge, send_row, log_nothing };
    const struct json_memory json = { json_arena_reset, json_arena_exhausted };
    struct arena arena = arena_measure();
    (void)gateway_init(&b->config, &ports, &json, &arena);
    b->json_memory = aligned_alloc(ARENA_ALIGN, ARENA_BYTES);
    b->memory = calloc(1, arena.used);
    arena = arena_over(b->memory, arena.used);
    json_arena_start(b->json_memory, ARENA_BYTES);
    b->gateway = gateway_init(&b->config, &ports, &json, &arena);
    struct block_limits limits = gateway_block_limits_max();
    struct arena fold = arena_measure();
    (void)block_reader_init(&limits, &fold);
    void *reader = calloc(1, fold.used);
    fold = arena_over(reader, fold.used);
    struct fold_memory memory = { block_reader_init(&limits, &fold), malloc(limits.bytes_max),
                                  limits.bytes_max };
    struct store_recovery recovery;
    char why[256] = "";
    open_store(b, &recovery);
    if (gateway_recover(b->gateway, b->store, &recovery, b->machine.now, memory, why) != 0)
        fail_msg("%s", why);
    free(memory.block);
    free(reader);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    const char *why;
    strcpy(b->folder, "/tmp/weir-board-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->path, sizeof b->path, "%s/weir.db", b->folder);
    assert_int_equal(config_read_text("bench.yaml", yaml, sizeof yaml - 1, &b->config, stderr), 0);
    struct json_mapping *mapping = &b->config.sources[0].topics[0].mapping;
    if (!mapping->compiled.done)
        assert_int_equal(json_mapping_compile(mapping, &why), 0);
    log_to(open("/dev/null", O_WRONLY));
    b->machine.now = (struct hal_time){ 1000000, INT64_C(1790000000000), CLOCK_SYNCED, 7 };
    for (int part = 0; part < HAL_PARTS; part++)
        b->machine.there[part] = true;
    strcpy(b->machine.id, "0123456789abcdef");
    b->machine.storage = (struct hal_storage){ 10, 1, 0 };
    b->hal = hal_sim(&b->machine);
    make_gateway(b);
    board_init(&b->board, &b->hal, &b->config);
    gateway_on_source(b->gateway, 0, true);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char command[96];
    store_close(b->store);
    snprintf(command, sizeof command, "rm -rf %s", b->folder);
    int removed = system(command);
    free(b->memory);
    free(b->json_memory);
    free(b);
    return removed;
}

/* --- the watchdog --- */

static void silence_is_proved_by_commits(void **state)
{
    struct bench *b = *state;
    assert_int_equal(b->machine.led, LED_STARTING);
    assert_int_equal(b->machine.starts, 0);
    seconds(b, 600, NULL);
    assert_int_equal(b->machine.reset_mono_ms, 0);
    assert_int_equal(b->machine.starts, 1);
    assert_int_equal(b->machine.led, LED_GOOD);
    struct gateway_view view = gateway_view(b->gateway);
    assert_in_range(view.commits, 600 / (LIMIT_S / BOARD_PARTS_OF_TIMEOUT + 2),
                    600 / (LIMIT_S / BOARD_PARTS_OF_TIMEOUT) + 3);
    assert_true(view.ledger.received == 0);
    printf("# a self-test costs %" PRIu64 " bytes of journal and rows\n",
           view.bytes_committed / view.commits);
}

static void store_that_does_not_come_back_resets_the_machine(void **state)
{
    struct bench *b = *state;
    seconds(b, 60, "20");
    assert_int_equal(b->machine.led, LED_GOOD);
    int64_t since_ms = b->machine.now.mono_ms;
    b->hung = true;
    seconds(b, LIMIT_S / 2 + 3, "20");
    assert_int_equal(b->machine.led, LED_FAILED);
    assert_int_equal(b->machine.reset_mono_ms, 0);
    struct gateway_view view = gateway_view(b->gateway);
    assert_string_equal(board_health(&b->board, &view).reasons[0], "no_progress");
    seconds(b, 2 * LIMIT_S, "20");
    assert_in_range(reset_after_s(b, since_ms), LIMIT_S - 2, LIMIT_S + 1);
}

static void and_in_silence_too(void **state)
{
    struct bench *b = *state;
    seconds(b, 60, NULL);
    int64_t since_ms = b->machine.now.mono_ms;
    b->hung = true;
    seconds(b, 3 * LIMIT_S, NULL);
    assert_in_range(reset_after_s(b, since_ms), LIMIT_S - LIMIT_S / BOARD_PARTS_OF_TIMEOUT - 2,
                    LIMIT_S + 1);
}

/* The store is well; the readings do not get that far. */
static void source_that_is_never_drained_resets_the_machine(void **state)
{
    struct bench *b = *state;
    seconds(b, 60, "20");
    int64_t since_ms = b->machine.now.mono_ms;
    b->stuck = true;
    seconds(b, 3 * LIMIT_S, NULL);
    assert_in_range(reset_after_s(b, since_ms), LIMIT_S - 2,
                    LIMIT_S + LIMIT_S / BOARD_PARTS_OF_TIMEOUT + 2);
}

/* A flood: never drained, but readings are committed all the time. */
static void flood_is_progress(void **state)
{
    struct bench *b = *state;
    b->stuck = true;
    seconds(b, 10 * LIMIT_S, "20");
    assert_int_equal(b->machine.reset_mono_ms, 0);
}

/* Nothing is taken while the clock is unset; that may last, and is no fault. */
static void clock_that_is_waited_for_is_no_fault(void **state)
{
    struct bench *b = *state;
    b->machine.now.state = CLOCK_UNSET;
    b->stuck = true;
    seconds(b, 100, "20"); /* clock.wait is 2 minutes */
    assert_int_equal(b->machine.reset_mono_ms, 0);
    assert_true(gateway_view(b->gateway).ledger.received == 0);
    assert_int_equal(b->machine.led, LED_DEGRADED);
}

static void failing_commits_end_the_process_and_then_the_machine(void **state)
{
    struct bench *b = *state;
    seconds(b, 60, "20");
    int64_t since_ms = b->machine.now.mono_ms;
    b->fails_with = WEIR_EIO;
    while (!gateway_failed(b->gateway) && b->machine.reset_mono_ms == 0)
        turn(b, "20");
    assert_int_equal(b->machine.reset_mono_ms, 0); /* a restart is tried first */
    assert_int_equal(b->machine.led, LED_FAILED);
    board_stop(&b->board, false);
    assert_int_equal(b->machine.led, LED_FAILED);
    assert_true(b->machine.watchdog_running);
    board_init(&b->board, &b->hal, &b->config); /* the next process, as unlucky */
    seconds(b, 2 * LIMIT_S, "20");
    assert_in_range(reset_after_s(b, since_ms), LIMIT_S - 2, LIMIT_S + 1);
    assert_int_equal(b->machine.starts, 1);
}

static void full_disk_resets_nothing(void **state)
{
    struct bench *b = *state;
    seconds(b, 60, "20");
    b->fails_with = WEIR_ENOSPC;
    seconds(b, 10 * LIMIT_S, "20");
    assert_int_equal(b->machine.reset_mono_ms, 0);
    assert_int_equal(b->machine.led, LED_FAILED);
    struct gateway_view view = gateway_view(b->gateway);
    struct health health = board_health(&b->board, &view);
    assert_string_equal(health.reasons[0], "disk_full");
    b->fails_with = 0;
    seconds(b, 5, "20");
    assert_int_equal(b->machine.led, LED_GOOD);
}

static void watchdog_that_is_held_or_comes_late_is_tried_again(void **state)
{
    struct bench *b = *state;
    b->machine.broken = WEIR_EBUSY;
    seconds(b, 30, "20");
    assert_int_equal(b->machine.starts, 0);
    assert_true((b->board.missing >> HAL_WATCHDOG & 1) != 0);
    b->machine.broken = 0;
    seconds(b, 5, "20");
    assert_int_equal(b->machine.starts, 1);
    assert_int_equal(b->board.missing, 0);
}

static void orderly_stop_stops_it(void **state)
{
    struct bench *b = *state;
    seconds(b, 5, "20");
    seconds(b, 5, "90");
    assert_true(b->machine.watchdog_running);
    assert_true(b->machine.relay);
    board_stop(&b->board, true);
    assert_false(b->machine.watchdog_running);
    assert_int_equal(b->machine.stops, 1);
    assert_int_equal(b->machine.led, LED_OFF);
    assert_false(b->machine.relay);
}

static void watchdog_may_be_off(void **state)
{
    struct bench *b = *state;
    b->config.watchdog_s = 0;
    board_init(&b->board, &b->hal, &b->config);
    seconds(b, 60, "20");
    assert_int_equal(b->machine.starts, 0);
    assert_int_equal(b->machine.led, LED_GOOD);
}

/* --- LED and relay --- */

static void relay_follows_alerts_from_the_severity_on(void **state)
{
    struct bench *b = *state;
    seconds(b, 5, "20");
    assert_false(b->machine.relay);
    seconds(b, 5, "70"); /* minor; major is asked for */
    assert_int_equal(engine_counts(gateway_view(b->gateway).engine).alerts_open, 1);
    assert_false(b->machine.relay);
    assert_int_equal(b->machine.led, LED_GOOD);
    seconds(b, 5, "90");
    assert_true(b->machine.relay);
    assert_int_equal(b->machine.led, LED_ALERT);
    seconds(b, 5, "20");
    assert_false(b->machine.relay);
    assert_int_equal(b->machine.led, LED_GOOD);
    assert_int_equal(b->machine.relay_changes, 3); /* off, on, off */
}

static void alert_that_a_person_shelved_is_silent(void **state)
{
    struct bench *b = *state;
    struct alert_view alert;
    uint64_t cursor = 0;
    char command[96];
    seconds(b, 5, "20");
    seconds(b, 5, "90");
    assert_true(b->machine.relay);
    while (engine_alert(gateway_view(b->gateway).engine, &cursor, &alert)) {
        snprintf(command, sizeof command, "shelve %s %lld", alert.id,
                 (long long)b->machine.now.wall_ms + 60000);
        assert_int_equal(gateway_command(b->gateway, text_of(command)), 0);
    }
    seconds(b, 30, "90");
    assert_false(b->machine.relay);
    seconds(b, 40, "90");
    assert_true(b->machine.relay); /* the time is over */
}

static void led_shows_what_is_lost(void **state)
{
    struct bench *b = *state;
    seconds(b, 5, "20");
    gateway_on_source(b->gateway, 0, false);
    seconds(b, 5, NULL);
    assert_int_equal(b->machine.led, LED_DEGRADED);
    gateway_on_source(b->gateway, 0, true);
    seconds(b, 5, NULL);
    assert_int_equal(b->machine.led, LED_GOOD);
    b->machine.storage.pre_eol = 3;
    seconds(b, 70, NULL);
    assert_int_equal(b->machine.led, LED_DEGRADED);
}

static void machine_with_nothing_in_it_is_lived_with(void **state)
{
    struct bench *b = *state;
    memset(b->machine.there, 0, sizeof b->machine.there);
    board_init(&b->board, &b->hal, &b->config);
    seconds(b, 60, "90");
    assert_int_equal(b->board.missing, (1u << HAL_PARTS) - 1);
    assert_true(gateway_view(b->gateway).ledger.received > 100);
    assert_int_equal(b->machine.relay_changes, 0);
    assert_int_equal(b->board.id[0], '\0');
    board_stop(&b->board, true);
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
        CASE(led_shows_what_is_lost),
        CASE(machine_with_nothing_in_it_is_lived_with),
    };
    return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
