#include "storage/ledger.h"

#include <assert.h>

/* Saved lists carry their length, so that a newer Weir with more reasons reads an older file. The
 * version stays: a Weir that an update is rolled back to takes another one for damage. */
enum { LEDGER_VERSION = 2, LEDGER_WITHOUT_RAW = 1, LEDGER_WITH_CORRECTIONS = 3 /* read only */ };

static uint64_t sum(const uint64_t *counts, uint32_t count)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += counts[i];
    return total;
}

uint64_t ledger_rejected(const struct ledger *l)
{
    return sum(l->rejected, REJECT_REASON_END);
}

uint64_t ledger_removed(const struct ledger *l)
{
    return sum(l->removed, REMOVALS);
}

bool ledger_balances(const struct ledger *l)
{
    uint64_t in = l->received + l->retried;
    uint64_t out = l->stored + l->duplicate + ledger_rejected(l) + sum(l->shed, SHED_REASONS);
    return in == out && l->stored == l->held + ledger_removed(l);
}

const char *removal_name(enum removal removal)
{
    switch (removal) {
    case REMOVED_AGE_FORWARDED:
        return "age_forwarded";
    case REMOVED_AGE_UNFORWARDED:
        return "age_unforwarded";
    case REMOVED_SPACE_FORWARDED:
        return "space_forwarded";
    case REMOVED_SPACE_UNFORWARDED:
        return "space_unforwarded";
    case REMOVALS:
        break;
    }
    return "unknown";
}

const char *shed_name(enum shed_reason reason)
{
    switch (reason) {
    case SHED_QOS0_OVERLOAD:
        return "qos0_overload";
    case SHED_REASONS:
        break;
    }
    return "unknown";
}

static void put_list(struct byte_writer *w, const uint64_t *counts, uint32_t count)
{
    assert(count <= UINT8_MAX);
    put_u8(w, (uint8_t)count);
    for (uint32_t i = 0; i < count; i++)
        put_varint(w, counts[i]);
}

/* A list longer than ours was written by a newer Weir: what it counted there has no place here,
 * or goes to `others`. */
static void get_list(struct byte_reader *r, uint64_t *counts, uint32_t room, uint64_t *others)
{
    uint32_t count = get_u8(r);
    for (uint32_t i = 0; i < room; i++)
        counts[i] = i < count ? get_varint(r) : 0;
    for (uint32_t i = room; i < count; i++) {
        uint64_t more = get_varint(r);
        if (others != NULL)
            *others += more;
        else if (more != 0)
            r->failed = true;
    }
}

void ledger_save(const struct ledger *l, struct byte_writer *w)
{
    put_u8(w, LEDGER_VERSION);
    put_varint(w, l->received);
    put_varint(w, l->retried);
    put_varint(w, l->stored);
    put_varint(w, l->duplicate);
    put_list(w, l->rejected, REJECT_REASON_END);
    put_list(w, l->shed, SHED_REASONS);
    put_varint(w, l->held);
    put_list(w, l->removed, REMOVALS);
    put_varint(w, l->sequence_restart);
    put_varint(w, l->late);
    put_varint(w, l->enrichment_left_out);
    put_varint(w, l->results_left_out);
    put_varint(w, l->raw_left_out);
}

void ledger_save_more(const struct ledger *l, struct byte_writer *w)
{
    put_varint(w, l->corrections);
    put_varint(w, l->corrections_left_out);
}

void ledger_load_more(struct ledger *l, struct byte_reader *r)
{
    if (r->used == r->bytes)
        return; /* by a Weir that has none of these */
    l->corrections = get_varint(r);
    l->corrections_left_out = get_varint(r);
}

void ledger_load(struct ledger *l, struct byte_reader *r)
{
    uint8_t version = get_u8(r);
    if (version < LEDGER_WITHOUT_RAW || version > LEDGER_WITH_CORRECTIONS)
        r->failed = true;
    l->received = get_varint(r);
    l->retried = get_varint(r);
    l->stored = get_varint(r);
    l->duplicate = get_varint(r);
    get_list(r, l->rejected, REJECT_REASON_END, &l->rejected[REJECT_NONE]);
    get_list(r, l->shed, SHED_REASONS, NULL);
    l->held = get_varint(r);
    get_list(r, l->removed, REMOVALS, NULL);
    l->sequence_restart = get_varint(r);
    l->late = get_varint(r);
    l->enrichment_left_out = get_varint(r);
    l->results_left_out = get_varint(r);
    l->raw_left_out = version == LEDGER_WITHOUT_RAW ? 0 : get_varint(r);
    bool corrections = version == LEDGER_WITH_CORRECTIONS;
    l->corrections = corrections ? get_varint(r) : 0;
    l->corrections_left_out = corrections ? get_varint(r) : 0;
    if (r->failed)
        *l = (struct ledger){ 0 };
}
