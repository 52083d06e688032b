/* Goal: every processor computes the same bits. Method: run the statistics and every kind of detector over seeded
 * series, and over every real series that stands beside the repository, and hash each verdict and the states; the digests
 * are constants here, made on amd64. Where another processor's differ, so would a gateway's replay. A detector that is changed on
 * purpose changes them: copy what the test prints.
 * Links: pipeline/statistics.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/bytes.c pipeline/hash.c */
#include <string.h>

#include "pipeline/detect/detector.h"
#include "pipeline/hash.h"
#include "tests/lib/noise.h"
#include "tests/lib/series_files.h"

static const struct hash128 SEEDED = { .high = 0x76700c50319d98c8u, .low = 0x3586fbd6cce607c1u };
static const struct hash128 REAL = { .high = 0x18c16fc5a68dba9bu, .low = 0x270db625e224f2ebu };

enum {
    STATES_EVERY = 64,     /* readings between two looks at the states */
    SEEDED_SERIES = 24,
    SEEDED_READINGS = 1500
};

struct run { /* all kinds on one series */
    struct detector_config configs[DETECTOR_KINDS];
    struct detector_state states[DETECTOR_KINDS];
    struct statistics statistics;
};

static void run_init(struct run *run)
{
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector_config *config = &run->configs[kind];
        *config = detector_defaults((enum detector_kind)kind);
        config->has_low = config->has_high = true;
        config->low = 0;
        config->high = 100;
        config->hysteresis = 2;
        config->per_second_max = 0.05;
        memset(&run->states[kind], 0, sizeof run->states[kind]);
    }
    statistics_init(&run->statistics);
}

static void put_verdict(const struct verdict *v, struct byte_writer *w)
{
    assert_true(v->low - v->low + (v->high - v->high) + (v->score - v->score) == 0); /* finite */
    put_u8(w, (uint8_t)(v->known + 2 * v->anomalous + 4 * v->bad + 8 * (int)v->reason));
    put_f64(w, v->low);
    put_f64(w, v->high);
    put_f64(w, v->score);
}

static void run_reading(struct run *run, const struct sample *sample, struct hash_state *hash)
{
    uint8_t bytes[2048];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    bool states = run->statistics.count % STATES_EVERY == 0;
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        const struct detector_kind_ops *ops = detector_ops((enum detector_kind)kind);
        int64_t gap_ms = sample->event_time_ms - run->statistics.last_ms;
        if (ops->on_arrival != NULL && run->statistics.count > 0 && gap_ms > 0) {
            ops->on_arrival(&run->configs[kind], &run->states[kind], gap_ms);
            put_i64(&w, ops->silence_ms(&run->configs[kind], &run->states[kind]));
        }
        struct verdict v =
            detector_judge(&run->configs[kind], &run->states[kind], sample, &run->statistics);
        put_verdict(&v, &w);
        if (states)
            ops->save(&run->states[kind], &w);
    }
    statistics_push(&run->statistics, sample->event_time_ms, sample->value);
    if (states)
        statistics_save(&run->statistics, &w);
    assert_false(w.failed);
    hash_add(hash, bytes, w.used);
}

static void assert_digest(struct hash_state *hash, struct hash128 expected)
{
    struct hash128 digest = hash_end128(hash);
    printf("# digest %016" PRIx64 "%016" PRIx64 "\n", digest.high, digest.low);
    assert_true(digest.low == expected.low && digest.high == expected.high);
}

/* --- seeded --- */

/* Series `kind`: noise, and what makes it hard. */
static double seeded_value(uint32_t kind, uint32_t at, double last, uint64_t *chance)
{
    double noise = rnd_normal(chance);
    switch (kind % 8) {
    case 0: return 50 + noise;
    case 1: return last + noise;                                    /* a random walk */
    case 2: return (double)(int64_t)(20 + noise);                   /* coarse */
    case 3: return at % 400 < 100 ? last : 50 + noise;              /* stuck now and then */
    case 4: return 50 + noise + (at / 300 % 2 == 0 ? 0 : 8);        /* steps */
    case 5: return rnd(chance) % 100 == 0 ? 50 + 30 * noise : 50 + noise; /* spikes */
    case 6: return noise * (rnd(chance) % 50 == 0 ? 1e139 : 1e-30); /* huge and tiny */
    default: return at < 500 ? 7 : 7 + noise * at / 1000;           /* flat, then widening */
    }
}

static void seeded_series_give_the_same_bits(void **state)
{
    (void)state;
    struct hash_state hash;
    hash_begin(&hash, (struct hash_key){ 1, 2 }, 1);
    uint64_t chance = 1;
    for (uint32_t i = 0; i < SEEDED_SERIES; i++) {
        struct run run;
        run_init(&run);
        struct sample sample = { 1600000000000, 50 };
        for (uint32_t at = 0; at < SEEDED_READINGS; at++) {
            bool gap = rnd(&chance) % 500 == 0;
            sample.event_time_ms += gap ? 86400000 : 100 + (int64_t)(rnd(&chance) % 3000);
            sample.value = seeded_value(i, at, sample.value, &chance);
            run_reading(&run, &sample, &hash);
        }
    }
    assert_digest(&hash, SEEDED);
}

/* --- real --- */

struct real {
    struct hash_state hash;
    uint64_t readings;
};

static void hash_file(void *ctx, const char *path, const char *name)
{
    struct real *real = ctx;
    FILE *file = fopen(path, "r");
    (void)name;
    assert_non_null(file);
    struct run run;
    run_init(&run);
    int64_t last_ms = 0;
    struct sample sample;
    while (series_next(file, &last_ms, &sample))
        run_reading(&run, &sample, &real->hash);
    real->readings += run.statistics.count;
    fclose(file);
}

static void real_series_give_the_same_bits(void **state)
{
    (void)state;
    char folder[SERIES_PATH_BYTES];
    series_folder(folder);
    struct real real = { .readings = 0 };
    hash_begin(&real.hash, (struct hash_key){ 1, 2 }, 1);
    series_each(folder, SERIES_DEPTH_MAX, hash_file, &real);
    if (real.readings == 0)
        skip();
    printf("# %" PRIu64 " readings\n", real.readings);
    assert_digest(&real.hash, REAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeded_series_give_the_same_bits),
        cmocka_unit_test(real_series_give_the_same_bits),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
