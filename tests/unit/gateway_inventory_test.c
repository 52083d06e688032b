/* Goal: an inventory as large as the configuration allows is taken, journalled and read back; one that is too large,
 * or finds no room before the next commit, leaves the old one as it was. Method: a gateway over a real store.
 * Links: pipeline/%.c pipeline/%/%.c storage/%.c firmware/gateway/%.c firmware/config/%.c hal/board.c firmware/json_arena.c
 * Libs: -lsqlite3 -lz -lcjson -lmbedcrypto -lyaml
 */
#include "tests/lib/gateway_bench.h"

enum { ENTRIES = 16000, ENTRY_BYTES = 128 };

static const char yaml[] = "clock: {trust: system}\n"
                           "sources: [{name: plant, url: \"mqtt://127.0.0.1:1883\", topics: [\"t/{device}/{metric}\"], "
                           "payload: {value: \"\"}}]\n"
                           "inventory: {file: plant.csv, entries_max: 16000}\n"
                           "usual: {all: false}\ndetectors: [{name: hot, type: limit, high: 80}]\n"
                           "commit: {max_age: 100ms}\n"
                           "uplink: {url: \"mqtt://127.0.0.1:1884\"}\n";

static const uint8_t digest[32] = { 1 };

/* A head, and entries of almost 128 bytes each. */
static struct text made(const char *site)
{
    static char file[ENTRIES * ENTRY_BYTES + 128];
    size_t used = (size_t)snprintf(file, sizeof file, "device,site,line,model\n");
    for (int i = 0; i < ENTRIES; i++)
        used += (size_t)snprintf(file + used, sizeof file - used, "d%05d,%s,%056d,%056d\n", i, site, i, i);
    assert_in_range(used, ENTRIES * 120, ENTRIES * ENTRY_BYTES);
    return (struct text){ file, (uint32_t)used };
}

static int give(struct bench *b, struct text file, char *why)
{
    return gateway_on_inventory(b->gateway, digest, file, false, why);
}

static void begin(struct bench *b)
{
    bench_open(b, yaml);
    gateway_on_uplink(b->gateway, true);
    bench_turns(b, 5);
    gateway_on_source(b->gateway, 0, true);
}

static const char *site_told(struct bench *b, const char *device)
{
    char topic[64];
    b->sent_count = 0;
    (void)snprintf(topic, sizeof topic, "t/%s/temp", device);
    assert_true(bench_publish(b, topic, "99"));
    bench_turns(b, 5);
    return bench_told(b, "\"site\":\"");
}

static void the_largest_is_taken(void **state)
{
    (void)state;
    static struct bench b;
    char why[256] = "";
    begin(&b);
    bench_begin(&b, 100);
    int error = give(&b, made("a"), why);
    assert_string_equal(why, "");
    assert_int_equal(error, 0);
    bench_turns(&b, 3);
    assert_non_null(site_told(&b, "d15999"));
    bench_kill(&b);
    bench_start(&b); /* and the block that holds it can be read */
    bench_close(&b);
}

static void what_is_not_taken_changes_nothing(void **state)
{
    (void)state;
    static struct bench b;
    static char large[ENTRIES * ENTRY_BYTES + 1];
    char why[256] = "";
    begin(&b);
    bench_begin(&b, 100);
    assert_int_equal(give(&b, text_of("device,site\nd1,old\n"), why), 0);
    memset(large, ' ', sizeof large);
    assert_int_equal(give(&b, (struct text){ large, sizeof large }, why), WEIR_EFULL);
    assert_non_null(strstr(why, "2048000 bytes"));
    assert_int_equal(give(&b, made("new"), why), 0);
    assert_int_equal(give(&b, made("newer"), why), WEIR_EAGAIN);
    bench_turns(&b, 3);
    assert_non_null(strstr(site_told(&b, "d15999"), "\"site\":\"new\""));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_is_taken),
        cmocka_unit_test(what_is_not_taken_changes_nothing),
    };
    return cmocka_run_group_tests_name("gateway_inventory", tests, NULL, NULL);
}
