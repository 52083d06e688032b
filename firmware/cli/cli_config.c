/* `weir config`: what keys there are, and what a file comes to. */

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/config/config_parts.h"

static const char help[] =
    "usage: weir config explain KEY   what a key means: `window.size`, `uplink`, `all`\n"
    "       weir config reference     every key, as docs/configuration.md\n"
    "       weir config show [-c FILE] [--json]\n"
    "                                 a file with every default filled in\n\n"
    "  -c, --config FILE   the configuration; WEIR_CONFIG, else /etc/weir/weir.yaml\n\n"
    "Exit status: 0 done, 1 no such key, 2 not understood, 78 wrong configuration.\n";

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

int cli_config(int argc, char **argv)
{
    const char *path = cli_config_path();
    bool json = false;
    const struct flag flags[] = { { "--config", "-c", &path, NULL },
                                  { "--json", NULL, NULL, &json },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 2 };
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    const char *verb = a.word_count > 0 ? a.words[0] : "";
    if (json && strcmp(verb, "show") != 0)
        return arguments_usage(&a, "--json is for show, not", verb);
    if (strcmp(verb, "explain") == 0 && a.word_count == 2)
        return config_explain(a.words[1], stdout, stderr) == 0 ? CLI_OK : CLI_PROBLEM;
    if (strcmp(verb, "reference") == 0 && a.word_count == 1)
        return config_print_reference(stdout), CLI_OK;
    if (strcmp(verb, "show") == 0 && a.word_count == 1)
        return show(path, json);
    return arguments_usage(&a, "want explain KEY, reference or show, not", verb);
}
