/* The button is one line of a GPIO chip, whose edges the kernel keeps, with their times, until they
 * are asked for. libgpiod 1.6. */
#include <errno.h>
#include <gpiod.h>
#include <time.h>

#include "hal/linux/parts.h"

static int64_t milliseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000;
}

void linux_button_close(struct hal_linux *m)
{
    if (m->button_chip != NULL)
        gpiod_chip_close(m->button_chip); /* its lines with it */
    m->button_chip = NULL;
    m->button_line = NULL;
}

static int take_line(struct hal_linux *m)
{
    const struct hal_board *board = m->config.board;
    int flags = board->button_active_low ? GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW : 0;
    int err = linux_gpio_open(m, board->button_chip, &m->button_chip);
    if (err != 0)
        return err;
    m->button_line = gpiod_chip_get_line(m->button_chip, board->button_line);
    if (m->button_line != NULL &&
        gpiod_line_request_both_edges_events_flags(m->button_line, "weir-button", flags) == 0)
        return 0;
    err = tree_error(errno);
    linux_button_close(m);
    return err;
}

int linux_button(void *ctx, enum hal_press *press)
{
    struct hal_linux *m = ctx;
    struct gpiod_line_event event;
    struct timespec now;
    *press = PRESS_NONE;
    int err = m->button_line != NULL ? 0 : take_line(m);
    if (err != 0)
        return err;
    while (*press == PRESS_NONE &&
           gpiod_line_event_wait(m->button_line, &(struct timespec){ 0 }) > 0) {
        if (gpiod_line_event_read(m->button_line, &event) != 0)
            return tree_error(errno);
        *press = press_edge(&m->press, event.event_type == GPIOD_LINE_EVENT_RISING_EDGE,
                            milliseconds(&event.ts));
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* that of the edges; it is always there */
    if (*press == PRESS_NONE)
        *press = press_look(&m->press, milliseconds(&now));
    return 0;
}

/* Looking opens the chip and takes no line. */
int linux_button_find(struct hal_linux *m)
{
    if (m->button_chip != NULL)
        return 0;
    int err = linux_gpio_open(m, m->config.board->button_chip, &m->button_chip);
    linux_button_close(m);
    return err;
}
