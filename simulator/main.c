/* weir-sim: the world around a gateway: devices, a cloud, and the judgement of what happened
 * between them. */
#include <stdio.h>
#include <string.h>

#include "simulator/cloud.h"
#include "simulator/fleet.h"
#include "simulator/inject.h"
#include "simulator/report.h"
#include "simulator/scenario.h"
#include "simulator/world.h"

static const struct {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "fleet", "virtual devices that publish to a broker, with known faults", fleet_main },
    { "cloud", "the receiver in the cloud, by the rule of docs/receiver.md", cloud_main },
    { "scenario", "events of a system on streams: clicks, payments, rides, ...", scenario_main },
    { "inject", "a known fault put into a recorded series", inject_main },
    { "report", "what a run was worth: lost, repeated, detected, delays", report_main },
    { "world", "the same gateway in a simulated surrounding of faults, from a seed", world_main },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static int usage(FILE *to, int code)
{
    fputs("usage: weir-sim COMMAND [options]\n\n", to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
    fputs("\n`weir-sim COMMAND --help` lists a command's options; --version the version.\n", to);
    return code;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr, 2);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return usage(stdout, 0);
    if (strcmp(argv[1], "--version") == 0)
        return puts("weir-sim " WEIR_VERSION) < 0;
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "weir-sim: no such command: %s\n", argv[1]);
    return usage(stderr, 2);
}
