#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/table.h"

static const char help[] =
    "usage: weir tail [-n COUNT] [-f] [-s PATH | -c FILE] [--json]\n\n"
    "The last readings that the gateway took, what came of each included.\n\n"
    "  -n COUNT        so many, at most 128; 20\n"
    "  -f, --follow    go on with each new one\n";

enum { TAIL_MAX = 128 }; /* as the API has it */

static void take(struct text reading, const char *path, char *to, size_t bytes)
{
    json_view_text(reading, path, to, bytes);
    table_tame(to, false);
}

static void print_reading(struct text reading, bool json)
{
    char arrived[40], device[80], metric[80], value[96], unit[80], outcome[32], time[16];
    if (json) {
        (void)printf("%.*s\n", (int)reading.bytes, reading.at);
        return;
    }
    take(reading, "arrived", arrived, sizeof arrived);
    take(reading, "device", device, sizeof device);
    take(reading, "metric", metric, sizeof metric);
    take(reading, "value", value, sizeof value);
    take(reading, "unit", unit, sizeof unit);
    take(reading, "outcome", outcome, sizeof outcome);
    take(reading, "time_source", time, sizeof time);
    bool stored = strcmp(outcome, "stored") == 0;
    if (metric[0] == '\0') /* a message that nobody could read has no value */
        value[0] = '\0';
    (void)printf("%s  %-20s %-16s %12s %-6s %s%s%s%s\n", arrived, device, metric, value, unit,
                 stored ? "" : table_colour(stdout, "33"), outcome,
                 stored ? "" : table_colour(stdout, "0"),
                 strcmp(time, "coarse") == 0 ? ", coarse time" : "");
}

/* A page; with *after it waits for one. */
static int print_page(const struct client_options *options, const char *arguments, uint64_t *after)
{
    struct client_answer answer;
    char target[96];
    (void)snprintf(target, sizeof target, "/api/v1/tail?%s", arguments); /* short */
    int status = client_get(options, target, &answer);
    size_t cursor = 0;
    struct text reading;
    if (status != CLI_OK)
        return status;
    while (json_view_next(json_view_at(answer.body, "readings"), &cursor, NULL, &reading))
        print_reading(reading, options->json);
    *after = json_view_unsigned(answer.body, "next");
    (void)fflush(stdout); /* a broken pipe ends us by its signal */
    return CLI_OK;
}

int cli_tail(int argc, char **argv)
{
    const char *wanted = "20";
    bool follow = false;
    const struct flag flags[] = { { "--lines", "-n", &wanted, NULL },
                                  { "--follow", "-f", NULL, &follow },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags };
    struct client_options options;
    char text[64];
    uint64_t after = 0;
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    char *rest;
    unsigned long lines = strtoul(wanted, &rest, 10);
    if (*rest != '\0' || lines == 0 || lines > TAIL_MAX)
        return arguments_usage(&a, "-n wants 1 to 128, not", wanted);
    (void)snprintf(text, sizeof text, "max=%lu", lines);
    status = print_page(&options, text, &after);
    while (status == CLI_OK && follow) {
        (void)snprintf(text, sizeof text, "after=%llu&max=%d", (unsigned long long)after,
                       TAIL_MAX);
        status = print_page(&options, text, &after);
    }
    return status;
}
