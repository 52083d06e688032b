#include "pipeline/alerts/alarm_log.h"

#include <assert.h>

static struct alarm_hour *hour_of(struct alarm_log *log, int64_t hour)
{
    return &log->hours[hour % ALARM_LOG_HOURS];
}

static void roll_to(struct alarm_log *log, int64_t t_ms)
{
    int64_t hour = t_ms / ALARM_LOG_HOUR_MS;
    assert(t_ms >= 0 && hour >= log->hour);
    if (hour - log->hour > ALARM_LOG_HOURS)
        log->hour = hour - ALARM_LOG_HOURS;
    while (log->hour < hour)
        *hour_of(log, ++log->hour) = (struct alarm_hour){ .raised = 0 };
}

void alarm_log_raise(struct alarm_log *log, int64_t t_ms, enum severity severity)
{
    roll_to(log, t_ms);
    struct alarm_hour *hour = hour_of(log, log->hour);
    if (severity == SEVERITY_LEARNING) {
        hour->learning++;
        return;
    }
    assert(severity >= SEVERITY_INFO && severity < SEVERITIES);
    hour->raised++;
    hour->of_severity[severity]++;
}

static int64_t first_hour(const struct alarm_log *log)
{
    return log->hour < ALARM_LOG_HOURS ? 0 : log->hour - ALARM_LOG_HOURS + 1;
}

void alarm_log_flood(struct alarm_log *log, int64_t from_ms, int64_t to_ms)
{
    assert(from_ms <= to_ms);
    roll_to(log, to_ms);
    int64_t hour = from_ms / ALARM_LOG_HOUR_MS;
    if (hour < first_hour(log)) {
        hour = first_hour(log);
        from_ms = hour * ALARM_LOG_HOUR_MS;
    }
    for (; hour <= log->hour; hour++) {
        int64_t end_ms = (hour + 1) * ALARM_LOG_HOUR_MS;
        int64_t until_ms = end_ms < to_ms ? end_ms : to_ms;
        hour_of(log, hour)->flood_ms += (uint32_t)(until_ms - from_ms);
        from_ms = until_ms;
    }
}

struct alarm_hour alarm_log_sum(const struct alarm_log *log, int64_t from_ms, uint32_t *busiest)
{
    struct alarm_hour sum = { .raised = 0 };
    int64_t hour = from_ms / ALARM_LOG_HOUR_MS;
    *busiest = 0;
    for (hour = hour > first_hour(log) ? hour : first_hour(log); hour <= log->hour; hour++) {
        const struct alarm_hour *h = &log->hours[hour % ALARM_LOG_HOURS];
        sum.raised += h->raised;
        sum.learning += h->learning;
        for (int i = 0; i < SEVERITIES; i++)
            sum.of_severity[i] += h->of_severity[i];
        sum.flood_ms += h->flood_ms;
        *busiest = h->raised > *busiest ? h->raised : *busiest;
    }
    return sum;
}

/* --- days of one series --- */

static const int64_t DAY_MS = 24 * ALARM_LOG_HOUR_MS;

static struct alarm_days seen_from(struct alarm_days days, int64_t t_ms)
{
    uint16_t day = (uint16_t)(t_ms / DAY_MS), passed = (uint16_t)(day - days.day);
    if (passed == 0)
        return days;
    return (struct alarm_days){ .day = day, .before = passed == 1 ? days.today : 0 };
}

uint32_t alarm_days_add(struct alarm_days *days, int64_t t_ms)
{
    *days = seen_from(*days, t_ms);
    days->today = (uint16_t)(days->today + (days->today < UINT16_MAX));
    return days->today;
}

uint32_t alarm_days_sum(const struct alarm_days *days, int64_t t_ms)
{
    struct alarm_days now = seen_from(*days, t_ms);
    return (uint32_t)now.today + now.before;
}

int64_t alarm_days_from(int64_t t_ms)
{
    int64_t day = t_ms / DAY_MS;
    return day > 0 ? (day - 1) * DAY_MS : 0;
}

/* --- keeping --- */

void alarm_log_save(const struct alarm_log *log, struct byte_writer *w)
{
    put_i64(w, log->hour);
    for (int i = 0; i < ALARM_LOG_HOURS; i++) {
        const struct alarm_hour *h = &log->hours[i];
        put_u32(w, h->raised);
        put_u32(w, h->learning);
        for (int s = 0; s < SEVERITIES; s++)
            put_u32(w, h->of_severity[s]);
        put_u32(w, h->flood_ms);
    }
}

void alarm_log_load(struct alarm_log *log, struct byte_reader *r)
{
    log->hour = get_time(r);
    if (log->hour < 0)
        r->failed = true;
    for (int i = 0; i < ALARM_LOG_HOURS; i++) {
        struct alarm_hour *h = &log->hours[i];
        h->raised = get_u32(r);
        h->learning = get_u32(r);
        for (int s = 0; s < SEVERITIES; s++)
            h->of_severity[s] = get_u32(r);
        h->flood_ms = get_u32(r);
        if (h->flood_ms > ALARM_LOG_HOUR_MS)
            r->failed = true;
    }
}
