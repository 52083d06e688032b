/* world_check: the invariants that are seen on the disk after a restart, and at the end. */
#include <assert.h>
#include <string.h>

#include "pipeline/codec/envelope.h"
#include "simulator/world_state.h"

enum { LETTERS_AT_ONCE = 64 };

/* --- the outbox --- */

static const struct told *told_of(const struct world *w, struct hash128 key)
{
    const struct world_fold *f = &w->journal.fold;
    for (uint32_t i = 0; i < f->told_count; i++)
        if (f->told[i].key.low == key.low && f->told[i].key.high == key.high)
            return &f->told[i];
    return NULL;
}

/* An alert that stands is never given up for space. */
static void check_eviction(struct world *w, uint64_t sequence)
{
    const struct given_row *row = &w->journal.alerts[sequence];
    const struct told *t = told_of(w, row->key);
    if (t != NULL && t->revision == row->revision && !t->cleared)
        world_break(w, "A9: alerts' sequence %llu was given up although that alert stands",
                    (unsigned long long)sequence);
}

static void check_gap(struct world *w, enum lane lane, uint64_t from, uint64_t to)
{
    bool crowded =
        w->plan.small_outbox || w->plan.storms || w->outcome.events[WORLD_DISK_FULL] > 0;
    crowded = crowded || (lane != LANE_ALERTS && w->plan.short_memory); /* too old */
    for (uint64_t s = from; s <= to; s++) {
        if (w->cloud.refusals[lane][s] >= w->plan.refusals_max)
            continue;
        if (!crowded)
            world_break(w, "A9: lane %d sequence %llu is a gap, and nothing was short", (int)lane,
                        (unsigned long long)s);
        else if (lane == LANE_ALERTS)
            check_eviction(w, s);
    }
}

static void check_lane(struct world *w, enum lane lane, const struct lane_state *state)
{
    static uint8_t bytes[GATEWAY_FETCH_BYTES];
    static struct outbox_row rows[GATEWAY_FETCH_ROWS];
    uint64_t has = w->plan.receipts ? w->cloud.contiguous[lane] : w->cloud.puback_contiguous[lane];
    uint64_t expected = (state->covered < has ? state->covered : has) + 1;
    uint32_t count = 1;
    while (count > 0 && !world_broken(w)) {
        int error = store_outbox_read(w->store, lane, expected, bytes, sizeof bytes, rows,
                                      GATEWAY_FETCH_ROWS, &count);
        if (error != 0)
            world_break(w, "A9: the outbox does not read: %s", weir_err_text(error));
        for (uint32_t i = 0; error == 0 && i < count; i++) {
            uint64_t gap = cloud_gap_from(&rows[i]);
            if ((gap != 0 ? gap : rows[i].sequence) > expected)
                world_break(w, "A9: lane %d sequence %llu is gone from the outbox", (int)lane,
                            (unsigned long long)expected);
            else if (gap != 0)
                check_gap(w, lane, gap, rows[i].sequence);
            expected = rows[i].sequence + 1;
        }
    }
    if (expected != state->next_sequence)
        world_break(w, "A9: lane %d sequence %llu is gone from the outbox", (int)lane,
                    (unsigned long long)expected);
}

void check_outbox(struct world *w, const struct store_recovery *recovery)
{
    for (int lane = 0; lane < LANES && !world_broken(w); lane++)
        check_lane(w, (enum lane)lane, &recovery->lanes[lane]);
}

/* --- dead letters --- */

static uint64_t count_letters(struct world *w)
{
    static uint8_t bytes[GATEWAY_FETCH_BYTES];
    struct dead_letter letters[LETTERS_AT_ONCE];
    uint64_t found = 0, after = 0;
    uint32_t count = 1;
    while (count > 0) {
        int error = store_letters_read(w->store, after, bytes, sizeof bytes, letters,
                                       LETTERS_AT_ONCE, &count);
        if (error != 0) {
            world_break(w, "A1: the dead letters do not read: %s", weir_err_text(error));
            return 0;
        }
        for (uint32_t i = 0; i < count; i++)
            found += letters[i].reason != REJECT_UPSTREAM_REFUSED;
        after = count > 0 ? letters[count - 1].id : after;
    }
    return found;
}

void check_letters(struct world *w)
{
    uint64_t found = count_letters(w);
    bool crowded = w->outcome.events[WORLD_DISK_FULL] > 0;
    if (!crowded && found != w->journal.fold.letters)
        world_break(w, "A1: %llu dead letters were committed, the store has %llu",
                    (unsigned long long)w->journal.fold.letters, (unsigned long long)found);
}

/* --- at the end --- */

/* The last revision that no gap event took from the receiver. */
static uint32_t receivable(const struct world *w, struct hash128 key, uint64_t rows)
{
    uint32_t revision = 0;
    for (uint64_t s = 1; s < rows; s++) {
        const struct given_row *row = &w->journal.alerts[s];
        if (row->key.low == key.low && row->key.high == key.high && !w->cloud.lacks[LANE_ALERTS][s])
            revision = row->revision > revision ? row->revision : revision;
    }
    return revision;
}

static void compare_alerts(struct world *w, uint64_t rows)
{
    const struct world_cloud *c = &w->cloud;
    const struct world_fold *f = &w->journal.fold;
    uint32_t expected = 0;
    for (uint32_t i = 0; i < f->told_count; i++) {
        const struct told *t = &f->told[i];
        const struct receiver_alert *has = NULL;
        uint32_t wanted = receivable(w, t->key, rows);
        for (uint32_t k = 0; k < c->alert_count; k++)
            if (c->alerts[k].key.low == t->key.low && c->alerts[k].key.high == t->key.high)
                has = &c->alerts[k];
        expected += wanted > 0;
        uint32_t revision = has == NULL ? 0 : has->revision;
        if (revision != wanted || (wanted == t->revision && has->cleared != t->cleared))
            world_break(w, "E3: an alert stands at revision %u, the receiver could have %u, has %u",
                        t->revision, wanted, revision);
    }
    if (c->alert_count != expected)
        world_break(w, "E3: the journal tells %u alerts, the receiver has %u", expected,
                    c->alert_count);
}

static uint64_t counted_in(const struct window_counts *windows)
{
    uint64_t counted = 0;
    for (uint32_t i = 0; i < windows->used; i++)
        counted += windows->of[i].count;
    return counted;
}

static void compare_windows(struct world *w)
{
    const struct world_fold *f = &w->journal.fold;
    uint64_t counted = f->late_temps + counted_in(&f->windows);
    if (counted != f->temps)
        world_break(w, "E4: %llu readings are stored, windows and lateness count %llu",
                    (unsigned long long)f->temps, (unsigned long long)counted);
    struct stream_counts temps = engine_stream_counts(f->engine, 0);
    counted = temps.late + counted_in(&f->stream_windows);
    if (temps.taken != f->temps || counted != temps.taken)
        world_break(w, "E4: of %llu readings a stream took %llu, windows and lateness count %llu",
                    (unsigned long long)f->temps, (unsigned long long)temps.taken,
                    (unsigned long long)counted);
}

void check_finally(struct world *w)
{
    struct gateway_view view = gateway_view(w->gateway);
    const struct world_fold *f = &w->journal.fold;
    for (uint32_t i = 0; i < w->devices.count; i++) {
        const struct world_message *m = &w->devices.messages[i];
        if (!m->acknowledged && !m->done)
            world_break(w, "E1: message %u was never acknowledged", i);
    }
    if (engine_shed_level(f->engine) != SHED_NORMAL)
        world_break(w, "E5: the journal ends at shed level %d", (int)engine_shed_level(f->engine));
    check_letters(w);
    compare_alerts(w, view.lanes[LANE_ALERTS].next_sequence);
    compare_windows(w);
    w->outcome.events[WORLD_DUPLICATE_FOUND] += view.ledger.duplicate;
    w->outcome.events[WORLD_STREAM_KEY_EVICTED] += engine_stream_counts(f->engine, 1).evicted;
    w->outcome.alerts = f->told_count;
    struct hash128 digest = engine_digest(f->engine);
    w->outcome.digest[0] = digest.low;
    w->outcome.digest[1] = digest.high;
}
