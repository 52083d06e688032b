#include "firmware/sizing/load.h"

#include <time.h>

enum { MEMORY_LOOK_MS = 1000 };

/* Not hal's: that asks the kernel, with a system call, whether the clock is synced. */
static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* every Linux has it */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void load_begin_turn(struct load *load)
{
    load->begun_ns = now_ns();
}

void load_end_turn(struct load *load, const struct hal *hal, uint64_t memory_bytes_max,
                   int64_t mono_ms, struct gateway *gateway)
{
    struct hal_memory memory;
    if (mono_ms - load->memory_ms >= MEMORY_LOOK_MS && hal->memory(hal->ctx, &memory) == 0) {
        load->memory_ms = mono_ms;
        load->memory_percent = (uint32_t)(memory.anonymous_bytes * 100 / memory_bytes_max);
    }
    gateway_on_load(gateway, (now_ns() - load->begun_ns) / 1000000, load->memory_percent);
}
