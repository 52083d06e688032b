/* The LED blinks by the kernel's `timer` trigger, so nothing of ours has to wake up for it. Where
 * that trigger is missing it can only shine or not, and shining means good. */
#include <stdio.h>

#include "hal/linux/parts.h"

static const struct pattern {
    int on_ms, off_ms; /* off 0: steady; on 0: dark */
} patterns[] = {
    [LED_OFF] = { 0, 0 },          [LED_STARTING] = { 500, 500 }, [LED_GOOD] = { 1, 0 },
    [LED_DEGRADED] = { 1900, 100 }, [LED_ALERT] = { 100, 100 },    [LED_FAILED] = { 100, 1900 },
};

static int write_led(const struct hal_linux *m, const char *file, const char *text)
{
    char path[TREE_PATH_BYTES];
    tree_path(m, path, "/sys/class/leds/%s/%s", m->config.board->led, file);
    return tree_write(path, text);
}

static int shine(const struct hal_linux *m, bool on)
{
    char path[TREE_PATH_BYTES], most[16];
    tree_path(m, path, "/sys/class/leds/%s/max_brightness", m->config.board->led);
    bool known = tree_read(path, most, sizeof most) == 0;
    int err = write_led(m, "trigger", "none");
    return err != 0 ? err : write_led(m, "brightness", !on ? "0" : known ? most : "1");
}

static int blink(const struct hal_linux *m, const struct pattern *pattern)
{
    char on[16], off[16];
    (void)snprintf(on, sizeof on, "%d", pattern->on_ms);
    (void)snprintf(off, sizeof off, "%d", pattern->off_ms);
    int err = write_led(m, "trigger", "timer"); /* makes the two files below */
    err = err != 0 ? err : write_led(m, "delay_on", on);
    return err != 0 ? err : write_led(m, "delay_off", off);
}

int linux_led(void *ctx, enum led_pattern pattern)
{
    const struct hal_linux *m = ctx;
    const struct pattern *p = &patterns[pattern];
    if (m->config.board->led[0] == '\0')
        return WEIR_ENOTFOUND;
    if (p->on_ms > 0 && p->off_ms > 0 && blink(m, p) == 0)
        return 0;
    return shine(m, p->on_ms > 0 && p->off_ms == 0);
}
