/* Alerts that outlived their rule: it is gone from the configuration, or watches their series no
 * more, so nothing can clear them but this. Only a load finds them. They are told when the journal
 * says that the configuration under which they were found is in force, one at a time as timers are,
 * so that a rebuild knows how many have been. */
#include <assert.h>
#include <string.h>

#include "pipeline/engine/engine_state.h"

struct withdrawn *engine_withdraw(struct engine *e, uint32_t device)
{
    if (e->withdrawn_count == ENGINE_WITHDRAWN_MAX)
        return NULL;
    e->counts.alerts_open++;
    e->devices[device].alerts_open++;
    e->withdraw_ms = INT64_MAX;
    return &e->withdrawn[e->withdrawn_count++];
}

void engine_on_config(struct engine *e, const struct record *record)
{
    bool present = record->digest.bytes == sizeof e->config->digest &&
                   memcmp(record->digest.at, e->config->digest, record->digest.bytes) == 0;
    if (!present || e->withdrawn_count == 0 || e->withdraw_ms != INT64_MAX)
        return;
    e->withdraw_ms = record->t_ms;
    engine_arm_own(e);
}

int64_t engine_withdraw_deadline(const struct engine *e)
{
    assert(e->withdrawn_count > 0 || e->withdraw_ms == INT64_MAX);
    return e->withdraw_ms;
}

/* The one that was found last goes first: none has to move. */
void engine_fire_withdrawn(struct engine *e)
{
    assert(e->withdrawn_count > 0);
    engine_clear_withdrawn(e, &e->withdrawn[--e->withdrawn_count]);
    if (e->withdrawn_count == 0)
        e->withdraw_ms = INT64_MAX;
}
