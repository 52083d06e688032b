/* Goal: what a window keeps is right within the stated errors, in any order and merged in any way: counts and extremes
 * exactly, sums within Neumaier's bound, quantiles within 1 %, distinct counts within three standard errors, the most
 * frequent values within N/m, weights by time as the definition has them; and it comes back from its saved bytes, whatever those are. Method: seeded random
 * numbers of several shapes, split into parts at random and merged, against sorted lists, sums in 113 bits, and the
 * definition.
 * Links: pipeline/streams/accumulator.c pipeline/streams/held.c pipeline/streams/sketch_%.c pipeline/streams/logarithm.c pipeline/streams/expression.c pipeline/hash.c pipeline/bytes.c */
#include "pipeline/streams/accumulator.h"

#include <math.h>
#include <string.h>

#include "pipeline/streams/logarithm.h"
#include "pipeline/streams/sketch_distinct.h"
#include "pipeline/streams/sketch_quantiles.h"
#include "pipeline/streams/sketch_top.h"
#include "tests/lib/check.h"

enum { MANY = 4000 };

static void *state_new(enum accumulator_kind kind)
{
    void *state = calloc(1, accumulator_bytes(kind));
    assert_non_null(state);
    return state;
}

static struct datum number(double x)
{
    return (struct datum){ .kind = DATUM_NUMBER, .number = x };
}

static double any_number(uint64_t *chance, int shape)
{
    double x = rnd_unit(chance);
    switch (shape) {
    case 0: return 20 + x;                                   /* narrow */
    case 1: return ldexp(x - 0.5, (int)rnd_below(chance, 90)); /* of all sizes */
    case 2: return (double)(int64_t)(x * 100) / 100;         /* two decimals, many equal */
    case 3: return rnd_below(chance, 2) ? 1e16 : (x - 0.5);  /* what cancels, with the next */
    default: return -1 / (x + 1e-6);                         /* a tail, negative */
    }
}

/* The numbers in several parts, merged in a random order. */
static void *merged(const struct accumulator *a, const double *x, const int64_t *event_ms, size_t count,
                    uint64_t *chance)
{
    enum { PARTS = 5 };
    void *parts[PARTS];
    for (int i = 0; i < PARTS; i++)
        parts[i] = state_new(a->kind);
    for (size_t i = 0; i < count; i++) {
        struct datum value = number(x[i]);
        accumulator_push(a, parts[i * PARTS / count], &value, event_ms[i]);
    }
    for (int left = PARTS; left > 1; left--) { /* neighbours, so that those in order stay in order */
        int i = (int)rnd_below(chance, (size_t)left - 1);
        accumulator_merge(a, parts[i], parts[i + 1]);
        free(parts[i + 1]);
        memmove(&parts[i + 1], &parts[i + 2], (size_t)(left - i - 2) * sizeof parts[0]);
    }
    return parts[0];
}

static double x[MANY], sorted[MANY];
static int64_t times[MANY];

static int by_value(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

static size_t draw(uint64_t *chance, int shape)
{
    size_t count = 10 + rnd_below(chance, rnd_below(chance, 2) ? MANY - 10 : 60);
    for (size_t i = 0; i < count; i++) {
        x[i] = shape == 3 && i > 0 && x[i - 1] == 1e16 ? -1e16 : any_number(chance, shape);
        times[i] = 1700000000000 + (int64_t)i * 250;
    }
    memcpy(sorted, x, count * sizeof x[0]);
    qsort(sorted, count, sizeof sorted[0], by_value);
    return count;
}

static void sums_are_within_their_bound(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    const struct accumulator a = { ACCUMULATOR_SUM, 0 };
    double worst = 0, naive_worst = 0;
    for (int round = 0; round < 600; round++) {
        size_t count = draw(&chance, round % 5);
        struct sum_state *s = merged(&a, x, times, count, &chance);
        __float128 exact = 0, absolute = 0;
        double naive = 0;
        for (size_t i = 0; i < count; i++) {
            exact += x[i];
            absolute += fabs(x[i]);
            naive += x[i];
        }
        double off = fabs((double)(sum_total(s) - exact)), n = (double)count + 5;
        double bound = 0x1p-53 * fabs((double)exact) + 2 * n * n * 0x1p-106 * (double)absolute;
        if (off > bound)
            fail_msg("round %d: off by %g, allowed %g", round, off, bound);
        assert_int_equal(s->count, count);
        worst = fmax(worst, off / (double)absolute);
        naive_worst = fmax(naive_worst, fabs((double)(naive - exact)) / (double)absolute);
        free(s);
    }
    printf("# of the absolute terms: worst %.3g; added up plainly %.3g\n", worst, naive_worst);
    assert_true(worst < 1e-15 && naive_worst > 1e-15);
}

static void quantiles_are_within_one_percent(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    const struct accumulator a = { ACCUMULATOR_QUANTILES, 0 };
    double worst = 0;
    for (int round = 0; round < 600; round++) {
        size_t count = draw(&chance, round % 3 == 1 ? 4 : round % 3);
        struct quantiles_state *s = merged(&a, x, times, count, &chance);
        assert_int_equal(quantiles_count(s), count);
        static const double q[] = { 0, 0.01, 0.25, 0.5, 0.9, 0.99, 1 };
        for (size_t i = 0; i < sizeof q / sizeof q[0]; i++) {
            double is = quantiles_value(s, q[i]), should = sorted[(size_t)(q[i] * (double)(count - 1))];
            bool collapsed = fabs(should) < fmax(fabs(sorted[0]), fabs(sorted[count - 1])) / 20000;
            double off = should == 0 ? fabs(is) : fabs(is - should) / fabs(should);
            if (!collapsed && off > QUANTILES_ERROR * (1 + 1e-9))
                fail_msg("round %d: q %g is %.17g, not %.17g", round, q[i], is, should);
            worst = collapsed ? worst : fmax(worst, off);
        }
        free(s);
    }
    printf("# worst %.4f\n", worst);
    assert_true(worst > QUANTILES_ERROR / 2);
}

/* What is too small beside the greatest is told too great, in the lowest bin; the high end stays right. */
static void the_low_end_collapses(void **state)
{
    (void)state;
    struct quantiles_state *s = state_new(ACCUMULATOR_QUANTILES);
    for (int i = 0; i <= 200; i++)
        quantiles_push(s, ldexp(1, i - 100));
    assert_int_equal(quantiles_count(s), 201);
    double top = quantiles_value(s, 1), low = quantiles_value(s, 0);
    assert_true(fabs(top - ldexp(1, 100)) <= QUANTILES_ERROR * top);
    assert_true(low > ldexp(1, 84) && low < ldexp(1, 87));
    quantiles_push(s, 1e-120);
    quantiles_push(s, 0);
    assert_true(quantiles_value(s, 0) == 0);
    free(s);
}

static void distinct_counts_are_within_their_error(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    const double error = 1.04 / 64; /* sqrt(4096) */
    double squares = 0;
    int rounds = 0;
    for (double n = 1; n < 300000; n = n * 1.6 + 1) {
        for (int round = 0; round < 4; round++, rounds++) {
            struct distinct_state *a = state_new(ACCUMULATOR_DISTINCT), *b = state_new(ACCUMULATOR_DISTINCT);
            uint64_t from = rnd(&chance) >> 20;
            for (uint64_t i = 0; i < (uint64_t)n; i++) {
                char text[32];
                struct datum value = number((double)(from + i));
                if (round % 2 != 0) {
                    (void)snprintf(text, sizeof text, "user-%" PRIu64, from + i);
                    value = (struct datum){ .kind = DATUM_TEXT, .text = text_of(text) };
                }
                distinct_push(i % 3 == 0 ? a : b, &value);
                distinct_push(i % 2 == 0 ? a : b, &value);
            }
            distinct_merge(a, b);
            double off = (distinct_count(a) - floor(n)) / floor(n);
            if (fabs(off) > 4 * error)
                fail_msg("%g: off by %g", n, off);
            squares += off * off;
            free(a);
            free(b);
        }
    }
    double deviation = sqrt(squares / rounds);
    printf("# standard error %.4f, stated %.4f\n", deviation, error);
    assert_true(deviation < error);
    struct distinct_state *none = state_new(ACCUMULATOR_DISTINCT);
    struct datum nothing = { 0 };
    distinct_push(none, &nothing);
    assert_true(distinct_count(none) == 0);
    free(none);
}

/* Wherever the two ranges lie: merged, the bins are those of a sketch that all was pushed into. */
static void merged_bins_are_those_of_all(void **state)
{
    (void)state;
    static const int apart[] = { 0, 1, 3, 5, 13, 14, 15, 16, 20, 60 }; /* doublings; some 15 fill the bins */
    uint64_t chance = check_seed();
    for (int round = 0; round < 400; round++) {
        struct quantiles_state *a = state_new(ACCUMULATOR_QUANTILES), *b = state_new(ACCUMULATOR_QUANTILES),
                               *all = state_new(ACCUMULATOR_QUANTILES);
        int between = apart[rnd_below(&chance, 10)] * (round % 2 == 0 ? 1 : -1), wide = 1 + (int)rnd_below(&chance, 14);
        for (uint64_t i = rnd_below(&chance, 60); i > 0; i--) {
            bool second = rnd_below(&chance, 2) == 0;
            double number = exp2(rnd_unit(&chance) * wide + (second ? between : 0)) * (rnd_below(&chance, 3) == 0 ? -1 : 1);
            quantiles_push(second ? b : a, number);
            quantiles_push(all, number);
        }
        quantiles_merge(a, b);
        for (int sign = 0; sign < 2; sign++) {
            assert_int_equal(a->of[sign].count, all->of[sign].count);
            assert_int_equal(a->of[sign].top, all->of[sign].top);
            assert_memory_equal(a->of[sign].bins, all->of[sign].bins, sizeof a->of[sign].bins);
        }
        free(a), free(b), free(all);
    }
}

static void full_bins_stay_full(void **state)
{
    (void)state;
    struct quantiles_state *a = state_new(ACCUMULATOR_QUANTILES), *b = state_new(ACCUMULATOR_QUANTILES);
    quantiles_push(a, 5), quantiles_push(a, 50);
    for (int i = 0; i < 40; i++) {
        memcpy(b, a, sizeof *b);
        quantiles_merge(a, b);
    }
    uint32_t full = 0;
    for (int i = 0; i < QUANTILES_BINS; i++)
        full += a->of[0].bins[i] == UINT32_MAX;
    assert_int_equal(full, 2);
    assert_int_equal(quantiles_count(a), 2 * (uint64_t)UINT32_MAX);
    free(a), free(b);
}

/* How often each of the values came that the sketch has; the worst excess, in parts of N / m. */
static double excess(const struct top_state *s, const uint64_t *came, size_t values, uint64_t n)
{
    uint64_t seen = 0, different = 0;
    double worst = 0, bound = (double)n / TOP_COUNTERS;
    for (size_t v = 0; v < values; v++) {
        uint64_t count = 0;
        for (uint32_t i = 0; i < s->used; i++)
            if (s->counters[i].value.number == (double)v)
                count = s->counters[i].count, seen++;
        if (count < came[v] && (count > 0 || (double)came[v] > bound))
            fail_msg("%zu came %" PRIu64 " times of %" PRIu64 ", and is told %" PRIu64, v, came[v], n, count);
        if (count > 0)
            worst = fmax(worst, (double)(count - came[v]) / bound);
        different += came[v] > 0;
    }
    assert_int_equal(seen, s->used);
    assert_true(worst <= 1);
    if (different <= TOP_COUNTERS)
        assert_true(seen == different && worst == 0);
    return worst;
}

static void the_top_is_within_its_bound(void **state)
{
    (void)state;
    enum { VALUES = 4096 };
    static uint64_t came[VALUES];
    uint64_t chance = check_seed();
    const struct accumulator a = { ACCUMULATOR_TOP, 0 };
    double worst = 0;
    for (int round = 0; round < 600; round++) {
        size_t count = draw(&chance, 2), different = 1 + rnd_below(&chance, round % 3 == 0 ? 40 : 2000);
        double skew = 1 + (double)rnd_below(&chance, 6);
        size_t shift = rnd_below(&chance, 3) * 11; /* the parts are of different values */
        memset(came, 0, sizeof came);
        for (size_t i = 0; i < count; i++) {
            size_t v = (size_t)((double)different * pow(rnd_unit(&chance), skew)) + i * 5 / count * shift;
            x[i] = (double)v;
            came[v]++;
        }
        struct top_state *s = merged(&a, x, times, count, &chance);
        worst = fmax(worst, excess(s, came, VALUES, count));
        for (size_t i = 0; i < count / 2; i++) { /* and more, to what was merged */
            struct datum value = number(x[i]);
            top_push(s, &value);
            came[(size_t)x[i]]++;
        }
        worst = fmax(worst, excess(s, came, VALUES, count + count / 2));
        free(s);
    }
    printf("# worst %.3f of the bound\n", worst);
    assert_true(worst > 0.5);
}

/* One part has forgotten a value that the other counts: it may have come there as often as the least of those known. */
static void what_a_part_forgot_is_counted(void **state)
{
    (void)state;
    enum { VALUES = 300 };
    for (int turned = 0; turned < 2; turned++) {
        uint64_t came[VALUES] = { [0] = 101 };
        struct top_state *knows = state_new(ACCUMULATOR_TOP), *forgot = state_new(ACCUMULATOR_TOP);
        struct datum value = number(0);
        for (int i = 0; i < 100; i++)
            top_push(knows, &value);
        top_push(forgot, &value);
        for (int i = 1; i < VALUES; i++, came[i - 1]++) {
            value = number(i);
            top_push(forgot, &value);
        }
        top_merge(turned ? forgot : knows, turned ? knows : forgot);
        (void)excess(turned ? forgot : knows, came, VALUES, 101 + VALUES - 1);
        free(knows);
        free(forgot);
    }
}

static void push_text(struct top_state *s, const char *text, int times_)
{
    struct datum value = { .kind = DATUM_TEXT, .text = text_of(text) };
    while (times_-- > 0)
        top_push(s, &value);
}

static void the_top_is_told_in_order(void **state)
{
    (void)state;
    struct top_state *s = state_new(ACCUMULATOR_TOP);
    char room[TOP_MOST * TOP_TEXT_BYTES];
    struct datum values[] = { number(21.5), number(0), number(-0.0), { .kind = DATUM_BOOLEAN, .number = 1 }, { 0 } };
    push_text(s, "San Jose", 2);
    push_text(s, "50%", 1);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        top_push(s, &values[i]);
    assert_true(text_equal(top_tell(s, 8, room), text_of("0:2 San%20Jose:2 21.5:1 50%25:1 true:1")));
    assert_true(text_equal(top_tell(s, 2, room), text_of("0:2 San%20Jose:2")));
    /* texts that are too long keep whole characters, and all of the longest have room */
    memset(s, 0, sizeof *s);
    for (int i = 0; i < 20; i++) {
        char text[100] = { (char)('a' + i) };
        for (int n = 0; n < 40; n++)
            memcpy(text + 1 + 2 * n, "\xc3\xa9", 3);
        push_text(s, text, 1);
        assert_int_equal(s->counters[i].value.bytes, HELD_TEXT_BYTES - 1);
        s->counters[i].value.bytes = HELD_TEXT_BYTES;
        s->counters[i].count = UINT64_MAX;
    }
    char *exact = malloc(TOP_MOST * TOP_TEXT_BYTES);
    assert_int_equal(top_tell(s, TOP_MOST, exact).bytes, TOP_MOST * TOP_TEXT_BYTES - 1);
    free(exact);
    free(s);
}

static void weights_go_by_event_time(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    for (int round = 0; round < 300; round++) {
        const struct accumulator a = { ACCUMULATOR_DECAYED, round % 2 ? 5 : 0.3 };
        size_t count = draw(&chance, round % 3);
        for (size_t i = 0; i < count; i++)
            times[i] += (int64_t)rnd_below(&chance, 3000); /* out of order */
        struct decayed_state *s = merged(&a, x, times, count, &chance);
        int64_t last = times[0];
        for (size_t i = 0; i < count; i++)
            last = times[i] > last ? times[i] : last;
        long double weight = 0, sum = 0, absolute = 0;
        for (size_t i = 0; i < count; i++) {
            long double w = expl(-(long double)(last - times[i]) / 1000 / (long double)a.parameter);
            weight += w, sum += w * (long double)x[i], absolute += w * fabsl((long double)x[i]);
        }
        double off = fabs((double)((long double)(s->sum / s->weight) - sum / weight));
        assert_true(s->event_ms == last && off <= 1e-12 * (double)(absolute / weight));
        free(s);
    }
}

static void the_exponential_is_right(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    double worst = 0;
    for (int i = 0; i < 1000000; i++) {
        double at = (rnd_unit(&chance) - 0.5) * (i % 2 ? 1400 : 2);
        long double should = expl((long double)at);
        worst = fmax(worst, (double)fabsl(((long double)exponential(at) - should) / should));
    }
    printf("# worst %.3g\n", worst);
    assert_true(worst < 1e-15 && exponential(0) == 1);
}

static void saved_they_come_back(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    for (int round = 0; round < 400; round++) {
        struct accumulator a = { (enum accumulator_kind)(round % ACCUMULATOR_KINDS), 2.5 };
        size_t count = round % 7 == 0 ? 0 : draw(&chance, round % 5);
        void *s = count > 0 ? merged(&a, x, times, count, &chance) : state_new(a.kind), *back = state_new(a.kind);
        struct datum text = { .kind = DATUM_TEXT, .text = text_of("\xc3\xa9tat") };
        if (round % 3 != 0)
            accumulator_push(&a, s, &text, 1800000000000);
        uint32_t most = accumulator_save_bytes_max(a.kind);
        uint8_t *bytes = malloc(most), *again = malloc(most);
        struct byte_writer w = { bytes, most, 0, false }, w2 = { again, most, 0, false };
        accumulator_save(a.kind, s, &w);
        assert_false(w.failed);
        struct byte_reader r = { bytes, w.used, 0, false };
        accumulator_load(a.kind, back, &r);
        assert_true(!r.failed && r.used == r.bytes);
        accumulator_save(a.kind, back, &w2);
        assert_true(w.used == w2.used && memcmp(bytes, again, w.used) == 0);
        struct datum more = number(17);
        accumulator_push(&a, s, &more, times[0]);
        accumulator_push(&a, back, &more, times[0]);
        w.used = w2.used = 0;
        accumulator_save(a.kind, s, &w);
        accumulator_save(a.kind, back, &w2);
        assert_true(w.used == w2.used && memcmp(bytes, again, w.used) == 0);
        for (int i = 0; i < 20; i++) { /* any bytes may be loaded */
            uint8_t *bad = malloc(w.used);
            memcpy(bad, bytes, w.used);
            for (size_t n = 1 + rnd_below(&chance, 4); n > 0; n--)
                bad[rnd_below(&chance, w.used)] = (uint8_t)rnd(&chance);
            struct byte_reader any = { bad, rnd_below(&chance, 2) ? w.used : rnd_below(&chance, w.used), 0, false };
            memset(back, 0, accumulator_bytes(a.kind));
            accumulator_load(a.kind, back, &any);
            if (!any.failed) {
                accumulator_push(&a, back, &more, times[0]);
                accumulator_merge(&a, s, back);
                if (a.kind == ACCUMULATOR_QUANTILES)
                    assert_true(isfinite(quantiles_value(s, 0.5)));
            }
            free(bad);
        }
        free(s), free(back), free(bytes), free(again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_within_their_bound),
        cmocka_unit_test(quantiles_are_within_one_percent),
        cmocka_unit_test(the_low_end_collapses),
        cmocka_unit_test(merged_bins_are_those_of_all),
        cmocka_unit_test(full_bins_stay_full),
        cmocka_unit_test(distinct_counts_are_within_their_error),
        cmocka_unit_test(the_top_is_within_its_bound),
        cmocka_unit_test(what_a_part_forgot_is_counted),
        cmocka_unit_test(the_top_is_told_in_order),
        cmocka_unit_test(weights_go_by_event_time),
        cmocka_unit_test(the_exponential_is_right),
        cmocka_unit_test(saved_they_come_back),
    };
    return cmocka_run_group_tests_name("accumulator", tests, NULL, NULL);
}
