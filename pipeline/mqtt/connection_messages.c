#include "pipeline/mqtt/connection_parts.h"

#include "pipeline/err.h"
#include "pipeline/hash.h"

/* Of a QoS 2 exchange, in mqtt_id.state. One that is over is not in the table. */
enum exchange {
    EXCHANGE_RECEIVED, /* PUBLISH came; PUBREC waits */
    EXCHANGE_RECORDED, /* PUBREC was written; PUBREL is awaited */
    EXCHANGE_RELEASED  /* PUBREL came; PUBCOMP waits */
};

/* Of a QoS 2 exchange, in mqtt_id.flags. */
enum {
    IS_COUNTED = 1, /* in in_flight */
    IS_RESTORED = 2 /* began over an earlier connection */
};

static void set_exchange(struct mqtt_id *id, enum exchange state)
{
    assert(state == id->state + 1u);
    id->state = (uint8_t)state;
}

/* --- acknowledgements that wait --- */

/* The one that came `index` after the oldest that waits. */
static struct mqtt_held *held_at(const struct mqtt_connection *c, uint32_t index)
{
    assert(index <= c->held_count && index < c->held_max);
    uint32_t slot = c->held_first + index;
    return &c->held[slot < c->held_max ? slot : slot - c->held_max];
}

static uint64_t hold(struct mqtt_connection *c, struct mqtt_held held)
{
    *held_at(c, c->held_count) = held;
    c->held_count++;
    return ++c->arrived;
}

void mqtt_connection_judge(struct mqtt_connection *c, uint64_t number, uint8_t reason,
                           uint8_t detail)
{
    assert(number > c->committed && number <= c->arrived);
    assert(mqtt_reason_allowed(reason, MQTT_IN_PUBACK));
    uint32_t from_last = (uint32_t)(c->arrived - number);
    assert(from_last < c->held_count);
    struct mqtt_held *held = held_at(c, c->held_count - 1 - from_last);
    assert(held->type != MQTT_PUBCOMP && !held->is_repeat);
    held->reason = reason;
    held->detail = detail;
}

void mqtt_connection_committed(struct mqtt_connection *c, uint64_t number)
{
    assert(number >= c->committed && number <= c->arrived);
    c->committed = number;
}

static void end_exchange(struct mqtt_connection *c, struct mqtt_id *id)
{
    if ((id->flags & IS_COUNTED) != 0)
        c->in_flight--;
    mqtt_ids_remove(&c->exchanges, id->id);
}

/* What writing it means for the message. */
static void sent(struct mqtt_connection *c, const struct mqtt_held *held)
{
    if (held->type == MQTT_PUBACK) {
        c->in_flight--;
        return;
    }
    struct mqtt_id *id = mqtt_ids_find(&c->exchanges, held->packet_id);
    if (id == NULL)
        return; /* PUBREL of an exchange that we do not know */
    if (held->type == MQTT_PUBCOMP) {
        if (id->state == EXCHANGE_RELEASED)
            end_exchange(c, id);
    } else if (held->reason >= MQTT_FAILURE && c->peer.version == MQTT_5) {
        end_exchange(c, id);
    } else if (id->state == EXCHANGE_RECEIVED) {
        set_exchange(id, EXCHANGE_RECORDED);
    }
}

uint32_t mqtt_connection_render(struct mqtt_connection *c, const struct text *details,
                                struct byte_writer *w)
{
    if (c->state != MQTT_CONNECTED)
        return 0;
    uint32_t written = 0;
    while (c->arrived - c->held_count < c->committed) {
        const struct mqtt_held *held = held_at(c, 0);
        struct mqtt_ack ack = { .packet_id = held->packet_id, .reason = held->reason };
        if (held->detail != 0)
            ack.why = details[held->detail];
        if (mqtt_put_ack(w, &c->peer, (enum mqtt_type)held->type, &ack) == WEIR_EFULL)
            break;
        sent(c, held);
        c->held_first = c->held_first + 1 < c->held_max ? c->held_first + 1 : 0;
        c->held_count--;
        written++;
    }
    return written;
}

/* --- messages from the client --- */

int mqtt_connection_restore(struct mqtt_connection *c, uint16_t packet_id, uint32_t mark)
{
    assert(c->state == MQTT_CONNECTING && !c->clean_start);
    struct mqtt_id *id = mqtt_ids_add(&c->exchanges, packet_id);
    if (id == NULL)
        return WEIR_EFULL;
    id->state = EXCHANGE_RECORDED;
    id->flags = IS_RESTORED;
    id->mark = mark;
    return 0;
}

/* Take a message into account that the client may not have more than receive_maximum of. */
static enum mqtt_fault count(struct mqtt_connection *c)
{
    if (c->peer.version == MQTT_5 && c->in_flight == c->offer->receive_maximum)
        return MQTT_FAULT_RECEIVE_MAXIMUM;
    c->in_flight++;
    return MQTT_FAULT_NONE;
}

/* Only a client's own messages can collide, so the key need not be secret. */
static uint32_t mark_of(struct text topic, struct text payload)
{
    struct hash_state h;
    hash_begin(&h, (struct hash_key){ 0x776569726d717474u, 1 }, 0);
    hash_add(&h, topic.at, topic.bytes);
    hash_add(&h, "", 1); /* which no topic holds */
    hash_add(&h, payload.at, payload.bytes);
    return (uint32_t)hash_end64(&h);
}

static enum mqtt_fault begin_exchange(struct mqtt_connection *c, const struct mqtt_event *event)
{
    enum mqtt_fault fault = count(c);
    if (fault != MQTT_FAULT_NONE)
        return fault;
    struct mqtt_id *id = mqtt_ids_add(&c->exchanges, event->packet.publish.packet_id);
    if (id == NULL)
        return MQTT_FAULT_TOO_MANY_EXCHANGES;
    id->flags = IS_COUNTED;
    id->mark = event->mark;
    return MQTT_FAULT_NONE;
}

/* The exchange that a PUBLISH at QoS 2 begins or, as a repeat, belongs to. */
static enum mqtt_fault take_exchange(struct mqtt_connection *c, struct mqtt_event *event)
{
    const struct mqtt_publish *publish = &event->packet.publish;
    event->mark = mark_of(event->topic, publish->payload);
    struct mqtt_id *id = mqtt_ids_find(&c->exchanges, publish->packet_id);
    if (id == NULL)
        return begin_exchange(c, event);
    if (id->mark != event->mark && id->state == EXCHANGE_RECORDED && id->flags == IS_RESTORED) {
        end_exchange(c, id);
        return begin_exchange(c, event);
    }
    if (id->mark != event->mark || id->state == EXCHANGE_RELEASED)
        return MQTT_FAULT_ID_IN_USE;
    event->is_repeat = true;
    if ((id->flags & IS_COUNTED) != 0)
        return MQTT_FAULT_NONE;
    id->flags |= IS_COUNTED;
    return count(c);
}

/* A repeat whose PUBREC still waits: that one comes after the repeat too, and answers both. */
static bool is_covered(const struct mqtt_connection *c, const struct mqtt_event *event)
{
    return event->is_repeat &&
           mqtt_ids_find(&c->exchanges, event->packet.publish.packet_id)->state ==
               EXCHANGE_RECEIVED;
}

static enum mqtt_fault resolve(struct mqtt_connection *c, const struct mqtt_publish *publish,
                               struct text *topic)
{
    *topic = publish->topic;
    if (publish->alias == 0)
        return MQTT_FAULT_NONE;
    if (publish->alias > c->offer->alias_maximum)
        return MQTT_FAULT_ALIAS_OVER;
    if (topic->bytes > 0)
        return mqtt_aliases_set(&c->aliases, publish->alias, *topic) == 0 ? MQTT_FAULT_NONE
                                                                          : MQTT_FAULT_ALIAS_ROOM;
    *topic = mqtt_aliases_get(&c->aliases, publish->alias);
    return topic->bytes > 0 ? MQTT_FAULT_NONE : MQTT_FAULT_ALIAS_UNKNOWN;
}

static enum mqtt_fault check_publish(const struct mqtt_offer *offer,
                                     const struct mqtt_publish *publish)
{
    if (publish->qos > offer->qos_max)
        return MQTT_FAULT_QOS_OVER;
    return publish->retain && !offer->retain ? MQTT_FAULT_RETAIN : MQTT_FAULT_NONE;
}

enum mqtt_fault connection_on_publish(struct mqtt_connection *c, struct mqtt_event *event)
{
    const struct mqtt_publish *publish = &event->packet.publish;
    enum mqtt_fault fault = check_publish(c->offer, publish);
    if (fault == MQTT_FAULT_NONE)
        fault = resolve(c, publish, &event->topic);
    if (fault == MQTT_FAULT_NONE && publish->qos == 1)
        fault = count(c);
    if (fault == MQTT_FAULT_NONE && publish->qos == 2)
        fault = take_exchange(c, event);
    if (fault != MQTT_FAULT_NONE)
        return fault;
    if (publish->qos > 0 && !is_covered(c, event))
        event->number = hold(c, (struct mqtt_held){
                                    .packet_id = publish->packet_id,
                                    .type = publish->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
                                    .is_repeat = event->is_repeat,
                                });
    event->kind = MQTT_EVENT_MESSAGE;
    return MQTT_FAULT_NONE;
}

/* One that we do not know has been answered before, or its session is gone; either way the client
 * is to stop asking. */
enum mqtt_fault connection_on_pubrel(struct mqtt_connection *c, struct mqtt_event *event)
{
    uint16_t packet_id = event->packet.ack.packet_id;
    struct mqtt_id *id = mqtt_ids_find(&c->exchanges, packet_id);
    if (id != NULL && id->state == EXCHANGE_RECEIVED)
        return MQTT_FAULT_PUBREL_EARLY;
    event->kind = id != NULL ? MQTT_EVENT_RELEASE : MQTT_EVENT_NONE;
    if (id != NULL && id->state == EXCHANGE_RECORDED)
        set_exchange(id, EXCHANGE_RELEASED);
    event->number = hold(c, (struct mqtt_held){
                                .packet_id = packet_id,
                                .type = MQTT_PUBCOMP,
                                .reason = id != NULL ? MQTT_SUCCESS : MQTT_PACKET_ID_NOT_FOUND,
                            });
    return MQTT_FAULT_NONE;
}

/* --- answers to our messages --- */

enum mqtt_fault connection_on_puback(struct mqtt_connection *c, struct mqtt_event *event)
{
    uint16_t packet_id = event->packet.ack.packet_id;
    if (mqtt_ids_find(&c->sent, packet_id) == NULL)
        return MQTT_FAULT_NONE; /* of an earlier connection, perhaps */
    mqtt_ids_remove(&c->sent, packet_id);
    event->kind = MQTT_EVENT_DELIVERED;
    return MQTT_FAULT_NONE;
}

/* We send nothing at QoS 2, so this is about a session that is not ours: let it be ended. */
enum mqtt_fault connection_on_pubrec(struct mqtt_connection *c, struct mqtt_event *event,
                                     struct byte_writer *w)
{
    const struct mqtt_ack *got = &event->packet.ack;
    if (mqtt_ids_find(&c->sent, got->packet_id) != NULL)
        return MQTT_FAULT_PUBREC_OF_QOS_1;
    struct mqtt_ack ack = { .packet_id = got->packet_id, .reason = MQTT_PACKET_ID_NOT_FOUND };
    if (got->reason < MQTT_FAILURE)
        (void)mqtt_put_ack(w, &c->peer, MQTT_PUBREL, &ack); /* there is room; too large: left out */
    return MQTT_FAULT_NONE;
}

static uint16_t unused_id(struct mqtt_connection *c)
{
    do
        c->last_id++;
    while (c->last_id == 0 || mqtt_ids_find(&c->sent, c->last_id) != NULL);
    return c->last_id;
}

int mqtt_connection_publish(struct mqtt_connection *c, struct mqtt_outgoing *message,
                            struct byte_writer *w)
{
    assert(c->state == MQTT_CONNECTED && message->qos <= 1);
    if (message->qos == 0)
        return mqtt_put_publish(w, &c->peer, message);
    if (c->sent.count >= c->send_quota)
        return WEIR_EAGAIN;
    struct mqtt_outgoing with_id = *message;
    if (with_id.packet_id == 0)
        with_id.packet_id = unused_id(c);
    int err = mqtt_put_publish(w, &c->peer, &with_id);
    if (err != 0)
        return err;
    (void)mqtt_ids_add(&c->sent, with_id.packet_id); /* there is room: send_quota <= send_max */
    message->packet_id = with_id.packet_id;
    return 0;
}
