/* hal: what differs from board to board, behind one struct of calls, so that the daemon, the tests
 * and the seeded world differ
 * only in which one they were given. hal_linux() looks at the machine; hal_sim() does what a test
 * told it.
 *
 * Hardware that is not there is normal: the call says WEIR_ENOTFOUND, hal_describe lists it once,
 * and everything goes on.
 * Paths come from the board's names (struct hal_board) under a root that tests set. Nothing here
 * blocks longer than a
 * read of a file in /sys. */
#ifndef HAL_HAL_H
#define HAL_HAL_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/record.h"

/* names of one board; empty: not there. boards/NAME/hal.conf holds them as key = value */
struct hal_board {
    char name[32];
    char led[64];            /* in /sys/class/leds */
    char relay_chip[32];     /* "gpiochip0" */
    int relay_line;          /* on that chip; -1: none */
    bool relay_active_low;
    char watchdog[64];       /* "/dev/watchdog0" */
    char thermal[64];        /* zone in /sys/class/thermal */
    char storage[64];        /* block device in /sys/block */
    uint64_t memory_bytes_max; /* that Weir may use on this board; 0: no limit stated */
    uint32_t devices_max;      /* that Weir accepts on this board; 0: no limit stated */
};

struct hal_time { /* read once a turn */
    int64_t mono_ms;         /* since boot, suspended time included */
    int64_t wall_ms;         /* Unix time by this machine's clock */
    /* unset below the floor; synced when the kernel says so, or when the configuration trusts the
     * clock */
    enum clock_state state;
    uint64_t boot;           /* of this boot */
};

enum led_pattern { LED_OFF, LED_STARTING, LED_GOOD, LED_DEGRADED, LED_ALERT, LED_FAILED };

enum reset_reason { RESET_UNKNOWN, RESET_POWER, RESET_WATCHDOG, RESET_SOFTWARE };

struct hal_storage { /* what the medium says of itself; -1: not said */
    int life_used_percent;   /* eMMC life_time, upper end of its 10 % step */
    int pre_eol;             /* 1 normal, 2 warning, 3 urgent */
    uint64_t sectors_written;/* of 512 bytes, since boot */
};

struct hal {
    void *ctx;
    struct hal_time (*time)(void *ctx);
    int (*entropy)(void *ctx, void *to, uint32_t bytes);
    int (*watchdog_start)(void *ctx, uint32_t timeout_s);
    /* only when readings, or the self-test in silence, made progress */
    int (*watchdog_feed)(void *ctx);
    int (*watchdog_stop)(void *ctx);
    int (*led)(void *ctx, enum led_pattern pattern);
    int (*relay)(void *ctx, bool on);
    int (*temperature)(void *ctx, int32_t *milli_celsius);
    int (*memory)(void *ctx, uint64_t *total_bytes, uint64_t *available_bytes,
                  uint64_t *own_rss_bytes);
    int (*storage)(void *ctx, struct hal_storage *storage);
    /* machine's own, hex; stable over reinstalls where the hardware has one */
    int (*unique_id)(void *ctx, char id[65]);
    int (*reset_reason)(void *ctx, enum reset_reason *reason);
};

#endif
