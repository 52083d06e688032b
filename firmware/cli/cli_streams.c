/* `weir streams`: what streams hold, and how late their readings are. */
#include <stdio.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/listing.h"

static const char help[] =
    "usage: weir streams [lateness [NAME]] [-s PATH | -c FILE] [--json]\n\n"
    "The streams, what they hold, and what was too late for them. lateness: how many of the\n"
    "readings would be in all their windows, by the lateness that is set. --json: one a line.\n";

static const char TARGET[] = "/api/v1/streams";

/* A row for each lateness, up to the one that misses nothing. */
static void print_lateness(struct text stream)
{
    static const char *const headers[] = { ">lateness", ">readings", ">complete", "" };
    char name[80], cell[TABLE_CELL_BYTES];
    struct text rows = json_view_at(stream, "lateness"), row;
    double present_ms = json_view_number(stream, "lateness_ms");
    size_t cursor = 0;
    json_view_text(stream, "name", name, sizeof name);
    (void)printf("%s: lateness %.3g s\n", name, present_ms / 1000);
    struct table *table = table_make(headers, 4);
    while (table != NULL && json_view_next(rows, &cursor, NULL, &row)) {
        double lateness_ms = json_view_number(row, "lateness_ms");
        (void)snprintf(cell, sizeof cell, "%.10g s", lateness_ms / 1000);
        table_add(table, cell);
        json_view_text(row, "readings", cell, sizeof cell);
        table_add(table, cell);
        (void)snprintf(cell, sizeof cell, "%.4f %%", 100 * json_view_number(row, "complete"));
        table_add(table, cell);
        table_add(table, lateness_ms == present_ms ? "as it is set" : "");
    }
    if (table != NULL)
        table_print(table, stdout);
    json_view_text(stream, "hint", cell, sizeof cell);
    if (cell[0] == '\0')
        return;
    struct text enough = json_view_at(stream, "lateness_enough_ms");
    if (text_equal(enough, text_of("null")))
        (void)printf("%s; more than one in a thousand comes later than any\n", cell);
    else
        (void)printf("%s; %.10g s would miss one in a thousand at most\n", cell,
                     json_view_number(stream, "lateness_enough_ms") / 1000);
}

static int lateness(const struct client_options *options, const char *wanted)
{
    struct client_answer answer;
    struct text stream;
    size_t cursor = 0;
    uint32_t found = 0;
    int status = client_get(options, TARGET, &answer);
    if (status != CLI_OK)
        return status;
    struct text streams = json_view_at(answer.body, "streams");
    while (json_view_next(streams, &cursor, NULL, &stream)) {
        char name[80];
        json_view_text(stream, "name", name, sizeof name);
        if (wanted != NULL && strcmp(name, wanted) != 0)
            continue;
        (void)printf(found++ > 0 && !options->json ? "\n" : "");
        if (options->json)
            (void)printf("%.*s\n", (int)stream.bytes, stream.at);
        else
            print_lateness(stream);
    }
    if (found == 0)
        (void)fprintf(stderr, "weir: there is no such stream\n");
    return found > 0 ? CLI_OK : CLI_PROBLEM;
}

int cli_streams(int argc, char **argv)
{
    static const char *const headers[] = { "stream",   ">keys",   ">readings", ">late",
                                           ">refused", ">forced", ">results",  ">revisions",
                                           "hint" };
    static const char *const paths[] = { "name",    "keys",   "readings", "late", "refused",
                                         "forced", "results", "revisions", "hint" };
    static const struct listing listing = { TARGET, "streams", "no stream is configured",
                                            headers, paths,    9 };
    struct arguments a = { .help = help, .words_max = 2 };
    struct client_options options;
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    if (a.word_count == 0)
        return listing_print(&listing, &options);
    if (strcmp(a.words[0], "lateness") != 0)
        return arguments_usage(&a, "want `lateness`, not", a.words[0]);
    return lateness(&options, a.word_count == 2 ? a.words[1] : NULL);
}
