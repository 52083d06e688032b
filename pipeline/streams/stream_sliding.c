/* Sliding windows of the last n readings of one key. The readings themselves are kept, sorted, and
 * a result is the aggregates over n of them, made anew: so every aggregate may be had, and what it
 * tells depends on the readings alone, not on the way that they came. That costs n steps a result;
 * two stacks of partial states would cost fewer, and room for a state beside every reading.
 *
 * A result goes by its end: the first multiple of every_ms behind a reading. It is told of the last
 * n readings before its end, and stands with the newest of these. */
#include "pipeline/streams/streams_state.h"

static size_t bytes_of(const struct stream_plan *plan)
{
    return sizeof(struct sliding) + (size_t)plan->panes * plan->pane_bytes;
}

static void sliding_begin(const struct stream *s, struct entry *e)
{
    *entry_sliding(s, e) = (struct sliding){ .fired_ms = INT64_MIN, .closed_ms = INT64_MIN,
                                             .floor_ms = INT64_MIN };
}

/* The i-th oldest. */
static struct kept_reading *reading_at(const struct stream_plan *plan, struct sliding *w,
                                       uint32_t i)
{
    uint32_t place = w->first + i;
    place -= place >= plan->panes ? plan->panes : 0;
    return (struct kept_reading *)((uint8_t *)(w + 1) + (size_t)place * plan->pane_bytes);
}

static void drop_oldest(const struct stream_plan *plan, struct sliding *w, uint32_t count)
{
    w->first = (w->first + count) % plan->panes;
    w->count -= count;
}

static int64_t end_of(const struct stream_plan *plan, int64_t event_ms)
{
    int64_t rest = event_ms % plan->pane_ms;
    return event_ms - rest + (rest < 0 ? 0 : plan->pane_ms);
}

/* How many readings have their end here or before. */
static uint32_t count_to(const struct stream_plan *plan, struct sliding *w, int64_t end_ms)
{
    uint32_t from = 0, to = w->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (reading_at(plan, w, middle)->end_ms <= end_ms)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* It is the newest before its end. */
static bool ends_window(const struct stream_plan *plan, struct sliding *w, uint32_t i)
{
    return i + 1 == w->count ||
           reading_at(plan, w, i + 1)->end_ms != reading_at(plan, w, i)->end_ms;
}

/* --- a kept reading's arguments --- */

/* It may be a text, and some aggregate asks which. */
static bool has_text(const struct stream_plan *plan, uint32_t argument)
{
    enum expression_type type = plan->arguments[argument].type;
    bool asked = false;
    for (uint32_t i = 0; i < plan->accumulator_count; i++) {
        enum accumulator_kind kind = plan->accumulators[i].accumulator.kind;
        bool reads = kind == ACCUMULATOR_DISTINCT || kind == ACCUMULATOR_TOP ||
                     kind == ACCUMULATOR_FIRST_VALUE || kind == ACCUMULATOR_LAST_VALUE;
        asked = asked || (reads && plan->accumulators[i].argument == argument);
    }
    return asked && (type == TYPE_ANY || type == TYPE_TEXT);
}

void stream_sliding_lay_out(struct stream_plan *plan)
{
    uint32_t bytes = sizeof(struct kept_reading);
    for (uint32_t i = 0; i < plan->argument_count; i++) {
        plan->argument_at[i] = (uint16_t)bytes;
        plan->argument_texts[i] = has_text(plan, i);
        bytes += (uint32_t)sizeof(struct kept_argument) +
                 (plan->argument_texts[i] ? HELD_TEXT_BYTES : 0);
    }
    plan->pane_bytes = bytes;
}

static struct kept_argument *argument_of(const struct stream_plan *plan,
                                         struct kept_reading *reading, uint32_t i)
{
    return (struct kept_argument *)((uint8_t *)reading + plan->argument_at[i]);
}

static void keep(const struct stream_plan *plan, uint32_t i, struct kept_argument *to,
                 const struct datum *value)
{
    struct held held;
    *to = (struct kept_argument){ .kind = (uint8_t)value->kind };
    if (value->kind == DATUM_NUMBER || value->kind == DATUM_BOOLEAN)
        to->number = value->number;
    if (value->kind != DATUM_TEXT || !plan->argument_texts[i])
        return;
    held_set(&held, value);
    to->bytes = held.bytes;
    memcpy(to + 1, held.text, held.bytes);
}

static struct datum kept_datum(const struct kept_argument *a)
{
    struct datum value = { .kind = (enum datum_kind)a->kind, .number = a->number };
    if (value.kind == DATUM_TEXT)
        value.text = (struct text){ (const char *)(a + 1), a->bytes };
    return value;
}

/* The present one. */
static void keep_reading(struct streams *all, const struct stream_plan *plan,
                         struct kept_reading *to)
{
    struct datum room;
    *to = (struct kept_reading){ .event_ms = all->event_ms, .end_ms = end_of(plan, all->event_ms),
                                 .block = all->moment.block };
    for (uint32_t i = 0; i < plan->argument_count; i++)
        keep(plan, i, argument_of(plan, to, i),
             expression_value(&plan->arguments[i], all->fields, &room));
}

/* --- results --- */

static void add(const struct stream_plan *plan, struct kept_reading *reading, uint8_t *state)
{
    static const struct datum itself = { .kind = DATUM_BOOLEAN, .number = 1 };
    struct datum arguments[STREAM_ARGUMENTS_MAX];
    for (uint32_t i = 0; i < plan->argument_count; i++)
        arguments[i] = kept_datum(argument_of(plan, reading, i));
    for (uint32_t i = 0; i < plan->accumulator_count; i++) {
        const struct stream_accumulator *a = &plan->accumulators[i];
        accumulator_push(&a->accumulator, state + a->offset,
                         a->argument == STREAM_READING ? &itself : &arguments[a->argument],
                         reading->event_ms);
    }
}

/* The window that this reading ends, into all->merged. */
static struct stream_result fold(struct streams *all, const struct stream_plan *plan,
                                 struct sliding *w, uint32_t newest)
{
    struct kept_reading *reading = reading_at(plan, w, newest);
    struct stream_result result = { .start_ms = reading->end_ms - plan->pane_ms,
                                    .end_ms = reading->end_ms, .first_block = UINT64_MAX };
    memset(all->merged, 0, plan->state_bytes);
    for (uint32_t i = newest + 1 > plan->last_count ? newest + 1 - plan->last_count : 0;
         i <= newest; i++) {
        reading = reading_at(plan, w, i);
        add(plan, reading, all->merged);
        result.first_block = reading->block < result.first_block ? reading->block
                                                                 : result.first_block;
    }
    return result;
}

static void tell(struct streams *all, struct stream *s, struct entry *e, uint32_t newest,
                 enum stream_result_kind kind)
{
    struct sliding *w = entry_sliding(s, e);
    struct stream_result result = fold(all, s->plan, w, newest);
    struct kept_reading *reading = reading_at(s->plan, w, newest);
    result.kind = kind;
    result.forced = all->forced;
    result.revision = reading->revision++;
    reading->changed = false;
    s->counts.forced += all->forced;
    stream_tell(all, s, e, &result, all->merged);
}

/* Those that were not, and end here or before. */
static void tell_to(struct streams *all, struct stream *s, struct entry *e, int64_t end_ms)
{
    struct sliding *w = entry_sliding(s, e);
    for (uint32_t i = count_to(s->plan, w, w->fired_ms); i < w->count; i++) {
        if (reading_at(s->plan, w, i)->end_ms > end_ms)
            break;
        if (ends_window(s->plan, w, i))
            tell(all, s, e, i, STREAM_CLOSE);
    }
    w->fired_ms = end_ms > w->fired_ms ? end_ms : w->fired_ms;
}

static void tell_forced(struct streams *all, struct stream *s, struct entry *e, int64_t end_ms)
{
    all->forced = true;
    tell_to(all, s, e, end_ms);
    all->forced = false;
}

/* --- the watermark --- */

static void sliding_advance(struct streams *all, struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    struct sliding *w = entry_sliding(s, e);
    int64_t closed_ms = e->watermark_ms - plan->config->lateness_ms;
    tell_to(all, s, e, plan->config->final_only ? closed_ms : e->watermark_ms);
    w->closed_ms = closed_ms > w->closed_ms ? closed_ms : w->closed_ms;
    uint32_t closed = count_to(plan, w, w->closed_ms);
    if (closed >= plan->last_count) /* the next window that is open has itself one reading more */
        drop_oldest(plan, w, closed - plan->last_count + 1);
}

static void sliding_flush(struct streams *all, struct stream *s, struct entry *e)
{
    tell_forced(all, s, e, INT64_MAX);
}

static void sliding_early(struct streams *all, struct stream *s, struct entry *e)
{
    struct sliding *w = entry_sliding(s, e);
    for (uint32_t i = count_to(s->plan, w, w->fired_ms); i < w->count; i++)
        if (reading_at(s->plan, w, i)->changed && ends_window(s->plan, w, i))
            tell(all, s, e, i, STREAM_EARLY);
}

static int64_t sliding_idle_ms(const struct stream *s, struct entry *e)
{
    const struct stream_config *c = s->plan->config;
    struct sliding *w = entry_sliding(s, e);
    int64_t end_ms = w->count > 0 ? reading_at(s->plan, w, w->count - 1)->end_ms : INT64_MIN;
    return end_ms > w->fired_ms ? end_ms + (c->final_only ? c->lateness_ms : 0) : INT64_MIN;
}

static int64_t sliding_next_ms(const struct stream *s, struct entry *e)
{
    const struct stream_config *c = s->plan->config;
    struct sliding *w = entry_sliding(s, e);
    uint32_t told = count_to(s->plan, w, w->fired_ms);
    if (told == w->count)
        return INT64_MIN;
    return reading_at(s->plan, w, told)->end_ms + (c->final_only ? c->lateness_ms : 0);
}

/* --- a reading --- */

/* Where it belongs: behind those that are not newer. */
static uint32_t place_of(const struct stream_plan *plan, struct sliding *w, int64_t event_ms)
{
    uint32_t at = w->count;
    while (at > 0 && reading_at(plan, w, at - 1)->event_ms > event_ms)
        at--;
    return at;
}

/* It is among the last n of no window that is open, nor of one that may come. */
static bool is_late(const struct stream_plan *plan, struct sliding *w, uint32_t at, int64_t end_ms,
                    int64_t event_ms)
{
    uint32_t closed = count_to(plan, w, w->closed_ms);
    if (event_ms < w->floor_ms)
        return true;
    return end_ms <= w->closed_ms && closed + 1 - at >= plan->last_count;
}

static void insert(struct streams *all, const struct stream_plan *plan, struct sliding *w,
                   uint32_t at)
{
    for (uint32_t i = w->count++; i > at; i--)
        memcpy(reading_at(plan, w, i), reading_at(plan, w, i - 1), plan->pane_bytes);
    struct kept_reading *reading = reading_at(plan, w, at);
    keep_reading(all, plan, reading);
    struct kept_reading *before = at > 0 ? reading_at(plan, w, at - 1) : NULL;
    if (before == NULL || before->end_ms != reading->end_ms || !ends_window(plan, w, at))
        return;
    reading->revision = before->revision; /* it ends that window now */
    before->revision = 0;
    before->changed = false;
}

/* The windows that the reading is in: their newest readings are from here on. */
static uint32_t windows_to(const struct stream_plan *plan, const struct sliding *w, uint32_t at)
{
    return at + plan->last_count < w->count ? at + plan->last_count : w->count;
}

static void revise(struct streams *all, struct stream *s, struct entry *e, uint32_t at)
{
    const struct stream_plan *plan = s->plan;
    struct sliding *w = entry_sliding(s, e);
    for (uint32_t i = at, to = windows_to(plan, w, at); i < to; i++) {
        struct kept_reading *newest = reading_at(plan, w, i);
        if (newest->end_ms <= w->closed_ms || !ends_window(plan, w, i))
            continue;
        newest->changed = true;
        if (newest->end_ms <= w->fired_ms)
            tell(all, s, e, i, newest->revision == 0 ? STREAM_CLOSE : STREAM_REVISION);
    }
}

/* One too many: the windows that the oldest is in are told early and closed. */
static void make_room(struct streams *all, struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    struct sliding *w = entry_sliding(s, e);
    uint32_t last = plan->last_count - 1; /* the oldest is not among the last n of what is newer */
    int64_t end_ms = reading_at(plan, w, last)->end_ms;
    if (!ends_window(plan, w, last))
        end_ms -= plan->pane_ms;
    tell_forced(all, s, e, end_ms);
    w->closed_ms = end_ms > w->closed_ms ? end_ms : w->closed_ms;
    w->floor_ms = reading_at(plan, w, 0)->event_ms;
    drop_oldest(plan, w, 1);
}

/* By the window that it ends, or, where that is closed, the first open one that it is in. */
static void judge(struct streams *all, struct stream *s, struct entry *e, uint32_t at)
{
    const struct stream_plan *plan = s->plan;
    struct sliding *w = entry_sliding(s, e);
    for (uint32_t i = at, to = windows_to(plan, w, at); i < to; i++) {
        if (reading_at(plan, w, i)->end_ms <= w->closed_ms || !ends_window(plan, w, i))
            continue;
        struct stream_result result = fold(all, plan, w, i);
        result.kind = STREAM_EARLY;
        stream_judge_reading(all, s, e, &result, all->merged);
        return;
    }
}

static void sliding_push(struct streams *all, struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    struct sliding *w = entry_sliding(s, e);
    int64_t end_ms = end_of(plan, all->event_ms);
    uint32_t at = place_of(plan, w, all->event_ms);
    struct stream_late late = { .start_ms = end_ms - plan->pane_ms, .end_ms = end_ms,
                                .windows = 1 };
    bool is_late_for_all = is_late(plan, w, at, end_ms, all->event_ms);
    stream_note_delay(s, e->watermark_ms - end_ms + 1);
    s->counts.late += is_late_for_all;
    s->counts.late_partly += !is_late_for_all && end_ms <= w->closed_ms;
    if (is_late_for_all || end_ms <= w->closed_ms)
        stream_tell_late(all, s, e, &late);
    if (is_late_for_all)
        return;
    insert(all, plan, w, at);
    revise(all, s, e, at);
    if (plan->judges_readings)
        judge(all, s, e, at);
    if (w->count == plan->panes)
        make_room(all, s, e);
}

/* --- keeping --- */

static void save_argument(const struct kept_argument *a, struct byte_writer *w)
{
    put_u8(w, a->kind);
    if (a->kind == DATUM_TEXT)
        put_text(w, kept_datum(a).text);
    else if (a->kind != DATUM_NULL)
        put_f64(w, a->number);
}

static void load_argument(struct kept_argument *a, bool wide, struct byte_reader *r)
{
    *a = (struct kept_argument){ .kind = get_u8(r) };
    if (a->kind == DATUM_TEXT) {
        struct text text = get_text(r);
        if (text.bytes > (wide ? HELD_TEXT_BYTES : 0))
            r->failed = true;
        if (r->failed || text.bytes == 0)
            return;
        a->bytes = (uint8_t)text.bytes;
        memcpy(a + 1, text.at, text.bytes);
    } else if (a->kind == DATUM_NUMBER || a->kind == DATUM_BOOLEAN) {
        a->number = get_measure(r);
    } else if (a->kind != DATUM_NULL) {
        r->failed = true;
    }
}

static void sliding_save(const struct stream *s, struct entry *e, struct byte_writer *w)
{
    struct sliding *from = entry_sliding(s, e);
    put_i64(w, from->fired_ms);
    put_i64(w, from->closed_ms);
    put_i64(w, from->floor_ms);
    put_u32(w, from->count);
    for (uint32_t i = 0; i < from->count; i++) {
        struct kept_reading *reading = reading_at(s->plan, from, i);
        put_i64(w, reading->event_ms);
        put_u64(w, reading->block);
        put_u32(w, reading->revision);
        put_bool(w, reading->changed);
        for (uint32_t a = 0; a < s->plan->argument_count; a++)
            save_argument(argument_of(s->plan, reading, a), w);
    }
}

static void load_reading(const struct stream_plan *plan, struct kept_reading *to,
                         struct byte_reader *r)
{
    *to = (struct kept_reading){ .event_ms = get_time(r) };
    to->end_ms = end_of(plan, to->event_ms);
    to->block = get_u64(r);
    to->revision = get_u32(r);
    to->changed = get_bool(r);
    for (uint32_t a = 0; a < plan->argument_count; a++)
        load_argument(argument_of(plan, to, a), plan->argument_texts[a], r);
}

static void sliding_load(const struct stream *s, struct entry *e, struct byte_reader *r)
{
    const struct stream_plan *plan = s->plan;
    struct sliding *w = entry_sliding(s, e);
    sliding_begin(s, e);
    w->fired_ms = get_i64(r);
    w->closed_ms = get_i64(r);
    w->floor_ms = get_i64(r);
    uint32_t count = get_u32(r);
    int64_t before_ms = INT64_MIN;
    if (count >= plan->panes)
        r->failed = true;
    for (; w->count < count && !r->failed; w->count++) {
        struct kept_reading *reading = reading_at(plan, w, w->count);
        load_reading(plan, reading, r);
        if (reading->event_ms < before_ms)
            r->failed = true;
        before_ms = reading->event_ms;
    }
}

const struct window_ops stream_sliding = {
    bytes_of, sliding_begin, sliding_advance, sliding_push, sliding_idle_ms, sliding_next_ms,
    sliding_early, sliding_flush, sliding_save, sliding_load,
};
