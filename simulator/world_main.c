/* world_main: `weir-sim world SEED` and `weir-sim world --count N --from SEED`. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "simulator/world.h"

enum { COVERAGE_FROM_WORLDS = 200 }; /* a run of so many has seen every kind of fault and step */

static volatile uint64_t running_seed;

/* An assertion of ours failed inside a world: that is a finding, and it needs its seed. */
static void on_abort(int signal_number)
{
    char line[64];
    int bytes = snprintf(line, sizeof line, "world %" PRIu64 ": aborted\n", (uint64_t)running_seed);
    (void)signal_number;
    if (bytes > 0)
        (void)!write(STDERR_FILENO, line, (size_t)bytes); /* nothing is left to do if it fails */
    _exit(1);
}

static const char help[] =
    "usage: weir-sim world SEED            one world; --trace prints its steps\n"
    "       weir-sim world --count N [--from SEED]\n\n"
    "The gateway in a surrounding of faults, drawn from a seed: the same seed gives the same\n"
    "world. Invariants are listed in simulator/world.h. Exit status 0: all held; 1: one was\n"
    "broken, or, in a run of 200 worlds or more, some fault or step of a turn never occurred.\n\n"
    "  --count N     so many worlds, seeds SEED, SEED+1, ...\n"
    "  --from SEED   the first seed (default 1)\n"
    "  --trace       print what happens\n"
    "  --json        one JSON object at the end\n";

struct totals {
    uint64_t worlds, broken, turns, messages, restarts, alerts;
    uint64_t events[WORLD_EVENT_COUNT];
};

static void add(struct totals *t, const struct world_outcome *o)
{
    t->worlds++;
    t->broken += !o->passed;
    t->turns += o->turns;
    t->messages += o->messages;
    t->restarts += o->restarts;
    t->alerts += o->alerts;
    for (int i = 0; i < WORLD_EVENT_COUNT; i++)
        t->events[i] += o->events[i];
}

static bool covered(const struct totals *t)
{
    bool all = true;
    for (int i = 0; i < WORLD_EVENT_COUNT; i++)
        if (t->events[i] == 0) {
            fprintf(stderr, "never occurred: %s\n", world_event_name((enum world_event)i));
            all = false;
        }
    return all;
}

static void print_totals(const struct totals *t, bool json)
{
    if (!json) {
        printf("%" PRIu64 " worlds, %" PRIu64 " broken; %" PRIu64 " turns, %" PRIu64
               " messages, %" PRIu64 " restarts, %" PRIu64 " alerts\n",
               t->worlds, t->broken, t->turns, t->messages, t->restarts, t->alerts);
        return;
    }
    printf("{\"worlds\":%" PRIu64 ",\"broken\":%" PRIu64 ",\"turns\":%" PRIu64
           ",\"messages\":%" PRIu64 ",\"restarts\":%" PRIu64 ",\"alerts\":%" PRIu64 ",\"events\":{",
           t->worlds, t->broken, t->turns, t->messages, t->restarts, t->alerts);
    for (int i = 0; i < WORLD_EVENT_COUNT; i++)
        printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", world_event_name((enum world_event)i),
               t->events[i]);
    puts("}}");
}

static int run_worlds(uint64_t from, uint64_t count, bool trace, bool json)
{
    struct totals t = { 0 };
    bool progress = isatty(STDERR_FILENO) && count > 1;
    for (uint64_t seed = from; seed < from + count && t.broken == 0; seed++) {
        running_seed = seed;
        struct world_outcome o = world_run(seed, trace);
        add(&t, &o);
        if (!o.passed)
            printf("world %" PRIu64 ": %s\n", seed, o.broken);
        else if (count == 1)
            printf("world %" PRIu64 ": held; digest %016" PRIx64 "%016" PRIx64 "\n", seed,
                   o.digest[1], o.digest[0]);
        if (progress && seed % 100 == 0)
            fprintf(stderr, "\r%" PRIu64 " of %" PRIu64, seed - from, count);
    }
    if (progress)
        fputs("\r", stderr);
    print_totals(&t, json);
    bool whole = t.broken > 0 || count < COVERAGE_FROM_WORLDS || covered(&t);
    return t.broken == 0 && whole ? 0 : 1;
}

int world_main(int argc, char **argv)
{
    static const struct option options[] = { { "count", required_argument, NULL, 'n' },
                                             { "from", required_argument, NULL, 'f' },
                                             { "trace", no_argument, NULL, 't' },
                                             { "json", no_argument, NULL, 'j' },
                                             { "help", no_argument, NULL, 'h' },
                                             { "version", no_argument, NULL, 'V' },
                                             { NULL, 0, NULL, 0 } };
    uint64_t from = 1, count = 0;
    bool trace = false, json = false;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'n':
            count = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            from = strtoull(optarg, NULL, 10);
            break;
        case 't':
            trace = true;
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            return fputs(help, stdout) < 0;
        case 'V':
            return puts("weir-sim " WEIR_VERSION) < 0;
        default:
            fputs(help, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        from = strtoull(argv[optind], NULL, 10);
        count = count == 0 ? 1 : count;
    }
    if (count == 0) {
        fputs(help, stderr);
        return 2;
    }
    (void)signal(SIGABRT, on_abort);
    return run_worlds(from, count, trace, json);
}
