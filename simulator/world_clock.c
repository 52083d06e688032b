/* world_clock: how time passes, and what the machine's clock says of it. The machine has no battery
 * for its clock: after a power cut it is behind, and for a while nobody vouches for it. */
#include "simulator/world_state.h"

enum { HEAL_STEP_MS = 400, DAY_MS = 86400000, CLOCK_BEGINS_MS = 1000 };

static void set_state(struct world *w, enum clock_state state, int64_t error_ms)
{
    w->clock = state;
    w->clock_error_ms = error_ms;
    if (state == CLOCK_UNSET)
        WORLD_COUNT(w, CLOCK_UNSET);
    if (state == CLOCK_COARSE)
        WORLD_COUNT(w, CLOCK_COARSE);
}

/* The machine starts: its monotonic clock begins again. */
void clock_boot(struct world *w)
{
    w->boot++;
    w->mono_ms = CLOCK_BEGINS_MS;
    switch (chance_below(&w->chance, 4)) {
    case 0:
        set_state(w, CLOCK_UNSET, -DAY_MS);
        break;
    case 1:
        set_state(w, CLOCK_COARSE, -(int64_t)chance_below(&w->chance, 60000));
        break;
    default:
        set_state(w, CLOCK_SYNCED, 0);
        break;
    }
}

static void follow_network(struct world *w)
{
    if (w->clock != CLOCK_SYNCED) {
        if (world_chance(w, w->healing ? 5 : 20))
            set_state(w, CLOCK_SYNCED, 0);
        return;
    }
    if (w->healing || !world_chance(w, 150))
        return;
    w->clock_error_ms = (int64_t)chance_below(&w->chance, 20000) - 10000;
    WORLD_COUNT(w, CLOCK_STEPPED);
}

void clock_pass(struct world *w)
{
    int64_t ms = w->healing ? HEAL_STEP_MS : 1 + chance_below(&w->chance, 300);
    if (!w->healing && world_chance(w, 25))
        ms += chance_below(&w->chance, 20000); /* long enough for idle windows and cool-downs */
    w->true_ms += ms;
    w->mono_ms += ms;
    follow_network(w);
}

struct hal_time clock_now(const struct world *w)
{
    return (struct hal_time){
        .mono_ms = w->mono_ms, .wall_ms = world_wall_ms(w), .state = w->clock, .boot = w->boot
    };
}
