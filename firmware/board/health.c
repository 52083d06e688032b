#include "firmware/board/health.h"

#include <assert.h>

#include "pipeline/err.h"

void health_add(struct health *h, bool given, enum health_state state, const char *reason)
{
    if (!given)
        return;
    assert(h->count < HEALTH_REASONS_MAX);
    h->reasons[h->count++] = reason;
    h->state = state > h->state ? state : h->state;
}

struct health health_of(const struct config *config, const struct gateway_view *view)
{
    struct health h = { .state = HEALTH_GOOD };
    uint64_t all_sources = ((uint64_t)1 << config->source_count) - 1;
    health_add(&h, !ledger_balances(&view->ledger), HEALTH_FAILED, "ledger_unbalanced");
    health_add(&h, view->failing_with == WEIR_ENOSPC, HEALTH_FAILED, "disk_full");
    health_add(&h, view->failing_with != 0 && view->failing_with != WEIR_ENOSPC, HEALTH_FAILED,
               "store_failing");
    health_add(&h, (view->source_connected & all_sources) != all_sources, HEALTH_DEGRADED,
               "source_lost");
    health_add(&h, config->uplink.given && !view->uplink_connected, HEALTH_DEGRADED, "uplink_lost");
    health_add(&h, view->clock == CLOCK_UNSET, HEALTH_DEGRADED, "clock_unset");
    health_add(&h, view->shed != SHED_NORMAL, HEALTH_DEGRADED, "shedding");
    health_add(&h, view->pressure.of[SHED_LAG] > HEALTH_LAG_MS, HEALTH_DEGRADED, "lagging");
    return h;
}

const char *health_name(enum health_state state)
{
    static const char *const names[] = { "good", "degraded", "failed" };
    return names[state];
}

const char *health_unready(const struct gateway_view *view)
{
    if (view->stopping)
        return "stopping";
    if (view->clock == CLOCK_UNSET)
        return "clock_unset";
    if (view->failing_with == WEIR_ENOSPC)
        return "disk_full";
    return view->failing_with != 0 ? "store_failing" : NULL;
}

bool health_alarm(const struct gateway_view *view, enum severity least)
{
    struct alert_view alert;
    uint64_t cursor = 0;
    if (engine_counts(view->engine).alerts_open == 0)
        return false;
    while (engine_alert(view->engine, &cursor, &alert)) {
        const struct alert *a = alert.alert;
        enum severity severity = alert_severity(a, alert.rule);
        bool open = a->state == ALERT_RAISED || a->state == ALERT_CLEARING;
        bool kept = a->shelved_until_ms > view->wall_ms || alert.maintained;
        if (open && severity >= least && !kept)
            return true;
    }
    return false;
}
