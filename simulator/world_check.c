/* world_check: the invariants of world.h, from what is on the disk and what the receiver holds. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/world_state.h"

enum { SEQUENCES_MAX = WORLD_MESSAGES_MAX + 1 };

struct told { /* an alert as folding the journal tells it */
    struct hash128 key;
    uint32_t revision;
    bool cleared;
};

struct journal_fold { /* the whole journal, folded by itself */
    struct engine *engine;
    void *memory;
    bool pruned; /* the journal is not whole: only the ledger can be checked */
    uint64_t readings, rejects, timers, blocks;
    uint8_t stored[WORLD_DEVICES][SEQUENCES_MAX];
    struct told told[WORLD_ALERTS_MAX];
    uint32_t told_count;
    struct hash128 digest;
};

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct journal_fold *f = ctx;
    uint32_t i = 0;
    while (i < f->told_count &&
           (f->told[i].key.low != event->key.low || f->told[i].key.high != event->key.high))
        i++;
    if (i == f->told_count) {
        assert(f->told_count < WORLD_ALERTS_MAX);
        f->told_count++;
    }
    f->told[i] = (struct told){ .key = event->key,
                                .revision = event->alert->revision,
                                .cleared = event->transition == ALERT_CLEAR };
}

static void on_result(void *ctx, const struct window_result *result)
{
    (void)ctx;
    assert(result->aggregate.count > 0);
}

static void on_late(void *ctx, const struct record *record)
{
    (void)ctx;
    assert(record->kind == RECORD_READING);
}

static void count_reading(struct world *w, struct journal_fold *f, const struct record *record)
{
    const struct reading *r = &record->reading;
    f->readings++;
    if (w->trace)
        printf("    reading %.*s seq=%llu time=%lld\n", (int)r->device.bytes, r->device.at,
               (unsigned long long)r->sequence, (long long)r->device_time_ms);
    if (r->device.bytes != 2 || r->device.at[0] != 'd' || r->sequence >= SEQUENCES_MAX)
        return;
    uint32_t device = (uint32_t)(r->device.at[1] - '0');
    if (device >= WORLD_DEVICES)
        return;
    if (++f->stored[device][r->sequence] > 1)
        world_break(w, "A2: device d%u, sequence %llu is in the journal twice", device,
                    (unsigned long long)r->sequence);
}

static void fold_block(struct world *w, struct journal_fold *f, uint64_t number, size_t bytes)
{
    const struct engine_out out = {
        .ctx = f, .alert = on_alert, .result = on_result, .late = on_late
    };
    struct text block = { (const char *)w->fold.block, (uint32_t)bytes };
    struct record record;
    int more = block_open(w->fold.reader, block);
    engine_begin_block(f->engine, number);
    while (more == 0 && (more = block_next(w->fold.reader, &record)) == 1) {
        engine_apply(f->engine, &record, &out);
        if (record.kind == RECORD_READING)
            count_reading(w, f, &record);
        f->rejects += record.kind == RECORD_REJECT;
        f->timers += record.kind == RECORD_TICK ? record.count : 0;
        more = 0;
    }
    if (more < 0)
        world_break(w, "A1: journal block %llu does not read: %s", (unsigned long long)number,
                    weir_err_text(more));
}

static void compare_digest(struct world *w, struct journal_fold *f, uint64_t number)
{
    engine_begin_block(f->engine, number + 1);
    f->digest = engine_digest(f->engine);
    struct hash128 live = w->digests[number];
    if (live.low != f->digest.low || live.high != f->digest.high)
        world_break(w, "A4: the state at the end of block %llu is not what the journal folds to",
                    (unsigned long long)number);
}

static void fold_journal(struct world *w, struct journal_fold *f)
{
    struct arena measured = arena_measure();
    (void)engine_init(&w->config->engine, &measured);
    f->memory = calloc(1, measured.used + ARENA_ALIGN);
    assert(f->memory != NULL);
    struct arena arena = arena_over(f->memory, measured.used + ARENA_ALIGN);
    f->engine = engine_init(&w->config->engine, &arena);
    for (uint64_t from = 1, number = 0;; from = number + 1) {
        size_t bytes = 0;
        int error =
            store_block_read(w->store, from, w->fold.block, w->fold.block_bytes, &number, &bytes);
        if (error != 0)
            world_break(w, "A1: journal from block %llu: %s", (unsigned long long)from,
                        weir_err_text(error));
        if (number > from)
            f->pruned = true;
        if (error != 0 || number == 0 || f->pruned)
            return;
        fold_block(w, f, number, bytes);
        compare_digest(w, f, number);
        f->blocks++;
    }
}

static void check_acknowledged(struct world *w, const struct journal_fold *f)
{
    uint64_t bad = 0;
    if (f->pruned)
        return;
    for (uint32_t i = 0; i < w->devices.count; i++) {
        const struct world_message *m = &w->devices.messages[i];
        if (!m->acknowledged)
            continue;
        bad += m->kind == MESSAGE_BAD;
        if (m->kind == MESSAGE_GOOD && f->stored[m->device][m->sequence] == 0)
            world_break(w,
                        "A1: device d%u, sequence %llu was acknowledged and is not in the journal",
                        m->device, (unsigned long long)m->sequence);
    }
    if (f->rejects < bad)
        world_break(w, "A1: %llu bad messages were acknowledged, the journal has %llu rejects",
                    (unsigned long long)bad, (unsigned long long)f->rejects);
}

static void check_ledger(struct world *w, const struct ledger *l, const struct journal_fold *f)
{
    if (!ledger_balances(l))
        world_break(w, "A3: the ledger does not balance");
    if (!f->pruned && (l->stored != f->readings || ledger_rejected(l) != f->rejects))
        world_break(w,
                    "A3: the ledger says %llu stored, %llu rejected; the journal has %llu and %llu",
                    (unsigned long long)l->stored, (unsigned long long)ledger_rejected(l),
                    (unsigned long long)f->readings, (unsigned long long)f->rejects);
}

void check_always(struct world *w, const struct store_recovery *recovery)
{
    struct journal_fold *f = calloc(1, sizeof *f);
    assert(f != NULL);
    fold_journal(w, f);
    check_acknowledged(w, f);
    check_ledger(w, &recovery->ledger, f);
    free(f->memory);
    free(f);
}

static void compare_alerts(struct world *w, const struct journal_fold *f)
{
    const struct world_cloud *c = &w->cloud;
    for (uint32_t i = 0; i < f->told_count; i++) {
        const struct told *t = &f->told[i];
        const struct receiver_alert *has = NULL;
        for (uint32_t k = 0; k < c->alert_count; k++)
            if (c->alerts[k].key.low == t->key.low && c->alerts[k].key.high == t->key.high)
                has = &c->alerts[k];
        if (has == NULL || has->revision != t->revision || has->cleared != t->cleared)
            world_break(w, "E3: an alert stands at revision %u, the receiver has %u", t->revision,
                        has == NULL ? 0 : has->revision);
    }
    if (c->alert_count != f->told_count)
        world_break(w, "E3: the journal tells %u alerts, the receiver has %u", f->told_count,
                    c->alert_count);
}

void check_finally(struct world *w)
{
    struct journal_fold *f = calloc(1, sizeof *f);
    struct gateway_view view = gateway_view(w->gateway);
    assert(f != NULL);
    fold_journal(w, f);
    check_acknowledged(w, f);
    check_ledger(w, &view.ledger, f);
    for (uint32_t i = 0; i < w->devices.count; i++)
        if (!w->devices.messages[i].acknowledged)
            world_break(w, "E1: message %u was never acknowledged", i);
    if (!f->pruned)
        compare_alerts(w, f);
    else
        WORLD_COUNT(w, JOURNAL_PRUNED);
    if (f->timers > 0)
        WORLD_COUNT(w, TIMER_FIRED);
    w->outcome.events[WORLD_DUPLICATE_FOUND] += view.ledger.duplicate;
    w->outcome.alerts = f->told_count;
    w->outcome.digest[0] = f->digest.low;
    w->outcome.digest[1] = f->digest.high;
    free(f->memory);
    free(f);
}
