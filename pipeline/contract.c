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
    /* Under one name contracts only grow: what was made for an older one is good for this. */
    if (reading->contract_version > contract->version)
        return REJECT_CONTRACT_VERSION;
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

static void print_range(const struct contract_metric *metric, char to[64])
{
    char min[28] = "any", max[28] = "any";
    if (metric->has_min)
        (void)snprintf(min, sizeof min, "%.10g", metric->min);
    if (metric->has_max)
        (void)snprintf(max, sizeof max, "%.10g", metric->max);
    (void)snprintf(to, 64, "[%s, %s]", min, max);
}

static bool unit_changed(const struct contract_metric *old, const struct contract_metric *new_one)
{
    return new_one->unit[0] != '\0' && strcmp(new_one->unit, old->unit) != 0;
}

/* What a search for the n-th reason is at. */
struct search {
    uint32_t left; /* to pass over */
    char *why;
    size_t bytes;
};

static bool is_it(struct search *s)
{
    return s->left-- == 0;
}

/* What of a reading made for `old` is no longer good, where something is. Cut short is fine. */
static bool metric_fault(const struct contract_metric *old, const struct contract_metric *new_one,
                         struct search *s)
{
    static const char *const types[] = { "number", "boolean", "text" };
    const char *name = old->name;
    char from[64], to[64];
    bool same_type = new_one->type == old->type;
    if (!same_type && is_it(s))
        return (void)snprintf(s->why, s->bytes, "metric %s: type changed from %s to %s", name,
                              types[old->type], types[new_one->type]), true;
    if (unit_changed(old, new_one) && is_it(s))
        return (void)snprintf(s->why, s->bytes, "metric %s: unit changed from %s to %s", name,
                              old->unit[0] != '\0' ? old->unit : "any", new_one->unit), true;
    if (same_type && new_one->type == VALUE_NUMBER && narrowed(old, new_one) && is_it(s)) {
        print_range(old, from);
        print_range(new_one, to);
        (void)snprintf(s->why, s->bytes, "metric %s: range narrowed from %s to %s", name, from, to);
        return true;
    }
    if (new_one->required && !old->required && is_it(s))
        return (void)snprintf(s->why, s->bytes, "metric %s: became required", name), true;
    return false;
}

bool contract_reason(const struct contract *old, const struct contract *new_one, uint32_t n,
                     char *why, size_t why_bytes)
{
    assert(why_bytes > 0);
    struct search s = { n, why, why_bytes };
    why[0] = '\0';
    for (uint32_t i = 0; i < old->metric_count; i++) {
        const struct contract_metric *before = &old->metrics[i];
        const struct contract_metric *after = find(new_one, text_of(before->name));
        if (after != NULL && metric_fault(before, after, &s))
            return true;
        if (after == NULL && !new_one->allow_unknown && is_it(&s))
            return (void)snprintf(why, why_bytes,
                                  "metric %s: removed, and unknown metrics are refused",
                                  before->name), true;
    }
    for (uint32_t i = 0; i < new_one->metric_count; i++) {
        const struct contract_metric *after = &new_one->metrics[i];
        if (after->required && find(old, text_of(after->name)) == NULL && is_it(&s))
            return (void)snprintf(why, why_bytes, "metric %s: new and required", after->name), true;
    }
    if (old->allow_unknown && !new_one->allow_unknown && is_it(&s))
        return (void)snprintf(why, why_bytes, "unknown metrics are no longer allowed"), true;
    return false;
}

bool contract_compatible(const struct contract *old, const struct contract *new_one, char *why,
                         size_t why_bytes)
{
    return !contract_reason(old, new_one, 0, why, why_bytes);
}

static bool same_metric(const struct contract_metric *a, const struct contract_metric *b)
{
    return a->type == b->type && strcmp(a->unit, b->unit) == 0 && a->required == b->required &&
           a->has_min == b->has_min && a->has_max == b->has_max &&
           (!a->has_min || (a->min <= b->min && a->min >= b->min)) &&
           (!a->has_max || (a->max <= b->max && a->max >= b->max));
}

bool contract_same(const struct contract *a, const struct contract *b)
{
    if (a->version != b->version || a->allow_unknown != b->allow_unknown ||
        a->metric_count != b->metric_count)
        return false;
    for (uint32_t i = 0; i < a->metric_count; i++) {
        const struct contract_metric *other = find(b, text_of(a->metrics[i].name));
        if (other == NULL || !same_metric(&a->metrics[i], other))
            return false;
    }
    return true;
}

/* --- keeping --- */

enum { LAYOUT_VERSION = 1 };

void contract_save(const struct contract *contract, struct byte_writer *w)
{
    put_u8(w, LAYOUT_VERSION);
    put_text(w, text_of(contract->name));
    put_u32(w, contract->version);
    put_bool(w, contract->allow_unknown);
    put_u32(w, contract->metric_count);
    for (uint32_t i = 0; i < contract->metric_count; i++) {
        const struct contract_metric *m = &contract->metrics[i];
        put_text(w, text_of(m->name));
        put_u8(w, (uint8_t)m->type);
        put_text(w, text_of(m->unit));
        put_bool(w, m->required);
        put_bool(w, m->has_min);
        put_bool(w, m->has_max);
        put_f64(w, m->min);
        put_f64(w, m->max);
    }
}

static void get_name(char to[READING_NAME_BYTES_MAX + 1], struct byte_reader *r)
{
    struct text name = get_text(r);
    if (name.bytes > READING_NAME_BYTES_MAX) {
        r->failed = true;
        return;
    }
    if (name.bytes > 0)
        memcpy(to, name.at, name.bytes);
    to[name.bytes] = '\0';
}

void contract_load(struct contract *contract, struct byte_reader *r)
{
    *contract = (struct contract){ 0 };
    if (get_u8(r) != LAYOUT_VERSION)
        r->failed = true;
    get_name(contract->name, r);
    contract->version = get_u32(r);
    contract->allow_unknown = get_bool(r);
    uint32_t count = get_u32(r);
    if (count > CONTRACT_METRICS_MAX)
        r->failed = true;
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        struct contract_metric *m = &contract->metrics[i];
        get_name(m->name, r);
        uint8_t type = get_u8(r);
        if (type > VALUE_TEXT)
            r->failed = true;
        m->type = r->failed ? VALUE_NUMBER : (enum value_type)type;
        get_name(m->unit, r);
        m->required = get_bool(r);
        m->has_min = get_bool(r);
        m->has_max = get_bool(r);
        m->min = get_finite(r);
        m->max = get_finite(r);
        contract->metric_count = i + 1;
    }
}
