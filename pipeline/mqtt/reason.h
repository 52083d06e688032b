/* reason: the reason codes of MQTT 5 (its table 2-6), and which packet of which side may carry
 * which. */
#ifndef PIPELINE_MQTT_REASON_H
#define PIPELINE_MQTT_REASON_H

#include <stdbool.h>
#include <stdint.h>

/* Where a code may stand; one bit each. FROM_CLIENT: what a client may send us. The table below
 * abbreviates them: C P R S U D, and p d a for those from a client. */
enum mqtt_place {
    MQTT_IN_CONNACK = 1 << 0,
    MQTT_IN_PUBACK = 1 << 1, /* PUBREC takes the same */
    MQTT_IN_PUBREL = 1 << 2, /* PUBCOMP takes the same, and both sides */
    MQTT_IN_SUBACK = 1 << 3,
    MQTT_IN_UNSUBACK = 1 << 4,
    MQTT_IN_DISCONNECT = 1 << 5,
    MQTT_IN_PUBACK_FROM_CLIENT = 1 << 6,
    MQTT_IN_DISCONNECT_FROM_CLIENT = 1 << 7,
    MQTT_IN_AUTH_FROM_CLIENT = 1 << 8
};

#define MQTT_REASONS(X)                                                                            \
    X(MQTT_SUCCESS, 0x00, C | P | R | S | U | D | p | d, "success")                                \
    X(MQTT_GRANTED_QOS_1, 0x01, S, "granted QoS 1")                                                \
    X(MQTT_GRANTED_QOS_2, 0x02, S, "granted QoS 2")                                                \
    X(MQTT_DISCONNECT_WITH_WILL, 0x04, d, "disconnect with will message")                          \
    X(MQTT_NO_SUBSCRIBERS, 0x10, P, "no matching subscribers")                                     \
    X(MQTT_NO_SUBSCRIPTION, 0x11, U, "no subscription existed")                                    \
    X(MQTT_CONTINUE_AUTHENTICATION, 0x18, a, "continue authentication")                            \
    X(MQTT_REAUTHENTICATE, 0x19, a, "re-authenticate")                                             \
    X(MQTT_UNSPECIFIED_ERROR, 0x80, C | P | S | U | D | p | d, "unspecified error")                \
    X(MQTT_MALFORMED_PACKET, 0x81, C | D | d, "malformed packet")                                  \
    X(MQTT_PROTOCOL_ERROR, 0x82, C | D | d, "protocol error")                                      \
    X(MQTT_IMPLEMENTATION_ERROR, 0x83, C | P | S | U | D | p | d, "implementation specific error") \
    X(MQTT_UNSUPPORTED_VERSION, 0x84, C, "unsupported protocol version")                           \
    X(MQTT_CLIENT_ID_NOT_VALID, 0x85, C, "client identifier not valid")                            \
    X(MQTT_BAD_CREDENTIALS, 0x86, C, "bad user name or password")                                  \
    X(MQTT_NOT_AUTHORIZED, 0x87, C | P | S | U | D | p, "not authorized")                          \
    X(MQTT_SERVER_UNAVAILABLE, 0x88, C, "server unavailable")                                      \
    X(MQTT_SERVER_BUSY, 0x89, C | D, "server busy")                                                \
    X(MQTT_BANNED, 0x8a, C, "banned")                                                              \
    X(MQTT_SERVER_SHUTTING_DOWN, 0x8b, D, "server shutting down")                                  \
    X(MQTT_BAD_AUTHENTICATION_METHOD, 0x8c, C, "bad authentication method")                        \
    X(MQTT_KEEP_ALIVE_TIMEOUT, 0x8d, D, "keep alive timeout")                                      \
    X(MQTT_SESSION_TAKEN_OVER, 0x8e, D, "session taken over")                                      \
    X(MQTT_TOPIC_FILTER_INVALID, 0x8f, S | U | D, "topic filter invalid")                          \
    X(MQTT_TOPIC_NAME_INVALID, 0x90, C | P | D | p | d, "topic name invalid")                      \
    X(MQTT_PACKET_ID_IN_USE, 0x91, P | S | U | p, "packet identifier in use")                      \
    X(MQTT_PACKET_ID_NOT_FOUND, 0x92, R, "packet identifier not found")                            \
    X(MQTT_RECEIVE_MAXIMUM_EXCEEDED, 0x93, D | d, "receive maximum exceeded")                      \
    X(MQTT_TOPIC_ALIAS_INVALID, 0x94, D | d, "topic alias invalid")                                \
    X(MQTT_PACKET_TOO_LARGE, 0x95, C | D | d, "packet too large")                                  \
    X(MQTT_MESSAGE_RATE_TOO_HIGH, 0x96, D | d, "message rate too high")                            \
    X(MQTT_QUOTA_EXCEEDED, 0x97, C | P | S | D | p | d, "quota exceeded")                          \
    X(MQTT_ADMINISTRATIVE_ACTION, 0x98, D | d, "administrative action")                            \
    X(MQTT_PAYLOAD_FORMAT_INVALID, 0x99, C | P | D | p | d, "payload format invalid")              \
    X(MQTT_RETAIN_NOT_SUPPORTED, 0x9a, C | D, "retain not supported")                              \
    X(MQTT_QOS_NOT_SUPPORTED, 0x9b, C | D, "QoS not supported")                                    \
    X(MQTT_USE_ANOTHER_SERVER, 0x9c, C | D, "use another server")                                  \
    X(MQTT_SERVER_MOVED, 0x9d, C | D, "server moved")                                              \
    X(MQTT_SHARED_NOT_SUPPORTED, 0x9e, S | D, "shared subscriptions not supported")                \
    X(MQTT_CONNECTION_RATE_EXCEEDED, 0x9f, C | D, "connection rate exceeded")                      \
    X(MQTT_MAXIMUM_CONNECT_TIME, 0xa0, D, "maximum connect time")                                  \
    X(MQTT_SUBSCRIPTION_IDS_NOT_SUPPORTED, 0xa1, S | D, "subscription identifiers not supported")  \
    X(MQTT_WILDCARDS_NOT_SUPPORTED, 0xa2, S | D, "wildcard subscriptions not supported")

enum mqtt_reason {
#define X(name, code, places, text) name = (code),
    MQTT_REASONS(X)
#undef X
};

/* From here on a code tells of a failure. */
enum { MQTT_FAILURE = 0x80 };

bool mqtt_reason_allowed(uint8_t reason, enum mqtt_place place);

/* The standard's own words; "unknown reason" for a code that it does not have. Never NULL. */
const char *mqtt_reason_text(uint8_t reason);

/* The return code of a 3.1.1 CONNACK that says the same; -1: none does, and the connection is
 * closed without one [3.1.1 MQTT-3.2.2-6]. */
int mqtt_reason_to_return_code(uint8_t reason);

#endif
