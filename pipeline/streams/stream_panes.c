/* Tumbling and hopping windows of one key: a ring of panes, and windows that are panes merged. */
#include <assert.h>

#include "pipeline/streams/streams_state.h"

static size_t bytes_of(const struct stream_plan *plan)
{
    return sizeof(struct panes) + (size_t)plan->panes * plan->pane_bytes;
}

static void panes_begin(const struct stream *s, struct entry *e)
{
    *entry_panes(s, e) = (struct panes){ 0 };
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The first multiple of a slide that is not before. */
static int64_t window_from(const struct stream_plan *plan, int64_t pane)
{
    return -floor_divide(-pane, plan->slide_panes) * plan->slide_panes;
}

static uint32_t place_of(const struct stream_plan *plan, int64_t number)
{
    int64_t place = number % plan->panes;
    return (uint32_t)(place < 0 ? place + plan->panes : place);
}

static struct pane *pane_in(const struct stream_plan *plan, struct panes *p, uint32_t place)
{
    return (struct pane *)((uint8_t *)(p + 1) + (size_t)place * plan->pane_bytes);
}

static struct pane *pane_at(const struct stream_plan *plan, struct panes *p, int64_t number)
{
    return pane_in(plan, p, place_of(plan, number));
}

static uint8_t *state_of(struct pane *pane)
{
    return (uint8_t *)(pane + 1);
}

/* The panes of a window, oldest first, into all->merged; how many readings they hold. */
static uint32_t merge(struct streams *all, const struct stream_plan *plan, struct panes *p,
                      int64_t window, uint64_t *first_block)
{
    int64_t behind = window + plan->window_panes < p->end ? window + plan->window_panes : p->end;
    const uint8_t *states[STREAM_WINDOW_PANES_MAX];
    uint32_t count = 0, used = 0, place = place_of(plan, window);
    for (int64_t number = window; number < behind; number++) {
        struct pane *pane = pane_in(plan, p, place);
        place = place + 1 == plan->panes ? 0 : place + 1;
        if (pane->count == 0)
            continue;
        *first_block = count == 0 || pane->first_block < *first_block ? pane->first_block
                                                                      : *first_block;
        states[used++] = state_of(pane);
        count += pane->count;
    }
    if (used == 0)
        return 0;
    memcpy(all->merged, states[0], plan->state_bytes);
    for (uint32_t i = 0; used > 1 && i < plan->accumulator_count; i++) {
        const struct stream_accumulator *a = &plan->accumulators[i];
        accumulator_merge_each(&a->accumulator, all->merged + a->offset, states + 1, used - 1,
                               a->offset);
    }
    return count;
}

static void bound(const struct stream_plan *plan, int64_t window, struct stream_result *result)
{
    result->start_ms = window * plan->pane_ms;
    result->end_ms = (window + plan->window_panes) * plan->pane_ms;
}

/* The window's last pane has a reading, which a sliding one needs. */
static bool ends_in_reading(const struct stream_plan *plan, struct panes *p, int64_t window)
{
    int64_t last = window + plan->window_panes - 1;
    return last < p->end && pane_at(plan, p, last)->count > 0;
}

static void tell_window(struct streams *all, struct stream *s, struct entry *e, int64_t window,
                        enum stream_result_kind kind)
{
    const struct stream_plan *plan = s->plan;
    struct panes *p = entry_panes(s, e);
    struct stream_result result = { .kind = kind };
    if (plan->sparse && !ends_in_reading(plan, p, window))
        return;
    if (merge(all, plan, p, window, &result.first_block) == 0)
        return;
    result.forced = all->forced;
    s->counts.forced += all->forced;
    result.revision = pane_at(plan, p, window)->revision++;
    bound(plan, window, &result);
    stream_tell(all, s, e, &result, all->merged);
}

/* --- the watermark --- */

/* The last window that ends at or before this, which may be none. */
static int64_t last_ended(const struct stream_plan *plan, int64_t event_ms)
{
    return floor_divide(event_ms, plan->pane_ms) - plan->window_panes;
}

static int64_t firing_ms(const struct stream_plan *plan, const struct entry *e)
{
    return e->watermark_ms - (plan->config->final_only ? plan->config->lateness_ms : 0);
}

static int64_t closed_to(const struct stream_plan *plan, const struct entry *e)
{
    int64_t closed = last_ended(plan, e->watermark_ms - plan->config->lateness_ms);
    return window_from(plan, closed + 1);
}

static void let_go(struct panes *p, int64_t low)
{
    p->low = low > p->low ? low : p->low;
    p->end = p->end > p->low ? p->end : p->low;
}

/* The watermark that passes the next window, or closes the oldest. */
static void note_due(const struct stream_plan *plan, struct panes *p)
{
    int64_t lateness_ms = plan->config->lateness_ms;
    int64_t fires_ms = (p->fired + plan->window_panes) * plan->pane_ms +
                       (plan->config->final_only ? lateness_ms : 0);
    int64_t closes_ms = (p->low + plan->window_panes) * plan->pane_ms + lateness_ms;
    p->due_ms = fires_ms < closes_ms ? fires_ms : closes_ms;
}

static void panes_advance(struct streams *all, struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    struct panes *p = entry_panes(s, e);
    if (p->begun && e->watermark_ms < p->due_ms)
        return;
    int64_t next = window_from(plan, last_ended(plan, firing_ms(plan, e)) + 1);
    if (!p->begun) {
        int64_t low = closed_to(plan, e);
        *p = (struct panes){ .low = low, .end = low, .fired = next, .begun = true };
        note_due(plan, p);
        return;
    }
    for (int64_t window = p->fired; window < next && window < p->end; window += plan->slide_panes)
        tell_window(all, s, e, window, STREAM_CLOSE);
    p->fired = next > p->fired ? next : p->fired;
    let_go(p, closed_to(plan, e));
    note_due(plan, p);
}

static void tell_from(struct streams *all, struct stream *s, struct entry *e, int64_t behind)
{
    struct panes *p = entry_panes(s, e);
    int64_t window = p->fired > p->low ? p->fired : p->low;
    all->forced = true;
    for (; window < behind && window < p->end; window += s->plan->slide_panes)
        tell_window(all, s, e, window, STREAM_CLOSE);
    all->forced = false;
}

static void panes_early(struct streams *all, struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    struct panes *p = entry_panes(s, e);
    int64_t window = window_from(plan, e->early_from - plan->window_panes + 1);
    int64_t open = p->fired > p->low ? p->fired : p->low;
    for (window = window > open ? window : open; window < p->end; window += plan->slide_panes)
        tell_window(all, s, e, window, STREAM_EARLY);
}

static void panes_flush(struct streams *all, struct stream *s, struct entry *e)
{
    if (entry_panes(s, e)->begun)
        tell_from(all, s, e, INT64_MAX);
}

static int64_t panes_idle_ms(const struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    const struct panes *p = entry_panes(s, e);
    if (!p->begun || p->end == p->low)
        return INT64_MIN;
    int64_t last = floor_divide(p->end - 1, plan->slide_panes) * plan->slide_panes;
    if (plan->sparse)
        last = p->end - plan->window_panes;
    if (last < p->fired)
        return INT64_MIN;
    return (last + plan->window_panes) * plan->pane_ms +
           (plan->config->final_only ? plan->config->lateness_ms : 0);
}

static int64_t panes_next_ms(const struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    struct panes *p = entry_panes(s, e);
    if (panes_idle_ms(s, e) == INT64_MIN)
        return INT64_MIN;
    int64_t number = p->fired > p->low ? p->fired : p->low;
    number += plan->sparse ? plan->window_panes - 1 : 0;
    while (number < p->end - 1 && pane_at(plan, p, number)->count == 0)
        number++;
    int64_t window = plan->sparse ? number - plan->window_panes + 1
                                  : window_from(plan, number - plan->window_panes + 1);
    window = window > p->fired ? window : p->fired;
    return (window + plan->window_panes) * plan->pane_ms +
           (plan->config->final_only ? plan->config->lateness_ms : 0);
}

/* --- a reading --- */

/* Make the ring reach this pane; what has no room any more is told early and closed. */
static void reach(struct streams *all, struct stream *s, struct entry *e, int64_t number)
{
    const struct stream_plan *plan = s->plan;
    struct panes *p = entry_panes(s, e);
    if (number - p->low >= plan->panes) {
        int64_t low = window_from(plan, number - plan->panes + 1);
        tell_from(all, s, e, low);
        p->fired = p->fired > low ? p->fired : low;
        let_go(p, low);
        note_due(plan, p);
    }
    for (; p->end <= number; p->end++)
        memset(pane_at(plan, p, p->end), 0, plan->pane_bytes);
}

static void add(struct streams *all, const struct stream_plan *plan, struct pane *pane)
{
    if (pane->count++ == 0)
        pane->first_block = all->moment.block;
    stream_add(all, plan, state_of(pane));
}

/* The reading's pane: mostly the one of the reading before. */
static int64_t pane_number(const struct stream_plan *plan, const struct panes *p, int64_t event_ms)
{
    int64_t after_ms = event_ms - p->last * plan->pane_ms;
    if (after_ms >= 0 && after_ms < plan->pane_ms)
        return p->last;
    return floor_divide(event_ms, plan->pane_ms);
}

static struct pane *pane_of_reading(const struct stream_plan *plan, struct panes *p, int64_t number)
{
    if (number != p->last) {
        p->last = number;
        p->last_place = place_of(plan, number);
    }
    return pane_in(plan, p, p->last_place);
}

/* By the fullest window that the reading is in and that is not closed. */
static void judge(struct streams *all, struct stream *s, struct entry *e, int64_t number)
{
    const struct stream_plan *plan = s->plan;
    struct panes *p = entry_panes(s, e);
    struct stream_result result = { .kind = STREAM_EARLY };
    int64_t window = window_from(plan, number - plan->window_panes + 1);
    window = window > p->low ? window : p->low;
    if (window > number || merge(all, plan, p, window, &result.first_block) == 0)
        return;
    bound(plan, window, &result);
    stream_judge_reading(all, s, e, &result, all->merged);
}

/* Of the windows that the reading is in, those that are closed: the first ones, or all. */
static void tell_late(struct streams *all, struct stream *s, struct entry *e, int64_t number)
{
    const struct stream_plan *plan = s->plan;
    int64_t low = entry_panes(s, e)->low, slide = plan->slide_panes;
    int64_t first = window_from(plan, number - plan->window_panes + 1);
    int64_t last = number < low ? number : low - 1;
    struct stream_late late = {
        .start_ms = first * plan->pane_ms,
        .end_ms = (first + plan->window_panes) * plan->pane_ms,
        .slide_ms = slide * plan->pane_ms,
        .windows = (uint32_t)((last - first) / slide + 1),
    };
    stream_tell_late(all, s, e, &late);
}

static void revise(struct streams *all, struct stream *s, struct entry *e, int64_t number)
{
    const struct stream_plan *plan = s->plan;
    struct panes *p = entry_panes(s, e);
    int64_t window = window_from(plan, number - plan->window_panes + 1);
    if (window < p->low) {
        s->counts.late_partly++;
        tell_late(all, s, e, number);
    }
    window = window > p->low ? window : p->low;
    for (; window <= number && window < p->fired; window += plan->slide_panes) {
        bool first = pane_at(plan, p, window)->revision == 0; /* it was empty when it closed */
        tell_window(all, s, e, window, first ? STREAM_CLOSE : STREAM_REVISION);
    }
}

static int64_t needed_ms(const struct streams *all, const struct stream *s, const struct entry *e)
{
    if (all->event_ms >= e->watermark_ms)
        return 0;
    int64_t number = floor_divide(all->event_ms, s->plan->pane_ms);
    int64_t oldest = window_from(s->plan, number - s->plan->window_panes + 1);
    return e->watermark_ms - (oldest + s->plan->window_panes) * s->plan->pane_ms + 1;
}

static void panes_push(struct streams *all, struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    struct panes *p = entry_panes(s, e);
    int64_t number = pane_number(plan, p, all->event_ms);
    stream_note_delay(s, needed_ms(all, s, e));
    if (number < p->low) {
        s->counts.late++;
        tell_late(all, s, e, number);
        return;
    }
    if (number >= p->end)
        reach(all, s, e, number);
    add(all, plan, pane_of_reading(plan, p, number));
    int64_t oldest = number - plan->window_panes + 1;
    if (oldest < p->fired || oldest < p->low) /* it is late for some of its windows */
        revise(all, s, e, number);
    if (plan->early_ms > 0 && number < e->early_from)
        e->early_from = number;
    if (plan->judges_readings)
        judge(all, s, e, number);
}

/* --- keeping --- */

static void panes_save(const struct stream *s, struct entry *e, struct byte_writer *w)
{
    const struct stream_plan *plan = s->plan;
    struct panes *p = entry_panes(s, e);
    put_bool(w, p->begun);
    put_i64(w, p->low);
    put_i64(w, p->fired);
    put_u32(w, (uint32_t)(p->end - p->low));
    for (int64_t number = p->low; number < p->end; number++) {
        struct pane *pane = pane_at(plan, p, number);
        put_u32(w, pane->revision);
        put_u32(w, pane->count);
        if (pane->count == 0)
            continue;
        put_u64(w, pane->first_block);
        for (uint32_t i = 0; i < plan->accumulator_count; i++)
            accumulator_save(plan->accumulators[i].accumulator.kind,
                             state_of(pane) + plan->accumulators[i].offset, w);
    }
}

static void load_pane(const struct stream_plan *plan, struct pane *pane, struct byte_reader *r)
{
    memset(pane, 0, plan->pane_bytes);
    pane->revision = get_u32(r);
    pane->count = get_u32(r);
    if (pane->count == 0)
        return;
    pane->first_block = get_u64(r);
    for (uint32_t i = 0; i < plan->accumulator_count; i++)
        accumulator_load(plan->accumulators[i].accumulator.kind,
                         state_of(pane) + plan->accumulators[i].offset, r);
}

static void panes_load(const struct stream *s, struct entry *e, struct byte_reader *r)
{
    const struct stream_plan *plan = s->plan;
    struct panes *p = entry_panes(s, e);
    struct panes read = { .begun = get_bool(r) };
    read.low = get_time(r);
    read.fired = get_time(r);
    uint32_t count = get_u32(r);
    bool aligned = read.low % plan->slide_panes == 0 && read.fired % plan->slide_panes == 0;
    int64_t most = TIME_MS_MAX / plan->pane_ms;
    bool inside = read.low > -most && read.low < most && read.fired > -most && read.fired < most;
    if (!aligned || !inside || count > plan->panes || (!read.begun && count > 0))
        r->failed = true;
    if (r->failed)
        return;
    read.end = read.low + count;
    *p = read;
    note_due(plan, p);
    for (int64_t number = p->low; number < p->end && !r->failed; number++)
        load_pane(plan, pane_at(plan, p, number), r);
}

const struct window_ops stream_panes = {
    bytes_of, panes_begin, panes_advance, panes_push, panes_idle_ms, panes_next_ms,
    panes_early, panes_flush, panes_save, panes_load,
};
