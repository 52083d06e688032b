/* Goal: what is written is JSON that says exactly what was meant, within its buffer. Method: texts and numbers as tables;
 * random doubles must read back bit for bit and random bytes must come out as valid UTF-8; every shorter buffer fails.
 * Links: pipeline/codec/json_writer.c pipeline/timestamp.c pipeline/bytes.c */
#include "pipeline/codec/json_writer.h"

#include <float.h>
#include <math.h>

#include "tests/lib/check.h"

static char room[8192];

static const char *written(struct json_writer *w)
{
    struct text text = json_done(w);
    assert_true(text.bytes > 0 && text.bytes < sizeof room);
    room[text.bytes] = 0;
    return room;
}

static void nesting_puts_commas_where_they_belong(void **state)
{
    (void)state;
    struct json_writer w = json_writer_over(room, sizeof room - 1);
    json_object(&w);
    json_key(&w, "a");
    json_array(&w);
    json_array_end(&w);
    json_key(&w, "b");
    json_array(&w);
    json_integer(&w, INT64_MIN);
    json_integer(&w, -1);
    json_unsigned(&w, UINT64_MAX);
    json_object(&w);
    json_object_end(&w);
    json_bool(&w, true);
    json_null(&w);
    json_array_end(&w);
    json_key(&w, "c");
    json_integer(&w, -5);
    json_key(&w, "d");
    json_bool(&w, false);
    json_object_end(&w);
    assert_string_equal(written(&w), "{\"a\":[],\"b\":[-9223372036854775808,-1,18446744073709551615,{},true,null],"
                                     "\"c\":-5,\"d\":false}");
}

static void texts_are_escaped_and_made_utf8(void **state)
{
    (void)state;
    static const struct { const char *text, *want; } table[] = {
        { "", "\"\"" },
        { "a\"b\\c/", "\"a\\\"b\\\\c/\"" },
        { "\n\r\t\x01\x1f\x7f", "\"\\n\\r\\t\\u0001\\u001f\x7f\"" },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "\xff" "a", "\"\xef\xbf\xbd" "a\"" },
        { "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                 /* overlong */
        { "\xe0\x80\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* overlong */
        { "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* surrogate */
        { "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* above U+10FFFF */
        { "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                 /* cut short */
        { "\xe2\x82z", "\"\xef\xbf\xbd\xef\xbf\xbdz\"" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct json_writer w = json_writer_over(room, sizeof room - 1);
        json_string(&w, table[i].text);
        assert_string_equal(written(&w), table[i].want);
    }
    struct json_writer w = json_writer_over(room, sizeof room - 1);
    json_text(&w, (struct text){ "a\0b", 3 });
    assert_string_equal(written(&w), "\"a\\u0000b\"");
}

static void numbers_are_short_and_exact(void **state)
{
    (void)state;
    static const struct { double value; const char *want; } table[] = {
        { 0.0, "0" }, { -0.0, "-0" }, { 0.1, "0.1" }, { 21.37, "21.37" }, { 1e6, "1000000" },
        { 1e300, "1e+300" }, { 0.1 + 0.2, "0.30000000000000004" }, { 1.0 / 3.0, "0.3333333333333333" },
        { 5e-324, "5e-324" }, { DBL_MAX, "1.7976931348623157e+308" }, { -DBL_MIN, "-2.2250738585072014e-308" },
        { NAN, "null" }, { INFINITY, "null" }, { -INFINITY, "null" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct json_writer w = json_writer_over(room, sizeof room - 1);
        json_number(&w, table[i].value);
        assert_string_equal(written(&w), table[i].want);
    }
}

static void every_double_reads_back(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rnd(&chance);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        struct json_writer w = json_writer_over(room, sizeof room - 1);
        json_number(&w, value);
        double back = strtod(written(&w), NULL);
        assert_memory_equal(&back, &value, sizeof value);
    }
}

static void times_are_rfc3339(void **state)
{
    (void)state;
    static const struct { int64_t unix_ms; const char *want; } table[] = {
        { 0, "\"1970-01-01T00:00:00.000Z\"" },
        { -1, "\"1969-12-31T23:59:59.999Z\"" },
        { 951782399999, "\"2000-02-28T23:59:59.999Z\"" },
        { 951782400000, "\"2000-02-29T00:00:00.000Z\"" },
        { 4107542400000, "\"2100-03-01T00:00:00.000Z\"" },
        { 1789996400250, "\"2026-09-21T13:13:20.250Z\"" },
        { 253402300799999, "\"9999-12-31T23:59:59.999Z\"" },
        { INT64_MAX, "\"9999-12-31T23:59:59.999Z\"" },
        { INT64_MIN, "\"0001-01-01T00:00:00.000Z\"" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct json_writer w = json_writer_over(room, sizeof room - 1);
        json_time(&w, table[i].unix_ms);
        assert_string_equal(written(&w), table[i].want);
    }
}

static void any_bytes_become_utf8_in_bounds(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    static const uint8_t favoured[] = { 0xe0, 0xed, 0xf0, 0xf4, 0x80, 0xbf, 0xa0, 0x90, '"', '\\', 0, 'a' };
    for (int round = 0; round < 2000; round++) {
        uint8_t bytes[24];
        uint32_t count = (uint32_t)(rnd(&chance) % sizeof bytes);
        for (uint32_t i = 0; i < count; i++)
            bytes[i] = rnd(&chance) % 2 ? favoured[rnd(&chance) % sizeof favoured] : (uint8_t)rnd(&chance);
        char *exact = malloc(count + 1u); /* of its own, so that reading past it is seen */
        memcpy(exact, bytes, count);
        size_t limit = rnd_below(&chance, 200);
        struct json_writer w = json_writer_over(room, limit);
        json_text(&w, (struct text){ count > 0 ? exact : NULL, count });
        free(exact);
        if (w.out.failed)
            continue;
        /* written once it is UTF-8: writing the same bytes again changes nothing but escapes */
        char first[512];
        uint32_t used = json_done(&w).bytes;
        memcpy(first, room, used);
        struct json_writer again = json_writer_over(room, sizeof room);
        json_text(&again, (struct text){ first, used });
        struct text twice = json_done(&again);
        for (uint32_t i = 0, k = 1; i < used; i++, k++) {
            if (first[i] == '"' || first[i] == '\\')
                k++;
            assert_true(twice.at[k] == first[i]);
        }
    }
}

static void a_short_buffer_fails(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 20; bytes++) {
        struct json_writer w = json_writer_over(room, bytes);
        json_object(&w);
        json_key(&w, "key");
        json_number(&w, 0.25);
        json_object_end(&w);
        assert_int_equal(json_done(&w).bytes, bytes < 12 ? 0 : 12);
    }
}

static void members_and_keys_of_any_bytes(void **state)
{
    (void)state;
    struct json_writer w = json_writer_over(room, sizeof room);
    json_object(&w);
    json_put_integer(&w, "a", 1);
    json_put_members(&w, text_of("\"b\":2,\"c\":[]"));
    json_text(&w, text_of("d\""));
    json_colon(&w);
    json_array(&w);
    json_array_end(&w);
    json_put_bool(&w, "e", true);
    json_object_end(&w);
    assert_string_equal(written(&w), "{\"a\":1,\"b\":2,\"c\":[],\"d\\\"\":[],\"e\":true}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nesting_puts_commas_where_they_belong),
        cmocka_unit_test(texts_are_escaped_and_made_utf8),
        cmocka_unit_test(numbers_are_short_and_exact),
        cmocka_unit_test(every_double_reads_back),
        cmocka_unit_test(times_are_rfc3339),
        cmocka_unit_test(any_bytes_become_utf8_in_bounds),
        cmocka_unit_test(a_short_buffer_fails),
        cmocka_unit_test(members_and_keys_of_any_bytes),
    };
    return cmocka_run_group_tests_name("json_writer", tests, NULL, NULL);
}
