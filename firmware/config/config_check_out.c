/* Contradictions in what leaves: detectors, alerts, and the uplink. */
#include "firmware/config/config_parts.h"

#include "pipeline/detect/detector.h"

/* --- detectors --------------------------------------------------------------------------- */

/* Else that was told already, and nothing more can be said about it. */
static bool kind_known(const struct config_reader *r, const struct detector_config *rule)
{
    return rule->usual || config_given(r, &rule->kind);
}

/* A key that this kind does not look at was meant to do something. */
static void check_unused_keys(struct config_reader *r, const struct detector_config *rule)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const char *field = (const char *)rule + key->offset;
        if (key->section != SECTION_DETECTOR || config_key_applies(key, rule)
            || !config_given(r, field))
            continue;
        struct config_fault *f = fault_at(r, field, "a %s detector has no `%s`",
                                          detector_ops(rule->kind)->name, key->name);
        fault_why(f, "it would be without effect");
        fault_fix(f, "leave it out; `weir config explain detectors.%s` says what uses it",
                  key->name);
    }
}

static void check_limit(struct config_reader *r, const struct detector_config *rule)
{
    struct config_fault *f;
    if (!rule->has_low && !rule->has_high) {
        f = fault_on(r, rule, sizeof *rule, "the limit `%s` has neither `low` nor `high`",
                     rule->name);
        fault_why(f, "it could never be passed");
        fault_fix(f, "add `low:` or `high:`, in the metric's unit");
    }
    if (!rule->has_low || !rule->has_high)
        return;
    if (rule->low >= rule->high) {
        f = fault_at(r, &rule->low, "`low` is not less than `high` for the limit `%s`", rule->name);
        fault_why(f, "every value would be outside");
        fault_fix(f, "swap them");
    } else if (2 * rule->hysteresis >= rule->high - rule->low) {
        f = fault_at(r, &rule->hysteresis, "`hysteresis` is half of the band or more for `%s`",
                     rule->name);
        fault_why(
            f, "from %g above low to %g below high there is no value left at which an alert ends",
            rule->hysteresis, rule->hysteresis);
        fault_fix(f, "less than %g", (rule->high - rule->low) / 2);
    }
}

static void check_rule(struct config_reader *r, const struct detector_config *rule)
{
    struct config_fault *f;
    if (!kind_known(r, rule))
        return;
    check_unused_keys(r, rule);
    if (rule->kind == DETECTOR_LIMIT)
        check_limit(r, rule);
    if (rule->kind == DETECTOR_RATE && !(rule->per_second_max > 0)) {
        f = fault_on(r, rule, sizeof *rule, "the rate `%s` has no `per_second`", rule->name);
        fault_why(f, "nothing says which change is too fast; there is no default for that");
        fault_fix(f, "add `per_second:` with the greatest usual change a second, above 0");
    }
    if (rule->of_readings > 0 && rule->of_readings < rule->for_readings) {
        f = fault_at(r, &rule->of_readings, "`of_readings` is less than `for_readings` for `%s`",
                     rule->name);
        fault_why(f, "of %u readings there are no %u that are anomalous",
                  (unsigned)rule->of_readings, (unsigned)rule->for_readings);
        fault_fix(f, "`of_readings: 0` for %u in a row, or more of them",
                  (unsigned)rule->for_readings);
    }
    if (rule->kind == DETECTOR_SHIFT && rule->drift >= rule->threshold) {
        f = fault_at(r, &rule->drift, "`drift` is not less than `threshold` for the shift `%s`",
                     rule->name);
        fault_why(
            f,
            "a reading has to be %g deviations off to count at all, and %g in sum raise an alert",
            rule->drift, rule->threshold);
        fault_fix(f, "usually a drift of about 0.5 and a threshold from 5 to 10");
    }
}

void config_check_rules(struct config_reader *r)
{
    const struct config *config = r->config;
    struct config_fault *f;
    for (uint32_t i = 0; i < config->rule_count; i++) {
        if (i >= config->listed_count && !config->rules[i].usual) /* a stream's */
            continue;
        check_rule(r, &config->rules[i]);
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(config->rules[i].name, config->rules[j].name) != 0 || config->rules[i].usual
                || !kind_known(r, &config->rules[i]) || !kind_known(r, &config->rules[j]))
                continue;
            f = fault_at(r, config->rules[i].name, "two detectors are called `%s`",
                         config->rules[i].name);
            fault_why(
                f, "the name is part of an alert's identity, and is the type where none is given");
            fault_fix(f, "give each a `name` of its own");
            break;
        }
    }
    if (config->engine.rules_per_series > ENGINE_RULES_PER_SERIES_MAX) {
        f = fault_on(r, config->rules, sizeof config->rules, "%u detectors may watch one series",
                     config->engine.rules_per_series);
        fault_why(f, "a series has room for %d", ENGINE_RULES_PER_SERIES_MAX);
        fault_fix(f, "name devices and metrics more narrowly than `*`");
    }
}

/* --- uplink ------------------------------------------------------------------------------ */

static void check_topics(struct config_reader *r, const struct config_uplink *up)
{
    struct config_fault *f;
    if (strstr(up->topic, "{lane}") == NULL) {
        f = fault_at(r, up->topic, "`uplink.topic` has no {lane}");
        fault_why(
            f,
            "alerts, results and raw readings would share a topic, and their sequences would mix");
        fault_fix(f, "such as `weir/{gateway}/{lane}`");
    }
    if (up->receipts && (up->receipt_topic[0] == '\0' || up->replay_topic[0] == '\0')) {
        bool receipt = up->receipt_topic[0] == '\0';
        f = fault_at(r, receipt ? up->receipt_topic : up->replay_topic,
                     "`receipts: true` without `%s`", receipt ? "receipt_topic" : "replay_topic");
        fault_why(f, "rows would wait for a receipt that can't come");
        fault_fix(f, "leave the key out for its default, or write `receipts: false`");
    }
    if (strcmp(up->receipt_topic, up->replay_topic) == 0 && up->receipt_topic[0] != '\0') {
        f = fault_at(r, up->replay_topic, "`receipt_topic` and `replay_topic` are the same");
        fault_why(f, "a receipt could not be told from a request");
        fault_fix(f, "two different topics");
    }
}

/* The uplink's topics must not come back in through a source on the same broker. */
static void check_loop(struct config_reader *r, const struct config_source *source)
{
    const struct config_uplink *up = &r->config->uplink;
    struct topic_match match;
    if (strcmp(source->broker.host, up->broker.host) != 0 || source->broker.port != up->broker.port)
        return;
    for (uint32_t i = 0; i < source->topic_count; i++) {
        if (source->topics[i].template.level_count == 0
            || !topic_match(&source->topics[i].template, text_of(up->topic), &match))
            continue;
        struct config_fault *f = fault_at(
            r, up->topic, "the source `%s` would read back what the uplink sends", source->name);
        fault_why(f, "both are on %s:%u, and `%s` matches `%s`", up->broker.host, up->broker.port,
                  source->topics[i].template.text, up->topic);
        fault_fix(f, "a narrower template, or another topic for the uplink");
    }
}

/* Corrections go nowhere without an uplink. */
static void check_late(struct config_reader *r)
{
    const struct config *config = r->config;
    const void *field = config->engine.late_out ? &config->engine.late_out : NULL;
    for (uint32_t i = 0; field == NULL && i < config->stream_count; i++)
        if (config->streams[i].late_out)
            field = &config->streams[i].late_out;
    if (field == NULL)
        return;
    struct config_fault *f = fault_at(r, field, "`late: side_output` without an `uplink`");
    fault_why(f, "what is too late for its window is forwarded to the cloud, and there is none");
    fault_fix(f, "add `uplink:`, or write `late: count`");
}

void config_check_uplink(struct config_reader *r)
{
    const struct config *config = r->config;
    const struct config_uplink *up = &config->uplink;
    const struct config_broker *b = &up->broker;
    struct config_fault *f;
    if (!up->given) {
        check_late(r);
        return;
    }
    config_check_broker(r, b);
    check_topics(r, up);
    if (!b->tls && b->host[0] != '\0' && !config_loopback(b->host)) {
        f = fault_at(r, b, "the uplink to `%s` has no TLS", b->host);
        fault_why(
            f,
            "what leaves the gateway is encrypted; only a broker on this machine may go without");
        fault_fix(f, "write `mqtts://%s` and give `ca`", b->host);
    }
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_broker *s = &config->sources[i].broker;
        check_loop(r, &config->sources[i]);
        if (strcmp(s->host, b->host) != 0 || s->port != b->port
            || strcmp(s->client_id, b->client_id) != 0)
            continue;
        f = fault_at(r, b->client_id,
                     "the uplink and the source `%s` use client id `%s` on one broker",
                     config->sources[i].name, b->client_id);
        fault_why(f, "the broker would cut off one whenever the other connects");
        fault_fix(f, "give each a `client_id` of its own");
    }
}
