#include "firmware/cli/detect_rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/cli.h"
#include "firmware/cli/detect_csv.h"
#include "firmware/cli/table.h"
#include "firmware/config/config_parts.h"
#include "pipeline/engine/engine.h"
#include "pipeline/timestamp.h"

enum { ALARMS_MAX = 10000, RULES_MAX = 2 };

static const enum detector_kind kinds[RULES_MAX] = { DETECTOR_CYCLE, DETECTOR_SIBLINGS };

struct found {
    struct hash128 key;
    int64_t time_ms, until_ms;
    enum detector_kind kind;
    enum reason reason;
    bool learning;
    char metric[READING_NAME_BYTES_MAX + 1], partner[READING_NAME_BYTES_MAX + 1];
    uint32_t period;
    struct alert_figures peak;
};

struct desk {
    const char *path;
    struct engine_source source;
    struct detector_config rules[RULES_MAX];
    struct engine_config config;
    struct engine *engine;
    struct engine_out out;
    int64_t first_ms, last_ms; /* event time */
    uint64_t readings, unordered, untold;
    uint32_t found_count;
    struct found found[ALARMS_MAX];
};

/* --- what the engine says --- */

static struct found *find(struct desk *d, const struct alert_event *event)
{
    for (uint32_t i = d->found_count; i > 0; i--)
        if (memcmp(&d->found[i - 1].key, &event->key, sizeof event->key) == 0)
            return &d->found[i - 1];
    if (d->found_count == ALARMS_MAX)
        return NULL;
    struct found *f = &d->found[d->found_count++];
    *f = (struct found){ .key = event->key, .time_ms = event->alert->onset_event_ms };
    (void)snprintf(f->metric, sizeof f->metric, "%.*s", (int)event->metric.bytes,
                   event->metric.at);
    return f;
}

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct desk *d = ctx;
    struct found *f = find(d, event);
    const struct alert *alert = event->alert;
    d->untold += f == NULL;
    if (f == NULL)
        return;
    f->until_ms = alert->last_event_ms;
    f->kind = event->rule->kind;
    f->reason = alert->reason;
    f->learning = alert->learning;
    f->period = f->kind == DETECTOR_CYCLE ? alert->about : 0;
    f->peak = alert->peak;
    (void)snprintf(f->partner, sizeof f->partner, "%.*s", (int)event->partner.bytes,
                   event->partner.bytes > 0 ? event->partner.at : "");
}

static void on_result(void *ctx, const struct window_result *result)
{
    (void)ctx, (void)result; /* nobody wants windows here */
}

static void on_late(void *ctx, const struct record *record)
{
    (void)ctx, (void)record;
}

static void on_stream(void *ctx, const struct stream_result *result)
{
    (void)ctx, (void)result;
}

/* --- the engine --- */

bool detect_rules_named(const char *names)
{
    while (*names != '\0') {
        size_t bytes = strcspn(names, ",");
        bool known = false;
        for (int i = 0; i < RULES_MAX; i++) {
            const char *name = detector_ops(kinds[i])->name;
            known = known || (strlen(name) == bytes && strncmp(name, names, bytes) == 0);
        }
        if (!known)
            return false;
        names += bytes + (names[bytes] == ',');
    }
    return true;
}

static void add_rules(struct desk *d, const char *names)
{
    for (int i = 0; i < RULES_MAX; i++) {
        const char *name = detector_ops(kinds[i])->name;
        if (strstr(names, name) == NULL)
            continue;
        struct detector_config *rule = &d->rules[d->config.rule_count++];
        *rule = detector_defaults(kinds[i]);
        (void)snprintf(rule->name, sizeof rule->name, "%s", name);
        rule->clear_after_ms = rule->escalate_after_ms = 0;
        rule->chatter = false;
    }
}

/* NULL: no memory. */
static void *make_engine(struct desk *d, const char *names)
{
    d->config = (struct engine_config){
        .devices_max = 1,
        .series_max = DETECT_CSV_COLUMNS_MAX,
        .rules_per_series = RULES_MAX,
        .window = { .size_ms = 3600000, .slots = 2 },
        .idle_ms = 3600000,
        .learning_readings = 300, /* by default */
        .learning_ms = 86400000,
        .dedup = { .ranges = 1, .keep = 1 },
        .sources = &d->source,
        .source_count = 1,
        .rules = d->rules,
    };
    add_rules(d, names);
    struct arena arena = arena_measure();
    (void)engine_init(&d->config, &arena);
    size_t bytes = arena.used;
    void *memory = aligned_alloc(ARENA_ALIGN, bytes);
    if (memory == NULL)
        return NULL;
    memset(memory, 0, bytes);
    arena = arena_over(memory, bytes);
    d->engine = engine_init(&d->config, &arena);
    d->out = (struct engine_out){ .ctx = d, .again = true, .alert = on_alert, .result = on_result,
                                  .late = on_late, .stream = on_stream };
    return memory;
}

/* t is the time since the first reading, and stands still for one that is older than the last. */
static void take(struct desk *d, const struct detect_csv *row)
{
    if (d->readings == 0)
        d->first_ms = d->last_ms = row->time_ms;
    d->unordered += row->time_ms < d->last_ms;
    d->last_ms = row->time_ms > d->last_ms ? row->time_ms : d->last_ms;
    struct record record = {
        .kind = RECORD_READING,
        .t_ms = d->last_ms - d->first_ms,
        .event_time_ms = row->time_ms,
        .time_source = TIME_DEVICE,
        .reading = { .device = text_of("device"),
                     .metric = row->metric.bytes > 0 ? row->metric : text_of("value"),
                     .value = { .type = VALUE_NUMBER, .number = row->number } },
    };
    d->readings++;
    engine_apply(d->engine, &record, &d->out);
}

static int run(struct desk *d, FILE *file)
{
    static struct detect_csv csv; /* large */
    detect_csv_init(&csv, file);
    csv.wide = true;
    int got;
    while ((got = detect_csv_next(&csv)) > 0)
        take(d, &csv);
    if (got < 0)
        (void)fprintf(stderr, "weir: %s:%u: %s\n", d->path, csv.line, csv.fault);
    else if (d->readings == 0)
        (void)fprintf(stderr, "weir: %s: there is no reading in it\n", d->path);
    return got < 0 || d->readings == 0 ? CLI_PROBLEM : CLI_OK;
}

/* --- telling --- */

static void print_json(const struct desk *d)
{
    char time[TIMESTAMP_BYTES], until[TIMESTAMP_BYTES];
    timestamp_print(d->first_ms, time);
    timestamp_print(d->last_ms, until);
    (void)printf("{\"file\":");
    config_print_quoted(text_of(d->path), stdout);
    (void)printf(",\"first\":\"%s\",\"last\":\"%s\",\"readings\":%llu,\"unordered\":%llu",
                 time, until, (unsigned long long)d->readings, (unsigned long long)d->unordered);
    (void)printf(",\"alarms\":[");
    for (uint32_t i = 0; i < d->found_count; i++) {
        const struct found *f = &d->found[i];
        timestamp_print(f->time_ms, time);
        timestamp_print(f->until_ms, until);
        (void)printf("%s{\"time\":\"%s\",\"until\":\"%s\",\"metric\":", i > 0 ? "," : "", time,
                     until);
        config_print_quoted(text_of(f->metric), stdout);
        (void)printf(",\"rule\":\"%s\",\"reason\":\"%s\"", detector_ops(f->kind)->name,
                     reason_name(f->reason));
        if (f->kind == DETECTOR_CYCLE)
            (void)printf(",\"period\":%u", f->period);
        else
            (void)printf(",\"partner\":"), config_print_quoted(text_of(f->partner), stdout);
        (void)printf(",\"value\":%.17g,\"score\":%.9g,\"bar\":%.9g,\"learning\":%s}",
                     f->peak.observed, f->peak.score, f->peak.threshold,
                     f->learning ? "true" : "false");
    }
    (void)printf("]}\n");
}

static void add_number(struct table *table, const char *format, double number)
{
    char cell[TABLE_CELL_BYTES];
    (void)snprintf(cell, sizeof cell, format, number);
    table_add(table, cell);
}

static void add_row(struct table *table, const struct found *f)
{
    char cell[TABLE_CELL_BYTES];
    timestamp_print(f->time_ms, cell);
    table_add(table, cell);
    timestamp_print(f->until_ms, cell);
    table_add(table, cell);
    table_add(table, f->metric);
    table_add(table, reason_name(f->reason));
    if (f->kind == DETECTOR_CYCLE)
        (void)snprintf(cell, sizeof cell, "a period of %u readings", f->period);
    else
        (void)snprintf(cell, sizeof cell, "with %s", f->partner);
    table_add(table, cell);
    add_number(table, "%.6g", f->peak.observed);
    add_number(table, "%.1f", f->peak.score);
    add_number(table, "%.1f", f->peak.threshold);
    table_add(table, f->learning ? "true" : "false");
}

static void print_table(const struct desk *d)
{
    static const char *const headers[] = { "time",   "until",  "metric", "reason",  "about",
                                           ">value", ">score", ">bar",   "learning" };
    struct table *table = d->found_count > 0 ? table_make(headers, 9) : NULL;
    for (uint32_t i = 0; table != NULL && i < d->found_count; i++)
        add_row(table, &d->found[i]);
    if (table != NULL)
        table_print(table, stdout);
    (void)printf("%llu readings of %u metrics, %u alarm%s\n", (unsigned long long)d->readings,
                 engine_counts(d->engine).series, d->found_count, d->found_count == 1 ? "" : "s");
    if (d->untold > 0)
        (void)printf("there are more than %d alarms; the rest is left out\n", ALARMS_MAX);
    if (d->unordered > 0)
        (void)printf("%llu older than the one before: passed over\n",
                     (unsigned long long)d->unordered);
}

int detect_rules(const char *path, const char *names, bool json)
{
    static struct desk d; /* large */
    d.path = path;
    FILE *file = fopen(path, "r");
    void *memory = file != NULL ? make_engine(&d, names) : NULL;
    if (memory == NULL) {
        (void)fprintf(stderr, "weir: %s: %s\n", path, file == NULL ? strerror(errno) : "no memory");
        return CLI_PROBLEM;
    }
    int status = run(&d, file);
    (void)fclose(file); /* it was read only */
    if (status == CLI_OK && json)
        print_json(&d);
    else if (status == CLI_OK)
        print_table(&d);
    free(memory);
    return status;
}
