/* contract: what a source's readings must look like: metrics with type, unit, range, and a version.
 * Plain data from the configuration; checking is pure and O(metrics). */
#ifndef PIPELINE_CONTRACT_H
#define PIPELINE_CONTRACT_H

#include "pipeline/bytes.h"
#include "pipeline/reading.h"
#include "pipeline/reject.h"

enum {
    CONTRACT_METRICS_MAX = 64,
    CONTRACT_BYTES_MAX = 128 + CONTRACT_METRICS_MAX * 160, /* that contract_save can write */
    CONTRACT_WHY_BYTES = 256
};

struct contract_metric {
    char name[READING_NAME_BYTES_MAX + 1];
    enum value_type type;
    char unit[READING_NAME_BYTES_MAX + 1]; /* empty: any */
    bool required;        /* in each message that holds several metrics */
    bool has_min, has_max;
    double min, max;
};

struct contract {
    char name[READING_NAME_BYTES_MAX + 1];
    uint32_t version;     /* >= 1 */
    bool allow_unknown;   /* metrics that are not listed */
    uint32_t metric_count;
    struct contract_metric metrics[CONTRACT_METRICS_MAX];
};

/* One reading against the contract: REJECT_NONE or CONTRACT_TYPE, _UNIT, _RANGE, _UNKNOWN,
 * _VERSION. A reading that names no unit is taken to be in the contract's. */
enum reject_reason contract_check(const struct contract *contract, const struct reading *reading);

/* The metric that the message lacks although the contract requires it; NULL: none. Only for sources
 * whose messages
 * hold several metrics. */
const struct contract_metric *contract_missing(const struct contract *contract,
                                               const struct reading *readings, uint32_t count);

/* Whether readings made for `old` are still good under `new`: a new optional metric, a widened
 * range, a dropped unit are.
 * On false, *why names the first thing that is not, from what to what ("metric temperature: range
 * narrowed from [-40, 125] to [-40, 80]"). Versions are not looked at. */
bool contract_compatible(const struct contract *old, const struct contract *new_one, char *why,
                         size_t why_bytes);
/* The n-th (from 0) of all things that are not; false: there are no more, and *why is empty. O(n
 * times metrics squared). */
bool contract_reason(const struct contract *old, const struct contract *new_one, uint32_t n,
                     char *why, size_t why_bytes);
/* Whether nothing differs but the order of the metrics. */
bool contract_same(const struct contract *a, const struct contract *b);

void contract_save(const struct contract *contract, struct byte_writer *w);
/* Fails the reader on what contract_save does not write; never breaks on any bytes. */
void contract_load(struct contract *contract, struct byte_reader *r);

#endif
