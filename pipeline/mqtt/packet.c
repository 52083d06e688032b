#include "pipeline/mqtt/packet.h"

#include <assert.h>

#include "pipeline/err.h"
#include "pipeline/mqtt/packet_parts.h"

enum { HEADER_BYTES_MAX = 5, PUBLISH_RETAIN = 1 << 0, PUBLISH_DUP = 1 << 3, PUBLISH_QOS_SHIFT = 1 };

/* --- the fixed header --- */

/* What the first byte alone is guilty of. */
static enum mqtt_fault check_publish_flags(uint8_t flags)
{
    uint8_t qos = flags >> PUBLISH_QOS_SHIFT & 3;
    if (qos == 3)
        return MQTT_FAULT_QOS_3;
    return qos == 0 && (flags & PUBLISH_DUP) != 0 ? MQTT_FAULT_DUP_QOS_0 : MQTT_FAULT_NONE;
}

static enum mqtt_fault check_flags(enum mqtt_type type, uint8_t flags)
{
    switch (type) {
    case MQTT_PUBLISH:
        return check_publish_flags(flags);
    case MQTT_PUBREL:
        return flags == 2 ? MQTT_FAULT_NONE : MQTT_FAULT_FLAGS_PUBREL;
    case MQTT_SUBSCRIBE:
        return flags == 2 ? MQTT_FAULT_NONE : MQTT_FAULT_FLAGS_SUBSCRIBE;
    case MQTT_UNSUBSCRIBE:
        return flags == 2 ? MQTT_FAULT_NONE : MQTT_FAULT_FLAGS_UNSUBSCRIBE;
    case MQTT_DISCONNECT:
        return flags == 0 ? MQTT_FAULT_NONE : MQTT_FAULT_FLAGS_DISCONNECT;
    case MQTT_AUTH:
        return flags == 0 ? MQTT_FAULT_NONE : MQTT_FAULT_FLAGS_AUTH;
    case MQTT_CONNECT:
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBCOMP:
    case MQTT_PINGREQ:
        return flags == 0 ? MQTT_FAULT_NONE : MQTT_FAULT_FLAGS;
    case MQTT_CONNACK:
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
    case MQTT_PINGRESP:
        return MQTT_FAULT_TYPE_OF_SERVER;
    }
    return MQTT_FAULT_TYPE_RESERVED;
}

static enum mqtt_fault check_first_byte(uint8_t byte, enum mqtt_version version)
{
    enum mqtt_type type = (enum mqtt_type)(byte >> 4);
    if (version == MQTT_NO_VERSION && type != MQTT_CONNECT)
        return MQTT_FAULT_FIRST_NOT_CONNECT;
    if (version != MQTT_NO_VERSION && type == MQTT_CONNECT)
        return MQTT_FAULT_SECOND_CONNECT;
    if (type == MQTT_AUTH && version == MQTT_3_1_1)
        return MQTT_FAULT_TYPE_RESERVED;
    return check_flags(type, byte & 0xf);
}

struct header {
    uint32_t bytes, body_bytes; /* bytes 0: not there yet */
    bool is_wasteful;           /* the length, in more bytes than it needs */
};

/* Read the length. `bytes` may end within it. */
static struct header read_header(struct wire *r, struct mqtt_rules rules)
{
    struct header header = { 0 };
    r->used = 1;
    header.body_bytes = wire_varint(r);
    if (r->fault == MQTT_FAULT_SHORT) {
        r->fault = MQTT_FAULT_NONE;
        return header;
    }
    header.bytes = r->used;
    header.is_wasteful = r->fault == MQTT_FAULT_LENGTH_WASTEFUL;
    if (header.is_wasteful && rules.version != MQTT_5) {
        r->fault = MQTT_FAULT_NONE;
        for (uint32_t i = header.bytes; i-- > 1;)
            header.body_bytes = header.body_bytes << 7 | (r->at[i] & 0x7f);
    }
    if (header.bytes + header.body_bytes > rules.packet_bytes_max)
        wire_fail(r, MQTT_FAULT_TOO_LARGE);
    return header;
}

/* --- bodies --- */

uint16_t packet_read_id(struct wire *r)
{
    uint16_t id = wire_u16(r);
    if (id == 0)
        wire_fail(r, MQTT_FAULT_PACKET_ID_ZERO);
    return id;
}

static void read_publish_properties(struct wire *r, struct mqtt_publish *publish)
{
    struct properties p = properties_begin(r, OWNER_PUBLISH);
    struct property property;
    while (properties_next(&p, &property)) {
        if (property.id == MQTT_TOPIC_ALIAS) {
            publish->alias = (uint16_t)property.number;
            if (property.number == 0)
                wire_fail(r, MQTT_FAULT_ALIAS_ZERO);
        } else if (property.id == MQTT_PAYLOAD_FORMAT) {
            publish->payload_is_text = property_flag(r, &property);
        } else if (property.id == MQTT_MESSAGE_EXPIRY) {
            publish->expiry_s = property.number;
        } else if (property.id == MQTT_CONTENT_TYPE) {
            publish->content_type = property.text;
        } else if (property.id == MQTT_RESPONSE_TOPIC) {
            publish->response_topic = property.text;
        } else if (property.id == MQTT_CORRELATION_DATA) {
            publish->correlation = property.text;
        } else {
            assert(property.id == MQTT_SUBSCRIPTION_ID);
            wire_fail(r, MQTT_FAULT_SUBSCRIPTION_ID);
        }
    }
}

static void read_publish(struct wire *r, uint8_t flags, enum mqtt_version version,
                         struct mqtt_publish *publish)
{
    *publish = (struct mqtt_publish){
        .qos = flags >> PUBLISH_QOS_SHIFT & 3,
        .dup = (flags & PUBLISH_DUP) != 0,
        .retain = (flags & PUBLISH_RETAIN) != 0,
        .expiry_s = -1,
    };
    publish->topic = wire_topic(r, MQTT_FAULT_TOPIC_WILDCARD, version == MQTT_5);
    if (publish->qos > 0)
        publish->packet_id = packet_read_id(r);
    if (version == MQTT_5)
        read_publish_properties(r, publish);
    if (publish->topic.bytes == 0 && publish->alias == 0)
        wire_fail(r, MQTT_FAULT_TOPIC_EMPTY);
    publish->payload = (struct text){ (const char *)r->at + r->used, r->bytes - r->used };
    r->used = r->fault == MQTT_FAULT_NONE ? r->bytes : r->used;
}

/* A reason code, and the properties that may follow; of them the reason string. `reason` stays as
 * it was when the packet ends before it. */
static struct text read_reason(struct wire *r, uint8_t *reason, enum property_owner owner)
{
    struct text why = { 0 };
    if (r->fault != MQTT_FAULT_NONE || r->used == r->bytes)
        return why;
    *reason = wire_u8(r);
    if (r->used == r->bytes)
        return why;
    struct properties p = properties_begin(r, owner);
    struct property property;
    while (properties_next(&p, &property))
        why = property.text; /* acknowledgements have no other property */
    return why;
}

static void read_ack(struct wire *r, enum mqtt_version version, struct mqtt_packet *packet)
{
    static const struct {
        enum mqtt_place place;
        enum mqtt_fault fault;
    } rules[] = {
        [MQTT_PUBACK] = { MQTT_IN_PUBACK_FROM_CLIENT, MQTT_FAULT_PUBACK_REASON },
        [MQTT_PUBREC] = { MQTT_IN_PUBACK_FROM_CLIENT, MQTT_FAULT_PUBREC_REASON },
        [MQTT_PUBREL] = { MQTT_IN_PUBREL, MQTT_FAULT_PUBREL_REASON },
        [MQTT_PUBCOMP] = { MQTT_IN_PUBREL, MQTT_FAULT_PUBCOMP_REASON },
    };
    struct mqtt_ack *ack = &packet->ack;
    *ack = (struct mqtt_ack){ .packet_id = packet_read_id(r) };
    if (version == MQTT_5)
        ack->why = read_reason(r, &ack->reason, OWNER_ACK);
    if (!mqtt_reason_allowed(ack->reason, rules[packet->type].place))
        wire_fail(r, rules[packet->type].fault);
}

static void read_disconnect(struct wire *r, enum mqtt_version version,
                            struct mqtt_disconnect *disconnect)
{
    *disconnect = (struct mqtt_disconnect){ .reason = MQTT_SUCCESS };
    if (version == MQTT_3_1_1 || r->used == r->bytes)
        return;
    disconnect->reason = wire_u8(r);
    if (!mqtt_reason_allowed(disconnect->reason, MQTT_IN_DISCONNECT_FROM_CLIENT))
        wire_fail(r, MQTT_FAULT_DISCONNECT_REASON);
    if (r->used == r->bytes)
        return;
    struct properties p = properties_begin(r, OWNER_DISCONNECT);
    struct property property;
    while (properties_next(&p, &property)) {
        if (property.id == MQTT_SESSION_EXPIRY) {
            disconnect->has_session_expiry = true;
            disconnect->session_expiry_s = property.number;
        } else if (property.id == MQTT_REASON_STRING) {
            disconnect->why = property.text;
        }
    }
}

static void read_auth(struct wire *r, struct mqtt_auth *auth)
{
    *auth = (struct mqtt_auth){ .reason = MQTT_SUCCESS };
    bool has_method = false;
    if (r->used < r->bytes) {
        auth->reason = wire_u8(r);
        struct properties p = properties_begin(r, OWNER_AUTH);
        struct property property;
        while (properties_next(&p, &property)) {
            if (property.id == MQTT_AUTH_METHOD) {
                has_method = true;
                auth->method = property.text;
            } else if (property.id == MQTT_AUTH_DATA) {
                auth->data = property.text;
            }
        }
    }
    if (!mqtt_reason_allowed(auth->reason, MQTT_IN_AUTH_FROM_CLIENT))
        wire_fail(r, MQTT_FAULT_AUTH_REASON);
    if (!has_method)
        wire_fail(r, MQTT_FAULT_AUTH_METHOD_MISSING);
}

static void read_body(struct wire *r, bool is_wasteful, enum mqtt_version version,
                      struct mqtt_packet *packet)
{
    switch (packet->type) {
    case MQTT_CONNECT:
        packet_read_connect(r, is_wasteful, packet);
        break;
    case MQTT_PUBLISH:
        read_publish(r, r->at[0] & 0xf, version, &packet->publish);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        read_ack(r, version, packet);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        packet_read_subscribe(r, version, packet);
        break;
    case MQTT_DISCONNECT:
        read_disconnect(r, version, &packet->disconnect);
        break;
    case MQTT_AUTH:
        read_auth(r, &packet->auth);
        break;
    case MQTT_PINGREQ:
        break;
    case MQTT_CONNACK:
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
    case MQTT_PINGRESP:
        assert(false); /* the first byte ruled them out */
    }
    if (r->used < r->bytes)
        wire_fail(r, MQTT_FAULT_TRAILING);
}

static int refuse(const struct wire *r, struct mqtt_packet *packet)
{
    packet->fault = r->fault;
    packet->fault_offset = r->used;
    return WEIR_EINVAL;
}

int mqtt_packet_read(struct mqtt_rules rules, const uint8_t *at, size_t bytes,
                     struct mqtt_packet *packet)
{
    assert(rules.packet_bytes_max >= HEADER_BYTES_MAX);
    packet->bytes = 2;
    if (bytes == 0)
        return 0;
    struct wire r = { .at = at, .fault = check_first_byte(at[0], rules.version) };
    r.bytes = bytes < HEADER_BYTES_MAX ? (uint32_t)bytes : HEADER_BYTES_MAX;
    packet->type = (enum mqtt_type)(at[0] >> 4);
    packet->version = rules.version;
    packet->fault = MQTT_FAULT_NONE;
    if (r.fault != MQTT_FAULT_NONE)
        return refuse(&r, packet);
    struct header header = read_header(&r, rules);
    if (r.fault != MQTT_FAULT_NONE)
        return refuse(&r, packet);
    packet->bytes = header.bytes == 0 ? r.bytes + 1 : header.bytes + header.body_bytes;
    if (header.bytes == 0 || bytes < packet->bytes)
        return 0;
    r.bytes = packet->bytes;
    read_body(&r, header.is_wasteful, rules.version, packet);
    return r.fault == MQTT_FAULT_NONE ? (int)packet->bytes : refuse(&r, packet);
}
