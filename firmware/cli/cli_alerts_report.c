#include <stdio.h>

#include "firmware/cli/cli_alerts.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/table.h"

static unsigned long long count(struct text report, const char *path)
{
    return (unsigned long long)json_view_unsigned(report, path);
}

static void print_head(struct text report)
{
    (void)printf("%llu alarms in %.1f h: %.2f an hour, at most %llu in one\n",
                 count(report, "alarms"), json_view_number(report, "hours"),
                 json_view_number(report, "alarms_per_hour"), count(report, "busiest_hour"));
    (void)printf("  while learning       %llu more, %.1f %% of all\n", count(report, "learning"),
                 100 * json_view_number(report, "learning_share"));
    (void)printf("  in flood             %.1f min, %.2f %% of the time%s\n",
                 json_view_number(report, "flood_ms") / 60000,
                 100 * json_view_number(report, "flood_share"),
                 json_view_bool(report, "storm") ? "; it is one now" : "");
    (void)printf("  stand now            %llu, of them acknowledged %llu, stale %llu, "
                 "chattering %llu, over budget %llu\n",
                 count(report, "open"), count(report, "acknowledged"), count(report, "stale"),
                 count(report, "chattering"), count(report, "over_budget"));
}

static void print_severities(struct text report)
{
    struct text name = { 0 }, raised;
    size_t cursor = 0;
    (void)printf("  by severity          ");
    struct text all = json_view_at(report, "severities");
    for (int i = 0; json_view_next(all, &cursor, &name, &raised); i++)
        (void)printf("%s%.*s %.*s", i > 0 ? ", " : "", (int)name.bytes, name.at, (int)raised.bytes,
                     raised.at);
    (void)printf("\n");
}

static int print_top(struct text report)
{
    static const char *const headers[] = { "device", "metric", ">alarms" };
    static const char *const paths[] = { "device", "metric", "alarms" };
    struct table *table = table_make(headers, 3);
    struct text row;
    size_t cursor = 0, rows = 0;
    char cell[TABLE_CELL_BYTES];
    if (table == NULL)
        return CLI_PROBLEM;
    for (; json_view_next(json_view_at(report, "top"), &cursor, NULL, &row); rows++)
        for (int i = 0; i < 3; i++) {
            json_view_text(row, paths[i], cell, sizeof cell);
            table_add(table, cell);
        }
    if (rows == 0)
        return CLI_OK;
    (void)printf("\nmost of all (%.1f %% together)\n",
                 100 * json_view_number(report, "top_share"));
    table_print(table, stdout);
    return CLI_OK;
}

static int print_targets(struct text report)
{
    static const char *const headers[] = { "target", ">is", ">at most", "met" };
    static const char *const paths[] = { "name", "value", "most" };
    struct table *table = table_make(headers, 4);
    struct text row;
    size_t cursor = 0;
    char cell[TABLE_CELL_BYTES];
    if (table == NULL)
        return CLI_PROBLEM;
    while (json_view_next(json_view_at(report, "targets"), &cursor, NULL, &row)) {
        for (int i = 0; i < 3; i++) {
            json_view_text(row, paths[i], cell, sizeof cell);
            if (i > 0)
                (void)snprintf(cell, sizeof cell, "%.3g", json_view_number(row, paths[i]));
            table_add(table, cell);
        }
        table_add(table, json_view_bool(row, "met") ? "yes" : "no");
    }
    (void)printf("\n");
    table_print(table, stdout);
    return CLI_OK;
}

int cli_alerts_report(const struct client_options *options)
{
    struct client_answer answer;
    int status = client_get(options, "/api/v1/alerts/report", &answer);
    if (status != CLI_OK)
        return status;
    if (options->json) {
        (void)printf("%.*s\n", (int)answer.body.bytes, answer.body.at);
        return CLI_OK;
    }
    print_head(answer.body);
    print_severities(answer.body);
    status = print_top(answer.body);
    return status == CLI_OK ? print_targets(answer.body) : status;
}
