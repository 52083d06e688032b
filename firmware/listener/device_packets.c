/* device_packets: what a packet of a device means to an endpoint. */
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

/* Its name for us; one that it did not give is made up. False: it can't be used. */
static bool take_id(struct listener *l, struct device *d, struct text id)
{
    if (id.bytes > LISTENER_ID_BYTES)
        return false;
    if (id.bytes == 0) {
        /* 3.1.1: a session without a name could not be found again [3.1.1 MQTT-3.1.3-8] */
        if (d->mqtt->peer.version == MQTT_3_1_1 && !d->mqtt->clean_start)
            return false;
        char made[LISTENER_ID_BYTES];
        int bytes = snprintf(made, sizeof made, "weir-%016" PRIx64, l->ids++);
        id = (struct text){ made, (uint32_t)bytes };
        memcpy(d->id, made, id.bytes);
    } else {
        memcpy(d->id, id.at, id.bytes);
    }
    d->id_bytes = id.bytes;
    return true;
}

static void on_connect(struct listener *l, struct device *d, struct byte_writer *w)
{
    if (!take_id(l, d, l->event.packet.connect.client_id)) {
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
    bool names = d->mqtt->needs_id && d->mqtt->peer.version == MQTT_5;
    struct mqtt_accept accept = { .assigned_client_id = names ? id : (struct text){ 0 } };
    if (mqtt_connection_accept(d->mqtt, &accept, l->now_ms, w) != 0)
        refuse(l, d, MQTT_IMPLEMENTATION_ERROR, "it takes no packet as large as a CONNACK", w);
}

static uint8_t verdict(enum reject_reason reason)
{
    if (reason == REJECT_NONE)
        return MQTT_SUCCESS;
    return reason == REJECT_TOPIC_MISMATCH ? MQTT_TOPIC_NAME_INVALID : MQTT_PAYLOAD_FORMAT_INVALID;
}

static void on_message(struct listener *l, struct device *d)
{
    const struct mqtt_publish *publish = &l->event.packet.publish;
    const struct message message = { l->config.index, publish->qos, l->event.topic,
                                     publish->payload };
    struct taken taken = gateway_on_message(l->gateway, &message);
    l->taken++;
    l->counts.messages++;
    uint64_t number = l->event.number;
    if (number == 0)
        return;
    d->numbers[number % (l->offer.receive_maximum + 1u)] = taken.number;
    if (taken.reason != REJECT_NONE)
        mqtt_connection_judge(d->mqtt, number, verdict(taken.reason), 0);
}

static void on_filters(struct listener *l, struct device *d, struct byte_writer *w)
{
    const struct mqtt_subscribe *subscribe = &l->event.packet.subscribe;
    uint8_t codes[MQTT_FILTERS_MAX];
    bool subscribes = l->event.kind == MQTT_EVENT_SUBSCRIBE;
    memset(codes, subscribes ? MQTT_TOPIC_FILTER_INVALID : MQTT_NO_SUBSCRIPTION, sizeof codes);
    const struct mqtt_suback suback = { .packet_id = subscribe->packet_id,
                                        .count = subscribe->count,
                                        .codes = codes };
    /* there is room; too large for the client: left out */
    (void)mqtt_put_suback(w, &d->mqtt->peer, subscribes ? MQTT_SUBACK : MQTT_UNSUBACK, &suback);
}

void device_handle(struct listener *l, struct device *d, struct byte_writer *w)
{
    switch (l->event.kind) {
    case MQTT_EVENT_CONNECT:
        on_connect(l, d, w);
        break;
    case MQTT_EVENT_MESSAGE:
        on_message(l, d);
        break;
    case MQTT_EVENT_SUBSCRIBE:
    case MQTT_EVENT_UNSUBSCRIBE:
        on_filters(l, d, w);
        break;
    case MQTT_EVENT_FAULT: {
        struct mqtt_fault_view view = mqtt_fault_view(l->event.fault, l->event.packet.version);
        l->counts.faults++;
        listener_log(l, d, "device_fault", view.reason, view.why);
        break;
    }
    case MQTT_EVENT_NONE:
    case MQTT_EVENT_RELEASE:   /* of QoS 2, which is not granted */
    case MQTT_EVENT_DELIVERED: /* nothing is sent to devices */
    case MQTT_EVENT_DISCONNECT:
        break;
    }
}
