/* shift: the level moved and stays moved. Two-sided CUSUM (Page 1954) over residuals against a line
 * that learns slowly (trend.h):
 *
 *   z = residual in spreads, within +-CLIP      u = z / g,  g = sqrt((1 + rho) / (1 - rho))
 *   up = max(0, up + u - k)   down = max(0, down - u - k)     anomalous: max(up, down) >= h
 *
 * CLIP, so that one spike adds no more than CLIP - k: h / (CLIP - k) readings in a row are needed.
 * g, because residuals that follow one another (rho: their correlation from one to the next,
 * measured here) add up to sums that spread g times as wide as those of independent ones. Without
 * it healthy noise with rho = 0.8 gives 105 false alarms in 100,000 readings (with it 0).
 *
 * While anomalous the line learns nothing, so a shift cannot become the trend and clear itself;
 * after HELD_MAX readings it is the new level: the line begins again there, and the anomaly ends.
 * The sums stop at CAP * h, so that an anomaly ends soon after the level has come back. */
#include <assert.h>
#include <math.h>
#include <stddef.h>

#include "pipeline/detect/trend.h"
#include "pipeline/detect/detector_kinds.h"

static const struct trend_memory MEMORY = { .line = 100, .variance = 400 };

static const double CLIP = 4;         /* spreads */
static const double CAP = 1.5;        /* of the sums, in thresholds */
static const double CORRELATION_MAX = 0.95;
static const double CORRELATION_CLIP = 2; /* spreads: a shift that begins must not look like one */

enum {
    READINGS_KNOWN = 30, /* residuals before anything is said */
    HELD_MAX = 300,      /* readings after which a new level is accepted */
    AWAY_INTERVALS = 400 /* four memories of the line */
};

struct shift {
    struct trend trend;
    float up, down;      /* the two sums, in spreads */
    float correlation;   /* of one residual with the next */
    float previous;      /* the last residual, in spreads */
};

DETECTOR_STATE_FITS(struct shift);

static double clip(double value, double most)
{
    return value > most ? most : value < -most ? -most : value;
}

/* How much wider than independent residuals' the sum of these spreads. */
static double widening(const struct shift *shift)
{
    double rho = shift->correlation;
    rho = rho < 0 ? 0 : rho > CORRELATION_MAX ? CORRELATION_MAX : rho;
    return sqrt((1 + rho) / (1 - rho));
}

static double sum_of(double sum, double step, double most)
{
    double next = sum + step;
    return next < 0 ? 0 : next > most ? most : next;
}

static void learn(struct shift *shift, struct trend_step step, const struct deviation *d)
{
    double z = clip(d->spreads, CORRELATION_CLIP);
    if (d->spread > 0 && shift->trend.steps > 0) {
        double error = z * (double)shift->previous - (double)shift->correlation;
        shift->correlation = (float)((double)shift->correlation + error / shift->trend.steps);
        shift->previous = (float)z;
    }
    assert(fabs((double)shift->correlation) <= CORRELATION_CLIP * CORRELATION_CLIP);
    trend_learn(&shift->trend, MEMORY, step, d);
}

static void begin_again(struct shift *shift, struct trend_step step)
{
    trend_restart(&shift->trend, step);
    shift->up = 0;
    shift->down = 0;
}

static void hold(struct shift *shift, struct trend_step step)
{
    if (shift->trend.passed < HELD_MAX)
        trend_pass(&shift->trend, step);
    else
        begin_again(shift, step);
}

static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    const struct detector_config *config = in->config;
    const struct sample *sample = in->sample;
    const struct statistics *before = in->before;
    const struct trend_step step = { sample->value, before->last };
    struct shift shift;
    memcpy(&shift, state, sizeof shift);
    if (detector_was_away(before, sample, AWAY_INTERVALS))
        begin_again(&shift, step);
    struct deviation d = trend_judge(&shift.trend, sample->value);
    *verdict = (struct verdict){
        .known = trend_knows(&shift.trend, READINGS_KNOWN) && d.spread > 0,
        .observed = sample->value,
        .low = 1,
        .threshold = config->threshold,
    };
    if (verdict->known) {
        double g = widening(&shift);
        double u = clip(d.spreads, CLIP) / g;
        double most = CAP * config->threshold;
        double reach = (config->drift * g) * d.spread;
        shift.up = (float)sum_of((double)shift.up, u - config->drift, most);
        shift.down = (float)sum_of((double)shift.down, -u - config->drift, most);
        verdict->low = d.expected - reach;
        verdict->high = d.expected + reach;
        verdict->score = (double)(shift.up > shift.down ? shift.up : shift.down);
        verdict->anomalous = verdict->score >= config->threshold;
    }
    if (verdict->anomalous)
        hold(&shift, step);
    else
        learn(&shift, step, &d);
    memcpy(state, &shift, sizeof shift);
    return verdict->anomalous;
}

static void save(const void *state, struct byte_writer *w)
{
    struct shift shift;
    memcpy(&shift, state, sizeof shift);
    trend_save(&shift.trend, w);
    put_f32(w, shift.up);
    put_f32(w, shift.down);
    put_f32(w, shift.correlation);
    put_f32(w, shift.previous);
}

static float get_finite_f32(struct byte_reader *r)
{
    float value = get_f32(r);
    if (value - value == 0)
        return value;
    r->failed = true;
    return 0;
}

static void load(void *state, struct byte_reader *r)
{
    struct shift shift;
    memset(&shift, 0, sizeof shift);
    trend_load(&shift.trend, r);
    shift.up = get_finite_f32(r);
    shift.down = get_finite_f32(r);
    shift.correlation = get_finite_f32(r);
    shift.previous = get_finite_f32(r);
    memcpy(state, &shift, sizeof shift);
}

const struct detector_kind_ops detector_shift = {
    .name = "shift",
    .state_bytes = sizeof(struct shift),
    .learns = true,
    .on_reading = on_reading,
    .save = save,
    .load = load,
};
