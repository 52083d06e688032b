/* device_packets: what a packet of a device means to an endpoint. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "firmware/listener/listener_state.h"
#include "pipeline/reject.h"

static void refuse(struct listener *l, struct device *d, uint8_t reason, const char *why,
                   struct byte_writer *w)
{
    l->counts.refused++;
    listener_log(l, d, "device_refused", reason, why);
    mqtt_connection_close(d->mqtt, reason, text_of(why), w);
}

/* Its name for us; one that it did not give is made up, in *given. False: it can't be used. */
static bool take_id(struct listener *l, struct device *d, struct text *given)
{
    struct text id = *given;
    char made[LISTENER_ID_BYTES];
    if (id.bytes > LISTENER_ID_BYTES)
        return false;
    if (id.bytes == 0) {
        /* 3.1.1: a session without a name could not be found again [3.1.1 MQTT-3.1.3-8] */
        if (d->mqtt->peer.version == MQTT_3_1_1 && !d->mqtt->clean_start)
            return false;
        int bytes = snprintf(made, sizeof made, "weir-%016" PRIx64, l->ids++);
        id = (struct text){ made, (uint32_t)bytes };
    }
    /* Client ids of one device are no other's: nobody takes over, or goes on with, what is not
     * his. */
    uint32_t used = d->device_bytes;
    if (used > 0)
        d->id[used++] = '/'; /* in no device's name */
    memcpy(d->id + used, id.at, id.bytes);
    d->id_bytes = used + id.bytes;
    *given = (struct text){ d->id + used, id.bytes };
    return true;
}

/* --- sessions -----------------------------------------------------------------------------------
 */

/* What the device said of its unfinished messages, to the connection. */
static void restore(struct listener *l, struct device *d, const struct session *session)
{
    struct exchange exchange;
    uint32_t cursor = 0;
    while (sessions_exchange(l->config.sessions, session, &cursor, &exchange)) {
        int err = mqtt_connection_restore(d->mqtt, exchange.packet_id, exchange.mark);
        assert(err == 0); /* no more than fit, each once */
        (void)err;
    }
}

static struct session_name name_of(const struct listener *l, const struct device *d)
{
    return (struct session_name){ l->config.index, { d->id, d->id_bytes }, d->device_bytes };
}

static struct session *find_session(struct listener *l, struct device *d)
{
    struct sessions *sessions = l->config.sessions;
    const struct session_name name = name_of(l, d);
    struct session *session = sessions_find(sessions, &name);
    if (session == NULL)
        return NULL;
    sessions_settle(sessions, session, l->gateway);
    /* one that ended with its connection, and was kept for its will alone */
    if (session->expiry_s == 0)
        sessions_hold(sessions, session, 0);
    /* more than receive_maximum, which then was larger: it can't go on */
    else if (!d->mqtt->clean_start && session->exchange_count <= l->offer.exchanges_max)
        return session;
    sessions_end(sessions, session);
    return NULL;
}

/* The session that this connection goes on with, or a new one if it is to outlive it. Whether it
 * was there before, and for how long it is kept. */
static bool take_session(struct listener *l, struct device *d, uint32_t *expiry_s)
{
    struct sessions *sessions = l->config.sessions;
    uint32_t most = l->config.source->session_expiry_s, asked = d->mqtt->session_expiry_s;
    const struct mqtt_connect *connect = &l->event.packet.connect;
    const struct session_name name = name_of(l, d);
    struct session *session = find_session(l, d);
    bool present = session != NULL;
    *expiry_s = asked < most ? asked : most;
    if (present)
        restore(l, d, session);
    else if (*expiry_s > 0 || connect->has_will)
        session = sessions_open(sessions, &name);
    d->session = session;
    if (session == NULL) {
        l->counts.sessions_refused += *expiry_s > 0 || connect->has_will;
        *expiry_s = 0;
        return false;
    }
    sessions_hold(sessions, session, *expiry_s);
    bool keeps_nothing = l->config.source->pii_count > 0; /* a will has no fields to tell apart */
    if (connect->has_will)
        sessions_will(sessions, session,
                      &(struct session_will){ connect->will.delay_s,
                                              keeps_nothing ? (struct text){ 0 }
                                                            : connect->will.payload });
    d->waits_for = session->number;
    return present;
}

void device_leave(struct listener *l, struct device *d)
{
    d->welcome.waits = false;
    device_forget_receipts(l, d);
    device_forget_command(l, d);
    if (d->session != NULL)
        sessions_leave(l->config.sessions, d->session, gateway_t_ms(l->gateway), !d->drops_will);
    d->session = NULL;
}

static void on_disconnect(struct listener *l, struct device *d)
{
    const struct mqtt_disconnect *disconnect = &l->event.packet.disconnect;
    uint32_t most = l->config.source->session_expiry_s;
    d->drops_will = l->event.drops_will;
    if (d->session == NULL || !disconnect->has_session_expiry)
        return;
    uint32_t asked = disconnect->session_expiry_s;
    d->session->expiry_s = asked < most ? asked : most;
}

/* Whether the device that it shows to be has its share of the connections already. */
static bool has_too_many(const struct listener *l, const struct device *d)
{
    uint32_t count = 0;
    if (d->device_bytes == 0)
        return false;
    for (uint32_t i = 0; i < l->slots; i++)
        count += l->devices[i].connected && l->devices[i].device_bytes == d->device_bytes &&
                 memcmp(l->devices[i].id, d->id, d->device_bytes) == 0;
    return count >= l->config.source->connections_of_one;
}

static void on_connect(struct listener *l, struct device *d, struct byte_writer *w)
{
    struct text given = l->event.packet.connect.client_id;
    if (!device_identify(l, d, w))
        return;
    if (!take_id(l, d, &given)) {
        refuse(l, d, MQTT_CLIENT_ID_NOT_VALID, "client ids have 1 to 64 bytes here", w);
        return;
    }
    struct text id = { d->id, d->id_bytes };
    struct device *before = listener_find(l, d, id);
    if (before != NULL) {
        l->counts.taken_over++;
        listener_log(l, before, "device_taken_over", MQTT_SESSION_TAKEN_OVER,
                     "another connection has its client id");
        device_dismiss(l, before, MQTT_SESSION_TAKEN_OVER);
    }
    if (l->counts.connected >= l->config.source->connections_max) {
        refuse(l, d, MQTT_SERVER_BUSY, "all connections are in use", w);
        return;
    }
    if (has_too_many(l, d)) {
        refuse(l, d, MQTT_QUOTA_EXCEEDED, "all connections_per_device are in use", w);
        return;
    }
    bool names = d->mqtt->needs_id && d->mqtt->peer.version == MQTT_5;
    struct mqtt_accept *accept = &d->welcome.accept;
    d->welcome = (struct device_welcome){ .waits = true };
    accept->assigned_client_id = names ? given : (struct text){ 0 };
    accept->session_present = take_session(l, d, &accept->session_expiry_s);
    device_welcome(l, d, w);
}

/* Where it changes nothing that is kept, at once. Else a kill could bring back what it says is no
 * more: an exchange of QoS 2, for whose repeat a later message would then be taken; or take away
 * what it says is kept. */
void device_welcome(struct listener *l, struct device *d, struct byte_writer *w)
{
    struct text id = { d->id, d->id_bytes };
    if (!d->welcome.waits || (d->session != NULL && !sessions_settled(d->session, l->gateway)) ||
        !sessions_forgotten(l->config.sessions, l->config.index, id, l->gateway))
        return;
    d->welcome.waits = false;
    d->welcome.accept.receive_maximum =
        (uint16_t)gateway_receive_maximum(l->gateway, l->config.index);
    if (mqtt_connection_accept(d->mqtt, &d->welcome.accept, l->now_ms, w) != 0)
        refuse(l, d, MQTT_IMPLEMENTATION_ERROR, "it takes no packet as large as a CONNACK", w);
    else
        device_resume_topics(l, d);
}

/* --- messages -----------------------------------------------------------------------------------
 */

bool device_may_take(struct listener *l, struct device *d, uint8_t first)
{
    enum mqtt_type type = (enum mqtt_type)(first >> 4);
    if (type != MQTT_PUBLISH && type != MQTT_PUBREL && type != MQTT_SUBSCRIBE &&
        type != MQTT_UNSUBSCRIBE)
        return true;
    if (d->session != NULL && d->session->dirty) /* its row is to come before those of exchanges */
        sessions_flush(l->config.sessions, d->session, l->gateway);
    return gateway_may_take(l->gateway, l->config.index);
}

static uint8_t verdict(enum reject_reason reason)
{
    if (reason == REJECT_NONE)
        return MQTT_SUCCESS;
    if (reason == REJECT_IDENTITY_MISMATCH)
        return MQTT_NOT_AUTHORIZED;
    return reason == REJECT_TOPIC_MISMATCH ? MQTT_TOPIC_NAME_INVALID : MQTT_PAYLOAD_FORMAT_INVALID;
}

/* The acknowledgement of this event waits for a number of the gateway's, and for what those before
 * it wait for. */
static void wait_for(struct listener *l, struct device *d, uint64_t number)
{
    if (number > d->waits_for)
        d->waits_for = number;
    d->numbers[l->event.number % (l->offer.receive_maximum + 1u)] = d->waits_for;
}

static struct taken give_message(struct listener *l, struct device *d,
                                 const struct session_change *exchange)
{
    const struct mqtt_publish *publish = &l->event.packet.publish;
    const struct message message = {
        .source = l->config.index,
        .qos = publish->qos,
        .topic = l->event.topic,
        .payload = publish->payload,
        .device = { d->id, d->device_bytes },
        .exchange = exchange,
        .exchange_if_rejected = d->mqtt->peer.version != MQTT_5, /* which is told success */
    };
    struct taken taken = gateway_on_message(l->gateway, &message);
    l->taken++;
    l->counts.messages++;
    device_count(l, d);
    if (l->event.number == 0)
        return taken;
    wait_for(l, d, taken.number);
    if (taken.reason != REJECT_NONE)
        mqtt_connection_judge(d->mqtt, l->event.number, verdict(taken.reason), 0);
    return taken;
}

/* No room for another open exchange: 5.0 is told; 3.1.1 has no word for it, and comes again. */
static void refuse_exchange(struct listener *l, struct device *d, struct byte_writer *w)
{
    static const char why[] = "all of limits.exchanges are in use";
    l->counts.exchanges_refused++;
    listener_log(l, d, "exchange_refused", MQTT_QUOTA_EXCEEDED, why);
    wait_for(l, d, 0);
    if (d->mqtt->peer.version == MQTT_5)
        mqtt_connection_judge(d->mqtt, l->event.number, MQTT_QUOTA_EXCEEDED, 0);
    else
        mqtt_connection_close(d->mqtt, MQTT_QUOTA_EXCEEDED, text_of(why), w);
}

/* At QoS 2, in a session that outlives the connection: the message and its row, or neither. */
static void take_exchange(struct listener *l, struct device *d, struct byte_writer *w)
{
    struct sessions *sessions = l->config.sessions;
    uint16_t packet_id = l->event.packet.publish.packet_id;
    const struct session_change row = { .kind = EXCHANGE_PUT,
                                        .packet_id = packet_id,
                                        .session = sessions_number(sessions, d->session),
                                        .mark = l->event.mark };
    if (!sessions_may_add(sessions, d->session, packet_id)) {
        refuse_exchange(l, d, w);
        return;
    }
    struct taken taken = give_message(l, d, &row);
    d->session->number = taken.number;
    if (taken.reason == REJECT_NONE || d->mqtt->peer.version != MQTT_5)
        sessions_add(sessions, d->session, packet_id, l->event.mark);
    else
        (void)sessions_remove(sessions, d->session, packet_id);
}

static void on_message(struct listener *l, struct device *d, struct byte_writer *w)
{
    if (!l->event.is_repeat && l->event.packet.publish.qos == 2 && d->session != NULL)
        take_exchange(l, d, w);
    else if (!l->event.is_repeat)
        (void)give_message(l, d, NULL);
    else if (l->event.number != 0)
        wait_for(l, d, 0); /* it was stored, or is in what those before it wait for */
}

static void on_release(struct listener *l, struct device *d)
{
    struct session_change gone = { .kind = EXCHANGE_REMOVE,
                                   .packet_id = l->event.packet.ack.packet_id };
    if (d->session != NULL &&
        sessions_remove(l->config.sessions, d->session, gone.packet_id)) {
        gone.session = sessions_number(l->config.sessions, d->session);
        d->session->number = gateway_on_session(l->gateway, l->config.index, &gone);
        wait_for(l, d, d->session->number);
        return;
    }
    wait_for(l, d, 0);
}

void device_handle(struct listener *l, struct device *d, struct byte_writer *w)
{
    switch (l->event.kind) {
    case MQTT_EVENT_CONNECT:
        on_connect(l, d, w);
        break;
    case MQTT_EVENT_MESSAGE:
        on_message(l, d, w);
        break;
    case MQTT_EVENT_SUBSCRIBE:
    case MQTT_EVENT_UNSUBSCRIBE:
        device_on_filters(l, d);
        break;
    case MQTT_EVENT_FAULT: {
        struct mqtt_fault_view view = mqtt_fault_view(l->event.fault, l->event.packet.version);
        l->counts.faults++;
        device_failed(l, d);
        listener_log(l, d, "device_fault", view.reason, view.why);
        break;
    }
    case MQTT_EVENT_RELEASE:
        on_release(l, d);
        break;
    case MQTT_EVENT_NONE:
        if (l->event.number != 0)
            wait_for(l, d, 0); /* PUBREL of an exchange that is over */
        break;
    case MQTT_EVENT_DISCONNECT:
        on_disconnect(l, d);
        break;
    case MQTT_EVENT_DELIVERED:
        device_on_delivered(l, d);
        break;
    }
}
