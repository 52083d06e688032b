#include "hal/sim/hal_sim.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/err.h"
#include "pipeline/hash.h"

static int use(const struct hal_sim *sim, enum hal_part part)
{
    return sim->there[part] ? sim->broken : WEIR_ENOTFOUND;
}

static struct hal_time sim_time(void *ctx)
{
    const struct hal_sim *sim = ctx;
    return sim->now;
}

static int sim_entropy(void *ctx, void *to, uint32_t bytes)
{
    struct hal_sim *sim = ctx;
    uint8_t *at = to;
    for (uint32_t i = 0; i < bytes; i++) {
        sim->chance++;
        at[i] = (uint8_t)hash64((struct hash_key){ 1, 2 }, &sim->chance, sizeof sim->chance);
    }
    return 0;
}

/* --- watchdog --- */

static int sim_watchdog_start(void *ctx, uint32_t timeout_s, uint32_t *granted_s)
{
    struct hal_sim *sim = ctx;
    int err = use(sim, HAL_WATCHDOG);
    if (err != 0)
        return err;
    assert(timeout_s > 0);
    bool beyond = sim->watchdog_most_s > 0 && timeout_s > sim->watchdog_most_s;
    *granted_s = beyond ? sim->watchdog_most_s : timeout_s;
    sim->watchdog_running = true;
    sim->watchdog_s = *granted_s;
    sim->fed_mono_ms = sim->now.mono_ms;
    sim->starts++;
    return 0;
}

static int sim_watchdog_feed(void *ctx)
{
    struct hal_sim *sim = ctx;
    int err = use(sim, HAL_WATCHDOG);
    assert(sim->watchdog_running);
    if (err != 0)
        return err;
    sim->fed_mono_ms = sim->now.mono_ms;
    sim->feeds++;
    return 0;
}

static int sim_watchdog_stop(void *ctx)
{
    struct hal_sim *sim = ctx;
    sim->watchdog_running = false;
    sim->stops++;
    return use(sim, HAL_WATCHDOG);
}

void hal_sim_pass(struct hal_sim *sim, int64_t span_ms)
{
    assert(span_ms >= 0);
    sim->now.mono_ms += span_ms;
    sim->now.wall_ms += span_ms;
    int64_t reset_ms = sim->fed_mono_ms + (int64_t)sim->watchdog_s * 1000;
    if (sim->watchdog_running && sim->reset_mono_ms == 0 && sim->now.mono_ms >= reset_ms)
        sim->reset_mono_ms = reset_ms;
}

/* --- the rest --- */

static int sim_led(void *ctx, enum led_pattern pattern)
{
    struct hal_sim *sim = ctx;
    int err = use(sim, HAL_LED);
    if (err == 0) {
        sim->led = pattern;
        sim->led_changes++;
    }
    return err;
}

static int sim_relay(void *ctx, bool on)
{
    struct hal_sim *sim = ctx;
    int err = use(sim, HAL_RELAY);
    if (err == 0) {
        sim->relay = on;
        sim->relay_changes++;
    }
    return err;
}

static int sim_button(void *ctx, enum hal_press *press)
{
    struct hal_sim *sim = ctx;
    *press = sim->press;
    sim->press = PRESS_NONE;
    return use(sim, HAL_BUTTON);
}

static int sim_temperature(void *ctx, int32_t *milli_celsius)
{
    const struct hal_sim *sim = ctx;
    *milli_celsius = sim->milli_celsius;
    return use(sim, HAL_TEMPERATURE);
}

static int sim_supply_low(void *ctx, bool *low)
{
    const struct hal_sim *sim = ctx;
    *low = sim->supply_low;
    return use(sim, HAL_SUPPLY);
}

static int sim_memory(void *ctx, struct hal_memory *memory)
{
    const struct hal_sim *sim = ctx;
    *memory = sim->memory;
    return use(sim, HAL_MEMORY);
}

static int sim_storage(void *ctx, struct hal_storage *storage)
{
    const struct hal_sim *sim = ctx;
    *storage = sim->storage;
    return use(sim, HAL_STORAGE);
}

static int sim_unique_id(void *ctx, char id[HAL_ID_BYTES])
{
    const struct hal_sim *sim = ctx;
    memcpy(id, sim->id, HAL_ID_BYTES);
    return use(sim, HAL_UNIQUE_ID);
}

static int sim_reset_reason(void *ctx, enum reset_reason *reason)
{
    const struct hal_sim *sim = ctx;
    *reason = sim->reason;
    return use(sim, HAL_RESET_REASON);
}

static void sim_describe(void *ctx, struct hal_presence parts[HAL_PARTS])
{
    const struct hal_sim *sim = ctx;
    for (int part = 0; part < HAL_PARTS; part++) {
        parts[part].there = sim->there[part];
        (void)snprintf(parts[part].what, sizeof parts[part].what, "simulated");
    }
}

struct hal hal_sim(struct hal_sim *sim)
{
    return (struct hal){
        .ctx = sim,
        .time = sim_time,
        .entropy = sim_entropy,
        .watchdog_start = sim_watchdog_start,
        .watchdog_feed = sim_watchdog_feed,
        .watchdog_stop = sim_watchdog_stop,
        .led = sim_led,
        .relay = sim_relay,
        .button = sim_button,
        .temperature = sim_temperature,
        .supply_low = sim_supply_low,
        .memory = sim_memory,
        .storage = sim_storage,
        .unique_id = sim_unique_id,
        .reset_reason = sim_reset_reason,
        .describe = sim_describe,
    };
}
