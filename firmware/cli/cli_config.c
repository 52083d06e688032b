/* `weir config`: what keys there are, and what a file comes to. */
#include <getopt.h>

#include "firmware/cli/cli.h"
#include "firmware/config_parts.h"

static const char usage[] =
    "usage: weir config explain KEY       what a key means: `window.size`, `uplink`, `all`\n"
    "       weir config reference         every key, as docs/configuration.md\n"
    "       weir config show [-c FILE] [--json]\n"
    "                                     a file with every default filled in\n"
    "Exit: 0 ok, 1 no such key, 78 wrong configuration, 2 usage.\n";

static struct config config; /* large; untouched pages of it cost nothing */
static struct config_reader reader;

static int show(const char *path, bool json)
{
    config_reader_run(&reader, path, &config, false);
    if (reader.fault_count > 0) {
        config_report(&reader, stderr);
        return CLI_CONFIG;
    }
    config_print_effective(&config, json, stdout);
    return CLI_OK;
}

static int misused(void)
{
    (void)fputs(usage, stderr);
    return CLI_USAGE;
}

int cli_config(int argc, char **argv)
{
    static const struct option options[] = { { "config", required_argument, NULL, 'c' },
                                             { "json", no_argument, NULL, 'j' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    const char *path = cli_config_path();
    bool json = false;
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (c == 'h')
            return (void)fputs(usage, stdout), CLI_OK;
        if (c == '?')
            return misused();
        path = c == 'c' ? optarg : path;
        json = json || c == 'j';
    }
    const char *verb = optind < argc ? argv[optind] : "";
    int words = argc - optind;
    if (strcmp(verb, "explain") == 0 && words == 2)
        return config_explain(argv[optind + 1], stdout) == 0 ? CLI_OK : CLI_PROBLEM;
    if (strcmp(verb, "reference") == 0 && words == 1)
        return config_print_reference(stdout), CLI_OK;
    if (strcmp(verb, "show") == 0 && words == 1)
        return show(path, json);
    return misused();
}
