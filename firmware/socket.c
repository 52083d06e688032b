#include "firmware/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

int socket_listen(const struct config_broker *at, int backlog)
{
    const int yes = 1;
    int family = strchr(at->host, ':') != NULL ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 && bind_to(fd, at) == 0 &&
        listen(fd, backlog) == 0)
        return fd;
    int error = errno;
    (void)close(fd); /* never used */
    errno = error;
    return -1;
}
