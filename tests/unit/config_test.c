/* Goal: a good file fills struct config as written, every wrong one gives its diagnostics word for
 * word, and the table agrees with itself, with docs/configuration.md and with docs/examples.
 * Method: tests/unit/config_bad/NAME.yaml against NAME.txt (WEIR_UPDATE=1 writes the latter anew, to
 * be read before it is committed); examples as tables; then random damage to a full file, which must
 * never crash, and what is accepted nevertheless must read back from `weir config show` as the same.
 * Runs from the root of the repository.
 * Links: pipeline/contract.c pipeline/engine/%.c pipeline/alerts/%.c pipeline/detect/%.c pipeline/dedup.c pipeline/statistics.c pipeline/timers.c pipeline/window.c pipeline/pressure/shed.c firmware/config/config_check.c firmware/config/config_check_contracts.c firmware/config/config_check_listener.c firmware/config/config_check_out.c firmware/config/config_check_shed.c firmware/config/config_check_streams.c firmware/config/config_streams.c pipeline/streams/%.c firmware/config/config_derive.c firmware/config/config_docs.c firmware/config/config_environment.c firmware/config/config_include.c firmware/config/config_parse.c firmware/config/config_promise.c firmware/config/config_read.c firmware/config/config_report.c firmware/config/config_schema.c firmware/config/config_keys.c firmware/config/config_check_http.c firmware/config/tokens.c firmware/config/config_show.c firmware/config/config_text.c firmware/config/config_units.c firmware/config/config_yaml.c hal/board.c pipeline/topic.c pipeline/dedup.c pipeline/hash.c pipeline/codec/codec_json_pointer.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/statistics.c pipeline/bytes.c
 * Libs: -lyaml -lmbedcrypto */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/config/config_parts.h"
#include "pipeline/err.h"
#include "tests/lib/check.h"

enum { TEXT_BYTES = 128 * 1024, DAMAGED_FILES = 400, BAD_FILES_MIN = 45 };

static struct config config;

/* A file's bytes, terminated; the caller frees them. */
static char *file_text(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("%s can't be read; run from the repository's root", path);
    char *text = calloc(1, TEXT_BYTES);
    *bytes = fread(text, 1, TEXT_BYTES - 1, f);
    (void)fclose(f);
    return text;
}

/* What a printer prints; the caller frees it. */
static char *printed(void (*print)(const struct config *, FILE *))
{
    char *text = NULL;
    size_t bytes;
    FILE *memory = open_memstream(&text, &bytes);
    print(&config, memory);
    (void)fclose(memory);
    return text;
}

static int read_text(const char *text)
{
    return config_read_text("test.yaml", text, strlen(text), &config, NULL);
}

static const char minimal[] = "sources:\n"
                              "  - name: plant\n"
                              "    url: mqtt://localhost\n"
                              "    topics: [\"telemetry/{device}/{metric}\"]\n";

/* --- the table ------------------------------------------------------------------------------- */

static void table_agrees_with_itself(void **state)
{
    (void)state;
    char path[CONFIG_KEY_PATH_BYTES];
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        config_key_path(key, path);
        size_t room = config_sections[key->section].bytes;
        if (key->offset + key->bytes > room || key->doc == NULL || strlen(key->doc) < 8)
            fail_msg("%s: its field or its doc", path);
        if (config_key_find(key->section, text_of(key->name)) != key)
            fail_msg("%s is in the table twice", path);
        if (key->doc[strlen(key->doc) - 1] != '.')
            fail_msg("%s: its doc is no sentence", path);
    }
    assert_non_null(strstr(config_sections[SECTION_TOPIC].path, "topics"));
}

/* Every default is what its own row allows, and prints as what reads back as the same. */
static void defaults_read_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        struct config_fault fault = { 0 };
        char value[CONFIG_SENTENCE_BYTES + 128];
        if (key->fallback == NULL)
            continue;
        char *field = calloc(1, key->bytes), *again = calloc(1, key->bytes);
        if (config_parse(key, text_of(key->fallback), field, &fault) != 0)
            fail_msg("%s", fault.message);
        config_print_value(key, field, value, sizeof value);
        if (config_parse(key, text_of(value), again, &fault) != 0)
            fail_msg("%s", fault.message);
        assert_memory_equal(field, again, key->bytes);
        free(field);
        free(again);
    }
}

static void reference_is_not_stale(void **state)
{
    (void)state;
    char *want = NULL;
    size_t bytes, got_bytes;
    FILE *memory = open_memstream(&want, &bytes);
    config_print_reference(memory);
    (void)fclose(memory);
    char *got = file_text("docs/configuration.md", &got_bytes);
    if (strcmp(want, got) != 0)
        fail_msg("docs/configuration.md is stale: weir config reference > docs/configuration.md");
    free(want);
    free(got);
}

static void explains_every_key(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int want;
        const char *says;
    } table[] = {
        { "window.size", 0, "default  10s" },
        { "sources.url", 0, "mqtts://" },
        { "detectors.threshold", 0, "shift" },
        { "uplink", 0, "receipts" },
        { "all", 0, "gateway" },
        { "keepalive", 0, "uplink.keepalive" },
        { "windw.size", WEIR_ENOTFOUND, "window.size" },
        { "uplink.reciepts", WEIR_ENOTFOUND, "uplink.receipts" },
        { "", 0, "sources" },
        { "xyzzy", WEIR_ENOTFOUND, "explain all" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *text = NULL;
        size_t bytes;
        FILE *memory = open_memstream(&text, &bytes);
        int got = config_explain(table[i].key, memory, memory);
        (void)fclose(memory);
        if (got != table[i].want || strstr(text, table[i].says) == NULL)
            fail_msg("explain %s: %d: %s", table[i].key, got, text);
        free(text);
    }
}

/* --- values ---------------------------------------------------------------------------------- */

static void quantities(void **state)
{
    (void)state;
    static const struct {
        char kind;
        const char *text;
        int err;
        int64_t want;
        const char *hint;
    } table[] = {
        { 'd', "10s", 0, 10000, "" },
        { 'd', "1.5s", 0, 1500, "" },
        { 'd', "0", 0, 0, "" },
        { 'd', "0.5m", 0, 30000, "" },
        { 'd', "2d", 0, 172800000, "" },
        { 'd', "250ms", 0, 250, "" },
        { 'd', "0.5ms", WEIR_EINVAL, 0, "" },
        { 'd', "10", WEIR_EINVAL, 0, "10s" },
        { 'd', "10 s", WEIR_EINVAL, 0, "10s" },
        { 'd', "10min", WEIR_EINVAL, 0, "10m" },
        { 'd', "0.5x", WEIR_EINVAL, 0, "" },
        { 'd', "010s", WEIR_EINVAL, 0, "" },
        { 'd', "-1s", WEIR_EINVAL, 0, "" },
        { 'd', "s", WEIR_EINVAL, 0, "" },
        { 'd', "", WEIR_EINVAL, 0, "" },
        { 'd', "1.s", WEIR_EINVAL, 0, "" },
        { 'd', ".5s", WEIR_EINVAL, 0, "" },
        { 'd', "1.2.3s", WEIR_EINVAL, 0, "" },
        { 'd', "9999999999999999s", WEIR_EINVAL, 0, "" },
        { 'd', "999999999999999d", WEIR_EINVAL, 0, "" },
        { 's', "64MiB", 0, 64 << 20, "" },
        { 's', "1.5KiB", 0, 1536, "" },
        { 's', "7B", 0, 7, "" },
        { 's', "64MB", WEIR_EINVAL, 0, "64MiB" },
        { 's', "64", WEIR_EINVAL, 0, "64B" },
        { 'b', "64KiB/s", 0, 65536, "" },
        { 'b', "0", 0, 0, "" },
        { 'b', "64KiB", WEIR_EINVAL, 0, "64KiB/s" },
        { 'b', "64kB/s", WEIR_EINVAL, 0, "64KiB/s" },
        { 'r', "2/s", 0, 120, "" },
        { 'r', "60/m", 0, 60, "" },
        { 'r', "120/h", 0, 2, "" },
        { 'r', "60/min", WEIR_EINVAL, 0, "60/m" },
        { 'i', "0", 0, 0, "" },
        { 'i', "-17", 0, -17, "" },
        { 'i', "010", WEIR_EINVAL, 0, "10" },
        { 'i', "0x10", WEIR_EINVAL, 0, "" },
        { 'i', "1e3", WEIR_EINVAL, 0, "" },
        { 'i', "+1", WEIR_EINVAL, 0, "" },
        { 'i', "1_000", WEIR_EINVAL, 0, "" },
        { 'n', "-2.5e1", 0, -25, "" },
        { 'n', "7", 0, 7, "" },
        { 'n', "07", WEIR_EINVAL, 0, "" },
        { 'n', "0x7", WEIR_EINVAL, 0, "" },
        { 'n', "nan", WEIR_EINVAL, 0, "" },
        { 'n', "inf", WEIR_EINVAL, 0, "" },
        { 'n', "1e141", WEIR_EINVAL, 0, "" },
        { 'n', "1e999", WEIR_EINVAL, 0, "" },
        { 'n', "1.", WEIR_EINVAL, 0, "" },
        { 'n', "1e", WEIR_EINVAL, 0, "" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct text text = text_of(table[i].text);
        int64_t whole = 0;
        double real = 0;
        char hint[64];
        int err = table[i].kind == 'd'   ? units_duration(text, &whole, hint)
                  : table[i].kind == 's' ? units_size(text, &whole, hint)
                  : table[i].kind == 'b' ? units_byte_rate(text, &whole, hint)
                  : table[i].kind == 'i' ? units_integer(text, &whole, hint)
                  : table[i].kind == 'r' ? units_rate(text, &real, hint)
                                         : units_number(text, &real, hint);
        bool is_real = table[i].kind == 'r' || table[i].kind == 'n';
        if (err != table[i].err || strcmp(hint, table[i].hint) != 0
            || (err == 0 && (is_real ? real != (double)table[i].want : whole != table[i].want)))
            fail_msg("%c `%s`: %d, %lld or %g, hint `%s`", table[i].kind, table[i].text, err,
                     (long long)whole, real, hint);
    }
}

static void distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        uint32_t want;
    } table[] = { { "", "", 0 },         { "size", "size", 0 },        { "size", "sise", 1 },
                  { "size", "szie", 1 }, { "lateness", "latenes", 1 }, { "", "abc", 3 },
                  { "abc", "xyz", 3 },   { "receipts", "reciepts", 1 } };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(config_distance(text_of(table[i].a), text_of(table[i].b)), table[i].want);
        assert_int_equal(config_distance(text_of(table[i].b), text_of(table[i].a)), table[i].want);
    }
}

/* --- good files ------------------------------------------------------------------------------ */

static void defaults_apply(void **state)
{
    (void)state;
    assert_int_equal(read_text(minimal), 0);
    assert_string_equal(config.gateway_name, "weir");
    assert_string_equal(config.store.path, "/var/lib/weir/weir.db");
    assert_int_equal(config.engine.window.size_ms, 10000);
    assert_int_equal(config.commit_max_readings, 10000);
    assert_int_equal(config.watchdog_s, 120);
    assert_int_equal(config.sources[0].broker.port, 1883);
    assert_string_equal(config.sources[0].broker.client_id, "weir-plant");
    assert_string_equal(config.sources[0].topics[0].mapping.value, "/value");
    assert_true(config.sources[0].topics[0].mapping.compiled.done);
    assert_int_equal(config.rule_count, 7);
    assert_string_equal(config.rules[2].name, "baseline");
    assert_int_equal(config.rules[2].sensitivity, SENSITIVITY_NORMAL);
    assert_int_equal(config.engine.rules_per_series, 7);
    assert_ptr_equal(config.engine.sources, config.engine_sources);
    assert_false(config.uplink.given);
    uint64_t room = config.store.disk_bytes_max - config.store.wal_bytes_max;
    assert_true(config.store.journal_bytes_max < room);
}

static void written_keys_apply(void **state)
{
    (void)state;
    assert_int_equal(config_read_text("full.yaml", "", 0, &config, NULL), 1);
    size_t bytes;
    char *text = file_text("docs/examples/full.yaml", &bytes);
    assert_int_equal(config_read_text("full.yaml", text, bytes, &config, NULL), 0);
    free(text);
    assert_int_equal(config.source_count, 2);
    assert_true(config.sources[0].broker.tls);
    assert_int_equal(config.sources[0].broker.port, 8883);
    assert_int_equal(config.engine_sources[0].time_policy, TIME_POLICY_CLAMP);
    assert_ptr_equal(config.engine_sources[0].contract, &config.contracts[0]);
    assert_null(config.engine_sources[1].contract);
    const struct json_mapping *batch = &config.sources[0].topics[1].mapping;
    assert_true(batch->readings_given);
    assert_string_equal(batch->time, "/ts"); /* the source's */
    assert_int_equal(batch->time_format, TIME_FORMAT_MILLISECONDS);
    assert_int_equal(batch->field_count, 2);
    assert_string_equal(batch->field_names[1], "quality");
    assert_string_equal(config.sources[1].topics[0].mapping.value, "");
    const struct contract_metric *humidity = &config.contracts[0].metrics[1];
    assert_true(humidity->has_min && humidity->has_max && humidity->max == 100);
    assert_true(config.rules[0].has_high && !config.rules[0].has_low);
    assert_int_equal(config.rules[0].severity, SEVERITY_CRITICAL);
    assert_string_equal(config.rules[2].name, "spike");
    assert_string_equal(config.uplink.topic, "weir/site-1/{lane}");
    assert_int_equal(config.uplink.bytes_per_second, 256 * 1024);
    assert_true(config.reject_rate_max == 100);
}

static void the_gateways_name_is_filled_in_everywhere(void **state)
{
    (void)state;
    char text[1024];
    (void)snprintf(text, sizeof text, "%sgateway: {name: plant-7}\nuplink: {url: \"mqtt://127.0.0.1\","
                   " topic: \"a/{gateway}/{lane}/{gateway}\"}\n", minimal);
    assert_int_equal(read_text(text), 0);
    assert_string_equal(config.uplink.topic, "a/plant-7/{lane}/plant-7");
}

/* A topic that says `value` overrules a source that says `metrics`, and the other way round. */
static void a_topic_overrules_its_source(void **state)
{
    (void)state;
    assert_int_equal(read_text("sources:\n"
                               "  - name: a\n"
                               "    url: mqtt://localhost\n"
                               "    payload: {metrics: \"\"}\n"
                               "    topics:\n"
                               "      - x/{device}\n"
                               "      - {template: \"y/{device}/{metric}\", payload: {value: /v}}\n"),
                     0);
    const struct config_topic *topics = config.sources[0].topics;
    assert_true(topics[0].mapping.metrics_given);
    assert_string_equal(topics[0].mapping.value, "");
    assert_false(topics[1].mapping.metrics_given);
    assert_string_equal(topics[1].mapping.value, "/v");
}

static void counts_rules_that_meet(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        uint32_t want;
    } table[] = { { "*", "*", 2 },           { "temp", "temp", 2 },  { "temp", "hum", 1 },
                  { "temp*", "*ature", 2 },  { "temp*", "hum*", 1 }, { "*.t", "x.t", 2 },
                  { "*.t", "x.u", 1 },       { "ab*ba", "aba", 1 },  { "ab*ba", "abba", 2 },
                  { "a*", "*b", 2 } };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text,
                       "%susual: {all: false}\ndetectors:\n  - {type: spike, name: a, metric: \"%s\"}\n"
                       "  - {type: spike, name: b, metric: \"%s\"}\n",
                       minimal, table[i].a, table[i].b);
        assert_int_equal(read_text(text), 0);
        if (config.engine.rules_per_series != table[i].want)
            fail_msg("%s and %s: %u", table[i].a, table[i].b, config.engine.rules_per_series);
    }
}

static uint32_t rules_of_kind(enum detector_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < config.rule_count; i++)
        count += config.rules[i].kind == kind;
    return count;
}

static void usual_rules_come_to_those_listed(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        uint32_t baselines, stuck, limits;
    } table[] = {
        { "", 1, 1, 0 },
        { "detectors: []\n", 1, 1, 0 },
        { "detectors: [{type: limit, high: 8}]\n", 1, 1, 1 },
        { "detectors: [{type: stuck, metric: \"t*\"}]\n", 1, 2, 0 },
        { "detectors: [{type: stuck, readings: 9}]\n", 1, 1, 0 }, /* it stands in everywhere */
        { "detectors: [{type: stuck, off: true}]\n", 1, 1, 0 },
        { "usual: {stuck: false}\n", 1, 0, 0 },
        { "usual: {baseline: false, stuck: false}\n", 0, 0, 0 },
        { "usual: {all: false}\ndetectors: [{type: stuck}]\n", 0, 1, 0 },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, "%s%s", minimal, table[i].more);
        assert_int_equal(read_text(text), 0);
        assert_int_equal(rules_of_kind(DETECTOR_BASELINE), table[i].baselines);
        assert_int_equal(rules_of_kind(DETECTOR_STUCK), table[i].stuck);
        assert_int_equal(rules_of_kind(DETECTOR_LIMIT), table[i].limits);
    }
    char text[1024];
    (void)snprintf(text, sizeof text, "%susual: {sensitivity: low}\n", minimal);
    assert_int_equal(read_text(text), 0);
    for (uint32_t i = 0; i < config.rule_count; i++)
        assert_int_equal(config.rules[i].sensitivity, SENSITIVITY_LOW);
}

static char *effective(bool json)
{
    char *text = NULL;
    size_t bytes;
    FILE *memory = open_memstream(&text, &bytes);
    config_print_effective(&config, json, memory);
    (void)fclose(memory);
    return text;
}

/* What `weir config show` prints is a configuration, and the same one. */
static void reads_back(const char *name)
{
    char *first = effective(false);
    if (config_read_text(name, first, strlen(first), &config, stdout) != 0)
        fail_msg("%s: what is shown can't be read", name);
    char *second = effective(false);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

static void examples_are_good(void **state)
{
    (void)state;
    DIR *dir = opendir("docs/examples");
    uint32_t count = 0;
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strstr(entry->d_name, ".yaml") == NULL)
            continue;
        char path[512];
        size_t bytes;
        (void)snprintf(path, sizeof path, "docs/examples/%s", entry->d_name);
        char *text = file_text(path, &bytes);
        if (config_read_text(path, text, bytes, &config, stdout) != 0)
            fail_msg("%s is wrong", path);
        reads_back(path);
        free(text);
        count++;
    }
    (void)closedir(dir);
    assert_true(count >= 4);
}

static char *diagnostics(const char *path)
{
    char *text = NULL;
    size_t bytes;
    FILE *memory = open_memstream(&text, &bytes);
    if (config_read(path, &config, memory) == 0)
        fail_msg("%s was accepted", path);
    (void)fclose(memory);
    return text;
}

/* A contract's file stands in its place, and what is kept of both is one text. */
static void a_contract_may_be_a_file(void **state)
{
    (void)state;
    char dir[] = "/tmp/weir-config-XXXXXX", path[64], command[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/power.yaml", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("# read at the meter\nname: power\r\nversion: 4\n\nmetrics:\n  - {name: load}\n  - name: phase\n    type: text", file);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(path, sizeof path, "%s/weir.yaml", dir);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("contracts:\n- file: power.yaml   # below\n- {name: climate, metrics: [{name: temp}]}\n- file: 'power.yaml'\n"
                "sources:\n- {name: a, url: \"mqtt://127.0.0.1\", topics: [\"t/{device}/{metric}\"], contract: power}\n"
                "# - file: nowhere.yaml", file);
    assert_int_equal(fclose(file), 0);
    char *said = diagnostics(path);
    assert_non_null(strstr(said, "two contracts are called `power`"));
    assert_int_equal(config.contract_count, 3);
    assert_string_equal(config.contracts[0].name, "power");
    assert_int_equal(config.contracts[0].version, 4);
    assert_int_equal(config.contracts[0].metric_count, 2);
    assert_string_equal(config.contracts[1].name, "climate");
    assert_true(contract_same(&config.contracts[0], &config.contracts[2]));
    static char text[CONFIG_FILE_BYTES_MAX];
    uint32_t bytes = config.text_bytes;
    memcpy(text, config.text, bytes);
    assert_int_equal(config_read_text("journal", text, bytes, &config, NULL), 1); /* that one fault, and nothing else is asked for */
    assert_int_equal(config.contracts[2].metric_count, 2);
    free(said);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

/* --- wrong files ----------------------------------------------------------------------------- */

static void check_bad(const char *path)
{
    char want_path[512];
    size_t bytes;
    (void)snprintf(want_path, sizeof want_path, "%.*s.txt", (int)(strlen(path) - 5), path);
    char *got = diagnostics(path);
    if (getenv("WEIR_UPDATE") != NULL) {
        FILE *out = fopen(want_path, "w");
        assert_non_null(out);
        (void)fputs(got, out);
        (void)fclose(out);
    }
    char *want = file_text(want_path, &bytes);
    if (strcmp(got, want) != 0)
        fail_msg("%s:\n--- expected\n%s--- got\n%s", path, want, got);
    free(want);
    free(got);
}

static void wrong_files_are_told(void **state)
{
    (void)state;
    DIR *dir = opendir("tests/unit/config_bad");
    uint32_t count = 0;
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[512];
        if (strstr(entry->d_name, ".yaml") == NULL)
            continue;
        (void)snprintf(path, sizeof path, "tests/unit/config_bad/%s", entry->d_name);
        check_bad(path);
        count++;
    }
    (void)closedir(dir);
    assert_true(count >= BAD_FILES_MIN);
}

static void a_file_is_bounded(void **state)
{
    (void)state;
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
    memset(text, '#', CONFIG_FILE_BYTES_MAX + 1);
    assert_int_equal(config_read_text("big", text, CONFIG_FILE_BYTES_MAX, &config, NULL), 1);
    free(text);
    assert_int_equal(config_read("/nonexistent/weir.yaml", &config, NULL), 1);
}

/* More faults than are kept: counted, and the rest told. */
static void many_faults_are_counted(void **state)
{
    (void)state;
    char text[4096] = "";
    for (int i = 0; i < 200; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "k%d: 1\n", i);
    assert_int_equal(read_text(text), 201); /* and `sources` is missing */
}

/* --- secrets and files ----------------------------------------------------------------------- */

static void secrets_are_secret(void **state)
{
    (void)state;
    char dir[] = "/tmp/weir-config-XXXXXX", path[64], secret[16], why[256];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/password", dir);
    static const struct {
        const char *content;
        mode_t mode;
        int want;
        const char *says;
    } table[] = {
        { "geheim\n", 0600, 0, "geheim" },    { "geheim", 0400, 0, "geheim" },
        { "a\nb\n", 0600, 0, "a\nb" },        { "geheim", 0640, WEIR_EINVAL, "0640" },
        { "geheim", 0604, WEIR_EINVAL, "0604" }, { "", 0600, WEIR_EINVAL, "empty" },
        { "\n", 0600, WEIR_EINVAL, "empty" }, { "0123456789abcde", 0600, 0, "0123456789abcde" },
        { "0123456789abcdef", 0600, WEIR_EINVAL, "15 bytes" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        (void)unlink(path);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        size_t bytes = strlen(table[i].content);
        assert_int_equal(write(fd, table[i].content, bytes), (ssize_t)bytes);
        assert_int_equal(fchmod(fd, table[i].mode), 0);
        (void)close(fd);
        int got = config_secret(path, secret, sizeof secret, why);
        if (got != table[i].want || strstr(got == 0 ? secret : why, table[i].says) == NULL)
            fail_msg("%zu: %d `%s` `%s`", i, got, secret, why);
    }
    (void)unlink(path);
    assert_int_equal(config_secret(path, secret, sizeof secret, why), WEIR_EINVAL);
    assert_int_equal(config_secret(dir, secret, sizeof secret, why), WEIR_EINVAL);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes, and nobody waits for it */
    assert_int_equal(config_secret(path, secret, sizeof secret, why), WEIR_EINVAL);
    assert_non_null(strstr(why, "not a regular file"));
    assert_int_equal(unlink(path), 0);
    (void)rmdir(dir);
}

static void a_key_that_others_read_is_told(void **state)
{
    (void)state;
    char dir[] = "/tmp/weir-config-XXXXXX", key[64], file[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(key, sizeof key, "%s/key.pem", dir);
    (void)snprintf(file, sizeof file, "%s/weir.yaml", dir);
    for (mode_t mode = 0600; mode <= 0644; mode += 044) {
        FILE *out = fopen(file, "w");
        (void)fprintf(out, "%suplink: {url: \"mqtts://c\", ca: %s, cert: %s, key: %s}\n", minimal, file,
                      file, key);
        (void)fclose(out);
        int fd = open(key, O_WRONLY | O_CREAT, 0600);
        assert_int_equal(fchmod(fd, mode), 0);
        (void)close(fd);
        assert_int_equal(config_read(file, &config, NULL), mode == 0600 ? 0 : 1);
    }
    (void)unlink(key);
    (void)unlink(file);
    (void)rmdir(dir);
}

/* --- promises -------------------------------------------------------------------------------- */

static void promises_follow_the_configuration(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        void (*print)(const struct config *, FILE *);
        const char *says;
    } table[] = {
        { "", config_print_warnings, "uplink: none" },
        { "uplink: {url: \"mqtt://127.0.0.1\"}\n", config_print_warnings, "uplink.receipts: false" },
        { "uplink: {url: \"mqtt://127.0.0.1\", receipts: true}\n", config_print_losses,
          "cloud's broker: nothing" },
        { "uplink: {url: \"mqtt://127.0.0.1\"}\n", config_print_losses, "not passed on" },
        { "dedup: {keep: 0}\n", config_print_warnings, "never known as repeats" },
        { "dedup: {keep: 7}\n", config_print_losses, "among the last 7" },
        { "usual: {all: false}\n", config_print_warnings, "no alert is ever raised" },
        { "clock: {trust: system}\n", config_print_warnings, "clock.trust" },
        { "", config_print_losses, "kill -9: nothing acknowledged" },
        { "", config_print_losses, "power cut" },
        { "", config_print_losses, "a day offline" },
        { "uplink: {url: \"mqtt://127.0.0.1\"}\nstore: {results_age: 90m}\n", config_print_losses,
          "results older than 1.5 hours" },
        { "", config_print_losses, "full disk" },
        { "", config_print_losses, "broker in front" },
        { "store: {disk_max: 512MiB}\n", config_print_disk, "512 MiB" },
        { "", config_print_broker, "max_inflight_messages 1000" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, "%s%s", minimal, table[i].more);
        assert_int_equal(read_text(text), 0);
        char *said = printed(table[i].print);
        if (strstr(said, table[i].says) == NULL)
            fail_msg("%s: no `%s` in\n%s", table[i].more, table[i].says, said);
        free(said);
    }
}

static void listeners_are_warned_of(void **state)
{
    (void)state;
    static const char text[] = "sources:\n"
                               "  - name: devices\n"
                               "    listen: mqtt://192.0.2.1:1884\n"
                               "    anonymous: true\n"
                               "    plaintext_network: true\n"
                               "    topics: [\"t/{device}/{metric}\"]\n";
    static const struct {
        void (*print)(const struct config *, FILE *);
        const char *says;
    } table[] = {
        { config_print_warnings, "whoever reaches 192.0.2.1:1884 can publish for any device" },
        { config_print_warnings, "cross the network in clear" },
        { config_print_losses, "of what comes at QoS 0 up to 1s" },
        { config_print_losses, "at QoS 1 each knows what was not acknowledged" },
    };
    assert_int_equal(read_text(text), 0);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *said = printed(table[i].print);
        if (strstr(said, table[i].says) == NULL)
            fail_msg("no `%s` in\n%s", table[i].says, said);
        assert_null(strstr(said, "the broker"));
        free(said);
    }
    char *said = printed(config_print_broker); /* there is none to set up */
    assert_string_equal(said, "");
    free(said);
}

static void sources_that_stall_or_repeat_are_warned_of(void **state)
{
    (void)state;
    assert_int_equal(read_text("sources:\n"
                               "  - name: a\n"
                               "    url: mqtt://broker\n"
                               "    username: u\n"
                               "    receive_maximum: 20\n"
                               "    payload: {time: \"\", sequence: \"\"}\n"
                               "    topics: [\"x/{device}/{metric}\"]\n"),
                     0);
    char *said = printed(config_print_warnings);
    assert_non_null(strstr(said, "at most 20 messages"));
    assert_non_null(strstr(said, "neither sequence nor time"));
    assert_non_null(strstr(said, "in clear"));
    free(said);
    struct config_costs costs = { .total_bytes = config.memory_bytes_max };
    assert_int_equal(config_check_budget(&config, &costs, NULL), 0);
    costs.total_bytes++;
    assert_int_equal(config_check_budget(&config, &costs, NULL), 1);
}

/* The shares, the log, the ballast and the spare are the disk budget, to the byte. */
static void the_disk_budget_adds_up(void **state)
{
    (void)state;
    assert_int_equal(read_text(minimal), 0);
    const struct store_config *s = &config.store;
    uint64_t used = s->wal_bytes_max + s->ballast_bytes + s->journal_bytes_max + s->letters_bytes_max;
    for (uint32_t lane = 0; lane < LANES; lane++)
        used += s->outbox_bytes_max[lane];
    uint64_t room = s->disk_bytes_max - s->wal_bytes_max - s->ballast_bytes;
    assert_true(used <= s->disk_bytes_max - room / 100 * CONFIG_SPARE_PERCENT);
}

/* --- the board's file, which stage environment reads ------------------------------------------ */

/* Read the minimal configuration with this board; what was said is the caller's to free. */
static int read_with_board(const char *board, const char *more, char **said)
{
    char folder[] = "/tmp/weir-config-XXXXXX", board_path[64], path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(board_path, sizeof board_path, "%s/hal.conf", folder);
    snprintf(path, sizeof path, "%s/weir.yaml", folder);
    FILE *file = fopen(board_path, "w");
    fputs(board, file);
    (void)fclose(file);
    file = fopen(path, "w");
    fprintf(file, "gateway: {board: %s}\n%s%s", board_path, more, minimal);
    (void)fclose(file);
    size_t said_bytes;
    FILE *memory = open_memstream(said, &said_bytes);
    int errors = config_read(path, &config, memory);
    (void)fclose(memory);
    (void)unlink(path);
    (void)unlink(board_path);
    (void)rmdir(folder);
    return errors;
}

static void the_board_is_read_and_its_limits_hold(void **state)
{
    (void)state;
    char *said;
    assert_int_equal(read_with_board("name = bench\nled = ACT\n", "", &said), 0);
    assert_string_equal(config.board.name, "bench");
    assert_string_equal(config.board.led, "ACT");
    assert_true(config_memory_max(&config) == config.memory_bytes_max);
    free(said);

    assert_int_equal(read_with_board("led = ACT\nlamp = x\n", "", &said), 1);
    assert_non_null(strstr(said, "1:18: error: environment: the board file can't be used"));
    assert_non_null(strstr(said, "why: line 2: `lamp` is no key of a board"));
    free(said);

    assert_int_equal(read_with_board("devices_max = 50\n", "limits: {devices: 51}\n", &said), 1);
    assert_non_null(strstr(said, "2:19: error: environment: 51 devices are more than the board"));
    free(said);
    assert_int_equal(read_with_board("devices_max = 51\n", "limits: {devices: 51}\n", &said), 0);
    free(said);

    assert_int_equal(read_with_board("memory_bytes_max = 5000000\n", "", &said), 0);
    free(said);
    assert_true(config_memory_max(&config) == 5000000);
    struct config_costs costs = { 5000000, 2, { { 3000000, "JSON decoder", "limits.json_arena" }, { 1024, "API", "" } } };
    assert_int_equal(config_check_budget(&config, &costs, NULL), 0);
    costs.total_bytes++;
    char *text;
    size_t bytes;
    FILE *memory = open_memstream(&text, &bytes);
    assert_int_equal(config_check_budget(&config, &costs, memory), 1);
    (void)fclose(memory);
    assert_non_null(strstr(text, "over what the board allows"));
    assert_non_null(strstr(text, "  JSON decoder\n          1KiB  API\n  fix: lower limits.json_arena, or raise what the board allows\n"));
    free(text);
}

/* --- chance ---------------------------------------------------------------------------------- */

static size_t damage(char *text, size_t bytes, uint64_t *seed)
{
    static const char bits[] = ":-{}[]\"'#&*!|>%@`,?~0123456789abcdefghij \t\n\r\\\x7f\xc3\xff";
    for (uint64_t n = rnd(seed) % 6 + 1; n > 0 && bytes > 8; n--) {
        size_t at = rnd_below(seed, bytes - 4), piece = rnd_below(seed, 40) + 1;
        piece = piece < bytes - at ? piece : bytes - at;
        switch (rnd(seed) % 4) {
        case 0:
            text[at] = bits[rnd(seed) % (sizeof bits - 1)];
            break;
        case 1: /* cut */
            memmove(text + at, text + at + piece, bytes - at - piece);
            bytes -= piece;
            break;
        case 2: /* copy elsewhere */
            memmove(text + rnd(seed) % (bytes - piece + 1), text + at, piece);
            break;
        default: /* digits become other digits: values out of range */
            for (size_t i = at; i < at + piece; i++)
                if (text[i] >= '0' && text[i] <= '9')
                    text[i] = (char)('0' + rnd(seed) % 10);
        }
    }
    return bytes;
}

static void damage_never_harms(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    size_t bytes;
    char *good = file_text("docs/examples/full.yaml", &bytes);
    uint32_t accepted = 0, refused = 0;
    for (int i = 0; i < DAMAGED_FILES; i++) {
        char *text = malloc(bytes);
        memcpy(text, good, bytes);
        size_t left = damage(text, bytes, &seed);
        char *said = NULL;
        size_t said_bytes;
        FILE *memory = open_memstream(&said, &said_bytes);
        int errors = config_read_text("damaged.yaml", text, left, &config, memory);
        (void)fclose(memory);
        assert_true((errors > 0) == (said_bytes > 0));
        if (errors == 0)
            reads_back("damaged.yaml");
        accepted += errors == 0;
        refused += errors > 0;
        free(said);
        free(text);
    }
    free(good);
    assert_true(accepted > DAMAGED_FILES / 50 && refused > DAMAGED_FILES / 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_agrees_with_itself),
        cmocka_unit_test(defaults_read_back),
        cmocka_unit_test(reference_is_not_stale),
        cmocka_unit_test(explains_every_key),
        cmocka_unit_test(quantities),
        cmocka_unit_test(distances),
        cmocka_unit_test(defaults_apply),
        cmocka_unit_test(written_keys_apply),
        cmocka_unit_test(the_gateways_name_is_filled_in_everywhere),
        cmocka_unit_test(a_topic_overrules_its_source),
        cmocka_unit_test(counts_rules_that_meet),
        cmocka_unit_test(usual_rules_come_to_those_listed),
        cmocka_unit_test(examples_are_good),
        cmocka_unit_test(a_contract_may_be_a_file),
        cmocka_unit_test(wrong_files_are_told),
        cmocka_unit_test(a_file_is_bounded),
        cmocka_unit_test(many_faults_are_counted),
        cmocka_unit_test(secrets_are_secret),
        cmocka_unit_test(a_key_that_others_read_is_told),
        cmocka_unit_test(promises_follow_the_configuration),
        cmocka_unit_test(listeners_are_warned_of),
        cmocka_unit_test(sources_that_stall_or_repeat_are_warned_of),
        cmocka_unit_test(the_disk_budget_adds_up),
        cmocka_unit_test(the_board_is_read_and_its_limits_hold),
        cmocka_unit_test(damage_never_harms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
