/* topic: templates with named parts, such as `telemetry/{device}/{metric}`.
 *
 * A level is a literal, `+` (any one level), `{device}` or `{metric}`, `{name}` for any other part
 * (matched, not used), or, last only, `#` (the rest, also none). A named part wants at least one
 * byte, `+` matches an empty level too. As in MQTT, a wildcard at the first level does not match a
 * topic that begins with `$`. A template is compiled once; matching a topic allocates nothing and
 * is O(its bytes). */
#ifndef PIPELINE_TOPIC_H
#define PIPELINE_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/text.h"

enum { TOPIC_LEVELS_MAX = 16, TOPIC_BYTES_MAX = 256 };

enum topic_level_kind {
    TOPIC_LITERAL,
    TOPIC_ANY,
    TOPIC_DEVICE,
    TOPIC_METRIC,
    TOPIC_NAMED,
    TOPIC_REST
};

struct topic_level {
    enum topic_level_kind kind;
    uint16_t offset, bytes; /* LITERAL, NAMED: in `text` */
};

struct topic_template {
    char text[TOPIC_BYTES_MAX + 1];
    uint32_t level_count;
    struct topic_level levels[TOPIC_LEVELS_MAX];
};

struct topic_match {
    struct text device, metric; /* slices of the topic; empty: not named by the template */
};

/* WEIR_EINVAL with a sentence in *why and its byte in *at when it is no template. */
int topic_compile(struct topic_template *template, const char *text, const char **why, size_t *at);

bool topic_match(const struct topic_template *template, struct text topic,
                 struct topic_match *match);

/* The MQTT subscription filter for it ("telemetry/+/+"). `filter` has TOPIC_BYTES_MAX + 1 bytes. */
void topic_filter(const struct topic_template *template, char *filter);

#endif
