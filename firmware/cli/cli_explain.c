#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/table.h"

static const char help[] =
    "usage: weir explain ALERT_ID [-s PATH | -c FILE] [--json]\n\n"
    "Why an alert was raised: what its detector measured at the most anomalous reading, what was\n"
    "expected, each term of the score, what would have had to differ, and the readings around it\n"
    "from the journal. Of alerts that stand, and of the last of each rule and series for a day\n"
    "after it was over.\n";

enum { AROUND = 8, LINE_BYTES = 2048, BACK_FIRST = 64, BACK_MOST = 4096 };

/* The readings around the anomaly: the last few before it and the first few from it on. */
struct around {
    char before[AROUND][LINE_BYTES]; /* a ring */
    char since[2 * AROUND][LINE_BYTES];
    uint32_t before_count, since_count;
};

static void take_line(struct around *a, struct text line, double onset_ms)
{
    bool since = json_view_number(line, "event_time_ms") >= onset_ms;
    if (line.bytes >= LINE_BYTES || (since && a->since_count == 2 * AROUND))
        return;
    char *to = since ? a->since[a->since_count] : a->before[a->before_count % AROUND];
    memcpy(to, line.at, line.bytes);
    to[line.bytes] = '\0';
    a->since_count += since;
    a->before_count += !since;
}

/* From the block on, until there are enough, or the journal ends, or so much was looked through. */
static int read_around(const struct client_options *options, const char *series, double from,
                       double onset_ms, struct around *a)
{
    struct client_answer answer;
    char target[512], next[48];
    (void)snprintf(next, sizeof next, "%.0f.0", from);
    while (next[0] != '\0' && a->since_count < 2 * AROUND &&
           strtod(next, NULL) < from + 2 * BACK_MOST) {
        char *dot = strchr(next, '.');
        *dot++ = '\0';
        (void)snprintf(target, sizeof target, "/api/v1/export?from=%s&skip=%s&%s", next, dot,
                       series);
        int status = client_get(options, target, &answer);
        if (status != CLI_OK)
            return status;
        for (struct text rest = answer.body; rest.bytes > 0;) {
            const char *end = memchr(rest.at, '\n', rest.bytes);
            uint32_t bytes = end != NULL ? (uint32_t)(end - rest.at) : rest.bytes;
            take_line(a, (struct text){ rest.at, bytes }, onset_ms);
            uint32_t used = bytes + (end != NULL);
            rest = (struct text){ rest.at + used, rest.bytes - used };
        }
        (void)snprintf(next, sizeof next, "%s", answer.next);
    }
    return CLI_OK;
}

/* Readings are rarer or denser than blocks: further back where too few were found. */
static int find_around(const struct client_options *options, struct text body, struct around *a)
{
    char device[200], metric[200], series[420], name[128];
    double block = json_view_number(body, "onset_block");
    json_view_text(body, "alert.device", name, sizeof name);
    client_escape(device, sizeof device, name);
    json_view_text(body, "alert.metric", name, sizeof name);
    client_escape(metric, sizeof metric, name);
    (void)snprintf(series, sizeof series, "device=%s&metric=%s", device, metric);
    int status = CLI_OK;
    for (double back = BACK_FIRST; status == CLI_OK && back <= BACK_MOST; back *= 8) {
        a->before_count = a->since_count = 0;
        double from = block > back ? block - back : 0;
        status = read_around(options, series, from, json_view_number(body, "onset_ms"), a);
        if (a->before_count >= AROUND || from <= 0)
            break;
    }
    return status;
}

/* Calls with each line, oldest first; `since`: at the anomaly or after it. */
static void each_line(const struct around *a,
                      void (*take)(void *ctx, const char *line, bool since), void *ctx)
{
    uint32_t kept = a->before_count < AROUND ? a->before_count : AROUND;
    for (uint32_t i = a->before_count - kept; i < a->before_count; i++)
        take(ctx, a->before[i % AROUND], false);
    for (uint32_t i = 0; i < a->since_count; i++)
        take(ctx, a->since[i], true);
}

/* --- for machines --- */

static void put_line(void *ctx, const char *line, bool since)
{
    const char **comma = ctx;
    (void)since;
    (void)printf("%s%s", *comma, line);
    *comma = ",";
}

static void print_json(struct text body, const struct around *a)
{
    const char *comma = "";
    (void)printf("%.*s,\"readings\":[", (int)body.bytes - 1, body.at); /* without its end */
    each_line(a, put_line, &comma);
    (void)printf("]}\n");
}

/* --- for people --- */

static void print_what(struct text body)
{
    static const char *const paths[] = { "severity", "device", "metric", "rule", "kind" };
    char cell[5][TABLE_CELL_BYTES], reason[TABLE_CELL_BYTES], state[TABLE_CELL_BYTES];
    struct text alert = json_view_at(body, "alert");
    for (int i = 0; i < 5; i++)
        json_view_text(alert, paths[i], cell[i], sizeof cell[i]);
    json_view_text(alert, "reason", reason, sizeof reason);
    json_view_text(alert, "state", state, sizeof state);
    (void)printf("%s: %s/%s, rule %s (%s)%s%s; %s\n", cell[0], cell[1], cell[2], cell[3], cell[4],
                 reason[0] != '\0' ? ", " : "", reason, state);
    json_view_text(alert, "onset_time", cell[0], sizeof cell[0]);
    json_view_text(alert, "last_time", cell[1], sizeof cell[1]);
    (void)printf("  from %s to %s, %.0f anomalous readings\n", cell[0], cell[1],
                 json_view_number(alert, "count"));
}

static void print_figures(struct text body)
{
    char low[TABLE_CELL_BYTES], high[TABLE_CELL_BYTES], unless[512];
    struct text alert = json_view_at(body, "alert");
    json_view_text(body, "low", low, sizeof low);
    json_view_text(body, "high", high, sizeof high);
    (void)printf("  observed %.6g, score %.6g, threshold %.6g\n",
                 json_view_number(alert, "observed"), json_view_number(alert, "score"),
                 json_view_number(alert, "threshold"));
    if (low[0] != '\0' && high[0] != '\0')
        (void)printf("  expected %.6g to %.6g\n", strtod(low, NULL), strtod(high, NULL));
    else if (low[0] != '\0' || high[0] != '\0')
        (void)printf("  expected %s %.6g\n", low[0] != '\0' ? "at least" : "at most",
                     strtod(low[0] != '\0' ? low : high, NULL));
    json_view_text(body, "unless", unless, sizeof unless);
    (void)printf("  there would be no alert with %s\n", unless);
}

static int print_terms(struct text body)
{
    static const char *const headers[] = { "term", ">value", "fires alone" };
    struct table *table = table_make(headers, 3);
    struct text term;
    size_t cursor = 0;
    char cell[TABLE_CELL_BYTES];
    if (table == NULL)
        return CLI_PROBLEM;
    while (json_view_next(json_view_at(body, "terms"), &cursor, NULL, &term)) {
        json_view_text(term, "name", cell, sizeof cell);
        table_add(table, cell);
        (void)snprintf(cell, sizeof cell, "%.3f", json_view_number(term, "value"));
        table_add(table, cell);
        table_add(table, json_view_bool(term, "fires") ? "yes" : "");
    }
    if (cursor > 0)
        (void)printf("\n");
    table_print(table, stdout);
    return CLI_OK;
}

static void add_line(void *ctx, const char *line, bool since)
{
    char cell[TABLE_CELL_BYTES];
    json_view_text(text_of(line), "event_time", cell, sizeof cell);
    table_add(ctx, cell);
    json_view_text(text_of(line), "value", cell, sizeof cell);
    table_add(ctx, cell);
    table_add(ctx, since ? "" : "before");
}

static int print_readings(const struct around *a)
{
    static const char *const headers[] = { "event time", ">value", "" };
    struct table *table = table_make(headers, 3);
    if (table == NULL)
        return CLI_PROBLEM;
    if (a->before_count + a->since_count == 0) {
        (void)printf("\nthe journal holds none of its readings any more\n");
        return CLI_OK;
    }
    each_line(a, add_line, table);
    (void)printf("\n");
    table_print(table, stdout);
    return CLI_OK;
}

int cli_explain(int argc, char **argv)
{
    static struct around around;
    static char body[32 * 1024]; /* the client's own is written over by its next call */
    struct arguments a = { .help = help, .words_max = 1 };
    struct client_options options;
    struct client_answer answer;
    char id[128], target[256];
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    if (a.word_count != 1)
        return arguments_usage(&a, "want one alert's id after", "explain");
    client_escape(id, sizeof id, a.words[0]);
    (void)snprintf(target, sizeof target, "/api/v1/explain/%s", id);
    status = client_get(&options, target, &answer);
    if (status != CLI_OK)
        return status;
    struct text told = { body, answer.body.bytes < sizeof body ? answer.body.bytes : 0 };
    memcpy(body, answer.body.at, told.bytes);
    if (json_view_at(told, "alert.metric").bytes > 2) /* "": of a device, which has no series */
        status = find_around(&options, told, &around);
    if (status != CLI_OK)
        return status;
    if (options.json) {
        print_json(told, &around);
        return CLI_OK;
    }
    print_what(told);
    print_figures(told);
    if (json_view_at(told, "terms").bytes > 0 && print_terms(told) != CLI_OK)
        return CLI_PROBLEM;
    char metric[80];
    json_view_text(told, "alert.metric", metric, sizeof metric);
    if (strncmp(metric, "stream/", 7) == 0) {
        (void)printf("\n`weir streams results %s` shows what the rule judged\n", metric + 7);
        return CLI_OK;
    }
    return print_readings(&around);
}
