/* Finding a GPIO chip. libgpiod 1.6. */
#include <errno.h>
#include <gpiod.h>
#include <string.h>

#include "hal/linux/parts.h"

enum { CHIPS_MAX = 32 };

/* Chips are numbered as they are found, which differs from kernel to kernel; their labels do not.
 * So the board may name either. */
int linux_gpio_open(const struct hal_linux *m, const char *wanted, struct gpiod_chip **chip)
{
    char path[TREE_PATH_BYTES];
    int err = WEIR_ENOTFOUND;
    if (wanted[0] == '\0')
        return WEIR_ENOTFOUND;
    for (int i = 0; i < CHIPS_MAX; i++) {
        tree_path(m, path, "/dev/gpiochip%d", i);
        *chip = gpiod_chip_open(path);
        if (*chip == NULL && errno != ENOENT)
            err = tree_error(errno);
        if (*chip == NULL)
            continue;
        if (strcmp(gpiod_chip_name(*chip), wanted) == 0 ||
            strcmp(gpiod_chip_label(*chip), wanted) == 0)
            return 0;
        gpiod_chip_close(*chip);
        *chip = NULL;
    }
    return err;
}
