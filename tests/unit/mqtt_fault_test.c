/* Goal: everything that one packet of a client can do wrong is found, with the reason code and the
 * statement of the specification that it breaks, however few of its bytes have arrived.
 * Method: a table of packets, each with the statements that it breaks: the first is the one that must
 * be named. v3.1.1 and v5 are the two specifications; docs/mqtt.md has them all. Each packet is also
 * shown byte by byte. No fault of the codec may be without a packet here.
 * Links: pipeline/mqtt/packet%.c pipeline/mqtt/property.c pipeline/mqtt/wire.c pipeline/mqtt/fault.c pipeline/mqtt/reason.c */
#include "pipeline/err.h"
#include "pipeline/mqtt/packet.h"
#include "tests/lib/check.h"
#include "tests/lib/mqtt_bytes.h"

struct bad {
    const char *statements; /* "v5 MQTT-1.5.5-1, ..." */
    enum mqtt_fault fault;
    const char *packet;
};

/* --- CONNECT: read before any version is known --- */

static const struct bad bad_connects[] = {
    { "v5 MQTT-3.1.0-1, v3.1.1 MQTT-3.1.0-1", MQTT_FAULT_FIRST_NOT_CONNECT, "c0 00" },
    { "v5 MQTT-3.1.0-1", MQTT_FAULT_FIRST_NOT_CONNECT, "'GET / HTTP/1.1'" },
    { "v5 MQTT-2.1.3-1", MQTT_FAULT_FLAGS, "16 03 01 02 00" }, /* a TLS handshake */
    { "v5 MQTT-2.1.3-1, v3.1.1 MQTT-2.2.2-2, v3.1.1 MQTT-2.2.2-1", MQTT_FAULT_FLAGS,
      "11 ({'MQTT'} 05 02 003c () {'dev'})" },
    { "v5 section 1.5.5", MQTT_FAULT_LENGTH_ENDLESS, "10 ff ff ff ff 01" },
    { "v5 MQTT-3.2.2-15", MQTT_FAULT_TOO_LARGE, "10 81 08" },
    { "v5 MQTT-3.1.2-1, v3.1.1 MQTT-3.1.2-1", MQTT_FAULT_PROTOCOL_NAME,
      "10 ({'mqtt'} 05 02 003c () {'dev'})" },
    { "v5 MQTT-3.1.2-1", MQTT_FAULT_PROTOCOL_NAME, "10 ({'MQTTX'} 05 02 003c () {'dev'})" },
    { "v5 MQTT-3.1.2-1", MQTT_FAULT_PROTOCOL_NAME, "10 ({} 05 02 003c () {'dev'})" },
    { "v5 MQTT-3.1.2-2", MQTT_FAULT_PROTOCOL_LEVEL, "10 ({'MQTT'} 06 02 003c () {'dev'})" },
    { "v3.1.1 MQTT-3.1.2-2", MQTT_FAULT_PROTOCOL_LEVEL, "10 ({'MQTT'} 03 02 003c {'dev'})" },
    { "v3.1.1 MQTT-3.1.2-2", MQTT_FAULT_PROTOCOL_LEVEL, "10 ({'MQTT'} 84 02 003c {'dev'})" },
    { "v3.1.1 MQTT-3.1.2-2", MQTT_FAULT_PROTOCOL_LEVEL, "10 ({'MQIsdp'} 03 02 003c {'dev'})" },
    { "v5 MQTT-3.1.2-3", MQTT_FAULT_CONNECT_RESERVED, "10 ({'MQTT'} 05 03 003c () {'dev'})" },
    { "v3.1.1 MQTT-3.1.2-3", MQTT_FAULT_CONNECT_RESERVED, "10 ({'MQTT'} 04 03 003c {'dev'})" },
    { "v5 MQTT-3.1.4-1", MQTT_FAULT_CONNECT_SHORT, "10 ({'MQTT'} 05)" },
    { "v5 MQTT-3.1.4-1", MQTT_FAULT_CONNECT_SHORT, "10 ({'MQTT'} 05 02 00)" },
    { "v3.1.1 MQTT-3.1.4-1", MQTT_FAULT_CONNECT_SHORT, "10 ({'MQTT'} 04 02)" },
    { "v5 MQTT-3.1.4-1", MQTT_FAULT_CONNECT_SHORT, "10 ({'MQTT'})" },
    { "v5 MQTT-3.1.4-1", MQTT_FAULT_CONNECT_SHORT, "10 (0004 'MQT')" },
    { "v5 MQTT-3.1.4-1", MQTT_FAULT_CONNECT_SHORT, "10 ()" },
    { "v5 MQTT-1.5.5-1", MQTT_FAULT_LENGTH_WASTEFUL,
      "10 90 00 {'MQTT'} 05 02 003c () {'dev'}" },
    { "v5 MQTT-3.1.2-11", MQTT_FAULT_WILL_QOS_ALONE, "10 ({'MQTT'} 05 0a 003c () {'dev'})" },
    { "v3.1.1 MQTT-3.1.2-13, v3.1.1 MQTT-3.1.2-11", MQTT_FAULT_WILL_QOS_ALONE,
      "10 ({'MQTT'} 04 0a 003c {'dev'})" },
    { "v5 MQTT-3.1.2-13", MQTT_FAULT_WILL_RETAIN_ALONE, "10 ({'MQTT'} 05 22 003c () {'dev'})" },
    { "v3.1.1 MQTT-3.1.2-15", MQTT_FAULT_WILL_RETAIN_ALONE, "10 ({'MQTT'} 04 22 003c {'dev'})" },
    { "v5 MQTT-3.1.2-12", MQTT_FAULT_WILL_QOS_3,
      "10 ({'MQTT'} 05 1e 003c () {'dev'} () {'t'} {'m'})" },
    { "v3.1.1 MQTT-3.1.2-14", MQTT_FAULT_WILL_QOS_3,
      "10 ({'MQTT'} 04 1e 003c {'dev'} {'t'} {'m'})" },
    { "v3.1.1 MQTT-3.1.2-22", MQTT_FAULT_PASSWORD_ALONE,
      "10 ({'MQTT'} 04 42 003c {'dev'} {'secret'})" },
    { "v5 MQTT-3.1.3-3", MQTT_FAULT_NO_CLIENT_ID, "10 ({'MQTT'} 05 02 003c ())" },
    { "v3.1.1 MQTT-3.1.3-3", MQTT_FAULT_NO_CLIENT_ID, "10 ({'MQTT'} 04 02 003c)" },
    { "v3.1.1 MQTT-3.1.3-8, v3.1.1 MQTT-3.1.3-7", MQTT_FAULT_CLIENT_ID_EMPTY,
      "10 ({'MQTT'} 04 00 003c {})" },
    { "v5 MQTT-3.1.2-9", MQTT_FAULT_NO_WILL, "10 ({'MQTT'} 05 06 003c () {'dev'} ())" },
    { "v5 MQTT-3.1.2-9", MQTT_FAULT_NO_WILL, "10 ({'MQTT'} 05 06 003c () {'dev'} () {'t'})" },
    { "v5 MQTT-2.2.2-1, v5 MQTT-3.1.2-9", MQTT_FAULT_NO_PROPERTY_LENGTH,
      "10 ({'MQTT'} 05 06 003c () {'dev'})" },
    { "v3.1.1 MQTT-3.1.2-9", MQTT_FAULT_NO_WILL, "10 ({'MQTT'} 04 06 003c {'dev'} {'t'})" },
    { "v5 MQTT-3.1.2-17", MQTT_FAULT_NO_USERNAME, "10 ({'MQTT'} 05 82 003c () {'dev'})" },
    { "v3.1.1 MQTT-3.1.2-19", MQTT_FAULT_NO_USERNAME, "10 ({'MQTT'} 04 82 003c {'dev'})" },
    { "v5 MQTT-3.1.2-19", MQTT_FAULT_NO_PASSWORD, "10 ({'MQTT'} 05 c2 003c () {'dev'} {'u'})" },
    { "v3.1.1 MQTT-3.1.2-21", MQTT_FAULT_NO_PASSWORD, "10 ({'MQTT'} 04 c2 003c {'dev'} {'u'})" },
    { "v5 MQTT-3.1.4-1, v5 MQTT-3.1.2-16", MQTT_FAULT_CONNECT_TRAILING,
      "10 ({'MQTT'} 05 02 003c () {'dev'} {'user'})" },
    { "v5 MQTT-3.1.4-1, v5 MQTT-3.1.2-18", MQTT_FAULT_CONNECT_TRAILING,
      "10 ({'MQTT'} 05 82 003c () {'dev'} {'user'} {'password'})" },
    { "v3.1.1 MQTT-3.1.4-1, v3.1.1 MQTT-3.1.2-18, v3.1.1 MQTT-3.1.2-20",
      MQTT_FAULT_CONNECT_TRAILING, "10 ({'MQTT'} 04 02 003c {'dev'} {'user'} {'password'})" },
    { "v5 MQTT-1.5.4-1, v5 MQTT-3.1.3-4", MQTT_FAULT_UTF8,
      "10 ({'MQTT'} 05 02 003c () {'dev' ff})" },
    { "v3.1.1 MQTT-1.5.3-1, v3.1.1 MQTT-3.1.3-4", MQTT_FAULT_UTF8,
      "10 ({'MQTT'} 04 02 003c {'dev' ff})" },
    { "v5 MQTT-1.5.4-1, v5 MQTT-3.1.3-11", MQTT_FAULT_UTF8,
      "10 ({'MQTT'} 05 06 003c () {'dev'} () {'t' c3} {'m'})" },
    { "v3.1.1 MQTT-1.5.3-1, v3.1.1 MQTT-3.1.3-10", MQTT_FAULT_UTF8,
      "10 ({'MQTT'} 04 06 003c {'dev'} {'t' c3} {'m'})" },
    { "v5 MQTT-1.5.4-1, v5 MQTT-3.1.3-12", MQTT_FAULT_UTF8,
      "10 ({'MQTT'} 05 82 003c () {'dev'} {80})" },
    { "v3.1.1 MQTT-1.5.3-1, v3.1.1 MQTT-3.1.3-11", MQTT_FAULT_UTF8,
      "10 ({'MQTT'} 04 82 003c {'dev'} {80})" },
    { "v5 MQTT-4.7.0-1", MQTT_FAULT_WILL_TOPIC,
      "10 ({'MQTT'} 05 06 003c () {'dev'} () {'a/+'} {'m'})" },
    { "v3.1.1 MQTT-4.7.1-1", MQTT_FAULT_WILL_TOPIC,
      "10 ({'MQTT'} 04 06 003c {'dev'} {'a/#'} {'m'})" },
    { "v5 MQTT-4.7.3-1", MQTT_FAULT_TOPIC_EMPTY,
      "10 ({'MQTT'} 05 06 003c () {'dev'} () {} {'m'})" },
    { "v5 section 3.1.2.11.3", MQTT_FAULT_RECEIVE_MAXIMUM_ZERO,
      "10 ({'MQTT'} 05 02 003c (21 0000) {'dev'})" },
    { "v5 section 3.1.2.11.4", MQTT_FAULT_PACKET_SIZE_ZERO,
      "10 ({'MQTT'} 05 02 003c (27 00000000) {'dev'})" },
    { "v5 section 3.1.2.11.10", MQTT_FAULT_AUTH_DATA_ALONE,
      "10 ({'MQTT'} 05 02 003c (16 {'data'}) {'dev'})" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_VALUE,
      "10 ({'MQTT'} 05 02 003c (17 02) {'dev'})" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_VALUE,
      "10 ({'MQTT'} 05 02 003c (19 ff) {'dev'})" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_VALUE,
      "10 ({'MQTT'} 05 06 003c () {'dev'} (01 02) {'t'} {'m'})" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_PLACE, /* a will delay is a will's */
      "10 ({'MQTT'} 05 02 003c (18 00000001) {'dev'})" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_PLACE, /* a server keep alive is a server's */
      "10 ({'MQTT'} 05 02 003c (13 003c) {'dev'})" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_PLACE, /* a session expiry in a will */
      "10 ({'MQTT'} 05 06 003c () {'dev'} (11 00000001) {'t'} {'m'})" },
    { "v5 section 2.2.2", MQTT_FAULT_PROPERTY_TWICE,
      "10 ({'MQTT'} 05 02 003c (11 00000001 11 00000001) {'dev'})" },
    { "v5 section 2.2.2", MQTT_FAULT_PROPERTY_TWICE,
      "10 ({'MQTT'} 05 06 003c () {'dev'} (18 00000001 18 00000001) {'t'} {'m'})" },
    { "v5 section 2.2.2.1", MQTT_FAULT_PROPERTY_LENGTH, "10 ({'MQTT'} 05 02 003c 7f {'dev'})" },
    { "v5 section 2.2.2.1", MQTT_FAULT_PROPERTY_LENGTH,
      "10 ({'MQTT'} 05 02 003c 03 11 00000001 {'dev'})" },
    { "v5 MQTT-1.5.5-1", MQTT_FAULT_LENGTH_WASTEFUL,
      "10 ({'MQTT'} 05 02 003c 80 00 {'dev'})" },
    { "v5 MQTT-1.5.7-1", MQTT_FAULT_PROPERTY_PAIR,
      "10 ({'MQTT'} 05 02 003c (26 {'key'} {ed a0 80}) {'dev'})" },
};

/* --- everything else, in the version that the first statement names --- */

static const struct bad bad_packets[] = {
    { "v5 MQTT-3.1.0-2", MQTT_FAULT_SECOND_CONNECT, "10 ({'MQTT'} 05 02 003c () {'dev'})" },
    { "v3.1.1 MQTT-3.1.0-2", MQTT_FAULT_SECOND_CONNECT, "10 ({'MQTT'} 04 02 003c {'dev'})" },
    { "v5 section 2.1.2", MQTT_FAULT_TYPE_RESERVED, "00 00" },
    { "v3.1.1 section 2.2.1", MQTT_FAULT_TYPE_RESERVED, "00 00" },
    { "v3.1.1 section 2.2.1", MQTT_FAULT_TYPE_RESERVED, "f0 00" },
    { "v5 section 2.1.2", MQTT_FAULT_TYPE_OF_SERVER, "20 (00 00 ())" },
    { "v5 section 2.1.2", MQTT_FAULT_TYPE_OF_SERVER, "90 (0001 () 00)" },
    { "v5 section 2.1.2", MQTT_FAULT_TYPE_OF_SERVER, "b0 (0001 () 00)" },
    { "v3.1.1 section 2.2.1", MQTT_FAULT_TYPE_OF_SERVER, "d0 00" },
    { "v5 MQTT-2.1.3-1", MQTT_FAULT_FLAGS, "c1 00" },
    { "v5 MQTT-2.1.3-1", MQTT_FAULT_FLAGS, "42 (0001)" },
    { "v5 MQTT-2.1.3-1", MQTT_FAULT_FLAGS, "58 (0001)" },
    { "v3.1.1 MQTT-2.2.2-2", MQTT_FAULT_FLAGS, "71 (0001)" },
    { "v5 MQTT-3.6.1-1", MQTT_FAULT_FLAGS_PUBREL, "60 (0001)" },
    { "v3.1.1 MQTT-3.6.1-1", MQTT_FAULT_FLAGS_PUBREL, "6a (0001)" },
    { "v5 MQTT-3.8.1-1", MQTT_FAULT_FLAGS_SUBSCRIBE, "80 (0001 () {'a'} 00)" },
    { "v3.1.1 MQTT-3.8.1-1", MQTT_FAULT_FLAGS_SUBSCRIBE, "83 (0001 {'a'} 00)" },
    { "v5 MQTT-3.10.1-1", MQTT_FAULT_FLAGS_UNSUBSCRIBE, "a0 (0001 () {'a'})" },
    { "v3.1.1 MQTT-3.10.1-1", MQTT_FAULT_FLAGS_UNSUBSCRIBE, "a6 (0001 {'a'})" },
    { "v5 MQTT-3.14.1-1", MQTT_FAULT_FLAGS_DISCONNECT, "e1 00" },
    { "v3.1.1 MQTT-3.14.1-1", MQTT_FAULT_FLAGS_DISCONNECT, "e2 00" },
    { "v5 MQTT-3.15.1-1", MQTT_FAULT_FLAGS_AUTH, "f2 (18 (15 {'SCRAM'}))" },
    { "v3.1.1 section 2.2.3", MQTT_FAULT_LENGTH_ENDLESS, "30 80 80 80 80 00" },
    { "v5 MQTT-1.5.5-1", MQTT_FAULT_LENGTH_WASTEFUL, "c0 80 00" },
    { "v5 MQTT-3.2.2-15", MQTT_FAULT_TOO_LARGE, "30 fe 07" },
    { "v3.1.1 MQTT-4.8.0-2", MQTT_FAULT_TOO_LARGE, "30 ff ff ff 7f" },
    { "v5 MQTT-4.13.1-1", MQTT_FAULT_SHORT, "40 (00)" },
    { "v3.1.1 MQTT-4.8.0-1", MQTT_FAULT_SHORT, "40 ()" },
    { "v5 MQTT-4.13.1-1", MQTT_FAULT_SHORT, "32 ({'a'} 00)" },
    { "v5 MQTT-4.13.1-1", MQTT_FAULT_SHORT, "30 (0005 'a')" },
    { "v5 MQTT-4.13.1-1", MQTT_FAULT_TRAILING, "c0 (00)" },
    { "v5 MQTT-4.13.1-1", MQTT_FAULT_TRAILING, "f0 (18 (15 {'SCRAM'}) 00)" },
    { "v5 MQTT-4.13.1-1", MQTT_FAULT_TRAILING, "40 (0001 00 () 00)" },
    { "v5 MQTT-4.13.1-1", MQTT_FAULT_TRAILING, "e0 (00 () 00)" },
    { "v3.1.1 MQTT-4.8.0-1", MQTT_FAULT_TRAILING, "40 (0001 00)" },
    { "v3.1.1 MQTT-4.8.0-1", MQTT_FAULT_TRAILING, "e0 (00)" },
    { "v5 MQTT-2.2.1-3", MQTT_FAULT_PACKET_ID_ZERO, "32 ({'a'} 0000 ())" },
    { "v3.1.1 MQTT-2.3.1-1", MQTT_FAULT_PACKET_ID_ZERO, "34 ({'a'} 0000)" },
    { "v3.1.1 MQTT-2.3.1-1", MQTT_FAULT_PACKET_ID_ZERO, "82 (0000 {'a'} 00)" },
    { "v5 MQTT-2.2.1-3", MQTT_FAULT_PACKET_ID_ZERO, "a2 (0000 () {'a'})" },
    { "v5 MQTT-2.2.1-3", MQTT_FAULT_PACKET_ID_ZERO, "40 (0000)" },
    /* PUBLISH */
    { "v5 MQTT-3.3.1-4", MQTT_FAULT_QOS_3, "36 ({'a'} 0001 ())" },
    { "v3.1.1 MQTT-3.3.1-4", MQTT_FAULT_QOS_3, "3f ({'a'} 0001)" },
    { "v5 MQTT-3.3.1-2", MQTT_FAULT_DUP_QOS_0, "38 ({'a'} ())" },
    { "v3.1.1 MQTT-3.3.1-2", MQTT_FAULT_DUP_QOS_0, "39 ({'a'})" },
    { "v5 MQTT-1.5.4-1, v5 MQTT-3.3.2-1", MQTT_FAULT_UTF8, "30 ({'a' c0 80} ())" },
    { "v3.1.1 MQTT-1.5.3-1, v3.1.1 MQTT-3.3.2-1", MQTT_FAULT_UTF8, "30 ({'abcdefgh' ed a0 80})" },
    { "v5 MQTT-1.5.4-2, v5 MQTT-4.7.3-2", MQTT_FAULT_UTF8_NUL, "30 ({'a' 00 'b'} ())" },
    { "v3.1.1 MQTT-1.5.3-2, v3.1.1 MQTT-4.7.3-2", MQTT_FAULT_UTF8_NUL, "30 ({'abcdefgh' 00})" },
    { "v5 MQTT-3.3.2-2, v5 MQTT-4.7.0-1", MQTT_FAULT_TOPIC_WILDCARD, "30 ({'a/#'} ())" },
    { "v3.1.1 MQTT-3.3.2-2", MQTT_FAULT_TOPIC_WILDCARD, "30 ({'telemetry/+/x'})" },
    { "v5 MQTT-4.7.3-1", MQTT_FAULT_TOPIC_EMPTY, "30 ({} ())" },
    { "v3.1.1 MQTT-4.7.3-1", MQTT_FAULT_TOPIC_EMPTY, "30 ({})" },
    { "v5 MQTT-3.3.2-8", MQTT_FAULT_ALIAS_ZERO, "30 ({'a'} (23 0000))" },
    { "v5 MQTT-3.3.4-6", MQTT_FAULT_SUBSCRIPTION_ID, "30 ({'a'} (0b 01))" },
    { "v5 MQTT-3.3.2-14", MQTT_FAULT_RESPONSE_TOPIC, "30 ({'a'} (08 {'a/+'}))" },
    { "v5 MQTT-4.7.3-1", MQTT_FAULT_TOPIC_EMPTY, "30 ({'a'} (08 {}))" },
    { "v5 MQTT-1.5.4-1, v5 MQTT-3.3.2-13", MQTT_FAULT_UTF8, "30 ({'a'} (08 {'a' f5 80 80 80}))" },
    { "v5 MQTT-1.5.4-1, v5 MQTT-3.3.2-19", MQTT_FAULT_UTF8, "30 ({'a'} (03 {f4 90 80 80}))" },
    { "v5 MQTT-1.5.7-1", MQTT_FAULT_PROPERTY_PAIR, "30 ({'a'} (26 {'k' 00} {'v'}))" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_VALUE, "30 ({'a'} (01 02))" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_PLACE, "30 ({'a'} (11 00000001))" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_PLACE, "30 ({'a'} (2b))" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_PLACE, "30 ({'a'} (00))" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_PLACE, "30 ({'a'} (ff ff ff 7f))" },
    { "v5 section 2.2.2", MQTT_FAULT_PROPERTY_TWICE, "30 ({'a'} (23 0001 23 0001))" },
    { "v5 section 2.2.2.1", MQTT_FAULT_PROPERTY_LENGTH, "30 ({'a'} 04 23 0001)" },
    { "v5 section 2.2.2.1", MQTT_FAULT_PROPERTY_LENGTH, "30 ({'a'} 02 23 0001)" },
    { "v5 section 2.2.2.1", MQTT_FAULT_PROPERTY_LENGTH, "30 ({'a'} (03 0005 'ab') 'cdefgh')" },
    { "v5 MQTT-2.2.2-1", MQTT_FAULT_NO_PROPERTY_LENGTH, "30 ({'a'})" },
    { "v5 MQTT-2.2.2-1", MQTT_FAULT_NO_PROPERTY_LENGTH, "32 ({'a'} 0001)" },
    { "v5 section 1.5.5", MQTT_FAULT_LENGTH_ENDLESS, "30 ({'a'} ff ff ff ff 01)" },
    /* acknowledgements */
    { "v5 MQTT-3.4.2-1", MQTT_FAULT_PUBACK_REASON, "40 (0001 92)" },
    { "v5 MQTT-3.4.2-1", MQTT_FAULT_PUBACK_REASON, "40 (0001 10 ())" }, /* a server's */
    { "v5 MQTT-3.5.2-1", MQTT_FAULT_PUBREC_REASON, "50 (0001 01)" },
    { "v5 MQTT-3.6.2-1", MQTT_FAULT_PUBREL_REASON, "62 (0001 80)" },
    { "v5 MQTT-3.7.2-1", MQTT_FAULT_PUBCOMP_REASON, "70 (0001 99 ())" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_PLACE, "40 (0001 00 (11 00000001))" },
    { "v5 MQTT-1.5.4-1", MQTT_FAULT_UTF8, "40 (0001 80 (1f {fe}))" },
    { "v5 section 2.2.2", MQTT_FAULT_PROPERTY_TWICE, "40 (0001 80 (1f {'a'} 1f {'b'}))" },
    /* SUBSCRIBE, UNSUBSCRIBE */
    { "v5 MQTT-3.8.3-2", MQTT_FAULT_NOTHING_TO_SUBSCRIBE, "82 (0001 ())" },
    { "v3.1.1 MQTT-3.8.3-3", MQTT_FAULT_NOTHING_TO_SUBSCRIBE, "82 (0001)" },
    { "v5 section 3.8.2.1.2", MQTT_FAULT_SUBSCRIPTION_ID_ZERO, "82 (0001 (0b 00) {'a'} 00)" },
    { "v5 section 2.2.2", MQTT_FAULT_PROPERTY_TWICE, "82 (0001 (0b 01 0b 01) {'a'} 00)" },
    { "v5 section 1.5.5", MQTT_FAULT_LENGTH_ENDLESS, "82 (0001 (0b ff ff ff ff 01) {'a'} 00)" },
    { "v5 MQTT-3.8.3-5", MQTT_FAULT_FILTER_RESERVED, "82 (0001 () {'a'} 40)" },
    { "v3.1.1 MQTT-3.8.3-4", MQTT_FAULT_FILTER_RESERVED, "82 (0001 {'a'} 04)" },
    { "v5 section 3.8.3.1", MQTT_FAULT_FILTER_QOS, "82 (0001 () {'a'} 03)" },
    { "v3.1.1 MQTT-3.8.3-4", MQTT_FAULT_FILTER_QOS, "82 (0001 {'a'} 03)" },
    { "v5 section 3.8.3.1", MQTT_FAULT_FILTER_RETAIN, "82 (0001 () {'a'} 30)" },
    { "v5 MQTT-4.13.1-1", MQTT_FAULT_SHORT, "82 (0001 () {'a'} 00 {'b'})" },
    { "v5 MQTT-1.5.4-1, v5 MQTT-3.8.3-1", MQTT_FAULT_UTF8, "82 (0001 () {'a' e0 80 80} 00)" },
    { "v3.1.1 MQTT-1.5.3-1, v3.1.1 MQTT-3.8.3-1", MQTT_FAULT_UTF8, "82 (0001 {'a' c1} 00)" },
    { "v5 MQTT-4.7.3-1", MQTT_FAULT_TOPIC_EMPTY, "82 (0001 () {} 00)" },
    { "v5 MQTT-4.7.1-1", MQTT_FAULT_FILTER_HASH, "82 (0001 () {'a#'} 00)" },
    { "v5 MQTT-4.7.1-1", MQTT_FAULT_FILTER_HASH, "82 (0001 () {'a/#/b'} 00)" },
    { "v3.1.1 MQTT-4.7.1-2", MQTT_FAULT_FILTER_HASH, "82 (0001 {'#/'} 00)" },
    { "v5 MQTT-4.7.1-2", MQTT_FAULT_FILTER_PLUS, "82 (0001 () {'a+'} 00)" },
    { "v5 MQTT-4.7.1-2", MQTT_FAULT_FILTER_PLUS, "82 (0001 () {'+a/b'} 00)" },
    { "v5 MQTT-4.7.1-2", MQTT_FAULT_FILTER_PLUS, "82 (0001 () {'$share/g/+a'} 00)" },
    { "v3.1.1 MQTT-4.7.1-3", MQTT_FAULT_FILTER_PLUS, "82 (0001 {'a/++/b'} 00)" },
    { "v5 MQTT-4.8.2-1", MQTT_FAULT_SHARE_NAME, "82 (0001 () {'$share/'} 00)" },
    { "v5 MQTT-4.8.2-1", MQTT_FAULT_SHARE_NAME, "82 (0001 () {'$share//a'} 00)" },
    { "v5 MQTT-4.8.2-2", MQTT_FAULT_SHARE_FILTER, "82 (0001 () {'$share/name'} 00)" },
    { "v5 MQTT-4.8.2-2", MQTT_FAULT_SHARE_FILTER, "82 (0001 () {'$share/name/'} 00)" },
    { "v5 MQTT-4.8.2-2", MQTT_FAULT_SHARE_FILTER, "82 (0001 () {'$share/na+me/a'} 00)" },
    { "v5 MQTT-4.8.2-2", MQTT_FAULT_SHARE_FILTER, "82 (0001 () {'$share/#/a'} 00)" },
    { "v5 MQTT-3.8.3-4", MQTT_FAULT_SHARE_NO_LOCAL, "82 (0001 () {'$share/name/a'} 04)" },
    { "v5 MQTT-3.10.3-2", MQTT_FAULT_NOTHING_TO_UNSUBSCRIBE, "a2 (0001 ())" },
    { "v3.1.1 MQTT-3.10.3-2", MQTT_FAULT_NOTHING_TO_UNSUBSCRIBE, "a2 (0001)" },
    { "v5 MQTT-1.5.4-1, v5 MQTT-3.10.3-1", MQTT_FAULT_UTF8, "a2 (0001 () {'a' ff})" },
    { "v3.1.1 MQTT-1.5.3-1, v3.1.1 MQTT-3.10.3-1", MQTT_FAULT_UTF8, "a2 (0001 {'a' ff})" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_PLACE, "a2 (0001 (0b 01) {'a'})" },
    /* DISCONNECT, AUTH */
    { "v5 MQTT-3.14.2-1", MQTT_FAULT_DISCONNECT_REASON, "e0 (8b)" }, /* a server's */
    { "v5 MQTT-3.14.2-1", MQTT_FAULT_DISCONNECT_REASON, "e0 (03 ())" },
    { "v5 section 2.2.2.2", MQTT_FAULT_PROPERTY_PLACE, "e0 (00 (15 {'a'}))" },
    { "v5 section 2.2.2", MQTT_FAULT_PROPERTY_TWICE, "e0 (00 (11 00000001 11 00000001))" },
    { "v5 MQTT-3.15.2-1", MQTT_FAULT_AUTH_REASON, "f0 (00 (15 {'SCRAM'}))" },
    { "v5 MQTT-3.15.2-1", MQTT_FAULT_AUTH_REASON, "f0 ()" },
    { "v5 section 3.15.2.2.2", MQTT_FAULT_AUTH_METHOD_MISSING, "f0 (18 (16 {'data'}))" },
    { "v5 MQTT-2.2.2-1", MQTT_FAULT_NO_PROPERTY_LENGTH, "f0 (18)" },
};

enum { LIMIT = 1024 }; /* bytes of a packet */

static enum mqtt_version version_of(const char *statements)
{
    return strncmp(statements, "v5 ", 3) == 0 ? MQTT_5 : MQTT_3_1_1;
}

/* "v5 MQTT-1.5.5-1" as the first of the row's. */
static void check_statement(const struct bad *bad)
{
    enum mqtt_version version = version_of(bad->statements);
    struct mqtt_fault_view view = mqtt_fault_view(bad->fault, version);
    char want[64];
    int bytes = snprintf(want, sizeof want, "%s %s", version == MQTT_5 ? "v5" : "v3.1.1",
                         view.statement);
    if (strncmp(bad->statements, want, (size_t)bytes) != 0 ||
        strchr(", ", bad->statements[bytes]) == NULL)
        fail_msg("%s: the fault names %s", bad->statements, want);
    assert_true(view.reason >= MQTT_FAILURE);
}

static bool provoked[MQTT_FAULTS];

/* Whole and in every prefix: nothing, or the fault; once found it stays. */
static void check_bad(const struct bad *bad, enum mqtt_version version)
{
    size_t bytes;
    struct mqtt_rules rules = { version, LIMIT };
    uint8_t *at = mqtt_noted(bad->packet, &bytes);
    bool is_found = false;
    for (size_t i = 0; i <= bytes; i++) {
        struct mqtt_packet packet;
        memset(&packet, 0xa5, sizeof packet);
        uint8_t *prefix = malloc(i > 0 ? i : 1); /* its own, so that an overread is seen */
        assert_non_null(prefix);
        memcpy(prefix, at, i);
        int used = mqtt_packet_read(rules, prefix, i, &packet);
        free(prefix);
        if (used == 0 && !is_found)
            continue;
        is_found = true;
        if (used != WEIR_EINVAL || packet.fault != bad->fault)
            fail_msg("%s, %s, %zu bytes: %d, fault %u (%s)", bad->statements, bad->packet, i, used,
                     packet.fault, mqtt_fault_view(packet.fault, version).why);
        assert_true(packet.fault_offset <= i);
        assert_true(packet.version == version || (packet.type == MQTT_CONNECT &&
                                                  packet.version == version_of(bad->statements)));
    }
    if (!is_found)
        fail_msg("%s, %s: nothing was found", bad->statements, bad->packet);
    provoked[bad->fault] = true;
    free(at);
}

static void every_bad_packet_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_connects / sizeof bad_connects[0]; i++) {
        check_statement(&bad_connects[i]);
        check_bad(&bad_connects[i], MQTT_NO_VERSION);
    }
    for (size_t i = 0; i < sizeof bad_packets / sizeof bad_packets[0]; i++) {
        check_statement(&bad_packets[i]);
        check_bad(&bad_packets[i], version_of(bad_packets[i].statements));
    }
}

/* v5 section 4.13.2, v3.1.1 MQTT-4.8.0-2: a limit of ours */
static void more_filters_than_we_take_are_refused(void **state)
{
    (void)state;
    char filters[MQTT_FILTERS_MAX * 8 + 64] = "82 (0001 ";
    for (int i = 0; i < MQTT_FILTERS_MAX; i++)
        strcat(filters, "{'a'}00");
    size_t bytes;
    struct mqtt_packet packet;
    char good[sizeof filters + 8];
    snprintf(good, sizeof good, "%s)", filters);
    uint8_t *at = mqtt_noted(good, &bytes);
    assert_int_equal(mqtt_packet_read((struct mqtt_rules){ MQTT_3_1_1, LIMIT }, at, bytes, &packet),
                     bytes);
    assert_int_equal(packet.subscribe.count, MQTT_FILTERS_MAX);
    free(at);
    strcat(filters, "{'b'}00)");
    struct bad bad = { "v3.1.1 MQTT-4.8.0-2", MQTT_FAULT_TOO_MANY_FILTERS, filters };
    check_bad(&bad, MQTT_3_1_1);
}

static void no_fault_is_without_a_packet(void **state)
{
    (void)state;
#define X(name, reason, v3, v5, why)                                                               \
    if (!provoked[MQTT_FAULT_##name])                                                              \
        fail_msg("no packet provokes %s", #name);
    MQTT_PACKET_FAULTS(X)
#undef X
}

/* The length and type are judged as soon as they are there, not when the packet is. */
static void what_is_plain_from_the_start_is_refused_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *first_bytes;
        enum mqtt_version version;
        enum mqtt_fault fault;
    } table[] = {
        { "'G'", MQTT_NO_VERSION, MQTT_FAULT_FIRST_NOT_CONNECT },
        { "10", MQTT_5, MQTT_FAULT_SECOND_CONNECT },
        { "3e", MQTT_5, MQTT_FAULT_QOS_3 },
        { "38", MQTT_3_1_1, MQTT_FAULT_DUP_QOS_0 },
        { "80", MQTT_5, MQTT_FAULT_FLAGS_SUBSCRIBE },
        { "30 fe 07", MQTT_5, MQTT_FAULT_TOO_LARGE },
        { "30 ff ff ff ff", MQTT_5, MQTT_FAULT_LENGTH_ENDLESS },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t bytes;
        struct mqtt_packet packet;
        uint8_t *at = mqtt_noted(table[i].first_bytes, &bytes);
        struct mqtt_rules rules = { table[i].version, LIMIT };
        assert_int_equal(mqtt_packet_read(rules, at, bytes, &packet), WEIR_EINVAL);
        assert_int_equal(packet.fault, table[i].fault);
        free(at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bad_packet_is_refused_by_name),
        cmocka_unit_test(more_filters_than_we_take_are_refused),
        cmocka_unit_test(no_fault_is_without_a_packet),
        cmocka_unit_test(what_is_plain_from_the_start_is_refused_at_once),
    };
    return cmocka_run_group_tests_name("mqtt_fault", tests, NULL, NULL);
}
