/* encode: writes the MQTT packets that a server sends, 3.1.1 and 5.0, into the caller's buffer.
 *
 * Each function writes one whole packet behind w->used, or nothing:
 *   WEIR_EFULL  the buffer has no room for it: send what it holds and try again
 *   WEIR_EINVAL the client takes no packet of that size: leave it out and go on as if it had been
 *               sent [5 MQTT-3.1.2-25]
 * A reason string is left out where the client did not ask for it, where it would make the packet
 * too large for the client, and in 3.1.1, which has none. A reason code that the packet can't carry
 * is our own mistake (asserted). We send no user properties and no topic aliases. */
#ifndef PIPELINE_MQTT_ENCODE_H
#define PIPELINE_MQTT_ENCODE_H

#include "pipeline/bytes.h"
#include "pipeline/mqtt/packet.h"

struct mqtt_peer { /* what the client's CONNECT said about answers */
    enum mqtt_version version;
    uint32_t packet_bytes_max; /* MQTT_NO_LIMIT */
    bool wants_problems;
};

struct mqtt_connack { /* 3.1.1 carries the first two only */
    bool session_present;      /* only with MQTT_SUCCESS */
    uint8_t reason;
    bool has_session_expiry;   /* another one than the client asked for */
    bool has_keep_alive;       /* likewise */
    uint32_t session_expiry_s;
    uint16_t keep_alive_s;
    uint16_t receive_maximum;  /* 0: the default, 65535 */
    uint16_t alias_maximum;
    uint32_t packet_bytes_max; /* MQTT_NO_LIMIT */
    uint8_t qos_max;           /* 0..2 */
    bool no_retain, no_wildcards, no_subscription_ids, no_shared;
    struct text assigned_client_id; /* empty: the client has its own */
    struct text why;
};

/* In 3.1.1 a reason that it has no return code for is WEIR_EINVAL: close without a CONNACK. */
int mqtt_put_connack(struct byte_writer *w, const struct mqtt_peer *peer,
                     const struct mqtt_connack *connack);

/* PUBACK, PUBREC, PUBREL, PUBCOMP. 3.1.1 carries no reason: a failure reads as success there. */
int mqtt_put_ack(struct byte_writer *w, const struct mqtt_peer *peer, enum mqtt_type type,
                 const struct mqtt_ack *ack);

struct mqtt_suback { /* and UNSUBACK */
    uint16_t packet_id;
    uint32_t count;       /* 1..MQTT_FILTERS_MAX */
    const uint8_t *codes; /* [count], in the order of the filters: the QoS granted, or a failure */
    struct text why;
};

/* SUBACK, UNSUBACK. In 3.1.1 each failure reads 0x80, and UNSUBACK has no codes. */
int mqtt_put_suback(struct byte_writer *w, const struct mqtt_peer *peer, enum mqtt_type type,
                    const struct mqtt_suback *suback);

int mqtt_put_pingresp(struct byte_writer *w, const struct mqtt_peer *peer);

/* Version 5 only: in 3.1.1 a server just closes. */
int mqtt_put_disconnect(struct byte_writer *w, const struct mqtt_peer *peer, uint8_t reason,
                        struct text why);

struct mqtt_outgoing {
    uint8_t qos;        /* 0, 1 */
    bool dup;           /* sent before, over an earlier connection; QoS 1 */
    uint16_t packet_id; /* QoS 1: not 0 */
    struct text topic;  /* 1..65535 bytes, no wildcard */
    struct text payload;
};
int mqtt_put_publish(struct byte_writer *w, const struct mqtt_peer *peer,
                     const struct mqtt_outgoing *publish);

#endif
