/* What the machine says of its temperature, its supply, its memory and its storage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hal/linux/parts.h"

int linux_temperature(void *ctx, int32_t *milli_celsius)
{
    const struct hal_linux *m = ctx;
    char path[TREE_PATH_BYTES], text[32], *end;
    if (m->config.board->thermal[0] == '\0')
        return WEIR_ENOTFOUND;
    tree_path(m, path, "/sys/class/thermal/%s/temp", m->config.board->thermal);
    int err = tree_read(path, text, sizeof text);
    if (err != 0)
        return err;
    long read = strtol(text, &end, 10);
    if (end == text || read < -273150 || read > 1000000)
        return WEIR_EIO;
    *milli_celsius = (int32_t)read;
    return 0;
}

/* Monitors are numbered as they are found; their names stay. The lower critical alarm of the first
 * voltage (Documentation/hwmon/sysfs-interface) is what a Raspberry Pi's firmware sets. */
int linux_supply_low(void *ctx, bool *low)
{
    enum { MONITORS_MAX = 32 };
    const struct hal_linux *m = ctx;
    char path[TREE_PATH_BYTES], text[64];
    for (int i = 0; i < MONITORS_MAX && m->config.board->supply[0] != '\0'; i++) {
        tree_path(m, path, "/sys/class/hwmon/hwmon%d/name", i);
        if (tree_read(path, text, sizeof text) != 0 || strcmp(text, m->config.board->supply) != 0)
            continue;
        tree_path(m, path, "/sys/class/hwmon/hwmon%d/in0_lcrit_alarm", i);
        int err = tree_read(path, text, sizeof text);
        *low = err == 0 && strcmp(text, "0") != 0;
        return err;
    }
    return WEIR_ENOTFOUND;
}

int linux_memory(void *ctx, struct hal_memory *memory)
{
    const struct hal_linux *m = ctx;
    char path[TREE_PATH_BYTES], machine[TREE_TEXT_BYTES], own[TREE_TEXT_BYTES];
    tree_path(m, path, "/proc/meminfo");
    int err = tree_read(path, machine, sizeof machine);
    tree_path(m, path, "/proc/self/status");
    err = err != 0 ? err : tree_read(path, own, sizeof own);
    if (err != 0)
        return err;
    *memory = (struct hal_memory){
        .total_bytes = tree_number_behind(machine, "MemTotal:") * 1024,
        .available_bytes = tree_number_behind(machine, "MemAvailable:") * 1024,
        .rss_bytes = tree_number_behind(own, "VmRSS:") * 1024,
        .anonymous_bytes = tree_number_behind(own, "RssAnon:") * 1024,
        .peak_bytes = tree_number_behind(own, "VmHWM:") * 1024,
    };
    return 0;
}

/* The larger of the two areas' wear (JEDEC eMMC 5.0, EXT_CSD 268 and 269: "0x02 0x01" are steps of
 * 10 %, 0x0b is past the life, 0 not defined); -1: not said. */
static int life_used(const struct hal_linux *m)
{
    char path[TREE_PATH_BYTES], text[32], *rest = text;
    tree_path(m, path, "/sys/block/%s/device/life_time", m->config.board->storage);
    if (tree_read(path, text, sizeof text) != 0)
        return -1;
    unsigned long first = strtoul(rest, &rest, 16), second = strtoul(rest, &rest, 16);
    unsigned long steps = first > second ? first : second;
    return steps >= 1 && steps <= 11 ? (int)steps * 10 : -1;
}

static int pre_eol(const struct hal_linux *m)
{
    char path[TREE_PATH_BYTES], text[32];
    tree_path(m, path, "/sys/block/%s/device/pre_eol_info", m->config.board->storage);
    unsigned long level = tree_read(path, text, sizeof text) == 0 ? strtoul(text, NULL, 16) : 0;
    return level >= 1 && level <= 3 ? (int)level : -1;
}

/* The seventh number of /sys/block/X/stat. */
int linux_storage(void *ctx, struct hal_storage *storage)
{
    const struct hal_linux *m = ctx;
    char path[TREE_PATH_BYTES], text[512], *rest = text;
    uint64_t number = 0;
    if (m->config.board->storage[0] == '\0')
        return WEIR_ENOTFOUND;
    tree_path(m, path, "/sys/block/%s/stat", m->config.board->storage);
    int err = tree_read(path, text, sizeof text);
    if (err != 0)
        return err;
    for (int i = 0; i < 7; i++) {
        char *from = rest;
        number = strtoull(from, &rest, 10);
        if (rest == from)
            return WEIR_EIO;
    }
    *storage = (struct hal_storage){ life_used(m), pre_eol(m), number };
    return 0;
}
