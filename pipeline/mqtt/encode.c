#include "pipeline/mqtt/encode.h"

#include <assert.h>

#include "pipeline/err.h"
#include "pipeline/mqtt/property.h"

enum { SUBACK_FAILURE_3_1_1 = 0x80 };

/* --- MQTT's numbers and texts; a writer without memory counts --- */

static void put_two(struct byte_writer *w, uint32_t value)
{
    uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };
    put_raw(w, bytes, sizeof bytes);
}

static void put_four(struct byte_writer *w, uint32_t value)
{
    put_two(w, value >> 16);
    put_two(w, value);
}

static void put_string(struct byte_writer *w, struct text text)
{
    assert(text.bytes <= UINT16_MAX);
    put_two(w, text.bytes);
    put_raw(w, text.at, text.bytes);
}

static void put_why(struct byte_writer *w, struct text why)
{
    if (why.bytes == 0)
        return;
    put_u8(w, MQTT_REASON_STRING);
    put_string(w, why);
}

static size_t why_bytes(struct text why)
{
    struct byte_writer counter = { 0 };
    put_why(&counter, why);
    return counter.used;
}

static size_t varint_bytes(size_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

/* --- frames --- */

static size_t packet_bytes(size_t body)
{
    return 1 + varint_bytes(body) + body;
}

/* Of the fields and properties, with the property length. */
static size_t body_bytes(size_t fields, size_t properties)
{
    return fields + varint_bytes(properties) + properties;
}

/* `why` as it may be sent: the first `properties` bytes of properties stand without it. */
static struct text fitting(const struct mqtt_peer *peer, struct text why, size_t fields,
                           size_t properties)
{
    if (why.bytes == 0)
        return why;
    size_t with = packet_bytes(body_bytes(fields, properties + why_bytes(why)));
    bool fits = peer->version == MQTT_5 && with <= peer->packet_bytes_max;
    return fits ? why : (struct text){ 0 };
}

/* The header of a packet for which there is room; nothing is written when there is none. */
static int begin(struct byte_writer *w, const struct mqtt_peer *peer, uint8_t first, size_t body)
{
    assert(body <= MQTT_PACKET_BYTES_MAX - 5);
    size_t bytes = packet_bytes(body);
    if (bytes > peer->packet_bytes_max)
        return WEIR_EINVAL;
    if (w->failed || bytes > w->bytes - w->used)
        return WEIR_EFULL;
    put_u8(w, first);
    put_varint(w, body);
    return 0;
}

static uint8_t first_byte(enum mqtt_type type, unsigned flags)
{
    return (uint8_t)((unsigned)type << 4 | flags);
}

/* --- packets --- */

static void put_connack_limits(struct byte_writer *w, const struct mqtt_connack *c)
{
    if (c->receive_maximum != 0) {
        put_u8(w, MQTT_RECEIVE_MAXIMUM);
        put_two(w, c->receive_maximum);
    }
    if (c->qos_max < 2) {
        put_u8(w, MQTT_MAXIMUM_QOS);
        put_u8(w, c->qos_max);
    }
    if (c->packet_bytes_max != MQTT_NO_LIMIT) {
        put_u8(w, MQTT_MAXIMUM_PACKET);
        put_four(w, c->packet_bytes_max);
    }
    if (c->alias_maximum != 0) {
        put_u8(w, MQTT_ALIAS_MAXIMUM);
        put_two(w, c->alias_maximum);
    }
}

static void put_unavailable(struct byte_writer *w, bool is_unavailable, enum mqtt_property property)
{
    if (!is_unavailable)
        return;
    put_u8(w, (uint8_t)property);
    put_u8(w, 0);
}

/* All properties but the reason string. A refusal has none. */
static void put_connack_properties(struct byte_writer *w, const struct mqtt_connack *c)
{
    if (c->reason >= MQTT_FAILURE)
        return;
    if (c->has_session_expiry) {
        put_u8(w, MQTT_SESSION_EXPIRY);
        put_four(w, c->session_expiry_s);
    }
    if (c->has_keep_alive) {
        put_u8(w, MQTT_SERVER_KEEP_ALIVE);
        put_two(w, c->keep_alive_s);
    }
    if (c->assigned_client_id.bytes > 0) {
        put_u8(w, MQTT_ASSIGNED_CLIENT_ID);
        put_string(w, c->assigned_client_id);
    }
    put_connack_limits(w, c);
    put_unavailable(w, c->no_retain, MQTT_RETAIN_AVAILABLE);
    put_unavailable(w, c->no_wildcards, MQTT_WILDCARDS_AVAILABLE);
    put_unavailable(w, c->no_subscription_ids, MQTT_IDS_AVAILABLE);
    put_unavailable(w, c->no_shared, MQTT_SHARED_AVAILABLE);
}

static int put_connack_3_1_1(struct byte_writer *w, const struct mqtt_peer *peer,
                             const struct mqtt_connack *c)
{
    int code = mqtt_reason_to_return_code(c->reason);
    if (code < 0)
        return WEIR_EINVAL;
    int err = begin(w, peer, first_byte(MQTT_CONNACK, 0), 2);
    if (err != 0)
        return err;
    put_u8(w, c->session_present);
    put_u8(w, (uint8_t)code);
    return 0;
}

int mqtt_put_connack(struct byte_writer *w, const struct mqtt_peer *peer,
                     const struct mqtt_connack *c)
{
    assert(mqtt_reason_allowed(c->reason, MQTT_IN_CONNACK));
    assert(!c->session_present || c->reason == MQTT_SUCCESS);
    if (peer->version != MQTT_5)
        return put_connack_3_1_1(w, peer, c);
    struct byte_writer counter = { 0 };
    put_connack_properties(&counter, c);
    struct text why = fitting(peer, c->why, 2, counter.used);
    size_t properties = counter.used + why_bytes(why);
    int err = begin(w, peer, first_byte(MQTT_CONNACK, 0), body_bytes(2, properties));
    if (err != 0)
        return err;
    put_u8(w, c->session_present);
    put_u8(w, c->reason);
    put_varint(w, properties);
    put_connack_properties(w, c);
    put_why(w, why);
    assert(!w->failed);
    return 0;
}

static struct text wanted(const struct mqtt_peer *peer, struct text why)
{
    return peer->wants_problems ? why : (struct text){ 0 };
}

int mqtt_put_ack(struct byte_writer *w, const struct mqtt_peer *peer, enum mqtt_type type,
                 const struct mqtt_ack *ack)
{
    bool is_release = type == MQTT_PUBREL || type == MQTT_PUBCOMP;
    assert(is_release || type == MQTT_PUBACK || type == MQTT_PUBREC);
    assert(mqtt_reason_allowed(ack->reason, is_release ? MQTT_IN_PUBREL : MQTT_IN_PUBACK));
    assert(ack->packet_id != 0);
    struct text why = fitting(peer, wanted(peer, ack->why), 3, 0);
    bool has_reason = peer->version == MQTT_5 && (ack->reason != MQTT_SUCCESS || why.bytes > 0);
    size_t body = why.bytes > 0 ? body_bytes(3, why_bytes(why)) : has_reason ? 3 : 2;
    int err = begin(w, peer, first_byte(type, type == MQTT_PUBREL ? 2 : 0), body);
    if (err != 0)
        return err;
    put_two(w, ack->packet_id);
    if (has_reason)
        put_u8(w, ack->reason);
    if (why.bytes > 0) {
        put_varint(w, why_bytes(why));
        put_why(w, why);
    }
    assert(!w->failed);
    return 0;
}

/* A code as this client reads it. */
static uint8_t suback_code(const struct mqtt_peer *peer, uint8_t code)
{
    return peer->version == MQTT_3_1_1 && code >= MQTT_FAILURE ? SUBACK_FAILURE_3_1_1 : code;
}

int mqtt_put_suback(struct byte_writer *w, const struct mqtt_peer *peer, enum mqtt_type type,
                    const struct mqtt_suback *suback)
{
    assert(type == MQTT_SUBACK || type == MQTT_UNSUBACK);
    assert(suback->packet_id != 0 && suback->count > 0 && suback->count <= MQTT_FILTERS_MAX);
    bool is_new = peer->version == MQTT_5;
    uint32_t count = is_new || type == MQTT_SUBACK ? suback->count : 0;
    struct text why = fitting(peer, wanted(peer, suback->why), 2 + count, 0);
    size_t body = is_new ? body_bytes(2 + count, why_bytes(why)) : 2 + count;
    int err = begin(w, peer, first_byte(type, 0), body);
    if (err != 0)
        return err;
    put_two(w, suback->packet_id);
    if (is_new) {
        put_varint(w, why_bytes(why));
        put_why(w, why);
    }
    for (uint32_t i = 0; i < count; i++) {
        assert(mqtt_reason_allowed(suback->codes[i],
                                   type == MQTT_SUBACK ? MQTT_IN_SUBACK : MQTT_IN_UNSUBACK));
        put_u8(w, suback_code(peer, suback->codes[i]));
    }
    assert(!w->failed);
    return 0;
}

int mqtt_put_pingresp(struct byte_writer *w, const struct mqtt_peer *peer)
{
    return begin(w, peer, first_byte(MQTT_PINGRESP, 0), 0);
}

int mqtt_put_disconnect(struct byte_writer *w, const struct mqtt_peer *peer, uint8_t reason,
                        struct text why)
{
    assert(peer->version == MQTT_5);
    assert(mqtt_reason_allowed(reason, MQTT_IN_DISCONNECT));
    struct text fits = fitting(peer, why, 1, 0);
    size_t body = fits.bytes > 0 ? body_bytes(1, why_bytes(fits)) : 1;
    int err = begin(w, peer, first_byte(MQTT_DISCONNECT, 0), body);
    if (err != 0)
        return err;
    put_u8(w, reason);
    if (fits.bytes > 0) {
        put_varint(w, why_bytes(fits));
        put_why(w, fits);
    }
    assert(!w->failed);
    return 0;
}

int mqtt_put_publish(struct byte_writer *w, const struct mqtt_peer *peer,
                     const struct mqtt_outgoing *publish)
{
    assert(publish->qos <= 1 && (publish->qos == 1) == (publish->packet_id != 0));
    assert(publish->qos == 1 || !publish->dup);
    assert(publish->topic.bytes > 0 && publish->topic.bytes <= UINT16_MAX);
    assert(text_scan(publish->topic) == 0);
    bool is_new = peer->version == MQTT_5;
    size_t fields = 2 + publish->topic.bytes + (publish->qos > 0 ? 2 : 0);
    size_t body = (is_new ? body_bytes(fields, 0) : fields) + publish->payload.bytes;
    unsigned flags = (publish->dup ? 8u : 0u) | (unsigned)publish->qos << 1;
    int err = begin(w, peer, first_byte(MQTT_PUBLISH, flags), body);
    if (err != 0)
        return err;
    put_string(w, publish->topic);
    if (publish->qos > 0)
        put_two(w, publish->packet_id);
    if (is_new)
        put_varint(w, 0);
    put_raw(w, publish->payload.at, publish->payload.bytes);
    assert(!w->failed);
    return 0;
}
