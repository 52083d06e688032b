#include "firmware/listener/transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_wait(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

int32_t transport_read(const struct transport *t, uint8_t *to, uint32_t bytes)
{
    if (t->tls != NULL)
        return tls_read(t->tls, to, bytes);
    ssize_t got = recv(t->fd, to, bytes, 0);
    if (got > 0)
        return (int32_t)got;
    return got < 0 && is_wait(errno) ? 0 : -1;
}

int32_t transport_write(const struct transport *t, const uint8_t *at, uint32_t bytes)
{
    if (t->tls != NULL)
        return tls_write(t->tls, at, bytes);
    ssize_t sent = send(t->fd, at, bytes, MSG_NOSIGNAL);
    if (sent >= 0)
        return (int32_t)sent;
    return is_wait(errno) ? 0 : -1;
}

bool transport_pending(const struct transport *t)
{
    return t->tls != NULL && tls_pending(t->tls);
}

bool transport_waits_for_us(const struct transport *t)
{
    uint8_t byte;
    return recv(t->fd, &byte, 1, MSG_PEEK) > 0;
}

bool transport_wants_write(const struct transport *t)
{
    return t->tls != NULL && tls_wants_write(t->tls);
}

bool transport_end(const struct transport *t)
{
    if (t->tls != NULL) {
        tls_end(t->tls);
        tls_close(t->tls);
    }
    return shutdown(t->fd, SHUT_WR) == 0;
}

void transport_close(struct transport *t)
{
    if (t->tls != NULL)
        tls_close(t->tls);
    (void)close(t->fd); /* takes it out of epoll; its bytes went, or nobody wants them */
    t->fd = -1;
}
