#include "pipeline/streams/streams.h"

#include <assert.h>

#include "pipeline/bytes.h"
#include "pipeline/streams/streams_state.h"

enum {
    PASSED_STEPS = 5,      /* of 10 ns: an entry that is looked at is mostly not in the cache */
    CLOCK_BACK_MS = 60000  /* what is further ahead now is waited for no more; less is */
};

struct streams *streams_init(const struct stream_set *set, struct hash_key key,
                             struct arena *arena)
{
    assert(set->count <= STREAMS_MAX);
    struct streams *s = arena_take(arena, 1, sizeof *s);
    struct stream *each = arena_take(arena, set->count, sizeof *each);
    uint32_t widest = 0, told_bytes = 0;
    uint64_t slots = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        struct stream laid_out;
        stream_keys_init(&laid_out, &set->plans[i], arena);
        if (each != NULL)
            each[i] = laid_out;
        widest = set->plans[i].state_bytes > widest ? set->plans[i].state_bytes : widest;
        told_bytes = set->plans[i].told_bytes > told_bytes ? set->plans[i].told_bytes : told_bytes;
        slots |= set->plans[i].slots;
    }
    uint8_t *merged = arena_take(arena, widest, 1);
    char *told = arena_take(arena, told_bytes, 1);
    uint32_t names = set->count > 0 ? STREAM_FIELDS_MAX : 0;
    struct datum *fields = arena_take(arena, names, sizeof *fields);
    uint32_t results = set->count > 0 ? STREAM_SLOTS : 0;
    struct datum *result = arena_take(arena, results, sizeof *result);
    if (s != NULL)
        *s = (struct streams){ .set = set, .key = key, .streams = each, .look_ms = INT64_MAX,
                               .slots = slots, .merged = merged, .told = told, .fields = fields,
                               .result = result };
    return s;
}

uint32_t streams_values_max(const struct stream_set *set)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < set->count; i++)
        most += set->plans[i].results_max *
                (set->plans[i].value_count + set->plans[i].texts_bytes / STREAM_TEXT_VALUE_BYTES);
    return most;
}

/* Of the key that the reading has, of one that gives way to it, and of its being forgotten. */
uint32_t streams_verdicts_max(const struct stream_set *set)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < set->count; i++)
        most += 3 * set->plans[i].rule_count;
    return most;
}

uint64_t streams_steps(const struct streams *s)
{
    return s->steps;
}

struct stream_counts streams_counts(const struct streams *s, uint32_t stream)
{
    assert(stream < s->set->count);
    return s->streams[stream].counts;
}

/* --- a reading's fields --- */

/* Each is written where it will be read: a datum that is returned is copied in wide pieces, and
 * those wait for the narrow stores before them. */
static void set_text(struct datum *to, struct text text)
{
    to->kind = text.bytes > 0 ? DATUM_TEXT : DATUM_NULL;
    to->text.at = text.at;
    to->text.bytes = text.bytes;
}

static void set_number(struct datum *to, double number, bool known)
{
    to->kind = known ? DATUM_NUMBER : DATUM_NULL;
    to->number = number;
}

static void set_value(struct datum *to, const struct value *value)
{
    static const enum datum_kind kinds[] = {
        [VALUE_NUMBER] = DATUM_NUMBER, [VALUE_BOOLEAN] = DATUM_BOOLEAN, [VALUE_TEXT] = DATUM_TEXT
    };
    to->kind = kinds[value->type];
    to->number = value->number;
    to->text.at = value->text.at;
    to->text.bytes = value->text.bytes;
}

/* The further fields, as the codec packed them. What does not read as such is not there. */
static void read_extra(struct streams *s, const struct reading *reading)
{
    const struct stream_fields *fields = s->set->plans[0].fields;
    struct byte_reader r = { (const uint8_t *)reading->extra.at, reading->extra.bytes, 0, false };
    while (r.used < r.bytes) {
        uint8_t index = get_u8(&r), type = get_u8(&r);
        struct value value = { .type = VALUE_TEXT };
        if (type == VALUE_TEXT)
            value.text = get_text(&r);
        else
            value = (struct value){ type == VALUE_NUMBER ? VALUE_NUMBER : VALUE_BOOLEAN,
                                    get_measure(&r), { 0 } };
        if (r.failed || index >= READING_FIELDS_MAX || reading->source >= fields->source_count)
            return;
        uint8_t slot = fields->slots[reading->source][index];
        if (slot >= STREAM_OWN_FIELDS)
            set_value(&s->fields[slot], &value);
    }
}

static void read_own(struct streams *s, const struct record *record)
{
    const struct reading *reading = &record->reading;
    const struct stream_fields *fields = s->set->plans[0].fields;
    set_text(&s->fields[FIELD_OF_DEVICE], reading->device);
    set_text(&s->fields[FIELD_OF_METRIC], reading->metric);
    set_text(&s->fields[FIELD_OF_UNIT], reading->unit);
    set_value(&s->fields[FIELD_OF_VALUE], &reading->value);
    if ((s->slots >> FIELD_OF_TIME & 1) != 0)
        set_number(&s->fields[FIELD_OF_TIME], (double)record->event_time_ms / 1000, true);
    set_number(&s->fields[FIELD_OF_SEQUENCE], (double)reading->sequence, reading->has_sequence);
    if (reading->source < fields->source_count)
        set_text(&s->fields[FIELD_OF_SOURCE], fields->sources[reading->source]);
    else
        s->fields[FIELD_OF_SOURCE].kind = DATUM_NULL;
}

static void read_fields(struct streams *s, const struct record *record)
{
    const struct stream_fields *fields = s->set->plans[0].fields;
    read_own(s, record);
    if (s->slots >> STREAM_OWN_FIELDS == 0)
        return;
    for (uint32_t i = STREAM_OWN_FIELDS; i < fields->count; i++)
        s->fields[i].kind = DATUM_NULL;
    read_extra(s, &record->reading);
}

/* --- what all windows share --- */

void stream_add(struct streams *all, const struct stream_plan *plan, uint8_t *state)
{
    struct datum computed[STREAM_ARGUMENTS_MAX];
    const struct datum *arguments[STREAM_ARGUMENTS_MAX];
    static const struct datum reading = { .kind = DATUM_BOOLEAN, .number = 1 };
    for (uint32_t i = 0; i < plan->argument_count; i++)
        arguments[i] = expression_value(&plan->arguments[i], all->fields, &computed[i]);
    for (uint32_t i = 0; i < plan->accumulator_count; i++) {
        const struct stream_accumulator *a = &plan->accumulators[i];
        accumulator_push(&a->accumulator, state + a->offset,
                         a->argument == STREAM_READING ? &reading : arguments[a->argument],
                         all->event_ms);
    }
}

void stream_note_delay(struct stream *s, int64_t needed_ms)
{
    int i = 0;
    while (i < STREAM_DELAYS && stream_delays_ms[i] < needed_ms)
        i++;
    s->counts.delays[i]++;
}

void stream_tell_late(struct streams *all, const struct stream *s, struct entry *e,
                      struct stream_late *late)
{
    if (!s->plan->config->late_out || all->out == NULL || all->out->late == NULL)
        return;
    int64_t needed_ms = e->watermark_ms - late->end_ms + 1;
    late->plan = s->plan;
    late->key = (struct text){ (const char *)entry_key(e), e->key_bytes };
    late->record = all->record;
    late->lateness_ms = s->plan->config->lateness_ms;
    late->needed_ms = needed_ms > 0 ? needed_ms : 0;
    all->out->late(all->out->ctx, late);
}

/* --- keys --- */

static void look_at(struct streams *s, int64_t t_ms)
{
    s->look_ms = t_ms < s->look_ms ? t_ms : s->look_ms;
}

static void forget(struct streams *all, struct stream *s, uint32_t index)
{
    struct entry *e = entry_at(s, index);
    windows_of(s->plan)->flush(all, s, e);
    stream_judge_end(all, s, e);
    stream_judge_forgotten(all, s, e);
    stream_entry_remove(s, index);
}

/* Room for one more key, where the stream may make it. */
static bool make_room(struct streams *all, struct stream *s)
{
    if (s->counts.keys < s->plan->config->keys_max)
        return true;
    if (s->plan->config->at_limit == STREAM_REFUSE)
        return false;
    int list = LIST_QUIET;
    while (s->lists[list].first == STREAM_NONE)
        list--;
    s->counts.evicted++;
    forget(all, s, s->lists[list].first);
    return true;
}

static uint32_t entry_of(struct streams *all, struct stream *s, const struct stream_key *key)
{
    uint32_t index = stream_entry_guess(s, key);
    if (index == STREAM_NONE)
        index = stream_entry_find(all, s, key);
    if (index != STREAM_NONE)
        stream_entry_move(s, index, LIST_ACTIVE);
    else if (make_room(all, s))
        index = stream_entry_make(all, s, key);
    return index;
}

/* --- the doors --- */

static void begin(struct streams *s, const struct stream_moment *moment,
                  const struct stream_out *out)
{
    s->moment = *moment;
    s->out = out;
}

static void wait_early(struct streams *all, struct stream *s, uint32_t index)
{
    int64_t early_ms = all->moment.t_ms + s->plan->config->early_ms;
    if (entry_at(s, index)->early_ms < INT64_MAX)
        return;
    stream_early_add(s, index, early_ms);
    look_at(all, early_ms);
}

static void take(struct streams *all, struct stream *s)
{
    const struct stream_plan *plan = s->plan;
    uint32_t input = stream_input(plan, all->record->reading.source);
    if (input == STREAM_NONE)
        return;
    if (plan->has_where) {
        struct datum is = expression_evaluate(&plan->where, all->fields);
        if (is.kind != DATUM_BOOLEAN || is.number == 0)
            return;
    }
    s->counts.taken++;
    struct stream_key key;
    if (!stream_key_pack(plan, all->fields, &key)) {
        s->counts.without_key++;
        return;
    }
    uint32_t index = entry_of(all, s, &key);
    if (index == STREAM_NONE) {
        s->counts.refused++;
        return;
    }
    stream_entry_learn(s, index);
    struct entry *e = entry_at(s, index);
    int64_t watermark_ms = all->moment.reached_ms - plan->config->out_of_orderness_ms;
    e->last_t_ms = all->moment.t_ms;
    if (plan->watched_inputs > 0) {
        const struct input_moved moved = { input, watermark_ms, all->moment.t_ms };
        watermark_ms = stream_inputs_move(s, e, &moved);
    }
    const struct window_ops *windows = windows_of(plan);
    if (watermark_ms > e->watermark_ms) {
        e->watermark_ms = watermark_ms;
        windows->advance(all, s, e);
    }
    windows->push(all, s, e);
    if (plan->rule_count > 0)
        stream_judge_end(all, s, e);
    if (plan->early_ms > 0)
        wait_early(all, s, index);
    look_at(all, all->moment.t_ms + plan->config->idle_ms);
}

void streams_take(struct streams *s, const struct record *record,
                  const struct stream_moment *moment, const struct stream_out *out)
{
    assert(record->kind == RECORD_READING);
    if (s->set->count == 0)
        return;
    begin(s, moment, out);
    s->record = record;
    s->event_ms = record->event_time_ms;
    read_fields(s, record);
    for (uint32_t i = 0; i < s->set->count; i++)
        take(s, &s->streams[i]);
    s->record = NULL;
    s->out = NULL;
}

enum waiting { WAIT_EARLY, WAIT_IDLE, WAIT_OVER, WAIT_TTL, WAITS };

static uint32_t first_of(const struct stream *s, enum waiting what)
{
    switch (what) {
    case WAIT_EARLY:
        return s->early.first;
    case WAIT_IDLE:
        return s->lists[LIST_ACTIVE].first;
    case WAIT_OVER:
        return s->lists[LIST_OPEN].first;
    default:
        return s->lists[LIST_QUIET].first;
    }
}

/* What waits at the head of a stream's list. */
static int64_t deadline_of(const struct streams *all, const struct stream *s, enum waiting what)
{
    const struct stream_config *c = s->plan->config;
    uint32_t first = first_of(s, what);
    if (first == STREAM_NONE)
        return INT64_MAX;
    const struct entry *e = entry_at(s, first);
    int64_t over_ms = all->clock.has_a_say ? e->over_ms - all->clock.offset_ms : INT64_MIN;
    switch (what) {
    case WAIT_EARLY:
        return e->early_ms;
    case WAIT_IDLE:
        return e->last_t_ms + c->idle_ms;
    case WAIT_OVER:
        if (all->clock.unset)
            return INT64_MAX;
        return over_ms > all->clock.since_ms ? over_ms : all->clock.since_ms;
    default:
        return e->last_t_ms + c->ttl_ms;
    }
}

/* The earliest; of equal ones the first stream's, and in the order above. */
static int64_t earliest(const struct streams *s, uint32_t *stream, enum waiting *what)
{
    int64_t earliest_ms = INT64_MAX;
    for (uint32_t i = 0; i < s->set->count; i++)
        for (int w = 0; w < WAITS; w++) {
            int64_t deadline_ms = deadline_of(s, &s->streams[i], (enum waiting)w);
            if (deadline_ms >= earliest_ms)
                continue;
            earliest_ms = deadline_ms;
            *stream = i;
            *what = (enum waiting)w;
        }
    return earliest_ms;
}

void streams_set_clock(struct streams *s, const struct stream_clock *clock)
{
    bool back = s->clock.unset || clock->offset_ms < s->clock.offset_ms - CLOCK_BACK_MS;
    for (uint32_t i = 0; back && !clock->unset && i < s->set->count; i++) {
        struct stream *stream = &s->streams[i];
        stream_entries_wake(stream, clock->since_ms - stream->plan->config->idle_ms);
    }
    s->clock = *clock;
    s->look_ms = INT64_MIN; /* windows may be over sooner */
}

int64_t streams_deadline(const struct streams *s, int64_t t_ms)
{
    uint32_t stream;
    enum waiting what;
    if (s->look_ms > t_ms)
        return s->look_ms;
    return earliest(s, &stream, &what);
}

/* How far idleness moves the key's watermark: to the end of its windows, or to the clock. */
static int64_t idle_to(const struct streams *all, const struct stream *s, int64_t end_ms)
{
    const struct stream_config *c = s->plan->config;
    int64_t clock_ms = all->moment.t_ms + all->clock.offset_ms - c->out_of_orderness_ms;
    int64_t most_ms = all->clock.ahead_ms + c->size_ms + c->gap_ms + c->lateness_ms;
    if (all->clock.unset)
        return INT64_MIN;
    bool waits = all->clock.has_a_say && end_ms > clock_ms && end_ms - clock_ms <= most_ms;
    return waits ? clock_ms : end_ms;
}

/* A key that says nothing more ends its windows. */
static void on_idle(struct streams *all, struct stream *s, uint32_t index)
{
    const struct stream_config *c = s->plan->config;
    const struct window_ops *windows = windows_of(s->plan);
    struct entry *e = entry_at(s, index);
    int64_t end_ms = windows->idle_ms(s, e), to_ms = idle_to(all, s, end_ms);
    if (to_ms > e->watermark_ms) {
        e->watermark_ms = to_ms;
        windows->advance(all, s, e);
        stream_judge_end(all, s, e);
    }
    if (to_ms < end_ms) {
        int64_t over_ms = windows->next_ms(s, e) + c->out_of_orderness_ms;
        uint32_t passed = stream_entry_open(s, index, over_ms);
        all->steps += (uint64_t)passed * PASSED_STEPS;
        return;
    }
    e->last_t_ms = all->moment.t_ms - c->idle_ms;
    stream_entry_move(s, index, LIST_QUIET);
}

static void on_early(struct streams *all, struct stream *s, uint32_t index)
{
    struct entry *e = entry_at(s, index);
    stream_early_remove(s, index);
    windows_of(s->plan)->early(all, s, e);
    e->early_from = INT64_MAX;
    stream_judge_end(all, s, e);
}

void streams_fire(struct streams *s, const struct stream_moment *moment,
                  const struct stream_out *out)
{
    uint32_t stream = 0;
    enum waiting what = WAIT_IDLE;
    int64_t deadline_ms = earliest(s, &stream, &what);
    assert(deadline_ms <= moment->t_ms);
    (void)deadline_ms;
    begin(s, moment, out);
    struct stream *fired = &s->streams[stream];
    uint32_t first = first_of(fired, what);
    if (what == WAIT_EARLY) {
        on_early(s, fired, first);
    } else if (what == WAIT_IDLE || what == WAIT_OVER) {
        on_idle(s, fired, first);
    } else {
        fired->counts.expired++;
        forget(s, fired, first);
    }
    s->look_ms = earliest(s, &stream, &what);
    s->out = NULL;
}
