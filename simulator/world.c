#include "simulator/world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/world_state.h"

enum { TURNS_OF_FAULTS = 220, TURNS_TO_HEAL_MAX = 4000, CALM_TURNS = 20, SKEW_MS = 400000 };

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

static void source_step(struct world *w, uint32_t source)
{
    struct world_devices *d = &w->devices;
    if (d->broken[source]) {
        d->broken[source] = false;
        gateway_on_source(w->gateway, source, false);
    }
    if (!d->connected[source] && (w->healing || world_chance(w, 4))) {
        d->connected[source] = true;
        gateway_on_source(w->gateway, source, true);
    }
    devices_deliver(w, source);
    if (w->dead || w->healing || !d->connected[source] || !world_chance(w, 100))
        return;
    WORLD_COUNT(w, BROKER_LOST);
    devices_disconnect(w, source);
    gateway_on_source(w->gateway, source, false);
}

static void brokers_step(struct world *w)
{
    uint32_t first = chance_below(&w->chance, WORLD_SOURCES);
    devices_slow_down(w);
    devices_publish(w);
    for (uint32_t i = 0; i < WORLD_SOURCES && !w->dead; i++)
        source_step(w, (first + i) % WORLD_SOURCES);
}

static void one_turn(struct world *w)
{
    enum shed_level shed = gateway_view(w->gateway).shed;
    plan_death(w);
    clock_pass(w);
    w->disk_bad -= w->disk_bad > 0;
    w->outcome.turns++;
    gateway_begin_turn(w->gateway, clock_now(w));
    if (world_dies(w, WORLD_KILLED_AFTER_BEGIN_TURN))
        return;
    bool cloud_first = world_chance(w, 2);
    if (cloud_first)
        cloud_step(w);
    if (!w->dead && w->job != NULL)
        world_finish_job(w);
    if (!w->dead)
        people_step(w);
    if (!w->dead)
        brokers_step(w);
    if (!w->dead && !cloud_first)
        cloud_step(w);
    if (!w->dead)
        gateway_end_turn(w->gateway);
    if (!w->dead && gateway_view(w->gateway).shed != shed)
        WORLD_COUNT(w, SHED_LEVEL_CHANGED);
    if (!w->dead && gateway_view(w->gateway).shed == SHED_QOS0)
        WORLD_COUNT(w, SHED_LEVEL_HIGHEST);
    (void)world_dies(w, WORLD_KILLED_AFTER_END_TURN);
    if (!w->dead && gateway_failed(w->gateway)) {
        WORLD_COUNT(w, OUTAGE_OF_THE_STORE);
        w->dead = true;
    }
}

static void die_and_come_back(struct world *w)
{
    world_bury(w);
    world_start(w);
}

/* Told to stop while everything else goes wrong; it may die before it is through. */
static void stop_and_start(struct world *w)
{
    gateway_begin_stop(w->gateway);
    for (int turn = 0; turn < 60 && !w->dead && !world_broken(w); turn++) {
        one_turn(w);
        if (w->dead || !gateway_idle(w->gateway))
            continue;
        WORLD_COUNT(w, STOPPED_AMID_FAULTS);
        world_leave(w);
        world_start(w);
        return;
    }
    if (!world_broken(w))
        die_and_come_back(w);
}

static void live(struct world *w)
{
    for (int turn = 0; turn < TURNS_OF_FAULTS && !world_broken(w); turn++) {
        one_turn(w);
        if (w->dead)
            die_and_come_back(w);
        else if (world_chance(w, 150))
            stop_and_start(w);
    }
}

static bool all_is_well(const struct world *w)
{
    struct gateway_view view = gateway_view(w->gateway);
    return devices_quiet(w) && cloud_has_all(w) && view.pending == 0 && w->job == NULL &&
           view.shed == SHED_NORMAL;
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
    world_break(w, "%s: no rest %d turns after the faults ended: messages %s, shed level %d, "
                "lanes%s", view.shed == SHED_NORMAL ? "E1/E2" : "E5", TURNS_TO_HEAL_MAX,
                devices_quiet(w) ? "done" : "waiting", (int)view.shed, lanes);
}

static void come_to_rest(struct world *w)
{
    int calm = 0; /* for longer than windows wait for more readings */
    for (int turn = 0; turn < TURNS_TO_HEAL_MAX && !world_broken(w) && calm <= CALM_TURNS; turn++) {
        one_turn(w);
        if (w->dead)
            die_and_come_back(w);
        calm = !world_broken(w) && all_is_well(w) ? calm + 1 : 0;
    }
    if (calm > CALM_TURNS)
        return;
    if (!world_broken(w))
        tell_unrest(w);
}

/* Also of devices whose clocks were ahead all windows are over then. */
static void heal(struct world *w)
{
    w->healing = true;
    w->death_countdown = 0;
    come_to_rest(w);
    w->true_ms += SKEW_MS;
    w->mono_ms += SKEW_MS;
    if (!world_broken(w))
        come_to_rest(w);
}

static void stop(struct world *w)
{
    gateway_begin_stop(w->gateway);
    for (int turn = 0; turn < 200 && !world_broken(w) && !gateway_idle(w->gateway); turn++) {
        w->mono_ms += 10;
        w->true_ms += 10;
        gateway_begin_turn(w->gateway, clock_now(w));
        if (w->job != NULL)
            world_finish_job(w);
        gateway_end_turn(w->gateway);
        if (world_chance(w, 8)) { /* impatient: killed while it stops, and started again */
            WORLD_COUNT(w, KILLED_WHILE_STOPPING);
            die_and_come_back(w);
            if (!world_broken(w))
                heal(w);
            if (!world_broken(w))
                gateway_begin_stop(w->gateway);
        }
    }
    if (!world_broken(w) && !gateway_idle(w->gateway))
        world_break(w, "E2: the gateway does not come to rest when told to stop");
    WORLD_COUNT(w, STOPPED_IN_ORDER);
}

struct world_outcome world_run(uint64_t seed, bool trace)
{
    struct world *w = calloc(1, sizeof *w);
    assert(w != NULL);
    w->seed = seed;
    w->chance = chance_branch(seed, 1);
    w->pressure_chance = chance_branch(seed, 6);
    w->maintenance_chance = chance_branch(seed, 8);
    w->trace = trace;
    w->true_ms = 1790000000000;
    world_start(w);
    if (!world_broken(w))
        live(w);
    if (!world_broken(w))
        heal(w);
    if (!world_broken(w))
        check_finally(w);
    if (!world_broken(w))
        stop(w);
    if (!world_broken(w)) {
        world_leave(w);
        world_start(w); /* and all that holds at every restart is looked at once more */
    }
    world_end(w);
    struct world_outcome outcome = w->outcome;
    outcome.passed = outcome.broken[0] == '\0';
    free(w);
    return outcome;
}
