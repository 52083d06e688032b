/* `weir maintenance`: devices that are being worked on, so that what they say calls nobody. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/listing.h"
#include "firmware/config/config_parts.h"

static const char help[] =
    "usage: weir maintenance [list] [-s PATH | -c FILE] [--json]\n"
    "       weir maintenance on --device DEVICE | --all --for SPAN [--reason TEXT]\n"
    "       weir maintenance off --device DEVICE | --all\n\n"
    "While a device is being worked on, what it says is stored and judged as ever, and its\n"
    "alerts are recorded, sent and listed, each marked; but they call nobody, are no alarms in\n"
    "the report, and turn on neither relay nor LED. When that is over, those that stand still\n"
    "are told again, and call. It survives a restart.\n\n"
    "  --device DEVICE  one device; with one * in it, all that fit\n"
    "  --all            every device, and the gateway itself\n"
    "  --for SPAN       how long, in m, h or d, from 1m to 366d; again: from now on, so long\n"
    "  --reason TEXT    why; at most 80 bytes\n";

static const int64_t MINUTE_MS = 60000, SPAN_MS_MAX = (int64_t)366 * 86400000;

/* False: it is none, or too short or long. */
static bool read_span(const char *text, int64_t *ms)
{
    char hint[64];
    return units_duration(text_of(text), ms, hint) == 0 && *ms >= MINUTE_MS && *ms <= SPAN_MS_MAX;
}

static int list(const struct client_options *options)
{
    static const char *const headers[] = { "device", "since", "until", "reason" };
    static const char *const paths[] = { "device", "since", "until", "reason" };
    static const struct listing listing = { "/api/v1/maintenance", "maintenance",
                                            "nothing is being worked on", headers, paths, 4 };
    return listing_print(&listing, options);
}

static int change(const struct client_options *options, const char *target)
{
    struct client_answer answer;
    int status = client_post(options, target, &answer);
    if (status == CLI_OK)
        (void)printf(options->json ? "{\"accepted\":true}\n" : "accepted\n");
    return status;
}

int cli_maintenance(int argc, char **argv)
{
    const char *device = NULL, *span = NULL, *reason = "";
    bool all = false;
    const struct flag flags[] = { { "--device", NULL, &device, NULL },
                                  { "--all", NULL, NULL, &all },
                                  { "--for", NULL, &span, NULL },
                                  { "--reason", NULL, &reason, NULL },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 1 };
    struct client_options options;
    char target[1024], escaped[224], why[272];
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    const char *verb = a.word_count > 0 ? a.words[0] : "list";
    if (strcmp(verb, "list") == 0 && device == NULL && !all && span == NULL)
        return list(&options);
    bool on = strcmp(verb, "on") == 0;
    if (!on && strcmp(verb, "off") != 0)
        return arguments_usage(&a, "want list, on or off, not", verb);
    if ((device != NULL) == all)
        return arguments_usage(&a, "want one of --device and --all after", verb);
    int64_t ms = 0;
    if (on && (span == NULL || !read_span(span, &ms)))
        return arguments_usage(&a, "want --for, from 1m to 366d, not",
                               span != NULL ? span : "none");
    client_escape(escaped, sizeof escaped, all ? "*" : device);
    client_escape(why, sizeof why, reason);
    if (on)
        (void)snprintf(target, sizeof target,
                       "/api/v1/maintenance?device=%s&until_ms=%lld&reason=%s", escaped,
                       (long long)time(NULL) * 1000 + (long long)ms, why);
    else
        (void)snprintf(target, sizeof target, "/api/v1/maintenance/end?device=%s", escaped);
    return change(&options, target);
}
