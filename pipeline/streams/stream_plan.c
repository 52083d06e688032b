#include "pipeline/streams/stream_plan.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "pipeline/err.h"
#include "pipeline/hash.h"
#include "pipeline/streams/streams_state.h"

static const struct expression_name OWN[STREAM_OWN_FIELDS] = {
    [FIELD_OF_DEVICE] = { { "device", 6 }, TYPE_TEXT },
    [FIELD_OF_METRIC] = { { "metric", 6 }, TYPE_TEXT },
    [FIELD_OF_UNIT] = { { "unit", 4 }, TYPE_TEXT },
    [FIELD_OF_VALUE] = { { "value", 5 }, TYPE_ANY },
    [FIELD_OF_TIME] = { { "time", 4 }, TYPE_NUMBER },
    [FIELD_OF_SEQUENCE] = { { "sequence", 8 }, TYPE_NUMBER },
    [FIELD_OF_SOURCE] = { { "source", 6 }, TYPE_TEXT },
};

static_assert((int)STREAM_FIELDS_MAX <= 64, "each field has a bit");

void stream_fields_begin(struct stream_fields *fields)
{
    *fields = (struct stream_fields){ .count = STREAM_OWN_FIELDS };
    for (uint32_t i = 0; i < STREAM_OWN_FIELDS; i++)
        fields->names[i] = OWN[i];
}

static uint32_t field_find(const struct stream_fields *fields, struct text name)
{
    uint32_t i = 0;
    while (i < fields->count && !text_equal(fields->names[i].name, name))
        i++;
    return i;
}

int stream_fields_add(struct stream_fields *fields, struct text source, const struct text *names,
                      uint32_t count)
{
    assert(fields->source_count < STREAM_SOURCES_MAX && count <= READING_FIELDS_MAX);
    uint32_t n = fields->source_count++;
    fields->sources[n] = source;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = field_find(fields, names[i]);
        if (slot == STREAM_FIELDS_MAX)
            return WEIR_EFULL;
        if (slot == fields->count)
            fields->names[fields->count++] = (struct expression_name){ names[i], TYPE_ANY };
        fields->slots[n][i] = (uint8_t)slot;
    }
    return 0;
}

/* --- compiling --- */

__attribute__((format(printf, 3, 4))) static int refuse(struct stream_fault *fault,
                                                        const void *field, const char *format, ...)
{
    *fault = (struct stream_fault){ .field = field };
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(fault->why, sizeof fault->why, format, arguments);
    va_end(arguments);
    return WEIR_EINVAL;
}

static int compile_where(struct stream_plan *plan, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    const struct expression_scope scope = { .names = plan->fields->names,
                                            .count = plan->fields->count };
    struct expression_fault inside;
    plan->has_where = c->where[0] != '\0';
    if (!plan->has_where)
        return 0;
    if (expression_compile(&plan->where, text_of(c->where), &scope, TYPE_BOOLEAN, &inside) != 0) {
        (void)refuse(fault, c->where, "%s", inside.why);
        fault->column = inside.column;
        fault->width = inside.width;
        return WEIR_EINVAL;
    }
    plan->slots |= plan->where.slots;
    return 0;
}

static int compile_key(struct stream_plan *plan, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    if (c->key_count == 0)
        return refuse(fault, c->key, "a stream has a key of at least one field");
    for (uint32_t i = 0; i < c->key_count; i++) {
        uint32_t slot = field_find(plan->fields, text_of(c->key[i].name));
        if (slot == plan->fields->count)
            return refuse(fault, c->key[i].name,
                          "no reading has a field `%s`: it is none of a reading's own, and no "
                          "source keeps it", c->key[i].name);
        plan->key[plan->key_count++] = (uint8_t)slot;
        plan->slots |= (uint64_t)1 << slot;
    }
    return 0;
}

/* A source that is named is one; where none is, all are. */
static int compile_inputs(struct stream_plan *plan, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    const struct stream_fields *fields = plan->fields;
    uint32_t named = 0, count = 0;
    for (uint32_t i = 0; i < fields->source_count; i++) {
        bool is = c->input_count == 0;
        for (uint32_t k = 0; k < c->input_count; k++)
            is = is || text_equal(fields->sources[i], text_of(c->inputs[k].name));
        plan->inputs[i] = is ? (uint8_t)count : UINT8_MAX;
        count += is;
    }
    plan->watched_inputs = count > 1 ? count + (c->input_count == 0) : 0;
    for (; named < c->input_count; named++) {
        uint32_t i = 0;
        while (i < fields->source_count &&
               !text_equal(fields->sources[i], text_of(c->inputs[named].name)))
            i++;
        if (i == fields->source_count)
            return refuse(fault, c->inputs[named].name, "no source is called `%s`",
                          c->inputs[named].name);
    }
    return 0;
}

static int compile_aggregates(struct stream_plan *plan, struct stream_fault *fault)
{
    static const struct stream_aggregate_text usual[] = { { "count" }, { "sum" }, { "mean" },
                                                          { "min" }, { "max" } };
    const struct stream_config *c = plan->config;
    bool given = c->aggregate_count > 0;
    uint32_t count = given ? c->aggregate_count : sizeof usual / sizeof usual[0];
    for (uint32_t i = 0; i < count; i++)
        if (stream_aggregate_compile(plan, given ? &c->aggregates[i] : &usual[i], fault) != 0)
            return WEIR_EINVAL;
    return 0;
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* All windows that begin in the ring may wait, and be told with one reading: when a source or a
 * clock runs ahead, after a gap, with `emit: final`. A late one revises some of them, no more. A
 * sliding one is told where the ring has its last pane, others also of the panes that there are. */
static int limit_panes(struct stream_plan *plan, const void *field, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    bool open = plan->panes > plan->window_panes + plan->slide_panes + 1;
    uint64_t merge_ns = 0, tell_steps = 0, merged = 0;
    for (uint32_t i = 0; i < plan->accumulator_count; i++) {
        enum accumulator_kind kind = plan->accumulators[i].accumulator.kind;
        merge_ns += accumulator_merge_ns(kind);
        tell_steps += accumulator_tell_steps(kind);
    }
    uint32_t told_panes = plan->sparse ? plan->window_panes : 1;
    for (uint32_t from = 0; from + told_panes <= plan->panes; from += plan->slide_panes) {
        uint32_t there = plan->panes - from;
        merged += there < plan->window_panes ? there : plan->window_panes;
        plan->at_once++;
    }
    plan->result_steps = (uint32_t)(tell_steps + merge_ns * plan->window_panes / STREAM_STEP_NS);
    plan->at_once_steps = tell_steps * plan->at_once + merge_ns * merged / STREAM_STEP_NS;
    if (plan->at_once_steps > STREAM_STEPS_MAX)
        return refuse(fault, field,
                      "%u windows of a key may wait, of up to %u panes, and be told with one "
                      "reading, in %llu steps of aggregates; it may take %d: choose a longer %s%s "
                      "or fewer aggregates",
                      (unsigned)plan->at_once, (unsigned)plan->window_panes,
                      (unsigned long long)plan->at_once_steps, STREAM_STEPS_MAX,
                      plan->sparse ? "`every`" : c->window == STREAM_HOPPING ? "`slide`" : "`size`",
                      open ? ", a shorter lateness, fewer `panes`" : "");
    return 0;
}

/* Panes are as long as size and slide allow. A key keeps those of windows that are not closed: one
 * window's length, and what lateness and order leave open before it, or as many as are asked for:
 * fewer where memory is short, more where a source may be behind the others. */
static int compile_panes(struct stream_plan *plan, const void *field, int64_t size_ms,
                         int64_t slide_ms, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    plan->pane_ms = common_divisor(size_ms, slide_ms);
    plan->slide_panes = (uint32_t)(slide_ms / plan->pane_ms);
    int64_t window = size_ms / plan->pane_ms;
    int64_t open = (c->lateness_ms + c->out_of_orderness_ms + plan->pane_ms - 1) / plan->pane_ms;
    int64_t least = window + plan->slide_panes + 1, needed = least + open;
    if (c->panes_max > 0)
        needed = c->panes_max > least ? c->panes_max : least;
    if (window > STREAM_WINDOW_PANES_MAX || needed > STREAM_PANES_MAX)
        return refuse(fault, field,
                      "a key would need %lld panes of %lld ms, and may have %d, of them %d in a "
                      "window: choose a longer %s or a shorter lateness, or set `panes`",
                      (long long)needed, (long long)plan->pane_ms, STREAM_PANES_MAX,
                      STREAM_WINDOW_PANES_MAX, plan->sparse ? "`every`" : "slide");
    plan->window_panes = (uint32_t)window;
    plan->panes = (uint32_t)needed;
    return limit_panes(plan, field, fault);
}

/* About a 60th of the span: the longest that divides it and is not longer. One that makes too many
 * panes is refused by compile_panes: 1 ms stands for all of these. */
static int64_t usual_every(int64_t span_ms)
{
    for (int64_t panes = 60; panes <= STREAM_WINDOW_PANES_MAX; panes++)
        if (span_ms % panes == 0)
            return span_ms / panes;
    return 1;
}

static int compile_last(struct stream_plan *plan, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    uint32_t kept = c->readings_max > 0 ? c->readings_max : c->last_count + STREAM_READINGS_MORE;
    if (kept <= c->last_count)
        return refuse(fault, &c->readings_max,
                      "`readings` is what is kept of a key, and has to be more than the %u of "
                      "`last`: each one more lets one more window wait or be revised",
                      (unsigned)c->last_count);
    for (uint32_t i = 0; i < plan->accumulator_count; i++) {
        enum accumulator_kind kind = plan->accumulators[i].accumulator.kind;
        plan->result_steps += accumulator_push_steps(kind) * c->last_count +
                              accumulator_tell_steps(kind);
    }
    plan->at_once = kept;
    plan->at_once_steps = (uint64_t)plan->result_steps * kept;
    if (plan->at_once_steps > STREAM_STEPS_MAX)
        return refuse(fault, &c->last_count,
                      "%u `readings` are kept, and a result of the `last` %u takes %u steps: a "
                      "reading could take %llu steps of aggregates at once, and may take %d: a "
                      "smaller `last` or `readings`, or fewer aggregates",
                      (unsigned)kept, (unsigned)c->last_count, (unsigned)plan->result_steps,
                      (unsigned long long)plan->at_once_steps, STREAM_STEPS_MAX);
    plan->pane_ms = c->every_ms > 0 ? c->every_ms : 1;
    plan->slide_panes = plan->window_panes = 1;
    plan->last_count = c->last_count;
    plan->panes = kept + 1;
    return 0;
}

static int compile_sliding(struct stream_plan *plan, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    if ((c->last_count > 0) == (c->span_ms > 0))
        return refuse(fault, &c->window, "a sliding window has a `last`, which counts readings, or "
                                         "a `span` of event time: one of them");
    if (c->slide_ms > 0)
        return refuse(fault, &c->slide_ms, "a sliding window has no `slide`: it ends with a "
                                           "reading, and at most one ends in each `every`");
    if (c->last_count > 0)
        return compile_last(plan, fault);
    if (c->readings_max > 0)
        return refuse(fault, &c->readings_max, "`readings` goes with `last`: of a `span` no "
                                               "readings are kept, but sums of each `every`");
    if (c->every_ms > 0 && c->span_ms % c->every_ms != 0)
        return refuse(fault, &c->every_ms, "`every` has to divide `span`: windows are put together "
                                           "of pieces that are so long");
    plan->sparse = true;
    return compile_panes(plan, &c->span_ms, c->span_ms,
                         c->every_ms > 0 ? c->every_ms : usual_every(c->span_ms), fault);
}

/* All sessions of a key may end with one reading, which may be in one that gives way and another
 * that joins two. */
static int compile_sessions(struct stream_plan *plan, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    uint64_t merge_ns = 0;
    if (c->gap_ms == 0)
        return refuse(fault, &c->gap_ms, "a session needs its `gap`");
    for (uint32_t i = 0; i < plan->accumulator_count; i++) {
        enum accumulator_kind kind = plan->accumulators[i].accumulator.kind;
        merge_ns += accumulator_merge_ns(kind);
        plan->result_steps += accumulator_tell_steps(kind);
    }
    plan->result_steps += (uint32_t)(merge_ns / STREAM_STEP_NS);
    plan->at_once = c->sessions_max + 2;
    plan->at_once_steps = (uint64_t)plan->result_steps * plan->at_once;
    plan->pane_ms = plan->slide_panes = plan->window_panes = 1; /* it has none */
    if (plan->at_once_steps > STREAM_STEPS_MAX)
        return refuse(fault, &c->sessions_max,
                      "%u `sessions` of a key may be told with one reading, in %llu steps of "
                      "aggregates; it may take %d: choose fewer `sessions` or fewer aggregates",
                      (unsigned)c->sessions_max, (unsigned long long)plan->at_once_steps,
                      STREAM_STEPS_MAX);
    return 0;
}

static int compile_windows(struct stream_plan *plan, struct stream_fault *fault)
{
    const struct stream_config *c = plan->config;
    if (c->window == STREAM_SLIDING)
        return compile_sliding(plan, fault);
    if (c->last_count > 0 || c->span_ms > 0 || c->every_ms > 0 || c->readings_max > 0)
        return refuse(fault, &c->window, "`last`, `span`, `every` and `readings` are of windows of "
                                         "`type: sliding`");
    if (c->window == STREAM_SESSION)
        return compile_sessions(plan, fault);
    int64_t slide_ms = c->window == STREAM_HOPPING && c->slide_ms > 0 ? c->slide_ms : c->size_ms;
    if (slide_ms > c->size_ms)
        return refuse(fault, &c->slide_ms, "`slide` is longer than `size`: readings would be in no "
                                           "window");
    return compile_panes(plan, &c->size_ms, c->size_ms, slide_ms, fault);
}

/* A key's part, beside its windows. */
static uint32_t entry_save_bytes(const struct stream_plan *plan)
{
    uint32_t memories = plan->memory_count * (plan->judges_readings ? 2 : 1);
    return ENTRY_SAVE_BYTES + plan->config->key_bytes + memories * MEMORY_SAVE_BYTES +
           plan->watched_inputs * INPUT_SAVE_BYTES;
}

/* A reading may take back two sessions and tell them as one, with one pushed out for want of room;
 * the watermark may have told each before. */
static void derive_sessions(struct stream_plan *plan)
{
    uint32_t save = SESSION_SAVE_BYTES, sessions = plan->config->sessions_max;
    if (plan->config->window != STREAM_SESSION)
        return;
    for (uint32_t i = 0; i < plan->accumulator_count; i++)
        save += accumulator_save_bytes_max(plan->accumulators[i].accumulator.kind);
    plan->pane_bytes = (uint32_t)sizeof(struct session) + plan->state_bytes;
    plan->windows_max = sessions;
    plan->save_bytes_max = entry_save_bytes(plan) + sessions * save;
    plan->results_max = 2 * sessions + 4;
}

/* A kept reading's: a number, or an empty text, where no aggregate asks for texts. */
static uint32_t arguments_save_bytes(const struct stream_plan *plan)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < plan->argument_count; i++)
        bytes += plan->argument_texts[i] ? 3 + HELD_TEXT_BYTES : 9;
    return bytes;
}

/* A reading tells each window of its key once, by the watermark or for want of room, and again the
 * n that it is late for; so are told those of a key that gives way to it. */
static void derive_last(struct stream_plan *plan)
{
    if (plan->last_count == 0)
        return;
    stream_sliding_lay_out(plan);
    plan->windows_max = plan->panes;
    plan->save_bytes_max = entry_save_bytes(plan) + KEPT_SAVE_BYTES +
                           plan->panes * (KEPT_SAVE_BYTES + arguments_save_bytes(plan));
    plan->results_max = 2 * plan->panes + plan->last_count + 1;
}

static void derive_sizes(struct stream_plan *plan)
{
    uint32_t save = PANE_SAVE_BYTES;
    for (uint32_t i = 0; i < plan->accumulator_count; i++)
        save += accumulator_save_bytes_max(plan->accumulators[i].accumulator.kind);
    plan->pane_bytes = (uint32_t)sizeof(struct pane) + plan->state_bytes;
    plan->windows_max = plan->panes / plan->slide_panes + 1;
    plan->save_bytes_max = entry_save_bytes(plan) + plan->panes * save;
    /* A reading tells each open window of its key once, by the watermark or pushed out, and again
     * those that it is late for; so are those of a key that gives way to it. A timer does less. */
    uint32_t open = plan->panes / plan->slide_panes + 1;
    plan->results_max = 2 * open + plan->window_panes / plan->slide_panes + 1;
    plan->steps_max = plan->where.step_count;
    for (uint32_t i = 0; i < plan->argument_count; i++)
        plan->steps_max += plan->arguments[i].step_count;
    for (uint32_t i = 0; plan->judges_readings && i < plan->derived_count; i++)
        plan->steps_max += plan->derived[i].of.step_count;
    for (uint32_t i = 0; i < plan->rule_count; i++)
        if (plan->rules[i].config->on == STREAM_ON_READING)
            plan->steps_max += plan->rules[i].when.step_count + plan->rules[i].observe.step_count;
}

static void add_text(struct hash_state *h, const char *text)
{
    hash_add(h, text, strlen(text) + 1);
}

static void add_number(struct hash_state *h, int64_t number)
{
    uint8_t bytes[8];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    put_i64(&w, number);
    hash_add(h, bytes, sizeof bytes);
}

static void add_sliding(struct hash_state *h, const struct stream_config *c)
{
    add_number(h, c->last_count);
    add_number(h, c->span_ms);
    add_number(h, c->every_ms);
    add_number(h, c->readings_max);
}

/* What a state means: everything but how many keys there may be, when they give way, and what the
 * rules say; but what these remember is a part of it. */
static uint64_t digest_of(const struct stream_plan *plan)
{
    const struct stream_config *c = plan->config;
    static const struct hash_key key = { 0x7765697273747265u, 0x616d646967657374u };
    struct hash_state h;
    const int64_t numbers[] = { c->out_of_orderness_ms, c->lateness_ms, c->idle_ms,
                                (int64_t)c->window, c->size_ms, c->slide_ms, c->panes_max,
                                c->gap_ms, c->length_max_ms, c->sessions_max, c->key_bytes,
                                c->final_only, c->key_count, c->aggregate_count, c->early_ms,
                                c->derived_count, plan->judges_readings };
    hash_begin(&h, key, 0);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        add_number(&h, numbers[i]);
    if (c->panes_max > 0)
        add_number(&h, plan->panes);
    if (c->window == STREAM_SLIDING)
        add_sliding(&h, c);
    add_text(&h, c->where);
    for (uint32_t i = 0; i < c->key_count; i++)
        add_text(&h, c->key[i].name);
    for (uint32_t i = 0; i < c->input_count; i++)
        add_text(&h, c->inputs[i].name);
    for (uint32_t i = 0; i < c->aggregate_count; i++)
        add_text(&h, c->aggregates[i].text);
    for (uint32_t i = 0; i < c->derived_count; i++) {
        add_text(&h, c->derived[i].name);
        add_text(&h, c->derived[i].of);
    }
    for (uint32_t i = 0; i < plan->memory_count; i++)
        hash_add(&h, &plan->memories[i].slot, 1);
    return hash_end64(&h);
}

int stream_compile(struct stream_plan *plan, const struct stream_config *config,
                   const struct stream_fields *fields, struct stream_fault *fault)
{
    assert(config->size_ms > 0 && config->lateness_ms >= 0 && config->out_of_orderness_ms >= 0);
    assert(config->keys_max > 0 && config->keys_max < STREAM_KEYS_MAX);
    assert(config->key_bytes > 0 && config->key_bytes <= STREAM_KEY_BYTES_MAX);
    *plan = (struct stream_plan){ .config = config, .fields = fields };
    int err = compile_where(plan, fault);
    if (err == 0)
        err = compile_key(plan, fault);
    if (err == 0)
        err = compile_inputs(plan, fault);
    if (err == 0)
        err = compile_aggregates(plan, fault);
    if (err == 0)
        err = compile_windows(plan, fault);
    if (err == 0)
        err = stream_rules_compile(plan, fault);
    if (err != 0)
        return err;
    derive_sizes(plan);
    derive_sessions(plan);
    derive_last(plan);
    plan->digest = digest_of(plan);
    return 0;
}
