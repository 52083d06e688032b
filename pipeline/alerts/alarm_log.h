/* alarm_log: how many alerts people were called for, hour by hour, and how long at a rate that
 * nobody can follow; what `weir alerts report` goes by.
 *
 * An hour is one of pipeline time: the gateway's standstill is nobody's quiet hour. Of fixed size;
 * the oldest hour makes room for the newest. */
#ifndef PIPELINE_ALERTS_ALARM_LOG_H
#define PIPELINE_ALERTS_ALARM_LOG_H

#include <stdint.h>

#include "pipeline/alerts/severity.h"
#include "pipeline/bytes.h"

enum { ALARM_LOG_HOURS = 48 };

static const int64_t ALARM_LOG_HOUR_MS = 3600000;

struct alarm_hour {
    uint32_t raised;    /* alerts, learning ones left out */
    uint32_t learning;  /* of series that were too new */
    uint32_t of_severity[SEVERITIES]; /* `raised`, as they were told first */
    uint32_t flood_ms;  /* of it, in which more came than anybody can follow */
};

struct alarm_log {
    struct alarm_hour hours[ALARM_LOG_HOURS]; /* a ring by hour number */
    int64_t hour; /* the newest: t / ALARM_LOG_HOUR_MS */
};

/* A raise at t, which does not go back; LEARNING is counted apart. */
void alarm_log_raise(struct alarm_log *log, int64_t t_ms, enum severity severity);

/* It was a flood from..to; what is older than the log is left out. */
void alarm_log_flood(struct alarm_log *log, int64_t from_ms, int64_t to_ms);

/* All hours from the one of `from_ms` on, added up, and in *busiest the most raised in one. */
struct alarm_hour alarm_log_sum(const struct alarm_log *log, int64_t from_ms, uint32_t *busiest);

/* A series' alerts of the day that runs and of the one before; days are of pipeline time too. */
struct alarm_days {
    uint16_t day; /* t / 24 h, of `today`; wraps in 179 years */
    uint16_t today, before; /* stay at UINT16_MAX */
};

/* One more at t; returns today's, with it. */
uint32_t alarm_days_add(struct alarm_days *days, int64_t t_ms);
/* Of both days, seen from t. */
uint32_t alarm_days_sum(const struct alarm_days *days, int64_t t_ms);
/* When the earlier of the two began, seen from t. */
int64_t alarm_days_from(int64_t t_ms);

void alarm_log_save(const struct alarm_log *log, struct byte_writer *w);
void alarm_log_load(struct alarm_log *log, struct byte_reader *r);

#endif
