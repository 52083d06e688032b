/* cloud_store: what a receiver keeps, in one SQLite file, by the receiver's rule of
 * docs/receiver.md. Its SQL is meant to be copied. Everything between cloud_store_begin and
 * cloud_store_commit is one transaction; a receipt may only be sent for what has been committed. */
#ifndef SIMULATOR_CLOUD_STORE_H
#define SIMULATOR_CLOUD_STORE_H

#include <stdio.h>

#include "simulator/cloud_event.h"

struct cloud_store; /* opaque */

/* NULL with a sentence on stderr. */
struct cloud_store *cloud_store_open(const char *path);
void cloud_store_close(struct cloud_store *store);

/* 0 or WEIR_EIO, said on stderr. */
int cloud_store_begin(struct cloud_store *store);
int cloud_store_commit(struct cloud_store *store);

enum cloud_effect {
    CLOUD_APPLIED,   /* it changed what is held */
    CLOUD_IGNORED,   /* known, or older than what is held */
    CLOUD_FAULTY     /* breaks the specification; kept aside */
};

/* Apply one event of `gateway` that arrived at `arrived_ms` (wall time). *effect is valid when 0
 * is returned. */
int cloud_store_apply(struct cloud_store *store, const char *gateway, struct cloud_event *event,
                      int64_t arrived_ms, enum cloud_effect *effect);

struct cloud_lane { /* of one gateway's store */
    char gateway[CLOUD_WORD_BYTES], store[33], lane[16];
    uint64_t contiguous;   /* everything up to here has arrived, or is known to be gone */
    uint64_t hole_to;      /* contiguous + 1 .. hole_to is missing; 0: no hole */
    int64_t moved_ms;      /* when `contiguous` last moved */
};

/* Show each lane. */
int cloud_store_lanes(struct cloud_store *store, void *ctx,
                      void (*show)(void *ctx, const struct cloud_lane *lane));

/* The lane's first hole will not be filled any more: go on behind it, counted. Within a
 * transaction. */
int cloud_store_give_up(struct cloud_store *store, const struct cloud_lane *lane, int64_t now_ms);

/* One JSON object: counts, lanes, holes. */
int cloud_store_report(struct cloud_store *store, FILE *out);

#endif
