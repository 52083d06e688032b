/* Contradictions between keys: each value is fine alone, together they can't be what was meant.
 * Every check stands alone and only adds faults, so one run shows them all. */
#include "firmware/config/config_parts.h"

#include <arpa/inet.h>

enum { KIND_KEYS_MAX = 40, SOCKET_PATH_BYTES_MAX = 107, DATA_DIR_BYTES_MAX = 230 };

static struct shown size(uint64_t bytes)
{
    struct shown shown;
    units_print_size(bytes % 1024 == 0 ? bytes : (bytes / 1024 + 1) * 1024, shown.text,
                     sizeof shown.text);
    return shown;
}

/* Of two keys that contradict each other, the one that was written; the first if both were. */
static const void *written(const struct config_reader *r, const void *first, const void *second)
{
    return config_given(r, first) || !config_given(r, second) ? first : second;
}

bool config_loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;
    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &four) == 1)
        return (ntohl(four.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* --- brokers ----------------------------------------------------------------------------- */

static void check_tls_files(struct config_reader *r, const struct config_broker *b)
{
    const char *files[] = { b->ca_file, b->cert_file, b->key_file };
    struct config_fault *f;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && !b->tls; i++) {
        if (files[i][0] == '\0')
            continue;
        f = fault_at(r, files[i], "a certificate or key for a connection without TLS");
        fault_why(f, "the URL begins with mqtt://, so it would never be used");
        fault_fix(f, "write mqtts:// in the URL, or leave this key out");
    }
    if (b->tls && b->ca_file[0] == '\0') {
        f = fault_at(r, b, "TLS without `ca`");
        fault_why(f, "nothing would say whose certificate the broker may show");
        fault_fix(f, "add `ca:` with the file of the certificates that signed the broker's");
    }
    if (b->tls && (b->cert_file[0] == '\0') != (b->key_file[0] == '\0')) {
        bool cert = b->cert_file[0] != '\0';
        f = fault_at(r, cert ? b->cert_file : b->key_file, "`%s` without `%s`",
                     cert ? "cert" : "key", cert ? "key" : "cert");
        fault_why(f, "a certificate and its private key are used together");
        fault_fix(f, "add `%s:`", cert ? "key" : "cert");
    }
}

void config_check_broker(struct config_reader *r, const struct config_broker *b)
{
    struct config_fault *f;
    check_tls_files(r, b);
    if (b->password_file[0] != '\0' && b->username[0] == '\0') {
        f = fault_at(r, b->password_file, "`password_file` without `username`");
        fault_why(f, "MQTT sends a password only with a user name");
        fault_fix(f, "add `username:`");
    }
    if (b->backoff_min_ms > b->backoff_max_ms) {
        f = fault_at(r, &b->backoff_min_ms, "`backoff_min` is more than `backoff_max`");
        fault_why(f, "%s is more than %s", shown_ms(b->backoff_min_ms).text,
                  shown_ms(b->backoff_max_ms).text);
        fault_fix(f, "the wait grows from backoff_min to backoff_max");
    }
    if (r->config->commit_max_age_ms > b->keepalive_ms / 2) {
        f = fault_at(r, written(r, &b->keepalive_ms, &r->config->commit_max_age_ms),
                     "`keepalive` is less than twice `commit.max_age`");
        fault_why(f,
                  "a ping waits for the commit under way (%s), and the broker hangs up after 1.5 "
                  "times %s",
                  shown_ms(r->config->commit_max_age_ms).text, shown_ms(b->keepalive_ms).text);
        fault_fix(f, "at least `%s`", shown_ms(2 * r->config->commit_max_age_ms).text);
    }
}

static bool same_session(const struct config_broker *a, const struct config_broker *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port
           && strcmp(a->client_id, b->client_id) == 0;
}

/* --- sources ----------------------------------------------------------------------------- */

static void check_mapping(struct config_reader *r, const struct json_mapping *m)
{
    struct config_fault *f;
    if (config_given(r, m->metrics) && config_given(r, m->value)) {
        f = fault_at(r, m->metrics, "both `value` and `metrics`");
        fault_why(f, "a message is either one value or an object of metrics");
        fault_fix(f, "leave one of them out");
    }
    if (config_given(r, m->metrics) && config_given(r, m->metric) && m->metric[0] != '\0') {
        f = fault_at(r, m->metric, "both `metric` and `metrics`");
        fault_why(f, "the members of `metrics` have the metrics' names already");
        fault_fix(f, "leave `metric` out");
    }
}

static bool names_level(const struct config_topic *topic, enum topic_level_kind kind)
{
    for (uint32_t i = 0; i < topic->template.level_count; i++)
        if (topic->template.levels[i].kind == kind)
            return true;
    return false;
}

static void check_topic(struct config_reader *r, const struct config_topic *topic)
{
    struct config_fault *f;
    if (topic->template.level_count == 0)
        return; /* no template: told already */
    check_mapping(r, &topic->mapping);
    if (!names_level(topic, TOPIC_DEVICE) && topic->mapping.device[0] == '\0') {
        f = fault_at(r, &topic->template, "nothing names the device");
        fault_why(f, "the template has no {device}, and the payload has no `device`");
        fault_fix(f, "put {device} where the topic names it, or give `payload.device`");
    }
    if (!names_level(topic, TOPIC_METRIC) && topic->mapping.metric[0] == '\0'
        && !topic->mapping.metrics_given) {
        f = fault_at(r, &topic->template, "nothing names the metric");
        fault_why(
            f, "the template has no {metric}, and the payload has neither `metric` nor `metrics`");
        fault_fix(f, "put {metric} in the template, or give `payload.metrics: \"\"` for an object "
                     "of metrics");
    }
}

static void check_time(struct config_reader *r, const struct config_source *source)
{
    if (source->time_policy != TIME_POLICY_CLAMP || source->topic_count == 0)
        return;
    for (uint32_t i = 0; i < source->topic_count; i++)
        if (source->topics[i].mapping.time[0] != '\0')
            return;
    struct config_fault *f =
        fault_at(r, &source->time_policy, "`time: clamp` without a device's time");
    fault_why(f, "`payload.time` is empty, so there is nothing to hold within max_skew");
    fault_fix(f, "write `time: arrival`, or give `payload.time`");
}

static void check_contract_name(struct config_reader *r, const struct config_source *source,
                                uint32_t index)
{
    const struct config *config = r->config;
    if (source->contract_name[0] == '\0' || config->engine_sources[index].contract != NULL)
        return;
    struct config_fault *f =
        fault_at(r, source->contract_name, "there is no contract `%s`", source->contract_name);
    fault_why(f, "`contracts` has none of this name");
    for (uint32_t i = 0; i < config->contract_count; i++)
        if (config_distance(text_of(config->contracts[i].name), text_of(source->contract_name))
            <= 2)
            fault_fix(f, "did you mean `%s`?", config->contracts[i].name);
    if (f->fix[0] == '\0')
        fault_fix(f, "add it to `contracts`, or leave the key out");
}

static void check_version(struct config_reader *r, const struct config_source *source)
{
    for (uint32_t i = 0; i < source->topic_count && source->contract_name[0] == '\0'; i++) {
        const struct json_mapping *mapping = &source->topics[i].mapping;
        if (mapping->version[0] == '\0')
            continue;
        struct config_fault *f = fault_at(r, written(r, mapping->version, source->mapping.version),
                                          "`payload.version` without a contract");
        fault_why(f, "the source `%s` names none, so no version is good or bad", source->name);
        fault_fix(f, "give the source a `contract`, or leave the key out");
        return;
    }
}

static void check_topics(struct config_reader *r, const struct config_source *source)
{
    struct config_fault *f;
    if (source->topic_count == 0 && source->name[0] != '\0') {
        f = fault_on(r, source->topics, sizeof source->topics, "the source `%s` has no topic",
                     source->name);
        fault_why(f, "it would connect and never read anything");
        fault_fix(f, "add one, such as \"telemetry/{device}/{metric}\"");
    }
    for (uint32_t i = 0; i < source->topic_count; i++) {
        char filter[TOPIC_BYTES_MAX + 1], other[TOPIC_BYTES_MAX + 1];
        check_topic(r, &source->topics[i]);
        topic_filter(&source->topics[i].template, filter);
        for (uint32_t j = 0; j < i; j++) {
            topic_filter(&source->topics[j].template, other);
            if (strcmp(filter, other) != 0 || filter[0] == '\0')
                continue;
            f = fault_at(r, &source->topics[i].template, "the same topics twice in one source");
            fault_why(f, "`%s` matches what `%s` matches, and the first one wins",
                      source->topics[i].template.text, source->topics[j].template.text);
            fault_fix(f, "keep one of the two");
        }
    }
}

static void check_source(struct config_reader *r, uint32_t index)
{
    const struct config *config = r->config;
    const struct config_source *source = &config->sources[index];
    struct config_fault *f;
    config_check_kind(r, source);
    if (source->kind == SOURCE_BROKER)
        config_check_broker(r, &source->broker);
    else
        config_check_listener(r, index);
    check_topics(r, source);
    check_time(r, source);
    check_contract_name(r, source, index);
    check_version(r, source);
    config_check_pii(r, source);
    if (source->kind == SOURCE_BROKER && source->receive_maximum > config->commit_max_readings) {
        f = fault_at(r, written(r, &source->receive_maximum, &config->commit_max_readings),
                     "`receive_maximum` is more than a commit holds");
        fault_why(
            f, "%u messages can wait for one commit, which takes %u readings (commit.max_readings)",
            source->receive_maximum, config->commit_max_readings);
        fault_fix(f, "`receive_maximum: %u` is the most that can be of use",
                  config->commit_max_readings);
    }
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(config->sources[i].name, source->name) == 0 && source->name[0] != '\0') {
            f = fault_at(r, source->name, "two sources are called `%s`", source->name);
            fault_why(f, "counters and dead letters could not tell them apart");
            fault_fix(f, "give each a name of its own");
        } else if (source->kind == SOURCE_BROKER && config->sources[i].kind == SOURCE_BROKER
                   && same_session(&config->sources[i].broker, &source->broker)) {
            f = fault_at(r, source->broker.client_id,
                         "two sources use client id `%s` on one broker", source->broker.client_id);
            fault_why(f, "the broker would cut off one whenever the other connects");
            fault_fix(f, "give each a `client_id` of its own");
        }
    }
}

/* --- time, limits, memory ---------------------------------------------------------------- */

static void check_window(struct config_reader *r)
{
    const struct engine_config *e = &r->config->engine;
    struct config_fault *f;
    int64_t span = e->window.lateness_ms + e->out_of_orderness_ms;
    int64_t needed = (span + e->window.size_ms - 1) / e->window.size_ms + 1;
    if (needed > e->window.slots) {
        f = fault_at(r, written(r, &e->window.slots, &e->window.lateness_ms),
                     "`window.slots` is too few for the lateness");
        fault_why(f,
                  "lateness and out_of_orderness, %s together, keep %lld windows of %s open, and "
                  "there are %u slots",
                  shown_ms(span).text, (long long)needed, shown_ms(e->window.size_ms).text,
                  e->window.slots);
        if (needed <= 64)
            fault_fix(f, "`slots: %lld`, or a shorter lateness, or a larger size",
                      (long long)needed);
        else
            fault_fix(f, "a shorter lateness, or a larger size");
    }
    if (e->idle_ms <= e->out_of_orderness_ms) {
        f = fault_at(r, written(r, &e->idle_ms, &e->out_of_orderness_ms),
                     "`window.idle` is not more than `window.out_of_orderness`");
        fault_why(f, "windows would close as idle (%s) while readings are still awaited (%s)",
                  shown_ms(e->idle_ms).text, shown_ms(e->out_of_orderness_ms).text);
        fault_fix(f, "a longer idle, or a shorter out_of_orderness");
    }
    if (e->reorder_ms > 0 && e->reorder_slots == 0) {
        f = fault_at(r, written(r, &e->reorder_slots, &e->reorder_ms),
                     "`window.reorder` without `window.reorder_slots`");
        fault_why(f, "there is no room to hold a reading back");
        fault_fix(f, "such as `reorder_slots: 16`");
    }
    if (e->reorder_ms >= e->idle_ms) {
        f = fault_at(r, written(r, &e->reorder_ms, &e->idle_ms),
                     "`window.reorder` is not less than `window.idle`");
        fault_why(f, "readings would be held back (%s) until their series counts as idle (%s)",
                  shown_ms(e->reorder_ms).text, shown_ms(e->idle_ms).text);
        fault_fix(f, "a shorter reorder, or a longer idle");
    }
}

static void check_limits(struct config_reader *r)
{
    const struct config *c = r->config;
    struct config_fault *f;
    if (c->engine.series_max < c->engine.devices_max) {
        f = fault_at(r, written(r, &c->engine.series_max, &c->engine.devices_max),
                     "`limits.series` is less than `limits.devices`");
        fault_why(f, "each device has at least one series: %u devices need %u",
                  c->engine.devices_max, c->engine.devices_max);
        fault_fix(f, "devices times the metrics that each has");
    }
    if (c->json.readings > c->commit_max_readings) {
        f = fault_at(r, written(r, &c->json.readings, &c->commit_max_readings),
                     "`limits.readings_per_message` is more than a commit holds");
        fault_why(
            f,
            "a message of %u readings could never be committed whole (commit.max_readings is %u)",
            c->json.readings, c->commit_max_readings);
        fault_fix(f, "at most `%u`", c->commit_max_readings);
    }
    if (c->json_arena_bytes < 2 * c->json.payload_bytes) {
        f = fault_at(r, written(r, &c->json_arena_bytes, &c->json.payload_bytes),
                     "`limits.json_arena` is less than twice `limits.payload`");
        fault_why(f, "messages of %s could not be decoded in %s", size(c->json.payload_bytes).text,
                  size(c->json_arena_bytes).text);
        fault_fix(f, "such as `json_arena: %s`", size(16 * (uint64_t)c->json.payload_bytes).text);
    }
}

static void check_paths(struct config_reader *r)
{
    const struct config *c = r->config;
    struct config_fault *f;
    for (int i = 0; i < 2; i++) {
        const char *path = i == 0 ? c->socket_path : c->updater_path;
        if (strlen(path) <= SOCKET_PATH_BYTES_MAX)
            continue;
        f = fault_at(r, path, i == 0 ? "`gateway.socket` is too long"
                                     : "`gateway.updater` is too long");
        fault_why(f, "the name of a Unix socket has at most %d bytes", SOCKET_PATH_BYTES_MAX);
        fault_fix(f, "a shorter path");
    }
    if (strlen(c->data_dir) > DATA_DIR_BYTES_MAX) {
        f = fault_at(r, c->data_dir, "`gateway.data_dir` is too long");
        fault_why(f, "the names of the files in it need room too");
        fault_fix(f, "a path of at most %d bytes", DATA_DIR_BYTES_MAX);
    }
    size_t name = strlen(c->inventory_file);
    bool csv = name > 4 && strcmp(c->inventory_file + name - 4, ".csv") == 0;
    bool json = name > 5 && strcmp(c->inventory_file + name - 5, ".json") == 0;
    if (name > 0 && !csv && !json) {
        f = fault_at(r, c->inventory_file, "`inventory.file` is neither .csv nor .json");
        fault_why(f, "its ending says how it is read");
        fault_fix(f, "name it so");
    }
}

static void check_commit(struct config_reader *r)
{
    const struct config *c = r->config;
    struct config_fault *f;
    if (c->watchdog_s > 0 && (int64_t)c->watchdog_s * 1000 <= c->commit_retry_for_ms) {
        f = fault_at(r, written(r, &c->watchdog_s, &c->commit_retry_for_ms),
                     "`watchdog.timeout` is not more than `commit.retry_for`");
        fault_why(
            f, "the machine would restart after %s, before a failing commit is given up after %s",
            shown_ms((int64_t)c->watchdog_s * 1000).text, shown_ms(c->commit_retry_for_ms).text);
        fault_fix(f, "a longer timeout, or a shorter retry_for");
    }
    if (c->commit_retry_for_ms <= c->commit_max_age_ms) {
        f = fault_at(r, &c->commit_retry_for_ms,
                     "`commit.retry_for` is not more than `commit.max_age`");
        fault_why(f, "one slow commit would end the process");
        fault_fix(f, "such as `60s`");
    }
}

static void check_store(struct config_reader *r)
{
    const struct config *c = r->config;
    const struct config_shares *s = &c->shares;
    struct config_fault *f;
    uint32_t sum = s->journal + s->alerts + s->results + s->raw + s->letters;
    if (sum > 100 - CONFIG_SPARE_PERCENT) {
        const uint32_t *shares[] = { &s->journal, &s->alerts, &s->results, &s->raw, &s->letters };
        const uint32_t *last = shares[0];
        for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
            last = config_given(r, shares[i]) ? shares[i] : last;
        f = fault_at(r, last, "the shares of the store add up to %u percent", sum);
        fault_why(f,
                  "journal %u, alerts %u, results %u, raw %u, letters %u; %d must be left for "
                  "checkpoints",
                  s->journal, s->alerts, s->results, s->raw, s->letters, CONFIG_SPARE_PERCENT);
        fault_fix(f, "%u percent less", sum - (100 - CONFIG_SPARE_PERCENT));
    }
    if (c->store.wal_bytes_max + c->store.ballast_bytes > c->store.disk_bytes_max / 2) {
        f = fault_at(r, written(r, &c->store.wal_bytes_max, &c->store.disk_bytes_max),
                     "`wal_max` and `ballast` take more than half of `disk_max`");
        fault_why(f, "%s and %s of %s leave too little for data", size(c->store.wal_bytes_max).text,
                  size(c->store.ballast_bytes).text, size(c->store.disk_bytes_max).text);
        fault_fix(f, "a larger disk_max, or a smaller wal_max");
    }
    if (c->store.wal_bytes_max < 2 * (uint64_t)c->block.bytes_max) {
        f = fault_at(r, written(r, &c->commit_max_readings, &c->store.wal_bytes_max),
                     "`store.wal_max` is too small for `commit.max_readings`");
        fault_why(f, "one commit may write %s, and the log of %s must hold two",
                  size(c->block.bytes_max).text, size(c->store.wal_bytes_max).text);
        fault_fix(f, "a larger wal_max, or fewer readings in a commit");
    }
}

void config_check(struct config_reader *r)
{
    for (uint32_t i = 0; i < r->config->source_count; i++) {
        check_mapping(r, &r->config->sources[i].mapping);
        check_source(r, i);
    }
    config_check_contract_list(r);
    check_window(r);
    check_limits(r);
    check_paths(r);
    check_commit(r);
    check_store(r);
    config_check_rules(r);
    config_check_uplink(r);
    config_check_http(r);
    config_check_streams(r);
    config_check_shed(r);
}
