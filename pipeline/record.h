/* record: one entry of the journal, and so one step of the pipeline. The journal is the whole
 * input: whatever
 * may change the pipeline's state or what it says is a record, and the state is a fold over them.
 *
 * A record is applied once when it arrives and again whenever the state is rebuilt; both go through
 * engine_apply, so both come to the same bits. Kinds are stored: never change or reuse one. */
#ifndef PIPELINE_RECORD_H
#define PIPELINE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/reading.h"
#include "pipeline/reject.h"

enum record_kind {
    RECORD_READING = 1,  /* a reading that is stored */
    RECORD_REJECT = 2,   /* one that is not: only that it happened, and why */
    RECORD_TICK = 3,     /* `count` timers, all due at t_ms, have fired */
    RECORD_CLOCK = 4,    /* what the wall clock said at t_ms, and how far it is trusted */
    RECORD_SOURCE = 5,   /* a source was connected or lost: silence is not the devices' then */
    RECORD_CONFIG = 6,   /* the configuration from here on: digest and content */
    RECORD_INVENTORY = 7,/* the device registry from here on: digest and content */
    RECORD_SHED = 8,     /* the shed level from here on */
    RECORD_COMMAND = 9,  /* what a person asked for: acknowledge or shelve an alert, ... */
    RECORD_LAG = 10,     /* the lag has grown for too long, or again does not */
    RECORD_GONE = 11,    /* a device with a will went without a word */
    RECORD_MADE = 12,    /* no input: what the block made the pipeline say (pipeline/made.h) */
    RECORD_KIND_LAST = RECORD_MADE
};

enum clock_state { CLOCK_UNSET, CLOCK_COARSE, CLOCK_SYNCED };

static inline const char *clock_state_name(enum clock_state state)
{
    return state == CLOCK_UNSET ? "unset" : state == CLOCK_COARSE ? "coarse" : "synced";
}

/* Where a reading's event time comes from; clamped: the device's, cut to arrival + max_skew;
 * coarse: the arrival's, by a clock that was not synced. */
enum time_source { TIME_DEVICE, TIME_ARRIVAL, TIME_CLAMPED, TIME_COARSE };

struct clock_record {
    int64_t offset_ms;      /* wall time = t + offset */
    enum clock_state state;
    /* of this boot of the machine; a new one means t stood still in between */
    uint64_t boot;
};

struct record {
    enum record_kind kind;
    /* pipeline time of arrival: milliseconds that this store's gateway has run */
    int64_t t_ms;
    /* READING; of REJECT and GONE only source, device and metric as far as known */
    struct reading reading;
    int64_t event_time_ms;    /* READING: Unix time; by policy the device's or the arrival's */
    enum time_source time_source; /* READING */
    enum reject_reason reason;    /* REJECT */
    struct clock_record clock;    /* CLOCK */
    uint64_t count;           /* TICK: timers fired; SHED: the level; SOURCE: 1 connected, 0 lost;
                               LAG: ms, 0: it is over */
    struct text digest;       /* CONFIG, INVENTORY: 32 bytes, SHA-256 of the content */
    /* CONFIG, INVENTORY: the file; COMMAND: "verb alert_id until_ms"; GONE: the will; MADE: the
     * sum, packed */
    struct text content;
};

#endif
