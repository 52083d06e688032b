/* Goal: the text format of Prometheus, letter by letter, also for labels that hold what must be escaped; and a text that
 * does not fit is known not to. Method: one text as it should be, then the same into every smaller buffer.
 * Links: firmware/api/prometheus.c pipeline/bytes.c pipeline/pressure/histogram.c */
#include "firmware/api/prometheus.h"

#include <string.h>

#include "tests/lib/check.h"

static const char WANTED[] = "# HELP up_total What came.\n"
                             "# TYPE up_total counter\n"
                             "up_total 18446744073709551615\n"
                             "# HELP heat_celsius How hot.\n"
                             "# TYPE heat_celsius gauge\n"
                             "heat_celsius{room=\"a \\\"b\\\" c:\\\\d\\n\",side=\"\"} -0.5\n"
                             "heat_celsius{room=\"e\"} 1e+30\n"
                             "# HELP took_seconds How long.\n"
                             "# TYPE took_seconds histogram\n"
                             "took_seconds_bucket{le=\"0.0005\"} 1\n"
                             "took_seconds_bucket{le=\"0.001\"} 1\n"
                             "took_seconds_bucket{le=\"0.0025\"} 3\n"
                             "took_seconds_bucket{le=\"0.005\"} 3\n"
                             "took_seconds_bucket{le=\"0.01\"} 3\n"
                             "took_seconds_bucket{le=\"0.025\"} 3\n"
                             "took_seconds_bucket{le=\"0.05\"} 3\n"
                             "took_seconds_bucket{le=\"0.1\"} 3\n"
                             "took_seconds_bucket{le=\"0.25\"} 3\n"
                             "took_seconds_bucket{le=\"0.5\"} 3\n"
                             "took_seconds_bucket{le=\"1\"} 3\n"
                             "took_seconds_bucket{le=\"2.5\"} 3\n"
                             "took_seconds_bucket{le=\"5\"} 3\n"
                             "took_seconds_bucket{le=\"10\"} 3\n"
                             "took_seconds_bucket{le=\"+Inf\"} 4\n"
                             "took_seconds_sum 20.0045\n"
                             "took_seconds_count 4\n";

static struct prometheus text_into(char *to, size_t bytes)
{
    struct prometheus p = prometheus_over(to, bytes);
    struct histogram took = { 0 };
    histogram_add(&took, 500);
    histogram_add(&took, 2000);
    histogram_add(&took, 2000);
    histogram_add(&took, 20000000);
    prometheus_counter(&p, "up_total", "What came.", UINT64_MAX);
    prometheus_family(&p, PROMETHEUS_GAUGE, "heat_celsius", "How hot.");
    prometheus_value(&p,
                     (const struct prometheus_label[2]){ { "room", "a \"b\" c:\\d\n" },
                                                         { "side", "" } },
                     -0.5);
    prometheus_value(&p, (const struct prometheus_label[2]){ { "room", "e" } }, 1e30);
    prometheus_histogram(&p, "took_seconds", "How long.", &took);
    return p;
}

static void is_the_format(void **state)
{
    char text[4096];
    (void)state;
    struct prometheus p = text_into(text, sizeof text);
    assert_false(p.out.failed);
    text[p.out.used] = '\0';
    assert_string_equal(text, WANTED);
}

static void knows_when_it_does_not_fit(void **state)
{
    size_t whole = strlen(WANTED);
    (void)state;
    for (size_t bytes = 0; bytes <= whole; bytes++) {
        char *text = malloc(bytes > 0 ? bytes : 1); /* exactly so much: ASan sees a byte too far */
        assert_non_null(text);
        struct prometheus p = text_into(text, bytes);
        assert_int_equal(p.out.failed, bytes < whole);
        assert_true(p.out.used <= bytes);
        assert_memory_equal(text, WANTED, p.out.used);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_format),
        cmocka_unit_test(knows_when_it_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
