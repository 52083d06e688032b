/* How the baseline's state is saved and loaded. */
#include "pipeline/detect/baseline.h"

enum { SINGLES = 16 };

static void spread_save(const struct baseline_spread *s, struct byte_writer *w)
{
    put_f32(w, s->mean);
    put_f32(w, s->variance);
}

static void spread_load(struct baseline_spread *s, struct byte_reader *r)
{
    s->mean = get_f32_within(r, -STATISTIC_MAX, STATISTIC_MAX);
    s->variance = get_f32_within(r, 0, STATISTIC_MAX * STATISTIC_MAX);
}

void baseline_save(const struct baseline *b, struct byte_writer *w)
{
    const float singles[SINGLES] = {
        b->interval_s, b->counts, b->level,  b->error,       b->error_max, b->error_mean,
        b->highest,    b->lowest, b->above,  b->below,       b->budget,    b->pattern_max,
        b->last[0],    b->last[1], b->jump_max, b->jump_mean
    };
    season_save(&b->season, w);
    for (int i = 0; i < SINGLES; i++)
        put_f32(w, singles[i]);
    spread_save(&b->errors, w);
    spread_save(&b->values, w);
    spread_save(&b->sum, w);
    put_u16(w, b->quiet);
    put_u16(w, b->quiet_max);
    put_u16(w, b->age);
    put_u8(w, b->age_known);
    put_u8(w, b->latch);
    put_u8(w, b->far);
    put_u8(w, b->reason);
}

void baseline_load(struct baseline *b, struct byte_reader *r)
{
    float *const singles[SINGLES] = {
        &b->interval_s, &b->counts,  &b->level,    &b->error, &b->error_max, &b->error_mean,
        &b->highest,    &b->lowest,  &b->above,    &b->below, &b->budget,    &b->pattern_max,
        &b->last[0],    &b->last[1], &b->jump_max, &b->jump_mean
    };
    season_load(&b->season, r);
    for (int i = 0; i < SINGLES; i++)
        *singles[i] = get_f32_within(r, -STATISTIC_MAX, STATISTIC_MAX);
    spread_load(&b->errors, r);
    spread_load(&b->values, r);
    spread_load(&b->sum, r);
    b->quiet = get_u16(r);
    b->quiet_max = get_u16(r);
    b->age = get_u16(r);
    b->age_known = get_u8(r);
    b->latch = get_u8(r);
    b->far = get_u8(r);
    b->reason = get_u8(r);
    bool new = b->age == 0;
    if (b->interval_s < 0 || b->counts > 1 || (!new && b->counts < BASELINE_COUNTS_LEAST) ||
        b->error_max < 0 || b->above < 0 || b->below < 0 || b->budget < 0 || b->jump_max < 0 ||
        b->pattern_max < 0 || b->age > BASELINE_AGE_MAX ||
        b->latch > BASELINE_LATCH + 1 || b->far > 2 ||
        b->reason >= REASONS)
        r->failed = true;
}
