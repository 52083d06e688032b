/* engine: the pipeline behind the codec: who is known, what was seen, what is usual, what is wrong.
 *
 * State is a fold over records: engine_apply and engine_fire are the only doors, and they look at
 * nothing but the record and
 * the state. So a state rebuilt from a checkpoint and the journal behind it is the same, bit for
 * bit, as
 * one that never stopped. What the engine finds leaves through `engine_out`; a rebuild passes none.
 *
 * Time: t (pipeline time) comes with each record and drives every timer; event time comes with each
 * reading.
 * Memory: all of it sized by engine_config and carved once; nothing grows. */
#ifndef PIPELINE_ENGINE_ENGINE_H
#define PIPELINE_ENGINE_ENGINE_H

#include "pipeline/alerts/alarm_log.h"
#include "pipeline/alerts/alert.h"
#include "pipeline/alerts/flood.h"
#include "pipeline/alerts/maintenance.h"
#include "pipeline/arena.h"
#include "pipeline/contract.h"
#include "pipeline/dedup.h"
#include "pipeline/record.h"
#include "pipeline/pressure/shed.h"
#include "pipeline/streams/streams.h"
#include "pipeline/window.h"

enum {
    /* detectors, the usual ones among them, and streams' rules */
    ENGINE_RULES_MAX = 40 + STREAMS_MAX * STREAM_RULES_MAX,
    /* of them that match one series; more is an error of the configuration */
    ENGINE_RULES_PER_SERIES_MAX = 20,
    ENGINE_ALARM_TOP = 10
};

enum time_policy { TIME_POLICY_DEVICE, TIME_POLICY_ARRIVAL, TIME_POLICY_CLAMP };

struct engine_source { /* what the engine must know of a configured source */
    struct text name;               /* by which a state is taken up again, in whatever order */
    enum time_policy time_policy;
    const struct contract *contract; /* NULL: none */
};

struct engine_config {
    uint32_t devices_max, series_max;
    uint32_t rules_per_series;  /* slots a series; <= ENGINE_RULES_PER_SERIES_MAX */
    uint32_t recent;            /* readings kept a series for context in alerts, 16 bytes each */
    /* readings held back a series at most; used only when reorder_ms > 0 */
    uint32_t reorder_slots;
    int64_t reorder_ms;
    struct window_config window;
    bool late_out;              /* what is too late for its window is told (engine_out.too_late) */
    int64_t out_of_orderness_ms;
    /* pipeline time without a reading after which a series' windows close, when they are over by
     * the clock */
    int64_t idle_ms;
    int64_t max_skew_ms;        /* how far ahead a device's clock may be while ours is synced */
    int64_t learning_ms;        /* event time since a series' first reading, and */
    uint32_t learning_readings; /* readings, until its alerts are no longer marked learning: both */
    bool device_clocks_off;     /* clocks of devices are not watched */
    double rejects_per_minute_max; /* more raise an alert of the gateway; 0: never */
    int64_t lag_grows_for_ms;   /* likewise; the journal says that it does, this is what is told */
    int64_t shed_for_ms;        /* likewise, anything left out for longer; 0: never */
    struct alarm_config {
        int64_t group_ms;       /* alerts of a device within it are one incident; 0: none are */
        struct flood_config flood; /* of incidents: more are a storm */
        uint32_t budget;        /* alarms of a series a day worth calling for; 0: any number */
        int64_t stale_ms;       /* an alert that stands for longer is stale */
    } alarms;
    struct dedup_config dedup;
    const struct engine_source *sources;
    uint32_t source_count;
    const struct detector_config *rules;
    uint32_t rule_count;
    struct stream_set streams;  /* what is taken beside the windows of each series */
    struct hash_key store;      /* the store's id, known before the first record is applied */
    uint8_t digest[32];         /* as the CONFIG record of this configuration has it */
};

/* Opaque; pipeline/engine/engine_state.h holds the layout for the engine's own files. */
struct engine;

enum maintenance_change {
    MAINTENANCE_BEGUN,
    MAINTENANCE_CHANGED, /* it ends at another time, or has another reason */
    MAINTENANCE_ENDED,   /* a person said so */
    MAINTENANCE_EXPIRED  /* its time has come */
};

/* Where findings go, within the call that makes them. All pointers set, but for `maintenance` and
 * `too_late`, or the whole struct NULL. */
struct engine_out {
    void *ctx;
    /* What is applied was judged before, perhaps by another configuration: as in a rebuild, what
     * does not fit is passed over, and a timer that is due fires before the reading that it is
     * behind. */
    bool again;
    void (*alert)(void *ctx, const struct alert_event *event);
    void (*result)(void *ctx, const struct window_result *result);
    /* too late for its window: stored, counted */
    void (*late)(void *ctx, const struct record *record);
    void (*stream)(void *ctx, const struct stream_result *result);
    /* for its own window, or those of a stream, where that was asked for (late_out): of a reading
     * once for each of these */
    void (*too_late)(void *ctx, const struct stream_late *late);
    void (*maintenance)(void *ctx, const struct maintenance *m, enum maintenance_change change);
};

/* At most so many calls of alert and result together come from one engine_apply or engine_fire; of
 * stream: streams_values_max. */
uint32_t engine_out_max(const struct engine_config *config); /* of a TICK: for each timer in it */

/* Places for alerts that are not over (pending, open, cooling down, shelved): one a series on
 * average, and more where there are few series, for all rules at once would be most of the memory.
 * How many rules there are does not matter: what rules that go have raised needs its places still.
 * When all are taken, those that only cool down give way. An anomaly that still finds no place is
 * counted as suppressed, and tried again at the next anomalous reading; a silence every ten
 * seconds. */
static inline uint32_t engine_alerts_max(const struct engine_config *c)
{
    uint32_t all = c->series_max * ENGINE_RULES_PER_SERIES_MAX + 2 * c->devices_max + 1;
    uint32_t most = c->series_max > 1024 ? c->series_max : 1024;
    return all < most ? all : most;
}

/* NULL while the arena only measures. `config` and what it points to outlive the engine. */
struct engine *engine_init(const struct engine_config *config, struct arena *arena);

/* Bytes that one more device with one metric takes, by what they are for. */
struct engine_cost {
    size_t total;
    size_t statistics;  /* and times */
    size_t windows, recent, rules, duplicates;
    size_t alert;       /* its place in the pool, which is shared */
    size_t rest;        /* the device itself, names, tables, timers */
};

struct engine_cost engine_cost(const struct engine_config *config);

/* --- deciding: changes nothing -------------------------------------------------------------------
 * */

enum admission_verdict { ADMIT_STORE, ADMIT_DUPLICATE, ADMIT_REJECT };

struct admission {
    enum admission_verdict verdict;
    enum reject_reason reason; /* REJECT */
    bool sequence_restart;     /* STORE: the sequence was known, with another time */
    bool new_device, new_series; /* its record will make the device, the series */
    struct record record;      /* STORE: ready to apply and journal; REJECT: ready to journal */
};

/* Judge the readings of one message, which arrived at t: names, contract, duplicates, skew, limits.
 * `out` holds `count` admissions. Wall time is t + the offset of the last CLOCK record. */
void engine_admit(const struct engine *engine, int64_t t_ms, const struct reading *readings,
                  uint32_t count, struct admission *out);

/* A hint: in a few messages a reading of this device comes (empty: nothing is known), and what the
 * engine knows of it is fetched into the cache meanwhile. Changes nothing that is ever said; pays
 * only while engine_looks_ahead. */
void engine_expect(const struct engine *engine, struct text device);
bool engine_looks_ahead(const struct engine *engine);
enum { ENGINE_EXPECT_AHEAD = 12 }; /* so many messages before it, at best */

/* --- changing: the fold --------------------------------------------------------------------------
 * */

/* The journal block that records go into from here on; blocks only grow. */
void engine_begin_block(struct engine *engine, uint64_t block);

/* Apply one record. Before a record that arrived at t, every timer due at or before t has been
 * fired. */
void engine_apply(struct engine *engine, const struct record *record, const struct engine_out *out);

/* t of the earliest timer where that is due at t_ms. Else when to look again: after t_ms, and not
 * after the earliest timer; INT64_MAX: there is none. */
int64_t engine_deadline(const struct engine *engine, int64_t t_ms);

/* Fire the one earliest timer; its deadline is its now. Equal deadlines fire in order of key. The
 * caller journals a
 * TICK that says how many were fired; engine_apply of that TICK does the same when the state is
 * rebuilt. */
void engine_fire(struct engine *engine, const struct engine_out *out);

/* streams_steps: what streams' results have taken since engine_init, for whoever bounds a turn. */
uint64_t engine_steps(const struct engine *engine);

/* --- looking -------------------------------------------------------------------------------------
 * */

struct engine_counts {
    uint64_t readings;         /* applied */
    uint64_t sequence_restarts;
    uint64_t late;             /* too late for their window */
    uint64_t unordered;        /* older than the last fed to statistics and detectors */
    uint64_t forced_windows;
    uint64_t results, revisions;
    uint64_t alerts_raised, alerts_updated, alerts_cleared, alerts_suppressed;
    uint64_t alerts_learning;  /* of those raised: while their series was too new */
    uint64_t alerts_maintained; /* of those raised: while their device was worked on */
    uint64_t alerts_notified;  /* told as worth calling somebody for */
    uint64_t storms;           /* of incidents */
    uint64_t dedup_forgotten;  /* ranges given up because a device had too many */
    uint32_t devices, series;
    uint32_t alerts_open;
    bool storm; /* now */
};

struct device_view {
    struct text device;
    uint32_t series;
    uint64_t readings;
    int64_t last_t_ms;
    int64_t last_event_ms; /* the greatest event time of the series that was heard last */
    uint32_t alerts_open;
    bool gone;             /* its connection ended without a word, and no reading came since */
};

struct series_view {
    struct text device, metric, unit;
    const struct statistics *statistics;
    int64_t watermark_ms;
    uint32_t alerts_open;
    bool learning;
};

struct alert_view {
    struct text device, metric;
    struct text partner; /* SIBLINGS: the metric that it no longer goes with; else empty */
    const struct detector_config *rule;
    const struct alert *alert;
    char id[ALERT_ID_BYTES + 1];
    char incident[ALERT_ID_BYTES + 1]; /* empty: of none */
    bool maintained;                   /* its device is being worked on */
    bool latched;                      /* gone, and waits for somebody to acknowledge it */
};

/* How often people are called, over the day that runs and the one before. */
struct alarm_report {
    int64_t from_ms;     /* t */
    struct alarm_hour sum;
    uint32_t busiest;    /* raised in one hour, at most */
    uint32_t of_top;     /* of `sum.raised`, by the series below */
    uint32_t top_count;
    struct alarm_top {
        struct text device, metric;
        uint32_t raised;
    } top[ENGINE_ALARM_TOP]; /* most first; of equal ones those that appeared first */
    uint32_t open, acknowledged, stale; /* alerts that stand; stale: for too long */
    uint32_t chattering, over_budget, in_storm; /* of them */
    bool storm;                         /* there is one now */
};

struct engine_counts engine_counts(const struct engine *engine);
/* As of t. O(series), and of alerts that stand. */
struct alarm_report engine_alarm_report(const struct engine *engine, int64_t t_ms);
struct stream_counts engine_stream_counts(const struct engine *engine, uint32_t stream);
/* As the journal says. */
enum shed_level engine_shed_level(const struct engine *engine);
struct clock_record engine_clock(const struct engine *engine);
int64_t engine_t_ms(const struct engine *engine); /* of the last record, or timer */
/* Who is being worked on, in the order in which that began; the engine's own, until it changes. */
uint32_t engine_maintenance(const struct engine *engine, const struct maintenance **list);
uint32_t engine_devices_maintained(const struct engine *engine); /* O(devices) */
int64_t engine_lag_told_ms(const struct engine *engine); /* 0: it does not grow */
/* The index-th of each, in order of first appearance; false past the end. */
bool engine_device(const struct engine *engine, uint32_t index, struct device_view *view);
bool engine_series(const struct engine *engine, uint32_t index, struct series_view *view);
/* Of the index-th series only its watermark (INT64_MIN: it has none yet) and when it was heard last
 * (t): for those who walk all. */
bool engine_watermark(const struct engine *engine, uint32_t index, int64_t *watermark_ms,
                      int64_t *last_t_ms);
bool engine_alert_is_stale(const struct engine *engine, const struct alert *alert, int64_t t_ms);
/* From *cursor on (0 to start), the next alert that is not quiet; false when there is no more. */
bool engine_alert(const struct engine *engine, uint64_t *cursor, struct alert_view *view);
/* An alert that stands, or one that is over and was the last of its rule and series, for a day. */
bool engine_alert_find(const struct engine *engine, const char *id, struct alert_view *view);

/* --- keeping -------------------------------------------------------------------------------------
 * */

/* The largest that engine_save can write. */
size_t engine_save_bytes_max(const struct engine_config *config);
void engine_save(const struct engine *engine, struct byte_writer *w);
/* Into an engine just initialised. A part whose definition (its digest) differs from the present
 * configuration starts empty, and is counted in *reset; one that is new is not.
 *   WEIR_EVERSION  another layout; WEIR_ECORRUPT  not a state; WEIR_EFULL  holds more devices,
 * series or names than the limits now allow. On error: initialise the engine anew. */
int engine_load(struct engine *engine, struct byte_reader *r, uint32_t *reset);

/* Open alerts for which the last engine_load found no place: they stay raised upstream, and nobody
 * else will say so. Not a part of the state. */
uint32_t engine_unkept(const struct engine *engine);
/* A bit for each stream that it counted in *reset. */
uint64_t engine_changed_streams(const struct engine *engine);

/* 128 bits over engine_save's bytes: equal digests, equal states. */
struct hash128 engine_digest(const struct engine *engine);

#endif
