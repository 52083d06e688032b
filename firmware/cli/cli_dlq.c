#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/listing.h"

static const char help[] =
    "usage: weir dlq list [--all] [-s PATH | -c FILE] [--json]\n"
    "       weir dlq show ID\n\n"
    "Dead letters: messages that were rejected, kept whole, with the reason and, where the\n"
    "payload could not be read, the offset of the fault in it.\n\n"
    "  --all   every one, oldest first; without it the newest\n";

static int list(const struct client_options *options, bool all)
{
    static const char *const headers[] = { ">id",    "arrived", "reason", ">offset",
                                           ">bytes", "source",  "topic",  "payload" };
    static const char *const paths[] = { "id",     "arrived",       "reason",
                                         "offset", "payload_bytes", "source",
                                         "topic",  "payload_begin" };
    const struct listing listing = { all ? "/api/v1/dlq?max=64" : "/api/v1/dlq?max=20",
                                     "letters",
                                     "no dead letter",
                                     headers,
                                     paths,
                                     8 };
    const struct listing everything = {
        "/api/v1/dlq?max=64&after=0", "letters", "no dead letter", headers, paths, 8
    };
    return listing_print(all ? &everything : &listing, options);
}

static int show(const struct client_options *options, const char *id)
{
    static const char *const paths[] = { "id",       "arrived", "reason", "text",         "offset",
                                         "readings", "source",  "topic",  "payload_bytes" };
    static char payload[CLIENT_ANSWER_BYTES];
    struct client_answer answer;
    char target[96], value[1024];
    char escaped[64];
    client_escape(escaped, sizeof escaped, id);
    (void)snprintf(target, sizeof target, "/api/v1/dlq/%s", escaped);
    int status = client_get(options, target, &answer);
    if (status != CLI_OK)
        return status;
    if (options->json) {
        (void)printf("%.*s\n", (int)answer.body.bytes, answer.body.at);
        return CLI_OK;
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        json_view_text(answer.body, paths[i], value, sizeof value);
        table_tame(value, false);
        (void)printf("%-14s %s\n", paths[i], value[0] != '\0' ? value : "none");
    }
    json_view_text(answer.body, "payload", payload, sizeof payload);
    if (isatty(STDOUT_FILENO)) /* a file gets it as it is */
        table_tame(payload, true);
    (void)printf("\n%s\n", payload);
    return CLI_OK;
}

int cli_dlq(int argc, char **argv)
{
    bool all = false;
    const struct flag flags[] = { { "--all", NULL, NULL, &all }, { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 2 };
    struct client_options options;
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    if (a.word_count == 1 && strcmp(a.words[0], "list") == 0)
        return list(&options, all);
    if (a.word_count == 2 && strcmp(a.words[0], "show") == 0)
        return show(&options, a.words[1]);
    return arguments_usage(&a, "want list, or show ID, not", a.word_count > 0 ? a.words[0] : "");
}
