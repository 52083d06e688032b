/* Goal: what the server sends is, byte for byte, what the specifications have, in both versions, within
 * the client's limits and the buffer's room.
 * Method: a table of packets and the bytes that they must be; each is then tried with every smaller
 * room and every smaller maximum packet size.
 * Links: pipeline/mqtt/encode.c pipeline/mqtt/wire.c pipeline/mqtt/reason.c pipeline/bytes.c */
#include "pipeline/err.h"
#include "pipeline/mqtt/encode.h"
#include "tests/lib/check.h"
#include "tests/lib/mqtt_bytes.h"

static const struct mqtt_peer new_peer = { MQTT_5, MQTT_NO_LIMIT, true };
static const struct mqtt_peer old_peer = { MQTT_3_1_1, MQTT_NO_LIMIT, true };

/* One packet of whatever kind, so that it can be tried again and again. */
struct sample {
    enum mqtt_type type;
    struct mqtt_connack connack;
    struct mqtt_ack ack;
    struct mqtt_suback suback;
    struct mqtt_outgoing publish;
    uint8_t reason;
    struct text why;
};

static int put(struct byte_writer *w, const struct mqtt_peer *peer, const struct sample *s)
{
    switch (s->type) {
    case MQTT_CONNACK:
        return mqtt_put_connack(w, peer, &s->connack);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return mqtt_put_ack(w, peer, s->type, &s->ack);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return mqtt_put_suback(w, peer, s->type, &s->suback);
    case MQTT_PINGRESP:
        return mqtt_put_pingresp(w, peer);
    case MQTT_DISCONNECT:
        return mqtt_put_disconnect(w, peer, s->reason, s->why);
    case MQTT_PUBLISH:
        return mqtt_put_publish(w, peer, &s->publish);
    default:
        fail_msg("no packet of a server");
        return 0;
    }
}

/* It is these bytes, and where less fits nothing is written. */
static void expect(const struct mqtt_peer *peer, const struct sample *s, const char *notation)
{
    size_t bytes;
    uint8_t *want = mqtt_noted(notation, &bytes);
    for (size_t room = 0; room <= bytes; room++) {
        uint8_t *at = malloc(room + 1);
        assert_non_null(at);
        struct byte_writer w = { .at = at, .bytes = room + 1, .used = 1 };
        int err = put(&w, peer, s);
        assert_int_equal(err, room < bytes ? WEIR_EFULL : 0);
        assert_int_equal(w.used, room < bytes ? 1 : bytes + 1);
        assert_false(w.failed);
        if (err == 0 && memcmp(at + 1, want, bytes) != 0) {
            for (size_t i = 0; i < bytes; i++)
                fprintf(stderr, "%02x%s", at[i + 1], at[i + 1] == want[i] ? " " : "! ");
            fail_msg("not %s", notation);
        }
        free(at);
    }
    free(want);
}

/* v5 MQTT-3.2.2-1: reserved flags 0
 * v5 MQTT-3.1.2-28, v5 MQTT-4.12.0-6, v5 MQTT-3.2.2-20: no response information, authentication
 * method, user property
 * v5 MQTT-3.2.2-9: maximum QoS where it is less than 2
 * v5 MQTT-3.2.2-16, v5 MQTT-3.1.3-7: the client id that was chosen */
static void connack_says_what_is_granted(void **state)
{
    (void)state;
    struct sample s = { .type = MQTT_CONNACK,
                        .connack = { .packet_bytes_max = MQTT_NO_LIMIT, .qos_max = 2 } };
    expect(&new_peer, &s, "20 (00 00 ())");
    expect(&old_peer, &s, "20 (00 00)");
    s.connack.session_present = true;
    expect(&new_peer, &s, "20 (01 00 ())");
    expect(&old_peer, &s, "20 (01 00)");
    s.connack = (struct mqtt_connack){
        .has_session_expiry = true, .session_expiry_s = 86400, .has_keep_alive = true,
        .keep_alive_s = 600, .receive_maximum = 100, .alias_maximum = 8, .packet_bytes_max = 65536,
        .qos_max = 1, .no_retain = true, .no_wildcards = true, .no_subscription_ids = true,
        .no_shared = true, .assigned_client_id = text_of("weir-1"), .why = text_of("hello"),
    };
    expect(&new_peer, &s, "20 (00 00 (11 00015180 13 0258 12 {'weir-1'} 21 0064 24 01 27 00010000"
                          " 22 0008 25 00 28 00 29 00 2a 00 1f {'hello'}))");
    expect(&old_peer, &s, "20 (00 00)");
}

/* v5 MQTT-3.2.2-6, v3.1.1 MQTT-3.2.2-4: session present is 0 beside a failure
 * v5 MQTT-3.2.2-8: reason codes of CONNACK
 * v3.1.1 MQTT-3.2.2-6: no return code fits, so there is no CONNACK */
static void connack_says_why_not(void **state)
{
    (void)state;
    static const struct {
        uint8_t reason;
        int return_code;
    } table[] = {
        { MQTT_UNSUPPORTED_VERSION, 1 }, { MQTT_CLIENT_ID_NOT_VALID, 2 },
        { MQTT_SERVER_UNAVAILABLE, 3 },  { MQTT_SERVER_BUSY, 3 },
        { MQTT_QUOTA_EXCEEDED, 3 },      { MQTT_CONNECTION_RATE_EXCEEDED, 3 },
        { MQTT_BAD_CREDENTIALS, 4 },     { MQTT_NOT_AUTHORIZED, 5 },
        { MQTT_BANNED, 5 },              { MQTT_MALFORMED_PACKET, -1 },
        { MQTT_PROTOCOL_ERROR, -1 },     { MQTT_RETAIN_NOT_SUPPORTED, -1 },
        { MQTT_UNSPECIFIED_ERROR, -1 },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct sample s = { .type = MQTT_CONNACK,
                            .connack = { .reason = table[i].reason, .why = text_of("no"),
                                         .receive_maximum = 7 } };
        char want[64];
        snprintf(want, sizeof want, "20 (00 %02x (1f {'no'}))", table[i].reason);
        expect(&new_peer, &s, want);
        if (table[i].return_code >= 0) {
            snprintf(want, sizeof want, "20 (00 %02x)", (unsigned)table[i].return_code);
            expect(&old_peer, &s, want);
            continue;
        }
        uint8_t room[16];
        struct byte_writer w = { .at = room, .bytes = sizeof room };
        assert_int_equal(put(&w, &old_peer, &s), WEIR_EINVAL);
        assert_int_equal(w.used, 0);
    }
}

/* v5 MQTT-2.2.1-5, v3.1.1 MQTT-2.3.1-6: the identifier of the message
 * v5 MQTT-3.4.2-3, v5 MQTT-3.5.2-3, v5 MQTT-3.6.2-3, v5 MQTT-3.7.2-3: no user property */
static void acknowledgements_are_short_where_they_can_be(void **state)
{
    (void)state;
    struct sample s = { .type = MQTT_PUBACK, .ack = { .packet_id = 0x1234 } };
    expect(&new_peer, &s, "40 (1234)");
    expect(&old_peer, &s, "40 (1234)");
    s.ack.reason = MQTT_PAYLOAD_FORMAT_INVALID;
    expect(&new_peer, &s, "40 (1234 99)");
    expect(&old_peer, &s, "40 (1234)");
    s.ack.why = text_of("json_syntax");
    expect(&new_peer, &s, "40 (1234 99 (1f {'json_syntax'}))");
    expect(&old_peer, &s, "40 (1234)");
    s = (struct sample){ .type = MQTT_PUBREC, .ack = { .packet_id = 1 } };
    expect(&new_peer, &s, "50 (0001)");
    s = (struct sample){ .type = MQTT_PUBREL, .ack = { 1, MQTT_PACKET_ID_NOT_FOUND, { 0 } } };
    expect(&new_peer, &s, "62 (0001 92)");
    expect(&old_peer, &s, "62 (0001)");
    s.type = MQTT_PUBCOMP;
    expect(&new_peer, &s, "70 (0001 92)");
    s.ack = (struct mqtt_ack){ 65535, MQTT_SUCCESS, text_of("so") };
    expect(&new_peer, &s, "70 (ffff 00 (1f {'so'}))");
}

/* v5 MQTT-2.2.1-6, v5 MQTT-3.8.4-2, v5 MQTT-3.10.4-5: the identifier of the request; also of v3.1.1
 * MQTT-2.3.1-7, v3.1.1 MQTT-3.8.4-2, v3.1.1 MQTT-3.10.4-4, v3.1.1 MQTT-3.10.4-5
 * v5 MQTT-3.8.4-6, v5 MQTT-3.8.4-7, v5 MQTT-3.9.3-1, v5 MQTT-3.9.3-2, v3.1.1 MQTT-3.8.4-5,
 * v3.1.1 MQTT-3.9.3-1: a code for each filter, in their order
 * v3.1.1 MQTT-3.9.3-2: a failure is 0x80
 * v5 MQTT-3.11.3-1, v5 MQTT-3.11.3-2, v5 MQTT-2.2.2-1, v5 MQTT-3.9.2-2, v5 MQTT-3.11.2-2 */
static void subscriptions_are_answered_in_order(void **state)
{
    (void)state;
    static const uint8_t codes[] = { 0, 1, 2, MQTT_NOT_AUTHORIZED, MQTT_TOPIC_FILTER_INVALID };
    struct sample s = { .type = MQTT_SUBACK, .suback = { 0x0a0b, 5, codes, { 0 } } };
    expect(&new_peer, &s, "90 (0a0b () 00 01 02 87 8f)");
    expect(&old_peer, &s, "90 (0a0b 00 01 02 80 80)");
    s.suback.why = text_of("not yours");
    expect(&new_peer, &s, "90 (0a0b (1f {'not yours'}) 00 01 02 87 8f)");
    static const uint8_t gone[] = { MQTT_NO_SUBSCRIPTION, MQTT_SUCCESS };
    s = (struct sample){ .type = MQTT_UNSUBACK, .suback = { 7, 2, gone, { 0 } } };
    expect(&new_peer, &s, "b0 (0007 () 11 00)");
    expect(&old_peer, &s, "b0 (0007)");
}

/* v5 MQTT-3.14.2-2, v5 MQTT-3.14.2-4: no session expiry, no user property
 * v5 MQTT-3.14.2-1: reason codes of DISCONNECT */
static void the_rest_is_small(void **state)
{
    (void)state;
    struct sample s = { .type = MQTT_PINGRESP };
    expect(&new_peer, &s, "d0 00");
    expect(&old_peer, &s, "d0 00");
    s = (struct sample){ .type = MQTT_DISCONNECT, .reason = MQTT_SESSION_TAKEN_OVER };
    expect(&new_peer, &s, "e0 (8e)");
    s.why = text_of("elsewhere");
    expect(&new_peer, &s, "e0 (8e (1f {'elsewhere'}))");
}

/* v5 MQTT-3.1.2-26, v5 MQTT-3.1.2-27, v5 MQTT-3.3.2-11: no topic alias
 * v5 MQTT-3.3.1-12, v3.1.1 MQTT-3.3.1-9: RETAIN is 0
 * v5 MQTT-3.3.1-1, v5 MQTT-3.3.1-3, v3.1.1 MQTT-3.3.1-1, v3.1.1 MQTT-3.3.1-3: DUP as the caller says
 * v5 MQTT-4.3.1-1, v3.1.1 MQTT-4.3.1-1: QoS 0, DUP 0 */
static void messages_go_out_as_they_are(void **state)
{
    (void)state;
    struct sample s = { .type = MQTT_PUBLISH,
                        .publish = { .topic = text_of("weir/receipt/dev"), .payload = text_of("41") } };
    expect(&new_peer, &s, "30 ({'weir/receipt/dev'} () '41')");
    expect(&old_peer, &s, "30 ({'weir/receipt/dev'} '41')");
    s.publish.qos = 1;
    s.publish.packet_id = 258;
    expect(&new_peer, &s, "32 ({'weir/receipt/dev'} 0102 () '41')");
    s.publish.dup = true;
    s.publish.payload = (struct text){ 0 };
    expect(&old_peer, &s, "3a ({'weir/receipt/dev'} 0102)");
}

/* v5 MQTT-1.5.5-1: lengths take no more bytes than they need */
static void lengths_are_minimal(void **state)
{
    (void)state;
    static const struct {
        uint32_t payload, header;
    } table[] = { { 124, 2 }, { 125, 3 }, { 16380, 3 }, { 16381, 4 }, { 2097148, 4 }, { 2097149, 5 } };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint8_t *room = calloc(1, table[i].payload + 16);
        assert_non_null(room);
        struct text payload = { (const char *)room + 16, table[i].payload };
        struct sample s = { .type = MQTT_PUBLISH,
                            .publish = { .topic = text_of("t"), .payload = payload } };
        uint32_t bytes = table[i].header + 3 + table[i].payload;
        uint8_t *out = malloc(bytes);
        assert_non_null(out);
        struct byte_writer w = { .at = out, .bytes = bytes - 1 };
        assert_int_equal(put(&w, &old_peer, &s), WEIR_EFULL);
        assert_int_equal(w.used, 0);
        w.bytes = bytes;
        assert_int_equal(put(&w, &old_peer, &s), 0);
        assert_int_equal(w.used, bytes);
        free(out);
        free(room);
    }
}

#define WHY { "because it is so", 16 }

/* v5 MQTT-3.1.2-24, v5 MQTT-3.1.2-25: nothing larger than the client takes
 * v5 MQTT-3.2.2-19, v5 MQTT-3.4.2-2, v5 MQTT-3.5.2-2, v5 MQTT-3.6.2-2, v5 MQTT-3.7.2-2, v5 MQTT-3.9.2-1,
 * v5 MQTT-3.11.2-1, v5 MQTT-3.14.2-3: rather no reason string */
static void the_clients_maximum_is_kept(void **state)
{
    (void)state;
    static const uint8_t codes[] = { MQTT_NOT_AUTHORIZED, MQTT_SUCCESS };
    static const struct sample table[] = {
        { .type = MQTT_CONNACK,
          .connack = { .reason = MQTT_SERVER_BUSY, .packet_bytes_max = MQTT_NO_LIMIT, .why = WHY } },
        { .type = MQTT_CONNACK,
          .connack = { .packet_bytes_max = 1000, .qos_max = 2, .why = WHY } },
        { .type = MQTT_PUBACK, .ack = { 1, MQTT_QUOTA_EXCEEDED, WHY } },
        { .type = MQTT_PUBREC, .ack = { 1, MQTT_SUCCESS, WHY } },
        { .type = MQTT_PUBREL, .ack = { 1, MQTT_PACKET_ID_NOT_FOUND, WHY } },
        { .type = MQTT_PUBCOMP, .ack = { 1, MQTT_PACKET_ID_NOT_FOUND, WHY } },
        { .type = MQTT_SUBACK, .suback = { 1, 2, codes, WHY } },
        { .type = MQTT_UNSUBACK, .suback = { 1, 2, codes, WHY } },
        { .type = MQTT_DISCONNECT, .reason = MQTT_SERVER_SHUTTING_DOWN, .why = WHY },
        { .type = MQTT_PUBLISH, .publish = { .topic = { "topic", 5 }, .payload = WHY } },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint32_t with_why = 0, without = 0;
        for (uint32_t max = 1; max < 64; max++) {
            struct mqtt_peer peer = { MQTT_5, max, true };
            uint8_t room[64];
            struct byte_writer w = { .at = room, .bytes = sizeof room };
            int err = put(&w, &peer, &table[i]);
            assert_int_equal(err, w.used == 0 ? WEIR_EINVAL : 0);
            assert_true(w.used <= max);
            if (w.used > 16)
                with_why += w.used == max; /* exactly as much as the client takes is sent */
            else
                without += w.used == max;
        }
        assert_int_equal(with_why, 1);
        assert_int_equal(without, table[i].type == MQTT_PUBLISH ? 0 : 1);
    }
}

/* v5 MQTT-3.1.2-29: reason strings only where they are wanted, but CONNACK and DISCONNECT may */
static void a_client_may_not_want_reasons(void **state)
{
    (void)state;
    struct mqtt_peer peer = { MQTT_5, MQTT_NO_LIMIT, false };
    static const uint8_t code = MQTT_NOT_AUTHORIZED;
    struct text why = text_of("w");
    struct sample s = { .type = MQTT_PUBACK, .ack = { 1, MQTT_QUOTA_EXCEEDED, why } };
    expect(&peer, &s, "40 (0001 97)");
    s = (struct sample){ .type = MQTT_SUBACK, .suback = { 1, 1, &code, why } };
    expect(&peer, &s, "90 (0001 () 87)");
    s = (struct sample){ .type = MQTT_DISCONNECT, .reason = MQTT_SERVER_BUSY, .why = why };
    expect(&peer, &s, "e0 (89 (1f {'w'}))");
    s = (struct sample){ .type = MQTT_CONNACK, .connack = { .reason = MQTT_BANNED, .why = why } };
    expect(&peer, &s, "20 (00 8a (1f {'w'}))");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connack_says_what_is_granted),
        cmocka_unit_test(connack_says_why_not),
        cmocka_unit_test(acknowledgements_are_short_where_they_can_be),
        cmocka_unit_test(subscriptions_are_answered_in_order),
        cmocka_unit_test(the_rest_is_small),
        cmocka_unit_test(messages_go_out_as_they_are),
        cmocka_unit_test(lengths_are_minimal),
        cmocka_unit_test(the_clients_maximum_is_kept),
        cmocka_unit_test(a_client_may_not_want_reasons),
    };
    return cmocka_run_group_tests_name("mqtt_encode", tests, NULL, NULL);
}
