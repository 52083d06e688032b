#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"

static const char help[] =
    "usage: weir export [--from BLOCK] [--format jsonl|csv] [-s PATH | -c FILE]\n\n"
    "The journal from a block on, to stdout: every record as JSON Lines, or the readings as "
    "CSV,\nwith a column for each further field that the present configuration names.\n\n"
    "  --from BLOCK      0: from the oldest held\n"
    "  --format FORMAT   jsonl (default) or csv\n";

static const char *const columns[] = { "block",         "position",    "source",   "device",
                                       "metric",        "value",       "unit",     "event_time",
                                       "event_time_ms", "time_source", "sequence", "index" };

enum { COLUMNS = sizeof columns / sizeof columns[0], FIELDS_MAX = 64, NAME_BYTES = 65 };

static char fields[FIELDS_MAX][NAME_BYTES]; /* further ones, as the configuration names them */
static uint32_t field_count;

static int ask_fields(const struct client_options *options)
{
    struct client_answer answer;
    struct text name;
    size_t cursor = 0;
    int status = client_get(options, "/api/v1/fields", &answer);
    if (status != CLI_OK)
        return status;
    while (field_count < FIELDS_MAX &&
           json_view_next(json_view_at(answer.body, "fields"), &cursor, NULL, &name))
        json_view_print(name, fields[field_count++], NAME_BYTES);
    return CLI_OK;
}

static void print_cell(const char *cell)
{
    if (strpbrk(cell, ",\"\r\n") == NULL) {
        (void)fputs(cell, stdout);
        return;
    }
    (void)putchar('"');
    for (; *cell != '\0'; cell++) {
        if (*cell == '"')
            (void)putchar('"');
        (void)putchar(*cell);
    }
    (void)putchar('"');
}

static void print_head(void)
{
    for (size_t i = 0; i < COLUMNS; i++)
        (void)printf("%s%s", i > 0 ? "," : "", columns[i]);
    for (uint32_t i = 0; i < field_count; i++) {
        (void)fputs(",fields.", stdout);
        print_cell(fields[i]);
    }
    (void)putchar('\n');
}

static void print_fields(struct text line)
{
    struct text all = json_view_at(line, "fields");
    for (uint32_t i = 0; i < field_count; i++) {
        char cell[2048] = "";
        struct text key = { 0 }, value;
        size_t cursor = 0;
        while (json_view_next(all, &cursor, &key, &value))
            if (text_equal(key, text_of(fields[i])))
                json_view_print(value, cell, sizeof cell);
        (void)putchar(',');
        print_cell(cell);
    }
}

static void print_csv(struct text lines)
{
    char cell[2048];
    while (lines.bytes > 0) {
        const char *end = memchr(lines.at, '\n', lines.bytes);
        struct text line = { lines.at, end != NULL ? (uint32_t)(end - lines.at) : lines.bytes };
        uint32_t used = line.bytes + (end != NULL ? 1 : 0);
        lines = (struct text){ lines.at + used, lines.bytes - used };
        json_view_text(line, "kind", cell, sizeof cell);
        if (strcmp(cell, "reading") != 0)
            continue;
        for (size_t i = 0; i < COLUMNS; i++) {
            json_view_text(line, columns[i], cell, sizeof cell);
            (void)fputs(i > 0 ? "," : "", stdout);
            print_cell(cell);
        }
        print_fields(line);
        (void)putchar('\n');
    }
}

int cli_export(int argc, char **argv)
{
    const char *from = "0", *format = "jsonl";
    const struct flag flags[] = { { "--from", NULL, &from, NULL },
                                  { "--format", NULL, &format, NULL },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags };
    struct client_options options;
    struct client_answer answer;
    char target[128], next[48];
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    bool csv = strcmp(format, "csv") == 0;
    if (!csv && strcmp(format, "jsonl") != 0)
        return arguments_usage(&a, "want jsonl or csv, not", format);
    if (from[0] == '\0' || from[strspn(from, "0123456789")] != '\0')
        return arguments_usage(&a, "--from wants a block's number, not", from);
    (void)snprintf(next, sizeof next, "%.20s.0", from);
    status = csv ? ask_fields(&options) : CLI_OK;
    if (status != CLI_OK)
        return status;
    if (csv)
        print_head();
    while (next[0] != '\0') {
        char *dot = strchr(next, '.');
        if (dot != NULL)
            *dot++ = '\0';
        (void)snprintf(target, sizeof target, "/api/v1/export?from=%s&skip=%s", next,
                       dot != NULL ? dot : "0");
        status = client_get(&options, target, &answer);
        if (status != CLI_OK)
            return status;
        if (csv)
            print_csv(answer.body);
        else
            (void)fwrite(answer.body.at, 1, answer.body.bytes, stdout);
        (void)snprintf(next, sizeof next, "%s", answer.next);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "weir: the output could not be written\n");
        return CLI_PROBLEM;
    }
    return CLI_OK;
}
