#include "hal/linux/hal_linux.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "hal/linux/parts.h"

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

/* --- what is there --- */

/* A thing that the board names: there when the path can be opened as it will be. */
static void describe_named(struct hal_presence *part, const char *name, const char *path, int mode)
{
    part->there = name[0] != '\0' && access(path, mode) == 0;
    if (name[0] == '\0')
        (void)snprintf(part->what, sizeof part->what, "the board names none");
    else if (part->there)
        (void)snprintf(part->what, sizeof part->what, "%.100s", path);
    else
        (void)snprintf(part->what, sizeof part->what, "%.100s: %.50s", path, strerror(errno));
}

/* A thing that every machine may have: there when its call says so. */
static void describe_found(struct hal_presence *part, bool there, const char *found,
                           const char *missing)
{
    part->there = there;
    (void)snprintf(part->what, sizeof part->what, "%s", there ? found : missing);
}

static void describe_devices(struct hal_linux *m, struct hal_presence parts[HAL_PARTS])
{
    const struct hal_board *board = m->config.board;
    char path[TREE_PATH_BYTES];
    bool low;
    tree_path(m, path, "/dev/%s", board->watchdog);
    describe_named(&parts[HAL_WATCHDOG], board->watchdog, path, W_OK);
    tree_path(m, path, "/sys/class/leds/%s/brightness", board->led);
    describe_named(&parts[HAL_LED], board->led, path, W_OK);
    tree_path(m, path, "/sys/class/thermal/%s/temp", board->thermal);
    describe_named(&parts[HAL_TEMPERATURE], board->thermal, path, R_OK);
    describe_found(&parts[HAL_SUPPLY], linux_supply_low(m, &low) == 0, board->supply,
                   board->supply[0] != '\0' ? "no monitor of that name" : "the board names none");
    tree_path(m, path, "/sys/block/%s/stat", board->storage);
    describe_named(&parts[HAL_STORAGE], board->storage, path, R_OK);
}

static const char *why_no_chip(const char *chip)
{
    return chip[0] != '\0' ? "no GPIO chip of that name can be opened" : "the board names none";
}

void linux_describe(void *ctx, struct hal_presence parts[HAL_PARTS])
{
    struct hal_linux *m = ctx;
    struct hal_memory memory;
    enum reset_reason reason = RESET_UNKNOWN;
    const char *chip = m->config.board->relay_chip;
    describe_devices(m, parts);
    describe_found(&parts[HAL_RELAY], linux_relay_find(m) == 0, chip, why_no_chip(chip));
    chip = m->config.board->button_chip;
    describe_found(&parts[HAL_BUTTON], linux_button_find(m) == 0, chip, why_no_chip(chip));
    describe_found(&parts[HAL_MEMORY], linux_memory(m, &memory) == 0, "/proc/meminfo",
                   "/proc/meminfo can't be read");
    const char *source = linux_unique_id_source(m);
    describe_found(&parts[HAL_UNIQUE_ID], source != NULL, source, "the machine has none");
    bool told = linux_reset_reason(m, &reason) == 0;
    describe_found(&parts[HAL_RESET_REASON], told, reset_reason_name(reason),
                   "neither the watchdog nor wtmp tells");
}

struct hal hal_linux(struct hal_linux *machine, const struct hal_linux_config *config)
{
    *machine = (struct hal_linux){ .config = *config, .watchdog_fd = -1 };
    machine->boot = linux_boot(machine);
    return (struct hal){
        .ctx = machine,
        .time = linux_time,
        .entropy = linux_entropy,
        .watchdog_start = linux_watchdog_start,
        .watchdog_feed = linux_watchdog_feed,
        .watchdog_stop = linux_watchdog_stop,
        .led = linux_led,
        .relay = linux_relay,
        .button = linux_button,
        .temperature = linux_temperature,
        .supply_low = linux_supply_low,
        .memory = linux_memory,
        .storage = linux_storage,
        .unique_id = linux_unique_id,
        .reset_reason = linux_reset_reason,
        .describe = linux_describe,
    };
}

void hal_linux_close(struct hal_linux *machine)
{
    linux_relay_close(machine);
    linux_button_close(machine);
    if (machine->watchdog_fd >= 0)
        (void)close(machine->watchdog_fd); /* without the magic character: it counts on */
    machine->watchdog_fd = -1;
}
