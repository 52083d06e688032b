/* world_fold: the journal folded by itself, beside the gateway, a block as soon as it is committed:
 * what it holds of each message, what it makes the engine say, and in which order timers fire. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "simulator/world_state.h"

/* --- readings --- */

/* Index of the message that a reading comes from; UINT32_MAX: nobody sent it. */
static uint32_t find_message(const struct world *w, const struct reading *r)
{
    const struct world_devices *d = &w->devices;
    if (r->device.bytes != 2 || r->device.at[0] != 'd')
        return UINT32_MAX;
    uint32_t device = (uint32_t)(r->device.at[1] - '0');
    uint64_t sequence = r->has_sequence ? r->sequence : 0;
    for (uint32_t i = d->count; i-- > 0;) {
        const struct world_message *m = &d->messages[i];
        if (m->same_as == i && m->device == device && m->sequence == sequence &&
            message_reading_is_good(m, r->index) &&
            message_time_ms(m, r->index) == r->device_time_ms)
            return i;
    }
    return UINT32_MAX;
}

static bool has_bit(const uint64_t bits[2], uint32_t index)
{
    return (bits[index / 64] >> (index % 64) & 1) != 0;
}

static void set_bit(uint64_t bits[2], uint32_t index, bool on)
{
    uint64_t bit = (uint64_t)1 << (index % 64);
    bits[index / 64] = on ? bits[index / 64] | bit : bits[index / 64] & ~bit;
}

static bool run_has(const struct dedup_range *run, const struct world_message *m)
{
    int64_t last_ms = message_time_ms(m, m->readings - 1);
    return run->first <= m->sequence && m->sequence <= run->last && run->first_ms <= last_ms &&
           m->time_ms <= run->last_ms;
}

/* The horizon passes the numbers of one run. */
static void forget_run(struct world *w, uint32_t device, const struct dedup_range *run)
{
    const struct world_devices *d = &w->devices;
    for (uint32_t i = 0; i < d->count; i++) {
        struct seen_message *seen = &w->journal.fold.messages[i];
        if (d->messages[i].same_as == i && d->messages[i].device == device &&
            run_has(run, &d->messages[i]))
            memcpy(seen->forgotten, seen->stored, sizeof seen->forgotten);
    }
}

static struct dedup *dedup_of(struct seen_device *d)
{
    return (struct dedup *)d->dedup;
}

/* What a device has room for: one that sends readings of both kinds has half of the runs. */
static struct dedup_config room_of(const struct world *w, struct seen_device *d)
{
    const struct dedup_config *config = &w->config->engine.dedup;
    return dedup_of(d)->mixed ? dedup_mixed(config) : *config;
}

static void mark(struct world *w, uint32_t device, const struct reading *r)
{
    struct seen_device *d = &w->journal.fold.devices[device];
    struct dedup *dedup = dedup_of(d);
    struct dedup_range before[DEDUP_RANGES_MAX];
    for (uint32_t i = 0; i < dedup->range_count; i++)
        before[i] = dedup_run(dedup, i);
    d->marks++;
    uint32_t forgotten = dedup_mark(dedup, &w->config->engine.dedup, r);
    if (forgotten > 0 && dedup->range_count < room_of(w, d).ranges)
        world_break(w, "A2: device d%u: a run of numbers was given up although there was room",
                    device);
    for (uint32_t i = 0; i < forgotten; i++)
        forget_run(w, device, &before[i]);
}

static void check_once(struct world *w, uint32_t index, const struct reading *r)
{
    const struct world_message *m = &w->devices.messages[index];
    struct seen_message *seen = &w->journal.fold.messages[index];
    struct seen_device *d = &w->journal.fold.devices[m->device];
    bool again = has_bit(seen->stored, r->index);
    bool beyond = r->has_sequence ? has_bit(seen->forgotten, r->index)
                                  : d->marks - seen->mark >= room_of(w, d).keep;
    if (again && !beyond)
        world_break(w, "A2: device d%u, sequence %llu at %lld, index %u is in the journal twice",
                    m->device, (unsigned long long)m->sequence, (long long)r->device_time_ms,
                    r->index);
    if (again)
        WORLD_COUNT(w, DUPLICATE_BEYOND_HORIZON);
    set_bit(seen->forgotten, r->index, false);
    set_bit(seen->stored, r->index, true);
    mark(w, m->device, r);
    seen->mark = d->marks;
}

static void note_reading(struct world *w, const struct record *record, uint64_t block)
{
    struct world_fold *f = &w->journal.fold;
    const struct reading *r = &record->reading;
    uint32_t index = find_message(w, r);
    f->readings++;
    if (index == UINT32_MAX) {
        world_break(w, "A1: block %llu holds a reading of %.*s that nobody sent",
                    (unsigned long long)block, (int)r->device.bytes, r->device.at);
        return;
    }
    const struct world_message *m = &w->devices.messages[index];
    double off = r->value.number - message_value(m, r->index);
    if (off > 0.1 || off < -0.1)
        world_break(w, "A1: device d%u, sequence %llu, index %u: another value than was sent",
                    m->device, (unsigned long long)m->sequence, r->index);
    f->temps += text_equal(r->metric, text_of("temp"));
    struct seen_message *seen = &f->messages[index];
    if (seen->block != 0 && seen->block != block && !has_bit(seen->stored, r->index))
        WORLD_COUNT(w, MESSAGE_OVER_TWO_BLOCKS);
    seen->block = block;
    check_once(w, index, r);
    if (w->trace)
        printf("    block %llu: d%u seq=%llu time=%lld index=%u\n", (unsigned long long)block,
               m->device, (unsigned long long)m->sequence, (long long)r->device_time_ms, r->index);
}

bool fold_has(const struct world *w, const struct world_message *m)
{
    const struct seen_message *seen = &w->journal.fold.messages[m->same_as];
    for (uint32_t i = 0; i < m->readings; i++)
        if (message_reading_is_good(m, i) && !has_bit(seen->stored, i))
            return false;
    return true;
}

/* --- what the engine says --- */

static struct told *told_of(struct world_fold *f, struct hash128 key)
{
    for (uint32_t i = f->told_count; i-- > 0;)
        if (f->told[i].key.low == key.low && f->told[i].key.high == key.high)
            return &f->told[i];
    assert(f->told_count < WORLD_ALERTS_MAX);
    f->told[f->told_count] = (struct told){ .key = key };
    return &f->told[f->told_count++];
}

/* The next row of the block that is an alert's, not a notice; NULL: there is none. */
static const struct given_row *next_row(struct world *w)
{
    struct world_journal *j = &w->journal;
    uint64_t end = j->blocks[j->fold.block].lanes[LANE_ALERTS].next_sequence;
    while (j->fold.alert_row < end) {
        const struct given_row *row = &j->alerts[j->fold.alert_row++];
        if (row->key.low != 0 || row->key.high != 0)
            return row;
    }
    return NULL;
}

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct world *w = ctx;
    struct world_fold *f = &w->journal.fold;
    struct told *t = told_of(f, event->key);
    made_alert(&f->made, event);
    uint32_t revision = event->alert->revision;
    struct hash128 key = alert_key(w->store_id, event->device, event->metric,
                                   text_of(event->rule->name), event->alert->number);
    if (key.low != event->key.low || key.high != event->key.high)
        world_break(w, "A5: alert %s has an id that another store's would have", event->id);
    if (t->cleared || revision != t->revision + 1)
        world_break(w, "A11: alert %s: revision %u follows revision %u%s", event->id, revision,
                    t->revision, t->cleared ? ", which cleared it" : "");
    t->revision = revision;
    t->cleared = event->transition == ALERT_CLEAR;
    const struct given_row *row = next_row(w);
    if (row == NULL || row->key.low != event->key.low || row->key.high != event->key.high ||
        row->revision != revision || row->cleared != t->cleared)
        world_break(w, "A8: block %llu tells revision %u of alert %s, its rows tell %s",
                    (unsigned long long)f->block, revision, event->id,
                    row == NULL ? "nothing more" : "another");
}

static void note_count(struct window_counts *counts, struct window_count count)
{
    uint32_t i = counts->used;
    while (i > 0 && (counts->of[i - 1].device != count.device ||
                     counts->of[i - 1].start_ms != count.start_ms))
        i--;
    if (i == 0) {
        assert(counts->used < WORLD_WINDOWS_MAX);
        i = ++counts->used;
    }
    counts->of[i - 1] = count;
}

static void on_result(void *ctx, const struct window_result *result)
{
    struct world *w = ctx;
    struct world_fold *f = &w->journal.fold;
    made_result(&f->made, result);
    bool leaves = engine_shed_level(f->engine) < SHED_OPTIONAL || result->alert_open;
    f->results += leaves;
    f->results_left_out += !leaves;
    if (!leaves)
        WORLD_COUNT(w, RESULT_LEFT_OUT);
    if (text_equal(result->metric, text_of("temp")))
        note_count(&f->windows, (struct window_count){ (uint32_t)(result->device.at[1] - '0'),
                                                       result->start_ms, result->aggregate.count });
}

/* Its rows hold a value each. */
static void on_stream(void *ctx, const struct stream_result *result)
{
    struct world *w = ctx;
    struct world_fold *f = &w->journal.fold;
    bool leaves = engine_shed_level(f->engine) < SHED_OPTIONAL;
    made_stream(&f->made, result);
    f->results += leaves ? result->count : 0;
    f->results_left_out += !leaves;
    WORLD_COUNT(w, STREAM_RESULT);
    if (result->kind == STREAM_REVISION)
        WORLD_COUNT(w, STREAM_REVISION);
    if (result->kind == STREAM_RETRACTION)
        WORLD_COUNT(w, STREAM_RETRACTION);
    if (text_equal(result->stream, text_of("temps"))) /* key: 0, 2 (text), 2 bytes, "dN" */
        note_count(&f->stream_windows,
                   (struct window_count){ (uint32_t)(result->key.at[4] - '0'), result->start_ms,
                                          (uint64_t)result->values[0].value.number });
}

static void on_too_late(void *ctx, const struct stream_late *late)
{
    struct world *w = ctx;
    made_late(&w->journal.fold.made, late);
}

static void on_late(void *ctx, const struct record *record)
{
    struct world *w = ctx;
    w->journal.fold.late++;
    w->journal.fold.late_temps += text_equal(record->reading.metric, text_of("temp"));
    WORLD_COUNT(w, READING_TOO_LATE);
}

/* --- blocks --- */

/* As the gateway did it: each by itself, at its own deadline. */
static void fire_timers(struct world *w, const struct record *tick, const struct engine_out *out)
{
    struct world_fold *f = &w->journal.fold;
    for (uint64_t i = 0; i < tick->count; i++) {
        int64_t deadline_ms = engine_deadline(f->engine, tick->t_ms);
        /* Readings that were held back for their order may set a deadline into the past. */
        bool back = deadline_ms < f->fired_ms && !w->plan.reorder;
        if (deadline_ms > tick->t_ms || back) {
            world_break(w, "A10: block %llu: a timer of %lld fired at %lld, after one of %lld",
                        (unsigned long long)f->block, (long long)deadline_ms,
                        (long long)tick->t_ms, (long long)f->fired_ms);
            return;
        }
        f->fired_ms = deadline_ms;
        engine_fire(f->engine, out);
        WORLD_COUNT(w, TIMER_FIRED);
    }
}

static void check_level(struct world *w, uint64_t to)
{
    uint64_t from = engine_shed_level(w->journal.fold.engine);
    if (to == from || to >= SHED_LEVELS || to > from + 1 || (to + 1 < from && to != SHED_NORMAL))
        world_break(w, "A13: block %llu: the shed level goes from %llu to %llu",
                    (unsigned long long)w->journal.fold.block, (unsigned long long)from,
                    (unsigned long long)to);
    if (to + 1 < from)
        WORLD_COUNT(w, RESTARTED_WHILE_SHEDDING);
}

static void check_made(struct world *w, const struct record *record)
{
    struct world_fold *f = &w->journal.fold;
    struct made_sum then, now = made_sum(&f->made);
    f->made_told = true;
    if (!made_unpack(record->content, &then) || memcmp(&then, &now, sizeof now) != 0)
        world_break(w, "A14: block %llu says that it made %llu alerts and %llu results; its fold "
                    "makes %llu and %llu, or others", (unsigned long long)f->block,
                    (unsigned long long)then.alerts, (unsigned long long)then.results,
                    (unsigned long long)now.alerts, (unsigned long long)now.results);
}

static void apply(struct world *w, struct record *record, const struct engine_out *out)
{
    struct world_fold *f = &w->journal.fold;
    if (record->kind == RECORD_TICK) {
        fire_timers(w, record, out);
        record->count = 0;
    }
    if (world_broken(w))
        return;
    int64_t due_ms = engine_deadline(f->engine, record->t_ms);
    if (record->kind == RECORD_READING && due_ms <= record->t_ms) {
        world_break(w, "A10: block %llu: a reading at %lld comes before a timer of %lld",
                    (unsigned long long)f->block, (long long)record->t_ms,
                    (long long)due_ms);
        return;
    }
    if (record->kind == RECORD_SHED)
        check_level(w, record->count);
    engine_apply(f->engine, record, out);
    if (record->kind == RECORD_MADE)
        check_made(w, record);
    if (record->kind == RECORD_READING)
        note_reading(w, record, f->block);
    f->rejects += record->kind == RECORD_REJECT;
}

static void note_raw(struct world *w)
{
    struct world_fold *f = &w->journal.fold;
    bool leaves = engine_shed_level(f->engine) < SHED_OPTIONAL;
    f->raw += leaves;
    f->raw_left_out += !leaves;
    if (!leaves)
        WORLD_COUNT(w, RAW_LEFT_OUT);
}

static void apply_records(struct world *w, const struct given_block *given)
{
    const struct engine_out out = {
        .ctx = w, .alert = on_alert, .result = on_result, .stream = on_stream, .late = on_late,
        .too_late = on_too_late
    };
    struct text bytes = { (const char *)w->journal.bytes + given->offset, given->bytes };
    struct record record;
    int more = bytes.bytes > 0 ? block_open(w->fold.reader, bytes) : 0;
    while (bytes.bytes > 0 && more == 0 && !world_broken(w) &&
           (more = block_next(w->fold.reader, &record)) == 1) {
        apply(w, &record, &out);
        more = 0;
        if (record.kind == RECORD_READING && w->plan.raw)
            note_raw(w);
    }
    if (more < 0)
        world_break(w, "A1: journal block %llu does not read: %s",
                    (unsigned long long)w->journal.fold.block, weir_err_text(more));
}

static void compare_outputs(struct world *w, const struct given_block *given)
{
    const struct world_fold *f = &w->journal.fold;
    if (!f->made_told && !made_nothing(&f->made))
        world_break(w, "A14: block %llu does not say what it made", (unsigned long long)f->block);
    if (next_row(w) != NULL)
        world_break(w, "A8: block %llu has a row for an alert that it does not tell",
                    (unsigned long long)f->block);
    if (f->results != given->results || f->raw != given->raw)
        world_break(w, "A8: block %llu makes %llu results and %llu raw readings, its rows hold "
                    "%llu and %llu", (unsigned long long)f->block, (unsigned long long)f->results,
                    (unsigned long long)f->raw, (unsigned long long)given->results,
                    (unsigned long long)given->raw);
}

static void compare_state(struct world *w, const struct given_block *given)
{
    struct world_fold *f = &w->journal.fold;
    engine_begin_block(f->engine, f->block + 1);
    struct hash128 digest = engine_digest(f->engine);
    if (given->digest.low != digest.low || given->digest.high != digest.high)
        world_break(w, "A4: the state at the end of block %llu is not what the journal folds to",
                    (unsigned long long)f->block);
}

static void compare_ledger(struct world *w, const struct given_block *given)
{
    const struct world_fold *f = &w->journal.fold;
    const struct ledger *l = &given->ledger;
    if (l->stored != f->readings || ledger_rejected(l) != f->rejects || l->late != f->late)
        world_break(w, "A3: with block %llu the ledger says %llu stored, %llu rejected, %llu late; "
                    "the journal %llu, %llu, %llu", (unsigned long long)f->block,
                    (unsigned long long)l->stored, (unsigned long long)ledger_rejected(l),
                    (unsigned long long)l->late, (unsigned long long)f->readings,
                    (unsigned long long)f->rejects, (unsigned long long)f->late);
    if (l->results_left_out != f->results_left_out || l->raw_left_out != f->raw_left_out)
        world_break(w, "A12: with block %llu the ledger says that %llu results and %llu raw "
                    "readings were left out; the journal %llu and %llu",
                    (unsigned long long)f->block, (unsigned long long)l->results_left_out,
                    (unsigned long long)l->raw_left_out, (unsigned long long)f->results_left_out,
                    (unsigned long long)f->raw_left_out);
}

void fold_block(struct world *w, uint64_t number)
{
    struct world_fold *f = &w->journal.fold;
    const struct given_block *given = &w->journal.blocks[number];
    assert(number == f->block + 1);
    f->block = number;
    f->alert_row = given->first_row[LANE_ALERTS];
    f->results = f->raw = 0;
    f->made_told = false;
    made_begin(&f->made);
    f->letters += given->letters;
    engine_begin_block(f->engine, number);
    apply_records(w, given);
    if (world_broken(w))
        return;
    compare_outputs(w, given);
    compare_state(w, given);
    compare_ledger(w, given);
}

void fold_begin(struct world *w)
{
    struct world_journal *j = &w->journal;
    memset(&j->fold, 0, sizeof j->fold);
    memset(j->engine_memory, 0, j->engine_bytes);
    struct arena arena = arena_over(j->engine_memory, j->engine_bytes);
    j->fold.engine = engine_init(&w->config->engine, &arena);
    for (uint32_t i = 0; i < WORLD_DEVICES; i++) {
        dedup_init(dedup_of(&j->fold.devices[i]));
    }
}
