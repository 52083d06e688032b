#include "simulator/report.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/hash.h"
#include "simulator/score.h"
#include "simulator/settings.h"

/* What the system must do: issue of the demo and of its short form. */
static const double DETECTED_SHARE_MIN = 0.95, FALSE_ALARMS_PER_100K_MAX = 2;
enum { SPIKE_DELAY_P99_MAX_MS = 10000 };

struct list { /* grows; items are plain data */
    void *items;
    size_t count, room, item_bytes;
};

struct report {
    const char *truth_file, *cloud_file, *journal_file, *acked_file, *outages_file, *status_file;
    bool check, json;
    struct list faults;    /* struct score_fault */
    struct list alerts;    /* struct score_alert */
    struct list outages;   /* struct score_outage */
    struct list clocks;    /* uint64_t: hashes of devices whose clock is wrong */
    struct list published; /* struct score_key */
    struct list journal;   /* struct score_key */
    uint64_t published_count, acknowledged, gateway_alerts, clock_alerts;
    uint64_t learning_alerts;
    uint64_t cloud_faults; /* breaches of the specification that the cloud saw, holes included */
    bool ledger_balanced;
    struct score_loss loss;
};

static void *list_add(struct list *l)
{
    if (l->count == l->room) {
        l->room = l->room * 2 + 1024;
        l->items = realloc(l->items, l->room * l->item_bytes);
        if (l->items == NULL)
            abort(); /* a tool on a developer's machine: nothing better to do */
    }
    return (char *)l->items + l->count++ * l->item_bytes;
}

static const char *text_get(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text != NULL ? text : "";
}

static int64_t time_get(const cJSON *object, const char *name)
{
    double number = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return number > -1e15 && number < 1e15 ? (int64_t)number : 0;
}

static uint64_t name_hash(const char *device, const char *metric, int64_t sequence)
{
    struct hash_state h;
    hash_begin(&h, (struct hash_key){ 1, 2 }, 0);
    hash_add(&h, device, strlen(device) + 1);
    hash_add(&h, metric, strlen(metric) + 1);
    hash_add(&h, &sequence, sizeof sequence); /* never stored: the order of bytes is free */
    return hash_end64(&h);
}

static uint64_t series_hash(const char *device, const char *metric)
{
    return name_hash(device, metric, -1);
}

static uint64_t device_hash(const char *device)
{
    return name_hash(device, "", -2);
}

/* --- what is read
 * --------------------------------------------------------------------------------- */

static void truth_line(struct report *r, const cJSON *line)
{
    const char *record = text_get(line, "record");
    if (strcmp(record, "end") == 0)
        r->published_count += (uint64_t)time_get(line, "published");
    if (strcmp(record, "clock") == 0)
        *(uint64_t *)list_add(&r->clocks) = device_hash(text_get(line, "device"));
    uint32_t kinds = fault_kinds_of(text_get(line, "kind"));
    if (strcmp(record, "fault") != 0 || kinds == 0)
        return;
    const char *device = text_get(line, "device");
    struct score_fault *f = list_add(&r->faults);
    *f = (struct score_fault){ .device = device_hash(device),
                               .series = series_hash(device, text_get(line, "metric")),
                               .kind = (enum fault_kind)__builtin_ctz(kinds),
                               .start_ms = time_get(line, "start_ms"),
                               .end_ms = time_get(line, "end_ms"),
                               .published_ms = time_get(line, "published_ms") };
}

static void acked_line(struct report *r, const cJSON *line)
{
    bool acked = time_get(line, "acked_ms") != 0;
    struct score_key *k = list_add(&r->published);
    k->hash = name_hash(text_get(line, "device"), text_get(line, "metric"), time_get(line, "seq"));
    k->must = acked && strcmp(text_get(line, "expect"), "stored") == 0;
    r->acknowledged += acked;
}

static void journal_line(struct report *r, const cJSON *line)
{
    if (strcmp(text_get(line, "kind"), "reading") != 0)
        return;
    struct score_key *k = list_add(&r->journal);
    k->hash = name_hash(text_get(line, "device"), text_get(line, "metric"),
                        time_get(line, "sequence"));
    k->must = false;
}

static void outage_line(struct report *r, const cJSON *line)
{
    struct score_outage *o = list_add(&r->outages);
    *o = (struct score_outage){ time_get(line, "start_ms"), time_get(line, "end_ms") };
}

static void status_line(struct report *r, const cJSON *line)
{
    const cJSON *ledger = cJSON_GetObjectItemCaseSensitive(line, "ledger");
    bool balanced = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(ledger, "balanced"));
    /* The figures of a gateway at rest must also be those of the journal that it exports. */
    r->ledger_balanced = balanced && time_get(ledger, "pending") == 0 &&
                         time_get(ledger, "held") == (int64_t)r->journal.count;
}

/* Every line of a file; NULL path: none. */
static bool lines_read(struct report *r, const char *path,
                       void (*take)(struct report *r, const cJSON *line))
{
    if (path == NULL)
        return true;
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t room = 0, number = 0;
    bool good = file != NULL;
    if (!good)
        fprintf(stderr, "weir-sim report: %s: %s\n", path, strerror(errno));
    while (good && getline(&text, &room, file) > 0) {
        number++;
        cJSON *line = cJSON_Parse(text);
        good = line != NULL;
        if (good)
            take(r, line);
        else
            fprintf(stderr, "weir-sim report: %s:%zu: not JSON\n", path, number);
        cJSON_Delete(line);
    }
    free(text);
    if (file != NULL)
        (void)fclose(file); /* only read */
    return good;
}

static bool clock_is_wrong(const struct report *r, const char *device)
{
    const uint64_t *clocks = r->clocks.items;
    uint64_t hash = device_hash(device);
    for (size_t i = 0; i < r->clocks.count; i++)
        if (clocks[i] == hash)
            return true;
    return false;
}

static void alert_take(struct report *r, sqlite3_stmt *q)
{
    const char *device = (const char *)sqlite3_column_text(q, 0);
    const char *metric = (const char *)sqlite3_column_text(q, 1);
    bool learning = sqlite3_column_int(q, 2) != 0;
    r->learning_alerts += learning;
    if (device[0] == '$') { /* about the gateway itself: no device to be right or wrong about */
        r->gateway_alerts++;
        return;
    }
    if (metric[0] == '\0' && clock_is_wrong(r, device)) { /* about the device as a whole, rightly */
        r->clock_alerts++;
        return;
    }
    struct score_alert *a = list_add(&r->alerts);
    *a = (struct score_alert){ .device = device_hash(device),
                               .series = series_hash(device, metric), .learning = learning,
                               .event_ms = sqlite3_column_int64(q, 3),
                               .arrived_ms = sqlite3_column_int64(q, 4) };
}

/* How often the gateway broke the specification, and the alerts that arrived. */
static bool cloud_read(struct report *r)
{
    static const char alerts[] = "SELECT device, metric, first_learning, first_event_ms,"
                                 " first_arrived_ms FROM alerts";
    static const char faults[] = "SELECT (SELECT ifnull(sum(count), 0) FROM counters WHERE name IN"
                                 " ('schema_faults', 'conflicts', 'given_up'))"
                                 " + (SELECT count(*) FROM ahead)";
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    bool good = sqlite3_open_v2(r->cloud_file, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
                sqlite3_prepare_v2(db, faults, -1, &q, NULL) == SQLITE_OK &&
                sqlite3_step(q) == SQLITE_ROW;
    if (good)
        r->cloud_faults = (uint64_t)sqlite3_column_int64(q, 0);
    (void)sqlite3_finalize(q);
    q = NULL;
    good = good && sqlite3_prepare_v2(db, alerts, -1, &q, NULL) == SQLITE_OK;
    while (good && sqlite3_step(q) == SQLITE_ROW)
        alert_take(r, q);
    if (!good)
        fprintf(stderr, "weir-sim report: %s: %s\n", r->cloud_file, sqlite3_errmsg(db));
    (void)sqlite3_finalize(q);
    (void)sqlite3_close(db);
    return good;
}

/* --- what is said
 * --------------------------------------------------------------------------------- */

struct kind_score {
    uint64_t faults, detected;
    int64_t p50_ms, p99_ms;
};

/* FAULT_KINDS: of all kinds. */
static struct kind_score kind_score(const struct report *r, enum fault_kind kind)
{
    struct kind_score k = { 0 };
    const struct score_fault *faults = r->faults.items;
    int64_t *delays = calloc(r->faults.count + 1, sizeof *delays);
    if (delays == NULL)
        abort();
    for (size_t i = 0; i < r->faults.count; i++) {
        if (kind != FAULT_KINDS && faults[i].kind != kind)
            continue;
        k.faults++;
        if (faults[i].detected)
            delays[k.detected++] = score_delay_ms(&faults[i], r->outages.items, r->outages.count);
    }
    k.p50_ms = score_percentile(delays, (size_t)k.detected, 50);
    k.p99_ms = score_percentile(delays, (size_t)k.detected, 99);
    free(delays);
    return k;
}

static uint64_t false_alarms(const struct report *r)
{
    const struct score_alert *alerts = r->alerts.items;
    uint64_t count = 0;
    for (size_t i = 0; i < r->alerts.count; i++)
        count += alerts[i].false_alarm;
    return count;
}

static double per_100k(const struct report *r)
{
    return r->journal.count > 0 ? (double)false_alarms(r) * 1e5 / (double)r->journal.count : 0;
}

static void kinds_print(const struct report *r)
{
    printf("\"by_kind\":{");
    for (enum fault_kind kind = 0; kind < FAULT_KINDS; kind++) {
        struct kind_score k = kind_score(r, kind);
        printf("%s\"%s\":{\"faults\":%" PRIu64 ",\"detected\":%" PRIu64
               ",\"delay_p50_ms\":%" PRId64 ",\"delay_p99_ms\":%" PRId64 "}",
               kind > 0 ? "," : "", fault_name(kind), k.faults, k.detected, k.p50_ms, k.p99_ms);
    }
    printf("},");
}

static void report_print(const struct report *r)
{
    struct kind_score all = kind_score(r, FAULT_KINDS);
    printf("{\"published\":%" PRIu64 ",\"acknowledged\":%" PRIu64 ",\"stored\":%zu,",
           r->published_count, r->acknowledged, r->journal.count);
    printf("\"faults\":%" PRIu64 ",\"detected\":%" PRIu64 ",", all.faults, all.detected);
    kinds_print(r);
    printf("\"false_alarms\":%" PRIu64 ",\"false_alarms_per_100k\":%.3f,", false_alarms(r),
           per_100k(r));
    printf("\"alert_delay_p50_ms\":%" PRId64 ",\"alert_delay_p99_ms\":%" PRId64 ",", all.p50_ms,
           all.p99_ms);
    printf("\"alerts\":%zu,\"learning_alerts\":%" PRIu64 ",\"gateway_alerts\":%" PRIu64
           ",\"wrong_clocks\":%zu,\"clock_alerts\":%" PRIu64 ",",
           r->alerts.count, r->learning_alerts, r->gateway_alerts, r->clocks.count,
           r->clock_alerts);
    printf("\"outages\":%zu,\"cloud_faults\":%" PRIu64 ",\"unknown\":%" PRIu64 ",",
           r->outages.count, r->cloud_faults, r->loss.unknown);
    printf("\"duplicates\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"ledger_balanced\":%s}\n",
           r->loss.duplicates, r->loss.lost, r->ledger_balanced ? "true" : "false");
}

static bool require(bool good, const char *what)
{
    if (!good)
        fprintf(stderr, "weir-sim report: not met: %s\n", what);
    return good;
}

static bool kind_met(const struct report *r, enum fault_kind kind)
{
    struct kind_score k = kind_score(r, kind);
    char what[96];
    (void)snprintf(what, sizeof what, "at least 95 %% of %s faults detected, and some injected",
                   fault_name(kind)); /* fits */
    return require(k.faults > 0 && (double)k.detected >= DETECTED_SHARE_MIN * (double)k.faults,
                   what);
}

static bool all_met(const struct report *r)
{
    bool good = require(r->loss.lost == 0, "nothing lost");
    good &= require(r->loss.duplicates == 0, "no duplicates");
    good &= require(r->loss.unknown == 0, "nothing stored that was never published");
    good &= kind_met(r, FAULT_SPIKE);
    good &= kind_met(r, FAULT_SHIFT);
    good &= kind_met(r, FAULT_STUCK);
    good &= require(per_100k(r) <= FALSE_ALARMS_PER_100K_MAX,
                    "at most 2 false alarms in 100,000 readings");
    good &= require(kind_score(r, FAULT_SPIKE).p99_ms < SPIKE_DELAY_P99_MAX_MS,
                    "99 % of spikes known to the cloud within 10 s");
    good &= require(r->ledger_balanced, "a balanced ledger that agrees with the journal");
    return good & require(r->cloud_faults == 0, "no breach of the specification, no hole");
}

static int settings_read(struct report *r, int argc, char **argv)
{
    const struct setting table[] = {
        { "truth", SETTING_TEXT, &r->truth_file, NULL, "of the fleet" },
        { "acked", SETTING_TEXT, &r->acked_file, NULL, "of the fleet" },
        { "cloud", SETTING_TEXT, &r->cloud_file, NULL, "the receiver's SQLite file" },
        { "journal", SETTING_TEXT, &r->journal_file, NULL, "as `weir export` writes it" },
        { "status", SETTING_TEXT, &r->status_file, NULL, "as `weir status --json` prints it" },
        { "outages", SETTING_TEXT, &r->outages_file, NULL,
          "lines of {\"start_ms\",\"end_ms\"}: delays count from their end" },
        { "check", SETTING_FLAG, &r->check, NULL, "exit 1 unless every promise of the demo held" },
        { "json", SETTING_FLAG, &r->json, NULL, "(the report is JSON always)" },
        { 0 },
    };
    const struct command_text text = {
        "weir-sim report --truth FILE --acked FILE --cloud FILE --journal FILE [options]",
        "What a run was worth, as one JSON object. A fault counts as detected by an alert of its\n"
        "series, by any rule, not marked learning, with an event time from the fault's start to\n"
        "its end and a margin (spikes 5 s, others 10 s). An alert that lies near no fault of its\n"
        "device (30 s after the end are the fault's own) is a false alarm, but for one about\n"
        "the clock of a device whose clock is wrong. Lost: acknowledged by the broker and missing\n"
        "from the journal. Duplicates: in the journal twice.",
    };
    int parsed = settings_parse(table, text, argc, argv);
    if (parsed != 0)
        return parsed;
    if (r->truth_file != NULL && r->acked_file != NULL && r->cloud_file != NULL &&
        r->journal_file != NULL)
        return 0;
    fprintf(stderr, "weir-sim report: --truth, --acked, --cloud and --journal are needed\n");
    return -1;
}

int report_main(int argc, char **argv)
{
    static struct report r = {
        .faults = { .item_bytes = sizeof(struct score_fault) },
        .alerts = { .item_bytes = sizeof(struct score_alert) },
        .outages = { .item_bytes = sizeof(struct score_outage) },
        .clocks = { .item_bytes = sizeof(uint64_t) },
        .published = { .item_bytes = sizeof(struct score_key) },
        .journal = { .item_bytes = sizeof(struct score_key) },
    };
    int parsed = settings_read(&r, argc, argv);
    if (parsed != 0)
        return parsed > 0 ? 0 : 2;
    bool good = lines_read(&r, r.truth_file, truth_line) &&
                lines_read(&r, r.acked_file, acked_line) &&
                lines_read(&r, r.journal_file, journal_line) &&
                lines_read(&r, r.outages_file, outage_line) &&
                lines_read(&r, r.status_file, status_line) && cloud_read(&r);
    if (!good)
        return 1;
    score_match(r.faults.items, r.faults.count, r.alerts.items, r.alerts.count);
    r.loss = score_compare(r.published.items, r.published.count, r.journal.items, r.journal.count);
    bool met = !r.check || all_met(&r);
    report_print(&r);
    return met ? 0 : 1;
}
