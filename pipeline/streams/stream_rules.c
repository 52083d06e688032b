/* Results as they are told, what is derived from them, what is remembered of them, and what the
 * rules say of them. */
#include <assert.h>

#include "pipeline/streams/streams_state.h"

const char *stream_kind_name(enum stream_result_kind kind)
{
    switch (kind) {
    case STREAM_CLOSE:
        return "close";
    case STREAM_REVISION:
        return "revision";
    case STREAM_RETRACTION:
        return "retraction";
    case STREAM_EARLY:
        return "early";
    case STREAM_RESULT_KINDS:
        break;
    }
    return "unknown";
}

/* --- what is remembered --- */

/* What windows remember, or, behind it, what readings do. */
static struct remembered *memories_of(const struct stream *s, struct entry *e, bool reading)
{
    return entry_memories(s, e) + (reading ? s->plan->memory_count : 0);
}

static void recall(struct streams *all, const struct stream_plan *plan,
                   const struct remembered *memories)
{
    for (uint32_t i = 0; i < plan->memory_count; i++) {
        const struct stream_memory *m = &plan->memories[i];
        uint32_t least = m->baseline ? BASELINE_LEAST : 1;
        bool known = memories != NULL && memories[i].count >= least;
        all->result[m->slot] = (struct datum){ .kind = known ? DATUM_NUMBER : DATUM_NULL };
        if (known)
            all->result[m->slot].number = memories[i].value;
    }
}

/* What is null is not remembered; it is not what was before either. */
static void remember(const struct streams *all, const struct stream_plan *plan,
                     struct remembered *memories)
{
    for (uint32_t i = 0; i < plan->memory_count; i++) {
        const struct stream_memory *m = &plan->memories[i];
        struct remembered *r = &memories[i];
        double value;
        bool known = datum_number(&all->result[SLOT_VALUE + m->value], &value);
        if (!m->baseline)
            *r = (struct remembered){ known ? value : 0, known };
        if (!m->baseline || !known)
            continue;
        r->count += r->count < BASELINE_LENGTH;
        r->value += (value - r->value) / r->count;
    }
}

/* --- one result --- */

static void set_key(struct streams *all, const struct stream_plan *plan, struct entry *e)
{
    struct byte_reader r = { entry_key(e), e->key_bytes, 0, false };
    for (uint32_t i = 0; i < plan->key_count; i++) {
        struct datum *to = &all->result[SLOT_KEY + i];
        (void)get_u8(&r); /* its place: fields stand in their order */
        uint8_t type = get_u8(&r);
        *to = (struct datum){ .kind = type == VALUE_TEXT      ? DATUM_TEXT
                                      : type == VALUE_BOOLEAN ? DATUM_BOOLEAN : DATUM_NUMBER };
        if (type == VALUE_TEXT)
            to->text = get_text(&r);
        else
            to->number = get_f64(&r);
    }
    if (r.failed) /* a key that no reading has, of a state that somebody made up */
        for (uint32_t i = 0; i < plan->key_count; i++)
            all->result[SLOT_KEY + i].kind = DATUM_NULL;
}

/* What a step leaves of a datum beside its kind is whatever was there. */
static struct datum clean(struct datum datum)
{
    bool text = datum.kind == DATUM_TEXT, number = datum.kind != DATUM_NULL && !text;
    return (struct datum){ datum.kind, number ? datum.number : 0,
                           text ? datum.text : (struct text){ NULL, 0 } };
}

/* All the slots of this window's result. */
static void evaluate(struct streams *all, const struct stream *s, struct entry *e,
                     const struct stream_result *window, const uint8_t *state)
{
    const struct stream_plan *plan = s->plan;
    for (uint32_t i = 0; i < plan->aggregate_count; i++)
        all->result[SLOT_VALUE + i] = stream_aggregate_value(plan, i, state, all->told);
    if (plan->derived_count == 0 && plan->rule_count == 0)
        return;
    all->result[SLOT_START] =
        (struct datum){ .kind = DATUM_NUMBER, .number = (double)window->start_ms / 1000 };
    all->result[SLOT_END] =
        (struct datum){ .kind = DATUM_NUMBER, .number = (double)window->end_ms / 1000 };
    set_key(all, plan, e);
    for (uint32_t i = 0; i < plan->derived_count; i++)
        all->result[SLOT_VALUE + plan->aggregate_count + i] =
            clean(expression_evaluate(&plan->derived[i].of, all->result));
}

/* The rules of this kind judge the result at hand. */
static void judge(struct streams *all, const struct stream *s, enum stream_on on, int64_t event_ms)
{
    for (uint32_t i = 0; i < s->plan->rule_count; i++) {
        const struct stream_rule *rule = &s->plan->rules[i];
        struct judged *judged = &all->judged[i];
        if (rule->config->on != on)
            continue;
        struct datum is = expression_evaluate(&rule->when, all->result), observed;
        if (is.kind != DATUM_BOOLEAN || judged->anomalous)
            continue;
        *judged = (struct judged){ true, is.number != 0, is.number, event_ms };
        if (rule->observe.step_count == 0)
            continue;
        observed = expression_evaluate(&rule->observe, all->result);
        if (!datum_number(&observed, &judged->observed))
            judged->observed = 0;
    }
}

static void count(struct stream_counts *counts, enum stream_result_kind kind)
{
    counts->results += kind == STREAM_CLOSE;
    counts->revisions += kind == STREAM_REVISION;
    counts->retractions += kind == STREAM_RETRACTION;
    counts->early += kind == STREAM_EARLY;
}

static void tell(struct streams *all, struct stream *s, struct entry *e,
                 struct stream_result *result, bool known)
{
    const struct stream_plan *plan = s->plan;
    struct stream_value values[STREAM_VALUES_MAX];
    for (uint32_t i = 0; i < plan->value_count; i++) {
        values[i] = (struct stream_value){ .name = text_of(stream_value_name(plan, i)) };
        if (known)
            values[i].value = all->result[SLOT_VALUE + i];
    }
    result->plan = plan;
    result->stream = text_of(plan->config->name);
    result->key = (struct text){ (const char *)entry_key(e), e->key_bytes };
    result->count = plan->value_count;
    result->values = values;
    result->last_block = all->moment.block;
    all->out->result(all->out->ctx, result);
}

void stream_tell(struct streams *all, struct stream *s, struct entry *e,
                 struct stream_result *result, const uint8_t *state)
{
    const struct stream_plan *plan = s->plan;
    bool revised = result->kind == STREAM_REVISION;
    all->steps += STREAM_RESULT_STEPS + plan->result_steps;
    count(&s->counts, result->kind);
    if (all->out == NULL && plan->rule_count == 0 && plan->memory_count == 0)
        return;
    if (state != NULL) {
        recall(all, plan, revised ? NULL : memories_of(s, e, false));
        evaluate(all, s, e, result, state);
    }
    if (result->kind == STREAM_CLOSE) {
        judge(all, s, STREAM_ON_CLOSE, result->end_ms);
        remember(all, plan, memories_of(s, e, false));
    }
    if (result->kind == STREAM_EARLY)
        judge(all, s, STREAM_ON_EARLY, e->watermark_ms + plan->config->out_of_orderness_ms);
    if (all->out != NULL)
        tell(all, s, e, result, state != NULL);
}

/* --- verdicts --- */

void stream_judge_reading(struct streams *all, struct stream *s, struct entry *e,
                          const struct stream_result *window, const uint8_t *state)
{
    all->steps += STREAM_RESULT_STEPS + s->plan->result_steps;
    recall(all, s->plan, memories_of(s, e, true));
    evaluate(all, s, e, window, state);
    judge(all, s, STREAM_ON_READING, all->event_ms);
    remember(all, s->plan, memories_of(s, e, true));
}

static void say(struct streams *all, struct stream *s, struct entry *e, uint32_t rule,
                const struct judged *judged)
{
    const struct stream_verdict verdict = {
        .plan = s->plan, .rule = rule,
        .key = { (const char *)entry_key(e), e->key_bytes },
        .anomalous = judged->anomalous, .observed = judged->observed,
        .event_ms = judged->event_ms,
    };
    uint8_t bit = (uint8_t)(1u << rule);
    bool news = judged->anomalous || (e->alarmed & bit) != 0;
    e->alarmed = (uint8_t)(judged->anomalous ? e->alarmed | bit : e->alarmed & ~bit);
    if (news && all->moment.verdict != NULL)
        all->moment.verdict(all->moment.ctx, &verdict);
}

void stream_judge_end(struct streams *all, struct stream *s, struct entry *e)
{
    for (uint32_t i = 0; i < s->plan->rule_count; i++) {
        if (all->judged[i].known)
            say(all, s, e, i, &all->judged[i]);
        all->judged[i] = (struct judged){ 0 };
    }
}

void stream_judge_forgotten(struct streams *all, struct stream *s, struct entry *e)
{
    const struct judged well = { .known = true };
    for (uint32_t i = 0; i < s->plan->rule_count; i++)
        say(all, s, e, i, &well);
}
