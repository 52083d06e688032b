/* Aggregates: from `sum(amount) as spent` to accumulators, and from those to a value. */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/err.h"
#include "pipeline/streams/sketch_distinct.h"
#include "pipeline/streams/sketch_quantiles.h"
#include "pipeline/streams/sketch_top.h"
#include "pipeline/streams/stream_plan.h"

enum aggregate_kind {
    AGGREGATE_COUNT, AGGREGATE_SUM, AGGREGATE_MEAN, AGGREGATE_MIN, AGGREGATE_MAX,
    AGGREGATE_VARIANCE, AGGREGATE_STDDEV, AGGREGATE_FIRST, AGGREGATE_LAST, AGGREGATE_DELTA,
    AGGREGATE_RATE, AGGREGATE_RANGE, AGGREGATE_QUANTILE, AGGREGATE_MEDIAN, AGGREGATE_DISTINCT,
    AGGREGATE_EWMA, AGGREGATE_TOP, AGGREGATE_KINDS
};

static const struct kind {
    const char *name;
    enum accumulator_kind of[2];
    uint8_t count; /* of `of` */
    bool any;      /* texts too */
    /* what stands behind the argument, from (not itself) and to */
    const char *parameter;
    double above, most;
    bool whole;
} KINDS[AGGREGATE_KINDS] = {
    [AGGREGATE_COUNT] = { "count", { ACCUMULATOR_COUNT }, .count = 1, .any = true },
    [AGGREGATE_SUM] = { "sum", { ACCUMULATOR_SUM }, .count = 1 },
    [AGGREGATE_MEAN] = { "mean", { ACCUMULATOR_SUM }, .count = 1 },
    [AGGREGATE_MIN] = { "min", { ACCUMULATOR_MIN }, .count = 1 },
    [AGGREGATE_MAX] = { "max", { ACCUMULATOR_MAX }, .count = 1 },
    [AGGREGATE_VARIANCE] = { "variance", { ACCUMULATOR_MOMENTS }, .count = 1 },
    [AGGREGATE_STDDEV] = { "stddev", { ACCUMULATOR_MOMENTS }, .count = 1 },
    [AGGREGATE_FIRST] = { "first", { ACCUMULATOR_FIRST }, .count = 1, .any = true },
    [AGGREGATE_LAST] = { "last", { ACCUMULATOR_LAST }, .count = 1, .any = true },
    [AGGREGATE_DELTA] = { "delta", { ACCUMULATOR_FIRST, ACCUMULATOR_LAST }, .count = 2 },
    [AGGREGATE_RATE] = { "rate", { ACCUMULATOR_FIRST, ACCUMULATOR_LAST }, .count = 2 },
    [AGGREGATE_RANGE] = { "range", { ACCUMULATOR_MIN, ACCUMULATOR_MAX }, .count = 2 },
    [AGGREGATE_QUANTILE] = { "quantile", { ACCUMULATOR_QUANTILES }, .count = 1,
                             .parameter = "quantile(x, q) needs its q, from 0 to 1", .above = -1,
                             .most = 1 },
    [AGGREGATE_MEDIAN] = { "median", { ACCUMULATOR_QUANTILES }, .count = 1 },
    [AGGREGATE_DISTINCT] = { "distinct", { ACCUMULATOR_DISTINCT }, .count = 1, .any = true },
    [AGGREGATE_EWMA] = { "ewma", { ACCUMULATOR_DECAYED }, .count = 1,
                         .parameter = "ewma(x, s) needs its time in seconds, above 0",
                         .above = 0, .most = 1e9 },
    [AGGREGATE_TOP] = { "top", { ACCUMULATOR_TOP }, .count = 1, .any = true,
                        .parameter = "top(x, k) needs its k, a whole number from 1 to 8",
                        .above = 0, .most = TOP_MOST, .whole = true },
};

/* --- compiling --- */

struct part { /* of an aggregate's text */
    const char *at;
    uint32_t bytes;
};

static int refuse(struct stream_fault *fault, const struct stream_aggregate_text *text,
                  const char *at, const char *why)
{
    fault->field = text;
    fault->column = (uint32_t)(at - text->text) + 1;
    fault->width = 1;
    (void)snprintf(fault->why, sizeof fault->why, "%s", why);
    return WEIR_EINVAL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static const char *skip_space(const char *at)
{
    while (is_space(*at))
        at++;
    return at;
}

static struct part word_at(const char *at)
{
    struct part word = { at, 0 };
    while (is_word(at[word.bytes]))
        word.bytes++;
    return word;
}

static bool word_is(struct part word, const char *text)
{
    return strlen(text) == word.bytes && memcmp(word.at, text, word.bytes) == 0;
}

/* From behind the opening parenthesis to the one that closes it; NULL: none does. Quotes are
 * skipped. */
static const char *closing(const char *at)
{
    char quote = '\0';
    for (int open = 1; *at != '\0'; at++) {
        if (quote != '\0')
            quote = *at == quote ? '\0' : quote;
        else if (*at == '\'' || *at == '"' || *at == '`')
            quote = *at;
        else if (*at == '(')
            open++;
        else if (*at == ')' && --open == 0)
            return at;
    }
    return NULL;
}

/* The plan's argument with these steps, made when it is new; -1: no room. */
static int argument_of(struct stream_plan *plan, const struct expression *wanted)
{
    for (uint32_t i = 0; i < plan->argument_count; i++)
        if (memcmp(&plan->arguments[i], wanted, sizeof *wanted) == 0)
            return (int)i;
    if (plan->argument_count == STREAM_ARGUMENTS_MAX)
        return -1;
    plan->arguments[plan->argument_count] = *wanted;
    plan->slots |= wanted->slots;
    return (int)plan->argument_count++;
}

/* Likewise an accumulator: aggregates share them. */
static int accumulator_of(struct stream_plan *plan, struct accumulator wanted, uint8_t argument)
{
    for (uint32_t i = 0; i < plan->accumulator_count; i++)
        if (plan->accumulators[i].accumulator.kind == wanted.kind &&
            plan->accumulators[i].accumulator.parameter == wanted.parameter &&
            plan->accumulators[i].argument == argument)
            return (int)i;
    if (plan->accumulator_count == STREAM_ACCUMULATORS_MAX)
        return -1;
    plan->accumulators[plan->accumulator_count] =
        (struct stream_accumulator){ wanted, argument, plan->state_bytes };
    plan->state_bytes += accumulator_bytes(wanted.kind);
    return (int)plan->accumulator_count++;
}

static int compile_argument(struct stream_plan *plan, const struct stream_aggregate_text *text,
                            struct part part, enum aggregate_kind kind, struct stream_fault *fault)
{
    struct expression expression;
    struct expression_fault inside;
    const struct expression_scope scope = { .names = plan->fields->names,
                                            .count = plan->fields->count };
    enum expression_type wanted = KINDS[kind].any ? TYPE_ANY : TYPE_NUMBER;
    struct text source = { part.at, part.bytes };
    if (expression_compile(&expression, source, &scope, wanted, &inside) != 0) {
        (void)refuse(fault, text, part.at + inside.column - 1, inside.why);
        fault->width = inside.width;
        return WEIR_EINVAL;
    }
    int index = argument_of(plan, &expression);
    if (index < 0)
        return refuse(fault, text, part.at, "the aggregates have too many different arguments");
    return index;
}

static bool name_taken(const struct stream_plan *plan, struct part name)
{
    for (uint32_t i = 0; i < plan->aggregate_count; i++)
        if (word_is(name, plan->aggregates[i].name))
            return true;
    return false;
}

/* What stands behind the call: nothing, or `as NAME`. */
static int compile_name(struct stream_plan *plan, const struct stream_aggregate_text *text,
                        const char *at, struct part call, struct stream_fault *fault)
{
    struct part name = call;
    at = skip_space(at);
    if (*at != '\0') {
        if (!word_is(word_at(at), "as"))
            return refuse(fault, text, at, "only `as` and a name may stand behind an aggregate");
        name = word_at(skip_space(at + 2));
        at = skip_space(name.at + name.bytes);
        if (name.bytes == 0 || name.bytes > READING_NAME_BYTES_MAX || *at != '\0')
            return refuse(fault, text, name.bytes == 0 ? name.at : at,
                          "a name is letters, digits and underscores");
    }
    if (name_taken(plan, name))
        return refuse(fault, text, name.at,
                      "another aggregate has this name: give it one of its own by `as`");
    struct stream_aggregate *to = &plan->aggregates[plan->aggregate_count];
    memcpy(to->name, name.at, name.bytes);
    to->name[name.bytes] = '\0';
    return 0;
}

/* The number behind the last comma, which is cut off with it. 0; -1: there is none that may be. */
static int cut_parameter(enum aggregate_kind kind, struct part *argument, double *parameter)
{
    char copy[32], *end;
    uint32_t at = argument->bytes;
    while (at > 0 && argument->at[at - 1] != ',')
        at--;
    uint32_t bytes = argument->bytes - at;
    if (at == 0 || bytes >= sizeof copy)
        return -1;
    memcpy(copy, argument->at + at, bytes);
    copy[bytes] = '\0';
    *parameter = strtod(copy, &end);
    if (end == copy || *skip_space(end) != '\0' ||
        !(*parameter > KINDS[kind].above && *parameter >= 0 && *parameter <= KINDS[kind].most) ||
        (KINDS[kind].whole && *parameter != (double)(int)*parameter))
        return -1;
    argument->bytes = at - 1;
    return 0;
}

/* What is known to be a number takes less room than what may be a text. */
static struct accumulator accumulator_wanted(const struct stream_plan *plan,
                                             enum aggregate_kind kind, uint32_t i, int argument,
                                             double parameter)
{
    struct accumulator wanted = { KINDS[kind].of[i], kind == AGGREGATE_EWMA ? parameter : 0 };
    if (kind != AGGREGATE_FIRST && kind != AGGREGATE_LAST)
        return wanted;
    enum expression_type type = plan->arguments[argument].type;
    if (type != TYPE_NUMBER && type != TYPE_BOOLEAN)
        wanted.kind = kind == AGGREGATE_FIRST ? ACCUMULATOR_FIRST_VALUE : ACCUMULATOR_LAST_VALUE;
    return wanted;
}

/* An aggregate's accumulators, and what room its texts need. -1: too many. */
static int compile_accumulators(struct stream_plan *plan, struct stream_aggregate *to, int argument)
{
    enum aggregate_kind kind = (enum aggregate_kind)to->kind;
    for (uint32_t i = 0; i < KINDS[kind].count; i++) {
        struct accumulator wanted = accumulator_wanted(plan, kind, i, argument, to->parameter);
        int of = accumulator_of(plan, wanted, (uint8_t)argument);
        if (of < 0)
            return -1;
        to->of[i] = (uint8_t)of;
        if (wanted.kind == ACCUMULATOR_FIRST_VALUE || wanted.kind == ACCUMULATOR_LAST_VALUE)
            to->text_bytes = HELD_TEXT_BYTES;
    }
    if (kind != AGGREGATE_TOP)
        return 0;
    to->text_bytes = (uint32_t)to->parameter * TOP_TEXT_BYTES;
    to->told_at = plan->told_bytes;
    plan->told_bytes += to->text_bytes;
    return 0;
}

static enum aggregate_kind kind_of(struct part call)
{
    uint32_t kind = 0;
    while (kind < AGGREGATE_KINDS && !word_is(call, KINDS[kind].name))
        kind++;
    return (enum aggregate_kind)kind;
}

int stream_aggregate_compile(struct stream_plan *plan, const struct stream_aggregate_text *text,
                             struct stream_fault *fault)
{
    static const char usual[] = "value";
    assert(plan->aggregate_count < STREAM_AGGREGATES_MAX);
    struct part call = word_at(skip_space(text->text));
    struct part argument = { usual, sizeof usual - 1 };
    enum aggregate_kind kind = kind_of(call);
    if (kind == AGGREGATE_KINDS)
        return refuse(fault, text, call.at, "there is no such aggregate");
    const char *rest = skip_space(call.at + call.bytes);
    bool given = *rest == '(';
    if (given) {
        const char *end = closing(rest + 1);
        if (end == NULL)
            return refuse(fault, text, rest, "this parenthesis is not closed");
        argument = (struct part){ rest + 1, (uint32_t)(end - rest - 1) };
        rest = end + 1;
    }
    double parameter = kind == AGGREGATE_MEDIAN ? 0.5 : 0;
    if (KINDS[kind].parameter != NULL &&
        (!given || cut_parameter(kind, &argument, &parameter) != 0))
        return refuse(fault, text, call.at, KINDS[kind].parameter);
    if (compile_name(plan, text, rest, call, fault) != 0)
        return WEIR_EINVAL;
    int index = STREAM_READING;
    if (given || kind != AGGREGATE_COUNT)
        index = compile_argument(plan, text, argument, kind, fault);
    if (index < 0)
        return WEIR_EINVAL;
    struct stream_aggregate *to = &plan->aggregates[plan->aggregate_count];
    to->kind = (uint8_t)kind;
    to->parameter = parameter;
    if (compile_accumulators(plan, to, index) != 0)
        return refuse(fault, text, call.at, "the aggregates need too many accumulators");
    plan->aggregate_count++;
    return 0;
}

bool stream_aggregate_is_text(const struct stream_plan *plan, uint32_t aggregate)
{
    return plan->aggregates[aggregate].kind == AGGREGATE_TOP;
}

/* --- values --- */

static struct datum number_of(double number) /* not finite: none */
{
    if (!(number >= -DBL_MAX && number <= DBL_MAX))
        return (struct datum){ .kind = DATUM_NULL };
    return (struct datum){ .kind = DATUM_NUMBER, .number = number };
}

static struct datum none(void)
{
    return (struct datum){ .kind = DATUM_NULL };
}

static struct datum of_moments(enum aggregate_kind kind, const struct moments_state *s)
{
    if (s->count < 2)
        return none();
    double variance = s->m2 / (double)(s->count - 1);
    return number_of(kind == AGGREGATE_STDDEV ? sqrt(variance) : variance);
}

static struct datum of_points(enum aggregate_kind kind, const struct point_state *first,
                              const struct point_state *last)
{
    if (!first->present)
        return none();
    double delta = last->value - first->value;
    if (kind == AGGREGATE_DELTA)
        return number_of(delta);
    if (last->event_ms == first->event_ms)
        return none();
    return number_of(delta / ((double)(last->event_ms - first->event_ms) / 1000));
}

static struct datum of_sum(enum aggregate_kind kind, const struct sum_state *s)
{
    if (kind == AGGREGATE_SUM)
        return number_of(sum_total(s));
    return s->count > 0 ? number_of(sum_total(s) / (double)s->count) : none();
}

/* FIRST and LAST, by either accumulator. */
static struct datum of_point(enum accumulator_kind kind, const void *state)
{
    const struct point_state *point = state;
    const struct value_state *value = state;
    if (kind == ACCUMULATOR_FIRST_VALUE || kind == ACCUMULATOR_LAST_VALUE)
        return held_datum(&value->value);
    return point->present ? number_of(point->value) : none();
}

static struct datum of_top(const struct stream_aggregate *a, const struct top_state *s, char *told)
{
    if (s->used == 0)
        return none();
    struct text text = top_tell(s, (uint32_t)a->parameter, told + a->told_at);
    return (struct datum){ .kind = DATUM_TEXT, .text = text };
}

struct datum stream_aggregate_value(const struct stream_plan *plan, uint32_t aggregate,
                                    const uint8_t *state, char *told)
{
    const struct stream_aggregate *a = &plan->aggregates[aggregate];
    enum aggregate_kind kind = (enum aggregate_kind)a->kind;
    const void *one = state + plan->accumulators[a->of[0]].offset;
    const void *two = state + plan->accumulators[a->of[1]].offset;
    const struct extreme_state *extreme = one, *greatest = two;
    const struct decayed_state *decayed = one;
    switch (kind) {
    case AGGREGATE_COUNT:
        return number_of((double)*(const uint64_t *)one);
    case AGGREGATE_SUM:
    case AGGREGATE_MEAN:
        return of_sum(kind, one);
    case AGGREGATE_MIN:
    case AGGREGATE_MAX:
        return extreme->present ? number_of(extreme->value) : none();
    case AGGREGATE_VARIANCE:
    case AGGREGATE_STDDEV:
        return of_moments(kind, one);
    case AGGREGATE_FIRST:
    case AGGREGATE_LAST:
        return of_point(plan->accumulators[a->of[0]].accumulator.kind, one);
    case AGGREGATE_DELTA:
    case AGGREGATE_RATE:
        return of_points(kind, one, two);
    case AGGREGATE_RANGE:
        return extreme->present ? number_of(greatest->value - extreme->value) : none();
    case AGGREGATE_QUANTILE:
    case AGGREGATE_MEDIAN:
        return quantiles_count(one) > 0 ? number_of(quantiles_value(one, a->parameter)) : none();
    case AGGREGATE_DISTINCT:
        return number_of(distinct_count(one));
    case AGGREGATE_EWMA:
        return decayed->weight > 0 ? number_of(decayed->sum / decayed->weight) : none();
    case AGGREGATE_TOP:
        return of_top(a, one, told);
    case AGGREGATE_KINDS:
        break;
    }
    assert(false);
    return none();
}
