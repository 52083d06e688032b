/* device: the bytes of one connection: read in one gulp with all others' buffer, walked in place;
 * what is left over is kept. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/listener/listener_state.h"

void device_init(struct listener *l, struct device *d, struct arena *arena)
{
    struct device unused, *to = d != NULL ? d : &unused;
    uint32_t index = d != NULL ? (uint32_t)(d - l->devices) : 0;
    *to = (struct device){
        .mqtt = mqtt_connection_init(&l->offer, arena),
        .link = { .fd = -1, .tls = tls_session(l->tls, index) },
        .in = arena_take(arena, l->in_bytes, 1),
        .out = arena_take(arena, l->out_bytes, 1),
        .numbers = arena_take(arena, l->offer.receive_maximum + 1u, sizeof(uint64_t)),
    };
}

static void set_stall(struct listener *l, struct device *d, enum stall stall)
{
    l->stalled += (stall == STALL_GATEWAY) - (uint32_t)(d->stall == STALL_GATEWAY);
    if (d->stall != STALL_NONE && stall == STALL_NONE)
        mqtt_connection_resume(d->mqtt, l->now_ms);
    d->stall = stall;
}

static void set_connected(struct listener *l, struct device *d)
{
    bool connected = d->state == DEVICE_SERVED &&
                     (d->mqtt->state == MQTT_CONNECTED || d->welcome.waits);
    if (connected != d->connected)
        l->counts.connected += connected ? 1 : (uint32_t)-1;
    d->connected = connected;
    if (connected && !d->inside)
        device_enter(l, d);
}

static void set_state(struct listener *l, struct device *d, enum device_state state)
{
    assert(state == DEVICE_FREE || state == d->state + 1);
    d->state = state;
    if (state == DEVICE_SERVED)
        return;
    l->shaking -= d->shaking;
    d->shaking = false;
    set_stall(l, d, STALL_NONE);
    set_connected(l, d);
    device_leave(l, d);
}

static void adjust_interest(struct listener *l, struct device *d)
{
    bool reads = d->state == DEVICE_ENDING || (d->stall == STALL_NONE && !d->waits);
    bool writes = d->out_used > d->out_sent || transport_wants_write(&d->link);
    listener_watch(l, d, (reads ? (uint32_t)EPOLLIN : 0) | (writes ? (uint32_t)EPOLLOUT : 0));
}

void device_open(struct listener *l, struct device *d, int fd)
{
    d->link.fd = fd;
    d->interest = 0;
    d->watched = false;
    d->inside = d->shaking = d->shaken = d->waits = false;
    d->opened = ++l->opened;
    d->opened_ms = l->now_ms;
    d->deadline_ms = d->stuck_ms = INT64_MAX;
    d->in_used = d->out_used = d->out_sent = d->id_bytes = d->device_bytes = 0;
    d->committed = d->waits_for = 0;
    d->pace.next_us = 0;
    d->topics = 0;
    d->drops_will = false;
    d->receipt = -1;
    d->command = 0;
    d->reply.count = 0;
    d->welcome.waits = false;
    mqtt_connection_open(d->mqtt, l->now_ms);
    set_state(l, d, DEVICE_SERVED);
    adjust_interest(l, d);
}

void device_close(struct listener *l, struct device *d)
{
    set_state(l, d, DEVICE_FREE);
    transport_close(&d->link);
}

/* --- out ----------------------------------------------------------------------------------------
 */

/* Send what waits. False: the connection is gone. */
static bool flush(struct listener *l, struct device *d)
{
    while (d->out_sent < d->out_used) {
        int32_t sent = transport_write(&d->link, d->out + d->out_sent, d->out_used - d->out_sent);
        if (sent == 0) {
            d->stuck_ms = d->stuck_ms == INT64_MAX ? l->now_ms : d->stuck_ms;
            return true;
        }
        if (sent < 0)
            return false;
        d->out_sent += (uint32_t)sent;
        d->stuck_ms = INT64_MAX;
    }
    d->out_sent = d->out_used = 0;
    return true;
}

static struct byte_writer writer(const struct listener *l, const struct device *d)
{
    return (struct byte_writer){ .at = d->out, .bytes = l->out_bytes, .used = d->out_used };
}

/* A close with unread bytes would be a reset, which can overtake what we said. */
static void begin_ending(struct listener *l, struct device *d)
{
    set_state(l, d, DEVICE_ENDING);
    d->deadline_ms = l->now_ms + LISTENER_GOODBYE_MS;
    if (!flush(l, d) || !transport_end(&d->link)) {
        device_close(l, d);
        return;
    }
    d->out_used = d->out_sent = 0; /* what it does not take now, it will not hear */
    adjust_interest(l, d);
}

void device_dismiss(struct listener *l, struct device *d, uint8_t reason)
{
    struct byte_writer w = writer(l, d);
    if (d->welcome.waits && !mqtt_reason_allowed(reason, MQTT_IN_CONNACK))
        reason = MQTT_SERVER_UNAVAILABLE;
    mqtt_connection_close(d->mqtt, reason, (struct text){ 0 }, &w);
    d->out_used = (uint32_t)w.used;
    begin_ending(l, d);
}

static bool has_answer_room(const struct listener *l, const struct device *d)
{
    return l->out_bytes - d->out_used >= MQTT_ANSWER_BYTES;
}

/* Its CONNACK, acknowledgements that are due, and what else waits. */
static void answer(struct listener *l, struct device *d)
{
    uint32_t written;
    do {
        struct byte_writer w = writer(l, d);
        device_welcome(l, d, &w);
        written = mqtt_connection_render(d->mqtt, NULL, &w);
        device_put_more(l, d, &w);
        d->out_used = (uint32_t)w.used;
        if (d->mqtt->state == MQTT_CLOSING) {
            begin_ending(l, d);
            return;
        }
        if (!flush(l, d)) {
            device_close(l, d);
            return;
        }
    } while (written > 0 && d->out_used == 0);
    if (d->stall == STALL_SELF && mqtt_connection_may_read(d->mqtt) && d->reply.count == 0 &&
        has_answer_room(l, d))
        set_stall(l, d, STALL_GATEWAY); /* it may go on as soon as that takes something */
    adjust_interest(l, d);
}

int device_publish(struct listener *l, struct device *d, struct mqtt_outgoing *message)
{
    struct byte_writer w = writer(l, d);
    int err = mqtt_connection_publish(d->mqtt, message, &w);
    if (err != 0)
        return err;
    d->out_used = (uint32_t)w.used;
    answer(l, d);
    return 0;
}

void device_write(struct listener *l, struct device *d)
{
    if (d->state == DEVICE_SERVED && d->link.tls != NULL && !d->shaken)
        device_read(l, d); /* its handshake waited for the socket */
    else if (d->state == DEVICE_SERVED)
        answer(l, d);
}

/* How far its acknowledgements may go. */
static bool advance(struct listener *l, struct device *d)
{
    uint32_t ring = l->offer.receive_maximum + 1u;
    uint64_t last = d->committed;
    while (last < d->mqtt->arrived && d->numbers[(last + 1) % ring] <= l->acknowledged)
        last++;
    if (last == d->committed)
        return false;
    d->committed = last;
    mqtt_connection_committed(d->mqtt, last);
    return true;
}

void device_acknowledge(struct listener *l, struct device *d)
{
    if (advance(l, d) || d->welcome.waits || d->reply.count > 0 || d->receipt >= 0)
        answer(l, d);
}

/* --- in -----------------------------------------------------------------------------------------
 */

/* Take one packet: bytes used, 0: no more for now. */
static uint32_t step(struct listener *l, struct device *d, const uint8_t *at, uint32_t bytes)
{
    if (at[0] >> 4 == MQTT_PUBLISH && !device_in_time(l, d)) {
        l->counts.held_back += d->stall != STALL_RATE;
        set_stall(l, d, STALL_RATE);
        return 0;
    }
    if (!device_may_take(l, d, at[0])) {
        set_stall(l, d, STALL_GATEWAY);
        return 0;
    }
    if (d->reply.count > 0) { /* what comes behind a SUBSCRIBE waits for its answer */
        set_stall(l, d, STALL_SELF);
        return 0;
    }
    struct byte_writer w = writer(l, d);
    const struct mqtt_input in = { at, bytes, l->now_ms };
    int used = mqtt_connection_read(d->mqtt, &in, &w, &l->event);
    if (used == WEIR_EAGAIN)
        set_stall(l, d, STALL_SELF);
    else if (used != 0)
        device_handle(l, d, &w);
    d->out_used = (uint32_t)w.used;
    return used > 0 ? (uint32_t)used : 0;
}

/* Tell the gateway of the packet that begins at `from`; where the one behind it begins. */
static uint32_t announce(const struct listener *l, const uint8_t *at, uint32_t bytes, uint32_t from)
{
    struct text topic = { 0 };
    uint32_t packet_bytes = from < bytes ? mqtt_peek(at + from, bytes - from, &topic) : 0;
    gateway_expect(l->gateway, l->config.index, topic);
    return from + packet_bytes;
}

/* Walk over whole packets; how far. */
static uint32_t walk(struct listener *l, struct device *d, const uint8_t *at, uint32_t bytes)
{
    uint32_t used = 0, step_bytes, announced = 0;
    bool ahead = gateway_looks_ahead(l->gateway);
    for (int i = 0; ahead && i < ENGINE_EXPECT_AHEAD; i++)
        announced = announce(l, at, bytes, announced);
    do {
        if (ahead)
            announced = announce(l, at, bytes, announced);
        step_bytes = used < bytes ? step(l, d, at + used, bytes - used) : 0;
        used += step_bytes;
        /* Answers (not acknowledgements) may have filled the room that they need. */
        if (!has_answer_room(l, d))
            (void)flush(l, d); /* where it is gone, the answers behind the walk find out */
    } while (step_bytes > 0 && d->mqtt->state != MQTT_CLOSING);
    return used;
}

static void after_walk(struct listener *l, struct device *d, bool moved)
{
    set_connected(l, d);
    if (d->mqtt->state == MQTT_CLOSING) {
        begin_ending(l, d);
        return;
    }
    if (d->in_used == 0 || d->stall != STALL_NONE)
        d->deadline_ms = INT64_MAX;
    else if (moved || d->deadline_ms == INT64_MAX)
        d->deadline_ms = l->now_ms + LISTENER_PATIENCE_MS;
    (void)advance(l, d); /* what answers to something long committed need not wait */
    answer(l, d);
}

void device_retry(struct listener *l, struct device *d)
{
    set_stall(l, d, STALL_NONE);
    uint32_t used = walk(l, d, d->in, d->in_used);
    d->in_used -= used;
    memmove(d->in, d->in + used, d->in_used);
    after_walk(l, d, used > 0);
    if (d->state == DEVICE_SERVED && d->stall == STALL_NONE && transport_pending(&d->link))
        device_read(l, d);
}

static void discard(struct listener *l, struct device *d)
{
    ssize_t got = recv(d->link.fd, l->gulp, l->in_bytes, 0); /* not to be understood any more */
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        device_close(l, d);
}

/* One gulp. */
static void gulp(struct listener *l, struct device *d)
{
    assert(d->in_used < l->in_bytes); /* a whole packet has room, and would have been taken */
    memcpy(l->gulp, d->in, d->in_used);
    uint32_t room = l->in_bytes - d->in_used;
    int32_t got = transport_read(&d->link, l->gulp + d->in_used, room);
    if (got == 0)
        return;
    if (got < 0) {
        device_close(l, d);
        return;
    }
    l->drained = l->drained && (uint32_t)got < room;
    uint32_t bytes = d->in_used + (uint32_t)got;
    uint32_t used = walk(l, d, l->gulp, bytes);
    d->in_used = bytes - used;
    memcpy(d->in, l->gulp + used, d->in_used);
    after_walk(l, d, used > 0);
}

void device_read(struct listener *l, struct device *d)
{
    if (d->state == DEVICE_ENDING) {
        discard(l, d);
        return;
    }
    if (!device_shake(l, d)) {
        if (d->state == DEVICE_SERVED)
            adjust_interest(l, d); /* it waits for the socket to take more, or for others */
        return;
    }
    /* What TLS has read already, epoll does not tell of. It is no more than a record. */
    do
        gulp(l, d);
    while (d->state == DEVICE_SERVED && d->stall == STALL_NONE && transport_pending(&d->link));
}

/* --- time ---------------------------------------------------------------------------------------
 */

/* While something of it waits to be read, a device is not late with the rest: time in which we read
 * others, or nothing, does not count. A dribble that we do read is no excuse: no tick sees it. */
static void count_listening(const struct listener *l, struct device *d)
{
    if (d->deadline_ms != INT64_MAX && transport_waits_for_us(&d->link))
        d->deadline_ms += l->now_ms - l->ticked_ms;
}

static void give_up(struct listener *l, struct device *d, const char *why)
{
    l->counts.silent++;
    listener_log(l, d, "device_silent", MQTT_KEEP_ALIVE_TIMEOUT, why);
}

/* Who does not read its acknowledgements; the loop may just not have come to sending them. False:
 * it was closed. */
static bool still_reads(struct listener *l, struct device *d)
{
    if (d->stuck_ms == INT64_MAX || l->now_ms - d->stuck_ms < LISTENER_PATIENCE_MS)
        return true;
    int64_t since_ms = d->stuck_ms;
    if (flush(l, d) && d->stuck_ms != since_ms)
        return true;
    give_up(l, d, "it does not read its acknowledgements");
    device_close(l, d);
    return false;
}

void device_tick(struct listener *l, struct device *d)
{
    if (d->state == DEVICE_ENDING) {
        if (l->now_ms >= d->deadline_ms)
            device_close(l, d);
        return;
    }
    if (!still_reads(l, d))
        return;
    count_listening(l, d);
    if (l->now_ms >= d->deadline_ms) {
        give_up(l, d, "half a packet, and no more");
        device_dismiss(l, d, MQTT_KEEP_ALIVE_TIMEOUT);
        return;
    }
    if (!device_hurry(l, d))
        return;
    if (d->stall == STALL_RATE && device_in_time(l, d))
        set_stall(l, d, STALL_GATEWAY); /* it may go on as soon as that takes something */
    adjust_interest(l, d);
    struct byte_writer w = writer(l, d);
    /* Who waits for the loop's time is not late for it. */
    if (d->stall != STALL_NONE || l->now_ms < d->mqtt->deadline_ms ||
        transport_waits_for_us(&d->link) || !mqtt_connection_expire(d->mqtt, l->now_ms, &w))
        return;
    d->out_used = (uint32_t)w.used;
    device_failed(l, d);
    give_up(l, d, d->connected ? "nothing within its keep alive" : "no CONNECT in time");
    begin_ending(l, d);
}
