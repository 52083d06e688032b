#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/cli_alerts.h"
#include "firmware/cli/listing.h"

static const char help[] =
    "usage: weir alerts [-s PATH | -c FILE] [--json]\n"
    "       weir alerts ack ID\n"
    "       weir alerts shelve ID [--for MINUTES]\n"
    "       weir alerts unshelve ID\n"
    "       weir alerts report [--json]\n\n"
    "Alerts that are not over. To acknowledge or shelve one changes what people are shown, not\n"
    "what is true; it is on disk with the next commit. `report` says how often people are called,\n"
    "and what is commonly held against that.\n\n"
    "  --for MINUTES   how long it stays shelved; 60\n";

static int list(const struct client_options *options)
{
    static const char *const headers[] = { "id",        "severity", "state",    "device",
                                           "metric",    "rule",     "reason",   ">observed",
                                           ">score",    "onset",    "marks" };
    static const char *const paths[] = { "id",     "severity",   "state",  "device",
                                         "metric", "rule",       "reason", "observed",
                                         "score",  "onset_time", "marks" };
    static const struct listing listing = { "/api/v1/alerts", "alerts", "no open alert",
                                            headers,          paths,    11 };
    return listing_print(&listing, options);
}

int cli_alerts(int argc, char **argv)
{
    const char *minutes = "60";
    const struct flag flags[] = { { "--for", NULL, &minutes, NULL }, { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 2 };
    struct client_options options;
    struct client_answer answer;
    char id[128], target[256], *rest;
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    if (a.word_count == 0)
        return list(&options);
    if (strcmp(a.words[0], "report") == 0 && a.word_count == 1)
        return cli_alerts_report(&options);
    bool shelve = strcmp(a.words[0], "shelve") == 0;
    if (!shelve && strcmp(a.words[0], "ack") != 0 && strcmp(a.words[0], "unshelve") != 0)
        return arguments_usage(&a, "want ack, shelve, unshelve or report, not", a.words[0]);
    if (a.word_count != 2)
        return arguments_usage(&a, "want one alert's id after", a.words[0]);
    client_escape(id, sizeof id, a.words[1]);
    long span = strtol(minutes, &rest, 10);
    if (shelve && (*rest != '\0' || span < 1 || span > 527040))
        return arguments_usage(&a, "--for wants minutes, at most a year, not", minutes);
    int used = snprintf(target, sizeof target, "/api/v1/alerts/%s/%s", id, a.words[0]);
    if (shelve)
        (void)snprintf(target + used, sizeof target - (size_t)used, "?until_ms=%lld",
                       ((long long)time(NULL) + span * 60LL) * 1000);
    status = client_post(&options, target, &answer);
    if (status == CLI_OK)
        (void)printf(options.json ? "{\"accepted\":true}\n" : "accepted\n");
    return status;
}
