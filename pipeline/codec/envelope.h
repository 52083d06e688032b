/* envelope: what goes upstream, as CloudEvents 1.0 JSON (structured mode); schemas in docs/schemas.
 * Each function renders one event into `to` and returns its slice; an empty slice: `bytes` was too
 * little. An alert of at most ENVELOPE_RECENT_MAX recent readings needs at most
 * ENVELOPE_ALERT_BYTES_MAX. Rendering is done once for an (id,
 * revision); what is sent again is these bytes. Nothing but the arguments has a say in them. */
#ifndef PIPELINE_CODEC_ENVELOPE_H
#define PIPELINE_CODEC_ENVELOPE_H

#include "pipeline/alerts/alert.h"
#include "pipeline/inventory.h"
#include "pipeline/record.h"

enum {
    ENVELOPE_ALERT_BYTES_MAX = 8192,
    ENVELOPE_EVENT_BYTES_MAX = 2048,
    ENVELOPE_CORRECTION_BYTES_MAX = ENVELOPE_ALERT_BYTES_MAX,
    /* With names at their longest and escaped byte by byte an alert with so many still fits. */
    ENVELOPE_RECENT_MAX = 24
};

struct envelope { /* what all events of one gateway share */
    struct text gateway;          /* its configured name */
    struct hash_key store_id;     /* CloudEvents source: urn:weir:<32 hex digits>:<lane> */
    struct text config_digest;    /* 64 hex digits */
    struct text version;          /* Weir's */
    int64_t offset_ms;            /* wall time = t + offset */
    enum clock_state clock;
    uint32_t alerts_lane;         /* that alerts stand in: 0, or 1 where they are told once more */
};

/* The lanes' names outside: 0 "alerts", 1 "results", 2 "raw". */
const char *lane_name(uint32_t lane);

/* `device` is NULL where the inventory does not know it. Not `enriched`: shedding leaves out what
 * the inventory knows, the recent readings and the expected band, and the alert says so. */
struct text envelope_alert(const struct envelope *e, uint64_t sequence,
                           const struct alert_event *event, const struct inventory_entry *device,
                           bool enriched, void *to, size_t bytes);

/* A rendered event of that kind ("alert"), store and lane gets its place in it, at `at`; false: it
 * is none. */
struct envelope_place {
    const char *kind;
    struct hash_key store_id;
    uint32_t lane;
    uint64_t sequence;
};
bool envelope_renumber(char *at, size_t bytes, const struct envelope_place *place);

/* Rows from..to of a lane will never come; stands in the lane at `to_sequence`. */
struct text envelope_gap(const struct envelope *e, uint32_t lane, uint64_t from_sequence,
                         uint64_t to_sequence, const char *reason, int64_t wall_ms, void *to,
                         size_t bytes);

/* Something about the gateway itself, in the lane of alerts: "shed_level", "clock_step", ... with a
 * few numbers, each fact's name once. */
struct envelope_fact {
    const char *name;
    double value;
};
struct notice {
    const char *message; /* a sentence, for people */
    const char *cause;   /* a word; NULL: it needs none */
    const struct envelope_fact *facts;
    uint32_t fact_count;
};
struct text envelope_notice(const struct envelope *e, uint64_t sequence, const char *kind,
                            const struct notice *notice, int64_t wall_ms, void *to, size_t bytes);

/* A reading that came too late for windows that are closed, in the lane of raw readings. One that
 * would need more than ENVELOPE_CORRECTION_BYTES_MAX is told without its further fields, or without
 * its value too, and says so. */
struct stream_late;
struct correction {
    const struct stream_late *late;
    uint32_t lane;
    uint64_t block;      /* of the reading, and */
    uint32_t number;     /* of the correction in it, from 1: together its identity */
    const struct text *field_names; /* of the reading's source */
    uint32_t field_count;
};
struct text envelope_correction(const struct envelope *e, uint64_t sequence,
                                const struct correction *correction, void *to, size_t bytes);

#endif
