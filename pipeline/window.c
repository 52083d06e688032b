#include "pipeline/window.h"

#include <assert.h>
#include <string.h>

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

/* --- slots --- */

static struct aggregate aggregate_of(const struct window_slot *slot)
{
    return (struct aggregate){ .count = slot->count,
                               .mean = slot->mean,
                               .m2 = slot->m2,
                               .min = slot->min,
                               .max = slot->max,
                               .first = slot->first,
                               .last = slot->last,
                               .first_ms = slot->start_ms + slot->first_after_ms,
                               .last_ms = slot->start_ms + slot->last_after_ms };
}

static void keep(struct window_slot *slot, const struct aggregate *a)
{
    slot->count = (uint32_t)a->count;
    slot->mean = a->mean;
    slot->m2 = a->m2;
    slot->min = a->min;
    slot->max = a->max;
    slot->first = a->first;
    slot->last = a->last;
    slot->first_after_ms = (uint32_t)(a->first_ms - slot->start_ms);
    slot->last_after_ms = (uint32_t)(a->last_ms - slot->start_ms);
}

static struct window window_of(const struct window_slot *slot)
{
    return (struct window){ .start_ms = slot->start_ms,
                            .revision = slot->revision,
                            .open = true,
                            .dirty = slot->dirty,
                            .first_block = slot->first_block,
                            .aggregate = aggregate_of(slot) };
}

static bool is_open(const struct window_slot *slot)
{
    return slot->count > 0;
}

size_t windows_bytes(const struct window_config *config)
{
    return sizeof(struct windows) + config->slots * sizeof(struct window_slot);
}

void windows_init(struct windows *w, const struct window_config *config)
{
    assert(config->size_ms > 0 && config->size_ms <= UINT32_MAX);
    assert(config->lateness_ms >= 0 && config->slots >= 2);
    w->floor_ms = INT64_MIN;
    memset(w->slots, 0, config->slots * sizeof w->slots[0]);
}

int64_t window_start(int64_t event_time_ms, int64_t size_ms)
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
static struct window_slot *find_slot(struct windows *w, uint32_t slots, int64_t start_ms,
                                     struct window_slot **oldest)
{
    struct window_slot *vacant = NULL;
    *oldest = NULL;
    for (uint32_t i = 0; i < slots; i++) {
        struct window_slot *slot = &w->slots[i];
        if (!is_open(slot))
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
    int64_t start_ms = window_start(event_time_ms, config->size_ms);
    forced->open = false;
    if (start_ms < w->floor_ms || is_closed(start_ms, config, watermark_ms))
        return WEIR_ELATE;
    struct window_slot *oldest;
    struct window_slot *slot = find_slot(w, config->slots, start_ms, &oldest);
    if (slot == NULL) {
        if (start_ms < oldest->start_ms)
            return WEIR_EFULL;
        *forced = window_of(oldest);
        w->floor_ms = oldest->start_ms + config->size_ms;
        oldest->count = 0;
        slot = oldest;
    }
    if (slot->count == UINT32_MAX)
        return WEIR_ELATE;
    if (!is_open(slot))
        *slot = (struct window_slot){ .start_ms = start_ms, .first_block = block };
    struct aggregate aggregate = aggregate_of(slot);
    aggregate_push(&aggregate, event_time_ms, value);
    keep(slot, &aggregate);
    slot->dirty = true;
    return 0;
}

bool windows_due(struct windows *w, const struct window_config *config, int64_t watermark_ms,
                 struct window *due)
{
    struct window_slot *next = NULL;
    for (uint32_t i = 0; i < config->slots; i++) {
        struct window_slot *slot = &w->slots[i];
        if (!is_open(slot) || slot->start_ms + config->size_ms > watermark_ms)
            continue;
        if (slot->dirty)
            next = next == NULL || slot->start_ms < next->start_ms ? slot : next;
        else if (is_closed(slot->start_ms, config, watermark_ms))
            slot->count = 0;
    }
    if (next == NULL)
        return false;
    next->dirty = false;
    *due = window_of(next);
    next->revision++;
    if (is_closed(next->start_ms, config, watermark_ms))
        next->count = 0;
    return true;
}

int64_t windows_end(const struct windows *w, const struct window_config *config)
{
    int64_t end_ms = INT64_MIN;
    for (uint32_t i = 0; i < config->slots; i++)
        if (is_open(&w->slots[i]) && w->slots[i].start_ms + config->size_ms > end_ms)
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
    if (a->count == 0 || a->count > UINT32_MAX || !(a->m2 >= 0.0 && a->m2 <= 1e300) ||
        a->first_ms > a->last_ms)
        in->failed = true;
}

/* Open windows stand in order of start, not of slot: two states that will say the same are saved
 * the same. */
void windows_save(const struct windows *w, const struct window_config *config,
                  struct byte_writer *out)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < config->slots; i++)
        open += is_open(&w->slots[i]);
    put_u32(out, open);
    put_i64(out, w->floor_ms);
    int64_t after_ms = INT64_MIN;
    for (uint32_t n = 0; n < open; n++) {
        const struct window_slot *next = NULL;
        for (uint32_t i = 0; i < config->slots; i++) {
            const struct window_slot *slot = &w->slots[i];
            if (is_open(slot) && slot->start_ms > after_ms &&
                (next == NULL || slot->start_ms < next->start_ms))
                next = slot;
        }
        assert(next != NULL);
        after_ms = next->start_ms;
        struct aggregate aggregate = aggregate_of(next);
        put_i64(out, next->start_ms);
        put_u32(out, next->revision);
        put_bool(out, next->dirty);
        put_u64(out, next->first_block);
        aggregate_save(&aggregate, out);
    }
}

static void load_slot(struct window_slot *slot, const struct window_config *config,
                      struct byte_reader *in)
{
    struct aggregate aggregate;
    slot->start_ms = get_time(in);
    uint32_t revision = get_u32(in);
    slot->revision = revision & INT32_MAX;
    slot->dirty = get_bool(in);
    slot->first_block = get_u64(in);
    aggregate_load(&aggregate, in);
    if (revision > INT32_MAX || slot->start_ms % config->size_ms != 0 ||
        aggregate.first_ms < slot->start_ms ||
        aggregate.last_ms >= slot->start_ms + config->size_ms)
        in->failed = true;
    else
        keep(slot, &aggregate);
}

void windows_load(struct windows *w, const struct window_config *config, struct byte_reader *in)
{
    uint32_t open = get_u32(in);
    w->floor_ms = get_i64(in);
    if (open > config->slots)
        in->failed = true;
    int64_t after_ms = INT64_MIN;
    for (uint32_t i = 0; i < open && !in->failed; i++) {
        load_slot(&w->slots[i], config, in);
        if (w->slots[i].start_ms <= after_ms)
            in->failed = true;
        after_ms = w->slots[i].start_ms;
    }
    if (in->failed)
        windows_init(w, config);
}
