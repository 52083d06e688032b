/* ledger: what became of everything that came in, counted in readings (an unreadable message is
 * one).
 *
 * Two equations hold in every commit (ledger_balances):
 *   received + retried = stored + duplicate + sum(rejected) + sum(shed)
 *   stored = held + sum(removed)
 * `received` counts deliveries; `retried` is the part of them that stays out of `received` because
 * the gateway itself took them a second
 * time (dead letters tried again). What came in but waits for its commit is `pending` and in none
 * of these. */
#ifndef STORAGE_LEDGER_H
#define STORAGE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"
#include "pipeline/reject.h"

enum shed_reason { SHED_QOS0_OVERLOAD, SHED_REASONS };

enum removal {
    REMOVED_AGE_FORWARDED,
    REMOVED_AGE_UNFORWARDED,
    REMOVED_SPACE_FORWARDED,
    REMOVED_SPACE_UNFORWARDED,
    REMOVALS
};

struct ledger {
    uint64_t received;
    uint64_t retried;
    uint64_t stored;
    uint64_t duplicate;
    uint64_t rejected[REJECT_REASON_END]; /* at REJECT_NONE: for reasons of a newer Weir */
    uint64_t shed[SHED_REASONS];
    uint64_t held;              /* the store's own; so is removed[] */
    uint64_t removed[REMOVALS];
    uint64_t sequence_restart;  /* of stored: device counted from the start again */
    uint64_t late;              /* of stored: too late for its window */
    uint64_t enrichment_left_out; /* alerts told without enrichment, by shedding */
    uint64_t results_left_out;  /* optional results not sent, by shedding */
    uint64_t raw_left_out;      /* of stored: not forwarded, by shedding or for want of room */
    uint64_t corrections;       /* readings too late for a window, forwarded; */
    uint64_t corrections_left_out; /* and not: beyond their budget, or by shedding */
};

bool ledger_balances(const struct ledger *l);
uint64_t ledger_rejected(const struct ledger *l); /* the sum */
uint64_t ledger_removed(const struct ledger *l);
const char *removal_name(enum removal removal);
const char *shed_name(enum shed_reason reason);
void ledger_save(const struct ledger *l, struct byte_writer *w);
void ledger_load(struct ledger *l, struct byte_reader *r);
/* What it gained since: at the end of a state, behind all that Weirs before look at. */
void ledger_save_more(const struct ledger *l, struct byte_writer *w);
void ledger_load_more(struct ledger *l, struct byte_reader *r);

#endif
