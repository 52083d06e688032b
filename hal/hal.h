/* hal: what differs from board to board, behind one struct of calls, so that the daemon, the tests
 * and the seeded world differ only in which one they were given. hal_linux() looks at the machine;
 * hal_sim() does what a test told it.
 *
 * Hardware that is not there is normal: the call says WEIR_ENOTFOUND, `describe` names it, and
 * everything goes on. Names come from the board (struct hal_board, read by hal/board.h). Nothing
 * here blocks longer than a read of a file in /sys. */
#ifndef HAL_HAL_H
#define HAL_HAL_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/record.h"

struct hal_board { /* names of one board, from its hal.conf; empty: not there */
    char name[32];
    char led[64];              /* in /sys/class/leds */
    char relay_chip[32];       /* its name "gpiochip0", or its label */
    uint32_t relay_line;       /* on that chip */
    bool relay_active_low;
    char button_chip[32];      /* likewise, of the one button */
    uint32_t button_line;
    bool button_active_low;
    char watchdog[64];         /* in /dev: "watchdog0" */
    char thermal[64];          /* in /sys/class/thermal: "thermal_zone0" */
    char supply[64];           /* its monitor's name, in /sys/class/hwmon: "rpi_volt" */
    char storage[64];          /* in /sys/block: "mmcblk0" */
    uint64_t storage_endurance_bytes; /* that may be written in its life; 0: not stated */
    uint64_t memory_bytes_max; /* that Weir may use on this board; 0: no limit stated */
    uint32_t devices_max;      /* that Weir accepts on this board; 0: no limit stated */
};

struct hal_time { /* read once a turn */
    int64_t mono_ms; /* since boot, suspended time included */
    int64_t wall_ms; /* Unix time by this machine's clock */
    /* unset before the build; synced when the kernel says so, or when the configuration trusts the
     * clock */
    enum clock_state state;
    uint64_t boot;   /* of this boot */
};

/* What each looks like: the table in hal/linux/led.c and docs/boards.md. */
enum led_pattern { LED_OFF, LED_STARTING, LED_GOOD, LED_DEGRADED, LED_ALERT, LED_FAILED };

enum hal_press {
    PRESS_NONE,
    PRESS_SHORT, /* released within two seconds */
    PRESS_LONG   /* held for ten seconds; told while it is still held */
};

enum reset_reason {
    RESET_UNKNOWN,
    RESET_POWER,    /* the supply sagged, says the watchdog */
    RESET_WATCHDOG,
    RESET_SOFTWARE, /* somebody told the machine to restart */
    RESET_UNCLEAN   /* it was not told to stop: a power cut, or a crash */
};

struct hal_memory {
    uint64_t total_bytes, available_bytes;           /* of the machine */
    uint64_t rss_bytes, anonymous_bytes, peak_bytes; /* of this process */
};

struct hal_storage { /* what the medium says of itself */
    int life_used_percent;    /* eMMC life_time, upper end of its 10 % step; 110: past its life;
                                 -1: not said */
    int pre_eol;              /* of the reserve: 1 normal, 2 warning, 3 urgent; -1: not said */
    uint64_t sectors_written; /* of 512 bytes, since boot */
};

enum hal_part {
    HAL_WATCHDOG,
    HAL_LED,
    HAL_RELAY,
    HAL_BUTTON,
    HAL_TEMPERATURE,
    HAL_SUPPLY,
    HAL_MEMORY,
    HAL_STORAGE,
    HAL_UNIQUE_ID,
    HAL_RESET_REASON,
    HAL_PARTS
};

enum { HAL_WHAT_BYTES = 160, HAL_ID_BYTES = 65 };

struct hal_presence {
    bool there;
    char what[HAL_WHAT_BYTES]; /* which one it is, or why there is none */
};

struct hal {
    void *ctx;
    struct hal_time (*time)(void *ctx);
    int (*entropy)(void *ctx, void *to, uint32_t bytes);

    /* From here on the machine restarts when it was not fed for `granted_s`, which may be less or
     * more than was asked for. WEIR_EBUSY: another process holds it. */
    int (*watchdog_start)(void *ctx, uint32_t timeout_s, uint32_t *granted_s);
    /* Only when readings, or the self-test in silence, made progress. */
    int (*watchdog_feed)(void *ctx);
    /* Only on an orderly stop; a kernel told so (nowayout) lets it run on. */
    int (*watchdog_stop)(void *ctx);

    /* WEIR_EAGAIN: it blinks, but not in that pattern yet; to be called again in a second. */
    int (*led)(void *ctx, enum led_pattern pattern);
    int (*relay)(void *ctx, bool on);
    /* What the button did since it was asked last, one press a call. The first call takes its line,
     * and sees no press before. */
    int (*button)(void *ctx, enum hal_press *press);
    int (*temperature)(void *ctx, int32_t *milli_celsius);
    /* Whether the supply is below what the board needs, or was since its monitor last looked. */
    int (*supply_low)(void *ctx, bool *low);
    int (*memory)(void *ctx, struct hal_memory *memory);
    int (*storage)(void *ctx, struct hal_storage *storage);
    /* The machine's own, hex; stable over reinstalls where the hardware has one. */
    int (*unique_id)(void *ctx, char id[HAL_ID_BYTES]);
    int (*reset_reason)(void *ctx, enum reset_reason *reason);

    /* What is there and what is not; for a log's first lines. */
    void (*describe)(void *ctx, struct hal_presence parts[HAL_PARTS]);
};

static inline const char *hal_part_name(enum hal_part part)
{
    static const char *const names[HAL_PARTS] = {
        "watchdog", "led",     "relay",     "button",    "temperature",
        "supply",   "memory",  "storage", "unique_id", "reset_reason"
    };
    return names[part];
}

static inline const char *reset_reason_name(enum reset_reason reason)
{
    static const char *const names[] = { "unknown", "power", "watchdog", "software",
                                         "unclean" };
    return names[reason];
}

static inline const char *led_pattern_name(enum led_pattern pattern)
{
    static const char *const names[] = { "off", "starting", "good", "degraded", "alert", "failed" };
    return names[pattern];
}

#endif
