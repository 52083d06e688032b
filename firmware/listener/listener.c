#include "firmware/listener/listener.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/config/config_parts.h"
#include "firmware/listener/listener_state.h"
#include "firmware/log.h"
#include "firmware/socket.h"

enum {
    TICK_MS = 250,
    EVENTS_MAX = 64,  /* of one turn: the others come first in the next */
    BACKLOG = 1024,
};

static struct mqtt_offer offer_of(const struct listener_config *config)
{
    uint32_t packet = config->payload_bytes_max + LISTENER_PACKET_SLACK;
    return (struct mqtt_offer){
        .packet_bytes_max = packet,
        .connect_bytes_max = packet,
        .receive_maximum = (uint16_t)config->source->receive_maximum,
        .alias_maximum = LISTENER_ALIASES,
        .alias_bytes = LISTENER_ALIAS_BYTES,
        .exchanges_max = (uint16_t)config->source->receive_maximum,
        .send_max = 1,
        .keep_alive_max_s = LISTENER_KEEP_ALIVE_S,
        .connect_within_ms = LISTENER_CONNECT_MS,
        .qos_max = 2,
        /* Many devices ask for these as a matter of course; to cut them off for it would cost their
         * readings. RETAIN is ignored, and each filter is refused by its SUBACK. */
        .retain = true,
        .wildcards = true,
        .subscription_ids = true,
        .shared = true,
    };
}

uint64_t listener_tls_bytes(const struct config_source *source)
{
    uint64_t sessions = (uint64_t)source->connections_max + LISTENER_HANDSHAKES;
    return sessions * TLS_SESSION_BYTES + (uint64_t)LISTENER_HANDSHAKES * TLS_HANDSHAKE_BYTES;
}

struct listener *listener_init(const struct listener_config *config, struct arena *arena)
{
    struct listener *l = arena_take(arena, 1, sizeof *l);
    struct listener measured, *to = l != NULL ? l : &measured;
    uint32_t acknowledgements = 4 * config->source->receive_maximum;
    const struct tls_config tls = { config->source->broker.cert_file,
                                    config->source->broker.key_file,
                                    config->source->client_ca_file };
    *to = (struct listener){ .config = *config,
                             .offer = offer_of(config),
                             .fd = -1,
                             .epoll = -1,
                             .strangers = -1 };
    to->slots = config_connection_places(config->source);
    to->in_bytes = to->offer.packet_bytes_max;
    to->out_bytes = LISTENER_OUT_BYTES + acknowledgements;
    to->gulp = arena_take(arena, to->in_bytes, 1);
    to->door = arena_take(arena, 1, sizeof *to->door);
    if (config->source->broker.tls)
        to->tls = tls_init(&tls, to->slots, arena);
    to->devices = arena_take(arena, to->slots, sizeof to->devices[0]);
    for (uint32_t i = 0; i < to->slots; i++)
        device_init(to, l != NULL ? &l->devices[i] : NULL, arena);
    return l;
}

void listener_log(struct listener *l, const struct device *d, const char *event, uint8_t reason,
                  const char *why)
{
    log_event(event, "source=%s client=\"%s\" code=0x%02x why=\"%s\"", l->config.source->name,
              log_name(d->id, d->id_bytes).text, reason, why);
}

/* --- our socket ---------------------------------------------------------------------------------
 */

int listener_open(struct listener *l, struct loop *loop, struct gateway *gateway, uint64_t seed,
                  char *why)
{
    const struct config_broker *at = &l->config.source->broker;
    char detail[256];
    l->gateway = gateway;
    const struct hash_key key = { seed, ~seed };
    l->ids = hash64(key, "client ids", 10); /* which everybody sees, and the key nobody */
    door_init(l->door, key);
    if (l->tls != NULL && tls_load(l->tls, detail) != 0) {
        (void)snprintf(why, 256, "source %s: %.180s", l->config.source->name, detail);
        return WEIR_EINVAL;
    }
    l->fd = socket_listen(at, BACKLOG);
    if (l->fd >= 0 && strangers_open(l))
        l->watch = loop_watch(loop, l->epoll);
    if (l->watch == NULL) {
        (void)snprintf(why, 256, "source %s: can't listen at %.60s:%u: %.60s",
                       l->config.source->name, at->host, at->port, strerror(errno));
        return WEIR_EIO;
    }
    l->rests_until_ms = INT64_MIN;
    loop_want(l->watch, LOOP_READABLE);
    gateway_on_source(gateway, l->config.index, true);
    log_event("source_listening", "source=%s at=%s:%u tls=%d connections=%u",
              l->config.source->name, at->host, at->port, l->tls != NULL,
              l->config.source->connections_max);
    return 0;
}

/* --- devices ------------------------------------------------------------------------------------
 */

void listener_watch(struct listener *l, struct device *d, uint32_t interest)
{
    struct epoll_event event = { .events = interest, .data.u32 = (uint32_t)(d - l->devices) };
    if (interest == d->interest)
        return;
    /* Never both 0 before and after: a new one wants to read. */
    int how = d->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    d->watched = true;
    d->interest = interest;
    if (epoll_ctl(d->inside ? l->epoll : l->strangers, how, d->link.fd, &event) != 0)
        d->deadline_ms = INT64_MIN; /* the kernel has no memory: the next tick ends it */
}

struct device *listener_find(struct listener *l, const struct device *but, struct text id)
{
    for (uint32_t i = 0; i < l->slots; i++) {
        struct device *d = &l->devices[i];
        if (d != but && d->connected && text_equal((struct text){ d->id, d->id_bytes }, id))
            return d;
    }
    return NULL;
}

/* --- the turn -----------------------------------------------------------------------------------
 */

static void tick(struct listener *l)
{
    l->tick_ms = l->now_ms + TICK_MS;
    strangers_tick(l);
    for (uint32_t i = 0; i < l->slots; i++)
        if (l->devices[i].state != DEVICE_FREE)
            device_tick(l, &l->devices[i]);
    l->ticked_ms = l->now_ms;
}

/* What the gateway or its own acknowledgements held up. */
static void retry_stalled(struct listener *l)
{
    uint32_t first = l->first;
    for (uint32_t i = 0; i < l->slots && l->stalled > 0; i++) {
        l->first = (first + i) % l->slots;
        if (!gateway_may_take(l->gateway, l->config.index))
            return; /* this one comes first the next time */
        if (l->devices[l->first].stall == STALL_GATEWAY)
            device_retry(l, &l->devices[l->first]);
    }
}

void listener_serve(struct listener *l, struct device *d, uint32_t events)
{
    d->served = l->turn;
    if (d->state != DEVICE_FREE && (events & EPOLLOUT) != 0)
        device_write(l, d);
    if (d->state == DEVICE_FREE || (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
        return;
    if (d->stall == STALL_NONE)
        device_read(l, d);
    else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
        device_close(l, d); /* nobody is left to acknowledge to; it comes again */
}

static uint64_t served_at(const struct listener *l, const struct epoll_event *event)
{
    return event->data.u32 == LISTENER_STRANGERS ? 0 : l->devices[event->data.u32].served;
}

/* Whoever was served longest ago comes first: epoll tells of those with more to read in the same
 * order each time, and where a turn is too short for all, the last of them would never be read. */
static void sort_by_turn(const struct listener *l, struct epoll_event *events, int count)
{
    for (int i = 1; i < count; i++) {
        struct epoll_event moving = events[i];
        int to = i;
        for (; to > 0 && served_at(l, &events[to - 1]) > served_at(l, &moving); to--)
            events[to] = events[to - 1];
        events[to] = moving;
    }
}

static void serve_ready(struct listener *l, uint32_t messages_max)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(l->epoll, events, EVENTS_MAX, 0);
    bool strangers = false;
    l->drained = l->drained && count < EVENTS_MAX;
    sort_by_turn(l, events, count);
    l->turn++;
    for (int i = 0; i < count; i++) {
        if (events[i].data.u32 == LISTENER_STRANGERS)
            strangers = true;
        else if (l->taken < messages_max)
            listener_serve(l, &l->devices[events[i].data.u32], events[i].events);
        else
            l->drained = false;
    }
    if (strangers)
        strangers_serve(l);
}

/* Devices that send all the time would be read a message or two at a call, with a turn of the loop
 * for each handful. All of it waits for a commit anyway, so it may as well wait a little before it
 * is read. A message that comes alone is read at once. */
static void rest(struct listener *l)
{
    bool keeps_coming = l->now_ms - l->took_ms <= 2 * l->config.rest_ms;
    if (l->taken == 0)
        return;
    l->took_ms = l->now_ms;
    if (!keeps_coming || !l->drained || l->stalled > 0 || l->config.rest_ms == 0)
        return;
    l->rests_until_ms = l->now_ms + l->config.rest_ms;
    loop_want(l->watch, 0);
}

/* Whether there may be something to read. */
static bool is_ready(struct listener *l)
{
    if (l->rests_until_ms == INT64_MIN)
        return loop_ready(l->watch) != 0;
    if (l->now_ms < l->rests_until_ms)
        return false;
    l->rests_until_ms = INT64_MIN;
    loop_want(l->watch, LOOP_READABLE);
    return true;
}

void listener_turn(struct listener *l, int64_t mono_ms, uint32_t messages_max)
{
    l->now_ms = mono_ms;
    l->taken = 0;
    bool ready = is_ready(l);
    l->drained = l->rests_until_ms == INT64_MIN; /* else nobody looks */
    if (mono_ms >= l->tick_ms)
        tick(l);
    retry_stalled(l);
    strangers_turn(l);
    if (ready)
        serve_ready(l, messages_max);
    rest(l);
    sessions_turn(l->config.sessions, l->gateway);
    if (l->drained && l->stalled == 0)
        gateway_on_drained(l->gateway, l->config.index);
}

int64_t listener_next_turn_ms(const struct listener *l)
{
    bool goes_on = l->stalled > 0 && gateway_may_take(l->gateway, l->config.index);
    int64_t again_ms = strangers_next_turn_ms(l);
    if (l->rests_until_ms != INT64_MIN && l->rests_until_ms < again_ms)
        again_ms = l->rests_until_ms;
    return goes_on ? l->now_ms : again_ms < l->tick_ms ? again_ms : l->tick_ms;
}

void listener_acknowledge(struct listener *l, uint64_t number)
{
    l->acknowledged = number;
    for (uint32_t i = 0; i < l->slots; i++)
        if (l->devices[i].connected)
            device_acknowledge(l, &l->devices[i]);
}

void listener_follow(struct listener *l, const struct config_source *source)
{
    l->config.source = source;
}

/* As at the start: a key that others may read is none. */
static int load_again(struct listener *l, char *why)
{
    int descriptor;
    if (config_secret_open(l->config.source->broker.key_file, &descriptor, why) != 0)
        return WEIR_EINVAL;
    (void)close(descriptor); /* it was only looked at */
    return tls_load(l->tls, why);
}

void listener_reload(struct listener *l)
{
    char why[256] = "";
    if (l->tls == NULL)
        return;
    int error = load_again(l, why);
    log_event("source_reload", "source=%s ok=%d why=\"%s\"", l->config.source->name, error == 0,
              why);
}

int64_t listener_valid_until_ms(const struct listener *l)
{
    return l->tls != NULL ? tls_valid_until_ms(l->tls) : INT64_MAX;
}

void listener_dismiss(struct listener *l, struct text device)
{
    for (uint32_t i = 0; i < l->slots; i++) {
        struct device *d = &l->devices[i];
        if (!d->connected || d->device_bytes != device.bytes ||
            memcmp(d->id, device.at, device.bytes) != 0)
            continue;
        listener_log(l, d, "device_dismissed", MQTT_NOT_AUTHORIZED, "its credentials have changed");
        device_dismiss(l, d, MQTT_NOT_AUTHORIZED);
    }
}

void listener_close(struct listener *l)
{
    if (l->watch == NULL)
        return;
    for (uint32_t i = 0; i < l->slots; i++) {
        struct device *d = &l->devices[i];
        if (d->state == DEVICE_SERVED)
            device_dismiss(l, d, MQTT_SERVER_SHUTTING_DOWN);
        if (d->state != DEVICE_FREE)
            device_close(l, d);
    }
    loop_unwatch(l->watch);
    l->watch = NULL;
    (void)close(l->strangers); /* nothing more is wanted of any */
    (void)close(l->epoll);
    (void)close(l->fd);
}

struct listener_counts listener_counts(const struct listener *l)
{
    struct listener_counts counts = l->counts;
    counts.sessions = sessions_counts(l->config.sessions);
    return counts;
}
