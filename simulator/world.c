#include "simulator/world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/world_state.h"

enum { TURNS_OF_FAULTS = 220, TURNS_TO_HEAL_MAX = 4000, HEAL_STEP_MS = 400 };

const char *world_event_name(enum world_event event)
{
    static const char *const names[] = {
#define X(name, text) text,
        WORLD_EVENTS(X)
#undef X
    };
    assert(event < WORLD_EVENT_COUNT);
    return names[event];
}

void world_break(struct world *w, const char *format, ...)
{
    va_list args;
    if (w->outcome.broken[0] != '\0')
        return; /* the first one is the cause */
    va_start(args, format);
    (void)vsnprintf(w->outcome.broken, sizeof w->outcome.broken, format, args);
    va_end(args);
}

/* Each death is planned as "the n-th time that this step is reached"; from there on no port does
 * anything, which is what a kill at that point looks like from outside. */
bool world_dies(struct world *w, enum world_event step)
{
    if (w->dead)
        return true;
    if (w->death_countdown == 0 || w->death != step || --w->death_countdown > 0)
        return false;
    w->outcome.events[step]++;
    w->dead = true;
    if (w->trace)
        printf("  dies: %s\n", world_event_name(step));
    return true;
}

static void plan_death(struct world *w)
{
    static const enum world_event steps[] = {
        WORLD_KILLED_AFTER_BEGIN_TURN, WORLD_KILLED_AFTER_MESSAGE,      WORLD_KILLED_BEFORE_COMMIT,
        WORLD_KILLED_AFTER_COMMIT,     WORLD_KILLED_AT_ACKNOWLEDGEMENT, WORLD_KILLED_AT_SEND,
        WORLD_KILLED_AFTER_END_TURN,
    };
    if (w->healing || w->death_countdown > 0 || !world_chance(w, 40))
        return;
    w->death = steps[chance_below(&w->chance, sizeof steps / sizeof steps[0])];
    w->death_countdown = 1 + chance_below(&w->chance, 5);
}

static void pass_time(struct world *w)
{
    int64_t ms = w->healing ? HEAL_STEP_MS : 1 + chance_below(&w->chance, 300);
    if (!w->healing && world_chance(w, 25))
        ms += chance_below(&w->chance, 20000); /* long enough for idle windows and cool-downs */
    w->mono_ms += ms;
    w->wall_ms += ms;
    if (!w->healing && world_chance(w, 150)) {
        w->wall_ms += (int64_t)chance_below(&w->chance, 20000) - 10000;
        WORLD_COUNT(w, CLOCK_STEPPED);
    }
}

static struct hal_time time_of(const struct world *w)
{
    return (struct hal_time){
        .mono_ms = w->mono_ms, .wall_ms = w->wall_ms, .state = CLOCK_SYNCED, .boot = w->boot
    };
}

static void broker_step(struct world *w)
{
    struct world_devices *d = &w->devices;
    devices_publish(w);
    if (!d->connected) {
        if (w->healing || world_chance(w, 4)) {
            d->connected = true;
            gateway_on_source(w->gateway, w->source, true);
        }
        return;
    }
    devices_deliver(w);
    if (!w->dead && !w->healing && world_chance(w, 50)) {
        WORLD_COUNT(w, BROKER_LOST);
        devices_disconnect(w);
        gateway_on_source(w->gateway, w->source, false);
    }
}

static void one_turn(struct world *w)
{
    enum shed_level shed = gateway_view(w->gateway).shed;
    plan_death(w);
    pass_time(w);
    w->outcome.turns++;
    gateway_begin_turn(w->gateway, time_of(w));
    if (world_dies(w, WORLD_KILLED_AFTER_BEGIN_TURN))
        return;
    bool cloud_first = world_chance(w, 2);
    if (cloud_first)
        cloud_step(w);
    if (!w->dead && w->job != NULL)
        world_finish_job(w);
    if (!w->dead)
        broker_step(w);
    if (!w->dead && !cloud_first)
        cloud_step(w);
    if (!w->dead)
        gateway_end_turn(w->gateway);
    if (!w->dead && gateway_view(w->gateway).shed != shed)
        WORLD_COUNT(w, SHED_LEVEL_CHANGED);
    (void)world_dies(w, WORLD_KILLED_AFTER_END_TURN);
    if (!w->dead && gateway_failed(w->gateway)) {
        WORLD_COUNT(w, OUTAGE_OF_THE_STORE);
        w->dead = true;
    }
}

static bool broken(const struct world *w)
{
    return w->outcome.broken[0] != '\0';
}

static void die_and_come_back(struct world *w)
{
    world_bury(w);
    world_start(w);
}

static void live(struct world *w)
{
    for (int turn = 0; turn < TURNS_OF_FAULTS && !broken(w); turn++) {
        one_turn(w);
        if (w->dead)
            die_and_come_back(w);
    }
}

static bool all_is_well(const struct world *w)
{
    struct gateway_view view = gateway_view(w->gateway);
    return devices_quiet(w) && cloud_has_all(w) && view.pending == 0 && w->job == NULL;
}

static void tell_unrest(struct world *w)
{
    struct gateway_view view = gateway_view(w->gateway);
    char lanes[160] = "";
    for (int lane = 0; lane < LANES; lane++) {
        size_t used = strlen(lanes);
        (void)snprintf(lanes + used, sizeof lanes - used, " %d:next=%llu,covered=%llu,has=%llu",
                       lane,
                       (unsigned long long)view.lanes[lane].next_sequence,
                       (unsigned long long)view.lanes[lane].covered,
                       (unsigned long long)w->cloud.contiguous[lane]);
    }
    world_break(w, "E1/E2: no rest %d turns after the faults ended: messages %s, lanes%s",
                TURNS_TO_HEAL_MAX, devices_quiet(w) ? "done" : "waiting", lanes);
}

static void heal(struct world *w)
{
    w->healing = true;
    w->death_countdown = 0;
    for (int turn = 0; turn < TURNS_TO_HEAL_MAX && !broken(w); turn++) {
        one_turn(w);
        if (w->dead)
            die_and_come_back(w);
        if (!broken(w) && turn > 20 && all_is_well(w))
            return;
    }
    if (!broken(w))
        tell_unrest(w);
}

static void stop(struct world *w)
{
    gateway_begin_stop(w->gateway);
    for (int turn = 0; turn < 200 && !broken(w) && !gateway_idle(w->gateway); turn++) {
        w->mono_ms += 10;
        w->wall_ms += 10;
        gateway_begin_turn(w->gateway, time_of(w));
        if (w->job != NULL)
            world_finish_job(w);
        gateway_end_turn(w->gateway);
        if (world_chance(w, 8)) { /* impatient: killed while it stops, and started again */
            WORLD_COUNT(w, KILLED_WHILE_STOPPING);
            die_and_come_back(w);
            if (!broken(w))
                heal(w);
            if (!broken(w))
                gateway_begin_stop(w->gateway);
        }
    }
    if (!broken(w) && !gateway_idle(w->gateway))
        world_break(w, "E2: the gateway does not come to rest when told to stop");
    WORLD_COUNT(w, STOPPED_IN_ORDER);
}

struct world_outcome world_run(uint64_t seed, bool trace)
{
    struct world *w = calloc(1, sizeof *w);
    assert(w != NULL);
    w->seed = seed;
    w->chance = chance_branch(seed, 1);
    w->trace = trace;
    w->wall_ms = 1790000000000;
    world_start(w);
    if (!broken(w))
        live(w);
    if (!broken(w))
        heal(w);
    if (!broken(w))
        stop(w);
    if (!broken(w))
        check_finally(w);
    world_end(w);
    struct world_outcome outcome = w->outcome;
    outcome.passed = outcome.broken[0] == '\0';
    free(w);
    return outcome;
}
