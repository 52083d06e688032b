#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/api/http_state.h"
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

int http_listen_local(const char *path, char *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        (void)snprintf(why, 256, "%.190s: a socket's path has at most %zu bytes", path,
                       sizeof address.sun_path - 1);
        return WEIR_EINVAL;
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
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

static int bind_to(int fd, const struct config_broker *at)
{
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(at->port) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(at->port) };
    if (inet_pton(AF_INET6, at->host, &six.sin6_addr) == 1)
        return bind(fd, (const struct sockaddr *)&six, sizeof six);
    if (inet_pton(AF_INET, at->host, &four.sin_addr) != 1)
        four.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* localhost: all else was refused */
    return bind(fd, (const struct sockaddr *)&four, sizeof four);
}

int http_listen_network(const struct config_broker *at, char *why)
{
    const int yes = 1;
    int family = strchr(at->host, ':') != NULL ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind_to(fd, at) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    (void)snprintf(why, 256, "http.listen: can't listen at %.60s:%u: %.60s", at->host, at->port,
                   strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* never used */
    return WEIR_EIO;
}
