/* property: walks the properties of one MQTT 5 packet. For the files of this folder.
 *
 * Each is checked against its packet (table 2-4 of MQTT 5), its type, and against being there
 * twice; user properties are checked and passed over. */
#ifndef PIPELINE_MQTT_PROPERTY_H
#define PIPELINE_MQTT_PROPERTY_H

#include "pipeline/mqtt/wire.h"

enum mqtt_property {
    MQTT_PAYLOAD_FORMAT = 1,
    MQTT_MESSAGE_EXPIRY = 2,
    MQTT_CONTENT_TYPE = 3,
    MQTT_RESPONSE_TOPIC = 8,
    MQTT_CORRELATION_DATA = 9,
    MQTT_SUBSCRIPTION_ID = 11,
    MQTT_SESSION_EXPIRY = 17,
    MQTT_ASSIGNED_CLIENT_ID = 18,
    MQTT_SERVER_KEEP_ALIVE = 19,
    MQTT_AUTH_METHOD = 21,
    MQTT_AUTH_DATA = 22,
    MQTT_WANTS_PROBLEMS = 23,
    MQTT_WILL_DELAY = 24,
    MQTT_WANTS_RESPONSE = 25,
    MQTT_RESPONSE_INFORMATION = 26,
    MQTT_SERVER_REFERENCE = 28,
    MQTT_REASON_STRING = 31,
    MQTT_RECEIVE_MAXIMUM = 33,
    MQTT_ALIAS_MAXIMUM = 34,
    MQTT_TOPIC_ALIAS = 35,
    MQTT_MAXIMUM_QOS = 36,
    MQTT_RETAIN_AVAILABLE = 37,
    MQTT_USER_PROPERTY = 38,
    MQTT_MAXIMUM_PACKET = 39,
    MQTT_WILDCARDS_AVAILABLE = 40,
    MQTT_IDS_AVAILABLE = 41,
    MQTT_SHARED_AVAILABLE = 42
};

/* Which packets of a client may have it; bits. */
enum property_owner {
    OWNER_CONNECT = 1,
    OWNER_WILL = 2,
    OWNER_PUBLISH = 4,
    OWNER_ACK = 8, /* PUBACK, PUBREC, PUBREL, PUBCOMP */
    OWNER_SUBSCRIBE = 16,
    OWNER_UNSUBSCRIBE = 32,
    OWNER_DISCONNECT = 64,
    OWNER_AUTH = 128
};

struct property {
    enum mqtt_property id;
    uint32_t number;  /* of a byte, integer or variable byte integer */
    struct text text; /* of a string or binary data; part of the packet */
};

struct properties {
    struct wire *from;
    enum property_owner owner;
    uint32_t end;  /* of the properties, as from->used */
    uint64_t seen; /* bit per id */
};

/* Read the property length. */
struct properties properties_begin(struct wire *from, enum property_owner owner);

/* The next one that is no user property; false: no more, or from->fault. Afterwards from->used is
 * the first byte behind the properties. */
bool properties_next(struct properties *p, struct property *property);

/* The number of a property that has two values; another one fails the reader. */
bool property_flag(struct wire *from, const struct property *property);

#endif
