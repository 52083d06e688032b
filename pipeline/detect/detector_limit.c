/* limit: a value above `high` or below `low` is anomalous until it is back inside by `hysteresis`.
 * Score: how far beyond the limit, in the metric's unit (threshold 0). Judges from the first
 * reading on: it needs no history. */
#include <assert.h>
#include <stddef.h>

#include "pipeline/detect/detector_kinds.h"

enum side { SIDE_INSIDE, SIDE_HIGH, SIDE_LOW };

struct limit {
    uint8_t side; /* where the last reading left it */
};

DETECTOR_STATE_FITS(struct limit);

static enum side side_of(const struct detector_config *config, enum side before, double value)
{
    double high_end = before == SIDE_HIGH ? config->high - config->hysteresis : config->high;
    double low_end = before == SIDE_LOW ? config->low + config->hysteresis : config->low;
    if (config->has_high && value > high_end)
        return SIDE_HIGH;
    if (config->has_low && value < low_end)
        return SIDE_LOW;
    return SIDE_INSIDE;
}

static double beyond(const struct detector_config *config, enum side side, double value)
{
    double by = side == SIDE_HIGH  ? value - config->high
                : side == SIDE_LOW ? config->low - value
                                   : 0;
    return by > 0 ? by : 0; /* within the hysteresis: anomalous still, but beyond nothing */
}

static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    const struct detector_config *config = in->config;
    double value = in->sample->value;
    struct limit limit;
    memcpy(&limit, state, sizeof limit);
    enum side side = side_of(config, (enum side)limit.side, value);
    limit.side = (uint8_t)side;
    memcpy(state, &limit, sizeof limit);
    if (side == SIDE_INSIDE && !in->asked)
        return false;
    *verdict = (struct verdict){
        .known = config->has_low || config->has_high,
        .anomalous = side != SIDE_INSIDE,
        .observed = value,
        .low = config->has_low ? config->low : -READING_NUMBER_MAX,
        .high = config->has_high ? config->high : READING_NUMBER_MAX,
        .score = beyond(config, side, value),
    };
    return verdict->anomalous;
}

static void save(const void *state, struct byte_writer *w)
{
    struct limit limit;
    memcpy(&limit, state, sizeof limit);
    put_u8(w, limit.side);
}

static void load(void *state, struct byte_reader *r)
{
    struct limit limit = { get_u8(r) };
    if (limit.side > SIDE_LOW)
        r->failed = true;
    memcpy(state, &limit, sizeof limit);
}

const struct detector_kind_ops detector_limit = {
    .name = "limit",
    .state_bytes = sizeof(struct limit),
    .on_reading = on_reading,
    .save = save,
    .load = load,
};
