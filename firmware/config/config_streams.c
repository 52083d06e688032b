/* Streams: compiled from what was written, with faults that point into an expression, and what
 * they cost. */
#include "firmware/config/config_parts.h"

#include <inttypes.h>

/* A part of a text that stands in one line as it was written is pointed at; else all of it. */
static struct config_place place_in(const struct config_reader *r, const char *field,
                                    uint32_t column, uint32_t width)
{
    struct config_place place = { .line = 1, .column = 1, .width = 1 };
    for (uint32_t i = 0; i < r->place_count; i++)
        if (r->places[i].at == field && r->places[i].leaf)
            place = r->places[i];
    const char *at = r->text.at, *end = r->text.at + r->text.bytes;
    for (uint32_t line = 1; line < place.line && at != NULL; line++) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at != NULL ? at + 1 : NULL;
    }
    if (at == NULL || column == 0 || (size_t)(end - at) < place.column + strlen(field))
        return place;
    at += place.column - 1;
    bool quoted = *at == '"' || *at == '\'';
    if (memcmp(at + quoted, field, strlen(field)) != 0)
        return place;
    place.column += column - 1 + quoted;
    place.width = width;
    return place;
}

static void refuse(struct config_reader *r, const struct stream_config *stream,
                   const struct stream_fault *fault)
{
    struct config_fault *f;
    if (fault->column > 0)
        f = fault_new(r, place_in(r, fault->field, fault->column, fault->width),
                      "stream `%s`: this can't be read", stream->name);
    else
        f = fault_at(r, fault->field, "stream `%s` can't be", stream->name);
    fault_why(f, "%s", fault->why);
    fault_fix(f, "docs/streams.md has the fields, operators and aggregates");
}

static void name_fields(struct config_reader *r)
{
    struct config *config = r->config;
    stream_fields_begin(&config->stream_fields);
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        struct text names[READING_FIELDS_MAX];
        for (uint32_t n = 0; n < source->field_count; n++)
            names[n] = text_of(source->field_names[n]);
        if (stream_fields_add(&config->stream_fields, text_of(source->name), names,
                              source->field_count) == 0)
            continue;
        struct config_fault *f = fault_at(r, source->name, "too many different further fields");
        fault_why(f, "streams can tell %d apart, over all sources",
                  STREAM_FIELDS_MAX - STREAM_OWN_FIELDS);
        fault_fix(f, "call what is the same by the same name, or keep fewer");
    }
}

/* Where nobody says when a key is forgotten, not while its windows may be told. */
static void derive_ttl(struct config_reader *r, struct stream_config *s)
{
    int64_t least_ms = s->idle_ms + s->lateness_ms;
    if (!config_given(r, &s->ttl_ms) && s->ttl_ms < least_ms)
        s->ttl_ms = least_ms;
}

void config_derive_streams(struct config_reader *r)
{
    struct config *config = r->config;
    struct stream_fault fault;
    bool good = true;
    if (config->stream_count == 0)
        return;
    name_fields(r);
    for (uint32_t i = 0; i < config->stream_count; i++) {
        struct stream_config *stream = &config->streams[i];
        struct stream_plan *plan = &config->stream_plans[i];
        derive_ttl(r, stream);
        if (!config_check_stream(r, stream)) {
            good = false;
        } else if (stream_compile(plan, stream, &config->stream_fields, &fault) != 0) {
            good = false;
            refuse(r, stream, &fault);
        } else if (!config_check_names(r, plan)) {
            good = false;
        }
    }
    if (good)
        config->engine.streams =
            (struct stream_set){ config->stream_count, config->stream_plans };
}

static bool is_detector(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->listed_count; i++)
        if (strcmp(config->rules[i].name, name) == 0)
            return true;
    return false;
}

/* State goes by the rules' names, over all of them. */
static void check_rule_names(struct config_reader *r, uint32_t stream)
{
    const struct config *config = r->config;
    for (uint32_t i = 0; i < config->streams[stream].rule_count; i++) {
        const char *name = config->streams[stream].rules[i].name;
        bool taken = is_detector(config, name);
        for (uint32_t s = 0; s < stream; s++)
            for (uint32_t j = 0; j < config->streams[s].rule_count; j++)
                taken = taken || strcmp(config->streams[s].rules[j].name, name) == 0;
        if (!taken)
            continue;
        struct config_fault *f = fault_at(r, name, "two rules are called `%s`", name);
        fault_why(f, "the name is part of an alert's identity, and detectors have names too");
        fault_fix(f, "give each a name of its own");
    }
}

/* What one reading of a source may take, in all streams that it goes to; the dearest of them. */
static uint64_t steps_of_source(const struct config *config, uint32_t source, uint32_t *dearest)
{
    const struct stream_set *set = &config->engine.streams;
    uint64_t steps = 0;
    *dearest = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->plans[i].inputs[source] == UINT8_MAX)
            continue;
        steps += set->plans[i].at_once_steps;
        if (set->plans[i].at_once_steps > set->plans[*dearest].at_once_steps)
            *dearest = i;
    }
    return steps;
}

/* The source whose readings may take most. */
static uint32_t dearest_source(const struct config *config, uint64_t *steps, uint32_t *stream)
{
    uint32_t found = 0, of;
    *steps = 0;
    *stream = 0;
    for (uint32_t source = 0; source < config->source_count; source++) {
        uint64_t own = steps_of_source(config, source, &of);
        if (own <= *steps)
            continue;
        *steps = own;
        *stream = of;
        found = source;
    }
    return found;
}

/* Each by itself was looked at when it was compiled. */
static void check_steps(struct config_reader *r)
{
    const struct config *config = r->config;
    uint64_t steps;
    uint32_t stream, source = dearest_source(config, &steps, &stream);
    if (steps <= STREAM_STEPS_MAX)
        return;
    const struct stream_config *s = &config->streams[stream];
    struct config_fault *f = fault_at(r, s->name, "the streams take too much of one reading");
    fault_why(f, "a reading of `%s` goes to all that take it, and may be told in %" PRIu64
                 " steps of aggregates by them together, of them %" PRIu64 " by `%s`; it may "
                 "take %d (6 ms on a PC), for it holds up all else", config->sources[source].name,
              steps, config->stream_plans[stream].at_once_steps, s->name, STREAM_STEPS_MAX);
    fault_fix(f, "a longer `slide` or `every`, a shorter `lateness`, a smaller `last` or "
                 "`readings`, fewer `sessions` or aggregates, or `inputs` that share no source");
}

void config_check_streams(struct config_reader *r)
{
    const struct config *config = r->config;
    check_steps(r);
    for (uint32_t i = 0; i < config->stream_count; i++) {
        const struct stream_config *s = &config->streams[i];
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(config->streams[j].name, s->name) == 0) {
                struct config_fault *f = fault_at(r, s->name, "two streams are called `%s`",
                                                  s->name);
                fault_why(f, "results and state go by the name");
                fault_fix(f, "give each a name of its own");
            }
        check_rule_names(r, i);
        if (s->ttl_ms < s->idle_ms + s->lateness_ms) {
            struct config_fault *f = fault_at(r, &s->ttl_ms,
                                              "`ttl` is shorter than `idle` and `lateness`");
            fault_why(f, "a key would be forgotten while its windows may still be told or revised, "
                         "and what came then told as if it were the first");
            fault_fix(f, "`ttl: %s` at least", shown_ms(s->idle_ms + s->lateness_ms).text);
        }
    }
}

/* What a key keeps of its windows, and how many. */
static const char *parts_of(const struct stream_plan *plan, uint32_t *count)
{
    *count = plan->config->window == STREAM_SESSION ? plan->windows_max : plan->panes;
    if (plan->last_count > 0)
        return "readings";
    return plan->config->window == STREAM_SESSION ? "sessions" : "panes";
}

static void print_sliding(const struct stream_plan *plan, FILE *out)
{
    char every[32];
    units_print_duration(plan->pane_ms, every, sizeof every);
    if (plan->last_count > 0)
        (void)fprintf(out, "%s: a result is %u readings put together, in %u steps of aggregates; a "
                           "late one revises at most %u results, in %u steps\n",
                      plan->config->name, plan->last_count, plan->result_steps, plan->last_count,
                      plan->result_steps * plan->last_count);
    else
        (void)fprintf(out, "%s: at most one result every %s, which ends up to %s behind its "
                           "newest reading and is %u panes put together\n",
                      plan->config->name, every, every, plan->window_panes);
}

void config_print_streams(const struct config *config, FILE *out)
{
    for (uint32_t i = 0; i < config->engine.streams.count; i++) {
        const struct stream_plan *plan = &config->stream_plans[i];
        uint64_t bytes = stream_key_bytes(plan), copy = stream_copy_bytes(plan);
        uint32_t count;
        const char *parts = parts_of(plan, &count);
        (void)fprintf(out,
                      "%s: %" PRIu64 " bytes a key, %u %s of %u bytes in it, and %" PRIu64
                      " in the checkpoint's copy; %u keys, %.1f KiB with the copy; "
                      "at most %u steps of expressions a reading, and %u results at once\n",
                      plan->config->name, bytes, count, parts, plan->pane_bytes, copy,
                      plan->config->keys_max,
                      (double)(bytes + copy) * plan->config->keys_max / 1024, plan->steps_max,
                      plan->results_max);
        if (plan->watched_inputs > 0)
            (void)fprintf(out, "%s: %u sources feed it, and %" PRIu64 " of the bytes of a key are "
                               "their watermarks; the slowest that is not idle moves its windows\n",
                          plan->config->name,
                          plan->watched_inputs - (plan->config->input_count == 0),
                          stream_inputs_bytes(plan));
        if (plan->config->window == STREAM_SLIDING)
            print_sliding(plan, out);
        (void)fprintf(out, "%s: at most %u %s of a key wait, and are told at once in "
                           "%" PRIu64 " steps of aggregates of at most %d\n",
                      plan->config->name, plan->at_once,
                      plan->config->window == STREAM_SESSION ? "sessions" : "windows",
                      plan->at_once_steps, STREAM_STEPS_MAX);
    }
    uint64_t steps;
    uint32_t stream, source;
    if (config->engine.streams.count < 2)
        return;
    source = dearest_source(config, &steps, &stream);
    (void)fprintf(out, "all streams together: a reading of %s may be told in %" PRIu64
                       " steps of aggregates of at most %d\n",
                  config->sources[source].name, steps, STREAM_STEPS_MAX);
}
