#include "pipeline/alerts/flood.h"

#include <assert.h>

enum { PLACES = FLOOD_INCIDENTS_MAX + 1 };

/* t of the n-th last, 1 the newest; INT64_MIN: there were not so many. */
static int64_t nth_last(const struct flood *f, uint32_t nth)
{
    if (nth > f->count)
        return INT64_MIN;
    return f->incidents_ms[(f->next + PLACES - nth) % PLACES];
}

void flood_add(struct flood *f, const struct flood_config *config, int64_t t_ms)
{
    assert(config->most <= FLOOD_INCIDENTS_MAX);
    f->incidents_ms[f->next] = t_ms;
    f->next = (f->next + 1) % PLACES;
    f->count += f->count < PLACES;
    if (f->on) {
        f->came += f->came < UINT32_MAX;
        return;
    }
    int64_t first_ms = nth_last(f, config->most + 1);
    if (config->most == 0 || first_ms == INT64_MIN || t_ms - first_ms > config->span_ms)
        return;
    f->on = true;
    f->since_ms = t_ms;
    f->came = config->most + 1;
}

int64_t flood_end_ms(const struct flood *f, const struct flood_config *config)
{
    if (!f->on)
        return INT64_MAX;
    uint32_t half = (config->most + 1) / 2;
    int64_t half_ms = half > 0 ? nth_last(f, half) : INT64_MIN;
    int64_t end_ms = half_ms != INT64_MIN ? half_ms + config->span_ms + 1 : f->since_ms;
    return end_ms > f->since_ms ? end_ms : f->since_ms;
}

void flood_end(struct flood *f)
{
    assert(f->on);
    f->on = false;
}

void flood_save(const struct flood *f, struct byte_writer *w)
{
    for (int i = 0; i < PLACES; i++)
        put_i64(w, f->incidents_ms[i]);
    put_u32(w, f->count);
    put_u32(w, f->next);
    put_bool(w, f->on);
    put_i64(w, f->since_ms);
    put_u32(w, f->came);
}

void flood_load(struct flood *f, struct byte_reader *r)
{
    for (int i = 0; i < PLACES; i++)
        f->incidents_ms[i] = get_time(r);
    f->count = get_u32(r);
    f->next = get_u32(r);
    f->on = get_bool(r);
    f->since_ms = get_time(r);
    f->came = get_u32(r);
    if (f->count > PLACES || f->next >= PLACES || (f->count < PLACES && f->next != f->count))
        r->failed = true;
}
