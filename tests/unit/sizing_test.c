/* Goal: the arithmetic of `weir size` is what its lines say, and a calibration's file reads back as written; a bad one
 * is refused by name. Method: examples worked out by hand; then random loads against the plain meaning of each figure.
 * Links: firmware/sizing/sizing.c firmware/sizing/calibration.c firmware/log.c pipeline/pressure/scale.c */
#include "firmware/sizing/sizing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/err.h"
#include "tests/lib/check.h"

static const struct calibration ROUND = { .decode_ns = 300, .decode_byte_ns = 2, .pipeline_ns = 500, .commit_us = 5000,
                                          .commit_cpu_us = 0, .commit_bytes = 20000, .reading_bytes = 20 };

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

static void an_example_by_hand(void **state)
{
    (void)state;
    const struct sizing_load load = { 1000, 1, 100, 30 }; /* a microsecond a reading */
    const struct sizing_board board = { .device_bytes = 1000, .base_bytes = 1e7, .endurance_bytes = 1e12 };
    struct sizing s = sizing_of(&load, &board, &ROUND);
    assert_true(near(s.readings, 1000) && near(s.reading_us, 1) && near(s.capacity, 1e6) && near(s.usable, 7e5));
    assert_int_equal(s.gateways, 1);
    assert_true(near(s.cores, 1e-3));
    assert_true(near(s.memory_bytes, 1.1e7));
    assert_true(near(s.commits, 1.1));
    assert_true(near(s.journal_bytes_day, 8.0 * 1000 * 86400));
    assert_true(near(s.flash_bytes_day, (20.0 * 1000 + 1.1 * 20000) * 86400));
    assert_true(near(s.flash_years, 1e12 / s.flash_bytes_day / 365.25));
    assert_true(near(s.uplink_bytes_day, 22.0 * 1000 * 8640));
}

static void the_scarcest_part_decides(void **state)
{
    (void)state;
    static const struct {
        double devices, per_second, memory_max, devices_max;
        uint32_t processor, memory, by_devices, gateways;
    } table[] = {
        { 100, 1, 0, 0, 1, 1, 1, 1 },          { 1e6, 2, 0, 0, 3, 1, 1, 3 },
        { 20000, 0.01, 2e7, 0, 1, 2, 1, 2 },   { 20001, 0.01, 2e7, 0, 1, 3, 1, 3 },
        { 5000, 0.01, 0, 1000, 1, 1, 5, 5 },   { 100, 0.01, 5e6, 0, 1, 100000, 1, 100000 }, /* not even the base fits */
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct sizing_load load = { table[i].devices, table[i].per_second, 100, 30 };
        const struct sizing_board board = { .device_bytes = 1000, .base_bytes = 1e7,
                                            .memory_bytes_max = table[i].memory_max, .devices_max = table[i].devices_max };
        struct sizing s = sizing_of(&load, &board, &ROUND);
        assert_int_equal(s.by_processor, table[i].processor);
        assert_int_equal(s.by_memory, table[i].memory);
        assert_int_equal(s.by_devices, table[i].by_devices);
        assert_int_equal(s.gateways, table[i].gateways);
    }
}

static void each_gateway_stays_inside_what_it_may_use(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    for (int i = 0; i < 2000; i++) {
        struct calibration c = ROUND;
        c.pipeline_ns = 100 + 10000 * rnd_unit(&chance);
        c.commit_cpu_us = 5000 * rnd_unit(&chance);
        const struct sizing_load load = { 1 + 1e5 * rnd_unit(&chance), 20 * rnd_unit(&chance), 1000 * rnd_unit(&chance),
                                          (uint32_t)(rnd(&chance) % 100) };
        const struct sizing_board board = { .device_bytes = 1500 * rnd_unit(&chance), .base_bytes = 4e7,
                                            .memory_bytes_max = 1e8 };
        struct sizing s = sizing_of(&load, &board, &c);
        assert_true(s.readings / s.gateways <= s.usable * (1 + 1e-9));
        assert_true(s.memory_bytes <= board.memory_bytes_max * (1 + 1e-9));
        if (s.gateways > 1) {
            double fewer = s.gateways - 1;
            assert_true(s.readings / fewer > s.usable * (1 - 1e-9) ||
                        board.base_bytes + load.devices / fewer * board.device_bytes > board.memory_bytes_max * (1 - 1e-9));
        }
        assert_true(s.flash_years == 0);
    }
}

static void a_calibration_reads_back(void **state)
{
    (void)state;
    char dir[] = "/tmp/weir-sizing-XXXXXX", why[256], command[64];
    struct calibration c = calibration_default(), back = { .decode_ns = 7 };
    assert_non_null(mkdtemp(dir));
    assert_int_equal(calibration_read(dir, &back, why), WEIR_ENOTFOUND);
    assert_true(back.decode_ns == 7);
    c.pipeline_ns = 677.25;
    strcpy(c.origin, "measured here");
    assert_int_equal(calibration_write(dir, &c), 0);
    assert_int_equal(calibration_read(dir, &back, why), 0);
    assert_true(back.pipeline_ns == 677.25 && back.decode_ns == c.decode_ns && back.commit_cpu_us == c.commit_cpu_us);
    assert_string_equal(back.origin, "measured here");
    assert_true(near(calibration_start(dir), calibration_capacity(&c, 80)));
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(calibration_write(dir, &c), WEIR_EIO);
}

#define GOOD "decode_byte_ns = 1\npipeline_ns = 2\ncommit_us = 3\ncommit_cpu_us = 4\ncommit_bytes = 5\nreading_bytes = 6\n"

static void a_bad_calibration_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } table[] = {
        { "", "decode_ns is missing" },
        { GOOD, "decode_ns is missing" },
        { "decode_ns = fast\n" GOOD, "decode_ns is missing or no number" },
        { "decode_ns = -1\n" GOOD, "decode_ns is missing or no number" },
        { "decode_ns = nan\n" GOOD, "decode_ns is missing or no number" },
        { "decode_ns = 1e300\n" GOOD, "decode_ns is missing or no number" },
        { "decode_ns = 0\ndecode_byte_ns = 1\npipeline_ns = 0\n" GOOD, "less than a nanosecond" },
        { "decode_ns = 1 or so\n" GOOD, "decode_ns is missing or no number" },
    };
    struct calibration c = { .decode_ns = 7 };
    char why[256];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(calibration_parse(table[i].text, &c, why), WEIR_EINVAL);
        if (strstr(why, table[i].why) == NULL)
            fail_msg("%zu: %s", i, why);
        assert_true(c.decode_ns == 7);
    }
    assert_int_equal(calibration_parse("# a comment\ndecode_ns = 1\n" GOOD, &c, why), 0);
    assert_true(c.decode_ns == 1 && c.reading_bytes == 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_example_by_hand),
        cmocka_unit_test(the_scarcest_part_decides),
        cmocka_unit_test(each_gateway_stays_inside_what_it_may_use),
        cmocka_unit_test(a_calibration_reads_back),
        cmocka_unit_test(a_bad_calibration_is_refused),
    };
    return cmocka_run_group_tests_name("sizing", tests, NULL, NULL);
}
