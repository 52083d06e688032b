/* What is derived from a result, and the rules over it: from texts to expressions. */
#include <assert.h>
#include <stdio.h>

#include "pipeline/err.h"
#include "pipeline/streams/streams_state.h"

static_assert((int)STREAM_SLOTS <= (int)EXPRESSION_SLOTS_MAX, "a result's slots fit a scope");

const char *stream_value_name(const struct stream_plan *plan, uint32_t value)
{
    return value < plan->aggregate_count ? plan->aggregates[value].name
                                         : plan->derived[value - plan->aggregate_count].name;
}

/* Of a derived value that may be a text: one that it names, or a part of the key, or its own. */
static uint32_t derived_text_bytes(const struct stream_plan *plan, const struct stream_derived *d)
{
    uint32_t most = plan->config->key_bytes > EXPRESSION_BYTES_MAX ? plan->config->key_bytes
                                                                   : EXPRESSION_BYTES_MAX;
    if (d->of.type != TYPE_ANY && d->of.type != TYPE_TEXT)
        return 0;
    for (uint32_t i = 0; i < plan->aggregate_count; i++)
        most = plan->aggregates[i].text_bytes > most ? plan->aggregates[i].text_bytes : most;
    return most;
}

uint32_t stream_value_text_bytes(const struct stream_plan *plan, uint32_t value)
{
    assert(value < plan->value_count);
    if (value < plan->aggregate_count)
        return plan->aggregates[value].text_bytes;
    return derived_text_bytes(plan, &plan->derived[value - plan->aggregate_count]);
}

static int refuse(struct stream_fault *fault, const void *field, const char *why)
{
    *fault = (struct stream_fault){ .field = field };
    (void)snprintf(fault->why, sizeof fault->why, "%s", why);
    return WEIR_EINVAL;
}

static enum expression_type value_type(const struct stream_plan *plan, uint32_t value)
{
    if (value >= plan->aggregate_count)
        return plan->derived[value - plan->aggregate_count].of.type;
    if (stream_aggregate_is_text(plan, value))
        return TYPE_TEXT;
    return plan->aggregates[value].text_bytes == 0 ? TYPE_NUMBER : TYPE_ANY;
}

/* The names that a result has so far. */
static void name_slots(const struct stream_plan *plan, struct expression_name *names)
{
    names[SLOT_START] = (struct expression_name){ text_of("start"), TYPE_NUMBER };
    names[SLOT_END] = (struct expression_name){ text_of("end"), TYPE_NUMBER };
    for (uint32_t i = 0; i < STREAM_KEY_FIELDS_MAX; i++)
        names[SLOT_KEY + i] = (struct expression_name){ { "", 0 }, TYPE_ANY };
    for (uint32_t i = 0; i < plan->key_count; i++)
        names[SLOT_KEY + i] = plan->fields->names[plan->key[i]];
    for (uint32_t i = 0; i < plan->value_count; i++)
        names[SLOT_VALUE + i] =
            (struct expression_name){ text_of(stream_value_name(plan, i)), value_type(plan, i) };
}

static bool is_remembered(const struct stream_plan *plan, uint8_t slot)
{
    for (uint32_t i = 0; i < plan->memory_count; i++)
        if (plan->memories[i].slot == slot)
            return true;
    return false;
}

/* What the expression asks for of earlier results. */
static int remember(struct stream_plan *plan, const struct expression *expression,
                    struct stream_fault *fault, const char *text)
{
    for (uint32_t i = 0; i < expression->step_count; i++) {
        uint8_t slot = expression->steps[i].slot;
        if (slot < SLOT_PREVIOUS || is_remembered(plan, slot))
            continue;
        if (plan->memory_count == STREAM_MEMORIES_MAX)
            return refuse(fault, text, "previous() and baseline() ask for too many values");
        bool baseline = slot >= SLOT_BASELINE;
        uint8_t value = (uint8_t)(slot - (baseline ? SLOT_BASELINE : SLOT_PREVIOUS));
        plan->memories[plan->memory_count++] = (struct stream_memory){ slot, value, baseline };
    }
    return 0;
}

static int compile(struct stream_plan *plan, struct expression *to, const char *text,
                   enum expression_type wanted, struct stream_fault *fault)
{
    struct expression_name names[SLOT_PREVIOUS];
    struct expression_fault inside;
    name_slots(plan, names);
    const struct expression_scope scope = { names, SLOT_VALUE + plan->value_count, SLOT_VALUE,
                                            SLOT_PREVIOUS, SLOT_BASELINE };
    if (expression_compile(to, text_of(text), &scope, wanted, &inside) == 0)
        return remember(plan, to, fault, text);
    (void)refuse(fault, text, inside.why);
    fault->column = inside.column;
    fault->width = inside.width;
    return WEIR_EINVAL;
}

static bool name_is_good(const struct stream_plan *plan, const char *name)
{
    bool good = name[0] != '\0' && (name[0] < '0' || name[0] > '9');
    for (const char *at = name; *at != '\0'; at++)
        good = good && ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                        (*at >= '0' && *at <= '9') || *at == '_');
    for (uint32_t i = 0; i < plan->value_count; i++)
        good = good && strcmp(stream_value_name(plan, i), name) != 0;
    return good;
}

static int compile_derived(struct stream_plan *plan, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    plan->value_count = plan->aggregate_count;
    for (uint32_t i = 0; i < c->derived_count; i++) {
        const struct stream_derived_config *from = &c->derived[i];
        struct stream_derived *to = &plan->derived[i];
        if (!name_is_good(plan, from->name))
            return refuse(fault, from->name, "a derived value has a name of its own, of letters, "
                                             "digits and underscores");
        if (compile(plan, &to->of, from->of, TYPE_ANY, fault) != 0)
            return WEIR_EINVAL;
        (void)snprintf(to->name, sizeof to->name, "%s", from->name); /* it is as long */
        plan->derived_count++;
        plan->value_count++;
    }
    return 0;
}

static int check_texts(struct stream_plan *plan, struct stream_fault *fault)
{
    for (uint32_t i = 0; i < plan->value_count; i++)
        plan->texts_bytes += stream_value_text_bytes(plan, i);
    if (plan->texts_bytes <= STREAM_TEXTS_MAX)
        return 0;
    char why[EXPRESSION_WHY_BYTES];
    (void)snprintf(why, sizeof why, "the texts of a result may take %u bytes, and have room for %d:"
                                    " a smaller k of `top`, or fewer of them",
                   (unsigned)plan->texts_bytes, (int)STREAM_TEXTS_MAX);
    return refuse(fault, plan->config->aggregates, why);
}

int stream_rules_compile(struct stream_plan *plan, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    if (c->early_ms > 0 && c->final_only)
        return refuse(fault, &c->early_ms, "`emit: final` tells nothing early");
    if (c->rule_count > 0 && strlen(c->name) + strlen(STREAM_METRIC) > READING_NAME_BYTES_MAX)
        return refuse(fault, c->name, "with rules a stream's name has at most 57 bytes, for its "
                                      "alerts have the metric stream/NAME");
    if (compile_derived(plan, fault) != 0 || check_texts(plan, fault) != 0)
        return WEIR_EINVAL;
    for (uint32_t i = 0; i < c->rule_count; i++) {
        struct stream_rule *to = &plan->rules[i];
        to->config = &c->rules[i];
        if (to->config->on == STREAM_ON_EARLY && c->early_ms == 0)
            return refuse(fault, to->config->when, "a rule `on: early` needs the stream's `early`");
        if (compile(plan, &to->when, to->config->when, TYPE_BOOLEAN, fault) != 0)
            return WEIR_EINVAL;
        if (to->config->observe[0] != '\0' &&
            compile(plan, &to->observe, to->config->observe, TYPE_NUMBER, fault) != 0)
            return WEIR_EINVAL;
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(c->rules[j].name, to->config->name) == 0)
                return refuse(fault, to->config->name, "two rules of the stream have this name");
        plan->judges_readings |= to->config->on == STREAM_ON_READING;
        plan->rule_count++;
    }
    plan->early_ms = c->early_ms;
    plan->memory_bytes = plan->memory_count * (plan->judges_readings ? 2 : 1) *
                         (uint32_t)sizeof(struct remembered);
    return 0;
}
