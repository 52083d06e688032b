/* sizing: what a load needs: processor, memory, disk, flash, uplink, gateways. Pure arithmetic over
 * what was measured (calibration.h); `weir size` shows each step of it. */
#ifndef FIRMWARE_SIZING_H
#define FIRMWARE_SIZING_H

#include "firmware/sizing/calibration.h"

enum {
    SIZING_WINDOW_S = 10,     /* window.size as it is by default: a result a series in each */
    SIZING_JOURNAL_BYTES = 8, /* of a reading in the journal, and */
    SIZING_RESULT_BYTES = 22, /* of a result on the uplink: docs/performance.md */
    SIZING_COMMIT_READINGS = 10000 /* commit.max_readings by default; commit.max_age is 1 s */
};

struct sizing_load {
    double devices, per_second; /* readings of each device */
    double payload_bytes;
    uint32_t headroom_percent;
};

struct sizing_board {
    double device_bytes, base_bytes; /* of memory: for each device, and whatever there is */
    double memory_bytes_max;         /* that may be taken; 0: not stated */
    double devices_max;              /* likewise */
    double endurance_bytes;          /* of its storage; 0: not stated */
};

struct sizing {
    double readings, reading_us;     /* a second; of one in the processor */
    double capacity, usable;         /* readings a second of one gateway; without its headroom */
    uint32_t by_processor, by_memory, by_devices; /* gateways that each asks for */
    uint32_t gateways;               /* the most of these; as many partitions, by device */
    /* of one gateway, where all carry the same: */
    double commits;                  /* a second */
    double cores;                    /* of one that it takes */
    double memory_bytes;
    double journal_bytes_day, flash_bytes_day, uplink_bytes_day;
    double flash_years;              /* 0: the endurance is not stated */
};

struct sizing sizing_of(const struct sizing_load *load, const struct sizing_board *board,
                        const struct calibration *c);

#endif
