/* Goal: a contract that was accepted may only grow: what is compatible and has a greater version is taken, everything
 * else is refused with what, from, to and the fix, and nothing in the store changes; restarts and lost checkpoints forget
 * nothing. Method: a gateway over a real store, started with one configuration after another.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c firmware/json_arena.c hal/board.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

#include <sqlite3.h>

struct step { /* the next start's `climate` */
    const char *contract;
    uint32_t changed;    /* bits that are to be said */
    const char *refused; /* a part of the error; NULL: taken */
    const char *fix;
};

static void configure(struct bench *b, const char *contract)
{
    char yaml[2048];
    (void)snprintf(yaml, sizeof yaml,
                   "clock: {trust: system}\n"
                   "sources:\n"
                   "  - name: plant\n"
                   "    url: mqtt://127.0.0.1:1883\n"
                   "    topics: [\"t/{device}/{metric}\"]\n"
                   "commit: {max_age: 100ms}\n"
                   "contracts:\n"
                   "  - {name: power, metrics: [{name: watt}]}\n"
                   "  - %s\n", contract);
    bench_configure(b, yaml);
}

/* As main does it. The errors that were printed are in `printed`. */
static int start(struct bench *b, uint32_t *changed, char printed[1024])
{
    bench_start(b);
    FILE *errors = fmemopen(printed, 1024, "w");
    int error = config_check_contracts(b->config, b->store, errors, changed);
    assert_int_equal(fclose(errors), 0);
    if (error == 0 && *changed != 0)
        gateway_accept_contracts(b->gateway);
    if (error == 0)
        bench_turns(b, 5);
    return error;
}

static void take_steps(struct bench *b, const struct step *steps, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char printed[1024] = "";
        uint32_t changed;
        configure(b, steps[i].contract);
        int errors = start(b, &changed, printed);
        uint64_t block = b->found.last_block;
        if (errors != (steps[i].refused != NULL))
            fail_msg("step %u: %d errors: %s", i, errors, printed);
        if (errors == 0)
            assert_int_equal(changed, steps[i].changed);
        if (errors > 0 && (strstr(printed, steps[i].refused) == NULL ||
                           strstr(printed, steps[i].fix) == NULL ||
                           strstr(printed, "bench.yaml: error: the contract `climate` can't be taken: ") != printed))
            fail_msg("step %u: %s", i, printed);
        bench_kill(b);
        bench_start(b);
        if (errors > 0)
            assert_int_equal(b->found.last_block, block);
        bench_kill(b);
    }
}

static const char FIX[] = "undo that, or give the contract a new name";

static void contracts_only_grow(void **state)
{
    (void)state;
    static const struct step steps[] = {
        { "{name: climate, metrics: [{name: t, min: -40, max: 125}]}", 3, NULL, NULL },
        { "{name: climate, metrics: [{name: t, min: -40, max: 125}]}", 0, NULL, NULL },
        { "{name: climate, metrics: [{name: t, min: -40, max: 80}]}", 0,
          "metric t: range narrowed from [-40, 125] to [-40, 80]\n", FIX },
        { "{name: climate, version: 2, metrics: [{name: t, min: -40, max: 80}]}", 0,
          "metric t: range narrowed from [-40, 125] to [-40, 80]\n", FIX },
        { "{name: climate, metrics: [{name: t, min: -40, max: 150}]}", 0,
          "it has changed, and its version has not grown", "write `version: 2`" },
        { "{name: climate, metrics: [{name: t, min: -50, max: 125}]}", 0,
          "it has changed, and its version has not grown", "write `version: 2`" },
        { "{name: climate, version: 2, metrics: [{name: t, min: -40, max: 150}, {name: h}]}", 2, NULL, NULL },
        { "{name: climate, version: 2, metrics: [{name: h}, {name: t, max: 150, min: -40}]}", 0, NULL, NULL },
        { "{name: climate, metrics: [{name: t, min: -40, max: 125}]}", 0, "range narrowed", FIX },
        { "{name: climate, version: 3, metrics: [{name: t, min: -40, max: 150}]}", 0,
          "metric h: removed, and unknown metrics are refused", FIX },
        { "{name: climate, version: 5, metrics: [{name: t}, {name: h, type: boolean}]}", 0,
          "metric h: type changed from number to boolean", FIX },
        { "{name: climate, version: 9, metrics: [{name: t}, {name: h}]}", 2, NULL, NULL },
        { "{name: climate, version: 8, metrics: [{name: t}, {name: h}, {name: p}]}", 0,
          "its version has not grown", "write `version: 10`" },
        { "{name: climate-2, metrics: [{name: t, max: 80}]}", 2, NULL, NULL },
        /* not forgotten while it was away */
        { "{name: climate, version: 10, metrics: [{name: t, max: 80}, {name: h}]}", 0,
          "metric t: range narrowed from [any, any] to [any, 80]", FIX },
    };
    static struct bench b;
    bench_open(&b, "sources: [{name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"]}]\n");
    bench_kill(&b);
    take_steps(&b, steps, sizeof steps / sizeof steps[0]);
    bench_close(&b);
}

static void change_the_file(const struct bench *b, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void nothing_is_guessed(void **state)
{
    (void)state;
    static const struct step first[] = {
        { "{name: climate, version: 4, metrics: [{name: t, max: 90}]}", 3, NULL, NULL } };
    static const struct step lost[] = {
        { "{name: climate, version: 5, metrics: [{name: t, max: 80}]}", 0,
          "range narrowed from [any, 90] to [any, 80]", FIX } };
    static const struct step damaged[] = {
        { "{name: climate, version: 5, metrics: [{name: t}]}", 0,
          "what was accepted under its name can't be read", "give the contract a new name" } };
    static struct bench b;
    bench_open(&b, "sources: [{name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"]}]\n");
    bench_kill(&b);
    take_steps(&b, first, 1);
    change_the_file(&b, "DELETE FROM piece"); /* no checkpoint left */
    take_steps(&b, lost, 1);
    change_the_file(&b, "UPDATE contract SET bytes = x'00'");
    char printed[1024] = "";
    uint32_t changed;
    configure(&b, damaged[0].contract);
    assert_int_equal(start(&b, &changed, printed), 2);
    assert_non_null(strstr(printed, damaged[0].refused));
    assert_non_null(strstr(printed, damaged[0].fix));
    bench_close(&b);
}

/* The acceptance is part of the first commit: a death before it changes nothing. */
static void what_was_not_committed_was_not_accepted(void **state)
{
    (void)state;
    static struct bench b;
    char printed[1024];
    uint32_t changed;
    bench_open(&b, "sources: [{name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"]}]\n");
    bench_kill(&b);
    configure(&b, "{name: climate, metrics: [{name: t, max: 90}]}");
    bench_start(&b);
    assert_int_equal(config_check_contracts(b.config, b.store, stderr, &changed), 0);
    gateway_accept_contracts(b.gateway);
    bench_kill(&b);
    configure(&b, "{name: climate, metrics: [{name: t, max: 80}]}");
    assert_int_equal(start(&b, &changed, printed), 0);
    assert_int_equal(changed, 3);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contracts_only_grow),
        cmocka_unit_test(nothing_is_guessed),
        cmocka_unit_test(what_was_not_committed_was_not_accepted),
    };
    return cmocka_run_group_tests_name("config_contracts", tests, NULL, NULL);
}
