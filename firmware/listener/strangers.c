/* strangers: who comes, and those that are not connected yet: in an epoll descriptor of their own
 * within the listener's, so that one call stops to listen to all of them when their time is used
 * up. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "firmware/listener/listener_state.h"
#include "firmware/log.h"

enum {
    EVENTS_MAX = 64,  /* of one turn: the others come first in the next */
    ACCEPTS_MAX = 64, /* likewise */
    DEAD_PEER_IDLE_S = 60,
    DEAD_PEER_INTERVAL_S = 20,
    DEAD_PEER_PROBES = 3
};

static const uint32_t OUR_SOCKET = UINT32_MAX; /* among the numbers of devices */

static void set_accepting(struct listener *l, bool accepting)
{
    struct epoll_event event = { .events = accepting ? EPOLLIN : 0, .data.u32 = OUR_SOCKET };
    if (accepting == l->accepting)
        return;
    l->accepting = accepting;
    (void)epoll_ctl(l->strangers, EPOLL_CTL_MOD, l->fd, &event); /* it is in there */
}

static void set_listening(struct listener *l, bool listening)
{
    struct epoll_event event = { .events = listening ? EPOLLIN : 0,
                                 .data.u32 = LISTENER_STRANGERS };
    if (listening == l->listening)
        return;
    l->listening = listening;
    (void)epoll_ctl(l->epoll, EPOLL_CTL_MOD, l->strangers, &event); /* it is in there */
}

bool strangers_open(struct listener *l)
{
    struct epoll_event ours = { .events = EPOLLIN, .data.u32 = OUR_SOCKET };
    struct epoll_event all = { .events = EPOLLIN, .data.u32 = LISTENER_STRANGERS };
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->strangers = epoll_create1(EPOLL_CLOEXEC);
    l->accepting = l->listening = true;
    return l->epoll >= 0 && l->strangers >= 0 &&
           epoll_ctl(l->strangers, EPOLL_CTL_ADD, l->fd, &ours) == 0 &&
           epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->strangers, &all) == 0;
}

/* A free place, or that of the one that has been at the door for longest. NULL: all are served. */
static struct device *find_place(struct listener *l)
{
    struct device *oldest = NULL;
    for (uint32_t i = 0; i < l->slots; i++) {
        struct device *d = &l->devices[i];
        if (d->state == DEVICE_FREE)
            return d;
        if (!d->connected && (oldest == NULL || d->opened < oldest->opened))
            oldest = d;
    }
    if (oldest == NULL)
        return NULL;
    l->counts.refused += oldest->state == DEVICE_SERVED;
    device_close(l, oldest);
    return oldest;
}

/* Small answers leave at once, and a peer that is gone without a word is found out. */
static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = { { IPPROTO_TCP, TCP_NODELAY, 1 },
                    { SOL_SOCKET, SO_KEEPALIVE, 1 },
                    { IPPROTO_TCP, TCP_KEEPIDLE, DEAD_PEER_IDLE_S },
                    { IPPROTO_TCP, TCP_KEEPINTVL, DEAD_PEER_INTERVAL_S },
                    { IPPROTO_TCP, TCP_KEEPCNT, DEAD_PEER_PROBES } };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof options[i].value); /* it works without, only worse */
}

/* IPv4 as IPv6 writes it; of IPv6 the network alone: a host takes what address it likes in it. */
static struct door_address address_of(const struct sockaddr_storage *from)
{
    struct door_address address = { { 0 } };
    if (from->ss_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)from)->sin6_addr;
        memcpy(address.bytes, six, IN6_IS_ADDR_V4MAPPED(six) ? 16 : 8);
        return address;
    }
    address.bytes[10] = address.bytes[11] = 0xff;
    memcpy(address.bytes + 12, &((const struct sockaddr_in *)from)->sin_addr, 4);
    return address;
}

static void accept_some(struct listener *l)
{
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage from = { 0 };
        socklen_t from_bytes = sizeof from;
        int fd = accept4(l->fd, (struct sockaddr *)&from, &from_bytes,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0) {
            log_event("source_accept_failed", "source=%s why=\"%s\"", l->config.source->name,
                      strerror(errno));
            set_accepting(l, false); /* until the next tick: it would be ready all the time */
            return;
        }
        l->counts.accepted++;
        struct door_address address = address_of(&from);
        if (!door_listens(l->door, &address, l->now_ms)) {
            l->counts.slowed++;
            (void)close(fd); /* nothing was said */
            continue;
        }
        set_options(fd);
        struct device *d = find_place(l);
        assert(d != NULL); /* there are more places than may be connected */
        d->address = address;
        device_open(l, d, fd);
    }
}

static int64_t clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* Linux has it */
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Those who are not connected, and who comes. Closed places are filled here only, after all events
 * that may still name them. */
void strangers_serve(struct listener *l)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t now_ns = clock_ns();
    bool newcomers = false;
    if (!door_has_time(l->door, now_ns)) {
        set_listening(l, false);
        return;
    }
    int count = epoll_wait(l->strangers, events, EVENTS_MAX, 0);
    for (int i = 0; i < count && door_has_time(l->door, now_ns); i++) {
        if (events[i].data.u32 == OUR_SOCKET)
            newcomers = true;
        else
            listener_serve(l, &l->devices[events[i].data.u32], events[i].events);
        int64_t before_ns = now_ns;
        now_ns = clock_ns();
        door_spent(l->door, now_ns - before_ns);
    }
    if (!newcomers)
        return;
    accept_some(l);
    door_spent(l->door, clock_ns() - now_ns);
}

void strangers_turn(struct listener *l)
{
    if (!l->listening && door_has_time(l->door, clock_ns()))
        set_listening(l, true);
}

void strangers_tick(struct listener *l)
{
    set_accepting(l, true);
    l->crowded = l->shaking >= LISTENER_HANDSHAKES;
}

int64_t strangers_next_turn_ms(const struct listener *l)
{
    return l->listening ? INT64_MAX : l->now_ms + 1 + door_wait_ns(l->door) / 1000000;
}
