#include "hal/linux/hal_linux.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "pipeline/err.h"
#include "pipeline/hash.h"

/* No wall time before this is believed: the first commit of this project, 2026-01-01. */
static const int64_t FLOOR_MS = 1767225600000;

static struct linux_state {
    const struct hal_board *board;
    bool trust_system_clock;
    uint64_t boot;
} the_machine;

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;
    int err = clock_gettime(id, &now);
    assert(err == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t boot_of_machine(void)
{
    char id[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd >= 0 ? read(fd, id, sizeof id) : -1;
    if (fd >= 0)
        (void)close(fd); /* read only */
    struct hash_key key = { 0x77656972, 0x626f6f74 };
    return bytes > 0 ? hash64(key, id, (size_t)bytes) : 0;
}

static struct hal_time linux_time(void *ctx)
{
    struct linux_state *state = ctx;
    struct hal_time time = { clock_ms(CLOCK_BOOTTIME), clock_ms(CLOCK_REALTIME), CLOCK_COARSE,
                             state->boot };
    struct timex timex = { .modes = 0 };
    bool kernel_synced = adjtimex(&timex) >= 0 && (timex.status & STA_UNSYNC) == 0;
    if (time.wall_ms < FLOOR_MS)
        time.state = CLOCK_UNSET;
    else if (kernel_synced || state->trust_system_clock)
        time.state = CLOCK_SYNCED;
    return time;
}

static int linux_entropy(void *ctx, void *to, uint32_t bytes)
{
    (void)ctx;
    uint8_t *at = to;
    while (bytes > 0) {
        ssize_t got = getrandom(at, bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return WEIR_EIO;
        at += got;
        bytes -= (uint32_t)got;
    }
    return 0;
}

static int no_watchdog_start(void *ctx, uint32_t timeout_s)
{
    (void)ctx, (void)timeout_s;
    return WEIR_ENOTFOUND;
}

static int no_watchdog(void *ctx)
{
    (void)ctx;
    return WEIR_ENOTFOUND;
}

static int no_led(void *ctx, enum led_pattern pattern)
{
    (void)ctx, (void)pattern;
    return WEIR_ENOTFOUND;
}

static int no_relay(void *ctx, bool on)
{
    (void)ctx, (void)on;
    return WEIR_ENOTFOUND;
}

static int no_temperature(void *ctx, int32_t *milli_celsius)
{
    (void)ctx, (void)milli_celsius;
    return WEIR_ENOTFOUND;
}

static int no_memory(void *ctx, uint64_t *total_bytes, uint64_t *available_bytes,
                     uint64_t *own_rss_bytes)
{
    (void)ctx, (void)total_bytes, (void)available_bytes, (void)own_rss_bytes;
    return WEIR_ENOTFOUND;
}

static int no_storage(void *ctx, struct hal_storage *storage)
{
    (void)ctx, (void)storage;
    return WEIR_ENOTFOUND;
}

static int no_unique_id(void *ctx, char id[65])
{
    (void)ctx, (void)id;
    return WEIR_ENOTFOUND;
}

static int no_reset_reason(void *ctx, enum reset_reason *reason)
{
    (void)ctx, (void)reason;
    return WEIR_ENOTFOUND;
}

struct hal hal_linux(const struct hal_board *board, bool trust_system_clock)
{
    the_machine = (struct linux_state){ board, trust_system_clock, boot_of_machine() };
    return (struct hal){ &the_machine,   linux_time,  linux_entropy, no_watchdog_start,
                         no_watchdog,    no_watchdog, no_led,        no_relay,
                         no_temperature, no_memory,   no_storage,    no_unique_id,
                         no_reset_reason };
}
