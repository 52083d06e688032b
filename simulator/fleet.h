/* fleet: virtual devices that publish to a real broker: what its files share. */
#ifndef SIMULATOR_FLEET_H
#define SIMULATOR_FLEET_H

#include <stdio.h>

#include "simulator/fault.h"
#include "simulator/fleet_link.h"
#include "simulator/settings.h"
#include "simulator/truth.h"

struct fleet_config { /* as given on the command line */
    const char *host, *ca_file, *logins_file, *truth_file, *acked_file, *faults;
    uint64_t port, devices, metrics, seed, connections, pending, in_flight;
    double rate; /* readings a second of each device and metric */
    int64_t duration_ms, clean_ms, fault_every_ms, late_by_ms, drain_ms, max_skew_ms;
    double late, reordered, repeated, malformed, wrong_clocks;
    struct setting_list csv;
    double speed;
    bool keep_times, progress, json;
};

struct fleet_device {
    char name[FLEET_NAME_BYTES_MAX];
    uint64_t sequence;       /* of its next message */
    int64_t clock_offset_ms; /* its clock minus the true time */
};

struct fleet_reading { /* one that is about to be published */
    uint32_t device_index;
    struct fleet_device *device;
    const char *metric, *unit;
    int64_t time_ms;         /* by the device's clock */
    double value;
    int digits;              /* behind the point; negative: as many as it needs */
    bool faulty;             /* travels undisturbed */
};

/* --- the way out: fleet_outlet.c
 * ------------------------------------------------------------------ */

struct delay_line;

struct fleet_outlet { /* the way to the link, disturbed in the proportions asked for */
    const struct fleet_config *config;
    struct fleet_link *link;
    struct delay_line *late, *reordered, *repeated;
    struct fleet_totals totals;
    uint64_t chance;
};

/* 0 or WEIR_ENOSPC. */
int outlet_open(struct fleet_outlet *o, const struct fleet_config *config,
                struct fleet_link *link);
void outlet_close(struct fleet_outlet *o);
/* Whether the device can publish one more reading now. */
bool outlet_room(const struct fleet_outlet *o, uint32_t device);
void outlet_publish(struct fleet_outlet *o, const struct fleet_reading *reading, int64_t now_ms);
/* Let go what was held back long enough; with `all`, everything. */
void outlet_turn(struct fleet_outlet *o, int64_t now_ms, bool all);
bool outlet_empty(const struct fleet_outlet *o);

/* --- what devices say: fleet_devices.c, fleet_replay.c
 * -------------------------------------------- */

struct fleet_devices; /* virtual devices, by signal and fault */
struct fleet_devices *devices_open(const struct fleet_config *config, int64_t start_ms,
                                   FILE *truth);
void devices_close(struct fleet_devices *d);
/* Publish every reading that is due. Returns when the next one is due; INT64_MAX: no more to
 * come. */
int64_t devices_turn(struct fleet_devices *d, struct fleet_outlet *outlet, int64_t now_ms);
/* Write the truth of faults that the end cut short. */
void devices_end(struct fleet_devices *d, struct fleet_outlet *outlet);

struct fleet_replay; /* devices that repeat a series of real readings from a file */
/* NULL with a sentence on stderr naming file and line. */
struct fleet_replay *replay_open(const struct fleet_config *config, int64_t start_ms,
                                 uint32_t first_device);
void replay_close(struct fleet_replay *r);
int64_t replay_turn(struct fleet_replay *r, struct fleet_outlet *outlet, int64_t now_ms);

int fleet_main(int argc, char **argv);

#endif
