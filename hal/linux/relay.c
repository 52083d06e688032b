/* The alarm relay is one line of a GPIO chip, held from its first setting to the end: a line that
 * nobody holds may be taken by others. libgpiod 1.6. */
#include <errno.h>
#include <gpiod.h>

#include "hal/linux/parts.h"

void linux_relay_close(struct hal_linux *m)
{
    if (m->relay_chip != NULL)
        gpiod_chip_close(m->relay_chip); /* its lines with it */
    m->relay_chip = NULL;
    m->relay_line = NULL;
}

/* The line's first value comes with the request, so that it never shows another one. */
static int hold(struct hal_linux *m, bool on)
{
    const struct hal_board *board = m->config.board;
    int flags = board->relay_active_low ? GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW : 0;
    int err = linux_gpio_open(m, board->relay_chip, &m->relay_chip);
    if (err != 0)
        return err;
    m->relay_line = gpiod_chip_get_line(m->relay_chip, board->relay_line);
    if (m->relay_line != NULL &&
        gpiod_line_request_output_flags(m->relay_line, "weir-alarm", flags, on) == 0)
        return 0;
    err = tree_error(errno);
    linux_relay_close(m);
    return err;
}

int linux_relay(void *ctx, bool on)
{
    struct hal_linux *m = ctx;
    if (m->relay_line == NULL)
        return hold(m, on);
    return gpiod_line_set_value(m->relay_line, on) == 0 ? 0 : tree_error(errno);
}

/* Looking opens the chip and takes no line. */
int linux_relay_find(struct hal_linux *m)
{
    if (m->relay_chip != NULL)
        return 0;
    int err = linux_gpio_open(m, m->config.board->relay_chip, &m->relay_chip);
    linux_relay_close(m);
    return err;
}
