/* made: what a journal block made the pipeline say, counted and digested. The gateway journals it
 * with the block (RECORD_MADE), so that the journal alone can tell whether a replay says the same:
 * the rows of the outbox are gone as soon as they have arrived.
 *
 * It covers what alerts, window results and results of streams say, field by field and in their
 * order; not where they stand in a lane and when they were recorded, nor what the inventory or
 * shedding adds to an alert or leaves out of it. 64 bits of SipHash for each kind: enough against
 * chance, and nobody gains by forging it. */
#ifndef PIPELINE_MADE_H
#define PIPELINE_MADE_H

#include "pipeline/alerts/alert.h"
#include "pipeline/hash.h"
#include "pipeline/streams/streams.h"
#include "pipeline/window.h"

enum {
    MADE_FORM = 1,      /* what is digested; one more whenever that changes. Stored */
    MADE_BYTES_MAX = 40 /* of a sum, packed */
};

struct made { /* while it is being made */
    uint64_t alerts, results; /* told; of streams too */
    struct hash_state alert_hash, result_hash;
};

struct made_sum {
    uint64_t form;
    uint64_t alerts, results;
    uint64_t alert_digest, result_digest;
};

void made_begin(struct made *m);
/* About 0.2 us each. */
void made_alert(struct made *m, const struct alert_event *event);
void made_result(struct made *m, const struct window_result *result);
void made_stream(struct made *m, const struct stream_result *result);
struct made_sum made_sum(const struct made *m);

/* The slice of `to` that it takes. */
struct text made_pack(const struct made_sum *sum, uint8_t to[MADE_BYTES_MAX]);
/* False: those bytes are no sum. One of another form has its form and no more. */
bool made_unpack(struct text bytes, struct made_sum *sum);

#endif
