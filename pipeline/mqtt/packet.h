/* packet: reads the MQTT packets that a client sends to a server, 3.1.1 and 5.0, out of a buffer
 * in place: nothing is copied or kept, every text is a slice of the input.
 *
 * Bytes in, one packet out: mqtt_packet_read returns the bytes used; 0: needs more; WEIR_EINVAL:
 * the client broke a rule, packet->fault says which. What it lets through satisfies every rule of
 * the specifications that can be judged from one packet alone; rules about what went before are
 * pipeline/mqtt/connection.h's. A rule that holds from the first bytes on (packet type, flags,
 * size) is applied to them, before the rest has arrived. */
#ifndef PIPELINE_MQTT_PACKET_H
#define PIPELINE_MQTT_PACKET_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/mqtt/fault.h"
#include "pipeline/text.h"

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_PUBREC,
    MQTT_PUBREL,
    MQTT_PUBCOMP,
    MQTT_SUBSCRIBE,
    MQTT_SUBACK,
    MQTT_UNSUBSCRIBE,
    MQTT_UNSUBACK,
    MQTT_PINGREQ,
    MQTT_PINGRESP,
    MQTT_DISCONNECT,
    MQTT_AUTH
};

enum {
    MQTT_FILTERS_MAX = 32,               /* of one SUBSCRIBE or UNSUBSCRIBE */
    MQTT_PACKET_BYTES_MAX = 5 + 268435455 /* what the length field can say, and the header */
};

#define MQTT_NO_LIMIT UINT32_MAX  /* of a packet's bytes */
#define MQTT_FOR_EVER UINT32_MAX  /* of a session, seconds */

struct mqtt_will {
    uint8_t qos;
    bool retain;
    bool payload_is_text;     /* the client says so; not checked */
    uint32_t delay_s;
    int64_t expiry_s;         /* -1: none */
    struct text topic, payload, content_type, response_topic, correlation;
};

struct mqtt_connect { /* what 3.1.1 does not have is set to what 5.0 calls its default */
    enum mqtt_version version;
    bool clean_start;          /* 3.1.1: clean session */
    bool has_will, has_username, has_password, has_auth_method;
    uint16_t keep_alive_s;     /* 0: none */
    struct text client_id;     /* empty: the server is to choose one */
    struct text username, password;
    struct text auth_method, auth_data;
    struct mqtt_will will;     /* only with has_will */
    uint32_t session_expiry_s; /* after the connection; 3.1.1: 0 or MQTT_FOR_EVER */
    uint16_t receive_maximum;  /* QoS 1 and 2 that may be under way to the client; never 0 */
    uint16_t alias_maximum;    /* in PUBLISH to the client */
    uint32_t packet_bytes_max; /* to the client; MQTT_NO_LIMIT */
    bool wants_response;       /* response information in CONNACK */
    bool wants_problems;       /* reason strings outside CONNACK and DISCONNECT */
};

struct mqtt_publish {
    uint8_t qos;
    bool dup, retain;
    bool payload_is_text;     /* the client says so; not checked */
    uint16_t packet_id;       /* 0 at QoS 0 only */
    uint16_t alias;           /* 0: none */
    int64_t expiry_s;         /* -1: none */
    struct text topic;        /* empty only with an alias */
    struct text payload, content_type, response_topic, correlation;
};

struct mqtt_ack { /* PUBACK, PUBREC, PUBREL, PUBCOMP */
    uint16_t packet_id;
    uint8_t reason;
    struct text why;
};

/* Filters as they stand in the packet, already checked. */
struct mqtt_filters {
    const uint8_t *at;
    uint32_t bytes;
    bool have_options; /* SUBSCRIBE */
};

struct mqtt_subscribe { /* and UNSUBSCRIBE */
    uint16_t packet_id;
    uint32_t count;           /* of filters, 1..MQTT_FILTERS_MAX */
    uint32_t subscription_id; /* 0: none */
    struct mqtt_filters filters;
};

struct mqtt_disconnect {
    uint8_t reason;
    bool has_session_expiry;
    uint32_t session_expiry_s;
    struct text why;
};

struct mqtt_auth {
    uint8_t reason;
    struct text method, data;
};

struct mqtt_packet {
    enum mqtt_type type;
    /* Of the whole packet; when more is needed, how many are at least. */
    uint32_t bytes;
    enum mqtt_fault fault;
    uint32_t fault_offset;       /* about where, in the packet */
    /* In which the client can be answered: of the rules, or of the CONNECT read, also of a faulty
     * one. MQTT_NO_VERSION: it is no client of ours. */
    enum mqtt_version version;
    union {                      /* by type; PINGREQ has nothing */
        struct mqtt_connect connect;
        struct mqtt_publish publish;
        struct mqtt_ack ack;
        struct mqtt_subscribe subscribe; /* UNSUBSCRIBE too */
        struct mqtt_disconnect disconnect;
        struct mqtt_auth auth;
    };
};

struct mqtt_rules {
    /* MQTT_NO_VERSION until a CONNECT was read: only a CONNECT is a packet. After it, the version
     * that it gave: only a CONNECT is none. */
    enum mqtt_version version;
    uint32_t packet_bytes_max;
};

/* A look at what begins here, without judging it: the bytes that the packet says it has, all there
 * or not (0: its length is not there, or is none), and the topic of a PUBLISH; empty: no PUBLISH, a
 * topic alias, or not there whole. */
uint32_t mqtt_peek(const uint8_t *at, uint32_t bytes, struct text *topic);

/* Bytes used (packet->bytes), 0 or WEIR_EINVAL, as above. `bytes` may be any prefix of what the
 * client sent. On 0 nothing but packet->bytes is meant; after WEIR_EINVAL nothing but the fault,
 * the version and, where that was read from this very packet, what an answer needs of connect:
 * version, and packet_bytes_max and wants_problems as far as they were read. O(bytes of the packet)
 * once it is there whole, O(1) before. */
int mqtt_packet_read(struct mqtt_rules rules, const uint8_t *at, size_t bytes,
                     struct mqtt_packet *packet);

struct mqtt_filter {
    struct text filter;        /* whole, with $share/NAME/ */
    bool is_shared;            /* 5.0 SUBSCRIBE only, as all below */
    bool has_wildcard;
    uint8_t qos;               /* the most that the client wants */
    bool no_local, retain_as_published;
    uint8_t retain_handling;   /* 0..2 */
};

/* Take the next filter off a copy of packet->subscribe.filters; false: no more. */
bool mqtt_filter_next(struct mqtt_filters *filters, struct mqtt_filter *filter);

#endif
