/* device_topics: what a device may subscribe to: its own receipts, and its own commands. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/listener/listener_state.h"

static const char RECEIPTS[] = "weir/receipt/", COMMANDS[] = LISTENER_COMMANDS_TOPIC;

/* The device that the filter names behind the prefix; false: it is no such filter. */
static bool names_device(struct text filter, const char *prefix, struct text *device)
{
    struct text begin = text_of(prefix);
    if (filter.bytes <= begin.bytes || memcmp(filter.at, begin.at, begin.bytes) != 0)
        return false;
    *device = (struct text){ filter.at + begin.bytes, filter.bytes - begin.bytes };
    return true;
}

/* Which subscription of the device the filter is. */
static uint8_t judge_filter(const struct device *d, const struct mqtt_filter *filter,
                            enum session_topics *topic)
{
    struct text device;
    if (filter->is_shared)
        return MQTT_SHARED_NOT_SUPPORTED;
    if (filter->has_wildcard) /* nothing could be sent to an anonymous client whose id is "+" */
        return MQTT_TOPIC_FILTER_INVALID;
    if (names_device(filter->filter, RECEIPTS, &device))
        *topic = SESSION_RECEIPTS;
    else if (names_device(filter->filter, COMMANDS, &device))
        *topic = SESSION_COMMANDS;
    else
        return MQTT_TOPIC_FILTER_INVALID;
    return text_equal(device, device_name(d)) ? MQTT_SUCCESS : MQTT_NOT_AUTHORIZED;
}

/* --- SUBSCRIBE, UNSUBSCRIBE ---------------------------------------------------------------------
 */

/* An entry that the gateway has no room for is tried again with the next SUBSCRIBE. */
static void watch_receipts(struct listener *l, struct device *d)
{
    if ((d->topics & SESSION_RECEIPTS) != 0 && d->receipt < 0)
        d->receipt = gateway_receipt_watch(l->gateway, device_name(d));
    d->receipt_told = false;
}

/* Receipts come at QoS 0: each says everything that the one before it said. Commands at QoS 1 where
 * the device takes that. */
static uint8_t subscribe_to(struct listener *l, struct device *d, const struct mqtt_filter *filter)
{
    enum session_topics topic;
    uint8_t code = judge_filter(d, filter, &topic);
    if (code == MQTT_SUCCESS && l->event.packet.subscribe.subscription_id != 0)
        code = MQTT_SUBSCRIPTION_IDS_NOT_SUPPORTED;
    if (code != MQTT_SUCCESS)
        return code;
    d->topics |= (uint8_t)topic;
    if (topic == SESSION_COMMANDS) { /* the last SUBSCRIBE counts [5 MQTT-3.8.4-3] */
        d->topics &= (uint8_t)~SESSION_COMMANDS_QOS_1;
        d->topics |= filter->qos > 0 ? SESSION_COMMANDS_QOS_1 : 0;
        return filter->qos > 0 ? MQTT_GRANTED_QOS_1 : MQTT_SUCCESS;
    }
    watch_receipts(l, d);
    return d->receipt < 0 ? MQTT_QUOTA_EXCEEDED : MQTT_SUCCESS;
}

static uint8_t unsubscribe_from(struct listener *l, struct device *d,
                                const struct mqtt_filter *filter)
{
    enum session_topics topic;
    if (judge_filter(d, filter, &topic) != MQTT_SUCCESS || (d->topics & topic) == 0)
        return MQTT_NO_SUBSCRIPTION;
    d->topics &= (uint8_t)~(topic == SESSION_COMMANDS ? topic | SESSION_COMMANDS_QOS_1 : topic);
    if (topic == SESSION_RECEIPTS)
        device_forget_receipts(l, d);
    return MQTT_SUCCESS;
}

/* In a session that outlives the connection the answer waits until it is told there too. */
void device_on_filters(struct listener *l, struct device *d)
{
    const struct mqtt_subscribe *subscribe = &l->event.packet.subscribe;
    bool subscribes = l->event.kind == MQTT_EVENT_SUBSCRIBE;
    struct mqtt_filters filters = subscribe->filters;
    struct mqtt_filter filter;
    struct device_reply *reply = &d->reply;
    assert(reply->count == 0);
    while (mqtt_filter_next(&filters, &filter))
        reply->codes[reply->count++] =
            subscribes ? subscribe_to(l, d, &filter) : unsubscribe_from(l, d, &filter);
    reply->type = subscribes ? MQTT_SUBACK : MQTT_UNSUBACK;
    reply->packet_id = subscribe->packet_id;
    reply->waits = d->session != NULL && d->session->topics != d->topics;
    if (reply->waits)
        sessions_subscribe(l->config.sessions, d->session, d->topics);
}

/* --- what goes out ------------------------------------------------------------------------------
 */

static bool reply_may_go(const struct listener *l, const struct device *d)
{
    return !d->reply.waits || d->session == NULL ||
           (!d->session->dirty && d->session->number <= l->acknowledged);
}

static void put_reply(struct listener *l, struct device *d, struct byte_writer *w)
{
    struct device_reply *reply = &d->reply;
    if (reply->count == 0 || !reply_may_go(l, d) ||
        w->bytes - w->used < MQTT_ANSWER_BYTES)
        return;
    const struct mqtt_suback suback = { .packet_id = reply->packet_id,
                                        .count = reply->count,
                                        .codes = reply->codes };
    /* there is room; too large for the client: left out */
    (void)mqtt_put_suback(w, &d->mqtt->peer, reply->type, &suback);
    reply->count = 0;
}

/* The last one stands for those before it; where there is no room now, a later one tells more. */
static void put_receipt(struct listener *l, struct device *d, struct byte_writer *w)
{
    char topic[sizeof RECEIPTS + SESSION_ID_BYTES], payload[48];
    uint64_t sequence;
    if (d->receipt < 0 || d->reply.count > 0 ||
        !gateway_receipt(l->gateway, d->receipt, &sequence) ||
        (d->receipt_told && d->told_sequence == sequence))
        return;
    struct text name = device_name(d);
    int topic_bytes = snprintf(topic, sizeof topic, "%s%.*s", RECEIPTS, (int)name.bytes, name.at);
    int bytes = snprintf(payload, sizeof payload, "{\"sequence\":%llu}",
                         (unsigned long long)sequence);
    struct mqtt_outgoing message = { .topic = { topic, (uint32_t)topic_bytes },
                                     .payload = { payload, (uint32_t)bytes } };
    if (mqtt_connection_publish(d->mqtt, &message, w) == WEIR_EFULL)
        return;
    d->receipt_told = true; /* or it is larger than what the client takes */
    d->told_sequence = sequence;
}

void device_put_more(struct listener *l, struct device *d, struct byte_writer *w)
{
    if (d->mqtt->state != MQTT_CONNECTED)
        return;
    put_reply(l, d, w);
    put_receipt(l, d, w);
}

/* --- life ---------------------------------------------------------------------------------------
 */

void device_resume_topics(struct listener *l, struct device *d)
{
    d->topics = d->session != NULL ? d->session->topics : 0;
    watch_receipts(l, d);
}

void device_forget_receipts(struct listener *l, struct device *d)
{
    if (d->receipt >= 0)
        gateway_receipt_unwatch(l->gateway, d->receipt);
    d->receipt = -1;
}
