/* connection: what one client's connection to this server is in the middle of: MQTT 3.1.1 and 5.0,
 * between the bytes of a socket and an endpoint that acknowledges only what is committed. Pure: no
 * socket, no clock, memory of fixed size; time is a parameter.
 *
 * Bytes in, one event out: mqtt_connection_read answers by itself what needs no decision (PINGREQ,
 * a second PUBREL, a broken rule) and hands the rest to the caller. Acknowledgements of messages
 * wait in order of arrival: each has a number, and when the caller says up to which number
 * everything is committed, mqtt_connection_render writes them in one go.
 *
 * It keeps: the version, the keep alive, the client's limits, topic aliases, messages under way in
 * both directions, the QoS 2 exchanges whose PUBCOMP is not sent. It keeps no session: which QoS 2
 * exchanges, subscriptions and will outlive the connection is the caller's to store; those
 * exchanges come back through mqtt_connection_restore.
 *
 *   AWAITING --CONNECT--> CONNECTING --accept--> CONNECTED --DISCONNECT, close, fault--> CLOSING
 *       \________________________\________________ close, fault ______________________/
 *
 * In CLOSING nothing is read or written any more; the caller sends what the buffer holds and
 * closes. */
#ifndef PIPELINE_MQTT_CONNECTION_H
#define PIPELINE_MQTT_CONNECTION_H

#include "pipeline/mqtt/aliases.h"
#include "pipeline/mqtt/encode.h"
#include "pipeline/mqtt/ids.h"

enum {
    /* Room that mqtt_connection_read wants in the output, so that it can always answer; also
     * enough for mqtt_put_suback without a reason string. */
    MQTT_ANSWER_BYTES = 128,
    MQTT_RECEIVE_MAXIMUM_MAX = 16384
};

struct mqtt_offer { /* what this server grants; the same for all, outlives the connections */
    uint32_t packet_bytes_max;    /* of a client's packet, whole; >= 128 */
    uint32_t connect_bytes_max;   /* of its CONNECT, when nobody knows yet who it is */
    uint16_t receive_maximum;     /* 1..MQTT_RECEIVE_MAXIMUM_MAX; acknowledgements that can wait; 6
                                   * bytes each. 5.0: more messages under way are a fault. 3.1.1
                                   * knows no such limit: the client is just not read */
    uint16_t exchanges_max;       /* QoS 2, also those restored; >= receive_maximum, or qos_max is
                                   * less than 2; 16 to 32 bytes each. More are a fault, since
                                   * push-back could not end: the PUBREL for room is behind */
    uint16_t alias_maximum;       /* 8 bytes each */
    uint32_t alias_bytes;         /* for their topics together */
    uint16_t send_max;            /* QoS 1 to the client under way, >= 1; 16 to 32 bytes each */
    uint16_t keep_alive_max_s;    /* 5.0: a longer one, or none, is cut to this; 0: as they like */
    int64_t connect_within_ms;    /* from opening to CONNECT */
    uint8_t qos_max;              /* 0..2 */
    bool retain, wildcards, subscription_ids, shared; /* available */
};

enum mqtt_state { MQTT_AWAITING, MQTT_CONNECTING, MQTT_CONNECTED, MQTT_CLOSING };

struct mqtt_held {         /* an acknowledgement that waits */
    uint16_t packet_id;
    uint8_t type;          /* MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBCOMP */
    uint8_t reason;
    uint8_t detail;        /* index in the caller's texts; 0: none */
    bool is_repeat;        /* of a message that had one before */
};

struct mqtt_connection {
    const struct mqtt_offer *offer;
    enum mqtt_state state;
    bool clean_start, needs_id;   /* as CONNECT said; needs_id: it gave no client id */
    struct mqtt_peer peer;        /* for the caller's own mqtt_put_suback */
    uint32_t session_expiry_s;    /* as CONNECT said */
    uint16_t asked_keep_alive_s;
    uint16_t keep_alive_s;        /* in force; 0: none */
    int64_t deadline_ms;          /* to hear a packet; INT64_MAX: none */
    struct mqtt_held *held;       /* [held_max], a ring */
    uint32_t held_max, held_first, held_count;
    uint32_t waiting_max;         /* of them, before the client is not read; <= held_max */
    uint64_t arrived, committed;  /* numbers of acknowledgements; the first is 1 */
    uint32_t in_flight;           /* QoS 1 and 2 from the client, of this connection */
    struct mqtt_ids exchanges;    /* QoS 2 from the client; state: connection.c's */
    struct mqtt_ids sent;         /* QoS 1 to the client without PUBACK */
    uint32_t send_quota;          /* how many may be */
    uint16_t last_id;             /* given to a message to the client */
    struct mqtt_aliases aliases;
};

/* One connection's memory, for use again and again; NULL while the arena only measures. */
struct mqtt_connection *mqtt_connection_init(const struct mqtt_offer *offer, struct arena *arena);

/* A client has connected: everything as new; the numbers of acknowledgements begin again. */
void mqtt_connection_open(struct mqtt_connection *c, int64_t now_ms);

/* --- from the client --- */

enum mqtt_event_kind {
    MQTT_EVENT_NONE,         /* answered, or nothing to do */
    MQTT_EVENT_CONNECT,      /* decide; then restore and accept, or close */
    MQTT_EVENT_MESSAGE,      /* to be stored; event.number waits for that (0 at QoS 0) */
    MQTT_EVENT_RELEASE,      /* PUBREL: the exchange's row can go; event.number waits for that */
    MQTT_EVENT_SUBSCRIBE,    /* answer with mqtt_put_suback */
    MQTT_EVENT_UNSUBSCRIBE,  /* likewise */
    MQTT_EVENT_DELIVERED,    /* PUBACK for our message with that packet.ack.packet_id */
    MQTT_EVENT_DISCONNECT,   /* now CLOSING; packet.disconnect; event.drops_will */
    MQTT_EVENT_FAULT         /* now CLOSING, told to the client where the version allows */
};

struct mqtt_event {
    enum mqtt_event_kind kind;
    struct mqtt_packet packet; /* texts are slices of the input */
    enum mqtt_fault fault;
    uint64_t number;           /* of the acknowledgement, 0: none */
    struct text topic;         /* MESSAGE: in full, also behind an alias; until the next read */
    /* MESSAGE at QoS 2, for the exchange's row, which it makes or replaces: by it the same message
     * is known when it comes again. */
    uint32_t mark;
    /* MESSAGE at QoS 2 of an exchange that is not over: do not store it again [5 MQTT-4.3.3-10].
     * Its number is 0 when the PUBREC that still waits answers it too. Another message with the
     * identifier of a restored exchange is none: that client has forgotten its session and counts
     * from 1 again. (DUP does not tell the two apart: MQTT.js 5 sends again without it.) */
    bool is_repeat;
    bool drops_will;           /* DISCONNECT: the will is not to be published */
};

struct mqtt_input {
    const uint8_t *at;
    size_t bytes;
    int64_t now_ms;
};

/* Take one packet. Returns the bytes used; 0: needs more, event->packet.bytes at least in all;
 * WEIR_EAGAIN: not now (undecided CONNECT, acknowledgements that wait for a commit, less than
 * MQTT_ANSWER_BYTES in `w`): do not read from the client; WEIR_EINVAL: MQTT_EVENT_FAULT. */
int mqtt_connection_read(struct mqtt_connection *c, const struct mqtt_input *in,
                         struct byte_writer *w, struct mqtt_event *event);

/* --- decisions --- */

/* An unfinished QoS 2 exchange of the session that is resumed, with the mark that its message had:
 * its PUBREC was, or may have been, sent. After MQTT_EVENT_CONNECT, before accept. WEIR_EFULL: more
 * than exchanges_max. */
int mqtt_connection_restore(struct mqtt_connection *c, uint16_t packet_id, uint32_t mark);

struct mqtt_accept {
    bool session_present;
    uint32_t session_expiry_s;      /* what the client gets; 3.1.1: not told */
    struct text assigned_client_id; /* 5.0: not empty exactly when the client gave none */
    /* 5.0: less than the offer's, for as long as it is connected; 0: the offer's. A client that
     * does not keep to it is not read while so many wait, and is at fault beyond the offer's. */
    uint16_t receive_maximum;
};
/* CONNACK, and CONNECTED. On an error nothing changed: WEIR_EFULL (no room), WEIR_EINVAL (the
 * client does not take a packet that large). */
int mqtt_connection_accept(struct mqtt_connection *c, const struct mqtt_accept *accept,
                           int64_t now_ms, struct byte_writer *w);

/* We end it, CLOSING: with the refusing CONNACK while CONNECTING, with DISCONNECT when CONNECTED in
 * 5.0, else (and where the buffer has no room) in silence. `reason` >= MQTT_FAILURE, one that the
 * packet can carry; `why` may be empty. Nothing happens in CLOSING. */
void mqtt_connection_close(struct mqtt_connection *c, uint8_t reason, struct text why,
                           struct byte_writer *w);

/* The verdict on a message, before its number is committed; without one it is MQTT_SUCCESS. A
 * failure at QoS 2 ends the exchange in 5.0, and there must be no row of it. In 3.1.1 the client
 * is told success all the same, and the exchange goes on. Not for repeats. */
void mqtt_connection_judge(struct mqtt_connection *c, uint64_t number, uint8_t reason,
                           uint8_t detail);

/* Everything up to this number is durable: messages, rows of QoS 2 exchanges, their deletion. Never
 * less than before; more than has arrived is our own mistake. */
void mqtt_connection_committed(struct mqtt_connection *c, uint64_t number);

/* Write the acknowledgements that are committed, in order, as many as fit; how many that were.
 * `details` is indexed by mqtt_held.detail; may be NULL when none was given. */
uint32_t mqtt_connection_render(struct mqtt_connection *c, const struct text *details,
                                struct byte_writer *w);

/* --- to the client --- */

/* Send a message; CONNECTED. At QoS 1 with packet_id 0 it gets one (written back); with one, it is
 * sent again as what it was. WEIR_EAGAIN: the client's receive maximum or ours is reached;
 * otherwise as mqtt_put_publish. On an error nothing changed. */
int mqtt_connection_publish(struct mqtt_connection *c, struct mqtt_outgoing *message,
                            struct byte_writer *w);

/* --- time --- */

/* Whether the client may be read: false while CONNECTING, while its acknowledgements fill the
 * ring, and in CLOSING. */
bool mqtt_connection_may_read(const struct mqtt_connection *c);

/* Reading begins again after we paused it: what was not read does not count against the client. */
void mqtt_connection_resume(struct mqtt_connection *c, int64_t now_ms);

/* Nothing was heard until c->deadline_ms: CLOSING. False: it is not yet time, or it is us who do
 * not read. */
bool mqtt_connection_expire(struct mqtt_connection *c, int64_t now_ms, struct byte_writer *w);

#endif
