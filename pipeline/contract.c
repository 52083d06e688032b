#include "pipeline/contract.h"

#include <assert.h>
#include <stdio.h>

static const struct contract_metric *find(const struct contract *contract, struct text name)
{
    assert(contract->metric_count <= CONTRACT_METRICS_MAX);
    for (uint32_t i = 0; i < contract->metric_count; i++)
        if (text_equal(text_of(contract->metrics[i].name), name))
            return &contract->metrics[i];
    return NULL;
}

enum reject_reason contract_check(const struct contract *contract, const struct reading *reading)
{
    const struct contract_metric *metric = find(contract, reading->metric);
    if (metric == NULL)
        return contract->allow_unknown ? REJECT_NONE : REJECT_CONTRACT_UNKNOWN;
    if (reading->value.type != metric->type)
        return REJECT_CONTRACT_TYPE;
    /* Few devices name a unit; the contract speaks for those that don't. */
    if (metric->unit[0] != '\0' && reading->unit.bytes > 0 &&
        !text_equal(text_of(metric->unit), reading->unit))
        return REJECT_CONTRACT_UNIT;
    if (metric->type != VALUE_NUMBER)
        return REJECT_NONE;
    double value = reading->value.number;
    if ((metric->has_min && value < metric->min) || (metric->has_max && value > metric->max))
        return REJECT_CONTRACT_RANGE;
    return REJECT_NONE;
}

static bool holds(const struct reading *readings, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (text_equal(readings[i].metric, text_of(name)))
            return true;
    return false;
}

const struct contract_metric *contract_missing(const struct contract *contract,
                                               const struct reading *readings, uint32_t count)
{
    for (uint32_t i = 0; i < contract->metric_count; i++) {
        const struct contract_metric *metric = &contract->metrics[i];
        if (metric->required && !holds(readings, count, metric->name))
            return metric;
    }
    return NULL;
}

static bool narrowed(const struct contract_metric *old, const struct contract_metric *new_one)
{
    return (new_one->has_min && (!old->has_min || new_one->min > old->min)) ||
           (new_one->has_max && (!old->has_max || new_one->max < old->max));
}

/* What of a reading made for `old` is no longer good; NULL: nothing. */
static const char *metric_fault(const struct contract_metric *old,
                                const struct contract_metric *new_one)
{
    if (new_one->type != old->type)
        return "type changed";
    if (new_one->unit[0] != '\0' && strcmp(new_one->unit, old->unit) != 0)
        return old->unit[0] == '\0' ? "unit added" : "unit changed";
    if (new_one->type == VALUE_NUMBER && narrowed(old, new_one))
        return "range narrowed";
    if (new_one->required && !old->required)
        return "became required";
    return NULL;
}

bool contract_compatible(const struct contract *old, const struct contract *new_one, char *why,
                         size_t why_bytes)
{
    assert(why_bytes > 0);
    why[0] = '\0';
    for (uint32_t i = 0; i < old->metric_count; i++) {
        const struct contract_metric *before = &old->metrics[i];
        const struct contract_metric *after = find(new_one, text_of(before->name));
        const char *fault = after != NULL              ? metric_fault(before, after)
                            : !new_one->allow_unknown ? "removed, and unknown metrics are refused"
                                                       : NULL;
        if (fault != NULL) {
            (void)snprintf(why, why_bytes, "metric %s: %s", before->name, fault); /* cut is fine */
            return false;
        }
    }
    for (uint32_t i = 0; i < new_one->metric_count; i++) {
        const struct contract_metric *after = &new_one->metrics[i];
        if (!after->required || find(old, text_of(after->name)) != NULL)
            continue;
        (void)snprintf(why, why_bytes, "metric %s: new and required", after->name);
        return false;
    }
    if (old->allow_unknown && !new_one->allow_unknown) {
        (void)snprintf(why, why_bytes, "unknown metrics are no longer allowed");
        return false;
    }
    return true;
}
