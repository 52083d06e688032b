#include <stdio.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/listing.h"

static const char devices_help[] =
    "usage: weir devices [-s PATH | -c FILE] [--json]\n\n"
    "The devices that the gateway knows, in order of first appearance. --json: one a line.\n";

int cli_devices(int argc, char **argv)
{
    static const char *const headers[] = { "device",          ">series", ">readings",
                                           "last event time", ">age ms", ">alerts", "gone" };
    static const char *const paths[] = { "device",          "series", "readings",
                                         "last_event_time", "age_ms", "alerts_open", "gone" };
    static const struct listing listing = { "/api/v1/devices", "devices", "no device yet",
                                            headers,           paths,     7 };
    struct arguments a = { .help = devices_help };
    struct client_options options;
    int status = arguments_for_gateway(&a, argc, argv, &options);
    return status != -1 ? status : listing_print(&listing, &options);
}

static const char show_help[] =
    "usage: weir show DEVICE [-s PATH | -c FILE] [--json]\n\n"
    "One device: its series, what is usual for each, and how each is now.\n";

int cli_show(int argc, char **argv)
{
    static const char *const headers[] = { "metric", ">last", "unit",   ">mean",   ">stddev",
                                           ">min",   ">max",  ">count", ">alerts", "learning" };
    static const char *const paths[] = { "metric", "last", "unit",  "mean",        "stddev",
                                         "min",    "max",  "count", "alerts_open", "learning" };
    struct arguments a = { .help = show_help, .words_max = 1 };
    struct client_options options;
    char device[256], target[300];
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    if (a.word_count != 1)
        return arguments_usage(&a, "want a device, not", "");
    client_escape(device, sizeof device, a.words[0]);
    (void)snprintf(target, sizeof target, "/api/v1/series?device=%s", device);
    const struct listing listing = { target,  "series", "no series of this device",
                                     headers, paths,    10 };
    return listing_print(&listing, &options);
}
