#include "pipeline/detect/manner.h"

#include <math.h>
#include <stdbool.h>

static const float MEMORY = 10;
static const float ERRORS_MAX = 10;  /* of the usual size, of one error */
static const float EVEN = 0.4f;      /* of the size, of the mean: ten of even chance have 0.3 */

static float clip(float value, float most)
{
    return value > most ? most : value < -most ? -most : value;
}

void manner_take(struct manner *m, float error, float usual)
{
    float believed = usual > 0 ? clip(error, ERRORS_MAX * usual) : 0;
    m->lean += (believed - m->lean) / MEMORY;
    m->size += (fabsf(believed) - m->size) / MEMORY;
    int side = error > usual ? 1 : error < -usual ? -1 : 0;
    int aside = side * m->aside > 0 ? m->aside + side : side;
    m->aside = (int8_t)(aside > MANNER_SHIFT    ? MANNER_SHIFT
                        : aside < -MANNER_SHIFT ? -MANNER_SHIFT
                                                : aside);
}

enum reason manner_reason(const struct manner *m, enum reason reason)
{
    bool shifted = m->aside == MANNER_SHIFT || m->aside == -MANNER_SHIFT;
    bool even = fabsf(m->lean) < EVEN * m->size;
    switch (reason) {
    case REASON_PATTERN:
        return shifted ? REASON_SHIFT : even ? REASON_NOISE_UP : reason;
    case REASON_SPIKE:
    case REASON_HIGH:
    case REASON_LOW:
        return shifted ? REASON_SHIFT : reason;
    default:
        return reason;
    }
}

void manner_save(const struct manner *m, struct byte_writer *w)
{
    put_f32(w, m->lean);
    put_f32(w, m->size);
    put_u8(w, (uint8_t)(m->aside + MANNER_SHIFT));
}

void manner_load(struct manner *m, struct byte_reader *r)
{
    m->lean = get_f32_within(r, -STATISTIC_MAX, STATISTIC_MAX);
    m->size = get_f32_within(r, 0, STATISTIC_MAX);
    uint8_t aside = get_u8(r);
    if (aside > 2 * MANNER_SHIFT)
        r->failed = true;
    m->aside = r->failed ? 0 : (int8_t)(aside - MANNER_SHIFT);
}
