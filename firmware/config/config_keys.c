/* The sections of a configuration, and what is asked of the table of keys. */
#include "firmware/config/config_parts.h"

#include <assert.h>
#include <stdio.h>

#include "pipeline/detect/detector.h"

const struct config_section_doc config_sections[SECTIONS] = {
    [SECTION_ROOT] = { "", sizeof(struct config), "The file as a whole." },
    [SECTION_GATEWAY] = { "gateway", sizeof(struct config), "The gateway itself." },
    [SECTION_CLOCK] = { "clock", sizeof(struct config), "How far the machine's clock is trusted." },
    [SECTION_LIMITS] = { "limits", sizeof(struct config),
                         "What the gateway has room for. Memory is set aside for all of it at "
                         "start." },
    [SECTION_SOURCE] = { "sources[]", sizeof(struct config_source),
                         "Where readings come from, at least one: a broker (`url`), or devices "
                         "that publish straight to us (`listen`)." },
    [SECTION_TOPIC] = { "sources[].topics[]", sizeof(struct config_topic),
                        "The topics to read. A plain text is a template that uses the "
                        "source's payload. A message that the broker retains is taken once, when "
                        "its session for us is new; later it is old news." },
    [SECTION_PAYLOAD] = { "sources[].payload", sizeof(struct json_mapping),
                          "Where in the JSON things are. A topic's own payload begins with "
                          "the source's." },
    [SECTION_PII] = { "sources[].pii[]", sizeof(struct pii_field),
                      "What of a payload is never kept, logged or forwarded in clear, wherever in "
                      "the message it is. It is replaced before anything else looks at the "
                      "payload: fields, values, names and dead letters have what stands in its "
                      "place. A payload that can't be read is kept as its length alone, and wills "
                      "as none. A plain text is a field to drop." },
    [SECTION_CONTRACT] = { "contracts[]", sizeof(struct contract),
                           "What readings must look like; a source names the one it follows. "
                           "An item `- file: PATH`, on a line of its own, is in that file, with "
                           "its keys from the first column on. "
                           "The store remembers each as it was last accepted. Under its name a "
                           "contract may only grow, by a greater version: a new optional metric, "
                           "a wider range, a unit no longer asked for. Any other change needs "
                           "another name; a start with it is refused." },
    [SECTION_METRIC] = { "contracts[].metrics[]", sizeof(struct contract_metric),
                         "The metrics of a contract." },
    [SECTION_WINDOW] = { "window", sizeof(struct config), "Windows and event time." },
    [SECTION_DEDUP] = { "dedup", sizeof(struct config), "How repeats are known." },
    [SECTION_LEARNING] = { "learning", sizeof(struct config),
                           "How long a new series' alerts are marked as learning. Both must "
                           "have passed." },
    [SECTION_USUAL] = { "usual", sizeof(struct config),
                        "What every series is watched for, without being told; "
                        "docs/detectors.md says with what defaults." },
    [SECTION_DETECTOR] = { "detectors[]", sizeof(struct detector_config),
                           "What is watched for besides. Where one of them watches a series, the "
                           "usual one of its type does not." },
    [SECTION_STREAM] = { "streams[]", sizeof(struct stream_config),
                         "Readings put together by any key, into windows, beside those of each "
                         "series; docs/streams.md says how. A stream whose definition changes "
                         "starts empty." },
    [SECTION_STREAM_KEY] = { "streams[].key[]", sizeof(struct stream_name),
                             "The fields of a stream's key." },
    [SECTION_STREAM_INPUT] = { "streams[].inputs[]", sizeof(struct stream_name),
                               "The sources that feed a stream." },
    [SECTION_STREAM_WINDOW] = { "streams[].window", sizeof(struct stream_config),
                                "A stream's windows." },
    [SECTION_STREAM_AGGREGATE] = { "streams[].aggregates[]", sizeof(struct stream_aggregate_text),
                                   "What is told of a stream's windows." },
    [SECTION_STREAM_DERIVED] = { "streams[].derive[]", sizeof(struct stream_derived_config),
                                 "What is worked out of a window's aggregates." },
    [SECTION_STREAM_RULE] = { "streams[].rules[]", sizeof(struct stream_rule_config),
                              "What a stream's results raise alerts for." },
    [SECTION_COMMIT] = { "commit", sizeof(struct config),
      "When readings are written and acknowledged." },
    [SECTION_RECOVERY] = { "recovery", sizeof(struct config), "How fast a restart must be." },
    [SECTION_CHECKPOINT] = { "checkpoint", sizeof(struct config),
                             "States that are kept for replays." },
    [SECTION_STORE] = { "store", sizeof(struct config),
                        "The disk budget. Shares are percent of disk_max without wal_max and "
                        "ballast." },
    [SECTION_SHED] = { "shed", sizeof(struct config), "What is left out under pressure." },
    [SECTION_SCALE] = { "scale", sizeof(struct config), "How many gateways the load wants." },
    [SECTION_ALERTS] = { "alerts", sizeof(struct config),
                         "When alerts are worth calling somebody for, and those about "
                         "the gateway itself." },
    [SECTION_INVENTORY] = { "inventory", sizeof(struct config),
                            "What people know about devices, to enrich alerts with." },
    [SECTION_UPLINK] = { "uplink", sizeof(struct config_uplink),
                         "Where alerts and batches go. Without it everything stays here." },
    [SECTION_HTTP] = { "http", sizeof(struct config_http),
                       "HTTP beside the gateway's socket. On the loopback without TLS: metrics and "
                       "health alone. Anywhere with TLS: all that the command line asks, for those "
                       "who hold a token (`weir token`)." },
    [SECTION_WATCHDOG] = { "watchdog", sizeof(struct config), "The machine's watchdog." },
};

bool config_section_is_hot(enum config_section section)
{
    switch (section) {
    case SECTION_DETECTOR: case SECTION_USUAL: case SECTION_LEARNING: case SECTION_ALERTS:
    case SECTION_CONTRACT: case SECTION_METRIC:
    case SECTION_STREAM: case SECTION_STREAM_KEY: case SECTION_STREAM_WINDOW:
    case SECTION_STREAM_AGGREGATE: case SECTION_STREAM_DERIVED: case SECTION_STREAM_RULE:
        return true;
    default:
        return false;
    }
}

/* Of a source, what the gateway alone goes by, and how fast devices may be: nobody has to connect
 * or subscribe anew for it, and the numbers of further fields stay. */
bool config_key_is_hot(const struct config_key *key)
{
    static const char *const of_sources[] = { "contract", "time", "priority", "rate",
                                              "rate_per_connection" };
    if (key->section == SECTION_PAYLOAD)
        return key->type != KEY_FIELDS;
    bool hot = config_section_is_hot(key->section);
    for (size_t i = 0; i < sizeof of_sources / sizeof of_sources[0]; i++)
        hot = hot || (key->section == SECTION_SOURCE && strcmp(key->name, of_sources[i]) == 0);
    return hot;
}

const struct config_key *config_key_find(enum config_section section, struct text name)
{
    for (uint32_t i = 0; i < config_key_count; i++)
        if (config_keys[i].section == section && text_equal(text_of(config_keys[i].name), name))
            return &config_keys[i];
    return NULL;
}

const char *config_key_path(const struct config_key *key, char to[CONFIG_KEY_PATH_BYTES])
{
    const char *section = config_sections[key->section].path;
    int used = snprintf(to, CONFIG_KEY_PATH_BYTES, "%s%s%s", section, *section != '\0' ? "." : "",
                        key->name);
    assert(used > 0 && used < CONFIG_KEY_PATH_BYTES);
    return to;
}

enum window_kind config_window_kind(const struct stream_config *stream)
{
    static_assert((int)WINDOW_SESSION == (int)STREAM_SESSION &&
                      (int)WINDOW_LAST == (int)STREAM_SLIDING, "others are called by their type");
    bool span = stream->window == STREAM_SLIDING && stream->last_count == 0;
    return span ? WINDOW_SPAN : (enum window_kind)stream->window;
}

/* Which of its section's kinds the thing at `base` is. */
static uint32_t kind_at(enum config_section section, const void *base)
{
    if (section == SECTION_STREAM_WINDOW)
        return config_window_kind(base);
    return section == SECTION_SOURCE ? ((const struct config_source *)base)->listens
                                     : ((const struct detector_config *)base)->kind;
}

bool config_key_applies(const struct config_key *key, const void *base)
{
    return key->kinds == 0 || (key->kinds >> kind_at(key->section, base) & 1) != 0;
}

const char *config_kind_name(enum config_section section, uint32_t kind)
{
    static const char *const sources[SOURCE_KINDS] = { "url", "listen" };
    static const char *const windows[WINDOW_KINDS] = { "tumbling", "hopping", "session",
                                                       "sliding-by-last", "sliding-by-span" };
    if (section == SECTION_STREAM_WINDOW)
        return kind < WINDOW_KINDS ? windows[kind] : NULL;
    if (section == SECTION_SOURCE)
        return kind < SOURCE_KINDS ? sources[kind] : NULL;
    return kind < DETECTOR_KINDS ? detector_ops((enum detector_kind)kind)->name : NULL;
}

static void take_default(const struct config_key *key, void *field)
{
    struct config_fault fault;
    int err = config_parse(key, text_of(key->fallback), field, &fault);
    assert(err == 0); /* a default is what its own row allows */
}

/* The table nests a few maps deep at most, and no section holds itself. */
void config_defaults(enum config_section section, void *base)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->section != section)
            continue;
        char *field = (char *)base + key->offset;
        if (key->type == KEY_MAP)
            config_defaults(key->child, field);
        else if (key->fallback != NULL)
            take_default(key, field);
    }
}
