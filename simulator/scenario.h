/* scenario: six systems as people build them on streams of events, each drawn from a seed, with the
 * faults of real networks: late, out of order, repeated, and now and then too late for anything.
 * What a gateway must make of them is in simulator/scenarios/NAME. */
#ifndef SIMULATOR_SCENARIO_H
#define SIMULATOR_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCENARIO_FIELDS_BYTES = 96, SCENARIO_METRIC_BYTES = 24 };

struct scenario_event {
    int64_t t_ms;      /* when it happens; 0: the scenario's beginning */
    int64_t sent_ms;   /* when it is published */
    uint32_t device;   /* "d%05u" */
    uint32_t order;    /* as drawn: decides between events that are sent at once */
    uint64_t sequence; /* the device's number for it */
    bool repeat;       /* of an earlier one, byte for byte */
    double value;
    char metric[SCENARIO_METRIC_BYTES];
    char fields[SCENARIO_FIELDS_BYTES]; /* of its JSON, each with a comma before it */
};

struct scenario_events {
    struct scenario_event *all;
    size_t count, room;
};

struct scenario {
    const char *name, *about;
    uint32_t devices;
    int64_t late_ms;          /* after it happened a late event is published, at most */
    int64_t too_late_ms;      /* and one that is too late */
    /* Adds events in any order. `scale` 1: all of them; less: so much of them, in the same span. */
    void (*draw)(struct scenario_events *to, double scale, uint64_t *chance);
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* One more event, all of it nothing yet. Without memory for it the program ends, and says so. */
struct scenario_event *scenario_add(struct scenario_events *to);

int scenario_main(int argc, char **argv);

#endif
