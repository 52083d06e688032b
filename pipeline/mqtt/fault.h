/* fault: what a client can do wrong, each with the MQTT 5 reason code that says so and the
 * statement of either specification that it violates ("MQTT-3.1.2-3", or "section 2.2.2.2" where
 * the sentence has no number). docs/mqtt.md has the table of all statements. */
#ifndef PIPELINE_MQTT_FAULT_H
#define PIPELINE_MQTT_FAULT_H

#include <stdint.h>

#include "pipeline/mqtt/reason.h"

enum mqtt_version { MQTT_NO_VERSION = 0, MQTT_3_1_1 = 4, MQTT_5 = 5 };

/* --- found in the bytes of one packet: name, reason, statement of 3.1.1, of 5.0, why --- */
#define MQTT_PACKET_FAULTS(X)                                                                      \
    X(FIRST_NOT_CONNECT, PROTOCOL_ERROR, "MQTT-3.1.0-1", "MQTT-3.1.0-1",                           \
      "the first packet is no CONNECT")                                                            \
    X(SECOND_CONNECT, PROTOCOL_ERROR, "MQTT-3.1.0-2", "MQTT-3.1.0-2", "a second CONNECT")          \
    X(TYPE_RESERVED, MALFORMED_PACKET, "section 2.2.1", "section 2.1.2",                           \
      "the packet type is reserved")                                                               \
    X(TYPE_OF_SERVER, PROTOCOL_ERROR, "section 2.2.1", "section 2.1.2",                            \
      "only a server sends this packet")                                                           \
    X(FLAGS, MALFORMED_PACKET, "MQTT-2.2.2-2", "MQTT-2.1.3-1", "reserved flags of the header")     \
    X(FLAGS_PUBREL, MALFORMED_PACKET, "MQTT-3.6.1-1", "MQTT-3.6.1-1", "flags of PUBREL are 0010")  \
    X(FLAGS_SUBSCRIBE, MALFORMED_PACKET, "MQTT-3.8.1-1", "MQTT-3.8.1-1",                           \
      "flags of SUBSCRIBE are 0010")                                                               \
    X(FLAGS_UNSUBSCRIBE, MALFORMED_PACKET, "MQTT-3.10.1-1", "MQTT-3.10.1-1",                       \
      "flags of UNSUBSCRIBE are 0010")                                                             \
    X(FLAGS_DISCONNECT, MALFORMED_PACKET, "MQTT-3.14.1-1", "MQTT-3.14.1-1",                        \
      "flags of DISCONNECT are 0000")                                                              \
    X(FLAGS_AUTH, MALFORMED_PACKET, "section 2.2.1", "MQTT-3.15.1-1", "flags of AUTH are 0000")    \
    X(LENGTH_ENDLESS, MALFORMED_PACKET, "section 2.2.3", "section 1.5.5",                          \
      "a length of more than four bytes")                                                          \
    X(LENGTH_WASTEFUL, MALFORMED_PACKET, "section 2.2.3", "MQTT-1.5.5-1",                          \
      "a length in more bytes than it needs")                                                      \
    X(TOO_LARGE, PACKET_TOO_LARGE, "MQTT-4.8.0-2", "MQTT-3.2.2-15",                                \
      "the packet is larger than this server takes")                                               \
    X(SHORT, MALFORMED_PACKET, "MQTT-4.8.0-1", "MQTT-4.13.1-1", "a field runs over the end")       \
    X(TRAILING, MALFORMED_PACKET, "MQTT-4.8.0-1", "MQTT-4.13.1-1", "bytes behind the last field")  \
    X(UTF8, MALFORMED_PACKET, "MQTT-1.5.3-1", "MQTT-1.5.4-1", "text is no well-formed UTF-8")      \
    X(UTF8_NUL, MALFORMED_PACKET, "MQTT-1.5.3-2", "MQTT-1.5.4-2", "text holds U+0000")             \
    X(PACKET_ID_ZERO, PROTOCOL_ERROR, "MQTT-2.3.1-1", "MQTT-2.2.1-3", "packet identifier 0")       \
    /* CONNECT */                                                                                  \
    X(PROTOCOL_NAME, UNSUPPORTED_VERSION, "MQTT-3.1.2-1", "MQTT-3.1.2-1",                          \
      "the protocol name is not MQTT")                                                             \
    X(PROTOCOL_LEVEL, UNSUPPORTED_VERSION, "MQTT-3.1.2-2", "MQTT-3.1.2-2",                         \
      "the protocol level is neither 4 nor 5")                                                     \
    X(CONNECT_RESERVED, MALFORMED_PACKET, "MQTT-3.1.2-3", "MQTT-3.1.2-3",                          \
      "the reserved connect flag is set")                                                          \
    X(CONNECT_SHORT, MALFORMED_PACKET, "MQTT-3.1.4-1", "MQTT-3.1.4-1",                             \
      "a field of CONNECT is not there")                                                           \
    X(CONNECT_TRAILING, MALFORMED_PACKET, "MQTT-3.1.4-1", "MQTT-3.1.4-1",                          \
      "bytes that no connect flag announced")                                                      \
    X(NO_CLIENT_ID, MALFORMED_PACKET, "MQTT-3.1.3-3", "MQTT-3.1.3-3", "no client identifier")      \
    X(CLIENT_ID_EMPTY, CLIENT_ID_NOT_VALID, "MQTT-3.1.3-8", "MQTT-3.1.3-8",                        \
      "no client identifier, and no clean session")                                                \
    X(NO_WILL, MALFORMED_PACKET, "MQTT-3.1.2-9", "MQTT-3.1.2-9",                                   \
      "a will was announced and is not there")                                                     \
    X(WILL_QOS_ALONE, MALFORMED_PACKET, "MQTT-3.1.2-13", "MQTT-3.1.2-11",                          \
      "a will QoS without a will")                                                                 \
    X(WILL_QOS_3, MALFORMED_PACKET, "MQTT-3.1.2-14", "MQTT-3.1.2-12", "will QoS 3")                \
    X(WILL_RETAIN_ALONE, MALFORMED_PACKET, "MQTT-3.1.2-15", "MQTT-3.1.2-13",                       \
      "will retain without a will")                                                                \
    X(WILL_TOPIC, MALFORMED_PACKET, "MQTT-4.7.1-1", "MQTT-4.7.0-1",                                \
      "the will topic has a wildcard")                                                             \
    X(NO_USERNAME, MALFORMED_PACKET, "MQTT-3.1.2-19", "MQTT-3.1.2-17",                             \
      "a user name was announced and is not there")                                                \
    X(NO_PASSWORD, MALFORMED_PACKET, "MQTT-3.1.2-21", "MQTT-3.1.2-19",                             \
      "a password was announced and is not there")                                                 \
    X(PASSWORD_ALONE, MALFORMED_PACKET, "MQTT-3.1.2-22", "section 3.1.2.9",                        \
      "a password without a user name")                                                            \
    X(RECEIVE_MAXIMUM_ZERO, PROTOCOL_ERROR, "", "section 3.1.2.11.3", "receive maximum 0")         \
    X(PACKET_SIZE_ZERO, PROTOCOL_ERROR, "", "section 3.1.2.11.4", "maximum packet size 0")         \
    X(AUTH_DATA_ALONE, PROTOCOL_ERROR, "", "section 3.1.2.11.10",                                  \
      "authentication data without a method")                                                      \
    /* properties */                                                                               \
    X(NO_PROPERTY_LENGTH, MALFORMED_PACKET, "", "MQTT-2.2.2-1", "no property length")              \
    X(PROPERTY_LENGTH, MALFORMED_PACKET, "", "section 2.2.2.1",                                    \
      "the property length disagrees with the properties")                                         \
    X(PROPERTY_PLACE, MALFORMED_PACKET, "", "section 2.2.2.2",                                     \
      "a property that this packet can't have")                                                    \
    X(PROPERTY_TWICE, PROTOCOL_ERROR, "", "section 2.2.2", "a property twice")                     \
    X(PROPERTY_VALUE, PROTOCOL_ERROR, "", "section 2.2.2.2",                                       \
      "a property that is 0 or 1 is neither")                                                      \
    X(PROPERTY_PAIR, MALFORMED_PACKET, "", "MQTT-1.5.7-1", "a user property is no valid UTF-8")    \
    /* PUBLISH */                                                                                  \
    X(QOS_3, MALFORMED_PACKET, "MQTT-3.3.1-4", "MQTT-3.3.1-4", "QoS 3")                            \
    X(DUP_QOS_0, MALFORMED_PACKET, "MQTT-3.3.1-2", "MQTT-3.3.1-2", "DUP at QoS 0")                 \
    X(TOPIC_WILDCARD, MALFORMED_PACKET, "MQTT-3.3.2-2", "MQTT-3.3.2-2",                            \
      "the topic name has a wildcard")                                                             \
    X(TOPIC_EMPTY, PROTOCOL_ERROR, "MQTT-4.7.3-1", "MQTT-4.7.3-1", "the topic is empty")           \
    X(ALIAS_ZERO, TOPIC_ALIAS_INVALID, "", "MQTT-3.3.2-8", "topic alias 0")                        \
    X(SUBSCRIPTION_ID, PROTOCOL_ERROR, "", "MQTT-3.3.4-6",                                         \
      "a client's PUBLISH with a subscription identifier")                                         \
    X(RESPONSE_TOPIC, PROTOCOL_ERROR, "", "MQTT-3.3.2-14", "the response topic has a wildcard")    \
    /* acknowledgements, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH */                               \
    X(PUBACK_REASON, PROTOCOL_ERROR, "", "MQTT-3.4.2-1", "no reason code of PUBACK")               \
    X(PUBREC_REASON, PROTOCOL_ERROR, "", "MQTT-3.5.2-1", "no reason code of PUBREC")               \
    X(PUBREL_REASON, PROTOCOL_ERROR, "", "MQTT-3.6.2-1", "no reason code of PUBREL")               \
    X(PUBCOMP_REASON, PROTOCOL_ERROR, "", "MQTT-3.7.2-1", "no reason code of PUBCOMP")             \
    X(NOTHING_TO_SUBSCRIBE, PROTOCOL_ERROR, "MQTT-3.8.3-3", "MQTT-3.8.3-2",                        \
      "SUBSCRIBE without a filter")                                                                \
    X(SUBSCRIPTION_ID_ZERO, PROTOCOL_ERROR, "", "section 3.8.2.1.2", "subscription identifier 0")  \
    X(FILTER_RESERVED, MALFORMED_PACKET, "MQTT-3.8.3-4", "MQTT-3.8.3-5",                           \
      "reserved bits of the subscription options")                                                 \
    X(FILTER_QOS, PROTOCOL_ERROR, "MQTT-3.8.3-4", "section 3.8.3.1", "a subscription at QoS 3")    \
    X(FILTER_RETAIN, PROTOCOL_ERROR, "", "section 3.8.3.1", "retain handling 3")                   \
    X(FILTER_HASH, MALFORMED_PACKET, "MQTT-4.7.1-2", "MQTT-4.7.1-1",                               \
      "# is not the last level of its filter")                                                     \
    X(FILTER_PLUS, MALFORMED_PACKET, "MQTT-4.7.1-3", "MQTT-4.7.1-2", "+ does not fill its level")  \
    X(SHARE_NAME, MALFORMED_PACKET, "", "MQTT-4.8.2-1", "a shared subscription without a name")    \
    X(SHARE_FILTER, MALFORMED_PACKET, "", "MQTT-4.8.2-2",                                          \
      "a shared subscription's name has a wildcard, or no filter behind it")                       \
    X(SHARE_NO_LOCAL, PROTOCOL_ERROR, "", "MQTT-3.8.3-4", "no local on a shared subscription")     \
    X(TOO_MANY_FILTERS, QUOTA_EXCEEDED, "MQTT-4.8.0-2", "section 4.13.2",                          \
      "more filters than this server takes in one packet")                                         \
    X(NOTHING_TO_UNSUBSCRIBE, PROTOCOL_ERROR, "MQTT-3.10.3-2", "MQTT-3.10.3-2",                    \
      "UNSUBSCRIBE without a filter")                                                              \
    X(DISCONNECT_REASON, PROTOCOL_ERROR, "", "MQTT-3.14.2-1",                                      \
      "no reason code of a client's DISCONNECT")                                                   \
    X(AUTH_REASON, PROTOCOL_ERROR, "", "MQTT-3.15.2-1", "no reason code of a client's AUTH")       \
    X(AUTH_METHOD_MISSING, PROTOCOL_ERROR, "", "section 3.15.2.2.2", "AUTH without a method")

/* --- found against the state of the connection --- */
#define MQTT_STATE_FAULTS(X)                                                                       \
    X(AUTH_METHOD, BAD_AUTHENTICATION_METHOD, "", "MQTT-4.12.0-1",                                 \
      "this server has no extended authentication")                                                \
    X(AUTH_UNASKED, PROTOCOL_ERROR, "", "MQTT-4.12.0-7", "AUTH, but CONNECT named no method")      \
    X(WILL_QOS_OVER, QOS_NOT_SUPPORTED, "MQTT-3.2.2-6", "MQTT-3.2.2-12",                           \
      "the will's QoS is more than this server takes")                                             \
    X(WILL_RETAIN, RETAIN_NOT_SUPPORTED, "MQTT-3.2.2-6", "MQTT-3.2.2-13",                          \
      "this server retains no will")                                                               \
    X(QOS_OVER, QOS_NOT_SUPPORTED, "MQTT-3.3.5-2", "MQTT-3.2.2-11",                                \
      "the QoS is more than this server takes")                                                    \
    X(RETAIN, RETAIN_NOT_SUPPORTED, "MQTT-3.3.5-2", "MQTT-3.2.2-14",                               \
      "this server retains no message")                                                            \
    X(ALIAS_OVER, TOPIC_ALIAS_INVALID, "", "MQTT-3.3.2-9", "a topic alias over the maximum")       \
    X(ALIAS_UNKNOWN, PROTOCOL_ERROR, "", "section 3.3.4",                                          \
      "a topic alias that stands for nothing yet")                                                 \
    X(ALIAS_ROOM, QUOTA_EXCEEDED, "", "section 4.13.2",                                            \
      "the topics of all aliases are too long together")                                           \
    X(RECEIVE_MAXIMUM, RECEIVE_MAXIMUM_EXCEEDED, "", "MQTT-3.3.4-7",                               \
      "more messages under way than the receive maximum")                                          \
    X(TOO_MANY_EXCHANGES, QUOTA_EXCEEDED, "MQTT-4.8.0-2", "section 4.13.2",                        \
      "more QoS 2 exchanges under way than this server keeps")                                     \
    X(ID_IN_USE, PROTOCOL_ERROR, "MQTT-2.3.1-2", "MQTT-2.2.1-3",                                   \
      "PUBLISH with the identifier of another exchange that is not over")                          \
    X(PUBREL_EARLY, PROTOCOL_ERROR, "MQTT-4.3.3-1", "MQTT-4.3.3-4", "PUBREL before PUBREC")        \
    X(PUBREC_OF_QOS_1, PROTOCOL_ERROR, "MQTT-3.3.4-1", "MQTT-3.3.4-1",                             \
      "PUBREC for a message of QoS 1")                                                             \
    X(WILDCARD_FILTER, WILDCARDS_NOT_SUPPORTED, "", "section 3.2.2.3.11",                          \
      "this server has no wildcard subscriptions")                                                 \
    X(SUBSCRIPTION_IDS, SUBSCRIPTION_IDS_NOT_SUPPORTED, "", "section 3.2.2.3.12",                  \
      "this server has no subscription identifiers")                                               \
    X(SHARED_FILTER, SHARED_NOT_SUPPORTED, "", "section 3.2.2.3.13",                               \
      "this server has no shared subscriptions")                                                   \
    X(SESSION_EXPIRY, PROTOCOL_ERROR, "", "section 3.14.2.2.2",                                    \
      "DISCONNECT gives a session expiry that CONNECT ruled out")                                  \
    X(SILENT, KEEP_ALIVE_TIMEOUT, "MQTT-3.1.2-24", "MQTT-3.1.2-22",                                \
      "nothing was heard for one and a half times the keep alive")                                 \
    X(NO_CONNECT, PROTOCOL_ERROR, "section 3.1.4", "section 3.1.4", "no CONNECT came in time")

enum mqtt_fault {
    MQTT_FAULT_NONE,
#define X(name, reason, v3, v5, why) MQTT_FAULT_##name,
    MQTT_PACKET_FAULTS(X) MQTT_STATE_FAULTS(X)
#undef X
        MQTT_FAULTS
};

struct mqtt_fault_view {
    uint8_t reason;        /* enum mqtt_reason, >= MQTT_FAILURE; 0 only for MQTT_FAULT_NONE */
    const char *statement; /* of that version; "" where it has none */
    const char *why;       /* as a reason string may say it */
};

/* MQTT_NO_VERSION reads the statements of 5.0. */
struct mqtt_fault_view mqtt_fault_view(enum mqtt_fault fault, enum mqtt_version version);

#endif
