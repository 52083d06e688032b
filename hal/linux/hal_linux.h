/* hal_linux: the hal of a running Linux machine: /sys, /proc and /dev under one root, which is
 * empty in production and a made-up tree in tests. One thread. */
#ifndef HAL_LINUX_HAL_LINUX_H
#define HAL_LINUX_HAL_LINUX_H

#include "hal/hal.h"
#include "hal/press.h"

struct hal_linux_config {
    const struct hal_board *board; /* outlives the hal */
    const char *root;              /* before every path; "" in production */
    /* the wall clock counts as synced even where the kernel can't tell (no NTP client of its own,
     * a container) */
    bool trust_system_clock;
};

struct hal_linux { /* the caller's memory; only hal/linux writes it */
    struct hal_linux_config config;
    uint64_t boot;
    int watchdog_fd;               /* -1: not started */
    struct gpiod_chip *relay_chip; /* NULL: not open yet; stays open, as the line's holder */
    struct gpiod_line *relay_line;
    struct gpiod_chip *button_chip; /* likewise */
    struct gpiod_line *button_line;
    struct press press;
};

struct hal hal_linux(struct hal_linux *machine, const struct hal_linux_config *config);

/* Give back what is open. The watchdog, if it was not stopped, counts on. */
void hal_linux_close(struct hal_linux *machine);

#endif
