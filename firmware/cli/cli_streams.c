/* `weir streams`: what streams hold, and how late their readings are. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/listing.h"

static const char help[] =
    "usage: weir streams [lateness [NAME]] [-s PATH | -c FILE] [--json]\n"
    "       weir streams results NAME [KEY...] [--from TIME] [--to TIME] [...]\n"
    "       weir streams latest NAME [KEY...] [...]\n\n"
    "The streams, what they hold, and what was too late for them. lateness: how many of the\n"
    "readings would be in all their windows, by the lateness that is set. results: what a stream\n"
    "told of its windows, as it is kept, by their start; latest: of each key the last one. KEY: "
    "only\nof keys that begin with these values. --json: one a line.\n\n"
    "  --from TIME   windows that begin then or later, as 2026-09-21T14:13:20Z or in Unix\n"
    "                milliseconds\n"
    "  --to TIME     windows that begin before\n";

static const char TARGET[] = "/api/v1/streams";

/* What is rare stands below the table, where it is not 0. */
static void print_rest(struct text stream)
{
    static const struct {
        const char *member, *words;
    } rest[] = {
        { "without_key", "without a key that can be kept" },
        { "late_partly", "too late for some windows" },
        { "evicted", "keys that gave way" },
        { "expired", "keys forgotten" },
        { "early", "results told early" },
        { "retractions", "retractions" },
    };
    char name[80];
    uint32_t told = 0;
    json_view_text(stream, "name", name, sizeof name);
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        uint64_t count = json_view_unsigned(stream, rest[i].member);
        if (count == 0)
            continue;
        (void)printf("%s%s %s %" PRIu64, told == 0 ? name : "", told == 0 ? ":" : ",",
                     rest[i].words, count);
        told++;
    }
    (void)printf("%s", told > 0 ? "\n" : "");
}

static int list(const struct client_options *options)
{
    static const char *const headers[] = { "stream",   ">keys",   ">readings", ">late",
                                           ">refused", ">forced", ">results",  ">revisions",
                                           "hint" };
    static const char *const paths[] = { "name",    "keys",   "readings", "late", "refused",
                                         "forced", "results", "revisions", "hint" };
    static const struct listing listing = { TARGET, "streams", "no stream is configured",
                                            headers, paths,    9 };
    struct client_answer answer;
    struct text stream;
    size_t cursor = 0;
    int status = listing_print(&listing, options);
    if (status != CLI_OK || options->json)
        return status;
    status = client_get(options, TARGET, &answer);
    if (status != CLI_OK)
        return status;
    struct text streams = json_view_at(answer.body, "streams");
    while (json_view_next(streams, &cursor, NULL, &stream))
        print_rest(stream);
    return CLI_OK;
}

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

/* --- results --- */

static bool add_argument(char *target, size_t bytes, const char *name, const char *value)
{
    char escaped[768];
    size_t used = strlen(target);
    if (value == NULL)
        return true;
    client_escape(escaped, sizeof escaped, value);
    int added = snprintf(target + used, bytes - used, "&%s=%s", name, escaped);
    return added >= 0 && (size_t)added < bytes - used;
}

/* "DE, 3": what stands in an object, without its names. */
static void print_values(struct text object, bool named, char *to, size_t bytes)
{
    struct text name, value;
    size_t cursor = 0, used = 0;
    char part[TABLE_CELL_BYTES];
    to[0] = '\0';
    while (used + 1 < bytes && json_view_next(object, &cursor, &name, &value)) {
        json_view_print(value, part, sizeof part);
        int more = snprintf(to + used, bytes - used, "%s%.*s%s%s", used > 0 ? " " : "",
                            named ? (int)name.bytes : 0, name.at, named ? "=" : "", part);
        used += more > 0 ? (size_t)more : 0;
    }
}

/* A result that was told for want of room says so beside its kind. */
static void add_kind(struct table *table, struct text item)
{
    char kind[TABLE_CELL_BYTES - 16], cell[TABLE_CELL_BYTES];
    bool forced = text_equal(json_view_at(item, "forced"), text_of("true"));
    json_view_text(item, "kind", kind, sizeof kind);
    (void)snprintf(cell, sizeof cell, "%s%s", kind, forced ? ", forced" : "");
    table_add(table, cell);
}

static void add_result(struct table *table, struct text item)
{
    char cell[TABLE_CELL_BYTES];
    static const char *const paths[] = { "start", "end", "revision" };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        json_view_text(item, paths[i], cell, sizeof cell);
        table_add(table, cell);
    }
    add_kind(table, item);
    print_values(json_view_at(item, "key"), false, cell, sizeof cell);
    table_add(table, cell);
    print_values(json_view_at(item, "values"), true, cell, sizeof cell);
    table_add(table, cell);
}

static int print_results(const char *target, const struct client_options *options)
{
    static const char *const headers[] = { "start", "end", ">revision", "kind", "key", "values" };
    struct client_answer answer;
    char page[3072], next[640] = "";
    size_t count = 0;
    struct table *table = table_make(headers, 6);
    if (table == NULL)
        return CLI_PROBLEM;
    do {
        (void)snprintf(page, sizeof page, next[0] != '\0' ? "%s&after=%s" : "%s", target, next);
        int status = client_get(options, page, &answer);
        if (status != CLI_OK)
            return status;
        size_t cursor = 0;
        struct text item;
        for (; json_view_next(json_view_at(answer.body, "results"), &cursor, NULL, &item); count++)
            if (options->json)
                (void)printf("%.*s\n", (int)item.bytes, item.at);
            else
                add_result(table, item);
        json_view_text(answer.body, "next", next, sizeof next);
    } while (next[0] != '\0');
    if (!options->json && count > 0)
        table_print(table, stdout);
    else if (!options->json)
        (void)printf("no results\n");
    return CLI_OK;
}

static int results(const struct arguments *a, const struct client_options *options,
                   const char *from, const char *to)
{
    char target[2048];
    bool latest = strcmp(a->words[0], "latest") == 0;
    if (a->word_count < 2)
        return arguments_usage(a, "want a stream's name behind", a->words[0]);
    (void)snprintf(target, sizeof target, "/api/v1/%s?max=250", a->words[0]);
    bool fits = add_argument(target, sizeof target, "stream", a->words[1]) &&
                add_argument(target, sizeof target, "from", from) &&
                add_argument(target, sizeof target, "to", to);
    for (int i = 2; i < a->word_count; i++)
        fits = fits && add_argument(target, sizeof target, "key", a->words[i]);
    if (latest && (from != NULL || to != NULL))
        return arguments_usage(a, "no --from and --to with", "latest");
    return fits ? print_results(target, options) : arguments_usage(a, "too long:", a->words[2]);
}

int cli_streams(int argc, char **argv)
{
    const char *from = NULL, *to = NULL;
    const struct flag flags[] = { { "--from", NULL, &from, NULL },
                                  { "--to", NULL, &to, NULL },
                                  { NULL, NULL, NULL, NULL } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 6 };
    struct client_options options;
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    if (a.word_count == 0)
        return list(&options);
    if (strcmp(a.words[0], "results") == 0 || strcmp(a.words[0], "latest") == 0)
        return results(&a, &options, from, to);
    if (strcmp(a.words[0], "lateness") != 0 || a.word_count > 2)
        return arguments_usage(&a, "want `lateness`, `results` or `latest`, not", a.words[0]);
    return lateness(&options, a.word_count >= 2 ? a.words[1] : NULL);
}
