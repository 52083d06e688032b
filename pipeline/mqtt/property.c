#include "pipeline/mqtt/property.h"

#include <assert.h>

enum kind { NONE, BYTE, TWO_BYTES, FOUR_BYTES, VARINT, STRING, TOPIC, BINARY, PAIR };

enum { ID_MAX = MQTT_SHARED_AVAILABLE };

/* Those that only a server sends have no owner. */
static const struct {
    uint8_t kind;
    uint8_t owners;
} rules[ID_MAX + 1] = {
    [MQTT_PAYLOAD_FORMAT] = { BYTE, OWNER_PUBLISH | OWNER_WILL },
    [MQTT_MESSAGE_EXPIRY] = { FOUR_BYTES, OWNER_PUBLISH | OWNER_WILL },
    [MQTT_CONTENT_TYPE] = { STRING, OWNER_PUBLISH | OWNER_WILL },
    [MQTT_RESPONSE_TOPIC] = { TOPIC, OWNER_PUBLISH | OWNER_WILL },
    [MQTT_CORRELATION_DATA] = { BINARY, OWNER_PUBLISH | OWNER_WILL },
    [MQTT_SUBSCRIPTION_ID] = { VARINT, OWNER_PUBLISH | OWNER_SUBSCRIBE },
    [MQTT_SESSION_EXPIRY] = { FOUR_BYTES, OWNER_CONNECT | OWNER_DISCONNECT },
    [MQTT_AUTH_METHOD] = { STRING, OWNER_CONNECT | OWNER_AUTH },
    [MQTT_AUTH_DATA] = { BINARY, OWNER_CONNECT | OWNER_AUTH },
    [MQTT_WANTS_PROBLEMS] = { BYTE, OWNER_CONNECT },
    [MQTT_WILL_DELAY] = { FOUR_BYTES, OWNER_WILL },
    [MQTT_WANTS_RESPONSE] = { BYTE, OWNER_CONNECT },
    [MQTT_SERVER_REFERENCE] = { STRING, OWNER_DISCONNECT },
    [MQTT_REASON_STRING] = { STRING, OWNER_ACK | OWNER_DISCONNECT | OWNER_AUTH },
    [MQTT_RECEIVE_MAXIMUM] = { TWO_BYTES, OWNER_CONNECT },
    [MQTT_ALIAS_MAXIMUM] = { TWO_BYTES, OWNER_CONNECT },
    [MQTT_TOPIC_ALIAS] = { TWO_BYTES, OWNER_PUBLISH },
    [MQTT_USER_PROPERTY] = { PAIR, 0xff },
    [MQTT_MAXIMUM_PACKET] = { FOUR_BYTES, OWNER_CONNECT },
};

struct properties properties_begin(struct wire *from, enum property_owner owner)
{
    struct properties p = { .from = from, .owner = owner };
    if (from->used == from->bytes)
        wire_fail(from, MQTT_FAULT_NO_PROPERTY_LENGTH);
    uint32_t bytes = wire_varint(from);
    if (from->bytes - from->used < bytes)
        wire_fail(from, MQTT_FAULT_PROPERTY_LENGTH);
    p.end = from->used + bytes;
    return p;
}

static void read_pair(struct wire *from)
{
    for (int i = 0; i < 2; i++)
        if ((text_scan(wire_binary(from)) & (TEXT_ILL_FORMED | TEXT_HAS_NUL)) != 0)
            wire_fail(from, MQTT_FAULT_PROPERTY_PAIR);
}

static void read_value(struct wire *from, enum kind kind, struct property *property)
{
    switch (kind) {
    case NONE:
        assert(false);
        break;
    case BYTE:
        property->number = wire_u8(from);
        break;
    case TWO_BYTES:
        property->number = wire_u16(from);
        break;
    case FOUR_BYTES:
        property->number = wire_u32(from);
        break;
    case VARINT:
        property->number = wire_varint(from);
        break;
    case STRING:
        property->text = wire_text(from);
        break;
    case TOPIC:
        property->text = wire_topic(from, MQTT_FAULT_RESPONSE_TOPIC, false);
        break;
    case BINARY:
        property->text = wire_binary(from);
        break;
    case PAIR:
        read_pair(from);
        break;
    }
}

/* Read the id, and fail when this packet can't have it, or not twice. */
static enum mqtt_property read_id(struct properties *p)
{
    uint32_t id = wire_varint(p->from);
    if (p->from->fault != MQTT_FAULT_NONE)
        return 0;
    if (id > ID_MAX || (rules[id].owners & p->owner) == 0) {
        wire_fail(p->from, MQTT_FAULT_PROPERTY_PLACE);
        return 0;
    }
    uint64_t bit = UINT64_C(1) << id;
    if ((p->seen & bit) != 0 && id != MQTT_USER_PROPERTY)
        wire_fail(p->from, MQTT_FAULT_PROPERTY_TWICE);
    p->seen |= bit;
    return (enum mqtt_property)id;
}

bool properties_next(struct properties *p, struct property *property)
{
    while (p->from->fault == MQTT_FAULT_NONE && p->from->used < p->end) {
        *property = (struct property){ .id = read_id(p) };
        if (p->from->fault == MQTT_FAULT_NONE)
            read_value(p->from, rules[property->id].kind, property);
        if (p->from->fault == MQTT_FAULT_SHORT || p->from->used > p->end)
            p->from->fault = MQTT_FAULT_PROPERTY_LENGTH;
        if (property->id != MQTT_USER_PROPERTY)
            return p->from->fault == MQTT_FAULT_NONE;
    }
    return false;
}

bool property_flag(struct wire *from, const struct property *property)
{
    if (property->number > 1)
        wire_fail(from, MQTT_FAULT_PROPERTY_VALUE);
    return property->number == 1;
}
