/* The kernel's watchdog interface (Documentation/watchdog/watchdog-api). Opening starts it, an
 * ioctl feeds it, and closing stops it only after the magic 'V' was written: so a process that dies
 * leaves it counting. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hal/linux/parts.h"

static int open_device(const struct hal_linux *m)
{
    char path[TREE_PATH_BYTES];
    if (m->config.board->watchdog[0] == '\0')
        return WEIR_ENOTFOUND;
    tree_path(m, path, "/dev/%s", m->config.board->watchdog);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 ? fd : tree_error(errno);
}

static int close_device(struct hal_linux *m)
{
    bool told = write(m->watchdog_fd, "V", 1) == 1;
    bool closed = close(m->watchdog_fd) == 0;
    m->watchdog_fd = -1;
    return told && closed ? 0 : WEIR_EIO;
}

int linux_watchdog_start(void *ctx, uint32_t timeout_s, uint32_t *granted_s)
{
    struct hal_linux *m = ctx;
    int seconds = (int)timeout_s;
    assert(m->watchdog_fd < 0);
    assert(timeout_s > 0);
    int fd = open_device(m);
    if (fd < 0)
        return fd;
    m->watchdog_fd = fd;
    /* Refused where the hardware can't count so far: then it keeps a time-out of its own. */
    (void)ioctl(fd, WDIOC_SETTIMEOUT, &seconds);
    if (ioctl(fd, WDIOC_GETTIMEOUT, &seconds) == 0 && seconds > 0) {
        *granted_s = (uint32_t)seconds;
        return 0;
    }
    (void)close_device(m); /* nobody could feed it in time without knowing that time */
    return WEIR_EIO;
}

int linux_watchdog_feed(void *ctx)
{
    const struct hal_linux *m = ctx;
    if (m->watchdog_fd < 0)
        return WEIR_ENOTFOUND;
    return ioctl(m->watchdog_fd, WDIOC_KEEPALIVE, 0) == 0 ? 0 : WEIR_EIO;
}

int linux_watchdog_stop(void *ctx)
{
    struct hal_linux *m = ctx;
    return m->watchdog_fd < 0 ? WEIR_ENOTFOUND : close_device(m);
}
