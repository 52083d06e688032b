/* gateway_clock: pipeline time, the timers that are due, and what the wall clock says.
 * Pipeline time runs while the gateway runs and stands still while it is down. */
#include <assert.h>
#include <stdio.h>

#include "firmware/gateway_state.h"

enum {
    CLOCK_DRIFT_MS = 50, /* the offset is journalled anew when it is off by more */
    CLOCK_STEP_MS = 1000 /* more than this is a step, told to people */
};

static void fire_due(struct gateway *g)
{
    uint64_t fired = 0;
    while (engine_deadline(g->engine) <= g->t_ms && fill_has_step_room(g, g->filling)) {
        engine_fire(g->engine, &g->out);
        fired++;
    }
    g->timers_behind = engine_deadline(g->engine) <= g->t_ms;
    if (g->timers_behind)
        g->filling->urgent = true;
    if (fired == 0)
        return;
    struct record tick = { .kind = RECORD_TICK, .t_ms = g->t_ms, .count = fired };
    fill_append(g, &tick);
    tick.count = 0; /* they have fired here; the engine only learns what time it is */
    engine_apply(g->engine, &tick, &g->out);
}

static void tell_step(struct gateway *g, int64_t step_ms)
{
    char message[96];
    (void)snprintf(message, sizeof message, "the gateway's clock was stepped by %+.3f s",
                   (double)step_ms / 1000.0);
    struct envelope_fact fact = { "step_ms", (double)step_ms };
    g->clock_steps++;
    fill_notice(g, "clock_step", message, &fact, 1);
}

static void follow_wall_clock(struct gateway *g)
{
    struct clock_record seen = {
        .offset_ms = g->now.wall_ms - g->t_ms,
        .state = g->now.state,
        .boot = g->now.boot,
    };
    int64_t moved = seen.offset_ms - g->clock.offset_ms;
    bool same = g->clock_known && seen.state == g->clock.state && seen.boot == g->clock.boot &&
                moved < CLOCK_DRIFT_MS && moved > -CLOCK_DRIFT_MS;
    if (same || !fill_has_step_room(g, g->filling))
        return;
    bool stepped = g->clock_known && seen.boot == g->clock.boot && g->clock.state != CLOCK_UNSET &&
                   (moved >= CLOCK_STEP_MS || moved <= -CLOCK_STEP_MS);
    g->clock = seen;
    g->clock_known = true;
    struct record record = { .kind = RECORD_CLOCK, .t_ms = g->t_ms, .clock = seen };
    fill_append(g, &record);
    engine_apply(g->engine, &record, &g->out);
    if (stepped)
        tell_step(g, moved);
}

void clock_begin_turn(struct gateway *g, struct hal_time now)
{
    assert(now.mono_ms >= g->now.mono_ms);
    g->now = now;
    g->t_ms = g->t_base_ms + (now.mono_ms - g->mono_base_ms);
    fire_due(g);
    follow_wall_clock(g);
}

/* While the clock is unset nothing is taken, and so nothing acknowledged, until it is set or
 * clock.wait has
 * passed: a reading without a time of its own would otherwise be given a wrong one for ever. */
bool clock_usable(const struct gateway *g)
{
    if (!g->clock_known)
        return false;
    return g->clock.state != CLOCK_UNSET ||
           g->t_ms - g->clock_waited_since_ms >= g->config->clock_wait_ms;
}
