/* made: what a journal block made the pipeline say, counted and digested. The gateway journals it
 * with the block (RECORD_MADE), so that the journal alone can tell whether a replay says the same:
 * the rows of the outbox are gone as soon as they have arrived.
 *
 * It covers what alerts, window results and results of streams say, field by field and in their
 * order, and which readings are too late for which windows, where `late: side_output` asks for that
 * (whether a correction then leaves is its budget's); not where they stand in a lane and when they
 * were recorded, nor what the inventory or shedding adds to an alert or leaves out of it. 64 bits
 * of SipHash for each kind: enough against chance, and nobody gains by forging it. */
#ifndef PIPELINE_MADE_H
#define PIPELINE_MADE_H

#include "pipeline/alerts/alert.h"
#include "pipeline/hash.h"
#include "pipeline/streams/streams.h"
#include "pipeline/window.h"

enum {
    MADE_FORM = 2,      /* what is digested; one more whenever that changes. Stored. 1: no late */
    MADE_BYTES_MAX = 64 /* of a sum, packed */
};

struct made { /* while it is being made */
    uint64_t alerts, results; /* told; of streams too */
    uint64_t corrections;
    struct hash_state alert_hash, result_hash, correction_hash;
};

struct made_sum {
    uint64_t form;
    uint64_t alerts, results, corrections;
    uint64_t alert_digest, result_digest, correction_digest;
};

void made_begin(struct made *m);
/* About 0.2 us each. */
void made_alert(struct made *m, const struct alert_event *event);
void made_result(struct made *m, const struct window_result *result);
void made_stream(struct made *m, const struct stream_result *result);
void made_late(struct made *m, const struct stream_late *late);
struct made_sum made_sum(const struct made *m);
bool made_nothing(const struct made *m);

/* As a sum of that form, which is not a later one, tells it. */
struct made_sum made_as(struct made_sum sum, uint64_t form);

/* In its form; the slice of `to` that it takes. */
struct text made_pack(const struct made_sum *sum, uint8_t to[MADE_BYTES_MAX]);
/* False: those bytes are no sum. One of a later form has its form and no more. */
bool made_unpack(struct text bytes, struct made_sum *sum);

#endif
