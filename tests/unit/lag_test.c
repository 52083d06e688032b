/* Goal: a lag that grows for as long as is not allowed is told, once for each doubling, and its end too; one that only
 * rises and falls never is. Method: shapes of lag over time as a table; then random walks against a model that keeps
 * all of them and looks back.
 * Links: pipeline/pressure/lag.c */
#include "pipeline/pressure/lag.h"

#include "tests/lib/check.h"

enum { FOR_MS = 300000, STEP_MS = 1000, HOUR = 3600 };

enum shape { IDLE, RISES, SAW, STEPS_UP, STANDS, TREMBLES_UP };

static int64_t lag_at(enum shape shape, int64_t s)
{
    switch (shape) {
    case IDLE:
        return s % 2;
    case RISES: /* never read to its end */
        return s * 1000;
    case SAW: /* read to its end every 100 s */
        return s % 100 * 1000;
    case STEPS_UP: /* every 100 s, but later each time */
        return s % 100 * 1000 + s * 20;
    case STANDS:
        return 40000;
    case TREMBLES_UP: /* by one in a hundred, a tenth to and fro */
        return 2000 + s * 10 + s * 7919 % 200;
    }
    return 0;
}

/* How often it is told in an hour, and when first, in seconds. */
static int follow(enum shape shape, int64_t *first_s)
{
    struct lag l;
    int64_t told_ms = 0;
    int told = 0;
    lag_init(&l, 0);
    for (int64_t s = 0; s < HOUR; s++) {
        int64_t lag_ms = lag_at(shape, s);
        if (lag_update(&l, FOR_MS, lag_ms, told_ms, s * STEP_MS) != LAG_GROWS)
            continue;
        *first_s = told++ == 0 ? s : *first_s;
        assert_true(lag_ms >= 2 * told_ms);
        told_ms = lag_ms;
    }
    return told;
}

static void what_grows_is_told(void **state)
{
    (void)state;
    static const struct {
        enum shape shape;
        int told;
        int64_t first_least_s, first_most_s;
    } table[] = {
        { IDLE, 0, 0, 0 },   { RISES, 4, 300, 360 }, /* 330 s, then 660, 1320, 2640 */
        { SAW, 0, 0, 0 },    { STANDS, 0, 0, 0 },     { TREMBLES_UP, 3, 300, 360 },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t first_s = 0;
        assert_int_equal(follow(table[i].shape, &first_s), table[i].told);
        assert_in_range(first_s, table[i].first_least_s, table[i].first_most_s);
    }
    int64_t first_s = 0;
    assert_int_equal(follow(STEPS_UP, &first_s), 0); /* it is read to its end again and again: no growth that lasts */
}

static void its_end_is_told(void **state)
{
    (void)state;
    struct lag l;
    lag_init(&l, 0);
    int64_t s = 0, told_ms = 0;
    for (; told_ms == 0; s++)
        if (lag_update(&l, FOR_MS, s * 1000, 0, s * STEP_MS) == LAG_GROWS)
            told_ms = s * 1000;
    int64_t from_s = s;
    for (; s < from_s + 300; s++) /* half of it is not under it */
        assert_int_equal(lag_update(&l, FOR_MS, told_ms / 2, told_ms, s * STEP_MS), LAG_AS_IT_WAS);
    while (lag_update(&l, FOR_MS, told_ms / 2 - 1, told_ms, s * STEP_MS) != LAG_IS_OVER)
        assert_in_range(s++, from_s, from_s + 300 + FOR_MS / LAG_SLICES / 1000);
    /* A restart knows what was told, and no more. */
    lag_init(&l, s * STEP_MS);
    from_s = s;
    while (lag_update(&l, FOR_MS, 0, told_ms, s * STEP_MS) != LAG_IS_OVER)
        assert_in_range(s++, from_s, from_s + FOR_MS / LAG_SLICES / 1000);
}

enum { WALK = 3000 };

static int64_t least_of(const int64_t *lags, int64_t from, int64_t to)
{
    int64_t least = INT64_MAX;
    for (int64_t i = from; i < to; i++)
        least = lags[i] < least ? lags[i] : least;
    return least;
}

/* Measured each second, 10 s allowed: slices of a second hold two measurements, the one that ends it included. */
static void walks_agree_with_what_lies_behind_them(void **state)
{
    (void)state;
    static int64_t lags[WALK];
    uint64_t chance = check_seed();
    int grows = 0, over = 0;
    struct lag l;
    int64_t told_ms = 0, lag_ms = 0;
    lag_init(&l, 0);
    for (int64_t i = 0; i < WALK; i++) {
        lag_ms = rnd(&chance) % 60 == 0 ? 0 : lag_ms + (int64_t)(rnd(&chance) % 1000) - (int64_t)(rnd(&chance) % 40);
        lag_ms = lag_ms < 0 ? 0 : lag_ms;
        lags[i] = lag_ms;
        enum lag_verdict got = lag_update(&l, 100 * LAG_SLICES, lag_ms, told_ms, i * 10);
        enum lag_verdict want = LAG_AS_IT_WAS;
        if (i > 0 && i % 10 == 0) { /* slice k ends at 10 k, and holds what came after 10 (k - 1) */
            int64_t k = i / 10, n = 0;
            for (; k - n >= 2; n++) {
                int64_t now = least_of(lags, (k - n - 1) * 10 + 1, (k - n) * 10 + 1);
                int64_t before = least_of(lags, k - n == 2 ? 0 : (k - n - 2) * 10 + 1, (k - n - 1) * 10 + 1);
                if (now <= before || now < LAG_LEAST_MS)
                    break;
            }
            int64_t least = least_of(lags, k == 1 ? 0 : (k - 1) * 10 + 1, k * 10 + 1);
            if (n >= LAG_SLICES && least >= 2 * told_ms)
                want = LAG_GROWS;
            else if (told_ms > 0 && least < told_ms / 2)
                want = LAG_IS_OVER;
        }
        assert_int_equal(got, want);
        told_ms = got == LAG_GROWS ? lag_ms : got == LAG_IS_OVER ? 0 : told_ms;
        grows += got == LAG_GROWS;
        over += got == LAG_IS_OVER;
    }
    assert_true(grows > 3 && over > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_grows_is_told),
        cmocka_unit_test(its_end_is_told),
        cmocka_unit_test(walks_agree_with_what_lies_behind_them),
    };
    return cmocka_run_group_tests_name("lag", tests, NULL, NULL);
}
