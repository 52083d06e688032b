#include "firmware/api/updater.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/loop.h"
#include "pipeline/err.h"

void updater_init(struct updater *u, const char *path, struct loop *loop)
{
    *u = (struct updater){ .path = path, .loop = loop, .fd = -1 };
}

static void hang_up(struct updater *u)
{
    if (u->watch != NULL)
        loop_unwatch(u->watch);
    (void)close(u->fd); /* all was read, or nothing more is wanted */
    u->watch = NULL;
    u->fd = -1;
    u->asks = false;
}

static int fail(struct updater *u, int why)
{
    hang_up(u);
    errno = why;
    if (why == ENOENT || why == ECONNREFUSED)
        return WEIR_ENOTFOUND;
    /* a service manager hangs up at once where it has too many */
    return why == EAGAIN || why == EPIPE || why == ECONNRESET ? WEIR_EAGAIN : WEIR_EIO;
}

int updater_ask(struct updater *u, const char *line, int64_t mono_ms)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    size_t bytes = strlen(line);
    assert(!u->asks);
    if (u->path[0] == '\0')
        return WEIR_ENOTFOUND;
    u->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (u->fd < 0)
        return WEIR_EIO;
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", u->path); /* its length was checked */
    if (connect(u->fd, (const struct sockaddr *)&at, sizeof at) != 0)
        return fail(u, errno);
    ssize_t sent = send(u->fd, line, bytes, MSG_NOSIGNAL);
    if (sent != (ssize_t)bytes) /* a new socket has room for it */
        return fail(u, sent < 0 ? errno : EIO);
    u->watch = loop_watch(u->loop, u->fd);
    if (u->watch == NULL)
        return fail(u, EMFILE);
    loop_want(u->watch, LOOP_READABLE);
    u->asks = true;
    u->used = 0;
    u->until_ms = mono_ms + UPDATER_PATIENCE_MS;
    return 0;
}

/* "202 {...}" without its end. */
static void read_answer(const struct updater *u, struct updater_answer *answer)
{
    const char *at = u->came;
    *answer = (struct updater_answer){ .status = 502 };
    for (int i = 0; i < 3; i++)
        if (at[i] < '0' || at[i] > '9')
            return;
    if (at[0] < '2' || at[0] > '5' || at[3] != ' ' || at[4] != '{')
        return;
    answer->status = (uint32_t)((at[0] - '0') * 100 + (at[1] - '0') * 10 + at[2] - '0');
    answer->bytes = (uint32_t)(u->used - 4);
    memcpy(answer->json, at + 4, answer->bytes);
}

bool updater_turn(struct updater *u, int64_t mono_ms, struct updater_answer *answer)
{
    if (!u->asks)
        return false;
    ssize_t got = recv(u->fd, u->came + u->used, sizeof u->came - 1 - u->used, MSG_DONTWAIT);
    bool waits = got < 0 && (errno == EAGAIN || errno == EINTR);
    if (got > 0)
        u->used += (size_t)got;
    u->came[u->used] = '\0';
    size_t end = strcspn(u->came, "\n");
    if (end < u->used) {
        u->used = end;
        u->came[end] = '\0';
        read_answer(u, answer);
    } else if ((waits || got > 0) && mono_ms < u->until_ms) {
        return false; /* a buffer that is full reads as an end in the next turn */
    } else {
        *answer = (struct updater_answer){ .status = waits ? 504 : 502 };
    }
    hang_up(u);
    return true;
}
