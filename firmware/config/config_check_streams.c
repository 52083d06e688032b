/* What of a stream's configuration would change nothing, or mean two things. */
#include "firmware/config/config_parts.h"

#include "pipeline/streams/stream_plan.h"

/* --- windows ----------------------------------------------------------------------------- */

static const struct {
    const char *called, *goes_by; /* in a sentence */
} WINDOWS[WINDOW_KINDS] = {
    [WINDOW_TUMBLING] = { "a tumbling window", "`size` and `panes`" },
    [WINDOW_HOPPING] = { "a hopping window", "`size`, `slide` and `panes`" },
    [WINDOW_SESSION] = { "a session", "`gap`, `max_length` and `sessions`" },
    [WINDOW_LAST] = { "a window of the `last` readings", "`last`, `every` and `readings`" },
    [WINDOW_SPAN] = { "a window of a `span`", "`span`, `every` and `panes`" },
};

/* The type whose windows have such a key. */
static const char *type_of(const struct config_key *key)
{
    static const char *const types[WINDOW_KINDS] = { "tumbling", "hopping", "session", "sliding",
                                                     "sliding" };
    uint32_t kind = 0;
    while (kind < WINDOW_KINDS - 1 && (key->kinds >> kind & 1) == 0)
        kind++;
    return types[kind];
}

/* What the type that was meant would be. */
static void refuse_key(struct config_reader *r, const struct stream_config *s,
                       const struct config_key *key)
{
    const void *field = (const char *)s + key->offset;
    enum window_kind kind = config_window_kind(s);
    const char *goes_by = WINDOWS[kind].goes_by;
    if (!config_given(r, &s->window)) {
        struct config_fault *f = fault_at(r, field, "stream `%s`: `%s` is of windows of `type: %s`",
                                          s->name, key->name, type_of(key));
        fault_why(f, "without a `type` they are tumbling, and go by %s: it would change nothing",
                  goes_by);
        fault_fix(f, "write `type: %s`, or leave `%s` out", type_of(key), key->name);
        return;
    }
    struct config_fault *f = fault_at(r, field, "stream `%s`: %s has no `%s`", s->name,
                                      WINDOWS[kind].called, key->name);
    fault_why(f, "it would change nothing: such a window goes by %s", goes_by);
    if ((key->kinds & 1 << WINDOW_TUMBLING) != 0) /* of several types */
        fault_fix(f, "leave `%s` out", key->name);
    else
        fault_fix(f, "leave `%s` out, or choose `type: %s`", key->name, type_of(key));
}

/* What other windows have would change nothing here, and whoever wrote it expects that it does. */
static bool check_window(struct config_reader *r, const struct stream_config *s)
{
    bool good = true, typed = config_given(r, &s->window);
    if (config_is_bad(r, &s->window))
        return false; /* that was told, and says nothing of the rest */
    for (uint32_t i = 0; i < config_key_count && (good || typed); i++) {
        const struct config_key *key = &config_keys[i];
        if (key->section != SECTION_STREAM_WINDOW || config_key_applies(key, s) ||
            !config_given(r, (const char *)s + key->offset))
            continue;
        refuse_key(r, s, key);
        good = false; /* without a type one is enough: it says what is missing */
    }
    return good;
}

/* --- names ------------------------------------------------------------------------------- */

/* A key's field, or an input, that stands in its list twice. */
static bool check_twice(struct config_reader *r, const struct stream_config *s,
                        const struct stream_name *names, uint32_t count)
{
    bool good = true, key = names == s->key;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++) {
            if (names[i].name[0] == '\0' || strcmp(names[i].name, names[j].name) != 0)
                continue;
            struct config_fault *f = fault_at(r, names[i].name, "stream `%s`: `%s` is %s twice",
                                              s->name, names[i].name,
                                              key ? "in its key" : "among its inputs");
            fault_why(f, key ? "a result would have two members of that name"
                             : "a source feeds a stream once");
            fault_fix(f, "leave one out");
            good = false;
            break;
        }
    return good;
}

bool config_check_stream(struct config_reader *r, const struct stream_config *stream)
{
    bool window = check_window(r, stream);
    bool key = check_twice(r, stream, stream->key, stream->key_count);
    return check_twice(r, stream, stream->inputs, stream->input_count) && key && window;
}

static bool is_bound(const char *name)
{
    return strcmp(name, "start") == 0 || strcmp(name, "end") == 0;
}

/* `derive` and `rules` find a name among start and end first, then the key's fields, then the
 * values: one that is there already can't be meant by them. */
static const char *taken_by(const struct stream_plan *plan, const char *name)
{
    if (is_bound(name))
        return "a bound of the window";
    for (uint32_t i = 0; i < plan->key_count; i++)
        if (strcmp(plan->config->key[i].name, name) == 0)
            return "a field of the key";
    return NULL;
}

/* A further field may be called so, and nothing but these expressions is at a loss then. */
static bool check_key_names(struct config_reader *r, const struct stream_config *s)
{
    bool good = true;
    for (uint32_t i = 0; i < s->key_count && s->derived_count + s->rule_count > 0; i++) {
        if (!is_bound(s->key[i].name))
            continue;
        struct config_fault *f =
            fault_at(r, s->key[i].name, "stream `%s`: its key's field `%s` has the name of a bound "
                                        "of the window", s->name, s->key[i].name);
        fault_why(f, "in `derive` and `rules` `%s` means that, and never this field",
                  s->key[i].name);
        fault_fix(f, "call the field otherwise in the source's `payload.fields`");
        good = false;
    }
    return good;
}

bool config_check_names(struct config_reader *r, const struct stream_plan *plan)
{
    const struct stream_config *s = plan->config;
    bool good = check_key_names(r, s);
    for (uint32_t i = 0; i < plan->value_count; i++) {
        const char *name = stream_value_name(plan, i), *by = taken_by(plan, name);
        bool derived = i >= plan->aggregate_count;
        const char *at = derived                  ? s->derived[i - plan->aggregate_count].name
                         : s->aggregate_count > 0 ? s->aggregates[i].text
                                                  : s->key[0].name;
        if (by == NULL)
            continue;
        struct config_fault *f = fault_at(r, at, "stream `%s`: %s `%s` has the name of %s",
                                          s->name, derived ? "the derived value" : "the aggregate",
                                          name, by);
        fault_why(f, "in `derive` and `rules` `%s` means that, and never this value", name);
        fault_fix(f, derived ? "give it another name" : "give it another name by `as`");
        good = false;
    }
    return good;
}
