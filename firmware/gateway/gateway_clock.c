/* gateway_clock: pipeline time, the timers that are due, and what the wall clock says.
 * Pipeline time runs while the gateway runs and stands still while it is down. */
#include <assert.h>
#include <stdio.h>

#include "firmware/gateway/gateway_state.h"

enum {
    CLOCK_DRIFT_MS = 50, /* the offset is journalled anew when it is off by more */
    CLOCK_STEP_MS = 1000 /* more than this is a step, told to people */
};

static bool may_fire(const struct gateway *g)
{
    return fill_has_step_room(g, g->filling) && gateway_has_steps(g);
}

static void fire_due(struct gateway *g)
{
    uint64_t fired = 0;
    while (engine_deadline(g->engine, g->t_ms) <= g->t_ms && may_fire(g)) {
        engine_fire(g->engine, &g->out);
        fired++;
    }
    g->timers_behind = engine_deadline(g->engine, g->t_ms) <= g->t_ms;
    if (g->timers_behind && gateway_has_steps(g)) /* it is room that they wait for */
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
    fill_notice(g, "clock_step", &(struct notice){ message, NULL, &fact, 1 });
}

/* A synced clock is believed. Any other is a guess, and of no use when it leads back behind the
 * last time stored, or the build: then it is unset, and after clock.wait the time goes on from
 * there. */
static struct clock_record read_wall_clock(const struct gateway *g)
{
    struct clock_record seen = {
        .offset_ms = g->now.wall_ms - g->t_ms,
        .state = g->now.state,
        .boot = g->now.boot,
    };
    int64_t behind_ms = g->clock.offset_ms - seen.offset_ms;
    bool follows = g->clock_known && g->clock.state != CLOCK_UNSET && behind_ms < CLOCK_DRIFT_MS;
    if (seen.state == CLOCK_SYNCED || (seen.state == CLOCK_COARSE && behind_ms <= 0))
        return seen;
    if (seen.state == CLOCK_COARSE && follows) { /* two clocks cut to milliseconds tremble */
        seen.offset_ms = g->clock.offset_ms;
        return seen;
    }
    bool waited = g->t_ms - g->started_ms >= g->config->clock_wait_ms;
    seen.state = waited ? CLOCK_COARSE : CLOCK_UNSET;
    seen.offset_ms = g->clock.offset_ms;
    return seen;
}

/* Before the first record the last known is the floor, which a restart only ever leaves behind. */
static bool is_step(const struct gateway *g, const struct clock_record *seen, int64_t moved_ms)
{
    bool same_run = g->clock_known && seen->boot == g->clock.boot && g->clock.state != CLOCK_UNSET;
    return moved_ms <= -CLOCK_STEP_MS || (same_run && moved_ms >= CLOCK_STEP_MS);
}

static void follow_wall_clock(struct gateway *g)
{
    struct clock_record seen = read_wall_clock(g);
    int64_t moved = seen.offset_ms - g->clock.offset_ms;
    bool same = g->clock_known && seen.state == g->clock.state && seen.boot == g->clock.boot &&
                moved < CLOCK_DRIFT_MS && moved > -CLOCK_DRIFT_MS;
    if (same || !fill_has_step_room(g, g->filling))
        return;
    bool stepped = is_step(g, &seen, moved);
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
    g->steps_from = engine_steps(g->engine);
    fire_due(g);
    follow_wall_clock(g);
}

/* While the clock is unset nothing is taken, and so nothing acknowledged: a reading without a time
 * of its own would otherwise be given a wrong one for ever. */
bool clock_usable(const struct gateway *g)
{
    return g->clock_known && g->clock.state != CLOCK_UNSET;
}
