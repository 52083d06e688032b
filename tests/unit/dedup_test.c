/* Goal: a repeat is known at any distance while its run is remembered, and nothing unseen is taken for
 * one. Method: examples of what devices do; then random devices (in order, with gaps, late backlogs,
 * repeats, restarts) against a plain set of every (sequence, time) that was marked.
 *
 * What the random devices keep to, because runs can't tell it (dedup.h): a clock that only goes
 * forward over restarts, and a restarted device of which the first message, number 0, is heard first.
 * Links: pipeline/dedup.c pipeline/hash.c pipeline/bytes.c */
#include "pipeline/dedup.h"

#include "tests/lib/check.h"

enum { RANGES_MAX = 16, KEEP_MAX = 8, POINTS_MAX = 4000 };

/* With just the room that its configuration asks for: a step beside it is seen. */
static struct dedup *begin(const struct dedup_config *config)
{
    struct dedup *d = malloc(dedup_bytes(config));
    assert_non_null(d);
    dedup_init(d);
    return d;
}

static struct reading reading_at(uint64_t sequence, int64_t time_ms)
{
    return (struct reading){ .metric = text_of("temp"), .has_sequence = true, .sequence = sequence,
                             .has_device_time = true, .device_time_ms = time_ms };
}

static void devices_are_followed(void **state)
{
    (void)state;
    static const struct {
        uint64_t sequence;
        int64_t time_ms;
        enum dedup_verdict want;
        uint32_t runs; /* after it was marked */
        const char *why;
    } table[] = {
        { 5, 500, DEDUP_NEW, 1, "first" },
        { 5, 500, DEDUP_SEEN, 1, "repeated at once" },
        { 6, 600, DEDUP_NEW, 1, "next" },
        { 7, 600, DEDUP_NEW, 1, "next, same time" },
        { 5, 500, DEDUP_SEEN, 1, "repeated later" },
        { 10, 1000, DEDUP_NEW, 2, "after a gap" },
        { 11, 1100, DEDUP_NEW, 2, "going on" },
        { 8, 800, DEDUP_NEW, 2, "late backlog" },
        { 8, 800, DEDUP_SEEN, 2, "late backlog repeated" },
        { 9, 900, DEDUP_NEW, 1, "gap closed" },
        { 5, 500, DEDUP_SEEN, 1, "repeated across the closed gap" },
        { 4, 400, DEDUP_NEW, 1, "older than the first" },
        { 5, 5000, DEDUP_RESTART, 2, "restart" },
        { 6, 6000, DEDUP_NEW, 2, "going on after the restart" },
        { 6, 600, DEDUP_SEEN, 2, "repeat from before the restart" },
        { 6, 6000, DEDUP_SEEN, 2, "repeat from after it" },
        { 12, 12000, DEDUP_NEW, 3, "beside the run of before: not its next" },
        { 11, 11000, DEDUP_NEW, 3, "known number, but the neighbour of the one above" },
        { 12, 1200, DEDUP_NEW, 3, "backlog from before the restart" },
        { 4, 400, DEDUP_SEEN, 3, "repeat of the oldest" },
        { 5, 50000, DEDUP_RESTART, 4, "second restart" },
        { UINT64_MAX, 60000, DEDUP_NEW, 5, "the largest number" },
        { 0, 60001, DEDUP_NEW, 6, "does not follow the largest" },
    };
    struct dedup_config config = { .ranges = 16 };
    struct dedup *d = begin(&config);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct reading r = reading_at(table[i].sequence, table[i].time_ms);
        enum dedup_verdict got = dedup_check(d, &config, &r);
        if (got != table[i].want)
            fail_msg("%s: got %d, want %d", table[i].why, got, table[i].want);
        assert_int_equal(dedup_mark(d, &config, &r), 0);
        if (d->range_count != table[i].runs)
            fail_msg("%s: %u runs, want %u", table[i].why, d->range_count, table[i].runs);
        assert_int_equal(dedup_check(d, &config, &r), DEDUP_SEEN);
    }
    free(d);
}

static void readings_of_a_message_share_its_number(void **state)
{
    (void)state;
    struct dedup_config config = { .ranges = 4 };
    struct dedup *d = begin(&config);
    for (uint64_t n = 0; n < 100; n++) {
        struct reading r[3];
        for (uint32_t i = 0; i < 3; i++) { /* each with a time of its own, newest first */
            r[i] = reading_at(n % 50, (int64_t)n * 100 - (int64_t)i * 40);
            r[i].index = i;
            enum dedup_verdict want = n == 50 ? DEDUP_RESTART : DEDUP_NEW;
            assert_int_equal(dedup_check(d, &config, &r[i]), want);
        }
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(dedup_mark(d, &config, &r[i]), 0);
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(dedup_check(d, &config, &r[i]), DEDUP_SEEN);
    }
    assert_int_equal(d->range_count, 2);
    free(d);
}

static void the_run_unused_for_longest_is_forgotten(void **state)
{
    (void)state;
    struct dedup_config config = { .ranges = 3 };
    struct dedup *d = begin(&config);
    for (uint64_t n = 10; n <= 30; n += 10) {
        struct reading r = reading_at(n, (int64_t)n);
        assert_int_equal(dedup_mark(d, &config, &r), 0);
    }
    struct reading used = reading_at(11, 11), fourth = reading_at(40, 40);
    assert_int_equal(dedup_mark(d, &config, &used), 0); /* 10 is now the newest */
    assert_int_equal(dedup_mark(d, &config, &fourth), 1);
    struct reading kept = reading_at(10, 10), lost = reading_at(20, 20);
    assert_int_equal(dedup_check(d, &config, &kept), DEDUP_SEEN);
    assert_int_equal(dedup_check(d, &config, &lost), DEDUP_NEW);
    free(d);
}

static void hashes_stand_in_for_what_is_missing(void **state)
{
    (void)state;
    struct dedup_config config = { .ranges = 1, .keep = KEEP_MAX };
    struct dedup *d = begin(&config);
    struct reading base = reading_at(7, 700);
    base.has_sequence = false;
    base.value.number = 21.5;
    assert_int_equal(dedup_check(d, &config, &base), DEDUP_NEW);
    assert_int_equal(dedup_mark(d, &config, &base), 0);
    assert_int_equal(dedup_check(d, &config, &base), DEDUP_SEEN);
    base.repeat_hash = dedup_hash(&base); /* reckoned before: the same */
    assert_true(base.repeat_hash != 0);
    assert_int_equal(dedup_check(d, &config, &base), DEDUP_SEEN);
    base.repeat_hash = 0;

    struct reading other[8] = { base, base, base, base, base, base, base, base };
    other[0].metric = text_of("tem");
    other[1].device_time_ms++;
    other[2].index = 1;
    other[3].value.number = 21.25;
    other[4].value = (struct value){ .type = VALUE_TEXT, .text = text_of("p") };
    other[5].has_sequence = true; /* and no device time */
    other[5].has_device_time = false;
    other[6].extra = text_of("one card"); /* of two that pay as much at one till in one second */
    other[7].extra = text_of("another");
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(dedup_check(d, &config, &other[i]), DEDUP_NEW);
    assert_int_equal(dedup_mark(d, &config, &other[6]), 0);
    assert_int_equal(dedup_check(d, &config, &other[6]), DEDUP_SEEN);
    assert_int_equal(dedup_check(d, &config, &other[7]), DEDUP_NEW);

    for (int64_t i = 1; i < KEEP_MAX - 1; i++) {
        struct reading next = base;
        next.device_time_ms += i;
        assert_int_equal(dedup_mark(d, &config, &next), 0);
    }
    assert_int_equal(dedup_check(d, &config, &base), DEDUP_SEEN);
    assert_int_equal(dedup_mark(d, &config, &other[3]), 0);
    assert_int_equal(dedup_check(d, &config, &base), DEDUP_NEW); /* pushed out */

    struct reading bare = base;
    bare.has_device_time = false;
    assert_int_equal(dedup_mark(d, &config, &bare), 0);
    assert_int_equal(dedup_check(d, &config, &bare), DEDUP_NEW); /* a steady value is no repeat */
    free(d);
    config.keep = 0;
    d = begin(&config);
    assert_int_equal(dedup_mark(d, &config, &base), 0);
    assert_int_equal(dedup_check(d, &config, &base), DEDUP_NEW);
    free(d);
}

/* Half of the runs, and hashes in the rest of the same room, whichever came first. */
static void a_device_of_both_kinds_has_half_of_each(void **state)
{
    (void)state;
    struct dedup_config config = { .ranges = 4, .keep = KEEP_MAX }, half = dedup_mixed(&config);
    assert_true(half.ranges == 2 && half.keep == 6); /* of 96 bytes two runs leave so many */
    for (int runs_first = 0; runs_first < 2; runs_first++) {
        struct dedup *d = begin(&config);
        uint32_t forgotten = 0;
        for (uint64_t i = 0; i < 40; i++) {
            struct reading r = reading_at(10 * i, (int64_t)i);
            r.has_sequence = i < 20 ? runs_first == 1 : i % 2 == 1;
            forgotten += dedup_mark(d, &config, &r);
            assert_int_equal(dedup_check(d, &config, &r), DEDUP_SEEN);
            assert_int_equal(d->mixed, i >= (runs_first ? 20 : 21));
        }
        assert_int_equal(d->range_count, 2);
        assert_int_equal(d->hash_count, half.keep);
        assert_int_equal(forgotten, (runs_first ? 20 : 0) + 10 - 2);
        for (uint64_t i = 20; i < 40; i++) {
            struct reading r = reading_at(10 * i, (int64_t)i);
            r.has_sequence = i % 2 == 1;
            bool known = i >= 40 - 2 * (r.has_sequence ? half.ranges : half.keep);
            assert_int_equal(dedup_check(d, &config, &r), known ? DEDUP_SEEN : DEDUP_NEW);
        }
        free(d);
    }
}

/* One reading a day: a run ends after 49 days, and nothing is forgotten by that. */
static void a_long_run_goes_on_as_another(void **state)
{
    (void)state;
    enum { DAYS = 140 };
    const int64_t day_ms = 86400000;
    struct dedup_config config = { .ranges = 4 };
    struct dedup *d = begin(&config);
    for (uint64_t day = 0; day < DAYS; day++) {
        struct reading r = reading_at(1000 + day, (int64_t)day * day_ms);
        assert_int_equal(dedup_check(d, &config, &r), DEDUP_NEW);
        assert_int_equal(dedup_mark(d, &config, &r), 0);
    }
    assert_int_equal(d->range_count, 3);
    for (uint64_t day = 0; day < DAYS; day++) {
        struct reading r = reading_at(1000 + day, (int64_t)day * day_ms);
        assert_int_equal(dedup_check(d, &config, &r), DEDUP_SEEN);
    }
    struct reading apart = reading_at(1000 + DAYS - 1, 0); /* in the message of today, months ago */
    apart.index = 1;
    assert_int_equal(dedup_mark(d, &config, &apart), 0);
    assert_int_equal(dedup_run(d, 2).last_ms - dedup_run(d, 2).first_ms, 39 * day_ms);
    free(d);
}

/* What a device was known by before it sent the other kind is known after it, as far as half goes. */
static void the_newest_half_outlives_the_mixing(void **state)
{
    (void)state;
    struct dedup_config config = { .ranges = 3, .keep = KEEP_MAX };
    struct dedup *d = begin(&config);
    uint32_t kept = dedup_mixed(&config).keep;
    assert_in_range(kept, 1, KEEP_MAX - 1);
    for (int64_t i = 0; i < KEEP_MAX + 3; i++) { /* the ring has gone round */
        struct reading r = reading_at(0, i);
        r.has_sequence = false;
        assert_int_equal(dedup_mark(d, &config, &r), 0);
    }
    struct reading numbered = reading_at(7, 7000);
    assert_int_equal(dedup_mark(d, &config, &numbered), 0);
    for (int64_t i = 0; i < KEEP_MAX + 3; i++) {
        struct reading r = reading_at(0, i);
        r.has_sequence = false;
        bool known = i >= KEEP_MAX + 3 - (int64_t)kept;
        assert_int_equal(dedup_check(d, &config, &r), known ? DEDUP_SEEN : DEDUP_NEW);
    }
    free(d);
}

static void what_is_saved_loads(void **state)
{
    (void)state;
    struct dedup_config config = { .ranges = 3, .keep = 4 }, smaller = { .ranges = 2, .keep = 4 };
    struct dedup *d = begin(&config), *loaded = begin(&config);
    for (uint64_t i = 0; i < 6; i++) {
        struct reading r = reading_at(i / 2 * 10, (int64_t)i * 1000);
        r.index = (uint32_t)i % 2;
        (void)dedup_mark(d, &config, &r);
        r.has_sequence = false;
        (void)dedup_mark(d, &config, &r);
    }
    uint8_t saved[512], again[512];
    struct byte_writer w = { .at = saved, .bytes = sizeof saved };
    dedup_save(d, &config, &w);
    assert_false(w.failed);
    struct byte_reader r = { .at = saved, .bytes = w.used };
    dedup_load(loaded, &config, &r);
    assert_true(!r.failed && r.used == w.used);
    struct byte_writer w2 = { .at = again, .bytes = sizeof again };
    dedup_save(loaded, &config, &w2);
    assert_int_equal(w2.used, w.used);
    assert_memory_equal(again, saved, w.used);

    for (size_t cut = 0; cut < w.used; cut++) {
        struct byte_reader shorter = { .at = saved, .bytes = cut };
        dedup_load(loaded, &config, &shorter);
        assert_true(shorter.failed && loaded->range_count == 0 && loaded->hash_count == 0);
    }
    struct byte_reader r2 = { .at = saved, .bytes = w.used };
    dedup_load(loaded, &smaller, &r2);
    assert_true(r2.failed);
    saved[5] = 0xff; /* the first run begins behind its end */
    struct byte_reader r3 = { .at = saved, .bytes = w.used };
    dedup_load(loaded, &config, &r3);
    assert_true(r3.failed);
    free(d);
    free(loaded);
}

/* --- the model: everything that was marked, and whether it may have been forgotten --- */

struct point {
    uint64_t sequence;
    int64_t time_ms;
    bool forgotten;
};

struct device {
    struct dedup_config config;
    struct dedup *dedup;
    struct point points[POINTS_MAX];
    uint32_t point_count;
    bool ever_forgot;
    uint64_t next;                /* number of the next message */
    int64_t now_ms;
    struct point backlog[64];     /* made, but not yet delivered */
    uint32_t backlog_count;
};

static bool covers(const struct dedup_range *run, const struct point *p)
{
    return run->first <= p->sequence && p->sequence <= run->last && run->first_ms <= p->time_ms &&
           p->time_ms <= run->last_ms;
}

static struct point *find(struct device *v, uint64_t sequence, int64_t time_ms)
{
    for (uint32_t i = 0; i < v->point_count; i++)
        if (v->points[i].sequence == sequence && v->points[i].time_ms == time_ms)
            return &v->points[i];
    return NULL;
}

static void forget(struct device *v, struct dedup_range run)
{
    v->ever_forgot = true;
    for (uint32_t i = 0; i < v->point_count; i++)
        if (covers(&run, &v->points[i]))
            v->points[i].forgotten = true;
}

static void deliver(struct device *v, uint64_t sequence, int64_t time_ms)
{
    struct reading r = reading_at(sequence, time_ms);
    struct point *known = find(v, sequence, time_ms);
    enum dedup_verdict verdict = dedup_check(v->dedup, &v->config, &r);
    if (known != NULL && !known->forgotten)
        assert_int_equal(verdict, DEDUP_SEEN);
    if (known == NULL && !v->ever_forgot)
        assert_int_not_equal(verdict, DEDUP_SEEN);
    if (verdict == DEDUP_SEEN)
        return;
    struct dedup_range oldest = { 0 };
    if (v->dedup->range_count > 0)
        oldest = dedup_run(v->dedup, 0);
    if (dedup_mark(v->dedup, &v->config, &r) == 1)
        forget(v, oldest);
    assert_int_equal(dedup_check(v->dedup, &v->config, &r), DEDUP_SEEN);
    if (known == NULL)
        v->points[v->point_count++] = (struct point){ sequence, time_ms, false };
    else
        known->forgotten = false;
}

static void step(struct device *v, uint64_t *seed)
{
    v->now_ms += 1 + (int64_t)(rnd(seed) % 3);
    uint64_t what = rnd(seed) % 100;
    if (what < 3) { /* restart; its first message is heard */
        deliver(v, 0, v->now_ms);
        v->next = 1;
    } else if (what < 20 && v->backlog_count < 64) { /* made, kept back */
        v->backlog[v->backlog_count++] = (struct point){ v->next++, v->now_ms, false };
    } else if (what < 30) { /* made, lost for good */
        v->next++;
    } else if (what < 45 && v->backlog_count > 0) { /* sent late, in any order */
        uint64_t i = rnd(seed) % v->backlog_count;
        struct point late = v->backlog[i];
        v->backlog[i] = v->backlog[--v->backlog_count];
        deliver(v, late.sequence, late.time_ms);
    } else if (what < 60 && v->point_count > 0) { /* repeated, from any distance */
        struct point *p = &v->points[rnd(seed) % v->point_count];
        deliver(v, p->sequence, p->time_ms);
    } else {
        deliver(v, v->next, v->now_ms);
        v->next++;
    }
}

static void random_devices_agree_with_a_plain_set(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    static struct device v;
    uint32_t forgot = 0, most = 0;
    for (int round = 0; round < 1500; round++) {
        v = (struct device){ .config = { .ranges = round % 3 == 0 ? 4 : RANGES_MAX } };
        v.dedup = begin(&v.config);
        int steps = 20 + (int)(rnd(&seed) % 200);
        for (int i = 0; i < steps; i++) {
            step(&v, &seed);
            most = v.dedup->range_count > most ? v.dedup->range_count : most;
        }
        forgot += v.ever_forgot;
        for (uint32_t i = 0; i < v.point_count; i++)
            deliver(&v, v.points[i].sequence, v.points[i].time_ms);
        free(v.dedup);
    }
    assert_in_range(forgot, 100, 1400); /* both kinds of round took place */
    assert_int_equal(most, RANGES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_followed),
        cmocka_unit_test(readings_of_a_message_share_its_number),
        cmocka_unit_test(the_run_unused_for_longest_is_forgotten),
        cmocka_unit_test(hashes_stand_in_for_what_is_missing),
        cmocka_unit_test(a_device_of_both_kinds_has_half_of_each),
        cmocka_unit_test(the_newest_half_outlives_the_mixing),
        cmocka_unit_test(a_long_run_goes_on_as_another),
        cmocka_unit_test(what_is_saved_loads),
        cmocka_unit_test(random_devices_agree_with_a_plain_set),
    };
    return cmocka_run_group_tests_name("dedup", tests, NULL, NULL);
}
