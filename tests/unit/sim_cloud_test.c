/* Goal: the receiver's rule: a revision takes effect once and never goes back, whatever the order of arrival; what has
 * arrived without a hole is known exactly; what breaks the specification is kept aside. Method: examples, then
 * seeded deliveries (repeated, reordered, with gap events) against the plain truth of what was sent.
 * Links: simulator/cloud_store.c simulator/cloud_event.c pipeline/codec/codec_results.c pipeline/codec/codec_results_rows.c pipeline/packing.c pipeline/bytes.c pipeline/hash.c pipeline/timestamp.c
 * Libs: -lsqlite3 -lcjson -lz */
#include <string.h>

#include <zlib.h>

#include "simulator/cloud_store.h"
#include "tests/lib/check.h"
#include "tests/lib/vectors.h"

#define STORE "0123456789abcdef0123456789abcdef"

enum { ROWS = 60 };

static struct cloud_event event; /* large */

static enum cloud_effect apply(struct cloud_store *s, const char *text)
{
    enum cloud_effect effect;
    cloud_event_read(&event, "alerts", text_of(text));
    assert_int_equal(cloud_store_begin(s), 0);
    assert_int_equal(cloud_store_apply(s, "gw", &event, 5000, &effect), 0);
    assert_int_equal(cloud_store_commit(s), 0);
    return effect;
}

static void alert_text(char to[1024], unsigned sequence, const char *alert, unsigned revision)
{
    (void)snprintf(to, 1024,
                   "{\"specversion\":\"1.0\",\"type\":\"dev.weir.alert.v1\",\"id\":\"%s.%u\","
                   "\"source\":\"urn:weir:" STORE ":alerts\",\"sequence\":\"%020u\","
                   "\"time\":\"2026-09-21T14:13:20.250Z\",\"data\":{\"alert_id\":\"%s\","
                   "\"revision\":%u,\"device\":\"d\",\"metric\":\"m\",\"rule\":\"r\","
                   "\"transition\":\"raised\",\"severity\":\"major\"}}",
                   alert, revision, sequence, alert, revision);
}

static void gap_text(char to[1024], unsigned from, unsigned until)
{
    (void)snprintf(to, 1024,
                   "{\"specversion\":\"1.0\",\"type\":\"dev.weir.gap.v1\",\"id\":\"gap.%u\","
                   "\"source\":\"urn:weir:" STORE ":alerts\",\"sequence\":\"%020u\","
                   "\"time\":\"2026-09-21T14:13:20.250Z\",\"data\":{\"lane\":\"alerts\","
                   "\"from\":%u,\"to\":%u,\"reason\":\"space\"}}",
                   until, until, from, until);
}

static void lane_keep(void *ctx, const struct cloud_lane *lane)
{
    *(struct cloud_lane *)ctx = *lane;
}

static struct cloud_lane lane_of(struct cloud_store *s)
{
    struct cloud_lane lane = { .contiguous = 0 };
    assert_int_equal(cloud_store_lanes(s, &lane, lane_keep), 0);
    return lane;
}

/* The report's text must hold `want`. */
static void report_holds(struct cloud_store *s, const char *want)
{
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    assert_int_equal(cloud_store_report(s, out), 0);
    assert_int_equal(fclose(out), 0);
    if (strstr(text, want) == NULL)
        fail_msg("%s is not in %s", want, text);
}

static void a_revision_takes_effect_once(void **state)
{
    (void)state;
    struct cloud_store *s = cloud_store_open(":memory:");
    static const struct { unsigned sequence, revision; enum cloud_effect want; } table[] = {
        { 1, 1, CLOUD_APPLIED }, { 1, 1, CLOUD_IGNORED }, { 3, 3, CLOUD_APPLIED },
        { 2, 2, CLOUD_IGNORED }, { 3, 3, CLOUD_IGNORED }, { 4, 4, CLOUD_APPLIED },
    };
    char text[1024];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        alert_text(text, table[i].sequence, "A", table[i].revision);
        assert_int_equal(apply(s, text), table[i].want);
    }
    assert_int_equal(lane_of(s).contiguous, 4);
    report_holds(s, "\"alerts\":1");
    report_holds(s, "\"repeated\":2");
    cloud_store_close(s);
}

static void other_bytes_under_one_revision_are_a_conflict(void **state)
{
    (void)state;
    struct cloud_store *s = cloud_store_open(":memory:");
    char text[1024];
    alert_text(text, 1, "A", 1);
    assert_int_equal(apply(s, text), CLOUD_APPLIED);
    strstr(text, "major")[0] = 'M';
    assert_int_equal(apply(s, text), CLOUD_IGNORED);
    report_holds(s, "\"conflicts\":1");
    cloud_store_close(s);
}

static void a_hole_is_known_until_it_is_filled(void **state)
{
    (void)state;
    struct cloud_store *s = cloud_store_open(":memory:");
    char text[1024];
    alert_text(text, 1, "A", 1);
    (void)apply(s, text);
    alert_text(text, 5, "B", 1);
    (void)apply(s, text);
    assert_int_equal(lane_of(s).contiguous, 1);
    assert_int_equal(lane_of(s).hole_to, 4);
    gap_text(text, 2, 4);
    assert_int_equal(apply(s, text), CLOUD_APPLIED);
    assert_int_equal(lane_of(s).contiguous, 5);
    assert_int_equal(lane_of(s).hole_to, 0);
    cloud_store_close(s);
}

static void a_hole_that_stays_is_given_up(void **state)
{
    (void)state;
    struct cloud_store *s = cloud_store_open(":memory:");
    char text[1024];
    alert_text(text, 9, "A", 1);
    (void)apply(s, text);
    struct cloud_lane lane = lane_of(s);
    assert_int_equal(lane.hole_to, 8);
    assert_int_equal(cloud_store_give_up(s, &lane, 6000), 0);
    assert_int_equal(lane_of(s).contiguous, 9);
    report_holds(s, "\"given_up\":8");
    cloud_store_close(s);
}

static void what_breaks_the_specification_is_kept_aside(void **state)
{
    (void)state;
    static const struct { const char *find, *put; } table[] = {
        { "\"1.0\"", "\"0.3\"" },
        { "urn:weir:", "urn:uuid:" },
        { ":alerts\"", ":result\"" },
        { "A.1", "A.2" },
        { "2026-", "26-99" },
        { "alert.v1", "alarm.v1" },
        { "\"device\"", "\"gadget\"" },
        { "\"revision\":1", "\"revision\":0" },
        { "}}", "]]" },
    };
    struct cloud_store *s = cloud_store_open(":memory:");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[1024];
        alert_text(text, 1, "A", 1);
        char *at = strstr(text, table[i].find);
        assert_non_null(at);
        memcpy(at, table[i].put, strlen(table[i].put));
        if (apply(s, text) != CLOUD_FAULTY)
            fail_msg("%s was accepted", table[i].put);
    }
    report_holds(s, "\"alerts\":0");
    report_holds(s, "\"schema_faults\":9");
    cloud_store_close(s);
}

struct vector {
    const char *path, *lane;
    enum cloud_kind kind;
    uint64_t sequence; /* of its lane */
};

static const struct vector vectors[] = {
    { "tests/vectors/alert-raised.json", "alerts", CLOUD_ALERT, 17 },
    { "tests/vectors/alert-updated.json", "alerts", CLOUD_ALERT, 18 },
    { "tests/vectors/alert-cleared.json", "alerts", CLOUD_ALERT, 19 },
    { "tests/vectors/alert-unenriched.json", "alerts", CLOUD_ALERT, 20 },
    { "tests/vectors/notice.json", "alerts", CLOUD_NOTICE, 21 },
    { "tests/vectors/alert-device.json", "alerts", CLOUD_ALERT, 22 },
    { "tests/vectors/windows.wr", "results", CLOUD_RESULTS, 7 },
    { "tests/vectors/gap.json", "results", CLOUD_GAP, 12 },
    { "tests/vectors/streams.wr", "results", CLOUD_RESULTS, 13 },
    { "tests/vectors/readings.wr", "raw", CLOUD_READINGS, 7 },
    { "tests/vectors/correction.json", "raw", CLOUD_CORRECTION, 8 },
};

enum { VECTORS = sizeof vectors / sizeof vectors[0] };

/* As the gateway sends it: batches are compressed. The caller frees it. */
static struct text vector_payload(const struct vector *vector)
{
    size_t bytes = 0;
    char *plain = file_read(vector->path, &bytes);
    assert_non_null(plain);
    if (plain[0] == '{')
        return (struct text){ plain, (uint32_t)bytes };
    uLongf packed_bytes = compressBound(bytes);
    uint8_t *packed = malloc(packed_bytes);
    assert_int_equal(compress(packed, &packed_bytes, (const Bytef *)plain, bytes), Z_OK);
    free(plain);
    return (struct text){ (const char *)packed, (uint32_t)packed_bytes };
}

static enum cloud_effect vector_apply(struct cloud_store *s, const struct vector *vector)
{
    enum cloud_effect effect;
    struct text payload = vector_payload(vector);
    cloud_event_read(&event, vector->lane, payload);
    if (event.fault != NULL)
        fail_msg("%s: %s", vector->path, event.fault);
    assert_int_equal(event.kind, vector->kind);
    assert_int_equal(event.sequence, vector->sequence);
    assert_string_equal(event.lane, vector->lane);
    assert_string_equal(event.store, "0123456789abcdeffedcba9876543210");
    assert_int_equal(cloud_store_begin(s), 0);
    assert_int_equal(cloud_store_apply(s, "site-a", &event, 5000, &effect), 0);
    assert_int_equal(cloud_store_commit(s), 0);
    free((char *)payload.at);
    return effect;
}

static void lanes_keep(void *ctx, const struct cloud_lane *lane)
{
    struct cloud_lane **next = ctx;
    *(*next)++ = *lane;
}

/* What docs/ shows to those who write a receiver ends, in any order and with repeats, in one state;
 * and what is then said back is the published receipt. */
static void the_published_vectors_end_in_one_state(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (int round = 0; round < 20; round++) {
        struct cloud_store *s = cloud_store_open(":memory:");
        struct cloud_lane lanes[3], *next = lanes;
        bool seen[VECTORS] = { false };
        for (uint32_t left = VECTORS; left > 0;) {
            uint32_t i = (uint32_t)(rnd(&seed) % VECTORS);
            (void)vector_apply(s, &vectors[i]);
            left -= !seen[i];
            seen[i] = true;
        }
        assert_int_equal(cloud_store_lanes(s, &next, lanes_keep), 0);
        assert_int_equal(next - lanes, 3);
        for (int i = 0; i < 3; i++) { /* what came before is not among the vectors */
            assert_int_equal(lanes[i].contiguous, 0);
            assert_int_equal(cloud_store_give_up(s, &lanes[i], 6000), 0);
        }
        next = lanes;
        assert_int_equal(cloud_store_lanes(s, &next, lanes_keep), 0);
        char receipt[256];
        (void)snprintf(receipt, sizeof receipt, "{\"lanes\":{\"%s\":%u,\"%s\":%u,\"%s\":%u},\"store\":\"%s\"}",
                       lanes[0].lane, (unsigned)lanes[0].contiguous, lanes[2].lane, (unsigned)lanes[2].contiguous,
                       lanes[1].lane, (unsigned)lanes[1].contiguous, lanes[0].store);
        size_t bytes = 0;
        char *published = file_read("tests/vectors/receipt.json", &bytes);
        assert_string_equal(receipt, published);
        free(published);
        report_holds(s, "\"alerts\":3,\"alerts_open\":2,\"results\":2,");
        report_holds(s, "\"holes\":0");
        for (uint32_t i = 0; i < VECTORS; i++)
            if (vectors[i].kind == CLOUD_ALERT || vectors[i].kind == CLOUD_RESULTS)
                assert_int_equal(vector_apply(s, &vectors[i]), CLOUD_IGNORED);
        cloud_store_close(s);
    }
}

static void a_damaged_batch_is_kept_aside(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < VECTORS; i++) {
        if (vectors[i].kind != CLOUD_RESULTS && vectors[i].kind != CLOUD_READINGS)
            continue;
        struct text payload = vector_payload(&vectors[i]);
        ((char *)payload.at)[payload.bytes / 2] ^= 1;
        cloud_event_read(&event, vectors[i].lane, payload);
        assert_non_null(event.fault);
        free((char *)payload.at);
    }
}

struct sent { /* row i + 1 of the lane */
    char text[1024];
    unsigned alert, revision;
};

/* Every row in a random order, some of them twice, some only as part of a gap. */
static void deliver(struct cloud_store *s, const struct sent *rows, uint64_t *seed,
                    unsigned highest[4])
{
    unsigned order[ROWS];
    for (unsigned i = 0; i < ROWS; i++)
        order[i] = i;
    for (unsigned i = ROWS - 1; i > 0; i--) {
        unsigned other = (unsigned)(rnd(seed) % (i + 1)), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    for (unsigned i = 0; i < ROWS; i++) {
        const struct sent *row = &rows[order[i]];
        char gap[1024];
        if (rnd(seed) % 10 == 0) {
            gap_text(gap, order[i] + 1, order[i] + 1);
            (void)apply(s, gap);
            continue;
        }
        for (uint64_t times = rnd(seed) % 3 == 0 ? 2 : 1; times > 0; times--)
            (void)apply(s, row->text);
        if (row->revision > highest[row->alert])
            highest[row->alert] = row->revision;
    }
}

static void any_order_ends_in_the_true_state(void **state)
{
    (void)state;
    static struct sent rows[ROWS];
    uint64_t seed = check_seed();
    for (int round = 0; round < 20; round++) {
        struct cloud_store *s = cloud_store_open(":memory:");
        unsigned next[4] = { 0 }, highest[4] = { 0 };
        for (unsigned i = 0; i < ROWS; i++) {
            rows[i].alert = (unsigned)(rnd(&seed) % 4);
            rows[i].revision = ++next[rows[i].alert];
            char name[2] = { (char)('A' + rows[i].alert), '\0' };
            alert_text(rows[i].text, i + 1, name, rows[i].revision);
        }
        deliver(s, rows, &seed, highest);
        assert_int_equal(lane_of(s).contiguous, ROWS);
        assert_int_equal(lane_of(s).hole_to, 0);
        for (unsigned i = 0; i < ROWS; i++) { /* only what was never seen may still take effect */
            bool newer = rows[i].revision > highest[rows[i].alert];
            assert_int_equal(apply(s, rows[i].text), newer ? CLOUD_APPLIED : CLOUD_IGNORED);
        }
        cloud_store_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_revision_takes_effect_once),
        cmocka_unit_test(other_bytes_under_one_revision_are_a_conflict),
        cmocka_unit_test(a_hole_is_known_until_it_is_filled),
        cmocka_unit_test(a_hole_that_stays_is_given_up),
        cmocka_unit_test(what_breaks_the_specification_is_kept_aside),
        cmocka_unit_test(the_published_vectors_end_in_one_state),
        cmocka_unit_test(a_damaged_batch_is_kept_aside),
        cmocka_unit_test(any_order_ends_in_the_true_state),
    };
    return cmocka_run_group_tests_name("sim_cloud", tests, NULL, NULL);
}
