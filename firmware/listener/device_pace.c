/* device_pace: how many messages a second are taken of a connection, and of all. Who sends more is
 * not read until it may go on: at QoS 1 and 2 nothing is dropped for it, and no other waits. */
#include "firmware/listener/listener_state.h"

enum { SECOND_US = 1000000 };

static int64_t now_us(const struct listener *l)
{
    return l->now_ms * 1000;
}

static bool in_time(const struct listener *l, const struct pace *pace, uint32_t rate)
{
    return rate == 0 || pace->next_us < now_us(l) + SECOND_US;
}

static void count(const struct listener *l, struct pace *pace, uint32_t rate)
{
    if (rate == 0)
        return;
    if (pace->next_us < now_us(l))
        pace->next_us = now_us(l);
    pace->next_us += SECOND_US / rate;
}

bool device_in_time(const struct listener *l, const struct device *d)
{
    const struct config_source *source = l->config.source;
    return in_time(l, &d->pace, source->rate_of_one) && in_time(l, &l->pace, source->rate_max);
}

void device_count(struct listener *l, struct device *d)
{
    count(l, &d->pace, l->config.source->rate_of_one);
    count(l, &l->pace, l->config.source->rate_max);
}
