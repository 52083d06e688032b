/* engine_state: the engine's memory, for the engine's own files (engine*.c) alone. Everything is an
 * array by dense index, in order of first appearance, so that nothing said depends on hash order.
 * What varies with the configuration (window slots, recent readings, rules) stands beside the
 * structs, a stretch a series: a reading touches all of it, and each is a miss of the cache. */
#ifndef PIPELINE_ENGINE_ENGINE_STATE_H
#define PIPELINE_ENGINE_ENGINE_STATE_H

#include "pipeline/alerts/alarm_log.h"
#include "pipeline/engine/engine.h"
#include "pipeline/pressure/shed.h"
#include "pipeline/timers.h"

#define ENGINE_NONE UINT32_MAX

enum {
    ENGINE_NAMES_SHARED = 64,      /* of the names last stored, how many are looked through */
    ENGINE_DEVICE_NAME_BYTES = 29, /* mean room for a device's name, */
    ENGINE_SERIES_NAME_BYTES = 8,  /* and for the metric and unit of a series: most are shared */
    ENGINE_NAMES_SPARE_BYTES = 4096,
    ENGINE_LAYOUT_MAGIC = 0x53454557, /* "WEES" */
    ENGINE_LAYOUT_VERSION = 26,       /* of what engine_save writes */
    ENGINE_ALERTS_AGAIN_MS = 10000,   /* how often a full pool of alerts is looked through */
    ENGINE_GONE_RULES_MAX = 2 * ENGINE_RULES_MAX, /* of two configurations before this one */
    ENGINE_AHEAD = 16,             /* messages announced before they come, a power of two; */
    ENGINE_AHEAD_STEP = 4,         /* so many lie between two steps of fetching one's state. */
    ENGINE_AHEAD_DEVICES = 3000,   /* From so many on it pays: their state is 3 MB */
    ENGINE_REJECT_SLOTS = 6,          /* a minute, */
    ENGINE_REJECT_SLOT_MS = 10000     /* ten seconds each */
};

/* One rule on one series (or a built-in one on one device): what outlives an alert, and where the
 * one that is not over stands. */
struct __attribute__((packed, aligned(4))) watch {
    union {
        uint64_t number;    /* of the last alert */
        uint32_t place;     /* while `open`: of the alert in engine.alerts, which has the numbers */
    };
    uint16_t suppressed;    /* stays at UINT16_MAX */
    uint8_t rule;           /* in config.rules */
    bool open : 1;
    bool live : 1;          /* and the alert is more than remembered; follows from it */
    bool silence_told : 1;  /* SILENT, also the device's: the present silence had its verdict */
    bool silence_waits : 1; /* SILENT: it found no place, and has its verdict at alerts_again_ms */
};

static_assert(sizeof(struct watch) == 12, "there are many");

/* What every device is watched for as a whole. */
enum engine_device_rule { ENGINE_DEVICE_CLOCK, ENGINE_DEVICE_SILENT, ENGINE_DEVICE_RULES };

/* Readings in a row whose times are off alike: a clock, where a backlog would catch up. */
struct clock_run {
    int64_t since_ms;        /* t of the first */
    int64_t lead_ms;         /* of the first one's time over ours; below 0: it is behind */
    uint32_t count;          /* 0: the last one's time was good */
};

struct device {
    uint64_t readings;
    int64_t future_since_ms; /* t of the first in the run of readings from the future */
    int64_t back_ms;         /* t at which it was heard again after it had been silent as a whole */
    struct clock_run off;
    uint32_t future_count;   /* in that run */
    uint32_t name;           /* in engine.names */
    uint32_t series_count;
    uint32_t alerts_open;
    uint32_t last_series;    /* heard last; ENGINE_NONE: has none */
    uint32_t newest_series;  /* made last; likewise */
    bool gone;               /* RECORD_GONE, and no reading since */
    int8_t incident_worst;   /* severity in its last incident, which */
    uint16_t incident_members; /* has so many alerts (0: there was none yet), */
    int64_t incident_ms;     /* and began at t */
    struct watch watches[ENGINE_DEVICE_RULES];
};

struct series {
    struct statistics statistics;
    int64_t watermark_ms;    /* INT64_MIN before the first reading */
    int64_t last_t_ms;       /* t of the last reading */
    int64_t last_event_ms;   /* the greatest event time */
    int64_t device_time_max_ms; /* the greatest that a reading carried; INT64_MIN: none did */
    uint32_t device;
    uint32_t metric, unit;   /* in engine.names */
    uint32_t sibling;        /* the next series of the device, in a ring as they were made */
    uint32_t readings;       /* of every type; stays at UINT32_MAX */
    uint32_t span_ms;        /* from the first event time to the greatest; likewise */
    uint8_t source;          /* of the last reading; source_count: that source is no more */
    uint8_t watch_count;     /* first those of SILENT, so many: */
    uint8_t silent_count;
    bool stirred;            /* a watch may be live, or told of a silence; */
    bool remembers;          /* one may be open. Both follow from them */
    uint8_t held;            /* readings held back, sorted by event time */
    uint8_t recent_count;
    struct alarm_days alarms;
};

/* What the gateway has alerts about itself for. */
enum engine_own {
    ENGINE_OWN_REJECTS,
    ENGINE_OWN_LAG,
    ENGINE_OWN_SHED,
    ENGINE_OWN_STORM,
    ENGINE_OWN
};

/* Rejects of the last minute, in slots of pipeline time; what one of those alerts goes by. */
struct rejects {
    uint32_t counts[ENGINE_REJECT_SLOTS]; /* a ring by slot number */
    int64_t slot;                         /* the newest: t / ENGINE_REJECT_SLOT_MS */
};

/* What is left of a rule that alerts outlived: what it was called, and how grave it was. */
struct old_rule {
    struct text name;
    enum detector_kind kind;
    enum severity severity;
};

/* Kept once for all that are of it, and apart from `names`, which devices may fill. */
struct gone_rule {
    char name[DETECTOR_NAME_BYTES_MAX];
    uint8_t name_bytes, kind, severity;
    uint32_t alerts;         /* withdrawn, and not told yet; 0: the place is vacant */
};

/* An alert that was open, and whose rule does not watch its series any more, or whose stream began
 * anew: it is cleared as soon as the journal says that this configuration is in force. */
struct withdrawn {
    uint32_t device, series;
    struct old_rule rule;    /* its name in engine.gone_rules */
    struct alert *alert;     /* in engine.alerts */
};

struct shed_state {
    enum shed_level level;
    int64_t since_ms;        /* t at which the level was normal last */
    int64_t due_ms;          /* t of the alert that it lasts; INT64_MAX: told, or none is due */
};

struct maintenance_state {
    struct maintenance_list list;
    int64_t due_ms;          /* t at which the next one ends; INT64_MAX: there is none */
    int64_t release_ms;      /* t at which one ended, and kept-back calls are made; INT64_MAX: no */
    uint64_t release_at;     /* up to which place (engine_next_subject) that is done */
};

struct source_state {
    bool connected;
    int64_t since_ms;        /* t; silence is counted from here at the earliest */
};

/* Devices announced, and how far each has got. No state. */
struct ahead {
    struct expected {
        uint32_t hash;
        uint32_t device; /* ENGINE_NONE: not found, or not yet */
    } expected[ENGINE_AHEAD];
    uint32_t count; /* announced so far; wraps */
};

/* Who comes next, mostly. No state. Devices that take turns are found without a hash: each with the
 * one that came after it last time, as long as there are so few that a wrong guess is in the cache;
 * of more, by what was announced. */
struct guesses {
    uint32_t last;   /* found by the last look-up */
    uint32_t count;  /* of `after`: as many devices as there may be, at most ENGINE_AHEAD_DEVICES */
    uint16_t *after; /* each of them */
};

union open_alert { /* a place in the pool */
    struct alert alert;
    uint32_t next_free;
};

struct engine {
    const struct engine_config *config;
    const struct engine_out *out; /* of the call under way; NULL: a rebuild, or none */
    int64_t t_ms;
    uint64_t block;
    struct clock_record clock;
    int64_t clock_t_ms;           /* pipeline time from which it has a say */
    struct engine_counts counts;
    /* keyed by series: the earliest of what each one waits for, or earlier; behind them the
     * gateway's own */
    struct timers *timers;
    int64_t quiet_ms;             /* for so long after a reading neither idle nor silent */
    struct device *devices;
    struct series *series;
    uint32_t device_count, series_count;
    uint32_t *device_table;       /* open addressing; see table_entry */
    uint32_t *series_table;
    uint32_t device_table_mask, series_table_mask;
    struct guesses *guesses;
    struct ahead *ahead;
    size_t dedup_bytes;
    uint8_t *dedups;              /* [dedup_bytes] a device */
    /* [stretch_bytes] a series: its rules' places in config.rules (a byte each), their states
     * (packed), windows, the readings heard last, oldest first, and the watches, which nobody looks
     * at while nothing is wrong */
    uint8_t *stretches;
    size_t stretch_bytes, states_at, windows_at, recent_at, watches_at;
    struct sample *held;          /* NULL when reorder_ms is 0 */
    struct engine_rule {
        const struct detector_config *config;
        const struct detector_kind_ops *ops;
        uint32_t state_bytes;
    } rules[ENGINE_RULES_MAX];    /* as config.rules */
    union open_alert *alerts;
    uint32_t alerts_max, alerts_used;
    uint32_t free_alert;          /* first of those given back; ENGINE_NONE: none */
    uint32_t alerts_placed;       /* of those used, not given back */
    int64_t alerts_again_ms;      /* t before which a full pool stays full, and silences wait */
    char *names;                  /* each: a length byte and the bytes; at 0 the empty name */
    uint32_t names_used, names_bytes;
    uint32_t shared[ENGINE_NAMES_SHARED];
    uint32_t shared_next;
    struct source_state *sources; /* [source_count + 1]; the last one is of those that went */
    struct rejects rejects;
    struct watch own[ENGINE_OWN];
    int64_t lag_ms;               /* that has grown for too long; 0: it does not */
    uint32_t *withdrawn;          /* [alerts_max]: their places in the pool */
    uint32_t withdrawn_count;
    struct gone_rule *gone_rules; /* [ENGINE_GONE_RULES_MAX] */
    uint32_t unkept;              /* open alerts that the load had no place for */
    int64_t withdraw_ms;          /* their timer: t of the CONFIG record; INT64_MAX: not yet */
    struct shed_state shed;
    struct maintenance_state maintenance;
    struct alarm_log alarm_log;
    struct flood flood;
    struct streams *streams;
    uint8_t *scratch;             /* one part of a state being digested */
    size_t scratch_bytes;
};

/* The rules behind alerts of whole devices and of the gateway itself; not among config.rules. */
extern const struct detector_config engine_device_rules[ENGINE_DEVICE_RULES];
extern const struct detector_config engine_own_rules[ENGINE_OWN]; /* metric: what it is about */
#define ENGINE_GATEWAY_NAME "$gateway" /* no device can have it: engine_admit refuses names in $ */

/* An entry of a table: index + 1 in 24 bits, above them 8 bits of the hash that the place in the
 * table does not follow from: so what stands in the way of a look-up is mostly not looked at.
 * 0: vacant. */
enum { TABLE_INDEX_BITS = 24 };

static inline uint32_t table_entry(uint32_t hash, uint32_t index)
{
    return hash >> TABLE_INDEX_BITS << TABLE_INDEX_BITS | (index + 1);
}

static inline bool table_may_be(uint32_t entry, uint32_t hash)
{
    return (entry ^ hash) >> TABLE_INDEX_BITS == 0;
}

static inline uint32_t table_index(uint32_t entry)
{
    return (entry & ((1u << TABLE_INDEX_BITS) - 1)) - 1;
}

/* engine_series.c: who is known */
struct text engine_name(const struct engine *e, uint32_t offset);
uint32_t engine_name_store(struct engine *e, struct text name);
bool engine_names_room(const struct engine *e, size_t bytes);
uint32_t engine_device_hash(const struct engine *e, struct text name);
uint32_t engine_device_find(const struct engine *e, struct text name);
uint32_t engine_device_make(struct engine *e, struct text name);
uint32_t engine_device_enter(struct engine *e, uint32_t name); /* whose name is stored */
uint32_t engine_series_find(const struct engine *e, uint32_t device, struct text metric);
uint32_t engine_series_make(struct engine *e, uint32_t device, struct text metric);
uint32_t engine_series_enter(struct engine *e, uint32_t device, uint32_t metric);
void engine_series_unit(struct engine *e, uint32_t series, uint32_t unit); /* likewise */

static inline struct watch *engine_watches(const struct engine *e, uint32_t series)
{
    return (struct watch *)(e->stretches + series * e->stretch_bytes + e->watches_at);
}

/* Which rules watch it, as its watches say too. */
static inline uint8_t *engine_rules(const struct engine *e, uint32_t series)
{
    return e->stretches + series * e->stretch_bytes;
}

/* The states of a series' rules stand one after the other. */
static inline uint8_t *engine_states(const struct engine *e, uint32_t series)
{
    return e->stretches + series * e->stretch_bytes + e->states_at;
}

static inline struct dedup *engine_dedup(const struct engine *e, uint32_t device)
{
    return (struct dedup *)(e->dedups + device * e->dedup_bytes);
}

static inline struct windows *engine_windows(const struct engine *e, uint32_t series)
{
    return (struct windows *)(e->stretches + series * e->stretch_bytes + e->windows_at);
}

static inline void *engine_detector_state(const struct engine *e, uint32_t series, uint32_t place)
{
    const uint8_t *rules = engine_rules(e, series);
    uint8_t *state = engine_states(e, series);
    for (uint32_t i = 0; i < place; i++)
        state += e->rules[rules[i]].state_bytes;
    return state;
}

static inline struct sample *engine_recent(const struct engine *e, uint32_t series)
{
    return (struct sample *)(e->stretches + series * e->stretch_bytes + e->recent_at);
}

static inline struct sample *engine_held(const struct engine *e, uint32_t series)
{
    return e->held + (size_t)series * e->config->reorder_slots;
}

/* engine_time.c: what a series waits for */
int64_t engine_wall_ms(const struct engine *e);
void engine_arm(struct engine *e, uint32_t series); /* after any change of what it waits for, */
void engine_arm_after_reading(struct engine *e, uint32_t series); /* or this one, cheaper */
void engine_arm_own(struct engine *e);              /* likewise of the gateway's own */
/* As engine_deadline; where that is at or before t_ms, whose it is (series_max: the gateway's own;
 * series_max + 1: the streams'). */
int64_t engine_timer(const struct engine *e, int64_t t_ms, uint32_t *key);
void engine_on_arrival(struct engine *e, uint32_t series, int64_t t_ms);
void engine_on_source(struct engine *e, const struct record *record);
void engine_on_clock(struct engine *e, const struct record *record);
void engine_tell_streams_clock(struct engine *e); /* after it changed */
void engine_fire_series(struct engine *e, uint32_t series);
void engine_fire_own(struct engine *e);
void engine_tell_due(struct engine *e, uint32_t series);
void engine_watermark_move(struct engine *e, uint32_t series, int64_t to_ms);

/* engine_think.c: what is usual, what is wrong */
void engine_think(struct engine *e, uint32_t series, const struct record *record);
/* A series is made: it joins the ring of its device. */
void engine_siblings_enter(struct engine *e, uint32_t series);

/* Before each reading of a kind that asks: what the others of its device read last. */
void engine_siblings_tell(const struct engine *e, uint32_t series,
                          const struct detector_kind_ops *ops, void *state, int64_t now_ms);

/* The metric that an alert's does not go with; empty: it is not about that. */
struct text engine_partner(const struct engine *e, const struct detector_config *rule,
                           const struct alert *alert);

void engine_keep_recent(struct engine *e, uint32_t series, const struct sample *sample);
void engine_release_held(struct engine *e, uint32_t series, int64_t up_to_ms);
void engine_tell_window(struct engine *e, uint32_t series, const struct window *window,
                        bool forced);

/* The event time that watermarks may follow: not beyond a clock that is synced. */
int64_t engine_reached_ms(const struct engine *e, const struct record *record);

/* engine_streams.c: readings by other keys, into other windows */
void engine_feed_streams(struct engine *e, const struct record *record);
void engine_fire_streams(struct engine *e);

/* engine_command.c: what people ask for */
struct engine_command {
    enum {
        COMMAND_ACK,
        COMMAND_SHELVE,
        COMMAND_UNSHELVE,
        COMMAND_MAINTAIN,
        COMMAND_RESUME
    } verb;
    struct text id;
    int64_t until_ms;
    struct maintenance_order order;
};
bool engine_parse_command(struct text text, struct engine_command *command);

/* engine_alert.c: from verdicts to alerts */
/* As a watch keeps it. */
static inline uint16_t engine_suppressed(const struct alert *a)
{
    return (uint16_t)(a->suppressed < UINT16_MAX ? a->suppressed : UINT16_MAX);
}

void engine_watch_init(const struct engine *e, struct watch *w, uint8_t rule);
bool engine_watch_place(struct engine *e, struct watch *w, const struct alert *alert);
/* A place in the pool; ENGINE_NONE: it is full. */
uint32_t engine_take_place(struct engine *e);
void engine_give_place(struct engine *e, uint32_t place);
/* The watch has no alert any more. An alert that was told keeps its place, which is the caller's
 * from here on; else ENGINE_NONE. */
uint32_t engine_unwatch(struct engine *e, struct watch *w);
/* What its watches remember of alerts that are over is forgotten in time. */
void engine_forget_alerts(struct engine *e, uint32_t series);

/* False: there is no place for its alert. */
bool engine_on_verdict(struct engine *e, uint32_t series, struct watch *w,
                       const struct verdict *verdict, int64_t event_time_ms);
int64_t engine_watch_deadline(const struct engine *e, const struct watch *w,
                              const struct detector_config *rule);
int64_t engine_watch_cool_ms(const struct engine *e, const struct watch *w,
                             const struct detector_config *rule);
void engine_on_alert_timer(struct engine *e, uint32_t series, struct watch *w);
struct device_finding {
    uint32_t device;
    enum engine_device_rule what;
    uint32_t series;         /* that it was found on, for it may be learning; ENGINE_NONE: none */
};
bool engine_on_device_verdict(struct engine *e, struct device_finding finding,
                              const struct verdict *verdict, int64_t event_time_ms);
/* False: an alert has no place. It is tried again by whoever finds the same again. */
bool engine_on_own(struct engine *e, enum engine_own what, double observed, double allowed,
                   bool over);
void engine_on_command(struct engine *e, struct text command);
/* The next alert from *cursor on that waits for the end of a maintenance is told. False: none. */
bool engine_release_alert(struct engine *e, uint64_t *cursor);
void engine_clear_withdrawn(struct engine *e, const struct withdrawn *w);

/* engine_alarm.c: when, and how often, people are called */
struct alarm {
    struct alert *alert;
    const struct detector_config *rule;
    enum alert_transition what;
};
/* What became of an alert of this device and series (ENGINE_NONE: of none). True: it is worth
 * calling somebody for. */
bool engine_note_alarm(struct engine *e, uint32_t device, uint32_t series, struct alarm alarm);
bool engine_calls_are_kept(const struct engine *e, uint32_t device); /* for maintenance */
void engine_incident_id(const struct engine *e, struct text device, const struct alert *alert,
                        char id[ALERT_ID_BYTES + 1]);
int64_t engine_flood_deadline(const struct engine *e);
void engine_fire_flood(struct engine *e);

/* engine_maintenance.c: devices that are being worked on */
bool engine_is_maintained(const struct engine *e, struct text device);
void engine_arm_maintenance(struct engine *e); /* after any change of the list, or the clock */
void engine_on_maintain(struct engine *e, const struct maintenance_order *order);
void engine_on_resume(struct engine *e, struct text device);
int64_t engine_maintenance_deadline(const struct engine *e);
void engine_fire_maintenance(struct engine *e);
void engine_save_maintenance(const struct engine *e, struct byte_writer *w);
void engine_load_maintenance(struct engine *e, struct byte_reader *r);

/* engine_device.c: what a device is watched for as a whole */
void engine_on_device_future(struct engine *e, uint32_t device); /* a reject: too far ahead */
void engine_on_device_time(struct engine *e, uint32_t device, int64_t device_time_ms);
bool engine_device_is_silent(const struct engine *e, uint32_t device); /* and has been told of */
/* The series has been silent for `allowed_ms`. False: its device has not. */
bool engine_on_device_silence(struct engine *e, uint32_t series, int64_t allowed_ms);
void engine_end_device_silence(struct engine *e, uint32_t series);

/* engine_pressure.c: what is left out, and how late the gateway is */
void engine_on_shed(struct engine *e, const struct record *record);
void engine_on_lag(struct engine *e, const struct record *record);
int64_t engine_shed_deadline(const struct engine *e);
void engine_fire_shed(struct engine *e);

/* engine_rejects.c: how many readings were refused in the last minute */
void engine_count_reject(struct engine *e);
int64_t engine_rejects_deadline(const struct engine *e);
void engine_fire_rejects(struct engine *e);

/* engine_sources.c: by name in a state, for a configuration may order them otherwise */
enum { ENGINE_SOURCE_BYTES = 11 + READING_NAME_BYTES_MAX }; /* of one, at most */
struct old_sources {
    uint32_t count;
    uint8_t now[UINT8_MAX]; /* the present one of that name; source_count: there is none */
};
void engine_sources_save(const struct engine *e, struct byte_writer *w);
void engine_sources_load(struct engine *e, struct old_sources *old, struct byte_reader *r);
/* The source of a series, in present numbers. */
uint8_t engine_source_load(const struct engine *e, const struct old_sources *old,
                           struct byte_reader *r);

/* engine_withdraw.c: alerts that outlived their rule */
/* A copy of its alert, which has no watch, takes a place. Where there is none, which only smaller
 * limits (or two configurations before this one, none of whose alerts could be told yet) can bring
 * about, it is counted in `unkept` and stays open in the cloud. */
void engine_withdraw(struct engine *e, const struct withdrawn *what);
struct withdrawn engine_withdrawn(const struct engine *e, uint32_t index);
/* What the series of these streams (a bit for each) have open, for none can clear it. O(series). */
void engine_withdraw_streams(struct engine *e, uint64_t streams);
void engine_on_config(struct engine *e, const struct record *record);
int64_t engine_withdraw_deadline(const struct engine *e);
void engine_fire_withdrawn(struct engine *e);

uint32_t engine_contract_version(const struct engine *e, uint16_t source);
bool engine_is_learning(const struct engine *e, const struct series *s);

/* engine.c: of the states of a series' rules, at most */
uint32_t engine_states_bytes(const struct engine_config *c);

/* engine_save.c: the largest part (a device, a series) that a state is saved in */
size_t engine_part_bytes_max(const struct engine_config *config);

/* What parts of a state depend on: equal digests, and the part goes on; else it starts empty. */
uint64_t engine_rule_digest(const struct detector_config *rule);
uint64_t engine_window_digest(const struct engine_config *c);
uint64_t engine_held_digest(const struct engine_config *c);
uint64_t engine_dedup_digest(const struct engine_config *c);

#endif
