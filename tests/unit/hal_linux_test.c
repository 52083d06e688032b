/* Goal: hal/linux says to the kernel what it should, reads what the kernel says, and lives with what is not there.
 * Method: a made-up /sys, /proc, /dev and /etc under a root in /tmp. The watchdog's ioctls end in this file, and libgpiod is
 * this file: it counts what it is asked.
 * Links: hal/linux/hal_linux.c hal/linux/clock.c hal/linux/tree.c hal/linux/watchdog.c hal/linux/led.c hal/linux/relay.c hal/linux/gpio.c hal/linux/button.c hal/press.c hal/linux/sensors.c hal/linux/identity.c hal/linux/reset.c pipeline/hash.c
 * Libs: -Wl,--wrap=ioctl */
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <gpiod.h>
#include <linux/watchdog.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include "hal/linux/hal_linux.h"
#include "pipeline/err.h"

/* --- a made-up machine --- */

struct bench {
    char root[32];
    struct hal_board board;
    struct hal_linux machine;
    struct hal hal;
};

static void path_of(const struct bench *b, const char *path, char to[256])
{
    snprintf(to, 256, "%s%s", b->root, path);
}

static void put_bytes(const struct bench *b, const char *path, const void *at, size_t bytes)
{
    char whole[256];
    path_of(b, path, whole);
    for (char *slash = strchr(whole + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(whole, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(whole, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(at, 1, bytes, file), bytes);
    fclose(file);
}

static void put(const struct bench *b, const char *path, const char *text)
{
    put_bytes(b, path, text, strlen(text));
}

/* What stands in the file now. Files of the tree are not shortened by a write, as those of /sys
 * are not; so each is looked at up to where the first text ended. */
static void assert_file(const struct bench *b, const char *path, const char *expected)
{
    char whole[256], text[64] = "";
    path_of(b, path, whole);
    FILE *file = fopen(whole, "rb");
    assert_non_null(file);
    size_t bytes = fread(text, 1, strlen(expected), file);
    fclose(file);
    assert_int_equal(bytes, strlen(expected));
    assert_string_equal(text, expected);
}

static void take_away(const struct bench *b, const char *path)
{
    char whole[256];
    path_of(b, path, whole);
    assert_int_equal(unlink(whole), 0);
}

static void start(struct bench *b)
{
    b->hal = hal_linux(&b->machine, &(struct hal_linux_config){ &b->board, b->root, false });
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    strcpy(b->root, "/tmp/weir-hal-XXXXXX");
    assert_non_null(mkdtemp(b->root));
    b->board = (struct hal_board){ .name = "bench", .led = "ACT", .relay_chip = "gpiochip0",
                                   .relay_line = 17, .watchdog = "watchdog0",
                                   .thermal = "thermal_zone0", .storage = "mmcblk0" };
    start(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char command[64];
    hal_linux_close(&b->machine);
    snprintf(command, sizeof command, "rm -rf %s", b->root);
    int removed = system(command);
    free(b);
    return removed;
}

/* --- the kernel's side of the watchdog --- */

static struct {
    int timeout_s, most_s; /* most_s: refuses more */
    bool mute;             /* knows no time-out */
    uint32_t feeds;
} kernel;

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    int *seconds = va_arg(arguments, int *);
    va_end(arguments);
    assert_true(fcntl(fd, F_GETFD) >= 0); /* an open one */
    if (request == (unsigned long)WDIOC_KEEPALIVE) {
        kernel.feeds++;
    } else if (request == (unsigned long)WDIOC_SETTIMEOUT) {
        if (*seconds > kernel.most_s) {
            errno = EINVAL;
            return -1;
        }
        kernel.timeout_s = *seconds;
    } else if (request == (unsigned long)WDIOC_GETTIMEOUT && !kernel.mute) {
        *seconds = kernel.timeout_s;
    } else {
        errno = EOPNOTSUPP;
        return -1;
    }
    return 0;
}

static void watchdog_is_fed_and_stopped_by_the_magic_character(void **state)
{
    struct bench *b = *state;
    uint32_t granted_s = 0;
    memset(&kernel, 0, sizeof kernel);
    kernel.most_s = 3600;
    put(b, "/dev/watchdog0", ".");
    assert_int_equal(b->hal.watchdog_feed(b->hal.ctx), WEIR_ENOTFOUND); /* not started yet */
    assert_int_equal(b->hal.watchdog_start(b->hal.ctx, 120, &granted_s), 0);
    assert_int_equal(granted_s, 120);
    assert_int_equal(kernel.feeds, 0);
    assert_int_equal(b->hal.watchdog_feed(b->hal.ctx), 0);
    assert_int_equal(b->hal.watchdog_feed(b->hal.ctx), 0);
    assert_int_equal(kernel.feeds, 2);
    assert_file(b, "/dev/watchdog0", "."); /* no magic character yet */
    assert_int_equal(b->hal.watchdog_stop(b->hal.ctx), 0);
    assert_file(b, "/dev/watchdog0", "V");
    assert_int_equal(b->hal.watchdog_stop(b->hal.ctx), WEIR_ENOTFOUND);
}

static void watchdog_that_nobody_stopped_counts_on(void **state)
{
    struct bench *b = *state;
    uint32_t granted_s = 0;
    kernel.most_s = 3600;
    put(b, "/dev/watchdog0", ".");
    assert_int_equal(b->hal.watchdog_start(b->hal.ctx, 120, &granted_s), 0);
    hal_linux_close(&b->machine);
    assert_file(b, "/dev/watchdog0", ".");
}

static void watchdog_grants_what_the_hardware_can(void **state)
{
    struct bench *b = *state;
    uint32_t granted_s = 0;
    memset(&kernel, 0, sizeof kernel);
    kernel.most_s = 15;
    kernel.timeout_s = 10;
    put(b, "/dev/watchdog0", ".");
    assert_int_equal(b->hal.watchdog_start(b->hal.ctx, 120, &granted_s), 0);
    assert_int_equal(granted_s, 10); /* its own */
    assert_int_equal(b->hal.watchdog_stop(b->hal.ctx), 0);
    put(b, "/dev/watchdog0", ".");
    kernel.mute = true;
    assert_int_equal(b->hal.watchdog_start(b->hal.ctx, 120, &granted_s), WEIR_EIO);
    assert_file(b, "/dev/watchdog0", "V"); /* and does not run on unfed */
}

/* --- LED --- */

static void led_shows_each_pattern(void **state)
{
    struct bench *b = *state;
    static const struct {
        enum led_pattern pattern;
        const char *on, *off;
    } blinks[] = { { LED_STARTING, "500", "500" },
                   { LED_DEGRADED, "1900", "100" },
                   { LED_ALERT, "100", "100" },
                   { LED_FAILED, "100", "1900" } };
    put(b, "/sys/class/leds/ACT/max_brightness", "255\n");
    for (size_t i = 0; i < sizeof blinks / sizeof blinks[0]; i++) {
        put(b, "/sys/class/leds/ACT/trigger", "");
        put(b, "/sys/class/leds/ACT/brightness", "");
        put(b, "/sys/class/leds/ACT/delay_on", "");
        put(b, "/sys/class/leds/ACT/delay_off", "");
        assert_int_equal(b->hal.led(b->hal.ctx, blinks[i].pattern), 0);
        assert_file(b, "/sys/class/leds/ACT/trigger", "timer");
        assert_file(b, "/sys/class/leds/ACT/delay_on", blinks[i].on);
        assert_file(b, "/sys/class/leds/ACT/delay_off", blinks[i].off);
        assert_file(b, "/sys/class/leds/ACT/brightness", "");
    }
    put(b, "/sys/class/leds/ACT/trigger", "");
    assert_int_equal(b->hal.led(b->hal.ctx, LED_GOOD), 0);
    assert_file(b, "/sys/class/leds/ACT/trigger", "none");
    assert_file(b, "/sys/class/leds/ACT/brightness", "255");
    put(b, "/sys/class/leds/ACT/brightness", "");
    assert_int_equal(b->hal.led(b->hal.ctx, LED_OFF), 0);
    assert_file(b, "/sys/class/leds/ACT/brightness", "0");
}

/* As the kernel makes them, and udev gives them to us a moment later. */
static void led_waits_for_the_files_of_its_trigger(void **state)
{
    struct bench *b = *state;
    char path[600];
    put(b, "/sys/class/leds/ACT/brightness", "");
    put(b, "/sys/class/leds/ACT/trigger", "none [timer] heartbeat");
    put(b, "/sys/class/leds/ACT/delay_on/not", "a file");
    assert_int_equal(b->hal.led(b->hal.ctx, LED_ALERT), WEIR_EAGAIN);
    assert_file(b, "/sys/class/leds/ACT/trigger", "none [timer] heartbeat");
    assert_file(b, "/sys/class/leds/ACT/brightness", "");
    snprintf(path, sizeof path, "%s/sys/class/leds/ACT/delay_on/not", b->root);
    assert_int_equal(unlink(path), 0);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
    put(b, "/sys/class/leds/ACT/delay_on", "");
    put(b, "/sys/class/leds/ACT/delay_off", "");
    assert_int_equal(b->hal.led(b->hal.ctx, LED_ALERT), 0);
    assert_file(b, "/sys/class/leds/ACT/delay_on", "100");
    assert_file(b, "/sys/class/leds/ACT/trigger", "none [timer] heartbeat");
}

/* Without the timer trigger its two files do not appear. */
static void led_that_cannot_blink_shines_for_good_alone(void **state)
{
    struct bench *b = *state;
    for (int pattern = LED_OFF; pattern <= LED_FAILED; pattern++) {
        put(b, "/sys/class/leds/ACT/trigger", "");
        put(b, "/sys/class/leds/ACT/brightness", "");
        assert_int_equal(b->hal.led(b->hal.ctx, (enum led_pattern)pattern), 0);
        assert_file(b, "/sys/class/leds/ACT/brightness", pattern == LED_GOOD ? "1" : "0");
        assert_file(b, "/sys/class/leds/ACT/trigger", "none");
    }
}

/* --- relay: this is libgpiod --- */

struct gpiod_chip {
    char path[256];
};
struct gpiod_line {
    unsigned offset;
};

static struct {
    struct gpiod_chip chip;
    struct gpiod_line line;
    bool busy;
    int opened, closed, requested, set, value, flags;
} gpio;

struct gpiod_chip *gpiod_chip_open(const char *path)
{
    if (access(path, R_OK | W_OK) != 0)
        return NULL;
    snprintf(gpio.chip.path, sizeof gpio.chip.path, "%s", path);
    gpio.opened++;
    return &gpio.chip;
}

const char *gpiod_chip_name(struct gpiod_chip *chip)
{
    return strrchr(chip->path, '/') + 1;
}

const char *gpiod_chip_label(struct gpiod_chip *chip)
{
    return strstr(chip->path, "gpiochip3") != NULL ? "gpio-32-63" : "other";
}

void gpiod_chip_close(struct gpiod_chip *chip)
{
    assert_ptr_equal(chip, &gpio.chip);
    gpio.closed++;
}

struct gpiod_line *gpiod_chip_get_line(struct gpiod_chip *chip, unsigned int offset)
{
    assert_ptr_equal(chip, &gpio.chip);
    gpio.line.offset = offset;
    errno = EINVAL;
    return offset < 32 ? &gpio.line : NULL;
}

int gpiod_line_request_output_flags(struct gpiod_line *line, const char *consumer, int flags,
                                    int default_val)
{
    assert_ptr_equal(line, &gpio.line);
    assert_string_equal(consumer, "weir-alarm");
    errno = EBUSY;
    if (gpio.busy)
        return -1;
    gpio.requested++;
    gpio.flags = flags;
    gpio.value = default_val;
    return 0;
}

int gpiod_line_set_value(struct gpiod_line *line, int value)
{
    assert_ptr_equal(line, &gpio.line);
    gpio.set++;
    gpio.value = value;
    return 0;
}

/* The button's edges, as the kernel would have kept them. */
static struct {
    struct gpiod_line_event events[4];
    int count, read, requested;
} edges;

int gpiod_line_request_both_edges_events_flags(struct gpiod_line *line, const char *consumer, int flags)
{
    assert_ptr_equal(line, &gpio.line);
    assert_string_equal(consumer, "weir-button");
    gpio.flags = flags;
    edges.requested++;
    return 0;
}

int gpiod_line_event_wait(struct gpiod_line *line, const struct timespec *timeout)
{
    assert_ptr_equal(line, &gpio.line);
    assert_int_equal(timeout->tv_sec + timeout->tv_nsec, 0); /* it never waits */
    return edges.read < edges.count;
}

int gpiod_line_event_read(struct gpiod_line *line, struct gpiod_line_event *event)
{
    assert_ptr_equal(line, &gpio.line);
    *event = edges.events[edges.read++];
    return 0;
}

static void edge(bool down, double seconds_ago)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double at = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - seconds_ago;
    edges.events[edges.count++] = (struct gpiod_line_event){
        .ts = { .tv_sec = (time_t)at, .tv_nsec = (long)((at - (double)(time_t)at) * 1e9) },
        .event_type = down ? GPIOD_LINE_EVENT_RISING_EDGE : GPIOD_LINE_EVENT_FALLING_EDGE,
    };
}

static void button_tells_one_press_a_call(void **state)
{
    struct bench *b = *state;
    enum hal_press press;
    memset(&gpio, 0, sizeof gpio);
    memset(&edges, 0, sizeof edges);
    assert_int_equal(b->hal.button(b->hal.ctx, &press), WEIR_ENOTFOUND); /* the board names none */
    strcpy(b->board.button_chip, "gpiochip0");
    b->board.button_line = 5;
    b->board.button_active_low = true;
    assert_int_equal(b->hal.button(b->hal.ctx, &press), WEIR_ENOTFOUND); /* no such chip yet */
    put(b, "/dev/gpiochip0", "");
    assert_int_equal(b->hal.button(b->hal.ctx, &press), 0);
    assert_int_equal(press, PRESS_NONE);
    assert_int_equal(gpio.line.offset, 5);
    assert_int_equal(gpio.flags, GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW);
    edge(true, 3), edge(false, 2.5), edge(true, 2), edge(false, 1.5);
    assert_int_equal(b->hal.button(b->hal.ctx, &press), 0);
    assert_int_equal(press, PRESS_SHORT);
    assert_int_equal(b->hal.button(b->hal.ctx, &press), 0);
    assert_int_equal(press, PRESS_SHORT);
    assert_int_equal(b->hal.button(b->hal.ctx, &press), 0);
    assert_int_equal(press, PRESS_NONE);
    edges.count = edges.read = 0;
    edge(true, 11);
    assert_int_equal(b->hal.button(b->hal.ctx, &press), 0);
    assert_int_equal(press, PRESS_LONG);
    assert_int_equal(b->hal.button(b->hal.ctx, &press), 0);
    assert_int_equal(press, PRESS_NONE);
    assert_int_equal(edges.requested, 1);
    hal_linux_close(&b->machine);
    assert_int_equal(gpio.closed, gpio.opened);
}

static void relay_holds_its_line(void **state)
{
    struct bench *b = *state;
    memset(&gpio, 0, sizeof gpio);
    assert_int_equal(b->hal.relay(b->hal.ctx, true), WEIR_ENOTFOUND); /* no such chip yet */
    put(b, "/dev/gpiochip0", "");
    gpio.busy = true;
    assert_int_equal(b->hal.relay(b->hal.ctx, true), WEIR_EBUSY);
    assert_int_equal(gpio.closed, gpio.opened);
    gpio.busy = false;
    assert_int_equal(b->hal.relay(b->hal.ctx, true), 0);
    assert_int_equal(gpio.line.offset, 17);
    assert_int_equal(gpio.value, 1); /* from the first moment on */
    assert_int_equal(gpio.flags, 0);
    assert_int_equal(gpio.set, 0);
    assert_int_equal(b->hal.relay(b->hal.ctx, false), 0);
    assert_int_equal(gpio.value, 0);
    assert_int_equal(b->hal.relay(b->hal.ctx, true), 0);
    assert_int_equal(gpio.value, 1);
    assert_int_equal(gpio.requested, 1);
    hal_linux_close(&b->machine);
    assert_int_equal(gpio.closed, gpio.opened);
}

static void relay_may_be_active_low_and_its_line_absent(void **state)
{
    struct bench *b = *state;
    memset(&gpio, 0, sizeof gpio);
    put(b, "/dev/gpiochip0", "");
    b->board.relay_active_low = true;
    assert_int_equal(b->hal.relay(b->hal.ctx, false), 0);
    assert_int_equal(gpio.flags, GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW);
    assert_int_equal(gpio.value, 0); /* the library turns it over */
    hal_linux_close(&b->machine);
    b->board.relay_line = 99;
    assert_int_equal(b->hal.relay(b->hal.ctx, false), WEIR_EIO);
    assert_int_equal(gpio.closed, gpio.opened);
}

static void relay_is_found_by_its_chips_label(void **state)
{
    struct bench *b = *state;
    memset(&gpio, 0, sizeof gpio);
    put(b, "/dev/gpiochip0", "");
    strcpy(b->board.relay_chip, "gpio-32-63");
    assert_int_equal(b->hal.relay(b->hal.ctx, true), WEIR_ENOTFOUND);
    put(b, "/dev/gpiochip3", "");
    assert_int_equal(b->hal.relay(b->hal.ctx, true), 0);
    assert_non_null(strstr(gpio.chip.path, "/dev/gpiochip3"));
    assert_int_equal(gpio.opened - gpio.closed, 1);
}

/* --- sensors --- */

static void temperature_is_in_thousandths(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *text;
        int result;
        int32_t value;
    } cases[] = { { "48312\n", 0, 48312 }, { "-5000", 0, -5000 }, { "0", 0, 0 },
                  { "hot\n", WEIR_EIO, 0 }, { "", WEIR_EIO, 0 },
                  { "99999999999999999999", WEIR_EIO, 0 }, { "-300000", WEIR_EIO, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t value = 0;
        put(b, "/sys/class/thermal/thermal_zone0/temp", cases[i].text);
        assert_int_equal(b->hal.temperature(b->hal.ctx, &value), cases[i].result);
        assert_int_equal(value, cases[i].value);
    }
}

static void supply_is_found_by_its_monitors_name(void **state)
{
    struct bench *b = *state;
    bool low = true;
    strcpy(b->board.supply, "rpi_volt");
    assert_int_equal(b->hal.supply_low(b->hal.ctx, &low), WEIR_ENOTFOUND);
    put(b, "/sys/class/hwmon/hwmon0/name", "cpu_thermal\n");
    put(b, "/sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n");
    put(b, "/sys/class/hwmon/hwmon3/name", "rpi_volt\n");
    assert_int_equal(b->hal.supply_low(b->hal.ctx, &low), WEIR_ENOTFOUND); /* it tells no alarm */
    put(b, "/sys/class/hwmon/hwmon3/in0_lcrit_alarm", "0\n");
    assert_int_equal(b->hal.supply_low(b->hal.ctx, &low), 0);
    assert_false(low);
    put(b, "/sys/class/hwmon/hwmon3/in0_lcrit_alarm", "1\n");
    assert_int_equal(b->hal.supply_low(b->hal.ctx, &low), 0);
    assert_true(low);
    strcpy(b->board.supply, "");
    assert_int_equal(b->hal.supply_low(b->hal.ctx, &low), WEIR_ENOTFOUND);
}

static void memory_is_the_machines_and_our_own(void **state)
{
    struct bench *b = *state;
    struct hal_memory m = { 0 };
    assert_int_equal(b->hal.memory(b->hal.ctx, &m), WEIR_ENOTFOUND);
    put(b, "/proc/meminfo",
        "MemTotal:         944456 kB\nMemFree:   1 kB\nMemAvailable:     801232 kB\n");
    put(b, "/proc/self/status",
        "Name:\tweir\nVmHWM:\t   22000 kB\nVmRSS:\t   21000 kB\nRssAnon:\t    7000 kB\n");
    assert_int_equal(b->hal.memory(b->hal.ctx, &m), 0);
    assert_int_equal(m.total_bytes, 944456 * 1024);
    assert_int_equal(m.available_bytes, 801232 * 1024);
    assert_int_equal(m.rss_bytes, 21000 * 1024);
    assert_int_equal(m.anonymous_bytes, 7000 * 1024);
    assert_int_equal(m.peak_bytes, 22000 * 1024);
}

static void storage_says_how_worn_it_is(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *life, *eol;
        int percent, level;
    } cases[] = {
        { "0x01 0x02\n", "0x01\n", 20, 1 },  { "0x03 0x01\n", "0x02\n", 30, 2 },
        { "0x0a 0x0b\n", "0x03\n", 110, 3 }, { "0x00 0x00\n", "0x00\n", -1, -1 },
        { "", "", -1, -1 },                  { "0xff 0x01", "0x09", -1, -1 },
    };
    struct hal_storage s;
    const char *stat = "   11077      345   804578    12003     5544    10101   987654321    30004  "
                       "      0    17000    42007        0        0        0        0\n";
    put(b, "/sys/block/mmcblk0/stat", stat);
    assert_int_equal(b->hal.storage(b->hal.ctx, &s), 0);
    assert_int_equal(s.sectors_written, 987654321);
    assert_int_equal(s.life_used_percent, -1); /* a card that doesn't say */
    assert_int_equal(s.pre_eol, -1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(b, "/sys/block/mmcblk0/device/life_time", cases[i].life);
        put(b, "/sys/block/mmcblk0/device/pre_eol_info", cases[i].eol);
        assert_int_equal(b->hal.storage(b->hal.ctx, &s), 0);
        assert_int_equal(s.life_used_percent, cases[i].percent);
        assert_int_equal(s.pre_eol, cases[i].level);
    }
    put(b, "/sys/block/mmcblk0/stat", "1 2 3\n");
    assert_int_equal(b->hal.storage(b->hal.ctx, &s), WEIR_EIO);
}

/* --- identity --- */

static void id_comes_from_the_hardware_before_the_installation(void **state)
{
    struct bench *b = *state;
    char ids[4][HAL_ID_BYTES], again[HAL_ID_BYTES];
    assert_int_equal(b->hal.unique_id(b->hal.ctx, ids[0]), WEIR_ENOTFOUND);
    static const struct {
        const char *path, *text;
    } origins[] = { { "/etc/machine-id", "0d8f7a1b2c3d4e5f60718293a4b5c6d7\n" },
                    { "/sys/class/dmi/id/board_serial", "PF2Y8K1L\n" },
                    { "/sys/class/dmi/id/product_uuid", "4c4c4544-0042-3510-8052-b4c04f4e3332\n" },
                    { "/proc/device-tree/serial-number", "10000000c7d1a2f3" } };
    for (size_t i = 0; i < 4; i++) {
        put_bytes(b, origins[i].path, origins[i].text, strlen(origins[i].text) + 1); /* as in DT */
        assert_int_equal(b->hal.unique_id(b->hal.ctx, ids[i]), 0);
        assert_int_equal(strlen(ids[i]), 32);
        assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
        assert_null(strstr(ids[i], "c7d1a2f3"));
        assert_null(strstr(ids[i], "0d8f7a1b"));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
    }
    put(b, "/etc/machine-id", "ffffffffffffffffffffffffffffff00\n"); /* installed anew */
    assert_int_equal(b->hal.unique_id(b->hal.ctx, again), 0);
    assert_string_equal(again, ids[3]);
}

static void filler_is_no_id(void **state)
{
    struct bench *b = *state;
    static const char *const fillers[] = { "00000000-0000-0000-0000-000000000000",
                                           "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
                                           "To be filled by O.E.M.", "Default string", "", "\n",
                                           "Not Specified", "123456789", "0000000000000000", "1" };
    char id[HAL_ID_BYTES];
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        put(b, "/sys/class/dmi/id/product_uuid", fillers[i]);
        assert_int_equal(b->hal.unique_id(b->hal.ctx, id), WEIR_ENOTFOUND);
    }
}

/* --- why it last started --- */

static void bootstatus_tells_of_the_watchdog_and_the_supply(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *text;
        enum reset_reason reason;
    } cases[] = { { "32\n", RESET_WATCHDOG }, { "0\n", RESET_UNKNOWN }, { "16\n", RESET_POWER },
                  { "48\n", RESET_WATCHDOG }, { "1\n", RESET_UNKNOWN } };
    enum reset_reason reason = RESET_POWER;
    assert_int_equal(b->hal.reset_reason(b->hal.ctx, &reason), WEIR_ENOTFOUND);
    assert_int_equal(reason, RESET_UNKNOWN);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(b, "/sys/class/watchdog/watchdog0/bootstatus", cases[i].text);
        assert_int_equal(b->hal.reset_reason(b->hal.ctx, &reason), 0);
        assert_int_equal(reason, cases[i].reason);
    }
}

static int64_t booted_s(const struct bench *b)
{
    struct hal_time now = b->hal.time(b->hal.ctx);
    return (now.wall_ms - now.mono_ms) / 1000;
}

/* A record for each letter: B boot, S told to stop, L a run level, U a login. The last B is this
 * boot, `off_s` beside it. */
static void put_wtmp(const struct bench *b, const char *letters, int64_t off_s)
{
    struct utmp records[8];
    size_t count = strlen(letters);
    memset(records, 0, sizeof records);
    for (size_t i = 0; i < count; i++) {
        struct utmp *u = &records[i];
        u->ut_type = letters[i] == 'B' ? BOOT_TIME : letters[i] == 'U' ? USER_PROCESS : RUN_LVL;
        strcpy(u->ut_user, letters[i] == 'B' ? "reboot" : letters[i] == 'S' ? "shutdown" : "user");
        u->ut_tv.tv_sec = (int32_t)(booted_s(b) + off_s);
    }
    put_bytes(b, "/var/log/wtmp", records, count * sizeof records[0]);
}

static void wtmp_tells_whether_it_was_told_to_stop(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *records;
        int64_t off_s;
        enum reset_reason reason;
    } cases[] = {
        { "BLUSB", 2, RESET_SOFTWARE }, { "BLUSBLU", -30, RESET_SOFTWARE },
        { "BLUBLU", 2, RESET_UNCLEAN }, { "BSBBL", 2, RESET_UNCLEAN },
        { "SB", 2, RESET_SOFTWARE },    { "BLU", 2, RESET_UNKNOWN }, /* the log begins here */
        { "LUB", 2, RESET_UNKNOWN },    { "", 2, RESET_UNKNOWN },
        { "BSB", 86400, RESET_UNKNOWN }, { "BSB", -86400, RESET_UNKNOWN }, /* of another boot */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum reset_reason reason;
        put_wtmp(b, cases[i].records, cases[i].off_s);
        assert_int_equal(b->hal.reset_reason(b->hal.ctx, &reason), 0);
        assert_int_equal(reason, cases[i].reason);
    }
    put_wtmp(b, "BSB", 0);
    put(b, "/sys/class/watchdog/watchdog0/bootstatus", "32");
    enum reset_reason reason;
    assert_int_equal(b->hal.reset_reason(b->hal.ctx, &reason), 0);
    assert_int_equal(reason, RESET_WATCHDOG); /* the hardware knows best */
}

/* --- time, and chance --- */

static void clocks_run_and_the_boot_has_a_number(void **state)
{
    struct bench *b = *state;
    struct hal_time before = b->hal.time(b->hal.ctx);
    assert_int_equal(before.boot, 0);
    put(b, "/proc/sys/kernel/random/boot_id", "51ad1ff0-6e91-4ca9-95d4-34d0a1f3f2aa\n");
    start(b);
    struct hal_time now = b->hal.time(b->hal.ctx);
    assert_true(now.mono_ms >= before.mono_ms);
    assert_true(now.boot != 0);
    assert_true(now.wall_ms / 1000 - (int64_t)time(NULL) < 2);
    assert_true((int64_t)time(NULL) - now.wall_ms / 1000 < 2);
    b->hal = hal_linux(&b->machine, &(struct hal_linux_config){ &b->board, b->root, true });
    assert_int_equal(b->hal.time(b->hal.ctx).state,
                     now.wall_ms < WEIR_BUILD_TIME * INT64_C(1000) ? CLOCK_UNSET : CLOCK_SYNCED);
}

static void entropy_differs(void **state)
{
    struct bench *b = *state;
    uint8_t one[32] = { 0 }, other[32] = { 0 };
    assert_int_equal(b->hal.entropy(b->hal.ctx, one, sizeof one), 0);
    assert_int_equal(b->hal.entropy(b->hal.ctx, other, sizeof other), 0);
    assert_memory_not_equal(one, other, sizeof one);
}

/* --- what is there, and what is not --- */

static void assert_part(const struct hal_presence *part, bool there, const char *what)
{
    assert_int_equal(part->there, there);
    if (strstr(part->what, what) == NULL)
        fail_msg("`%s` does not say `%s`", part->what, what);
}

static void nothing_there_is_said_and_lived_with(void **state)
{
    struct bench *b = *state;
    struct hal_presence parts[HAL_PARTS];
    int32_t number;
    uint32_t seconds;
    struct hal_storage storage;
    b->hal.describe(b->hal.ctx, parts);
    for (int part = 0; part < HAL_PARTS; part++)
        assert_false(parts[part].there);
    assert_part(&parts[HAL_WATCHDOG], false, "/dev/watchdog0: No such file");
    assert_part(&parts[HAL_LED], false, "/sys/class/leds/ACT/brightness: No such file");
    assert_part(&parts[HAL_UNIQUE_ID], false, "the machine has none");
    b->board = (struct hal_board){ .name = "bare" };
    b->hal.describe(b->hal.ctx, parts);
    assert_part(&parts[HAL_WATCHDOG], false, "the board names none");
    assert_part(&parts[HAL_RELAY], false, "the board names none");
    assert_int_equal(b->hal.watchdog_start(b->hal.ctx, 10, &seconds), WEIR_ENOTFOUND);
    assert_int_equal(b->hal.watchdog_feed(b->hal.ctx), WEIR_ENOTFOUND);
    assert_int_equal(b->hal.watchdog_stop(b->hal.ctx), WEIR_ENOTFOUND);
    assert_int_equal(b->hal.led(b->hal.ctx, LED_GOOD), WEIR_ENOTFOUND);
    assert_int_equal(b->hal.relay(b->hal.ctx, true), WEIR_ENOTFOUND);
    assert_int_equal(b->hal.temperature(b->hal.ctx, &number), WEIR_ENOTFOUND);
    assert_int_equal(b->hal.storage(b->hal.ctx, &storage), WEIR_ENOTFOUND);
}

static void what_is_there_is_described(void **state)
{
    struct bench *b = *state;
    struct hal_presence parts[HAL_PARTS];
    put(b, "/dev/watchdog0", "");
    put(b, "/dev/gpiochip0", "");
    put(b, "/sys/class/leds/ACT/brightness", "");
    put(b, "/sys/class/thermal/thermal_zone0/temp", "1");
    put(b, "/sys/block/mmcblk0/stat", "1");
    put(b, "/proc/meminfo", "MemTotal: 1 kB");
    put(b, "/proc/self/status", "VmRSS: 1 kB");
    put(b, "/etc/machine-id", "0d8f7a1b2c3d4e5f60718293a4b5c6d7");
    put(b, "/sys/class/watchdog/watchdog0/bootstatus", "32");
    b->hal.describe(b->hal.ctx, parts);
    assert_part(&parts[HAL_WATCHDOG], true, "/dev/watchdog0");
    assert_part(&parts[HAL_LED], true, "ACT");
    assert_part(&parts[HAL_RELAY], true, "gpiochip0");
    assert_part(&parts[HAL_TEMPERATURE], true, "thermal_zone0");
    assert_part(&parts[HAL_MEMORY], true, "meminfo");
    assert_part(&parts[HAL_STORAGE], true, "mmcblk0");
    assert_part(&parts[HAL_UNIQUE_ID], true, "/etc/machine-id");
    assert_part(&parts[HAL_RESET_REASON], true, "watchdog");
}

/* A path over what the tree holds at most is nobody's, not a piece of one. */
static void broken_trees_are_errors(void **state)
{
    struct bench *b = *state;
    int32_t number;
    put(b, "/sys/class/thermal/thermal_zone0/temp/inner", "a folder where a file should be");
    assert_int_equal(b->hal.temperature(b->hal.ctx, &number), WEIR_EIO);
    take_away(b, "/sys/class/thermal/thermal_zone0/temp/inner");
    put(b, "/sys/class/leds/ACT/brightness/inner", "");
    put(b, "/sys/class/leds/ACT/trigger", "");
    assert_int_equal(b->hal.led(b->hal.ctx, LED_GOOD), WEIR_EIO);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(watchdog_is_fed_and_stopped_by_the_magic_character),
        CASE(watchdog_that_nobody_stopped_counts_on),
        CASE(watchdog_grants_what_the_hardware_can),
        CASE(led_shows_each_pattern),
        CASE(led_waits_for_the_files_of_its_trigger),
        CASE(led_that_cannot_blink_shines_for_good_alone),
        CASE(button_tells_one_press_a_call),
        CASE(relay_holds_its_line),
        CASE(relay_is_found_by_its_chips_label),
        CASE(relay_may_be_active_low_and_its_line_absent),
        CASE(temperature_is_in_thousandths),
        CASE(supply_is_found_by_its_monitors_name),
        CASE(memory_is_the_machines_and_our_own),
        CASE(storage_says_how_worn_it_is),
        CASE(id_comes_from_the_hardware_before_the_installation),
        CASE(filler_is_no_id),
        CASE(bootstatus_tells_of_the_watchdog_and_the_supply),
        CASE(wtmp_tells_whether_it_was_told_to_stop),
        CASE(clocks_run_and_the_boot_has_a_number),
        CASE(entropy_differs),
        CASE(nothing_there_is_said_and_lived_with),
        CASE(what_is_there_is_described),
        CASE(broken_trees_are_errors),
    };
    return cmocka_run_group_tests_name("hal_linux", tests, NULL, NULL);
}
