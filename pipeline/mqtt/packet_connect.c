#include "pipeline/mqtt/packet_parts.h"

enum {
    FLAG_RESERVED = 1 << 0,
    FLAG_CLEAN_START = 1 << 1,
    FLAG_WILL = 1 << 2,
    FLAG_WILL_RETAIN = 1 << 5,
    FLAG_PASSWORD = 1 << 6,
    FLAG_USERNAME = 1 << 7,
    WILL_QOS_SHIFT = 3
};

/* A field that a flag announced: not there is a fault of its own. */
static struct text announced(struct wire *r, struct text (*read)(struct wire *),
                             enum mqtt_fault missing)
{
    struct text field = read(r);
    if (r->fault == MQTT_FAULT_SHORT)
        r->fault = missing;
    return field;
}

/* The protocol name and level; and in which version we can answer, whatever comes of it. A client
 * of 3.1 ("MQIsdp", level 3) understands the refusal of 3.1.1; a bridge sets the level's top bit at
 * its first attempt. */
static void read_protocol(struct wire *r, struct mqtt_packet *packet)
{
    struct text name = wire_binary(r);
    bool is_mqtt = text_equal(name, text_of("MQTT"));
    bool is_3_1 = text_equal(name, text_of("MQIsdp"));
    if (r->fault == MQTT_FAULT_NONE && !is_mqtt && !is_3_1) {
        wire_fail(r, MQTT_FAULT_PROTOCOL_NAME);
        return;
    }
    uint8_t level = wire_u8(r);
    if (r->fault != MQTT_FAULT_NONE)
        return;
    packet->version = is_mqtt && (level & 0x7f) >= MQTT_5 ? MQTT_5 : MQTT_3_1_1;
    packet->connect.version = packet->version;
    if (!is_mqtt || (level != MQTT_3_1_1 && level != MQTT_5))
        wire_fail(r, MQTT_FAULT_PROTOCOL_LEVEL);
}

static void read_flags(struct wire *r, uint8_t flags, struct mqtt_connect *connect)
{
    uint8_t will_qos = flags >> WILL_QOS_SHIFT & 3;
    connect->clean_start = (flags & FLAG_CLEAN_START) != 0;
    connect->has_will = (flags & FLAG_WILL) != 0;
    connect->has_username = (flags & FLAG_USERNAME) != 0;
    connect->has_password = (flags & FLAG_PASSWORD) != 0;
    connect->will.qos = will_qos;
    connect->will.retain = (flags & FLAG_WILL_RETAIN) != 0;
    if ((flags & FLAG_RESERVED) != 0)
        wire_fail(r, MQTT_FAULT_CONNECT_RESERVED);
    if (!connect->has_will && will_qos != 0)
        wire_fail(r, MQTT_FAULT_WILL_QOS_ALONE);
    if (!connect->has_will && connect->will.retain)
        wire_fail(r, MQTT_FAULT_WILL_RETAIN_ALONE);
    if (will_qos == 3)
        wire_fail(r, MQTT_FAULT_WILL_QOS_3);
    if (connect->version == MQTT_3_1_1 && connect->has_password && !connect->has_username)
        wire_fail(r, MQTT_FAULT_PASSWORD_ALONE);
}

static void read_number(struct wire *r, const struct property *property,
                        struct mqtt_connect *connect)
{
    if (property->id == MQTT_RECEIVE_MAXIMUM) {
        connect->receive_maximum = (uint16_t)property->number;
        if (property->number == 0)
            wire_fail(r, MQTT_FAULT_RECEIVE_MAXIMUM_ZERO);
    } else if (property->id == MQTT_MAXIMUM_PACKET) {
        connect->packet_bytes_max = property->number;
        if (property->number == 0)
            wire_fail(r, MQTT_FAULT_PACKET_SIZE_ZERO);
    } else if (property->id == MQTT_ALIAS_MAXIMUM) {
        connect->alias_maximum = (uint16_t)property->number;
    } else if (property->id == MQTT_SESSION_EXPIRY) {
        connect->session_expiry_s = property->number;
    }
}

static void read_properties(struct wire *r, struct mqtt_connect *connect)
{
    struct properties p = properties_begin(r, OWNER_CONNECT);
    struct property property;
    bool has_auth_data = false;
    while (properties_next(&p, &property)) {
        if (property.id == MQTT_AUTH_METHOD) {
            connect->has_auth_method = true;
            connect->auth_method = property.text;
        } else if (property.id == MQTT_AUTH_DATA) {
            has_auth_data = true;
            connect->auth_data = property.text;
        } else if (property.id == MQTT_WANTS_PROBLEMS) {
            connect->wants_problems = property_flag(r, &property);
        } else if (property.id == MQTT_WANTS_RESPONSE) {
            connect->wants_response = property_flag(r, &property);
        } else {
            read_number(r, &property, connect);
        }
    }
    if (has_auth_data && !connect->has_auth_method)
        wire_fail(r, MQTT_FAULT_AUTH_DATA_ALONE);
}

static void read_will_properties(struct wire *r, struct mqtt_will *will)
{
    struct properties p = properties_begin(r, OWNER_WILL);
    struct property property;
    while (properties_next(&p, &property)) {
        if (property.id == MQTT_WILL_DELAY)
            will->delay_s = property.number;
        else if (property.id == MQTT_PAYLOAD_FORMAT)
            will->payload_is_text = property_flag(r, &property);
        else if (property.id == MQTT_MESSAGE_EXPIRY)
            will->expiry_s = property.number;
        else if (property.id == MQTT_CONTENT_TYPE)
            will->content_type = property.text;
        else if (property.id == MQTT_RESPONSE_TOPIC)
            will->response_topic = property.text;
        else if (property.id == MQTT_CORRELATION_DATA)
            will->correlation = property.text;
    }
}

static struct text will_topic(struct wire *r)
{
    return wire_topic(r, MQTT_FAULT_WILL_TOPIC, false);
}

static void read_payload(struct wire *r, struct mqtt_connect *connect)
{
    connect->client_id = announced(r, wire_text, MQTT_FAULT_NO_CLIENT_ID);
    if (connect->has_will) {
        if (connect->version == MQTT_5)
            read_will_properties(r, &connect->will);
        connect->will.topic = announced(r, will_topic, MQTT_FAULT_NO_WILL);
        connect->will.payload = announced(r, wire_binary, MQTT_FAULT_NO_WILL);
    }
    if (connect->has_username)
        connect->username = announced(r, wire_text, MQTT_FAULT_NO_USERNAME);
    if (connect->has_password)
        connect->password = announced(r, wire_binary, MQTT_FAULT_NO_PASSWORD);
}

void packet_read_connect(struct wire *r, bool is_wasteful, struct mqtt_packet *packet)
{
    struct mqtt_connect *connect = &packet->connect;
    *connect = (struct mqtt_connect){
        .receive_maximum = UINT16_MAX,
        .packet_bytes_max = MQTT_NO_LIMIT,
        .wants_problems = true,
        .will = { .expiry_s = -1 },
    };
    read_protocol(r, packet);
    if (is_wasteful && connect->version == MQTT_5)
        wire_fail(r, MQTT_FAULT_LENGTH_WASTEFUL);
    read_flags(r, wire_u8(r), connect);
    connect->keep_alive_s = wire_u16(r);
    if (r->fault == MQTT_FAULT_SHORT)
        r->fault = MQTT_FAULT_CONNECT_SHORT;
    if (connect->version == MQTT_5)
        read_properties(r, connect);
    else if (!connect->clean_start)
        connect->session_expiry_s = MQTT_FOR_EVER;
    read_payload(r, connect);
    if (r->fault == MQTT_FAULT_NONE && r->used < r->bytes)
        r->fault = MQTT_FAULT_CONNECT_TRAILING;
    if (connect->version == MQTT_3_1_1 && connect->client_id.bytes == 0 && !connect->clean_start)
        wire_fail(r, MQTT_FAULT_CLIENT_ID_EMPTY);
}
