#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hal/linux/parts.h"

void tree_path(const struct hal_linux *m, char to[TREE_PATH_BYTES], const char *format, ...)
{
    va_list arguments;
    int used = snprintf(to, TREE_PATH_BYTES, "%s", m->config.root);
    if (used < 0 || used >= TREE_PATH_BYTES)
        return;
    va_start(arguments, format);
    (void)vsnprintf(to + used, TREE_PATH_BYTES - (size_t)used, format, arguments); /* may be cut */
    va_end(arguments);
}

int tree_error(int code)
{
    return code == ENOENT || code == ENOTDIR || code == ENODEV || code == ENXIO ? WEIR_ENOTFOUND
           : code == EBUSY                                                      ? WEIR_EBUSY
                                                                                : WEIR_EIO;
}

int tree_read(const char *path, char *to, size_t bytes)
{
    size_t used = 0;
    ssize_t got = 1;
    to[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tree_error(errno);
    while (got > 0 && used < bytes - 1) {
        got = read(fd, to + used, bytes - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    int code = errno;
    (void)close(fd); /* read only */
    if (got < 0)
        return tree_error(code);
    while (used > 0 && strchr(" \t\r\n", to[used - 1]) != NULL) /* finds the zero byte too */
        used--;
    to[used] = '\0';
    return 0;
}

int tree_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return tree_error(errno);
    ssize_t written = write(fd, text, strlen(text));
    int code = errno;
    (void)close(fd); /* what write said counts: files in /sys take effect with it */
    if (written < 0)
        return tree_error(code);
    return written == (ssize_t)strlen(text) ? 0 : WEIR_EIO;
}

uint64_t tree_number_behind(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}
