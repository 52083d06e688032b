/* `weir reload`: the running gateway reads its configuration again. */
#include <stdio.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"

static const char help[] =
    "usage: weir reload [--json]\n\n"
    "The running gateway reads its configuration's file again: checks it, tells what differs\n"
    "(hot, or needs a restart), and takes all of it over between two commits, or nothing.\n"
    "What is defined as before keeps its state. SIGHUP does the same, and reads certificates,\n"
    "tokens and the inventory too.\n";

static const char shown[] = "outcome: ";

int cli_reload(int argc, char **argv)
{
    struct arguments a = { .help = help };
    struct client_options options;
    struct client_answer answer;
    char outcome[32], text[64 * 1024];
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    status = client_post(&options, "/api/v1/reload", &answer);
    if (status != CLI_OK)
        return status;
    json_view_text(answer.body, "outcome", outcome, sizeof outcome);
    json_view_text(answer.body, "text", text, sizeof text);
    if (options.json)
        (void)printf("%.*s\n", (int)answer.body.bytes, answer.body.at);
    else
        (void)printf("%s%s%s\n", text, shown, outcome);
    if (strcmp(outcome, "refused") == 0)
        return CLI_CONFIG;
    return strcmp(outcome, "restart") == 0 ? CLI_PROBLEM : CLI_OK;
}
