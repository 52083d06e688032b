#include "firmware/tap/tap.h"

#include <assert.h>
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "firmware/backoff.h"
#include "firmware/log.h"
#include "firmware/tap/tap_client.h"
#include "firmware/tap/tap_session.h"

enum {
    TAP_MISC_MS = 500,      /* between two looks at the keepalive */
    TAP_CONNECT_MS = 20000, /* from the first packet to the subscription */
    TAP_HELD_BYTES = 64 * 1024
};

enum tap_state {
    TAP_WAITING,    /* for the time of the next attempt */
    TAP_CONNECTING, /* on a thread of its own, which has the client to itself: libmosquitto's
                       connect looks names up, and blocks until the network answers */
    TAP_OPENING,    /* CONNECT was sent */
    TAP_SUBSCRIBED
};

/* Messages that came although none may be taken: over TLS one read can deliver all that was in a
 * record. Header by memcpy, then topic and payload. */
struct held_header {
    uint32_t topic_bytes, payload_bytes;
    uint8_t qos;
};

struct tap {
    struct tap_config config;
    struct loop *loop;
    struct gateway *gateway;
    struct mosquitto *client;
    struct loop_watch *watch;
    struct loop_call connecting;
    int connect_error, connect_errno; /* what came of it */
    struct backoff backoff;
    enum tap_state state;
    int64_t now_ms, retry_ms, misc_ms, deadline_ms;
    uint64_t callbacks;      /* that libmosquitto made; progress is measured by it */
    uint32_t unacknowledged; /* messages of this connection whose PUBACK must still wait */
    bool lost;               /* a callback or a call said that the connection is gone */
    bool listening;      /* the last wait would have told of anything to read */
    bool had_session;    /* the broker once had one of ours */
    struct loop_call noting; /* that */
    uint8_t *held;
    size_t held_capacity, held_begin, held_end;
    uint32_t held_count;
};

struct tap *tap_init(const struct tap_config *config, struct arena *arena)
{
    size_t held_bytes = config->source->broker.tls
                            ? TAP_HELD_BYTES + TAP_PACKET_SLACK + config->payload_bytes_max
                            : 16;
    struct tap *tap = arena_take(arena, 1, sizeof *tap);
    uint8_t *held = arena_take(arena, held_bytes, 1);
    if (tap == NULL)
        return NULL;
    *tap = (struct tap){ .config = *config, .held = held, .held_capacity = held_bytes };
    return tap;
}

static const char *source_name(const struct tap *tap)
{
    return tap->config.source->name;
}

static void set_state(struct tap *tap, enum tap_state state)
{
    assert(state != TAP_SUBSCRIBED || tap->state == TAP_OPENING);
    if (tap->state == TAP_SUBSCRIBED && state != TAP_SUBSCRIBED)
        gateway_on_source(tap->gateway, tap->config.index, false);
    tap->state = state;
    if (state == TAP_SUBSCRIBED)
        gateway_on_source(tap->gateway, tap->config.index, true);
}

/* --- losing ------------------------------------------------------------------------------------
 */

static void begin_waiting(struct tap *tap, const char *why)
{
    const struct config_broker *broker = &tap->config.source->broker;
    if (tap->watch != NULL)
        loop_unwatch(tap->watch); /* a new connection may get the same descriptor number */
    tap->watch = NULL;
    int fd = mosquitto_socket(tap->client);
    if (fd >= 0)
        (void)shutdown(fd, SHUT_RDWR); /* libmosquitto closes it at its next connect */
    /* QoS 1 comes again, QoS 0 promised nothing; their PUBACKs went with the connection. */
    tap->held_begin = tap->held_end = tap->held_count = 0;
    tap->unacknowledged = 0;
    tap->listening = false;
    tap->lost = false;
    int64_t wait_ms = backoff_fail(&tap->backoff);
    tap->retry_ms = tap->now_ms + wait_ms;
    set_state(tap, TAP_WAITING);
    log_event("source_lost", "source=%s broker=%s:%u why=\"%s\" retry_ms=%lld", source_name(tap),
              broker->host, broker->port, why, (long long)wait_ms);
}

/* --- the one place that writes ------------------------------------------------------------------
 */

static void flush(struct tap *tap)
{
    assert(tap->unacknowledged == 0);
    int err = mosquitto_loop_write(tap->client, 1);
    if (err != MOSQ_ERR_SUCCESS)
        tap->lost = true;
}

/* --- libmosquitto's callbacks: on the loop's thread, within one of our calls --- */

static void log_reason(const struct tap *tap, const char *event, int code,
                       const mosquitto_property *properties)
{
    char *reason = NULL;
    (void)mosquitto_property_read_string(properties, MQTT_PROP_REASON_STRING, &reason, false);
    log_event(event, "source=%s code=%d text=\"%s\" reason=\"%s\"", source_name(tap), code,
              mosquitto_reason_string(code), reason != NULL ? reason : "");
    free(reason);
}

static void note_session(void *ctx)
{
    const struct tap *tap = ctx;
    tap_session_note(tap->config.data_dir, tap->config.source);
}

static void on_connect(struct mosquitto *client, void *ctx, int code, int flags,
                       const mosquitto_property *properties)
{
    struct tap *tap = ctx;
    tap->callbacks++;
    if (code != 0) {
        log_reason(tap, "source_refused", code, properties);
        tap->lost = true;
        return;
    }
    bool session_present = (flags & 1) != 0;
    if (tap->had_session && !session_present)
        log_event("source_session_lost",
                  "source=%s what=\"the broker forgot our session; what came "
                  "to it meanwhile is gone\"",
                  source_name(tap));
    if (!tap->had_session) /* on a thread: the disk may hang */
        (void)loop_call(tap->loop, &tap->noting, note_session, tap); /* else the next start does */
    tap->had_session = true;
    static char filters[CONFIG_TOPICS_MAX][TOPIC_BYTES_MAX + 1];
    char *list[CONFIG_TOPICS_MAX];
    const struct config_source *source = tap->config.source;
    for (uint32_t i = 0; i < source->topic_count; i++) {
        topic_filter(&source->topics[i].template, filters[i]);
        list[i] = filters[i];
    }
    /* What is retained is old news to a session that had it: only a new subscription gets it. */
    int err = mosquitto_subscribe_multiple(client, NULL, (int)source->topic_count, list,
                                           source->qos, MQTT_SUB_OPT_SEND_RETAIN_NEW, NULL);
    if (err != MOSQ_ERR_SUCCESS)
        tap->lost = true;
    log_event("source_connected", "source=%s session_present=%d", source_name(tap),
              session_present);
}

static void on_subscribe(struct mosquitto *client, void *ctx, int mid, int count,
                         const int *granted, const mosquitto_property *properties)
{
    struct tap *tap = ctx;
    (void)client, (void)mid;
    tap->callbacks++;
    for (int i = 0; i < count; i++)
        if (granted[i] >= 0x80) {
            log_reason(tap, "source_subscription_refused", granted[i], properties);
            tap->lost = true;
        }
    if (tap->lost || tap->state != TAP_OPENING)
        return;
    backoff_succeed(&tap->backoff);
    set_state(tap, TAP_SUBSCRIBED);
}

static void on_disconnect(struct mosquitto *client, void *ctx, int code,
                          const mosquitto_property *properties)
{
    struct tap *tap = ctx;
    (void)client;
    tap->callbacks++;
    tap->lost = true;
    if (properties != NULL)
        log_reason(tap, "source_disconnected", code, properties);
}

static void hold(struct tap *tap, const struct mosquitto_message *message)
{
    struct held_header header = { (uint32_t)strlen(message->topic), (uint32_t)message->payloadlen,
                                  (uint8_t)message->qos };
    size_t bytes = sizeof header + header.topic_bytes + header.payload_bytes;
    if (tap->held_capacity - tap->held_end < bytes) {
        log_event("source_overrun", "source=%s held=%u", source_name(tap), tap->held_count);
        tap->lost = true; /* it comes again */
        return;
    }
    uint8_t *at = tap->held + tap->held_end;
    memcpy(at, &header, sizeof header);
    memcpy(at + sizeof header, message->topic, header.topic_bytes);
    if (header.payload_bytes > 0)
        memcpy(at + sizeof header + header.topic_bytes, message->payload, header.payload_bytes);
    tap->held_end += bytes;
    tap->held_count++;
}

/* No broker wants to hear what became of a message, and acknowledgements are not counted. */
static void give(struct tap *tap, const struct message *message)
{
    (void)gateway_on_message(tap->gateway, message);
}

static void on_message(struct mosquitto *client, void *ctx,
                       const struct mosquitto_message *message,
                       const mosquitto_property *properties)
{
    struct tap *tap = ctx;
    (void)client, (void)properties;
    tap->callbacks++;
    if (tap->lost)
        return;
    tap->unacknowledged++;
    if (tap->held_count > 0 || !gateway_may_take(tap->gateway, tap->config.index)) {
        hold(tap, message);
        return;
    }
    give(tap, &(struct message){
                  .source = tap->config.index,
                  .qos = (uint8_t)message->qos,
                  .topic = text_of(message->topic),
                  .payload = { message->payload, (uint32_t)message->payloadlen } });
}

/* --- connecting --------------------------------------------------------------------------------
 */

int tap_open(struct tap *tap, struct loop *loop, struct gateway *gateway, uint64_t seed)
{
    const struct config_source *source = tap->config.source;
    tap->loop = loop;
    tap->gateway = gateway;
    tap->had_session = tap_session_known(tap->config.data_dir, source);
    tap->backoff =
        (struct backoff){ source->broker.backoff_min_ms, source->broker.backoff_max_ms, seed, 0 };
    int err = tap_client_make(source, tap, &tap->client);
    if (err != 0)
        return err;
    mosquitto_connect_v5_callback_set(tap->client, on_connect);
    mosquitto_subscribe_v5_callback_set(tap->client, on_subscribe);
    mosquitto_disconnect_v5_callback_set(tap->client, on_disconnect);
    mosquitto_message_v5_callback_set(tap->client, on_message);
    return 0;
}

static void connect_client(void *ctx)
{
    struct tap *tap = ctx;
    tap->connect_error =
        tap_client_connect(tap->client, tap->config.source, tap->config.payload_bytes_max);
    tap->connect_errno = errno;
}

static void begin_connecting(struct tap *tap)
{
    set_state(tap, TAP_CONNECTING);
    if (loop_call(tap->loop, &tap->connecting, connect_client, tap) != 0)
        begin_waiting(tap, "there is no thread to connect on");
}

static void begin_opening(struct tap *tap)
{
    int err = tap->connect_error;
    if (err == MOSQ_ERR_SUCCESS)
        tap->watch = loop_watch(tap->loop, mosquitto_socket(tap->client));
    if (err != MOSQ_ERR_SUCCESS || tap->watch == NULL) {
        begin_waiting(tap, err == MOSQ_ERR_ERRNO ? strerror(tap->connect_errno)
                                                 : mosquitto_strerror(err));
        return;
    }
    tap->unacknowledged = 0; /* of this connection there is none yet, so CONNECT may go out */
    tap->lost = false;
    tap->deadline_ms = tap->now_ms + TAP_CONNECT_MS;
    tap->misc_ms = tap->now_ms + TAP_MISC_MS;
    set_state(tap, TAP_OPENING);
    flush(tap);
}

/* --- taking ------------------------------------------------------------------------------------
 */

static bool may_take(const struct tap *tap)
{
    return !tap->lost && gateway_may_take(tap->gateway, tap->config.index);
}

static uint32_t take_held(struct tap *tap, uint32_t messages_max)
{
    uint32_t taken = 0;
    while (tap->held_count > 0 && taken < messages_max && may_take(tap)) {
        struct held_header header;
        memcpy(&header, tap->held + tap->held_begin, sizeof header);
        const char *topic = (const char *)tap->held + tap->held_begin + sizeof header;
        give(tap, &(struct message){
                      .source = tap->config.index,
                      .qos = header.qos,
                      .topic = { topic, header.topic_bytes },
                      .payload = { topic + header.topic_bytes, header.payload_bytes } });
        tap->held_begin += sizeof header + header.topic_bytes + header.payload_bytes;
        tap->held_count--;
        taken++;
    }
    if (tap->held_count == 0)
        tap->held_begin = tap->held_end = 0;
    return taken;
}

/* While acknowledgements are on their way out, nothing new is taken: its PUBACK would join them.
 */
static bool flushing(const struct tap *tap)
{
    return tap->unacknowledged == 0 && mosquitto_want_write(tap->client);
}

static void take(struct tap *tap, uint32_t messages_max)
{
    uint32_t taken = take_held(tap, messages_max);
    while (taken < messages_max && tap->held_count == 0 && may_take(tap) && !flushing(tap)) {
        uint64_t before = tap->callbacks;
        /* errno says EAGAIN for ever once the library's own socket pair is full, so that a read
         * came to nothing is seen from the callbacks alone. */
        int err = mosquitto_loop_read(tap->client, 1);
        if (err != MOSQ_ERR_SUCCESS)
            tap->lost = true;
        if (tap->callbacks == before) {
            gateway_on_drained(tap->gateway, tap->config.index);
            break;
        }
        taken++;
    }
}

static void keep_alive(struct tap *tap)
{
    if (tap->now_ms < tap->misc_ms)
        return;
    tap->misc_ms = tap->now_ms + TAP_MISC_MS;
    if (mosquitto_loop_misc(tap->client) != MOSQ_ERR_SUCCESS)
        tap->lost = true;
}

static void exchange(struct tap *tap, uint32_t messages_max)
{
    if (tap->unacknowledged == 0 && mosquitto_want_write(tap->client))
        flush(tap);
    if (tap->held_count > 0 || (loop_ready(tap->watch) & LOOP_READABLE) != 0)
        take(tap, messages_max);
    else if (tap->listening)
        gateway_on_drained(tap->gateway, tap->config.index);
    if (!tap->lost)
        keep_alive(tap);
    if (!tap->lost && tap->unacknowledged == 0 && mosquitto_want_write(tap->client))
        flush(tap);
    if (!tap->lost && tap->state == TAP_OPENING && tap->now_ms >= tap->deadline_ms) {
        begin_waiting(tap, "the broker did not confirm the subscription in time");
        return;
    }
    if (tap->lost) {
        begin_waiting(tap, "connection lost or refused");
        return;
    }
    tap->listening = tap->held_count == 0 && may_take(tap) && !flushing(tap);
    loop_want(tap->watch,
              (tap->listening ? LOOP_READABLE : 0) | (flushing(tap) ? LOOP_WRITABLE : 0));
}

void tap_turn(struct tap *tap, int64_t mono_ms, uint32_t messages_max)
{
    tap->now_ms = mono_ms;
    switch (tap->state) {
    case TAP_WAITING:
        if (mono_ms >= tap->retry_ms)
            begin_connecting(tap);
        break;
    case TAP_CONNECTING:
        if (tap->connecting.done)
            begin_opening(tap);
        break;
    case TAP_OPENING:
    case TAP_SUBSCRIBED:
        exchange(tap, messages_max);
        break;
    }
}

int64_t tap_next_turn_ms(const struct tap *tap)
{
    switch (tap->state) {
    case TAP_WAITING:
        return tap->retry_ms;
    case TAP_CONNECTING:
        return INT64_MAX; /* the end of the call wakes the loop */
    case TAP_OPENING:
    case TAP_SUBSCRIBED:
        break;
    }
    return tap->held_count > 0 && may_take(tap) ? tap->now_ms : tap->misc_ms;
}

void tap_acknowledge(struct tap *tap)
{
    if (tap->state != TAP_OPENING && tap->state != TAP_SUBSCRIBED)
        return; /* the connection that brought them is gone; they come again and are duplicates */
    tap->unacknowledged = tap->held_count;
    if (tap->unacknowledged == 0 && !tap->lost)
        flush(tap);
}

void tap_close(struct tap *tap)
{
    if (tap->client == NULL || tap->connecting.busy)
        return; /* the thread has the client; the process ends without waiting for it */
    if (tap->state == TAP_SUBSCRIBED && tap->unacknowledged == 0 &&
        mosquitto_disconnect_v5(tap->client, 0, NULL) == MOSQ_ERR_SUCCESS)
        (void)mosquitto_loop_write(tap->client,
                                   1); /* a broker that hears nothing waits for keepalive */
    if (tap->watch != NULL)
        loop_unwatch(tap->watch);
    tap->watch = NULL;
    mosquitto_destroy(tap->client);
    tap->client = NULL;
}
