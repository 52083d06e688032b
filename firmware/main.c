/* weir: the gateway and its command line in one program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/cli.h"

static const struct cli_command commands[] = {
    { "run", "run the gateway", cli_run },
    { "status", "health, ledger, lanes, disk and memory of the running gateway", cli_status },
    { "devices", "the devices that it knows", cli_devices },
    { "device", "who may publish to a source that listens: add, list, rotate, revoke", cli_device },
    { "command", "send a command to a device that is connected", cli_command },
    { "show", "one device: its series with what is usual for each", cli_show },
    { "streams", "streams: what they hold, and how late their readings are", cli_streams },
    { "tail", "the last readings as they come in", cli_tail },
    { "alerts", "open alerts; acknowledge or shelve one", cli_alerts },
    { "maintenance", "devices that are being worked on, so that they call nobody",
      cli_maintenance },
    { "explain", "why an alert was raised, and unless what not", cli_explain },
    { "dlq", "dead letters: what was rejected, and why", cli_dlq },
    { "export", "the journal as JSON Lines or CSV", cli_export },
    { "import", "a journal that was exported, as a store to replay", cli_import },
    { "detect", "the baseline detector over a recorded series", cli_detect },
    { "replay", "the journal once more: the same as then?", cli_replay },
    { "reload", "the running gateway reads its configuration again", cli_reload },
    { "check", "check a configuration: faults, budgets, what it can lose", cli_check },
    { "contract", "may a contract follow an older one: check, schema", cli_contract },
    { "config", "explain keys, print the reference or what applies", cli_config },
    { "size", "what a load needs: processor, memory, disk, flash, gateways", cli_size },
    { "bench", "measure what this board can do, for size", cli_bench },
    { "update", "a board's other slot: install, confirm, roll back", cli_update },
    { "token", "make a token for HTTP with TLS", cli_token },
    { "version", "print the version", cli_version },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out)
{
    (void)fprintf(out,
                  "Weir: a gateway for device telemetry.\n\nusage: weir COMMAND [options]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        (void)fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
    (void)fprintf(out, "\n`weir COMMAND --help` says more.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0)
        argv[1] = "version";
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    (void)fprintf(stderr, "weir: there is no command \"%s\"; see weir --help\n", argv[1]);
    return CLI_USAGE;
}
