/* Goal: the period of a series is found, a beat out of form is told of, noise has no period, and a state saved and loaded goes
 * on bit for bit. Method: heartbeats of several periods, jittered; noise; wild numbers.
 * Links: pipeline/detect/cycle.c pipeline/bytes.c */
#include "pipeline/detect/cycle.h"

#include <math.h>
#include <string.h>

#include "tests/lib/noise.h"

static double beat(double phase)
{
    double peak = phase < 0.2 ? 0 : phase < 0.3 ? (phase - 0.2) * 50 : phase < 0.4 ? (0.4 - phase) * 50 : 0;
    return peak + (phase > 0.6 && phase < 0.75 ? 1.2 : 0);
}

/* The largest term in the readings [from, to), of which those of one beat are upside down. */
static float live(struct cycle *c, double period, int from, int to, bool broken)
{
    uint64_t chance = 5;
    float most = 0;
    double phase = 0;
    for (int i = 0; i < to; i++) {
        phase += (1 + 0.03 * rnd_normal(&chance)) / period;
        phase -= phase >= 1;
        bool upside = broken && i >= from && i < from + (int)period;
        double value = (upside ? -0.8 : 1) * beat(phase) + 0.1 * rnd_normal(&chance);
        float term = cycle_take(c, (float)value);
        assert_true(isfinite(term) && term >= 0);
        most = i >= from && term > most ? term : most;
    }
    return most;
}

static void a_beat_upside_down_is_told_of(void **state)
{
    (void)state;
    static const double PERIODS[] = { 10, 17, 25, 33, 44 };
    for (size_t i = 0; i < sizeof PERIODS / sizeof PERIODS[0]; i++) {
        struct cycle c;
        memset(&c, 0, sizeof c);
        int from = 3000 + (int)(100 * PERIODS[i]);
        float usual = live(&c, PERIODS[i], from, from + 60, false);
        assert_true(c.period >= PERIODS[i] - 2 && c.period <= PERIODS[i] + 2);
        memset(&c, 0, sizeof c);
        float broken = live(&c, PERIODS[i], from, from + 60, true);
        assert_true(broken > 5 && broken > usual + 2);
    }
}

static void noise_and_a_slow_wave_have_no_period(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct cycle c;
        uint64_t chance = 8;
        memset(&c, 0, sizeof c);
        for (int i = 0; i < 20000; i++) {
            double value = kind == 0 ? rnd_normal(&chance) : 10 * sin(i / 80.0) + 0.2 * rnd_normal(&chance);
            assert_true(cycle_take(&c, (float)value) <= 0);
            assert_int_equal(c.period, 0);
        }
    }
}

static void a_saved_state_goes_on(void **state)
{
    (void)state;
    struct cycle c, twin;
    memset(&c, 0, sizeof c);
    memset(&twin, 0, sizeof twin);
    uint64_t chance = check_seed();
    for (int i = 0; i < 5000; i++) {
        double value = rnd_below(&chance, 100) == 0 ? 1e15 * (rnd_unit(&chance) - 0.5) : i % 13 + rnd_unit(&chance);
        float term = cycle_take(&c, (float)value);
        if (i % 50 == 7) {
            uint8_t bytes[512];
            struct byte_writer w = { bytes, sizeof bytes, 0, false };
            cycle_save(&twin, &w);
            struct byte_reader r = { bytes, w.used, 0, false };
            memset(&twin, 0, sizeof twin);
            cycle_load(&twin, &r);
            assert_false(w.failed || r.failed || r.used != w.used);
        }
        float again = cycle_take(&twin, (float)value);
        assert_true(isfinite(term) && term >= again && term <= again);
        assert_memory_equal(&c, &twin, sizeof c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_beat_upside_down_is_told_of),
        cmocka_unit_test(noise_and_a_slow_wave_have_no_period),
        cmocka_unit_test(a_saved_state_goes_on),
    };
    return cmocka_run_group_tests_name("cycle", tests, NULL, NULL);
}
