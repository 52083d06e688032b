#include "pipeline/window.h"

#include <assert.h>
#include <stddef.h>

#include "pipeline/err.h"
#include "pipeline/reading.h"

void aggregate_push(struct aggregate *a, int64_t event_time_ms, double value)
{
    assert(value >= -READING_NUMBER_MAX && value <= READING_NUMBER_MAX);
    if (a->count == 0) {
        *a = (struct aggregate){ .count = 1, .mean = value, .min = value, .max = value,
                                 .first = value, .last = value,
                                 .first_ms = event_time_ms, .last_ms = event_time_ms };
        return;
    }
    a->count++;
    double step = value - a->mean;
    a->mean += step / (double)a->count;
    a->m2 += step * (value - a->mean);
    if (value < a->min)
        a->min = value;
    if (value > a->max)
        a->max = value;
    if (event_time_ms < a->first_ms) {
        a->first_ms = event_time_ms;
        a->first = value;
    }
    if (event_time_ms >= a->last_ms) {
        a->last_ms = event_time_ms;
        a->last = value;
    }
}

void windows_init(struct windows *w, struct window *slots, const struct window_config *config)
{
    assert(slots != NULL);
    assert(config->size_ms > 0 && config->lateness_ms >= 0 && config->slots >= 2);
    *w = (struct windows){ .slots = slots, .floor_ms = INT64_MIN };
    for (uint32_t i = 0; i < config->slots; i++)
        slots[i] = (struct window){ 0 };
}

static int64_t start_of(int64_t event_time_ms, int64_t size_ms)
{
    int64_t rest = event_time_ms % size_ms;
    return event_time_ms - (rest < 0 ? rest + size_ms : rest);
}

static bool is_closed(int64_t start_ms, const struct window_config *config, int64_t watermark_ms)
{
    return start_ms + config->size_ms + config->lateness_ms <= watermark_ms;
}

/* The slot that holds the window which starts then, else a free one, else NULL; *oldest is the open
 * window that starts first. */
static struct window *find_slot(const struct windows *w, uint32_t slots, int64_t start_ms,
                                struct window **oldest)
{
    struct window *vacant = NULL;
    *oldest = NULL;
    for (uint32_t i = 0; i < slots; i++) {
        struct window *slot = &w->slots[i];
        if (!slot->open)
            vacant = vacant == NULL ? slot : vacant;
        else if (slot->start_ms == start_ms)
            return slot;
        else if (*oldest == NULL || slot->start_ms < (*oldest)->start_ms)
            *oldest = slot;
    }
    return vacant;
}

int windows_push(struct windows *w, const struct window_config *config, int64_t watermark_ms,
                 int64_t event_time_ms, double value, uint64_t block, struct window *forced)
{
    assert(event_time_ms > -TIME_MS_MAX && event_time_ms < TIME_MS_MAX);
    int64_t start_ms = start_of(event_time_ms, config->size_ms);
    forced->open = false;
    if (start_ms < w->floor_ms || is_closed(start_ms, config, watermark_ms))
        return WEIR_ELATE;
    struct window *oldest;
    struct window *slot = find_slot(w, config->slots, start_ms, &oldest);
    if (slot == NULL) {
        if (start_ms < oldest->start_ms)
            return WEIR_EFULL;
        *forced = *oldest;
        w->forced++;
        w->floor_ms = oldest->start_ms + config->size_ms;
        oldest->open = false;
        slot = oldest;
    }
    if (!slot->open)
        *slot = (struct window){ .start_ms = start_ms, .open = true, .first_block = block };
    aggregate_push(&slot->aggregate, event_time_ms, value);
    slot->dirty = true;
    return 0;
}

bool windows_due(struct windows *w, const struct window_config *config, int64_t watermark_ms,
                 struct window *due)
{
    struct window *next = NULL;
    for (uint32_t i = 0; i < config->slots; i++) {
        struct window *slot = &w->slots[i];
        if (!slot->open || slot->start_ms + config->size_ms > watermark_ms)
            continue;
        if (slot->dirty)
            next = next == NULL || slot->start_ms < next->start_ms ? slot : next;
        else if (is_closed(slot->start_ms, config, watermark_ms))
            slot->open = false;
    }
    if (next == NULL)
        return false;
    next->fired = true;
    next->dirty = false;
    *due = *next;
    next->revision++;
    if (is_closed(next->start_ms, config, watermark_ms))
        next->open = false;
    return true;
}

int64_t windows_end(const struct windows *w, const struct window_config *config)
{
    int64_t end_ms = INT64_MIN;
    for (uint32_t i = 0; i < config->slots; i++)
        if (w->slots[i].open && w->slots[i].start_ms + config->size_ms > end_ms)
            end_ms = w->slots[i].start_ms + config->size_ms;
    return end_ms;
}

static void aggregate_save(const struct aggregate *a, struct byte_writer *out)
{
    put_u64(out, a->count);
    put_f64(out, a->mean);
    put_f64(out, a->m2);
    put_f64(out, a->min);
    put_f64(out, a->max);
    put_f64(out, a->first);
    put_f64(out, a->last);
    put_i64(out, a->first_ms);
    put_i64(out, a->last_ms);
}

static void aggregate_load(struct aggregate *a, struct byte_reader *in)
{
    a->count = get_u64(in);
    a->mean = get_measure(in);
    a->m2 = get_f64(in);
    a->min = get_measure(in);
    a->max = get_measure(in);
    a->first = get_measure(in);
    a->last = get_measure(in);
    a->first_ms = get_time(in);
    a->last_ms = get_time(in);
    if (a->count == 0 || !(a->m2 >= 0.0 && a->m2 <= 1e300) || a->first_ms > a->last_ms)
        in->failed = true;
}

/* Open windows stand in order of start, not of slot: two states that will say the same are saved
 * the same. */
void windows_save(const struct windows *w, const struct window_config *config,
                  struct byte_writer *out)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < config->slots; i++)
        open += w->slots[i].open;
    put_u32(out, open);
    put_u32(out, w->forced);
    put_i64(out, w->floor_ms);
    int64_t after_ms = INT64_MIN;
    for (uint32_t n = 0; n < open; n++) {
        const struct window *next = NULL;
        for (uint32_t i = 0; i < config->slots; i++) {
            const struct window *slot = &w->slots[i];
            if (slot->open && slot->start_ms > after_ms &&
                (next == NULL || slot->start_ms < next->start_ms))
                next = slot;
        }
        assert(next != NULL);
        after_ms = next->start_ms;
        put_i64(out, next->start_ms);
        put_u32(out, next->revision);
        put_bool(out, next->fired);
        put_bool(out, next->dirty);
        put_u64(out, next->first_block);
        aggregate_save(&next->aggregate, out);
    }
}

void windows_load(struct windows *w, const struct window_config *config, struct byte_reader *in)
{
    uint32_t open = get_u32(in);
    w->forced = get_u32(in);
    w->floor_ms = get_i64(in);
    if (open > config->slots)
        in->failed = true;
    int64_t after_ms = INT64_MIN;
    for (uint32_t i = 0; i < open && !in->failed; i++) {
        struct window *slot = &w->slots[i];
        *slot = (struct window){ .open = true };
        slot->start_ms = get_time(in);
        slot->revision = get_u32(in);
        slot->fired = get_bool(in);
        slot->dirty = get_bool(in);
        slot->first_block = get_u64(in);
        aggregate_load(&slot->aggregate, in);
        if (slot->start_ms <= after_ms || slot->start_ms % config->size_ms != 0)
            in->failed = true;
        after_ms = slot->start_ms;
    }
}
