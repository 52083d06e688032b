/* Goal: a replay from a moment on starts from the newest kept checkpoint at or before it, and comes to the same bits as one
 *   from the journal's beginning, and as the gateway came to then, also over kills, stops and another configuration; kept
 *   ones are one a day, and as many as may be; where the journal's beginning is gone, they are where a replay starts.
 * Method: a gateway lives for days over a real store, its clock moved by hand; its store is replayed by what
 *   `weir replay` is made of, from moments all over, and what each block makes is compared with the whole replay's.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c firmware/replay/replay_run.c firmware/replay/journal_copy.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include <sqlite3.h>

#include "firmware/cli/cli.h"
#include "firmware/replay/replay_run.h"
#include "tests/lib/gateway_bench.h"

#define YAML(high, keep) \
    "clock: {trust: system}\n" \
    "sources:\n" \
    "  - name: plant\n" \
    "    url: mqtt://127.0.0.1:1883\n" \
    "    topics: [\"t/{device}/{metric}\"]\n" \
    "    payload: {value: \"\"}\n" \
    "window: {size: 1s, lateness: 0s, out_of_orderness: 0s}\n" \
    "detectors: [{name: hot, type: limit, high: " high ", for: 0s, clear_after: 0s, cooldown: 0s, hysteresis: 0, chatter: false}]\n" \
    "commit: {max_age: 100ms}\n" \
    "checkpoint: {keep_daily: " keep "}\n" \
    "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n"

enum { DAYS = 10, DAY_MS = 86400000, HOUR_MS = 3600000, BLOCKS_MAX = 8192 };

static struct bench b; /* large */
static struct made_sum whole[BLOCKS_MAX], *told; /* by block; `told`: NULL where they are to be compared */
static struct hash128 digest;                    /* of the engine at the end of the last replay */
static uint32_t compared, different;

/* --- living --- */

static void begin(void)
{
    gateway_on_uplink(b.gateway, true);
    bench_turns(&b, 5);
    gateway_on_source(b.gateway, 0, true);
}

static void live(int rounds)
{
    char payload[32];
    for (int i = 0; i < rounds; i++) {
        (void)snprintf(payload, sizeof payload, "%d", i % 7 == 3 ? 99 : i % 7 == 5 ? 75 : 20 + i);
        assert_true(bench_publish(&b, "t/oven/temp", payload));
        bench_turns(&b, 4);
    }
    b.sent_count = 0;
}

/* In steps, as timers come due. */
static void pass(int64_t span_ms)
{
    for (; span_ms > 0; span_ms -= HOUR_MS) {
        bench_turn(&b, HOUR_MS);
        bench_turns(&b, 2);
        b.sent_count = 0;
    }
}

/* Ten days, with a stop, a kill, and another configuration in the middle. */
static void live_for_days(const char *yaml, const char *other)
{
    bench_open(&b, yaml);
    begin();
    for (int day = 0; day < DAYS; day++) {
        live(8);
        pass(DAY_MS / 2);
        if (day == 3)
            bench_kill(&b);
        if (day == 5) {
            bench_stop(&b);
            bench_configure(&b, other);
        }
        if (b.gateway == NULL) {
            bench_start(&b);
            begin();
        }
        live(3);
        pass(DAY_MS / 2);
    }
    live(8);
    bench_turns(&b, 5);
}

static uint32_t daily(struct checkpoint_place places[STORE_CHECKPOINTS_MAX])
{
    uint32_t count;
    assert_int_equal(store_checkpoints(b.store, places, &count), 0);
    return count;
}

/* --- replaying --- */

static void on_block(void *ctx, const struct replay_run *run)
{
    (void)ctx;
    assert_in_range(run->replay.block, 1, BLOCKS_MAX - 1);
    struct made_sum *of = &whole[run->replay.block];
    different += run->replay.verdict == REPLAY_DIFFERENT;
    assert_int_equal(run->replay.verdict == REPLAY_UNTOLD, 0);
    compared++;
    if (told != NULL)
        told[run->replay.block] = run->replay.now;
    else
        different += memcmp(of, &run->replay.now, sizeof *of) != 0;
    digest = engine_digest(run->replay.engine);
}

/* The block of whose checkpoint it started; 0: from the first. */
static uint64_t replay_from(int64_t from_ms, int status)
{
    struct journal_copy copy;
    struct replay_run run = { .copy = &copy, .range = { from_ms, INT64_MAX, 0, 0, false }, .on_block = on_block };
    compared = different = 0;
    assert_int_equal(journal_copy_open(&copy, b.path), CLI_OK);
    assert_int_equal(replay_run(&run), status);
    uint64_t block = run.start_block;
    replay_run_close(&run);
    journal_copy_close(&copy);
    return block;
}

static void the_same_from_each_kept_one(void **state)
{
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    (void)state;
    live_for_days(YAML("80", "7"), YAML("70", "7"));
    uint32_t count = daily(places);
    assert_in_range(count, 7, 7 + 2); /* the two of a start, which may be kept ones */
    for (uint32_t i = 3; i < count; i++)
        assert_in_range(places[i - 1].wall_ms - places[i].wall_ms, DAY_MS / 2, 2 * DAY_MS);
    told = whole;
    assert_int_equal(replay_from(INT64_MIN, CLI_OK), 0);
    assert_in_range(compared, 100, BLOCKS_MAX);
    assert_int_equal(different, 0);
    struct hash128 end = digest;
    told = NULL;
    uint32_t all = compared;
    for (uint32_t i = 0; i < count; i++) {
        for (int64_t later = 0; later <= 5 * HOUR_MS; later += 5 * HOUR_MS) {
            int64_t from_ms = places[i].wall_ms + later;
            if (i > 0 && from_ms >= places[i - 1].wall_ms)
                continue;
            assert_int_equal(replay_from(from_ms, CLI_OK), places[i].block);
            assert_int_equal(different, 0);
            assert_in_range(compared, i == 0 ? 0 : 1, all - 1);
            if (compared > 0)
                assert_memory_equal(&digest, &end, sizeof end);
        }
    }
    assert_int_equal(replay_from(places[count - 1].wall_ms - 1, CLI_OK), 0); /* before the oldest: from the first block */
    assert_int_equal(different, 0);
    assert_memory_equal(&digest, &end, sizeof end);
    bench_close(&b);
}

static void execute(const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(b.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* A damaged one is passed over for the one before it, and the journal's beginning may be gone. */
static void where_one_is_damaged(void **state)
{
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    char sql[200];
    (void)state;
    live_for_days(YAML("80", "7"), YAML("80", "7"));
    uint32_t count = daily(places);
    assert_in_range(count, 7, 9);
    told = whole;
    (void)replay_from(INT64_MIN, CLI_OK);
    told = NULL;
    struct hash128 end = digest;
    bench_kill(&b);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE piece SET bytes = zeroblob(length(bytes)) WHERE id >> 32 = "
                   "(SELECT place FROM daily WHERE block = %llu); DELETE FROM journal WHERE id < %llu",
                   (unsigned long long)places[count - 3].block, (unsigned long long)places[count - 1].block);
    execute(sql);
    assert_int_equal(replay_from(places[count - 3].wall_ms, CLI_OK), places[count - 2].block);
    assert_int_equal(different, 0);
    assert_memory_equal(&digest, &end, sizeof end);
    assert_int_equal(replay_from(places[count - 1].wall_ms - 1, CLI_PROBLEM), 0); /* what was known then is gone */
    bench_close(&b);
}

static void none_is_kept(void **state)
{
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    (void)state;
    live_for_days(YAML("80", "0"), YAML("80", "0"));
    assert_in_range(daily(places), 1, 2); /* those of a start */
    bench_close(&b);
    live_for_days(YAML("80", "0"), YAML("80", "2")); /* and from the sixth day on two */
    assert_in_range(daily(places), 2, 4);
    assert_true(places[0].wall_ms - places[1].wall_ms >= 0);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_from_each_kept_one),
        cmocka_unit_test(where_one_is_damaged),
        cmocka_unit_test(none_is_kept),
    };
    return cmocka_run_group_tests_name("replay_kept", tests, NULL, NULL);
}
