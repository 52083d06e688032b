/* missing: of the readings that an hour usually brings, more than a fifth did not come, and more
 * than its hours differ by themselves (three deviations). Anomalous from the first reading after
 * such an hour until the first after one that was whole again. A device that says nothing at all
 * is `silent`'s: an hour that ends in silence of more than an hour, and the one that ends the
 * silence, are passed over.
 *
 * Score: the share that is missing; threshold: the least that is too much; both in percent. Hours
 * are those of event time. Usual is the mean of a day of hours, HOURS_KNOWN at least. A faulty hour
 * teaches it no more than the least that would have been usual, and nothing about how hours differ:
 * a fault is told for as long as it lasts; but a device that was set to half its rate is usual
 * again after two days. */
#include <assert.h>
#include <math.h>
#include <stddef.h>

#include "pipeline/detect/detector_kinds.h"

enum { HOURS_KNOWN = 6, HOURS_KEPT = 24 };

static const int64_t HOUR_MS = 3600000;
static const float LEAST_SHARE = 0.8f;
static const float DEVIATIONS = 3;

struct missing {
    uint32_t hour;          /* the present one, of event time, counted from 1970, modulo 2^32 */
    uint32_t count;         /* readings in it so far; 0: the series is new */
    float usual, variance;  /* readings of an hour */
    float last, least;      /* readings of the hour judged last; what would have been enough, */
    float wanted;           /* and what was usual then */
    uint8_t hours;          /* that `usual` stands on; stops at HOURS_KEPT */
    bool in_part;           /* the present hour was not heard from its beginning on */
    bool anomalous;
};

DETECTOR_STATE_FITS(struct missing);

static void judge_hour(struct missing *m)
{
    float by_habit = m->usual - DEVIATIONS * (float)sqrt((double)m->variance);
    float by_share = LEAST_SHARE * m->usual;
    m->last = (float)m->count;
    m->least = by_share < by_habit ? by_share : by_habit;
    m->least = m->least > 0 ? m->least : 0;
    m->wanted = m->usual;
    m->anomalous = m->hours >= HOURS_KNOWN && m->last < m->least;
}

static void learn_hour(struct missing *m)
{
    float step = (m->anomalous ? m->least : m->last) - m->usual;
    if (m->hours < HOURS_KEPT)
        m->hours++;
    float weight = 1 / (float)m->hours;
    m->usual += weight * step;
    if (!m->anomalous)
        m->variance = (1 - weight) * (m->variance + weight * step * step);
}

/* Of the hour judged last that was missing, in percent; and where that is too much. */
static float share(const struct missing *m)
{
    return m->last < m->wanted ? 100 * (1 - m->last / m->wanted) : 0;
}

static float share_max(const struct missing *m)
{
    return m->hours == 0 ? 0 : m->wanted > 0 ? 100 * (1 - m->least / m->wanted) : 100;
}

static uint32_t hour_of(int64_t time_ms)
{
    return (uint32_t)((time_ms >= 0 ? time_ms : time_ms - HOUR_MS + 1) / HOUR_MS);
}

static void begin_hour(struct missing *m, uint32_t hour)
{
    bool in_row = hour == m->hour + 1;
    if (in_row && !m->in_part) {
        judge_hour(m);
        learn_hour(m);
    }
    m->in_part = !in_row;
    m->hour = hour;
    m->count = 0;
}

static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    struct missing *m = state;
    uint32_t hour = hour_of(in->sample->event_time_ms);
    if (m->count == 0) {
        m->hour = hour;
        m->in_part = true;
    } else if (hour != m->hour) {
        begin_hour(m, hour);
    }
    if (m->count < UINT32_MAX)
        m->count++;
    if (!m->anomalous && !in->asked)
        return false;
    *verdict = (struct verdict){
        .known = m->hours >= HOURS_KNOWN,
        .anomalous = m->anomalous,
        .observed = (double)m->last,
        .low = (double)m->least,
        .high = READING_NUMBER_MAX,
        .score = (double)share(m),
        .threshold = (double)share_max(m),
    };
    return m->anomalous;
}

static void save(const void *state, struct byte_writer *w)
{
    struct missing m;
    memcpy(&m, state, sizeof m);
    put_u32(w, m.hour);
    put_u32(w, m.count);
    const float all[] = { m.usual, m.variance, m.last, m.least, m.wanted };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        put_f32(w, all[i]);
    put_u8(w, m.hours);
    put_bool(w, m.in_part);
    put_bool(w, m.anomalous);
}

static float get_positive(struct byte_reader *r)
{
    float value = get_f32(r);
    if (value >= 0 && value <= 1e20f)
        return value;
    r->failed = true; /* also of a NaN */
    return 0;
}

static void load(void *state, struct byte_reader *r)
{
    struct missing m;
    memset(&m, 0, sizeof m);
    m.hour = get_u32(r);
    m.count = get_u32(r);
    float *all[] = { &m.usual, &m.variance, &m.last, &m.least, &m.wanted };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        *all[i] = get_positive(r);
    m.hours = get_u8(r);
    m.in_part = get_bool(r);
    m.anomalous = get_bool(r);
    if (m.hours > HOURS_KEPT)
        r->failed = true;
    memcpy(state, &m, sizeof m);
}

const struct detector_kind_ops detector_missing = {
    .name = "missing",
    .state_bytes = sizeof(struct missing),
    .learns = true,
    .on_reading = on_reading,
    .save = save,
    .load = load,
};
