#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/api/http_state.h"
#include "firmware/socket.h"
#include "pipeline/err.h"

enum { BACKLOG = 16 };

static bool somebody_answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0)
        (void)close(fd); /* nothing was written */
    return answers;
}

/* A mistyped path must not cost somebody his file. */
static bool is_other_file(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode);
}

int http_listen_local(const char *path, char *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        (void)snprintf(why, 256, "%.190s: a socket's path has at most %zu bytes", path,
                       sizeof address.sun_path - 1);
        return WEIR_EINVAL;
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (is_other_file(path)) {
        (void)snprintf(why, 256, "%.120s: there is a file that is no socket; let gateway.socket "
                       "name another place, or move the file", path);
        return WEIR_EINVAL;
    }
    if (somebody_answers(&address)) {
        (void)snprintf(why, 256, "%s: another gateway answers there", path);
        return WEIR_EBUSY;
    }
    (void)unlink(path); /* a file that is not there is just as good */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask = umask(0117); /* 0660 from the first moment on */
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    (void)umask(mask);
    if (bound && listen(fd, BACKLOG) == 0)
        return fd;
    (void)snprintf(why, 256, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* never used */
    return WEIR_EIO;
}

int http_listen_network(const struct config_broker *at, char *why)
{
    int fd = socket_listen(at, BACKLOG);
    if (fd >= 0)
        return fd;
    (void)snprintf(why, 256, "http.listen: can't listen at %.60s:%u: %.60s", at->host, at->port,
                   strerror(errno));
    return WEIR_EIO;
}
