/* Goal: messages to the client keep the rules of a sender: identifiers, the client's receive maximum,
 * its answers.
 * Method: conversations, compared byte for byte; every identifier there is, once round.
 * Links: pipeline/mqtt/%.c pipeline/bytes.c pipeline/hash.c */
#include "tests/lib/mqtt_talk.h"

#define CONNECT_5 "10 ({'MQTT'} 05 02 001e () {'dev'})"
#define CONNECT_3 "10 ({'MQTT'} 04 02 001e {'dev'})"

static const struct mqtt_offer offer = {
    .packet_bytes_max = 1024, .connect_bytes_max = 256, .receive_maximum = 4, .exchanges_max = 8,
    .send_max = 2, .connect_within_ms = 5000, .qos_max = 2,
};

/* v5 MQTT-2.2.1-4, v3.1.1 MQTT-2.3.1-4, v5 MQTT-4.3.2-1, v5 MQTT-4.3.2-2, v5 MQTT-4.3.2-3,
 * v3.1.1 MQTT-4.3.2-1: identifiers that are not in use
 * v5 MQTT-3.3.4-9, v5 MQTT-4.9.0-1, v5 MQTT-4.9.0-2: no more than the client takes
 * v5 MQTT-3.3.4-10, v5 MQTT-4.9.0-3: everything else goes on
 * v5 MQTT-4.4.0-2: a failure is an acknowledgement too */
static void messages_to_the_client_wait_for_room(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, "10 ({'MQTT'} 05 02 001e (21 0001) {'dev'})");
    struct mqtt_outgoing m = { .qos = 1, .topic = text_of("c"), .payload = text_of("go") };
    assert_int_equal(mqtt_connection_publish(t.c, &m, &t.w), 0);
    assert_int_equal(m.packet_id, 1);
    talk_hears(&t, "32 ({'c'} 0001 () 'go')");
    m.packet_id = 0;
    assert_int_equal(mqtt_connection_publish(t.c, &m, &t.w), WEIR_EAGAIN);
    struct mqtt_outgoing plain = { .topic = text_of("r"), .payload = text_of("1") };
    assert_int_equal(mqtt_connection_publish(t.c, &plain, &t.w), 0);
    talk_hears(&t, "30 ({'r'} () '1')");
    talk_gets(&t, "c000 40 (0009)", MQTT_EVENT_NONE); /* of nobody */
    talk_hears(&t, "d000");
    talk_gets(&t, "40 (0001 80)", MQTT_EVENT_DELIVERED);
    assert_int_equal(t.event.packet.ack.reason, MQTT_UNSPECIFIED_ERROR);
    struct byte_writer small = { .at = t.out, .bytes = 4 };
    assert_int_equal(mqtt_connection_publish(t.c, &m, &small), WEIR_EFULL);
    assert_int_equal(m.packet_id, 0);
    m.packet_id = 700; /* sent before, over an earlier connection */
    m.dup = true;
    assert_int_equal(mqtt_connection_publish(t.c, &m, &t.w), 0);
    talk_hears(&t, "3a ({'c'} 02bc () 'go')");
    talk_end(&t);
}

static void identifiers_come_round(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_3);
    struct mqtt_outgoing first = { .qos = 1, .topic = text_of("c") }, m = first;
    assert_int_equal(mqtt_connection_publish(t.c, &first, &t.w), 0);
    for (uint32_t i = 2; i < 70000; i++) {
        t.w.used = 0;
        m.packet_id = 0;
        assert_int_equal(mqtt_connection_publish(t.c, &m, &t.w), 0);
        assert_int_equal(m.packet_id, i <= 65535 ? i : i - 65534); /* neither 0 nor 1 */
        uint8_t puback[] = { 0x40, 2, (uint8_t)(m.packet_id >> 8), (uint8_t)m.packet_id };
        struct mqtt_input in = { puback, sizeof puback, 0 };
        assert_int_equal(mqtt_connection_read(t.c, &in, &t.w, &t.event), sizeof puback);
        assert_int_equal(t.event.kind, MQTT_EVENT_DELIVERED);
    }
    talk_end(&t);
}

/* v5 MQTT-3.3.4-1: PUBREC is no answer to QoS 1; one that belongs to nothing is ended */
static void a_pubrec_is_not_expected(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    talk_gets(&t, "50 (0009)", MQTT_EVENT_NONE);
    talk_hears(&t, "62 (0009 92)");
    talk_gets(&t, "70 (0009)", MQTT_EVENT_NONE);
    talk_gets(&t, "50 (0009 80)", MQTT_EVENT_NONE); /* which ends it already */
    talk_hears(&t, "");
    struct mqtt_outgoing m = { .qos = 1, .topic = text_of("c") };
    assert_int_equal(mqtt_connection_publish(t.c, &m, &t.w), 0);
    talk_breaks(&t, "50 (0001)", MQTT_FAULT_PUBREC_OF_QOS_1);
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_to_the_client_wait_for_room),
        cmocka_unit_test(identifiers_come_round),
        cmocka_unit_test(a_pubrec_is_not_expected),
    };
    return cmocka_run_group_tests_name("mqtt_sending", tests, NULL, NULL);
}
