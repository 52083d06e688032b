/* alert: the state machine of one (device, metric, rule): quiet, pending, raised, clearing, and
 * back.
 *
 * Fed with verdicts and timers, it says when a revision is to be told to the world. Everything here
 * is in the checkpoint,
 * so a restart neither forgets nor repeats an alert. Times are pipeline time t, except where a name
 * says event.
 * Acknowledged and shelved are flags beside the state: they change what a person is shown, not what
 * is true. */
#ifndef PIPELINE_ALERTS_ALERT_H
#define PIPELINE_ALERTS_ALERT_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"
#include "pipeline/detect/detector.h"
#include "pipeline/hash.h"

enum {
    ALERT_ID_BYTES = 26, /* 128 bits in Crockford's base32 */
    /* Alerts of a triple are numbered from the journal block in which they are raised, times
     * 2^20, so that no number comes twice, whatever was forgotten: a block raises fewer. */
    ALERT_NUMBER_SHIFT = 20,
    ALERT_STEPS_LATE_MAX = 2, /* of severity, for how long it lasts */
    ALERT_CHANGES = 5 /* raises and clears remembered; the sixth in an hour is one too many */
};

/* COOLING: cleared, and no new alert until cool-down has passed. */
enum alert_state { ALERT_QUIET, ALERT_PENDING, ALERT_RAISED, ALERT_CLEARING, ALERT_COOLING };

enum alert_transition { ALERT_NO_CHANGE, ALERT_RAISE, ALERT_UPDATE, ALERT_CLEAR };

struct alert_figures { /* a verdict's, as they are told */
    double observed, low, high, score, threshold;
};

struct alert {
    enum alert_state state : 8;
    enum reason reason : 8; /* as it was seen last */
    bool acknowledged : 1;
    bool learning : 1;      /* not told yet since the series has learnt enough */
    bool alarmed : 1;       /* it is more than learning, and was counted as an alarm */
    bool far : 1;           /* the score was `escalate_score` times the threshold */
    bool chattering : 1;    /* raised and cleared too often: it clears four times as late */
    bool over_budget : 1;   /* its series has had its alarms of today */
    bool in_storm : 1;      /* one of many: the storm's own alert stands for it */
    bool owed : 1;          /* maintenance kept a call back; made when that is over */
    uint8_t quiet;          /* CLEARING: readings in a row that were usual; stays at 255 */
    uint8_t late_steps;     /* of severity, for how long it has lasted */
    int8_t told_severity;   /* as of the last revision */
    uint16_t member;        /* of its incident; 1 began it; 0: of none */
    uint32_t revision;      /* of this alert; 1 is the raise */
    uint32_t count;         /* anomalous readings since the onset */
    uint32_t suppressed;    /* anomalies that cool-down kept from becoming alerts */
    uint32_t judged;        /* PENDING: the last readings, newest lowest; 1: anomalous */
    uint64_t number;        /* of the triple's alerts: greater than of the one before */
    int64_t since_ms;       /* t when the present state began */
    int64_t raised_ms;      /* t of the first revision */
    int64_t incident_ms;    /* t at which its incident began */
    int64_t shelved_until_ms; /* wall time: a person set it; 0: not shelved */
    int64_t onset_event_ms; /* event time of the first anomalous reading */
    int64_t last_event_ms;  /* and of the last */
    uint64_t onset_block;   /* journal block of the first anomalous reading */
    uint32_t changes_s[ALERT_CHANGES]; /* t of the last raises and clears, newest first, + 1 s */
    struct alert_figures peak; /* of the most anomalous verdict, */
    uint32_t about;            /* and what that was about (struct verdict) */
    uint16_t terms[REASON_TERMS]; /* of that verdict, in thousandths; stay at UINT16_MAX */
};

/* What one revision says. Slices and pointers live until the call that was given it returns. */
struct alert_event {
    char id[ALERT_ID_BYTES + 1];
    struct hash128 key;               /* the id's 128 bits */
    enum alert_transition transition; /* RAISE, UPDATE or CLEAR */
    const struct alert *alert;        /* as it is after the transition */
    const struct detector_config *rule;
    enum severity severity;
    bool notify;                      /* worth calling somebody for */
    bool maintained;                  /* its device is being worked on: nobody is called */
    char incident[ALERT_ID_BYTES + 1]; /* empty: of none */
    struct text device, metric, unit;
    struct text partner;              /* SIBLINGS: the metric that it no longer goes with */
    const struct statistics *usual;   /* of the series; NULL for an alert of the gateway itself */
    /* up to recent_count readings before and at the anomaly, oldest first */
    const struct sample *recent;
    uint32_t recent_count;
    int64_t t_ms;
    int64_t event_time_ms;            /* when it happened */
    uint64_t first_block, last_block; /* the journal range that made it */
    uint32_t contract_version;        /* 0: none */
};

void alert_init(struct alert *a);

/* A person acknowledged it, or shelved it until a wall time (0: no longer). Returns UPDATE where
 * that changed an open alert; CLEAR where it only waited for somebody to acknowledge it. */
enum alert_transition alert_acknowledge(struct alert *a, const struct detector_config *rule,
                                        int64_t t_ms);
enum alert_transition alert_shelve(struct alert *a, int64_t until_wall_ms);

/* It is over but for the acknowledgement that its rule's `latch` wants. */
bool alert_is_latched(const struct alert *a, const struct detector_config *rule, int64_t t_ms);

/* Maintenance is over: what it kept back is due. UPDATE, or NO_CHANGE where nothing is owed. */
enum alert_transition alert_release(struct alert *a);

/* One verdict at t. Returns what to tell; the caller fills the event. UPDATE comes when its
 * severity has changed, and for nothing else: an alert that was raised while learning is anomalous
 * still when that is over, the score has grown far beyond the threshold, or it has lasted. */
enum alert_transition alert_on_verdict(struct alert *a, const struct detector_config *rule,
                                       const struct verdict *verdict, int64_t event_time_ms,
                                       int64_t t_ms, bool learning);

/* The alert's own timer: `for` has passed while pending, or clear_after while clearing, or it has
 * stood for escalate_after. INT64_MAX: none. */
int64_t alert_deadline(const struct alert *a, const struct detector_config *rule);
enum alert_transition alert_on_timer(struct alert *a, const struct detector_config *rule,
                                     int64_t t_ms);

/* An open alert loses its rule: CLEAR. */
enum alert_transition alert_withdraw(struct alert *a, int64_t t_ms);

/* When cool-down ends; INT64_MIN where the alert is not cooling down. */
int64_t alert_cool_ms(const struct alert *a, const struct detector_config *rule);

/* How bad it is now: LEARNING while it has only been told of a series that is too new. Else what
 * its rule says, a step more when the score was far beyond the threshold, one more after
 * escalate_after, and one after four times that, unless somebody has acknowledged it. Steps end at
 * MAJOR, and INFO has none. */
enum severity alert_severity(const struct alert *a, const struct detector_config *rule);

/* It was told of, and is over: what is known of it is as of then. */
bool alert_is_past(const struct alert *a);

/* Raised and not cleared: the world has been told of it. */
bool alert_is_open(const struct alert *a);

/* Neither quiet nor cooling down: there is, or may soon be, something to tell. */
bool alert_is_live(const struct alert *a);

/* Not live, cool-down has passed, it is not shelved, and has not been raised or cleared for an
 * hour, nor been told of for the rule's keep_ms: only its numbers matter any more. */
bool alert_is_over(const struct alert *a, const struct detector_config *rule, int64_t t_ms,
                   int64_t wall_ms);

/* hash(store, device, metric, rule, number): the same after every restart and replay. */
struct hash128 alert_key(struct hash_key store, struct text device, struct text metric,
                         struct text rule, uint64_t number);
void alert_id_of(struct hash128 key, char id[ALERT_ID_BYTES + 1]);

void alert_save(const struct alert *a, struct byte_writer *w);
void alert_load(struct alert *a, struct byte_reader *r);

#endif
