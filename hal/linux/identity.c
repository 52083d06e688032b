/* Which machine this is. */
#include <stdio.h>
#include <string.h>

#include "hal/linux/parts.h"
#include "pipeline/hash.h"

/* From what the hardware says to what a reinstall makes anew. The id is a hash: a machine-id must
 * not be shown (machine-id(5)), and a serial number is nobody's business upstream. */
static const struct origin {
    const char *path, *name;
} origins[] = {
    { "/proc/device-tree/serial-number", "the device tree's serial number" },
    { "/sys/class/dmi/id/product_uuid", "the firmware's UUID" },
    { "/sys/class/dmi/id/board_serial", "the main board's serial number" },
    { "/etc/machine-id", "/etc/machine-id" },
};

enum { ORIGINS = sizeof origins / sizeof origins[0], ORIGIN_BYTES_MIN = 6 };

/* What makers leave in the field: one character over and over, counting up, or a sentence. */
static bool is_filler(const char *text)
{
    static const char *const fillers[] = { "O.E.M.", "Default", "default", "Not Specified", "None",
                                           "123456789", "uninitialized" };
    if (strlen(text) < ORIGIN_BYTES_MIN)
        return true;
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++)
        if (strstr(text, fillers[i]) != NULL)
            return true;
    for (const char *at = text; *at != '\0'; at++)
        if (*at != text[0] && *at != '-')
            return false;
    return true;
}

static const struct origin *find_origin(const struct hal_linux *m, char text[64])
{
    char path[TREE_PATH_BYTES];
    for (size_t i = 0; i < ORIGINS; i++) {
        tree_path(m, path, "%s", origins[i].path);
        if (tree_read(path, text, 64) == 0 && !is_filler(text))
            return &origins[i];
    }
    return NULL;
}

int linux_unique_id(void *ctx, char id[HAL_ID_BYTES])
{
    const struct hal_linux *m = ctx;
    char text[64];
    struct hash_state hash;
    const struct origin *origin = find_origin(m, text);
    if (origin == NULL)
        return WEIR_ENOTFOUND;
    hash_begin(&hash, (struct hash_key){ 0x77656972, 0x6d616368 }, 1);
    hash_add(&hash, origin->path, strlen(origin->path));
    hash_add(&hash, text, strlen(text));
    struct hash128 digest = hash_end128(&hash);
    (void)snprintf(id, HAL_ID_BYTES, "%016llx%016llx", (unsigned long long)digest.high,
                   (unsigned long long)digest.low);
    return 0;
}

const char *linux_unique_id_source(const struct hal_linux *m)
{
    char text[64];
    const struct origin *origin = find_origin(m, text);
    return origin != NULL ? origin->name : NULL;
}
