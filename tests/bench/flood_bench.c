/* Goal: as many strangers at a listener as one core can be: connect, say the same few bytes, take the
 * answer or the end, and come again. Method: non-blocking sockets on epoll, from as many addresses of the
 * loopback as wanted; every end is a reset, so that no port is used up. What is said comes from a file: a
 * CONNECT with a wrong password, a TLS ClientHello, or nothing, then the connection is just held.
 *
 *   flood_bench PORT SECONDS AT_ONCE ADDRESSES WANT [FILE]
 *
 * Prints a JSON object: connects, answered (WANT bytes came), ended (the end came first), in how many ms. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SAY_MAX = 4096, AT_ONCE_MAX = 4096, EVENTS_MAX = 256 };

struct stranger {
    int fd; /* -1: to come again */
    bool said;
    uint32_t heard; /* bytes */
};

static struct {
    uint16_t port;
    uint32_t at_once, addresses, next_address, want;
    int epoll;
    uint8_t say[SAY_MAX];
    size_t say_bytes;
    struct stranger strangers[AT_ONCE_MAX];
    uint64_t connects, answered, ended, failed;
} f;

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* Linux has it */
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void leave(struct stranger *s)
{
    (void)close(s->fd); /* a reset, and out of epoll */
    s->fd = -1;
}

static void come(struct stranger *s)
{
    const struct linger reset = { .l_onoff = 1 };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(f.port) }, from = to;
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = s };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_port = 0;
    from.sin_addr.s_addr = htonl(0x7f010001u + f.next_address++ % f.addresses); /* 127.1.0.1 and up */
    *s = (struct stranger){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) };
    if (s->fd < 0)
        return;
    (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset); /* else: TIME_WAIT */
    bool on_the_way = bind(s->fd, (const struct sockaddr *)&from, sizeof from) == 0 &&
                      (connect(s->fd, (const struct sockaddr *)&to, sizeof to) == 0 ||
                       errno == EINPROGRESS) &&
                      epoll_ctl(f.epoll, EPOLL_CTL_ADD, s->fd, &event) == 0;
    if (!on_the_way) {
        f.failed++;
        leave(s);
    }
}

static void serve(struct stranger *s, uint32_t events)
{
    uint8_t answer[SAY_MAX];
    if ((events & EPOLLOUT) != 0 && !s->said) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };
        s->said = true;
        f.connects++;
        if (f.say_bytes > 0 && send(s->fd, f.say, f.say_bytes, MSG_NOSIGNAL) < 0) {
            f.ended++;
            leave(s);
            return;
        }
        (void)epoll_ctl(f.epoll, EPOLL_CTL_MOD, s->fd, &event); /* it is in there */
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
        return;
    ssize_t got = recv(s->fd, answer, sizeof answer, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    s->heard += got > 0 ? (uint32_t)got : 0;
    if (got > 0 && s->heard < f.want)
        return;
    *(got > 0 ? &f.answered : &f.ended) += 1;
    leave(s);
}

static bool read_arguments(int argc, char **argv)
{
    if (argc < 6 || argc > 7)
        return false;
    f.port = (uint16_t)atoi(argv[1]);
    f.at_once = (uint32_t)atoi(argv[3]);
    f.addresses = (uint32_t)atoi(argv[4]);
    f.want = (uint32_t)atoi(argv[5]);
    if (f.at_once < 1 || f.at_once > AT_ONCE_MAX || f.addresses < 1)
        return false;
    if (argc == 6)
        return true;
    FILE *file = fopen(argv[6], "rb");
    if (file == NULL)
        return false;
    f.say_bytes = fread(f.say, 1, sizeof f.say, file);
    return fclose(file) == 0;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    if (!read_arguments(argc, argv)) {
        (void)fprintf(stderr, "usage: flood_bench PORT SECONDS AT_ONCE ADDRESSES WANT [FILE]\n");
        return 2;
    }
    int64_t began_ms = now_ms(), end_ms = began_ms + atoi(argv[2]) * INT64_C(1000);
    f.epoll = epoll_create1(0);
    for (uint32_t i = 0; i < f.at_once; i++)
        f.strangers[i].fd = -1;
    while (now_ms() < end_ms) {
        for (uint32_t i = 0; i < f.at_once; i++)
            if (f.strangers[i].fd < 0)
                come(&f.strangers[i]);
        int count = epoll_wait(f.epoll, events, EVENTS_MAX, 20);
        for (int i = 0; i < count; i++)
            serve(events[i].data.ptr, events[i].events);
    }
    (void)printf("{\"connects\":%llu,\"answered\":%llu,\"ended\":%llu,\"failed\":%llu,\"ms\":%lld}\n",
                 (unsigned long long)f.connects, (unsigned long long)f.answered,
                 (unsigned long long)f.ended, (unsigned long long)f.failed,
                 (long long)(now_ms() - began_ms));
    return 0;
}
