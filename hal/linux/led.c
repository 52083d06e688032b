/* The LED blinks by the kernel's `timer` trigger, so nothing of ours has to wake up for it. Where
 * that trigger is missing it can only shine or not, and shining means good. */
#include <stdio.h>
#include <string.h>

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

/* To set the trigger again would make its two files anew. */
static bool blinks_already(const struct hal_linux *m)
{
    char path[TREE_PATH_BYTES], triggers[TREE_TEXT_BYTES];
    tree_path(m, path, "/sys/class/leds/%s/trigger", m->config.board->led);
    return tree_read(path, triggers, sizeof triggers) == 0 && strstr(triggers, "[timer]") != NULL;
}

/* The trigger's files belong to root until udev has heard of them; until then it blinks evenly. */
static int blink(const struct hal_linux *m, const struct pattern *pattern)
{
    char on[16], off[16];
    (void)snprintf(on, sizeof on, "%d", pattern->on_ms);
    (void)snprintf(off, sizeof off, "%d", pattern->off_ms);
    /* makes the two files below */
    int err = blinks_already(m) ? 0 : write_led(m, "trigger", "timer");
    if (err != 0)
        return err;
    err = write_led(m, "delay_on", on);
    err = err != 0 ? err : write_led(m, "delay_off", off);
    return err == WEIR_EIO ? WEIR_EAGAIN : err;
}

int linux_led(void *ctx, enum led_pattern pattern)
{
    const struct hal_linux *m = ctx;
    const struct pattern *p = &patterns[pattern];
    if (m->config.board->led[0] == '\0')
        return WEIR_ENOTFOUND;
    int err = p->on_ms > 0 && p->off_ms > 0 ? blink(m, p) : WEIR_ENOTFOUND;
    if (err == 0 || err == WEIR_EAGAIN)
        return err;
    return shine(m, p->on_ms > 0 && p->off_ms == 0);
}
