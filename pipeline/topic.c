#include "pipeline/topic.h"

#include <assert.h>

#include "pipeline/err.h"

/* What one level of a template's text is, or the sentence that says why it is none. */
static const char *level_kind(struct text level, enum topic_level_kind *kind, size_t *at)
{
    *kind = TOPIC_LITERAL;
    *at = 0;
    if (level.bytes == 1 && (level.at[0] == '+' || level.at[0] == '#')) {
        *kind = level.at[0] == '+' ? TOPIC_ANY : TOPIC_REST;
        return NULL;
    }
    if (level.bytes > 0 && level.at[0] == '{') {
        if (level.bytes < 3 || level.at[level.bytes - 1] != '}')
            return "a named part fills its whole level, as in {device}";
        struct text name = { level.at + 1, level.bytes - 2 };
        *kind = text_equal(name, text_of("device"))   ? TOPIC_DEVICE
                : text_equal(name, text_of("metric")) ? TOPIC_METRIC
                                                      : TOPIC_NAMED;
        level = name;
        *at = 1;
    }
    for (uint32_t i = 0; i < level.bytes; i++, ++*at) {
        unsigned char byte = (unsigned char)level.at[i];
        if (byte == '+' || byte == '#')
            return "+ and # stand alone in their level";
        if (byte == '{' || byte == '}')
            return "a named part fills its whole level, as in {device}";
        if (byte < 0x20 || byte == 0x7f)
            return "a topic has no control characters";
    }
    return NULL;
}

static bool has_kind(const struct topic_template *template, enum topic_level_kind kind)
{
    for (uint32_t i = 0; i < template->level_count; i++)
        if (template->levels[i].kind == kind)
            return true;
    return false;
}

/* Add the level [start, end) of the template's text. */
static const char *add_level(struct topic_template *template, size_t start, size_t end, size_t *at)
{
    enum topic_level_kind kind;
    struct text level = { template->text + start, (uint32_t)(end - start) };
    size_t within;
    const char *why = level_kind(level, &kind, &within);
    *at = start + within;
    if (why != NULL)
        return why;
    *at = start;
    if (has_kind(template, TOPIC_REST)) {
        *at = start - 2;
        return "# comes last";
    }
    if ((kind == TOPIC_DEVICE || kind == TOPIC_METRIC) && has_kind(template, kind))
        return "a part is named once";
    if (template->level_count == TOPIC_LEVELS_MAX)
        return "a template has at most 16 levels";
    template->levels[template->level_count++] =
        (struct topic_level){ kind, (uint16_t)start, (uint16_t)(end - start) };
    return NULL;
}

int topic_compile(struct topic_template *template, const char *text, const char **why, size_t *at)
{
    size_t bytes = strlen(text);
    *template = (struct topic_template){ .level_count = 0 };
    *at = bytes < TOPIC_BYTES_MAX ? 0 : TOPIC_BYTES_MAX;
    *why = bytes == 0 ? "a template has at least one level" : "a template has at most 256 bytes";
    if (bytes == 0 || bytes > TOPIC_BYTES_MAX)
        return WEIR_EINVAL;
    memcpy(template->text, text, bytes + 1);
    for (size_t start = 0, end = 0; start <= bytes; start = end + 1) {
        for (end = start; end < bytes && text[end] != '/'; end++)
            ;
        *why = add_level(template, start, end, at);
        if (*why != NULL)
            return WEIR_EINVAL;
    }
    *at = 0;
    return 0;
}

static bool level_match(const struct topic_template *template, const struct topic_level *level,
                        struct text part, struct topic_match *match)
{
    switch (level->kind) {
    case TOPIC_LITERAL:
        return text_equal(part, (struct text){ template->text + level->offset, level->bytes });
    case TOPIC_DEVICE:
        match->device = part;
        return part.bytes > 0;
    case TOPIC_METRIC:
        match->metric = part;
        return part.bytes > 0;
    case TOPIC_NAMED:
        return part.bytes > 0;
    case TOPIC_ANY:
    case TOPIC_REST:
        return true;
    }
    return false;
}

bool topic_match(const struct topic_template *template, struct text topic,
                 struct topic_match *match)
{
    assert(template->level_count > 0);
    *match = (struct topic_match){ .device = { 0 } };
    if (topic.bytes == 0 || (topic.at[0] == '$' && template->levels[0].kind != TOPIC_LITERAL))
        return false;
    uint32_t start = 0; /* bytes + 1: every level is behind us */
    for (uint32_t i = 0; i < template->level_count; i++) {
        const struct topic_level *level = &template->levels[i];
        if (level->kind == TOPIC_REST)
            return true; /* "a/#" matches "a" too */
        if (start > topic.bytes)
            return false;
        const char *part = topic.at + start;
        const char *slash =
            start < topic.bytes ? memchr(part, '/', topic.bytes - start) : NULL;
        uint32_t bytes = slash != NULL ? (uint32_t)(slash - part) : topic.bytes - start;
        if (!level_match(template, level, (struct text){ part, bytes }, match))
            return false;
        start += bytes + 1;
    }
    return start > topic.bytes;
}

void topic_filter(const struct topic_template *template, char *filter)
{
    size_t used = 0;
    for (uint32_t i = 0; i < template->level_count; i++) {
        const struct topic_level *level = &template->levels[i];
        if (i > 0)
            filter[used++] = '/';
        if (level->kind == TOPIC_LITERAL) {
            memcpy(filter + used, template->text + level->offset, level->bytes);
            used += level->bytes;
        } else {
            filter[used++] = level->kind == TOPIC_REST ? '#' : '+';
        }
    }
    assert(used <= TOPIC_BYTES_MAX);
    filter[used] = '\0';
}
