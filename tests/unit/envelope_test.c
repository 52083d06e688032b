/* Goal: what goes upstream is one line of JSON that says what the alert says, the same for the same arguments, within its
 * bound. Method: vectors in tests/vectors, made anew and compared (tests/e2e/schemas_test.py holds them against the
 * schemas); names and numbers at their worst for the bound; every shorter buffer gives an empty slice.
 * Links: pipeline/alerts/severity.c pipeline/codec/envelope.c pipeline/codec/envelope_alert.c pipeline/codec/envelope_correction.c pipeline/codec/json_writer.c pipeline/timestamp.c pipeline/bytes.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/statistics.c */
#include "pipeline/codec/envelope.h"

#include <float.h>

#include "pipeline/streams/streams.h"
#include "tests/lib/check.h"
#include "tests/lib/vectors.h"

enum { RECENT = 3 };

static const struct sample recent[RECENT] = { { 1790000000000, 1.71 }, { 1790000001000, 1.69 }, { 1790000002000, 9.5 } };
static const struct statistics usual = { .count = 5000, .mean = 1.68, .ew_mean = 1.7, .ew_variance = 0.01 };

static struct envelope envelope_example(void)
{
    return (struct envelope){
        .gateway = text_of("site-a"),
        .store_id = { 0x0123456789abcdef, 0xfedcba9876543210 },
        .config_digest = text_of("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
        .version = text_of("0.1.0"),
        .offset_ms = 1789999000000,
        .clock = CLOCK_SYNCED,
    };
}

static struct detector_config rule_example(void)
{
    struct detector_config rule = { .name = "vibration-spike", .kind = DETECTOR_SPIKE, .severity = SEVERITY_MAJOR };
    return rule;
}

static struct alert alert_example(void)
{
    return (struct alert){ .state = ALERT_RAISED, .number = 1, .revision = 1, .count = 1, .suppressed = 2,
                           .onset_event_ms = 1790000002000, .last_event_ms = 1790000002000, .onset_block = 40,
                           .peak = { .observed = 9.5, .low = 1.1, .high = 2.3,
                                     .score = 78.0, .threshold = 6.0 } };
}

static struct alert_event event_example(const struct alert *alert, const struct detector_config *rule)
{
    return (struct alert_event){ .id = "01J8Q4W3ZK5T8N2V6R0B7D1F9H", .transition = ALERT_RAISE, .alert = alert,
                                 .rule = rule, .severity = SEVERITY_MAJOR, .device = text_of("pump7"),
                                 .metric = text_of("vib.rms"), .unit = text_of("mm/s"), .usual = &usual,
                                 .recent = recent, .recent_count = RECENT, .t_ms = 1002345,
                                 .event_time_ms = 1790000002000, .first_block = 40, .last_block = 41,
                                 .contract_version = 1 };
}

static const struct inventory_entry pump = { .device = "pump7", .site = "Plant 1", .line = "L2", .model = "X-100",
                                             .unit = "mm/s", .has_high = true, .high = 7.1 };

static void alerts_are_the_vectors(void **state)
{
    (void)state;
    static const char *const paths[] = { "tests/vectors/alert-raised.json", "tests/vectors/alert-updated.json",
                                         "tests/vectors/alert-cleared.json", "tests/vectors/alert-unenriched.json" };
    struct envelope e = envelope_example();
    struct detector_config rule = rule_example();
    struct alert alert = alert_example();
    struct alert_event event = event_example(&alert, &rule);
    alert.member = 1;
    memcpy(event.incident, "01J8Q4W3ZK5T8N2V6R0B7D1F9G", sizeof event.incident);
    for (uint32_t i = 0; i < 4; i++) {
        char room[ENVELOPE_ALERT_BYTES_MAX], again[ENVELOPE_ALERT_BYTES_MAX];
        alert.revision = i % 3 + 1;
        alert.acknowledged = i == 1 || i == 2;
        alert.shelved_until_ms = i == 1 ? 1790003600000 : 0;
        event.transition = i == 2 ? ALERT_CLEAR : i == 1 ? ALERT_UPDATE : ALERT_RAISE;
        event.notify = i == 0;
        event.t_ms = 1002345 + 60000 * (i % 3);
        event.last_block = 41 + i % 3;
        if (i == 3) { /* another alert: an (id, revision) has one text */
            memcpy(event.id, "01J8Q4W3ZK5T8N2V6R0B7D1F9J", sizeof event.id);
            rule = (struct detector_config){ .name = "baseline", .kind = DETECTOR_BASELINE };
            alert.reason = REASON_HIGH;
            alert.member = 2;
            alert.in_storm = alert.over_budget = alert.chattering = true;
        }
        struct text first = envelope_alert(&e, 17 + i, &event, &pump, i != 3, room, sizeof room);
        struct text second = envelope_alert(&e, 17 + i, &event, &pump, i != 3, again, sizeof again);
        assert_in_range(first.bytes, 1, sizeof room);
        assert_true(text_equal(first, second));
        vector_check(paths[i], first.at, first.bytes);
    }
}

/* As if it had been rendered there; and nothing else is taken for one. */
static void an_alert_gets_its_place(void **state)
{
    (void)state;
    struct envelope e = envelope_example();
    struct detector_config rule = rule_example();
    struct alert alert = alert_example();
    struct alert_event event = event_example(&alert, &rule);
    char room[ENVELOPE_ALERT_BYTES_MAX], there[ENVELOPE_ALERT_BYTES_MAX];
    e.alerts_lane = 1;
    struct text text = envelope_alert(&e, 0, &event, &pump, true, room, sizeof room);
    struct text wanted = envelope_alert(&e, UINT64_MAX, &event, &pump, true, there, sizeof there);
    assert_non_null(strstr(wanted.at, ":results\""));
    struct hash_key other = e.store_id;
    other.k1++;
    assert_false(envelope_renumber(room, text.bytes, &(struct envelope_place){ "alert", other, 1, 5 }));
    assert_false(envelope_renumber(room, text.bytes, &(struct envelope_place){ "alert", e.store_id, 0, 5 }));
    for (uint32_t bytes = 0; bytes < text.bytes; bytes++) {
        char *cut = malloc(bytes + 1); /* the sanitizer sees who reads past it */
        memcpy(cut, room, bytes);
        cut = realloc(cut, bytes > 0 ? bytes : 1);
        assert_true(!envelope_renumber(cut, bytes, &(struct envelope_place){ "alert", e.store_id, 1, 5 }) || cut[bytes - 1] == '}');
        free(cut);
    }
    assert_true(envelope_renumber(room, text.bytes, &(struct envelope_place){ "alert", e.store_id, 1, UINT64_MAX }));
    assert_true(text_equal(text, wanted));
    text = envelope_gap(&e, 1, 8, 12, "outbox_full", 1790000100000, room, sizeof room);
    assert_false(envelope_renumber(room, text.bytes, &(struct envelope_place){ "alert", e.store_id, 1, 5 }));
}

/* An alert of the device itself: of no metric, and so without a band, a unit and recent readings. */
static void an_alert_of_a_device_is_the_vector(void **state)
{
    (void)state;
    struct envelope e = envelope_example();
    struct detector_config rule = { .name = "device_clock", .kind = DETECTOR_LIMIT, .severity = SEVERITY_WARNING };
    struct alert alert = alert_example();
    alert.peak = (struct alert_figures){ .observed = 3, .low = 0, .high = 2, .score = 3,
                                   .threshold = 3 };
    struct alert_event event = event_example(&alert, &rule);
    memcpy(event.id, "01J8Q4W3ZK5T8N2V6R0B7D1F9K", sizeof event.id);
    event.severity = SEVERITY_WARNING;
    event.notify = true;
    event.metric = event.unit = (struct text){ 0 };
    event.usual = NULL;
    event.recent_count = 0;
    event.contract_version = 0;
    char room[ENVELOPE_ALERT_BYTES_MAX];
    struct text text = envelope_alert(&e, 22, &event, NULL, true, room, sizeof room);
    assert_in_range(text.bytes, 1, sizeof room);
    vector_check("tests/vectors/alert-device.json", text.at, text.bytes);
}

static void a_gap_and_a_notice_are_the_vectors(void **state)
{
    (void)state;
    struct envelope e = envelope_example();
    char room[ENVELOPE_EVENT_BYTES_MAX];
    struct text gap = envelope_gap(&e, 1, 8, 12, "outbox_full", 1790000100000, room, sizeof room);
    assert_in_range(gap.bytes, 1, sizeof room);
    vector_check("tests/vectors/gap.json", gap.at, gap.bytes);
    static const struct envelope_fact facts[] = { { "level", 1 }, { "lag_ms", 5210 } };
    const struct notice said = { "enrichment is left out", "lag", facts, 2 };
    struct text notice = envelope_notice(&e, 21, "shed_level", &said, 1790000200000, room,
                                         sizeof room);
    assert_in_range(notice.bytes, 1, sizeof room);
    vector_check("tests/vectors/notice.json", notice.at, notice.bytes);
}

static void the_state_is_told_as_it_is(void **state)
{
    (void)state;
    static const struct { enum severity severity; const char *want; } severities[] = {
        { SEVERITY_INFO, "\"severitytext\":\"INFO\",\"severitynumber\":9," },
        { SEVERITY_WARNING, "\"severitytext\":\"WARN\",\"severitynumber\":13," },
        { SEVERITY_MINOR, "\"severitytext\":\"WARN2\",\"severitynumber\":14," },
        { SEVERITY_MAJOR, "\"severitytext\":\"ERROR\",\"severitynumber\":17," },
        { SEVERITY_CRITICAL, "\"severitytext\":\"FATAL\",\"severitynumber\":21," },
    };
    struct envelope e = envelope_example();
    struct detector_config rule = rule_example();
    struct alert alert = alert_example();
    struct alert_event event = event_example(&alert, &rule);
    char room[ENVELOPE_ALERT_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof severities / sizeof severities[0]; i++) {
        event.severity = severities[i].severity;
        struct text text = envelope_alert(&e, UINT64_MAX, &event, NULL, true, room, sizeof room - 1);
        room[text.bytes] = 0;
        assert_non_null(strstr(room, severities[i].want));
        assert_non_null(strstr(room, "\"sequence\":\"18446744073709551615\""));
        assert_non_null(strstr(room, "\"enrichment\":{}"));
    }
    event.unit = (struct text){ 0 };
    event.usual = NULL; /* an alert of the gateway itself, of a detector without a band */
    alert.peak.low = 1;
    alert.peak.high = 0;
    alert.shelved_until_ms = event.t_ms + e.offset_ms; /* shelving ends now */
    struct text text = envelope_alert(&e, 1, &event, NULL, true, room, sizeof room - 1);
    room[text.bytes] = 0;
    assert_non_null(strstr(room, "\"expected\":{}"));
    assert_non_null(strstr(room, "\"shelved\":false"));
    assert_null(strstr(room, "\"unit\""));
    alert.peak.low = -READING_NUMBER_MAX; /* a limit to one side */
    alert.peak.high = 7;
    text = envelope_alert(&e, 1, &event, NULL, true, room, sizeof room - 1);
    room[text.bytes] = 0;
    assert_non_null(strstr(room, "\"expected\":{\"high\":7}"));
}

static void the_worst_alert_fits(void **state)
{
    (void)state;
    char name[READING_NAME_BYTES_MAX + 1];
    memset(name, 1, READING_NAME_BYTES_MAX); /* six bytes each when escaped */
    name[READING_NAME_BYTES_MAX] = 0;
    struct sample samples[ENVELOPE_RECENT_MAX];
    for (int i = 0; i < ENVELOPE_RECENT_MAX; i++)
        samples[i] = (struct sample){ INT64_MAX, -DBL_MAX };
    struct envelope e = envelope_example();
    e.gateway = text_of(name);
    struct detector_config rule = rule_example();
    memcpy(rule.name, name, DETECTOR_NAME_BYTES_MAX);
    rule.kind = DETECTOR_SILENT;
    struct statistics worst = { .count = 1, .ew_mean = -DBL_MAX };
    struct alert alert = alert_example();
    alert.revision = alert.count = alert.suppressed = UINT32_MAX;
    alert.peak = (struct alert_figures){ .observed = -DBL_MAX, .low = -9.8765432109876543e139, .high = -1.2345678901234567e-139,
                                   .score = -DBL_MAX,
                                   .threshold = -DBL_MAX };
    struct alert_event event = event_example(&alert, &rule);
    event.device = event.metric = event.unit = text_of(name);
    event.usual = &worst;
    event.recent = samples;
    event.recent_count = ENVELOPE_RECENT_MAX;
    event.severity = SEVERITY_CRITICAL;
    event.first_block = event.last_block = UINT64_MAX;
    event.contract_version = UINT32_MAX;
    struct inventory_entry device = { .has_low = true, .low = -DBL_MAX, .has_high = true, .high = -DBL_MAX };
    memcpy(device.site, name, sizeof name);
    memcpy(device.line, name, sizeof name);
    memcpy(device.model, name, sizeof name);
    memcpy(device.unit, name, sizeof name);
    static char room[2 * ENVELOPE_ALERT_BYTES_MAX];
    uint32_t used = envelope_alert(&e, UINT64_MAX, &event, &device, true, room, sizeof room).bytes;
    printf("# the worst alert takes %u bytes\n", used);
    uint32_t times = 0;
    for (const char *at = room; (at = strstr(at, "\"time\":")) != NULL && at < room + used; at++)
        times++;
    assert_int_equal(times, 1 + ENVELOPE_RECENT_MAX); /* its own, and each recent reading's */
    assert_in_range(used, 1, ENVELOPE_ALERT_BYTES_MAX);
    for (uint32_t bytes = 0; bytes < used; bytes += 13) {
        char *exact = malloc(bytes + 1u);
        assert_int_equal(envelope_alert(&e, UINT64_MAX, &event, &device, true, exact, bytes).bytes, 0);
        free(exact);
    }
}

/* --- corrections --- */

enum { PACKED = 16 * 1024 };

static void pack(struct byte_writer *w, uint8_t place, struct text text)
{
    put_u8(w, place);
    put_u8(w, VALUE_TEXT);
    put_text(w, text);
}

static void pack_number(struct byte_writer *w, uint8_t place, enum value_type type, double number)
{
    put_u8(w, place);
    put_u8(w, (uint8_t)type);
    put_f64(w, number);
}

static const struct stream_config spend = { .name = "spend", .key_count = 2, .key = { { "country" }, { "first" } } };
static const struct stream_plan spend_plan = { .config = &spend, .key_count = 2 };

static struct record late_example(void)
{
    return (struct record){
        .kind = RECORD_READING, .t_ms = 1100000, .event_time_ms = 1790000000000 - 70000,
        .reading = { .device = text_of("shop3"), .metric = text_of("order"), .unit = text_of("EUR"),
                     .value = { VALUE_NUMBER, 30.5, { 0 } }, .has_sequence = true, .sequence = 77, .index = 2 },
    };
}

static void a_correction_is_the_vector(void **state)
{
    (void)state;
    uint8_t key_bytes[64], extra_bytes[64];
    char room[ENVELOPE_CORRECTION_BYTES_MAX + 1];
    struct byte_writer key = { key_bytes, sizeof key_bytes, 0, false }, extra = { extra_bytes, sizeof extra_bytes, 0, false };
    pack(&key, 0, text_of("DE"));
    pack_number(&key, 1, VALUE_BOOLEAN, 1);
    pack(&extra, 0, text_of("DE"));
    pack_number(&extra, 1, VALUE_BOOLEAN, 1);
    pack_number(&extra, 2, VALUE_NUMBER, 4);
    const struct text names[] = { text_of("country"), text_of("first"), text_of("items") };
    struct envelope e = envelope_example();
    struct record record = late_example();
    record.reading.extra = (struct text){ (const char *)extra_bytes, (uint32_t)extra.used };
    struct stream_late late = {
        .plan = &spend_plan, .key = { (const char *)key_bytes, (uint32_t)key.used }, .record = &record,
        .start_ms = 1789999200000, .end_ms = 1790000100000, .slide_ms = 30000, .windows = 30, .lateness_ms = 120000,
        .needed_ms = 180001,
    };
    const struct correction correction = { &late, 2, 43, 1, names, 3 };
    struct text text = envelope_correction(&e, 8, &correction, room, sizeof room);
    assert_in_range(text.bytes, 1, ENVELOPE_CORRECTION_BYTES_MAX);
    vector_check("tests/vectors/correction.json", text.at, text.bytes);
    late = (struct stream_late){ .record = &record, .start_ms = 10, .end_ms = 20, .windows = 1, .slide_ms = 10 };
    text = envelope_correction(&e, 8, &correction, room, sizeof room);
    room[text.bytes] = 0; /* of a series: neither stream, key nor slide */
    assert_non_null(strstr(room, "\"kind\":\"series\",\"window\":"));
    assert_non_null(strstr(room, "\"count\":1},"));
    assert_non_null(strstr(room, "\"fields\":{\"country\":\"DE\",\"first\":true,\"items\":4}"));
}

/* What is too long goes without its fields, or without its value; it is never cut, and never too long. */
static void a_long_correction_says_what_it_leaves_out(void **state)
{
    (void)state;
    static char long_text[READING_TEXT_BYTES_MAX], name[READING_NAME_BYTES_MAX + 1], key_text[STREAM_KEY_BYTES_MAX - 4];
    static uint8_t extra_bytes[PACKED], key_bytes[STREAM_KEY_BYTES_MAX];
    static char room[2 * ENVELOPE_CORRECTION_BYTES_MAX];
    memset(long_text, 'x', sizeof long_text);
    memset(name, 1, READING_NAME_BYTES_MAX); /* six bytes each when escaped */
    memset(key_text, 1, sizeof key_text);
    struct byte_writer extra = { extra_bytes, sizeof extra_bytes, 0, false }, key = { key_bytes, sizeof key_bytes, 0, false };
    struct text names[READING_FIELDS_MAX];
    for (uint8_t i = 0; i < READING_FIELDS_MAX; i++) {
        pack(&extra, i, (struct text){ long_text, sizeof long_text });
        names[i] = text_of("f");
    }
    pack(&key, 0, (struct text){ key_text, sizeof key_text });
    struct envelope e = envelope_example();
    struct record record = late_example();
    record.reading.extra = (struct text){ (const char *)extra_bytes, (uint32_t)extra.used };
    struct stream_late late = { .plan = &spend_plan, .record = &record, .end_ms = 1, .windows = 1,
                                .key = { (const char *)key_bytes, (uint32_t)key.used } };
    const struct correction correction = { &late, 2, UINT64_MAX, UINT32_MAX, names, READING_FIELDS_MAX };
    struct text text = envelope_correction(&e, 1, &correction, room, sizeof room);
    room[text.bytes] = 0;
    assert_in_range(text.bytes, 1, ENVELOPE_CORRECTION_BYTES_MAX);
    assert_non_null(strstr(room, "\"value\":30.5,"));
    assert_non_null(strstr(room, "\"left_out\":\"fields\""));
    memset(long_text, 1, sizeof long_text);
    e.gateway = record.reading.device = record.reading.metric = record.reading.unit = text_of(name);
    record.reading.value = (struct value){ VALUE_TEXT, 0, { long_text, sizeof long_text } };
    text = envelope_correction(&e, UINT64_MAX, &correction, room, sizeof room);
    room[text.bytes] = 0;
    printf("# the worst correction takes %u bytes\n", text.bytes);
    assert_in_range(text.bytes, 1, ENVELOPE_CORRECTION_BYTES_MAX);
    assert_non_null(strstr(room, "\"value\":null,"));
    assert_non_null(strstr(room, "\"left_out\":\"value\""));
}

static void lanes_have_their_names(void **state)
{
    (void)state;
    assert_string_equal(lane_name(0), "alerts");
    assert_string_equal(lane_name(1), "results");
    assert_string_equal(lane_name(2), "raw");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alerts_are_the_vectors),
        cmocka_unit_test(an_alert_gets_its_place),
        cmocka_unit_test(an_alert_of_a_device_is_the_vector),
        cmocka_unit_test(a_gap_and_a_notice_are_the_vectors),
        cmocka_unit_test(the_state_is_told_as_it_is),
        cmocka_unit_test(the_worst_alert_fits),
        cmocka_unit_test(a_correction_is_the_vector),
        cmocka_unit_test(a_long_correction_says_what_it_leaves_out),
        cmocka_unit_test(lanes_have_their_names),
    };
    return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}
