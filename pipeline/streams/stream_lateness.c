/* How late readings are, and whether a stream's lateness suits them. */
#include "pipeline/streams/streams.h"

enum { ENOUGH = 1000 }; /* readings, to say anything */

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    ((int64_t)24 * HOUR)

const int64_t stream_delays_ms[STREAM_DELAYS] = {
    0,           100,         200,         500,         1 * SECOND,  2 * SECOND,
    5 * SECOND,  10 * SECOND, 15 * SECOND, 30 * SECOND, 1 * MINUTE,  2 * MINUTE,
    5 * MINUTE,  10 * MINUTE, 15 * MINUTE, 30 * MINUTE, 1 * HOUR,    2 * HOUR,
    6 * HOUR,    12 * HOUR,   1 * DAY,     3 * DAY,     7 * DAY,     30 * DAY,
};

static uint64_t all_of(const struct stream_counts *counts)
{
    uint64_t all = 0;
    for (int i = 0; i <= STREAM_DELAYS; i++)
        all += counts->delays[i];
    return all;
}

int64_t stream_lateness_for(const struct stream_counts *counts, double missed)
{
    uint64_t all = all_of(counts), within = 0;
    for (int i = 0; i < STREAM_DELAYS; i++) {
        within += counts->delays[i];
        if ((double)(all - within) <= missed * (double)all)
            return stream_delays_ms[i];
    }
    return INT64_MAX;
}

enum stream_hint stream_hint_of(const struct stream_plan *plan, const struct stream_counts *counts)
{
    uint64_t all = all_of(counts), missed = counts->late + counts->late_partly;
    int64_t wanted_ms = stream_lateness_for(counts, 0.001);
    int64_t whole_ms = stream_lateness_for(counts, 0);
    if (all < ENOUGH)
        return STREAM_HINT_NONE;
    if ((double)missed > 0.001 * (double)all)
        return wanted_ms > plan->config->lateness_ms ? STREAM_HINT_TIGHT : STREAM_HINT_NONE;
    bool is_long = whole_ms <= plan->config->lateness_ms / 2;
    return is_long && plan->config->lateness_ms > 0 ? STREAM_HINT_LONG : STREAM_HINT_NONE;
}
