/* hal_sim: a machine that does what a test told it, and remembers what was done to it. Time moves
 * only by hal_sim_pass, which is also when an unfed watchdog resets the machine. */
#ifndef HAL_SIM_HAL_SIM_H
#define HAL_SIM_HAL_SIM_H

#include "hal/hal.h"

struct hal_sim { /* the test sets and reads all of it; zero is a machine with nothing in it */
    struct hal_time now;
    uint64_t chance; /* where entropy comes from */
    bool there[HAL_PARTS];
    int broken;      /* what calls to parts that are there return; 0: they work */

    uint32_t watchdog_most_s; /* it can't count further; 0: no limit */
    bool watchdog_running;
    uint32_t watchdog_s;
    int64_t fed_mono_ms;
    uint32_t starts, feeds, stops;
    int64_t reset_mono_ms;    /* when the watchdog reset the machine; 0: it did not */

    enum led_pattern led;
    uint32_t led_changes;
    enum hal_press press; /* told once */
    bool relay;
    uint32_t relay_changes;

    int32_t milli_celsius;
    bool supply_low;
    struct hal_memory memory;
    struct hal_storage storage;
    char id[HAL_ID_BYTES];
    enum reset_reason reason;
};

struct hal hal_sim(struct hal_sim *sim);

/* Time passes, on both clocks. */
void hal_sim_pass(struct hal_sim *sim, int64_t span_ms);

#endif
