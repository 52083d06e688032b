/* Seconds of 64 bits on armhf too, so that it goes on after 2038. No time type leaves this file. */
#define _TIME_BITS 64

#include <assert.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "hal/linux/parts.h"
#include "pipeline/hash.h"

static_assert(sizeof(time_t) == 8, "a time_t of 32 bits ends in 2038");

/* No wall time before the build is believed. */
static const int64_t FLOOR_MS = WEIR_BUILD_TIME * INT64_C(1000);

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;
    int err = clock_gettime(id, &now);
    assert(err == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t linux_boot(const struct hal_linux *m)
{
    char path[TREE_PATH_BYTES], id[64];
    tree_path(m, path, "/proc/sys/kernel/random/boot_id");
    struct hash_key key = { 0x77656972, 0x626f6f74 };
    return tree_read(path, id, sizeof id) == 0 ? hash64(key, id, strlen(id)) : 0;
}

struct hal_time linux_time(void *ctx)
{
    const struct hal_linux *m = ctx;
    struct hal_time time = { clock_ms(CLOCK_BOOTTIME), clock_ms(CLOCK_REALTIME), CLOCK_COARSE,
                             m->boot };
    struct timex timex = { .modes = 0 };
    bool kernel_synced = adjtimex(&timex) >= 0 && (timex.status & STA_UNSYNC) == 0;
    if (time.wall_ms < FLOOR_MS)
        time.state = CLOCK_UNSET;
    else if (kernel_synced || m->config.trust_system_clock)
        time.state = CLOCK_SYNCED;
    return time;
}
