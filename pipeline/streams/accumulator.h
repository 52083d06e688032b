/* accumulator: what a window keeps of the readings in it: count, sum, moments and so on, each of a
 * fixed size, and mergeable, so that windows may share panes and sessions may join.
 *
 *   COUNT    readings whose argument is not null
 *   SUM      compensated (Neumaier 1974): |error| <= u |sum| + 2 n^2 u^2 sum |x|, u = 2^-53, to
 *            which each merge adds as one term more; and the count of its terms
 *   MIN, MAX exact
 *   MOMENTS  count, mean, sum of squared deviations (Welford 1962; merged: Chan, Golub and LeVeque
 *            1979)
 *   FIRST, LAST by event time; of equal times the one that came first, and the one that came last
 *   FIRST_VALUE, LAST_VALUE likewise, of texts too (held.h)
 *   QUANTILES, DISTINCT, TOP  sketch_quantiles.h, sketch_distinct.h, sketch_top.h
 *   DECAYED  sum of x e^(-(T - t) / parameter) and of those weights, t the event time in seconds, T
 *            the greatest: the exponentially weighted mean of readings that come at any times
 *
 * A state stands in memory that is the caller's, aligned to 8 bytes. No time, no heap. */
#ifndef PIPELINE_STREAMS_ACCUMULATOR_H
#define PIPELINE_STREAMS_ACCUMULATOR_H

#include "pipeline/bytes.h"
#include "pipeline/streams/expression.h"
#include "pipeline/streams/held.h"

enum accumulator_kind {
    ACCUMULATOR_COUNT, ACCUMULATOR_SUM, ACCUMULATOR_MIN, ACCUMULATOR_MAX, ACCUMULATOR_MOMENTS,
    ACCUMULATOR_FIRST, ACCUMULATOR_LAST, ACCUMULATOR_QUANTILES, ACCUMULATOR_DISTINCT,
    ACCUMULATOR_DECAYED, ACCUMULATOR_FIRST_VALUE, ACCUMULATOR_LAST_VALUE, ACCUMULATOR_TOP,
    ACCUMULATOR_KINDS
};

struct accumulator {
    enum accumulator_kind kind;
    double parameter;   /* DECAYED: seconds; else 0 */
};

enum { ACCUMULATOR_ALIGN = 8 };

struct sum_state {
    double sum, compensation;
    uint64_t count;
};

struct moments_state {
    uint64_t count;
    double mean, m2;
};

struct point_state { /* FIRST, LAST */
    int64_t event_ms;
    double value;
    uint64_t present;
};

struct value_state { /* FIRST_VALUE, LAST_VALUE */
    int64_t event_ms;
    struct held value;
};

struct extreme_state { /* MIN, MAX */
    double value;
    uint64_t present;
};

struct decayed_state {
    int64_t event_ms;   /* the greatest */
    double weight, sum; /* as of then; weight 0: no reading */
};

/* Bytes of a state; a multiple of ACCUMULATOR_ALIGN. */
uint32_t accumulator_bytes(enum accumulator_kind kind);
/* What one accumulator_push costs: in steps, of which one is about 10 ns on a PC. */
uint32_t accumulator_push_steps(enum accumulator_kind kind);
/* And what it costs to tell its value, from an empty state on: in the same steps. */
uint32_t accumulator_tell_steps(enum accumulator_kind kind);
/* What one accumulator_merge of a full state costs on a PC. */
uint32_t accumulator_merge_ns(enum accumulator_kind kind);
/* That accumulator_save writes at most. */
uint32_t accumulator_save_bytes_max(enum accumulator_kind kind);
/* All-zero bytes are the state of no readings. */

/* Take in one reading's argument; what is null, or no number where one is needed, changes nothing.
 */
void accumulator_push(const struct accumulator *a, void *state, const struct datum *argument,
                      int64_t event_ms);
/* Add what `from` holds to `into`. Of FIRST, LAST and their like no times are
 * equal. */
void accumulator_merge(const struct accumulator *a, void *into, const void *from);

/* The same bits as accumulator_merge of the states that stand `offset` bytes into from[0], from[1]
 * and so on, one behind the other, and faster. */
void accumulator_merge_each(const struct accumulator *a, void *into, const uint8_t *const *from,
                            uint32_t count, uint32_t offset);

void accumulator_save(enum accumulator_kind kind, const void *state, struct byte_writer *w);
/* Fails the reader on what accumulator_save does not write; never breaks on any bytes. */
void accumulator_load(enum accumulator_kind kind, void *state, struct byte_reader *r);

double sum_total(const struct sum_state *s);

#endif
