/* Goal: what a ledger keeps of results of streams is each window's last revision, whatever came before it; what was taken
 *   back in the end is not there; two ledgers are compared window by window; and it never keeps more than it may, and says so.
 * Method: results at random, few windows and many revisions, beside a plain array of the last of each.
 * Links: pipeline/%.c pipeline/%/%.c firmware/config/%.c storage/%.c firmware/gateway/%.c firmware/json_arena.c hal/board.c firmware/replay/replay_ledger.c firmware/replay/replay_ledger_streams.c firmware/replay/replay_out.c firmware/cli/growing.c firmware/cli/json_view.c
 * Libs: -lsqlite3 -lcjson -lmbedcrypto -lyaml -lz
 */
#include <stdio.h>
#include <string.h>

#include "firmware/cli/cli.h"
#include "firmware/config/config.h"
#include "firmware/replay/replay_ledger.h"
#include "tests/lib/check.h"

#define YAML \
    "sources: [{name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"]}]\n" \
    "streams:\n" \
    "  - {name: totals, key: [device, metric], window: {type: tumbling, size: 10s}, aggregates: [count, \"top(value, 3)\"]}\n"

enum { KEYS = 5, WINDOWS = 4, ROUNDS = 4000 };

struct model { /* by key and window */
    bool there;
    double count;
    uint32_t revision;
} models[2][KEYS][WINDOWS];

static struct config config; /* large */
static struct replay_ledger ledgers[2];
static uint64_t changes[CHANGES], steps_back;
static char last_key[400];
static int64_t last_start;

static void put(struct replay_ledger *l, uint32_t key, uint32_t window, const struct model *is)
{
    static const char *const texts[] = { "", "one", "a much longer text than it was before", "\"\n" };
    uint8_t bytes[STREAM_KEY_BYTES_MAX];
    char device[24];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    (void)snprintf(device, sizeof device, "dev-%u", key);
    put_u8(&w, 0);
    put_u8(&w, VALUE_TEXT);
    put_text(&w, text_of(device));
    put_u8(&w, 1);
    put_u8(&w, VALUE_NUMBER);
    put_f64(&w, key);
    struct stream_value values[2] = {
        { text_of("count"), { .kind = DATUM_NUMBER, .number = is->count } },
        { text_of("top_value_3"), { .kind = DATUM_TEXT, .text = text_of(texts[is->revision % 4]) } },
    };
    const struct stream_result result = {
        .plan = &config.stream_plans[0], .stream = text_of("totals"), .key = { (const char *)bytes, (uint32_t)w.used },
        .start_ms = 1000 * (int64_t)window, .end_ms = 1000 * (int64_t)window + 500, .revision = is->revision,
        .kind = !is->there ? STREAM_RETRACTION : is->revision > 0 ? STREAM_REVISION : STREAM_CLOSE,
        .count = is->there ? 2 : 0, .values = values,
    };
    replay_ledger_stream(l, &result);
}

static void on_change(void *ctx, const struct stream_change *change)
{
    char key[400], values[64];
    const struct told_result *r = change->now != NULL ? change->now : change->then;
    struct text text = change->now != NULL ? change->now_values : change->then_values;
    (void)ctx;
    changes[change->change]++;
    (void)snprintf(key, sizeof key, "%.*s", (int)change->key->text.bytes, change->key->text.at);
    steps_back += strcmp(key, last_key) < 0 || (strcmp(key, last_key) == 0 && r->start_ms <= last_start);
    (void)snprintf(last_key, sizeof last_key, "%s", key);
    last_start = r->start_ms;
    const struct model *is = &models[change->now != NULL][key[15] - '0'][r->start_ms / 1000];
    (void)snprintf(values, sizeof values, "{\"count\":%.0f,", is->count);
    assert_memory_equal(text.at, values, strlen(values));
    assert_int_equal(r->revision, is->revision);
}

static void the_last_revision_counts(void **state)
{
    (void)state;
    uint64_t seed = 7;
    memset(models, 0, sizeof models);
    replay_ledger_begin(&ledgers[0]);
    replay_ledger_begin(&ledgers[1]);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t side = seed >> 40 & 1, key = (uint32_t)(seed >> 44) % KEYS, window = (uint32_t)(seed >> 50) % WINDOWS;
        struct model *is = &models[side][key][window];
        *is = (struct model){ .there = (seed >> 56) % 3 > 0, .count = (double)(seed >> 60 & 1), .revision = (seed >> 61) % 4 };
        put(&ledgers[side], key, window, is);
    }
    uint64_t expected[CHANGES] = { 0 };
    for (uint32_t key = 0; key < KEYS; key++)
        for (uint32_t window = 0; window < WINDOWS; window++) {
            const struct model *then = &models[0][key][window], *now = &models[1][key][window];
            bool equal = then->count == now->count && then->revision == now->revision; /* the text goes by the revision */
            if (then->there || now->there)
                expected[!now->there ? CHANGE_VANISHES : !then->there ? CHANGE_APPEARS : equal ? CHANGE_SAME : CHANGE_MOVES]++;
        }
    for (int again = 0; again < 2; again++) { /* comparing sorts, and may be done again */
        memset(changes, 0, sizeof changes);
        last_key[0] = '\0';
        replay_compare_streams(&ledgers[0], &ledgers[1], NULL, on_change);
        assert_memory_equal(changes, expected, sizeof changes);
        assert_int_equal(steps_back, 0);
    }
    assert_true(changes[CHANGE_MOVES] > 0 && changes[CHANGE_APPEARS] > 0 && changes[CHANGE_VANISHES] > 0);
    assert_int_equal(replay_ledger_check(&ledgers[0]), CLI_OK);
    replay_ledger_end(&ledgers[0]);
    replay_ledger_end(&ledgers[1]);
}

static void it_keeps_no_more_than_it_may(void **state)
{
    (void)state;
    struct replay_ledger *l = &ledgers[0];
    const struct model is = { .there = true, .count = 1 };
    for (size_t most = 1024; most <= 4 * 1024 * 1024; most *= 4) {
        replay_ledger_begin(l);
        assert_in_range(l->bytes_max, 16 * 1024 * 1024, UINT64_C(2) << 30);
        l->bytes_max = most;
        for (uint32_t i = 0; i < 40000; i++)
            put(l, i, i, &is);
        assert_true(l->full);
        size_t held = l->results.room * sizeof(struct told_result) + l->keys.room * sizeof(struct told_key) + l->texts_room;
        assert_in_range(held, 0, most);
        assert_int_equal(replay_ledger_check(l), CLI_PROBLEM);
        replay_ledger_end(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_revision_counts),
        cmocka_unit_test(it_keeps_no_more_than_it_may),
    };
    if (config_read_text("test", YAML, strlen(YAML), &config, stderr) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
