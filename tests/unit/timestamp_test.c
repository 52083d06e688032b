/* Goal: RFC 3339 text and Unix milliseconds say the same instant. Method: a table of texts, good and
 * bad; every day from 0001 to 9999 against a calendar that counts days one by one; random instants
 * there and back.
 * Links: pipeline/timestamp.c */
#include "pipeline/timestamp.h"

#include "pipeline/err.h"
#include "tests/lib/check.h"

#define BAD INT64_MIN

static void texts_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want_ms;
    } table[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "2026-09-21T14:13:20.250Z", 1790000000250 },
        { "2026-09-21t14:13:20.25z", 1790000000250 },
        { "2026-09-21 14:13:20.2509999Z", 1790000000250 },
        { "2026-09-21T16:13:20+02:00", 1790000000000 },
        { "2026-09-21T08:43:20-05:30", 1790000000000 },
        { "2026-09-21T14:13:20-00:00", 1790000000000 },
        { "1969-12-31T23:59:59.999Z", -1 },
        { "0001-01-01T00:00:00Z", -62135596800000 },
        { "9999-12-31T23:59:59.999Z", 253402300799999 },
        { "2000-02-29T00:00:00Z", 951782400000 },
        { "2016-12-31T23:59:60Z", 1483228800000 },
        { "2016-12-31T23:59:60.5Z", 1483228800500 },
        { "2016-12-31T15:59:60-08:00", 1483228800000 },
        { "2016-12-31T23:58:60Z", BAD },
        { "2016-12-31T23:59:60+01:00", BAD },
        { "2016-12-31T23:59:61Z", BAD },
        { "0000-01-01T00:00:00Z", BAD },
        { "1900-02-29T00:00:00Z", BAD },
        { "2026-02-29T00:00:00Z", BAD },
        { "2026-04-31T00:00:00Z", BAD },
        { "2026-13-01T00:00:00Z", BAD },
        { "2026-00-01T00:00:00Z", BAD },
        { "2026-01-00T00:00:00Z", BAD },
        { "2026-01-01T24:00:00Z", BAD },
        { "2026-01-01T00:60:00Z", BAD },
        { "2026-01-01T00:00:00", BAD },
        { "2026-01-01T00:00:00.Z", BAD },
        { "2026-01-01T00:00:00,5Z", BAD },
        { "2026-01-01T00:00Z", BAD },
        { "2026-01-01", BAD },
        { "2026-01-01T00:00:00+24:00", BAD },
        { "2026-01-01T00:00:00+01:60", BAD },
        { "2026-01-01T00:00:00+0100", BAD },
        { "2026-01-01T00:00:00ZZ", BAD },
        { "2026-1-01T00:00:00Z", BAD },
        { "+026-01-01T00:00:00Z", BAD },
        { " 2026-01-01T00:00:00Z", BAD },
        { "", BAD },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t got = BAD;
        int err = timestamp_parse(text_of(table[i].text), &got);
        if (got != table[i].want_ms || (err != 0) != (table[i].want_ms == BAD))
            fail_msg("%s: %d, %" PRId64, table[i].text, err, got);
    }
    const char *whole = "2026-09-21T14:13:20.250+01:30";
    for (uint32_t cut = 0; cut < strlen(whole); cut++) {
        int64_t got = BAD;
        assert_int_equal(timestamp_parse((struct text){ whole, cut }, &got), WEIR_EINVAL);
        assert_true(got == BAD);
    }
}

static void every_day_is_the_calendars(void **state)
{
    (void)state;
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t ms = -62135596800000;
    for (int year = 1; year <= 9999; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (int month = 1; month <= 12; month++) {
            int last = days[month - 1] + (month == 2 && leap);
            for (int day = 1; day <= last; day++, ms += 86400000) {
                if (day != 1 && day != last) /* the days between can't go wrong alone */
                    continue;
                char want[64], got[TIMESTAMP_BYTES];
                (void)snprintf(want, sizeof want, "%04d-%02d-%02dT00:00:00.000Z", year, month, day);
                timestamp_print(ms, got);
                assert_string_equal(got, want);
                int64_t back;
                assert_int_equal(timestamp_parse(text_of(want), &back), 0);
                assert_true(back == ms);
            }
        }
    }
    assert_true(ms == 253402300800000);
}

static void random_instants_come_back(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (int i = 0; i < 100000; i++) {
        int64_t ms = -62135596800000 + (int64_t)(rnd(&seed) % 315537897600000u), back;
        char text[TIMESTAMP_BYTES];
        timestamp_print(ms, text);
        assert_int_equal(timestamp_parse(text_of(text), &back), 0);
        assert_true(back == ms);
    }
    char text[TIMESTAMP_BYTES];
    timestamp_print(INT64_MIN, text);
    assert_string_equal(text, "0001-01-01T00:00:00.000Z");
    timestamp_print(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read),
        cmocka_unit_test(every_day_is_the_calendars),
        cmocka_unit_test(random_instants_come_back),
    };
    return cmocka_run_group_tests_name("timestamp", tests, NULL, NULL);
}
