/* Goal: a replay from a moment on starts from the newest kept checkpoint at or before it, and comes to the same bits as one
 *   from the journal's beginning, and as the gateway came to then, also over kills, stops and another configuration; kept
 *   ones are one a day, and as many as may be; where the journal's beginning is gone, they are where a replay starts, and
 *   where none is old enough, it starts from what is left and warms up.
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

struct warmed {
    struct replay_sum marked;
    int64_t first_ms, warm_ms;
    uint32_t blocks, others; /* compared; of them, results that are others */
    uint64_t start_block;
};

static void on_warm_block(void *ctx, const struct replay_run *run)
{
    struct warmed *w = ctx;
    assert_true(replay_wall_ms(&run->replay) >= run->warm_ms);
    w->blocks++;
    w->others += whole[run->replay.block].results != run->replay.now.results ||
                 whole[run->replay.block].result_digest != run->replay.now.result_digest;
}

static struct warmed replay_warming(int64_t from_ms, int64_t warmup_ms, int status)
{
    struct journal_copy copy;
    struct warmed w = { .blocks = 0 };
    struct replay_run run = { .copy = &copy, .range = { from_ms, INT64_MAX, warmup_ms, 0, false },
                              .on_block = on_warm_block, .ctx = &w };
    assert_int_equal(journal_copy_open(&copy, b.path), CLI_OK);
    assert_int_equal(replay_run(&run), status);
    w.marked = run.marked;
    w.first_ms = run.first_ms;
    w.warm_ms = run.warm_ms;
    w.start_block = run.start_block;
    replay_run_close(&run);
    journal_copy_close(&copy);
    return w;
}

/* Where the journal's beginning is gone, and no checkpoint is old enough, it starts from what is left: what is made in the
 * warm-up is of the range and compared with nothing, and behind it windows are what they were. */
static void what_is_left_warms_up(void **state)
{
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    char sql[200];
    (void)state;
    live_for_days(YAML("80", "7"), YAML("80", "7"));
    uint32_t count = daily(places);
    told = whole;
    (void)replay_from(INT64_MIN, CLI_OK);
    told = NULL;
    bench_kill(&b);
    int64_t oldest_ms = places[count - 1].wall_ms;
    (void)snprintf(sql, sizeof sql, "DELETE FROM journal WHERE id <= %llu", (unsigned long long)places[count - 1].block);
    execute(sql);
    struct warmed w = replay_warming(oldest_ms - DAY_MS, 2 * (int64_t)DAY_MS, CLI_OK);
    assert_int_equal(w.start_block, 0);
    assert_in_range(w.warm_ms - oldest_ms, 2 * DAY_MS - HOUR_MS, 2 * DAY_MS + 2 * HOUR_MS); /* the clock is known */
    assert_in_range(w.marked.blocks, 10, BLOCKS_MAX);
    assert_in_range(w.marked.results, 10, BLOCKS_MAX);
    assert_in_range(w.blocks, 10, BLOCKS_MAX);
    assert_int_equal(w.others, 0);
    uint64_t marked = w.marked.blocks, blocks = w.blocks;
    w = replay_warming(oldest_ms - DAY_MS, DAY_MS, CLI_OK); /* a shorter one */
    assert_in_range(w.blocks, blocks + 1, BLOCKS_MAX);
    assert_int_equal(w.marked.blocks + w.blocks, marked + blocks);
    w = replay_warming(oldest_ms - DAY_MS, 90 * (int64_t)DAY_MS, CLI_OK); /* all that is there */
    assert_int_equal(w.blocks, 0);
    assert_int_equal(w.marked.blocks, marked + blocks);
    w = replay_warming(places[count - 2].wall_ms, 90 * (int64_t)DAY_MS, CLI_OK); /* where there is a state, none is needed */
    assert_int_equal(w.start_block, places[count - 2].block);
    assert_int_equal(w.marked.blocks, 0);
    assert_int_equal(w.others, 0);
    execute("DELETE FROM piece"); /* and no state at all */
    w = replay_warming(INT64_MIN, 2 * (int64_t)DAY_MS, CLI_OK);
    assert_int_equal(w.start_block, 0);
    assert_int_equal(w.marked.blocks, marked);
    assert_int_equal(w.blocks, blocks);
    assert_int_equal(w.others, 0);
    bench_close(&b);
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
    struct warmed w = replay_warming(places[count - 1].wall_ms - 1, DAY_MS, CLI_OK); /* what was known then is gone */
    assert_true(w.warm_ms > 0 && w.start_block == 0);
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
        cmocka_unit_test(what_is_left_warms_up),
        cmocka_unit_test(none_is_kept),
    };
    return cmocka_run_group_tests_name("replay_kept", tests, NULL, NULL);
}
