/* The gateway's own alerts about pressure: that the lag has grown for too long, which the journal
 * says, and that something has been left out for longer than allowed. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

void engine_on_lag(struct engine *e, const struct record *record)
{
    e->lag_ms = record->count < (uint64_t)TIME_MS_MAX ? (int64_t)record->count : TIME_MS_MAX;
    (void)engine_on_own(e, ENGINE_OWN_LAG, (double)e->lag_ms / 1000,
                        (double)e->config->lag_grows_for_ms / 1000, e->lag_ms > 0);
}

void engine_on_shed(struct engine *e, const struct record *record)
{
    struct shed_state *s = &e->shed;
    if (record->count >= SHED_LEVELS)
        return; /* of a newer Weir */
    if (s->level == SHED_NORMAL) {
        s->since_ms = record->t_ms;
        s->due_ms = e->config->shed_for_ms > 0 ? s->since_ms + e->config->shed_for_ms : INT64_MAX;
    }
    s->level = (enum shed_level)record->count;
    if (s->level == SHED_NORMAL) {
        s->due_ms = INT64_MAX;
        (void)engine_on_own(e, ENGINE_OWN_SHED, (double)(record->t_ms - s->since_ms) / 1000,
                            (double)e->config->shed_for_ms / 1000, false);
    }
    engine_arm_own(e);
}

int64_t engine_shed_deadline(const struct engine *e)
{
    return e->shed.due_ms;
}

void engine_fire_shed(struct engine *e)
{
    struct shed_state *s = &e->shed;
    assert(s->level != SHED_NORMAL);
    bool told = engine_on_own(e, ENGINE_OWN_SHED, (double)(e->t_ms - s->since_ms) / 1000,
                              (double)e->config->shed_for_ms / 1000, true);
    s->due_ms = told ? INT64_MAX : e->t_ms + ENGINE_ALERTS_AGAIN_MS;
}
