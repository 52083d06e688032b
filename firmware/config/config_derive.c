/* What follows from what was written: names made of names, shares in bytes, pointers, limits. */
#include "firmware/config/config_parts.h"

#include <mbedtls/sha256.h>

#include "pipeline/detect/detector.h"

enum { BLOCK_BYTES_A_RECORD = 48, BLOCK_RECORDS_MAX = 65535 };
static const double LIMIT_HYSTERESIS = 0.02; /* of the band, where none is given */
enum { INVENTORY_BYTES_AN_ENTRY = 128, INVENTORY_BYTES_MIN = 64 * 1024 };

/* first, between and last in a row; what has no room is left away. */
static void join(char *to, size_t bytes, const char *first, const char *between, const char *last)
{
    const char *const parts[] = { first, between, last };
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t part = strlen(parts[i]);
        part = part < bytes - 1 - used ? part : bytes - 1 - used;
        memmove(to + used, parts[i], part);
        used += part;
    }
    to[used] = '\0';
}

/* Replace each {gateway} by its name, in place; one that doesn't fit stays as it was. Names have no
 * braces, so this ends. */
static void fill_gateway(char *topic, size_t bytes, const char *name)
{
    static const char part[] = "{gateway}";
    char filled[2 * CONFIG_PATH_BYTES_MAX];
    for (char *at = strstr(topic, part); at != NULL; at = strstr(topic, part)) {
        int used = snprintf(filled, sizeof filled, "%.*s%s%s", (int)(at - topic), topic, name,
                            at + sizeof part - 1);
        if (used < 0 || (size_t)used >= bytes)
            return;
        memcpy(topic, filled, (size_t)used + 1);
    }
}

/* A message is one value or a map of metrics. A topic that says which overrules its source. */
static void derive_mapping(struct config_reader *r, struct json_mapping *mapping)
{
    const char *why;
    bool value = config_given(r, mapping->value), metrics = config_given(r, mapping->metrics);
    if (value && !metrics)
        mapping->metrics_given = false;
    if (mapping->metrics_given)
        mapping->value[0] = '\0';
    if (json_mapping_compile(mapping, &why) == 0)
        return;
    struct config_fault *f = fault_at(r, mapping, "the payload's pointers can't be used");
    fault_why(f, "%s", why);
    fault_fix(f, "`weir config explain sources.payload` lists what they are");
}

/* Topics may keep other fields than their source: each name has one number in all of them, those of
 * the source itself first. */
static void number_fields(struct config_reader *r, struct config_source *source,
                          struct json_mapping *mapping)
{
    for (uint32_t i = 0; i < mapping->field_count; i++) {
        uint32_t n = 0;
        while (n < source->field_count &&
               strcmp(source->field_names[n], mapping->field_names[i]) != 0)
            n++;
        if (n == READING_FIELDS_MAX) {
            struct config_fault *f =
                fault_at(r, mapping->field_names, "the topics of `%s` keep too many further fields",
                         source->name);
            fault_why(f, "a source keeps at most %d, over all its topics", READING_FIELDS_MAX);
            fault_fix(f, "leave out the ones that nobody reads, or make it two sources");
            return;
        }
        if (n == source->field_count)
            memcpy(source->field_names[source->field_count++], mapping->field_names[i],
                   sizeof mapping->field_names[i]);
        mapping->field_numbers[i] = (uint8_t)n;
    }
}

static void derive_source(struct config_reader *r, uint32_t index)
{
    struct config *config = r->config;
    struct config_source *source = &config->sources[index];
    for (uint32_t i = 0; i < source->topic_count; i++)
        derive_mapping(r, &source->topics[i].mapping);
    number_fields(r, source, &source->mapping);
    for (uint32_t i = 0; i < source->topic_count; i++)
        number_fields(r, source, &source->topics[i].mapping);
    for (uint32_t i = 0; i < source->pii_count; i++)
        (void)json_pointer_compile(&source->pii[i].compiled, source->pii[i].pointer); /* checked */
    source->kind = source->listens ? SOURCE_LISTENER : SOURCE_BROKER;
    if (source->kind == SOURCE_BROKER && source->broker.client_id[0] == '\0')
        join(source->broker.client_id, sizeof source->broker.client_id, config->gateway_name, "-",
             source->name);
    struct engine_source *engine = &config->engine_sources[index];
    engine->name = text_of(source->name);
    engine->time_policy = source->time_policy;
    for (uint32_t i = 0; i < config->contract_count; i++)
        if (strcmp(config->contracts[i].name, source->contract_name) == 0)
            engine->contract = &config->contracts[i];
}

static void derive_uplink(struct config *config)
{
    struct config_uplink *uplink = &config->uplink;
    if (uplink->broker.client_id[0] == '\0')
        join(uplink->broker.client_id, sizeof uplink->broker.client_id, config->gateway_name, "",
             "");
    fill_gateway(uplink->topic, sizeof uplink->topic, config->gateway_name);
    fill_gateway(uplink->receipt_topic, sizeof uplink->receipt_topic, config->gateway_name);
    fill_gateway(uplink->replay_topic, sizeof uplink->replay_topic, config->gateway_name);
}

/* Whether one name can fit both: each has at most one *. */
static bool patterns_meet(const char *a, const char *b)
{
    const char *star_a = strchr(a, '*'), *star_b = strchr(b, '*');
    if (star_a == NULL && star_b == NULL)
        return strcmp(a, b) == 0;
    size_t head_a = star_a != NULL ? (size_t)(star_a - a) : strlen(a);
    size_t head_b = star_b != NULL ? (size_t)(star_b - b) : strlen(b);
    const char *tail_a = star_a != NULL ? star_a + 1 : a, *tail_b = star_b != NULL ? star_b + 1 : b;
    size_t tail_a_bytes = strlen(tail_a), tail_b_bytes = strlen(tail_b);
    size_t head = head_a < head_b ? head_a : head_b;
    size_t tail = tail_a_bytes < tail_b_bytes ? tail_a_bytes : tail_b_bytes;
    if (star_a == NULL && strlen(a) < head_b + tail_b_bytes)
        return false;
    if (star_b == NULL && strlen(b) < head_a + tail_a_bytes)
        return false;
    return memcmp(a, b, head) == 0
           && memcmp(tail_a + tail_a_bytes - tail, tail_b + tail_b_bytes - tail, tail) == 0;
}

/* No reading has a / in its metric's name. */
static bool is_of_stream(const struct detector_config *rule)
{
    return strchr(rule->metric, '/') != NULL;
}

/* An upper bound: rules that watch one series all meet each other, so they all meet the first. */
static uint32_t rules_per_series(const struct config *config)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < config->rule_count; i++) {
        uint32_t count = 0;
        for (uint32_t j = 0; j < config->rule_count; j++)
            count += !config->rules[j].off
                     && is_of_stream(&config->rules[i]) == is_of_stream(&config->rules[j])
                     && patterns_meet(config->rules[i].device, config->rules[j].device)
                     && patterns_meet(config->rules[i].metric, config->rules[j].metric);
        most = count > most ? count : most;
    }
    return most;
}

/* Everywhere. */
static bool is_replaced(const struct config *config, enum detector_kind kind)
{
    bool replaced = false;
    for (uint32_t i = 0; i < config->listed_count; i++) {
        const struct detector_config *rule = &config->rules[i];
        replaced = replaced || (rule->kind == kind && strcmp(rule->device, "*") == 0
                                && strcmp(rule->metric, "*") == 0);
    }
    return replaced;
}

static void add_usual(struct config *config, enum detector_kind kind)
{
    struct detector_config *rule = &config->rules[config->rule_count++];
    assert(config->rule_count <= ENGINE_RULES_MAX);
    *rule = detector_defaults(kind);
    rule->usual = true;
    rule->sensitivity = config->usual.sensitivity;
}

static void derive_hysteresis(struct detector_config *rule)
{
    double limit = rule->has_high ? rule->high : rule->low;
    double band = rule->has_low && rule->has_high ? rule->high - rule->low : limit;
    if (!rule->has_hysteresis)
        rule->hysteresis = LIMIT_HYSTERESIS * (band > 0 ? band : -band);
}

/* The watch of what a stream's rule says; a kind that has no limits judges nothing by itself. */
static void add_stream_rule(struct config *config, const struct stream_config *stream,
                            const struct stream_rule_config *from)
{
    struct detector_config *rule = &config->rules[config->rule_count++];
    assert(config->rule_count <= ENGINE_RULES_MAX);
    *rule = detector_defaults(DETECTOR_LIMIT);
    join(rule->name, sizeof rule->name, from->name, "", "");
    join(rule->metric, sizeof rule->metric, STREAM_METRIC, stream->name, "");
    rule->severity = from->alert.severity;
    rule->for_ms = from->alert.for_ms;
    rule->clear_after_ms = from->alert.clear_after_ms;
    rule->cooldown_ms = from->alert.cooldown_ms;
    rule->escalate_after_ms = from->alert.escalate_after_ms;
    rule->chatter = from->alert.chatter;
}

static void derive_rules(struct config *config)
{
    config->rule_count = config->listed_count;
    for (uint32_t i = 0; i < config->stream_count; i++)
        for (uint32_t j = 0; j < config->streams[i].rule_count; j++)
            add_stream_rule(config, &config->streams[i], &config->streams[i].rules[j]);
    for (int kind = 0; kind < DETECTOR_KINDS; kind++)
        if (config->usual.all && config->usual.on[kind]
            && !is_replaced(config, (enum detector_kind)kind))
            add_usual(config, (enum detector_kind)kind);
    for (uint32_t i = 0; i < config->rule_count; i++) {
        struct detector_config *rule = &config->rules[i];
        if (rule->kind == DETECTOR_LIMIT && !is_of_stream(rule))
            derive_hysteresis(rule);
        if (rule->name[0] == '\0')
            join(rule->name, sizeof rule->name, detector_ops(rule->kind)->name, "", "");
    }
    config->engine.device_clocks_off = !config->usual.clock;
    config->engine.rules = config->rules;
    config->engine.rule_count = config->rule_count;
    config->engine.rules_per_series = rules_per_series(config);
    config->engine.rejects_per_minute_max = config->reject_rate_max;
}

/* Of what no share takes, half: the rest is for the two checkpoints of a start, and indexes. */
static void derive_daily(struct config *config, uint64_t room)
{
    struct store_config *store = &config->store;
    const struct config_shares *s = &config->shares;
    uint32_t given = s->journal + s->alerts + s->results + s->raw + s->letters;
    uint64_t half = given < 100 ? room / 100 * (100 - given) / 2 : 0;
    uint64_t all = store->daily_max * (uint64_t)engine_save_bytes_max(&config->engine);
    store->daily_bytes_max = all < half ? all : half;
    store->daily_age_max_ms = (int64_t)store->daily_max * 86400000;
}

uint32_t config_corrections_max(const struct config *config)
{
    uint32_t most = config->engine.late_out;
    for (uint32_t i = 0; i < config->stream_count; i++)
        most += config->streams[i].late_out;
    return config->uplink.given ? most : 0;
}

static void derive_store(struct config *config)
{
    struct store_config *store = &config->store;
    const struct config_shares *shares = &config->shares;
    uint64_t fixed = store->wal_bytes_max + store->ballast_bytes;
    uint64_t room = store->disk_bytes_max > fixed ? store->disk_bytes_max - fixed : 0;
    join(config->store_path, sizeof config->store_path, config->data_dir, "/weir.db", "");
    store->path = config->store_path;
    store->journal_bytes_max = room / 100 * shares->journal;
    store->outbox_bytes_max[LANE_ALERTS] = room / 100 * shares->alerts;
    store->outbox_bytes_max[LANE_RESULTS] = room / 100 * shares->results;
    store->outbox_bytes_max[LANE_RAW] = room / 100 * shares->raw;
    store->letters_bytes_max = room / 100 * shares->letters;
    if (config->stream_count > 0)
        store->table_bytes_max = store->journal_bytes_max / 100 * shares->table;
    store->journal_bytes_max -= store->table_bytes_max;
    derive_daily(config, room);
}

static void derive_inventory(struct config *config)
{
    if (config->inventory_file[0] == '\0') {
        config->inventory_max = 1; /* no room for what never comes */
        return;
    }
    uint32_t bytes = config->inventory_max * INVENTORY_BYTES_AN_ENTRY;
    config->inventory_bytes = bytes > INVENTORY_BYTES_MIN ? bytes : INVENTORY_BYTES_MIN;
}

/* A block holds one commit's readings, a quarter more of rejects and timers, and, whole, the
 * configuration and the inventory when they are new. */
static void derive_block(struct config *config)
{
    uint32_t records = config->commit_max_readings + config->commit_max_readings / 4 + 256;
    config->block.records_max = records < BLOCK_RECORDS_MAX ? records : BLOCK_RECORDS_MAX;
    config->block.bytes_max = config->block.records_max * BLOCK_BYTES_A_RECORD
                              + CONFIG_FILE_BYTES_MAX + config->inventory_bytes;
    config->block.names_max = config->engine.devices_max + 1024;
}

void config_derive(struct config_reader *r)
{
    struct config *config = r->config;
    join(config->path, sizeof config->path, r->name, "", "");
    if (mbedtls_sha256_ret((const uint8_t *)r->text.at, r->text.bytes, config->digest, 0) != 0)
        fault_why(fault_new(r, (struct config_place){ 0 }, "the file's digest can't be computed"),
                  "mbedtls failed");
    memcpy(config->engine.digest, config->digest, sizeof config->engine.digest);
    for (uint32_t i = 0; i < config->source_count; i++)
        derive_source(r, i);
    config->engine.sources = config->engine_sources;
    config->engine.source_count = config->source_count;
    derive_uplink(config);
    derive_rules(config);
    derive_inventory(config);
    derive_block(config);
    config_derive_streams(r);
    derive_store(config);
}
