/* Goal: every shape that devices send becomes the right readings, and every fault has its own
 * reason and place. Method: tables of messages with the readings written as text, and of faults with their
 * offset; a message made at random from a model and read back; limits at their edges.
 * Links: pipeline/codec/codec_json.c pipeline/codec/codec_json_check.c pipeline/codec/codec_json_pointer.c pipeline/codec/codec_json_scan.c pipeline/codec/codec_json_tree.c pipeline/timestamp.c pipeline/bytes.c pipeline/reject.c firmware/json_arena.c
 * Libs: -lcjson */
#include "pipeline/codec/codec_json.h"

#include "firmware/json_arena.h"
#include "pipeline/bytes.h"
#include "pipeline/err.h"
#include "tests/lib/check.h"

enum { PAYLOAD_MAX = 8192, READINGS_MAX = 6, ARENA_BYTES = 1 << 16 };

static _Alignas(16) uint8_t region[ARENA_BYTES];
static struct reading readings[READINGS_MAX];
static uint8_t extra[512];

static struct decoder new_decoder(size_t arena_bytes)
{
    json_arena_start(region, arena_bytes);
    return (struct decoder){
        .memory = { json_arena_reset, json_arena_exhausted },
        .limits = { .payload_bytes = PAYLOAD_MAX, .depth = 4, .readings = READINGS_MAX },
        .readings = readings,
        .extra = extra,
        .extra_bytes = sizeof extra,
    };
}

/* "device=/d value=/v field:fw=/fw format:s": a mapping in one line. */
static struct json_mapping mapping_of(const char *line)
{
    struct json_mapping m = { .time_format = TIME_FORMAT_AUTO };
    char copy[512], *rest = copy;
    assert_true(strlen(line) < sizeof copy);
    strcpy(copy, line);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        if (*word == '\0')
            continue;
        char *pointer = strchr(word, '=');
        if (pointer != NULL)
            *pointer++ = '\0';
        struct { const char *name; char *to; bool *given; } known[] = {
            { "readings", m.readings, &m.readings_given }, { "device", m.device, NULL },
            { "metric", m.metric, NULL },                  { "value", m.value, NULL },
            { "time", m.time, NULL },                      { "unit", m.unit, NULL },
            { "sequence", m.sequence, NULL },           { "version", m.version, NULL },
            { "metrics", m.metrics, &m.metrics_given },
        };
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            if (pointer == NULL || strcmp(word, known[i].name) != 0)
                continue;
            strcpy(known[i].to, pointer);
            if (known[i].given != NULL)
                *known[i].given = true;
        }
        if (strncmp(word, "field:", 6) == 0) {
            strcpy(m.field_names[m.field_count], word + 6);
            strcpy(m.field_pointers[m.field_count++], pointer);
        }
        m.time_format = strcmp(word, "format:s") == 0     ? TIME_FORMAT_SECONDS
                        : strcmp(word, "format:ms") == 0  ? TIME_FORMAT_MILLISECONDS
                        : strcmp(word, "format:iso") == 0 ? TIME_FORMAT_RFC3339
                                                          : m.time_format;
    }
    const char *why;
    assert_int_equal(json_mapping_compile(&m, &why), 0);
    return m;
}

/* The payload in memory that ends where it ends, so that a byte read too far is seen. */
static void decode(struct decoder *decoder, const struct json_mapping *mapping, const char *device,
                   const char *metric, struct text payload, struct decoded *out)
{
    static char *exact;
    free(exact); /* the slices of the message before */
    exact = malloc(payload.bytes > 0 ? payload.bytes : 1);
    assert_non_null(exact);
    memcpy(exact, payload.at, payload.bytes);
    decode_json(decoder, mapping, 3, text_of(device), text_of(metric),
                (struct text){ exact, payload.bytes }, out);
}

static size_t print_value(char *to, size_t room, const struct value *v)
{
    int used = 0;
    switch (v->type) {
    case VALUE_TEXT:
        used = snprintf(to, room, "'%.*s'", (int)v->text.bytes, v->text.at);
        break;
    case VALUE_BOOLEAN:
        used = snprintf(to, room, "%s", v->number != 0 ? "true" : "false");
        break;
    case VALUE_NUMBER:
        used = snprintf(to, room, "%.17g", v->number);
        break;
    }
    assert_true(used >= 0 && (size_t)used < room);
    return (size_t)used;
}

#define D "pump7"

/* "pump7/temp=21.5 Cel @1000 #7; ..." and "!3 name_invalid 12" for the bad ones. */
static const char *print(const struct decoded *out)
{
    static char to[4096];
    size_t used = 0;
    to[0] = '\0';
    if (out->reason != REJECT_NONE)
        (void)snprintf(to, sizeof to, "%s at %u", reject_name(out->reason), out->fault_offset);
    for (uint32_t i = 0; i < out->count; i++) {
        const struct reading *r = &readings[i];
        used += (size_t)snprintf(to + used, sizeof to - used, "%s%.*s/%.*s=", used > 0 ? "; " : "",
                                 (int)r->device.bytes, r->device.at, (int)r->metric.bytes,
                                 r->metric.at);
        used += print_value(to + used, sizeof to - used, &r->value);
        if (r->unit.bytes > 0)
            used += (size_t)snprintf(to + used, sizeof to - used, " %.*s", (int)r->unit.bytes,
                                     r->unit.at);
        if (r->has_device_time)
            used += (size_t)snprintf(to + used, sizeof to - used, " @%" PRId64, r->device_time_ms);
        if (r->has_sequence)
            used += (size_t)snprintf(to + used, sizeof to - used, " #%" PRIu64, r->sequence);
        if (r->contract_version > 0)
            used += (size_t)snprintf(to + used, sizeof to - used, " v%u", r->contract_version);
        assert_int_equal(r->source, 3);
    }
    for (uint32_t i = 0; i < out->bad_count && i < DECODED_BAD_MAX; i++) {
        if (out->bad[i].reason == REJECT_IDENTITY_MISMATCH) /* on whom it names, nothing is booked */
            assert_true(text_equal(out->bad[i].device, text_of(D)));
        used += (size_t)snprintf(to + used, sizeof to - used, "%s!%u %s %u %.*s",
                                 used > 0 ? "; " : "", out->bad[i].index,
                                 reject_name(out->bad[i].reason), out->bad[i].fault_offset,
                                 (int)out->bad[i].metric.bytes, out->bad[i].metric.at);
    }
    return to;
}

struct example {
    const char *mapping, *device, *metric, *payload, *want;
};

static void run(const struct example *table, size_t count)
{
    struct decoder decoder = new_decoder(ARENA_BYTES);
    struct decoded out;
    for (size_t i = 0; i < count; i++) {
        struct json_mapping mapping = mapping_of(table[i].mapping);
        decode(&decoder, &mapping, table[i].device, table[i].metric, text_of(table[i].payload),
               &out);
        if (strcmp(print(&out), table[i].want) != 0)
            fail_msg("%s by %s:\n  got  %s\n  want %s", table[i].payload, table[i].mapping,
                     print(&out), table[i].want);
    }
}

#define RUN(table) run(table, sizeof table / sizeof table[0])
#define FLAT "device=/d metric=/m value=/v time=/t unit=/u sequence=/s "

static void shapes_become_readings(void **state)
{
    (void)state;
    static const struct example table[] = {
        { FLAT, "", "",
          "{\"d\":\"pump7\",\"m\":\"temp\",\"v\":21.5,\"t\":1790000000.25,\"u\":\"Cel\",\"s\":7}",
          "pump7/temp=21.5 Cel @1790000000250 #7" },
        { "", D, "temp", "21.5", "pump7/temp=21.5" },
        { "", D, "temp", " -0.5e1 \r\n", "pump7/temp=-5" },
        { "", D, "door", "true", "pump7/door=true" },
        { "", D, "door", "\"a\\u00e9\\ud83d\\ude00\\n\"", "pump7/door='aé😀\n'" },
        { "metrics=", D, "", "{\"temperature\":27.3,\"humidity\":44,\"linkquality\":84}",
          "pump7/temperature=27.300000000000001; pump7/humidity=44; pump7/linkquality=84" },
        { "metrics=", D, "",
          "{\"battery\":null,\"state\":\"ON\",\"on\":false,\"action\":[1],\"x\":{}}",
          "pump7/state='ON'; pump7/on=false; !2 value_type 49 action" },
        { "metrics= time=/Time format:iso", "sonoff", "",
          "{\"Time\":\"2026-09-21T14:13:20Z\",\"BME280\":{\"Temperature\":21.5,\"Humidity\":48},\"TempUnit\":\"C\"}",
          "sonoff/BME280.Temperature=21.5 @1790000000000; sonoff/BME280.Humidity=48 "
          "@1790000000000; sonoff/TempUnit='C' @1790000000000" },
        { "metrics=", "shelly", "", "{\"id\":0,\"aenergy\":{\"total\":1.5,\"by\":{\"minute\":2}}}",
          "shelly/id=0; shelly/aenergy.total=1.5; shelly/aenergy.by.minute=2" },
        { "metrics=", D, "vibration", "{\"rms\":9.5,\"axis\":{\"x\":4}}",
          "pump7/vibration.rms=9.5; pump7/vibration.axis.x=4" },
        { "readings= value=/v time=/t", D, "temp", "[{\"v\":1,\"t\":10},{\"v\":2,\"t\":20}]",
          "pump7/temp=1 @10000; pump7/temp=2 @20000" },
        { "readings=/data device=/dev sequence=/n metric=/m value=/v unit=/u", "", "",
          "{\"dev\":\"a\",\"n\":9,\"data\":[{\"m\":\"x\",\"v\":1,\"u\":\"V\"},{\"m\":\"y\",\"v\":2,\"u\":null}]}",
          "a/x=1 V #9; a/y=2 #9" },
        { "readings=/data value=/v", D, "x", "{\"data\":{\"v\":3}}", "pump7/x=3" },
        { "readings=", D, "x", "[1,2,true]", "pump7/x=1; pump7/x=2; pump7/x=true" },
        { "readings=/e metrics=/m device=/id", "", "",
          "{\"e\":[{\"id\":\"a\",\"m\":{\"x\":1}},{\"id\":\"b\",\"m\":{\"x\":2,\"y\":3}}]}",
          "a/x=1; b/x=2; b/y=3" },
        { "readings= metric=/n value=/v time=/0/bt unit=/u", D, "",
          "[{\"bt\":1790000000,\"u\":\"Cel\",\"n\":\"temp\",\"v\":21.5},{\"n\":\"hum\",\"v\":48}]",
          "pump7/temp=21.5 Cel @1790000000000; pump7/hum=48 @1790000000000" },
        { "value=/a~1b/m~0n", D, "x", "{\"a/b\":{\"m~n\":5}}", "pump7/x=5" },
        { "value=/list/2", D, "x", "{\"list\":[1,2,3]}", "pump7/x=3" },
        { "value=/1/1", D, "x", "[{\"a\":1},[1,2],{\"b\":[]}]", "pump7/x=2" },
        { "metrics= device=/id time=/t", "pump7", "", "{\"id\":\"pump7\",\"t\":1,\"x\":1}",
          "pump7/x=1 @1000" },
        { "value=/v metric=/m", D, "of_topic", "{\"v\":1}", "pump7/of_topic=1" },
        { "metrics=", "Küche", "", "{\"Wärme\":1e140}", "Küche/Wärme=1.0000000000000001e+140" },
        { "metrics= version=/w", D, "", "{\"w\":3,\"x\":1,\"y\":2}", "pump7/x=1 v3; pump7/y=2 v3" },
        { "readings=/e value=/v version=/w", D, "x", "{\"w\":3,\"e\":[{\"v\":1},{\"v\":2,\"w\":4}]}",
          "pump7/x=1 v3; pump7/x=2 v4" },
        { "value=/v version=/w", D, "x", "{\"v\":1,\"w\":null}", "pump7/x=1" },
        { "value=/v version=/w", D, "x", "{\"v\":1,\"w\":5e9}", "pump7/x=1 v4294967295" },
        { "value=/v version=/w", D, "x", "{\"v\":1,\"w\":1.5}", "!0 contract_version 11 " },
        { "value=/v version=/w", D, "x", "{\"v\":1,\"w\":\"2\"}", "!0 contract_version 11 " },
    };
    RUN(table);
}

static void times_are_read_by_format(void **state)
{
    (void)state;
    static const struct example table[] = {
        { "value=/v time=/t", D, "x", "{\"v\":1,\"t\":99999999999}", "pump7/x=1 @99999999999000" },
        { "value=/v time=/t", D, "x", "{\"v\":1,\"t\":100000000000}", "pump7/x=1 @100000000000" },
        { "value=/v time=/t", D, "x",
          "{\"v\":1,\"t\":1790000000.123}", "pump7/x=1 @1790000000123" },
        { "value=/v time=/t", D, "x", "{\"v\":1,\"t\":0}", "pump7/x=1 @0" },
        { "value=/v time=/t", D, "x", "{\"v\":1,\"t\":-1.5}", "pump7/x=1 @-1500" },
        { "value=/v time=/t", D, "x", "{\"v\":1,\"t\":-1e11}", "pump7/x=1 @-100000000000" },
        { "value=/v time=/t", D, "x",
          "{\"v\":1,\"t\":\"1970-01-01T00:00:01.5Z\"}", "pump7/x=1 @1500" },
        { "value=/v time=/t", D, "x", "{\"v\":1,\"t\":null}", "pump7/x=1" },
        { "value=/v time=/t format:ms", D, "x", "{\"v\":1,\"t\":5}", "pump7/x=1 @5" },
        { "value=/v time=/t format:ms", D, "x", "{\"v\":1,\"t\":9007199254740991}",
          "pump7/x=1 @9007199254740991" },
        { "value=/v time=/t format:ms", D, "x", "{\"v\":1,\"t\":9007199254740992}",
          "!0 time_invalid 11 " },
        { "value=/v time=/t format:s", D, "x", "{\"v\":1,\"t\":200000000000}",
          "pump7/x=1 @200000000000000" },
        { "value=/v time=/t format:s", D, "x", "{\"v\":1,\"t\":1e308}", "!0 time_invalid 11 " },
        { "value=/v time=/t format:s", D, "x", "{\"v\":1,\"t\":\"1970-01-01T00:00:01Z\"}",
          "!0 time_invalid 11 " },
        { "value=/v time=/t format:iso", D, "x", "{\"v\":1,\"t\":5}", "!0 time_invalid 11 " },
        { "value=/v time=/t", D, "x", "{\"v\":1,\"t\":\"yesterday\"}", "!0 time_invalid 11 " },
        { "value=/v time=/t", D, "x", "{\"v\":1,\"t\":true}", "!0 time_invalid 11 " },
    };
    RUN(table);
}

static void bad_syntax_rejects_the_message(void **state)
{
    (void)state;
    static const struct example table[] = {
        { "", D, "x", "", "json_syntax at 0" },
        { "", D, "x", "  ", "json_syntax at 2" },
        { "", D, "x", "{", "json_syntax at 1" },
        { "", D, "x", "[1,]", "json_syntax at 3" },
        { "", D, "x", "{\"a\":1,}", "json_syntax at 7" },
        { "", D, "x", "{\"a\" 1}", "json_syntax at 5" },
        { "", D, "x", "{a:1}", "json_syntax at 1" },
        { "", D, "x", "[1 2]", "json_syntax at 3" },
        { "", D, "x", "[1}", "json_syntax at 2" },
        { "", D, "x", "{\"a\":1]", "json_syntax at 6" },
        { "", D, "x", "]", "json_syntax at 0" },
        { "", D, "x", "[01]", "json_syntax at 2" },
        { "", D, "x", "[1.]", "json_syntax at 3" },
        { "", D, "x", "[.5]", "json_syntax at 1" },
        { "", D, "x", "[+5]", "json_syntax at 1" },
        { "", D, "x", "[-]", "json_syntax at 2" },
        { "", D, "x", "[1e]", "json_syntax at 3" },
        { "", D, "x", "[0x10]", "json_syntax at 2" },
        { "", D, "x", "[tru]", "json_syntax at 4" },
        { "", D, "x", "[True]", "json_syntax at 1" },
        { "", D, "x", "'a'", "json_syntax at 0" },
        { "", D, "x", "\"a", "json_syntax at 2" },
        { "", D, "x", "\"a\tb\"", "json_syntax at 2" },
        { "", D, "x", "\"\\x\"", "json_syntax at 2" },
        { "", D, "x", "\"\\u12g4\"", "json_syntax at 5" },
        { "", D, "x", "\"ab\\u0000\"", "json_syntax at 3" },
        { "", D, "x", "\xef\xbb\xbf" "1", "json_syntax at 0" },
        { "", D, "x", "[1,\v2]", "json_syntax at 3" },
        { "", D, "x", "1 2", "json_trailing at 2" },
        { "", D, "x", "{} }", "json_trailing at 3" },
        { "", D, "x", "21.5 °C", "json_trailing at 5" },
        { "", D, "x", "[[[[1]]]]", "!0 value_type 0 x" },
        { "", D, "x", "[[[[[1]]]]]", "json_depth at 4" },
        { "", D, "x", "{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}", "json_depth at 20" },
        { "", D, "x", "{\"a\":1,\"b\":2,\"a\":3}", "json_duplicate_key at 13" },
        { "", D, "x", "[0,{\"b\":{ \"a\" : 1 , \"\\u0061\":2}}]", "json_duplicate_key at 20" },
        { "", D, "x", "\"a\xff\"", "invalid_utf8 at 2" },
        { "", D, "x", "\xff\xfe", "invalid_utf8 at 0" },
        { "", D, "x", "\"\xc0\xaf\"", "invalid_utf8 at 1" },
        { "", D, "x", "\"\xed\xa0\x80\"", "invalid_utf8 at 1" },
        { "", D, "x", "\"\xf4\x90\x80\x80\"", "invalid_utf8 at 1" },
        { "", D, "x", "\"\xe2\x82", "invalid_utf8 at 1" },
        { "", D, "x", "{\"\xe2\x28\xa1\":1}", "invalid_utf8 at 2" },
        { "", D, "x", "\"\\ud800\"", "invalid_utf8 at 1" },
        { "", D, "x", "\"a\\udc00\"", "invalid_utf8 at 2" },
        { "", D, "x", "\"\\ud800\\u0041\"", "invalid_utf8 at 1" },
        { "value=/v", D, "x", "{\"v\":NaN}", "number_not_finite at 5" },
        { "value=/v", D, "x", "{\"v\":nan}", "number_not_finite at 5" },
        { "value=/v", D, "x", "{\"v\":-Infinity}", "number_not_finite at 5" },
        { "value=/v", D, "x", "{\"v\":inf}", "number_not_finite at 5" },
        { "value=/v", D, "x", "{\"v\":1e400}", "number_too_large at 5" },
        { "value=/v", D, "x", "{\"v\":1,\"w\":-1e999999999999}", "number_too_large at 11" },
        { "value=/v", D, "x", "{\"v\":1e308,\"w\":1e-400}", "!0 number_too_large 5 x" },
        { "", D, "x", "123456789012345678901234567890123456789012345678901234567890123",
          "pump7/x=1.2345678901234569e+62" },
        { "", D, "x", "1234567890123456789012345678901234567890123456789012345678901234",
          "number_too_large at 0" },
    };
    RUN(table);
}

static void a_bad_reading_leaves_the_others(void **state)
{
    (void)state;
    static const struct example table[] = {
        { "value=/v", D, "x", "{\"w\":1}", "!0 value_missing 0 x" },
        { "value=/v", D, "x", "{\"v\":null}", "!0 value_missing 0 x" },
        { "value=/v/0", D, "x", "{\"v\":[]}", "!0 value_missing 0 x" },
        { "value=/v/01", D, "x", "{\"v\":[1,2]}", "!0 value_missing 0 x" },
        { "value=/v/-", D, "x", "{\"v\":[1,2]}", "!0 value_missing 0 x" },
        { "value=/v", D, "x", "7", "!0 value_missing 0 x" },
        { "metrics=/m", D, "", "{\"w\":1}", "!0 value_missing 0 " },
        { "metrics=/m", D, "", "{\"m\":[1]}", "!0 value_type 5 " },
        { "value=/v", D, "x", "{\"v\": {}}", "!0 value_type 6 x" },
        { "readings= value=/v", D, "x", "[{\"v\":1},{\"v\":[]},{\"v\":2}]",
          "pump7/x=1; pump7/x=2; !1 value_type 14 x" },
        { "value=/v", D, "x", "{\"v\":2e140}", "!0 number_too_large 5 x" },
        { "metrics=", D, "", "{\"a\":1,\"b\":-2e140}", "pump7/a=1; !1 number_too_large 11 b" },
        { "value=/v sequence=/s", D, "x", "{\"v\":1,\"s\":0}", "pump7/x=1 #0" },
        { "value=/v sequence=/s", D, "x", "{\"v\":1,\"s\":9007199254740991}",
          "pump7/x=1 #9007199254740991" },
        { "value=/v sequence=/s", D, "x",
          "{\"v\":1,\"s\":9007199254740993}", "!0 sequence_invalid 11 " },
        { "value=/v sequence=/s", D, "x", "{\"v\":1,\"s\":-1}", "!0 sequence_invalid 11 " },
        { "value=/v sequence=/s", D, "x", "{\"v\":1,\"s\":1.5}", "!0 sequence_invalid 11 " },
        { "value=/v sequence=/s", D, "x", "{\"v\":1,\"s\":\"1\"}", "!0 sequence_invalid 11 " },
        { "value=/v unit=/u", D, "x", "{\"v\":1,\"u\":5}", "!0 unit_invalid 11 " },
        { "value=/v unit=/u", D, "x", "{\"v\":1,\"u\":\"\"}", "pump7/x=1" },
        { "value=/v unit=/u", D, "x",
          "{\"v\":1,\"u\":\"12345678901234567890123456789012345678901234567890123456789012345\"}",
          "!0 unit_invalid 11 " },
        { "value=/v", D, "", "{\"v\":1}", "!0 name_invalid 0 " },
        { "value=/v metric=/m", D, "", "{\"v\":1,\"m\":\"a/b\"}", "!0 name_invalid 11 a/b" },
        { "value=/v metric=/m", D, "", "{\"v\":1,\"m\":5}", "!0 name_invalid 11 " },
        { "metrics=", D, "", "{\"\":1,\" a\":2,\"a \":3,\"a+\":4,\"a#\":5,\"ok\":6}",
          "pump7/ok=6; !0 name_invalid 4 ; !1 name_invalid 11  a; !2 name_invalid 18 a ; "
          "!3 name_invalid 25 a+; !4 name_invalid 32 a#" },
        { "metrics=", D, "", "{\"a\\tb\":1,\"\\u007f\":2,\"\\u0085\":3,\"a b\":4}",
          "pump7/a b=4; !0 name_invalid 8 a\tb; !1 name_invalid 19 \x7f; !2 name_invalid 30 \xc2\x85" },
        { "metrics=", D, "",
          "{\"1234567890123456789012345678901234567890\":{\"123456789012345678901234\":1,"
          "\"12345678901234567890123\":2,\"123456789012345678901234x\":{\"deeper\":3}}}",
          "pump7/1234567890123456789012345678901234567890.12345678901234567890123=2; "
          "!0 name_invalid 72 ; !2 name_invalid 130 " },
        /* what is too long for a name is told nowhere */
        { "metrics=", D, "",
          "{\"12345678901234567890123456789012345678901234567890123456789012345\":1}",
          "!0 name_invalid 69 " },
        { "value=/v", "a+b", "x", "{\"v\":1}", "name_invalid at 0" },
        { "value=/v", "\xff", "x", "{\"v\":1}", "name_invalid at 0" },
        { "value=/v", "", "x", "{\"v\":1}", "name_invalid at 0" },
        { "value=/v device=/d", "", "x", "{\"v\":1,\"d\":17}", "name_invalid at 11" },
        { "value=/v device=/d", D, "x", "{\"v\":1,\"d\":\"pump8\"}", "identity_mismatch at 11" },
        { "readings=/r value=/v device=/d", D, "x", "{\"d\":\"pump8\",\"r\":[{\"v\":1}]}",
          "identity_mismatch at 5" },
        { "readings= value=/v device=/d", D, "x",
          "[{\"v\":1,\"d\":\"pump8\"},{\"v\":2,\"d\":\"pump7\"}]",
          "pump7/x=2; !0 identity_mismatch 12 " },
        { "readings= value=/v device=/d", "", "x", "[{\"v\":1},{\"v\":2,\"d\":\"b\"}]",
          "b/x=2; !0 name_invalid 1 " },
        { "readings=", D, "x", "[]", "no_readings at 0" },
        { "readings=/r", D, "x", "{\"r\": []}", "no_readings at 6" },
        { "readings=/r", D, "x", "{\"s\":[]}", "no_readings at 0" },
        { "metrics=", D, "", "{\"a\":null}", "no_readings at 0" },
        { "metrics= time=/t", D, "", "{\"t\":1}", "no_readings at 0" },
        { "metrics= time=/t", D, "", "{\"a\":1,\"b\":2,\"t\":[]}", "!0 time_invalid 17 " },
        { "readings=", D, "x", "[1,2,3,4,5,6]",
          "pump7/x=1; pump7/x=2; pump7/x=3; pump7/x=4; pump7/x=5; pump7/x=6" },
        { "readings=", D, "x", "[1,2,3,4,5,6,7]", "too_many_readings at 13" },
        { "readings=", D, "x", "[1,[],3,4,5,6,7]", "too_many_readings at 14" },
        { "readings=", D, "x", "[1,2,3,4,5,6,[]]", "too_many_readings at 13" },
        { "value=/v field:fw=/fw", D, "x", "{\"v\":1,\"fw\":{}}", "!0 field_type 12 " },
    };
    RUN(table);
}

static void limits_are_kept(void **state)
{
    (void)state;
    static char big[PAYLOAD_MAX + 1];
    struct decoder decoder = new_decoder(1024);
    struct json_mapping mapping = mapping_of("");
    struct decoded out;
    memset(big, ' ', sizeof big);
    big[0] = '1';
    decode(&decoder, &mapping, D, "x", (struct text){ big, PAYLOAD_MAX }, &out);
    assert_string_equal(print(&out), "pump7/x=1");
    decode(&decoder, &mapping, D, "x", (struct text){ big, PAYLOAD_MAX + 1 }, &out);
    assert_string_equal(print(&out), "payload_too_large at 8192");

    /* 48 or 64 bytes a value, and with some versions of cJSON the number's text */
    decode(&decoder, &mapping, D, "x", text_of("[1,2,3,4,5,6,7,8,9]"), &out);
    assert_string_equal(print(&out), "!0 value_type 0 x");
    decode(&decoder, &mapping, D, "x", text_of("[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3]"),
           &out);
    assert_int_equal(out.reason, REJECT_JSON_TOO_BIG);
    assert_in_range(out.fault_offset, 20, 46);

    decoder = new_decoder(ARENA_BYTES);
    decoder.extra_bytes = 20;
    mapping = mapping_of("metrics=");
    decode(&decoder, &mapping, D, "", text_of("{\"abcd\":{\"efgh\":1,\"ijkl\":2}}"), &out);
    assert_string_equal(print(&out), "pump7/abcd.efgh=1; pump7/abcd.ijkl=2");
    decode(&decoder, &mapping, D, "", text_of("{\"abcd\":{\"efgh\":1,\"ijkl\":2,\"m\":3}}"), &out);
    assert_string_equal(print(&out), "json_too_big at 0");

    static char text[READING_TEXT_BYTES_MAX + 4];
    memset(text, 'a', sizeof text);
    text[0] = text[READING_TEXT_BYTES_MAX + 1] = '"';
    mapping = mapping_of("");
    decode(&decoder, &mapping, D, "x", (struct text){ text, READING_TEXT_BYTES_MAX + 2 }, &out);
    assert_int_equal(out.count, 1);
    text[READING_TEXT_BYTES_MAX + 1] = 'a';
    text[READING_TEXT_BYTES_MAX + 2] = '"';
    decode(&decoder, &mapping, D, "x", (struct text){ text, READING_TEXT_BYTES_MAX + 3 }, &out);
    assert_string_equal(print(&out), "!0 value_type 0 x");
}

static void duplicates_are_found_among_many(void **state)
{
    (void)state;
    struct decoder decoder = new_decoder(ARENA_BYTES);
    struct json_mapping mapping = mapping_of("metrics=");
    struct decoded out;
    for (int twice = 0; twice <= 1; twice++) {
        char json[PAYLOAD_MAX] = "{";
        for (int i = 0; i < 300; i++) /* scattered, one of them twice */
            (void)snprintf(json + strlen(json), 32, "\"k%d\":null,", i * 7919 % 1009);
        strcpy(json + strlen(json) - 1, "}");
        if (twice)
            (void)snprintf(json + strlen(json) - 1, 32, ",\"k0\":1}");
        decode(&decoder, &mapping, D, "", text_of(json), &out);
        assert_int_equal(out.reason, twice ? REJECT_JSON_DUPLICATE_KEY : REJECT_NO_READINGS);
        if (twice)
            assert_memory_equal(json + out.fault_offset, "\"k", 2);
    }
}

static void fields_are_packed(void **state)
{
    (void)state;
    struct decoder decoder = new_decoder(ARENA_BYTES);
    struct json_mapping mapping =
        mapping_of("metrics= field:fw=/fw field:rssi=/r/x field:no=/no field:on=/on");
    struct decoded out;
    decode(&decoder, &mapping, D, "",
           text_of("{\"fw\":\"1.2\",\"r\":{\"x\":-70,\"y\":1},\"on\":true,\"v\":5}"), &out);
    assert_string_equal(print(&out), "pump7/r.y=1; pump7/v=5");
    assert_ptr_equal(readings[0].extra.at, readings[1].extra.at);
    struct byte_reader r = { .at = (const uint8_t *)readings[1].extra.at,
                             .bytes = readings[1].extra.bytes };
    assert_int_equal(get_u8(&r), 0);
    assert_int_equal(get_u8(&r), VALUE_TEXT);
    assert_true(text_equal(get_text(&r), text_of("1.2")));
    assert_int_equal(get_u8(&r), 1);
    assert_int_equal(get_u8(&r), VALUE_NUMBER);
    assert_true(get_f64(&r) == -70);
    assert_int_equal(get_u8(&r), 3);
    assert_int_equal(get_u8(&r), VALUE_BOOLEAN);
    assert_true(get_f64(&r) == 1);
    assert_true(!r.failed && r.used == r.bytes);

    /* what the root says for all readings is kept once */
    decoder.extra_bytes = 40;
    mapping = mapping_of("readings=/r field:fw=/fw");
    decode(&decoder, &mapping, D, "x", text_of("{\"fw\":\"1.2.3.4.5.6\",\"r\":[1,2,3,4,5]}"), &out);
    assert_int_equal(out.count, 5);
    assert_ptr_equal(readings[0].extra.at, readings[4].extra.at);
    assert_int_equal(readings[4].extra.bytes, 14);
}

static void bad_pointers_are_an_error_of_the_configuration(void **state)
{
    (void)state;
    static const char *const bad[] = { "v", "/a~", "/a~2", "/~", "#/v" };
    const char *why;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct json_mapping m = { .time_format = TIME_FORMAT_AUTO };
        strcpy(m.value, bad[i]);
        assert_int_equal(json_mapping_compile(&m, &why), WEIR_EINVAL);
        assert_non_null(why);
        assert_false(m.compiled.done);
    }
    struct json_mapping longest = { .value = "/" };
    memset(longest.value + 1, 'a', POINTER_BYTES_MAX - 2);
    assert_int_equal(json_mapping_compile(&longest, &why), 0);
}

/* A number, or a string, from the model: printed into the message, expected in the reading. */
static size_t add_random(char *to, uint64_t *seed, struct value *want, char *text)
{
    *want = (struct value){ .type = rnd(seed) % 3 == 0 ? VALUE_TEXT : VALUE_NUMBER };
    if (want->type == VALUE_NUMBER) {
        uint64_t bits = rnd(seed);
        memcpy(&want->number, &bits, sizeof bits);
        if (!(want->number > -1e140 && want->number < 1e140))
            want->number = (double)(int64_t)(rnd(seed) % 2000) / 8;
        return (size_t)sprintf(to, "%.17g", want->number);
    }
    static const char *const pieces[][2] = {
        { "a", "a" }, { "\\n", "\n" }, { "\\\"", "\"" }, { "\\/", "/" }, { "é", "é" },
        { "\\u20ac", "€" }, { "\\uD83D\\uDE00", "😀" }, { "😀", "😀" }, { "{,]", "{,]" },
        { "\\\\", "\\" },
    };
    size_t used = 0;
    to[used++] = '"';
    text[0] = '\0';
    for (uint64_t n = rnd(seed) % 6; n > 0; n--) {
        const char *const *piece = pieces[rnd(seed) % (sizeof pieces / sizeof pieces[0])];
        used += (size_t)sprintf(to + used, "%s", piece[0]);
        strcat(text, piece[1]);
    }
    to[used++] = '"';
    want->text = text_of(text);
    return used;
}

static void what_a_model_writes_is_read(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct decoder decoder = new_decoder(ARENA_BYTES);
    struct json_mapping mapping = mapping_of("metrics=");
    for (int round = 0; round < 20000; round++) {
        char json[1024], texts[READINGS_MAX][64];
        struct value want[READINGS_MAX];
        uint32_t count = 1 + (uint32_t)(rnd(&seed) % READINGS_MAX);
        size_t used = 0;
        for (uint32_t i = 0; i < count; i++) {
            used += (size_t)sprintf(json + used, "%s%.*s\"m%u\"%.*s:", i > 0 ? "," : "{",
                                    (int)(rnd(&seed) % 3), " \n", i, (int)(rnd(&seed) % 2), "\t");
            used += add_random(json + used, &seed, &want[i], texts[i]);
        }
        json[used++] = '}';
        struct decoded out;
        decode(&decoder, &mapping, D, "", (struct text){ json, (uint32_t)used }, &out);
        assert_int_equal(out.count, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(readings[i].value.type, want[i].type);
            assert_memory_equal(&readings[i].value.number, &want[i].number, sizeof(double));
            assert_true(text_equal(readings[i].value.text, want[i].text));
        }
        /* cut anywhere, it is no JSON; with a byte changed, it may be, but nothing breaks */
        uint32_t cut = (uint32_t)(rnd(&seed) % used);
        decode(&decoder, &mapping, D, "", (struct text){ json, cut }, &out);
        assert_int_equal(out.reason == REJECT_JSON_SYNTAX || out.reason == REJECT_INVALID_UTF8, 1);
        json[rnd(&seed) % used] = (char)rnd(&seed);
        decode(&decoder, &mapping, D, "", (struct text){ json, (uint32_t)used }, &out);
        assert_true(out.fault_offset <= used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_become_readings),
        cmocka_unit_test(times_are_read_by_format),
        cmocka_unit_test(bad_syntax_rejects_the_message),
        cmocka_unit_test(a_bad_reading_leaves_the_others),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(duplicates_are_found_among_many),
        cmocka_unit_test(fields_are_packed),
        cmocka_unit_test(bad_pointers_are_an_error_of_the_configuration),
        cmocka_unit_test(what_a_model_writes_is_read),
    };
    return cmocka_run_group_tests_name("codec_json", tests, NULL, NULL);
}
