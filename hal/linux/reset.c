/* Why the machine last started: what its watchdog says, and else whether it was told to stop, which
 * the service manager writes into wtmp. */
#include <linux/watchdog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utmp.h>

#include "hal/linux/parts.h"

enum { BOOT_TOLERANCE_S = 600 };

/* The records are in the order in which they were written, whatever the clock said. The last boot
 * must be about this one: where nobody writes wtmp any more, an old one says nothing. */
static enum reset_reason reason_in_wtmp(FILE *wtmp, int64_t boot_s)
{
    struct utmp record;
    int64_t last_boot_s = INT64_MIN;
    bool told = false; /* to stop, since the last boot */
    enum reset_reason reason = RESET_UNKNOWN;
    while (fread(&record, sizeof record, 1, wtmp) == 1) {
        if (record.ut_type == RUN_LVL && strncmp(record.ut_user, "shutdown", UT_NAMESIZE) == 0)
            told = true;
        if (record.ut_type != BOOT_TIME)
            continue;
        bool first = last_boot_s == INT64_MIN && !told;
        reason = first ? RESET_UNKNOWN : told ? RESET_SOFTWARE : RESET_UNCLEAN;
        last_boot_s = record.ut_tv.tv_sec;
        told = false;
    }
    bool this_boot = last_boot_s != INT64_MIN && last_boot_s - boot_s < BOOT_TOLERANCE_S &&
                     boot_s - last_boot_s < BOOT_TOLERANCE_S;
    return this_boot ? reason : RESET_UNKNOWN;
}

static bool told_by_wtmp(struct hal_linux *m, enum reset_reason *reason)
{
    struct hal_time now = linux_time(m);
    char path[TREE_PATH_BYTES];
    tree_path(m, path, "/var/log/wtmp");
    FILE *wtmp = fopen(path, "re");
    if (wtmp == NULL)
        return false;
    *reason = reason_in_wtmp(wtmp, (now.wall_ms - now.mono_ms) / 1000);
    (void)fclose(wtmp); /* read only */
    return true;
}

int linux_reset_reason(void *ctx, enum reset_reason *reason)
{
    struct hal_linux *m = ctx;
    char path[TREE_PATH_BYTES], text[32];
    tree_path(m, path, "/sys/class/watchdog/%s/bootstatus", m->config.board->watchdog);
    bool told = m->config.board->watchdog[0] != '\0' && tree_read(path, text, sizeof text) == 0;
    unsigned long status = told ? strtoul(text, NULL, 0) : 0;
    *reason = RESET_UNKNOWN;
    if ((status & WDIOF_CARDRESET) != 0)
        *reason = RESET_WATCHDOG;
    else if ((status & WDIOF_POWERUNDER) != 0)
        *reason = RESET_POWER;
    else
        told = told_by_wtmp(m, reason) || told;
    return told ? 0 : WEIR_ENOTFOUND;
}
