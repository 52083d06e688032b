/* Goal: every reading counts in its window or is refused as late, windows fire and revise when the
 * watermark says so, and memory never grows. Method: examples, then random readings (late, reordered)
 * and watermarks against a model that keeps every reading and computes in two passes.
 * Links: pipeline/window.c pipeline/bytes.c */
#include "pipeline/window.h"

#include <math.h>

#include "pipeline/err.h"
#include "tests/lib/check.h"

static const struct window_config CONFIG = { .size_ms = 10000, .lateness_ms = 15000, .slots = 4 };

struct under_test {
    struct windows *windows; /* behind it its slots, and nothing that may be touched */
    struct window forced;
};

static void begin(struct under_test *u)
{
    u->windows = malloc(windows_bytes(&CONFIG));
    assert_non_null(u->windows);
    windows_init(u->windows, &CONFIG);
}

static void end(struct under_test *u)
{
    free(u->windows);
}

static int push(struct under_test *u, int64_t watermark_ms, int64_t event_time_ms, double value)
{
    return windows_push(u->windows, &CONFIG, watermark_ms, event_time_ms, value, 7, &u->forced);
}

static void fires_revises_and_closes(void **state)
{
    (void)state;
    struct under_test u;
    struct window due;
    begin(&u);
    assert_int_equal(push(&u, INT64_MIN, 12000, 1.0), 0);
    assert_int_equal(push(&u, 10000, 19999, 3.0), 0);
    assert_false(windows_due(u.windows, &CONFIG, 19999, &due));
    assert_true(windows_due(u.windows, &CONFIG, 20000, &due));
    assert_int_equal(due.start_ms, 10000);
    assert_int_equal(due.revision, 0);
    assert_int_equal(due.aggregate.count, 2);
    assert_int_equal(due.first_block, 7);
    assert_false(windows_due(u.windows, &CONFIG, 20000, &due));
    assert_int_equal(push(&u, 34999, 10000, 5.0), 0);
    assert_true(windows_due(u.windows, &CONFIG, 34999, &due));
    assert_int_equal(due.revision, 1);
    assert_true(due.aggregate.count == 3 && due.aggregate.first == 5.0 && due.aggregate.last == 3.0);
    assert_int_equal(push(&u, 35000, 10001, 5.0), WEIR_ELATE);
    assert_false(windows_due(u.windows, &CONFIG, 35000, &due));
    assert_int_equal(windows_end(u.windows, &CONFIG), INT64_MIN);
    end(&u);
}

static void before_the_epoch_windows_start_below(void **state)
{
    (void)state;
    struct under_test u;
    begin(&u);
    assert_int_equal(push(&u, INT64_MIN, -1, 1.0), 0);
    assert_int_equal(windows_end(u.windows, &CONFIG), 0);
    end(&u);
}

static void the_oldest_gives_way_and_stays_closed(void **state)
{
    (void)state;
    struct under_test u;
    begin(&u);
    for (int64_t i = 1; i <= 4; i++)
        assert_int_equal(push(&u, INT64_MIN, i * 10000, (double)i), 0);
    assert_int_equal(push(&u, INT64_MIN, 5000, 0.0), WEIR_EFULL);
    assert_false(u.forced.open);
    assert_int_equal(push(&u, INT64_MIN, 50000, 5.0), 0);
    assert_true(u.forced.open && u.forced.dirty);
    assert_int_equal(u.forced.start_ms, 10000);
    assert_int_equal(push(&u, INT64_MIN, 19999, 1.0), WEIR_ELATE);
    end(&u);
}

/* --- the model: every reading, and what was told of each window --- */

enum { WINDOWS = 64, EACH = 400, STEPS = 4000 };

struct model_window {
    int64_t times_ms[EACH];
    double values[EACH];
    uint32_t count;
    uint32_t told;     /* revisions */
    bool dirty, gone;
};

static void same(const struct window *got, const struct model_window *m)
{
    double sum = 0, squares = 0, min = m->values[0], max = m->values[0];
    uint32_t first = 0, last = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        sum += m->values[i];
        min = m->values[i] < min ? m->values[i] : min;
        max = m->values[i] > max ? m->values[i] : max;
        first = m->times_ms[i] < m->times_ms[first] ? i : first;
        last = m->times_ms[i] >= m->times_ms[last] ? i : last;
    }
    double mean = sum / m->count;
    for (uint32_t i = 0; i < m->count; i++)
        squares += (m->values[i] - mean) * (m->values[i] - mean);
    assert_int_equal(got->aggregate.count, m->count);
    assert_int_equal(got->revision, m->told);
    assert_true(got->aggregate.min == min && got->aggregate.max == max);
    assert_true(got->aggregate.first == m->values[first] && got->aggregate.last == m->values[last]);
    assert_true(fabs(got->aggregate.mean - mean) <= 1e-9 * (1 + fabs(mean)));
    assert_true(fabs(got->aggregate.m2 - squares) <= 1e-9 * (1 + squares));
}

static void save_and_load(struct under_test *u)
{
    uint8_t bytes[1024];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    windows_save(u->windows, &CONFIG, &w);
    assert_false(w.failed);
    end(u);
    begin(u);
    struct byte_reader r = { bytes, w.used, 0, false };
    windows_load(u->windows, &CONFIG, &r);
    assert_true(!r.failed && r.used == r.bytes);
}

static struct model_window *oldest_open(struct model_window *model)
{
    for (uint32_t i = 0; i < WINDOWS; i++)
        if (model[i].count > 0 && !model[i].gone)
            return &model[i];
    return NULL;
}

static void push_both(struct under_test *u, struct model_window *model, int64_t watermark_ms,
                      int64_t event_time_ms, double value)
{
    int64_t index = event_time_ms / CONFIG.size_ms;
    struct model_window *m = &model[index];
    bool closed = m->gone || (index + 1) * CONFIG.size_ms + CONFIG.lateness_ms <= watermark_ms;
    for (uint32_t i = (uint32_t)index; i < WINDOWS && !closed; i++)
        closed = model[i].gone && model[i].count > 0; /* what is newer has gone: this has too */
    uint32_t open = 0;
    for (uint32_t i = 0; i < WINDOWS; i++)
        open += model[i].count > 0 && !model[i].gone;
    struct model_window *oldest = oldest_open(model);
    int want = closed ? WEIR_ELATE : 0;
    if (!closed && m->count == 0 && open == CONFIG.slots) {
        want = m < oldest ? WEIR_EFULL : 0;
        if (want == 0)
            oldest->gone = true;
    } else {
        oldest = NULL;
    }
    assert_int_equal(push(u, watermark_ms, event_time_ms, value), want);
    assert_int_equal(u->forced.open, want == 0 && oldest != NULL);
    if (u->forced.open && u->forced.dirty)
        same(&u->forced, oldest);
    if (want != 0)
        return;
    assert_in_range(m->count, 0, EACH - 1);
    m->times_ms[m->count] = event_time_ms;
    m->values[m->count++] = value;
    m->dirty = true;
}

static void move_both(struct under_test *u, struct model_window *model, int64_t watermark_ms)
{
    struct window due;
    for (uint32_t i = 0; i < WINDOWS; i++) {
        struct model_window *m = &model[i];
        if (m->count == 0 || m->gone || (i + 1) * CONFIG.size_ms > watermark_ms)
            continue;
        if (m->dirty) {
            assert_true(windows_due(u->windows, &CONFIG, watermark_ms, &due));
            assert_int_equal(due.start_ms, i * CONFIG.size_ms);
            same(&due, m);
            m->dirty = false;
            m->told++;
        }
        m->gone = (i + 1) * CONFIG.size_ms + CONFIG.lateness_ms <= watermark_ms;
    }
    assert_false(windows_due(u->windows, &CONFIG, watermark_ms, &due));
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    static struct model_window model[WINDOWS];
    for (int round = 0; round < 10; round++) {
        struct under_test u;
        begin(&u);
        memset(model, 0, sizeof model);
        int64_t now_ms = 100000, watermark_ms = INT64_MIN;
        int64_t limit_ms = (WINDOWS - 4) * CONFIG.size_ms;
        for (int step = 0; step < STEPS && now_ms < limit_ms; step++) {
            now_ms += (int64_t)(rnd(&seed) % 7) * 100;
            int64_t late_ms = rnd(&seed) % 8 == 0 ? (int64_t)(rnd(&seed) % 600) * 100 : 0;
            int64_t ahead_ms = rnd(&seed) % 50 == 0 ? (int64_t)(rnd(&seed) % 30000) : 0;
            double value = 1000 * rnd_unit(&seed) - 300;
            push_both(&u, model, watermark_ms, now_ms - late_ms + ahead_ms, value);
            int64_t moved_ms = now_ms - (int64_t)(rnd(&seed) % 20000);
            watermark_ms = moved_ms > watermark_ms ? moved_ms : watermark_ms;
            move_both(&u, model, watermark_ms);
            if (rnd(&seed) % 64 == 0)
                save_and_load(&u);
        }
        end(&u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_revises_and_closes),
        cmocka_unit_test(before_the_epoch_windows_start_below),
        cmocka_unit_test(the_oldest_gives_way_and_stays_closed),
        cmocka_unit_test(agrees_with_a_model),
    };
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
