/* health: what a gateway's view amounts to: one word and why, for people, and whether an alert is
 * open that should be heard. Pure: it only looks. */
#ifndef FIRMWARE_HEALTH_H
#define FIRMWARE_HEALTH_H

#include "firmware/gateway/gateway.h"

enum health_state { HEALTH_GOOD, HEALTH_DEGRADED, HEALTH_FAILED };

enum { HEALTH_REASONS_MAX = 12, HEALTH_LAG_MS = 30000 };

struct health {
    enum health_state state;
    uint32_t count;
    const char *reasons[HEALTH_REASONS_MAX]; /* names, as in `weir status` */
};

struct health health_of(const struct config *config, const struct gateway_view *view);
/* One more reason, where it is given. */
void health_add(struct health *h, bool given, enum health_state state, const char *reason);
const char *health_name(enum health_state state);

/* Whether readings are taken now, as far as it is ours to say: NULL, or why not. */
const char *health_unready(const struct gateway_view *view);

/* Whether an alert at least so bad is open: raised, and not shelved by a person. One that is still
 * learning counts as info. O(series). */
bool health_alarm(const struct gateway_view *view, enum severity least);

#endif
