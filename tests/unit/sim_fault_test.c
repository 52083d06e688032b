/* Goal: the fleet's faults are what they are said to be: in place, of the stated size and length, apart from each
 * other, and the same from the same seed. Method: plans are run over many seeds beside a twin signal without
 * faults, whose values tell what was changed.
 * Links: simulator/fault.c simulator/signal.c */
#include <math.h>
#include <string.h>

#include "simulator/fault.h"
#include "tests/lib/check.h"

enum { PERIOD_MS = 100, START_MS = 1700000000, READINGS = 3000 };

static const struct fault_config CONFIG = { .clean_until_ms = START_MS + 30000,
                                            .last_start_ms = START_MS + 250000,
                                            .every_ms = 20000,
                                            .kinds = (1u << FAULT_KINDS) - 1 };

static void names_are_read_as_bits(void **state)
{
    (void)state;
    static const struct { const char *names; uint32_t want; } table[] = {
        { "spike", 1u << FAULT_SPIKE },
        { "spike,stuck", 1u << FAULT_SPIKE | 1u << FAULT_STUCK },
        { "spike,shift,stuck,dropout,noise,drift", (1u << FAULT_KINDS) - 1 },
        { "", 0 },
        { "spikes", 0 },
        { "spike,nonsense", 0 },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(fault_kinds_of(table[i].names), table[i].want);
}

static void noise_has_the_stated_deviation(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    struct signal s;
    signal_init(&s, 0, check_seed(), START_MS);
    double sum = 0, squares = 0;
    for (int i = 0; i < MANY; i++) {
        (void)signal_next(&s, START_MS);
        sum += s.noise;
        squares += s.noise * s.noise;
    }
    double mean = sum / MANY;
    double deviation = sqrt(squares / MANY - mean * mean);
    assert_true(fabs(mean) < 0.02 * s.noise_sd);
    assert_true(fabs(deviation / s.noise_sd - 1) < 0.02);
}

struct seen { /* of one series */
    uint64_t faults[FAULT_KINDS];
    int64_t last_end_ms;
};

static void effect_check(const struct fault_plan *p, const struct fault_effect *e, double value,
                         const struct signal *s)
{
    double moved_sd = (e->value - value) / s->noise_sd;
    double step_sd = 0.5 * pow(10, -s->metric->digits) / s->noise_sd + 1e-6;
    double far = fabs(p->fault.magnitude_sd);
    switch (p->fault.kind) {
    case FAULT_SPIKE:
        assert_true(e->first && e->last && far >= 10);
        assert_true(fabs(fabs(moved_sd) - far) <= step_sd);
        break;
    case FAULT_SHIFT:
        assert_true(p->fault.readings >= 50 && far >= 6);
        assert_true(fabs(fabs(moved_sd) - far) <= step_sd);
        break;
    case FAULT_STUCK:
        assert_true(p->fault.readings >= 60);
        assert_true(e->value == signal_round(s, p->stuck_at));
        break;
    case FAULT_DROPOUT: assert_true(e->withheld); break;
    case FAULT_NOISE: assert_true(far >= 5 && p->fault.magnitude_sd > 0); break;
    case FAULT_DRIFT: assert_true(fabs(moved_sd) <= far + step_sd); break;
    case FAULT_KINDS: fail(); break;
    }
}

static void series_run(uint64_t seed, struct seen *seen)
{
    struct signal s;
    struct fault_plan p;
    signal_init(&s, (uint32_t)(seed % SIGNAL_METRICS), seed, START_MS);
    fault_plan_init(&p, &CONFIG, seed + 1);
    int64_t started_ms = 0;
    for (int i = 0; i < READINGS; i++) {
        int64_t time_ms = START_MS + (int64_t)i * PERIOD_MS;
        double value = signal_next(&s, time_ms);
        struct fault_effect e = fault_apply(&p, &CONFIG, &s, time_ms, value);
        assert_true(isfinite(e.value));
        if (!e.faulty) {
            assert_true(e.value == signal_round(&s, value) && !e.withheld);
            continue;
        }
        if (e.first) {
            assert_true(time_ms >= CONFIG.clean_until_ms && time_ms <= CONFIG.last_start_ms);
            assert_true(time_ms - seen->last_end_ms >= FAULT_REST_MS);
            started_ms = time_ms;
            seen->faults[p.fault.kind]++;
        }
        effect_check(&p, &e, value, &s);
        assert_true(p.fault.start_ms == started_ms && p.fault.end_ms == time_ms);
        if (e.last)
            assert_true(time_ms - started_ms == (int64_t)(p.fault.readings - 1) * PERIOD_MS);
        seen->last_end_ms = time_ms;
    }
}

static void truth_is_what_happened(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    uint64_t total[FAULT_KINDS] = { 0 };
    for (int i = 0; i < 200; i++) {
        struct seen seen = { .last_end_ms = 0 };
        series_run(rnd(&seed) >> 1, &seen);
        for (int k = 0; k < FAULT_KINDS; k++)
            total[k] += seen.faults[k];
    }
    for (int k = 0; k < FAULT_KINDS; k++)
        assert_true(total[k] > 50);
}

static void one_seed_gives_one_run(void **state)
{
    (void)state;
    struct signal s[2];
    struct fault_plan p[2];
    for (int i = 0; i < 2; i++) {
        signal_init(&s[i], 1, 42, START_MS);
        fault_plan_init(&p[i], &CONFIG, 43);
    }
    for (int i = 0; i < READINGS; i++) {
        int64_t time_ms = START_MS + (int64_t)i * PERIOD_MS;
        double value[2];
        for (int k = 0; k < 2; k++)
            value[k] = fault_apply(&p[k], &CONFIG, &s[k], time_ms, signal_next(&s[k], time_ms)).value;
        assert_memory_equal(&value[0], &value[1], sizeof value[0]);
    }
}

static void no_faults_where_none_are_asked_for(void **state)
{
    (void)state;
    struct fault_config none = CONFIG;
    none.every_ms = 0;
    struct signal s;
    struct fault_plan p;
    signal_init(&s, 0, 7, START_MS);
    fault_plan_init(&p, &none, 8);
    for (int i = 0; i < READINGS; i++)
        assert_false(fault_apply(&p, &none, &s, START_MS + (int64_t)i * PERIOD_MS, 1).faulty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_as_bits),
        cmocka_unit_test(noise_has_the_stated_deviation),
        cmocka_unit_test(truth_is_what_happened),
        cmocka_unit_test(one_seed_gives_one_run),
        cmocka_unit_test(no_faults_where_none_are_asked_for),
    };
    return cmocka_run_group_tests_name("sim_fault", tests, NULL, NULL);
}
