/* `weir detect`: the baseline over a recorded series, at a desk. It needs no gateway. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/detect_csv.h"
#include "firmware/cli/detect_plot.h"
#include "firmware/cli/detect_rules.h"
#include "firmware/cli/growing.h"
#include "firmware/cli/table.h"
#include "firmware/config/config_parts.h"
#include "pipeline/detect/detector.h"
#include "pipeline/timestamp.h"

static const char help[] =
    "usage: weir detect FILE.csv [--sensitivity high|normal|low] [--out SCORES.csv]\n"
    "                   [--plot OUT.svg] [--without PARTS] [--json]\n"
    "       weir detect FILE.csv --rules cycle,siblings [--json]\n\n"
    "What the baseline detector says of a recorded series: its alarms, each with its reason, what\n"
    "was expected and the score. A line of the file is a time and a number; a first line may name\n"
    "the columns (timestamp, time or event_time; value). Times without an offset are UTC.\n\n"
    "  --sensitivity S   high, normal (default) or low\n"
    "  --out FILE        every reading with its score and band; anomaly_score is 0.5 or more\n"
    "                    where an alarm is raised\n"
    "  --plot FILE       series, band and alarms as SVG\n"
    "  --without PARTS   leave out what goes beyond the plain equations: seasons, pace, jump,\n"
    "                    habit, some of them with commas, or all\n"
    "  --rules RULES     cycle, siblings, or both, instead of the baseline: what repeats itself\n"
    "                    and was out of form, with its period; what no longer goes with another\n"
    "                    metric of the device, with its name. Each named column is a metric\n"
    "                    then, or a column `metric` names it line by line\n"
    "  --json            one JSON object\n\n"
    "Exit status: 0 done, with alarms or without, 1 a file can't be read or written, 2 not\n"
    "understood.\n";

enum { LEARNING_READINGS = 300, LEARNING_MS = 86400000 }; /* of `learning`, by default */

struct alarm {
    struct plot_alarm plot;
    uint32_t line;
    struct baseline_finding found; /* when it was raised */
};

struct detection {
    const char *path;
    struct baseline_setting setting;
    FILE *scores;          /* NULL: not wanted */
    bool plots;
    struct growing readings;  /* struct plot_reading; only when it plots */
    struct growing alarms;    /* struct alarm */
    struct baseline baseline;
    uint64_t taken, unordered;
    int64_t first_ms, last_ms;
};

/* As the gateway marks them, by default. */
static bool is_learning(const struct detection *d, int64_t time_ms)
{
    return d->taken < LEARNING_READINGS || time_ms - d->first_ms < LEARNING_MS;
}

static struct alarm *alarm_at(const struct detection *d, size_t index)
{
    return (struct alarm *)d->alarms.at + index;
}

/* Between 0 and 1; from 0.5 on where an alarm is raised. */
static double anomaly_score(const struct detection *d, const struct baseline_finding *f)
{
    double ratio = (double)f->score / (double)baseline_bar(d->setting.sensitivity);
    if (f->raised)
        return ratio > 1 ? 0.5 + 0.5 * (ratio - 1) / ratio : 0.5;
    return ratio < 1 ? 0.49 * ratio : 0.49;
}

static void write_scores(const struct detection *d, const struct detect_csv *row,
                         const struct baseline_finding *f)
{
    (void)fprintf(d->scores, "%.*s,%.*s,%.6f,%.6g,%.6g,%.6g,%.6g,%.6g,%s\n", (int)row->time.bytes,
                  row->time.at, (int)row->value.bytes, row->value.at, anomaly_score(d, f),
                  (double)f->score, (double)f->bar, (double)f->expected, (double)f->low,
                  (double)f->high, reason_name(f->reason));
}

/* Returns 0, or -1 where there is no memory. */
static int note(struct detection *d, const struct detect_csv *row,
                const struct baseline_finding *f)
{
    if (d->plots) {
        struct plot_reading *reading = growing_add(&d->readings);
        if (reading == NULL)
            return -1;
        *reading = (struct plot_reading){ row->time_ms, row->number, f->expected, f->low, f->high };
        if (!f->known)
            reading->low = reading->high + 1;
    }
    if (f->raised) {
        struct alarm *alarm = growing_add(&d->alarms);
        if (alarm == NULL)
            return -1;
        *alarm = (struct alarm){ { row->time_ms, row->time_ms, row->number, f->reason,
                                   is_learning(d, row->time_ms) },
                                 row->line, *f };
    } else if (f->alarm) {
        alarm_at(d, d->alarms.count - 1)->plot.until_ms = row->time_ms;
    }
    return 0;
}

/* One that is older than the last is passed over, as the gateway does. */
static int take(struct detection *d, const struct detect_csv *row)
{
    struct baseline_finding found = { 0 };
    if (d->taken > 0 && row->time_ms < d->last_ms) {
        d->unordered++;
    } else {
        const struct baseline_reading reading = {
            row->time_ms, d->taken > 0 ? row->time_ms - d->last_ms : 0, row->number
        };
        found = baseline_take(&d->baseline, &d->setting, &reading);
        d->first_ms = d->taken == 0 ? row->time_ms : d->first_ms;
        d->last_ms = row->time_ms;
        d->taken++;
        if (note(d, row, &found) != 0)
            return -1;
    }
    if (d->scores != NULL)
        write_scores(d, row, &found);
    return 0;
}

static int run(struct detection *d, FILE *file)
{
    static struct detect_csv csv; /* large */
    detect_csv_init(&csv, file);
    int got;
    while ((got = detect_csv_next(&csv)) > 0)
        if (take(d, &csv) != 0) {
            (void)fprintf(stderr, "weir: %s: no memory for so many readings\n", d->path);
            return CLI_PROBLEM;
        }
    if (got < 0)
        (void)fprintf(stderr, "weir: %s:%u: %s\n", d->path, csv.line, csv.fault);
    else if (d->taken == 0)
        (void)fprintf(stderr, "weir: %s: there is no reading in it\n", d->path);
    return got < 0 || d->taken == 0 ? CLI_PROBLEM : CLI_OK;
}

/* --- telling --- */

static void print_json(const struct detection *d)
{
    char time[TIMESTAMP_BYTES], until[TIMESTAMP_BYTES];
    (void)printf("{\"file\":");
    config_print_quoted(text_of(d->path), stdout);
    timestamp_print(d->first_ms, time);
    timestamp_print(d->last_ms, until);
    (void)printf(",\"first\":\"%s\",\"last\":\"%s\",\"readings\":%llu,\"unordered\":%llu",
                 time, until, (unsigned long long)d->taken, (unsigned long long)d->unordered);
    (void)printf(",\"alarms\":[");
    for (size_t i = 0; i < d->alarms.count; i++) {
        const struct alarm *a = alarm_at(d, i);
        timestamp_print(a->plot.time_ms, time);
        timestamp_print(a->plot.until_ms, until);
        (void)printf("%s{\"time\":\"%s\",\"until\":\"%s\",\"line\":%u,\"reason\":\"%s\"",
                     i > 0 ? "," : "", time, until, a->line, reason_name(a->plot.reason));
        (void)printf(",\"value\":%.17g,\"expected\":%.9g,\"low\":%.9g,\"high\":%.9g", a->plot.value,
                     (double)a->found.expected, (double)a->found.low, (double)a->found.high);
        (void)printf(",\"score\":%.9g,\"bar\":%.9g,\"learning\":%s}", (double)a->found.score,
                     (double)a->found.bar, a->plot.learning ? "true" : "false");
    }
    (void)printf("]}\n");
}

static void add_number(struct table *table, const char *format, double number)
{
    char cell[TABLE_CELL_BYTES];
    (void)snprintf(cell, sizeof cell, format, number);
    table_add(table, cell);
}

static void print_table(const struct detection *d)
{
    static const char *const headers[] = { "time", "until", "reason", ">value", ">low",
                                           ">high", ">score", ">bar", "learning" };
    struct table *table = d->alarms.count > 0 ? table_make(headers, 9) : NULL;
    char time[TIMESTAMP_BYTES];
    for (size_t i = 0; table != NULL && i < d->alarms.count; i++) {
        const struct alarm *a = alarm_at(d, i);
        timestamp_print(a->plot.time_ms, time);
        table_add(table, time);
        timestamp_print(a->plot.until_ms, time);
        table_add(table, time);
        table_add(table, reason_name(a->plot.reason));
        add_number(table, "%.6g", a->plot.value);
        add_number(table, "%.6g", (double)a->found.low);
        add_number(table, "%.6g", (double)a->found.high);
        add_number(table, "%.1f", (double)a->found.score);
        add_number(table, "%.1f", (double)a->found.bar);
        table_add(table, a->plot.learning ? "true" : "false");
    }
    if (table != NULL)
        table_print(table, stdout);
    (void)printf("%llu readings, %zu alarm%s\n", (unsigned long long)d->taken, d->alarms.count,
                 d->alarms.count == 1 ? "" : "s");
    if (d->unordered > 0)
        (void)printf("%llu older than the one before: passed over\n",
                     (unsigned long long)d->unordered);
    if (d->taken <= BASELINE_AGE_KNOWN)
        (void)printf("nothing is said of the first %d readings\n", BASELINE_AGE_KNOWN);
}

/* NULL where it can't be written; says so. */
static FILE *open_out(const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        (void)fprintf(stderr, "weir: %s: %s\n", path, strerror(errno));
    return file;
}

static int close_out(FILE *file, const char *path)
{
    bool bad = ferror(file) != 0;
    if (fclose(file) == 0 && !bad)
        return CLI_OK;
    (void)fprintf(stderr, "weir: %s: it could not be written\n", path);
    return CLI_PROBLEM;
}

static int write_plot(const struct detection *d, const char *path)
{
    FILE *file = open_out(path);
    struct plot_alarm *alarms = calloc(d->alarms.count + 1, sizeof *alarms);
    if (file == NULL || alarms == NULL) {
        free(alarms);
        return CLI_PROBLEM;
    }
    for (size_t i = 0; i < d->alarms.count; i++)
        alarms[i] = alarm_at(d, i)->plot;
    const char *name = strrchr(d->path, '/');
    const struct plot plot = { name != NULL ? name + 1 : d->path, d->readings.at,
                               d->readings.count, alarms, d->alarms.count };
    detect_plot(&plot, file);
    free(alarms);
    return close_out(file, path);
}

/* --- the command --- */

struct wanted {
    const char *sensitivity, *scores, *plot, *without, *rules;
    bool json;
};

static bool parse_sensitivity(const char *name, enum sensitivity *sensitivity)
{
    static const char *const names[SENSITIVITIES] = { "high", "normal", "low" };
    for (int i = 0; i < SENSITIVITIES; i++)
        if (strcmp(name, names[i]) == 0) {
            *sensitivity = (enum sensitivity)i;
            return true;
        }
    return false;
}

static bool *part_named(struct baseline_parts *parts, const char *name, size_t bytes)
{
    const struct {
        const char *name;
        bool *part;
    } all[] = { { "seasons", &parts->seasons },
                { "pace", &parts->pace },
                { "jump", &parts->jump },
                { "habit", &parts->habit } };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strlen(all[i].name) == bytes && strncmp(all[i].name, name, bytes) == 0)
            return all[i].part;
    return NULL;
}

/* "pace,jump", or "all". */
static bool leave_out(struct baseline_parts *parts, const char *names)
{
    if (strcmp(names, "all") == 0) {
        *parts = (struct baseline_parts){ 0 };
        return true;
    }
    for (const char *at = names;; at++) {
        size_t bytes = strcspn(at, ",");
        bool *part = part_named(parts, at, bytes);
        if (part == NULL)
            return false;
        *part = false;
        at += bytes;
        if (*at == '\0')
            return true;
    }
}

static int detect(struct detection *d, const struct wanted *wanted)
{
    FILE *file = fopen(d->path, "r");
    if (file == NULL) {
        (void)fprintf(stderr, "weir: %s: %s\n", d->path, strerror(errno));
        return CLI_PROBLEM;
    }
    d->scores = wanted->scores != NULL ? open_out(wanted->scores) : NULL;
    int status = wanted->scores != NULL && d->scores == NULL ? CLI_PROBLEM : CLI_OK;
    if (d->scores != NULL)
        (void)fputs("timestamp,value,anomaly_score,score,bar,expected,low,high,reason\n",
                    d->scores);
    if (status == CLI_OK)
        status = run(d, file);
    (void)fclose(file); /* it was read only */
    if (d->scores != NULL && close_out(d->scores, wanted->scores) != CLI_OK)
        status = CLI_PROBLEM;
    if (status == CLI_OK && wanted->plot != NULL)
        status = write_plot(d, wanted->plot);
    if (status == CLI_OK && wanted->json)
        print_json(d);
    else if (status == CLI_OK)
        print_table(d);
    return status;
}

int cli_detect(int argc, char **argv)
{
    struct wanted wanted = { .sensitivity = "normal" };
    const struct flag flags[] = { { "--sensitivity", NULL, &wanted.sensitivity, NULL },
                                  { "--out", NULL, &wanted.scores, NULL },
                                  { "--plot", NULL, &wanted.plot, NULL },
                                  { "--without", NULL, &wanted.without, NULL },
                                  { "--rules", NULL, &wanted.rules, NULL },
                                  { "--json", NULL, NULL, &wanted.json },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 1 };
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    if (a.word_count != 1)
        return arguments_usage(&a, "want a file after", "detect");
    if (wanted.rules != NULL && !detect_rules_named(wanted.rules))
        return arguments_usage(&a, "--rules wants cycle, siblings or both, not", wanted.rules);
    if (wanted.rules != NULL && (wanted.scores != NULL || wanted.plot != NULL ||
                                 wanted.without != NULL || strcmp(wanted.sensitivity, "normal")))
        return arguments_usage(&a, "what is the baseline's does not go with", "--rules");
    if (wanted.rules != NULL)
        return detect_rules(a.words[0], wanted.rules, wanted.json);
    struct detection d = { .path = a.words[0], .plots = wanted.plot != NULL,
                           .setting = baseline_setting(SENSITIVITY_NORMAL),
                           .readings = { .item_bytes = sizeof(struct plot_reading) },
                           .alarms = { .item_bytes = sizeof(struct alarm) } };
    if (!parse_sensitivity(wanted.sensitivity, &d.setting.sensitivity))
        return arguments_usage(&a, "--sensitivity wants high, normal or low, not",
                               wanted.sensitivity);
    if (wanted.without != NULL && !leave_out(&d.setting.parts, wanted.without))
        return arguments_usage(&a, "--without wants seasons, pace, jump, habit or all, not",
                               wanted.without);
    status = detect(&d, &wanted);
    growing_free(&d.readings);
    growing_free(&d.alarms);
    return status;
}
