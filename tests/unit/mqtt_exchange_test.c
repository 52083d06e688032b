/* Goal: messages of a client are acknowledged in order, once they are committed, and not before; an
 * exchange of QoS 2 goes its way, also over several connections; limits hold.
 * Method: conversations, compared byte for byte.
 * Links: pipeline/mqtt/%.c pipeline/bytes.c pipeline/hash.c */
#include "tests/lib/mqtt_talk.h"

#define CONNECT_5 "10 ({'MQTT'} 05 02 001e () {'dev'})"
#define AGAIN_5 "10 ({'MQTT'} 05 00 001e (11 00000e10) {'dev'})"
#define CONNECT_3 "10 ({'MQTT'} 04 02 001e {'dev'})"

static const struct mqtt_offer offer = {
    .packet_bytes_max = 1024, .connect_bytes_max = 256, .receive_maximum = 4, .exchanges_max = 6,
    .send_max = 1, .connect_within_ms = 5000, .qos_max = 2, .retain = true,
};

/* v5 MQTT-3.3.4-1, v3.1.1 MQTT-3.3.4-1: PUBACK for QoS 1, PUBREC for QoS 2, nothing for QoS 0
 * v5 MQTT-4.3.2-4, v3.1.1 MQTT-4.3.2-2, v5 MQTT-4.3.3-8, v5 MQTT-4.3.3-11, v3.1.1 MQTT-4.3.3-2
 * v5 MQTT-2.2.1-5: with the identifier that came; v3.1.1 MQTT-4.6.0-2, v3.1.1 MQTT-4.6.0-3: in order */
static void acknowledgements_wait_for_their_commit(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    talk_gets(&t, "32 ({'a'} 0001 ())", MQTT_EVENT_MESSAGE);
    assert_int_equal(t.event.number, 1);
    talk_gets(&t, "30 ({'a'} ())", MQTT_EVENT_MESSAGE);
    assert_int_equal(t.event.number, 0);
    talk_gets(&t, "34 ({'a'} 0002 ())", MQTT_EVENT_MESSAGE);
    assert_int_equal(t.event.number, 2);
    talk_gets(&t, "32 ({'a'} 0003 ())", MQTT_EVENT_MESSAGE);
    assert_int_equal(mqtt_connection_render(t.c, NULL, &t.w), 0);
    mqtt_connection_committed(t.c, 2);
    assert_int_equal(mqtt_connection_render(t.c, NULL, &t.w), 2);
    talk_hears(&t, "40 (0001) 50 (0002)");
    talk_gets(&t, "62 (0002)", MQTT_EVENT_RELEASE);
    assert_int_equal(t.event.number, 4);
    mqtt_connection_committed(t.c, 3);
    assert_int_equal(mqtt_connection_render(t.c, NULL, &t.w), 1);
    talk_hears(&t, "40 (0003)");
    assert_int_equal(t.c->in_flight, 1);
    assert_int_equal(talk_commits(&t), 1);
    talk_hears(&t, "70 (0002)");
    assert_int_equal(t.c->in_flight, 0);
    talk_end(&t);
}

static void what_does_not_fit_comes_later(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    talk_gets(&t, "32 ({'a'} 0001 ()) 32 ({'a'} 0002 ()) 32 ({'a'} 0003 ())", MQTT_EVENT_MESSAGE);
    mqtt_connection_committed(t.c, 3);
    struct byte_writer small = { .at = t.out, .bytes = 11 };
    assert_int_equal(mqtt_connection_render(t.c, NULL, &small), 2);
    assert_int_equal(small.used, 8);
    t.w.used = 0;
    assert_int_equal(mqtt_connection_render(t.c, NULL, &t.w), 1);
    talk_hears(&t, "40 (0003)");
    talk_end(&t);
}

/* v5 MQTT-3.4.2-1, v5 MQTT-3.5.2-1: the verdict is told; v3.1.1 MQTT-3.3.5-2: 3.1.1 has none
 * v5 MQTT-4.3.3-9: after a failed PUBREC the identifier is free */
static void a_verdict_is_told(void **state)
{
    (void)state;
    static const struct text details[] = { { "", 0 }, { "json_syntax", 11 } };
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    talk_gets(&t, "32 ({'a'} 0001 ()) 34 ({'a'} 0002 ()) 32 ({'a'} 0003 ())", MQTT_EVENT_MESSAGE);
    mqtt_connection_judge(t.c, 1, MQTT_PAYLOAD_FORMAT_INVALID, 1);
    mqtt_connection_judge(t.c, 2, MQTT_UNSPECIFIED_ERROR, 0);
    mqtt_connection_committed(t.c, 3);
    assert_int_equal(mqtt_connection_render(t.c, details, &t.w), 3);
    talk_hears(&t, "40 (0001 99 (1f {'json_syntax'})) 50 (0002 80) 40 (0003)");
    assert_int_equal(t.c->in_flight, 0);
    talk_gets(&t, "34 ({'a'} 0002 ())", MQTT_EVENT_MESSAGE);
    assert_false(t.event.is_repeat);
    talk_end(&t);
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_3);
    talk_gets(&t, "34 ({'a'} 0002)", MQTT_EVENT_MESSAGE);
    mqtt_connection_judge(t.c, 1, MQTT_PAYLOAD_FORMAT_INVALID, 1);
    mqtt_connection_committed(t.c, 1);
    assert_int_equal(mqtt_connection_render(t.c, details, &t.w), 1);
    talk_hears(&t, "50 (0002)");
    talk_gets(&t, "62 (0002)", MQTT_EVENT_RELEASE);
    talk_end(&t);
}

/* v5 MQTT-4.3.2-5, v5 MQTT-4.3.3-12: an identifier is free once it is answered */
static void identifiers_are_used_again(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    for (int i = 0; i < 20; i++) {
        talk_gets(&t, "3a ({'a'} 0001 ())", MQTT_EVENT_MESSAGE);
        assert_false(t.event.is_repeat);
        assert_int_equal(talk_commits(&t), 1);
        talk_gets(&t, "34 ({'a'} 0001 ())", MQTT_EVENT_MESSAGE);
        assert_false(t.event.is_repeat);
        assert_int_equal(talk_commits(&t), 1);
        talk_gets(&t, "62 (0001)", MQTT_EVENT_RELEASE);
        assert_int_equal(talk_commits(&t), 1);
        talk_hears(&t, "40 (0001) 50 (0001) 70 (0001)");
    }
    talk_end(&t);
}

/* v5 MQTT-4.3.3-10, v3.1.1 MQTT-4.3.3-2: until PUBREL a repeat is answered and not stored again
 * v5 MQTT-4.3.3-13: nothing of ours ends an exchange early */
static void a_repeat_is_answered_and_not_stored(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_3);
    talk_gets(&t, "34 ({'a'} 0001)", MQTT_EVENT_MESSAGE);
    talk_gets(&t, "3c ({'a'} 0001)", MQTT_EVENT_MESSAGE);
    assert_true(t.event.is_repeat);
    assert_int_equal(t.event.number, 0); /* the PUBREC that waits answers both */
    assert_int_equal(talk_commits(&t), 1);
    talk_hears(&t, "50 (0001)");
    talk_gets(&t, "3c ({'a'} 0001)", MQTT_EVENT_MESSAGE);
    assert_true(t.event.is_repeat);
    assert_int_equal(t.event.number, 2);
    assert_int_equal(talk_commits(&t), 1);
    talk_hears(&t, "50 (0001)");
    assert_int_equal(t.c->in_flight, 1);
    talk_gets(&t, "62 (0001) 62 (0001)", MQTT_EVENT_RELEASE);
    assert_int_equal(talk_commits(&t), 2);
    talk_hears(&t, "70 (0001) 70 (0001)");
    assert_int_equal(t.c->in_flight, 0);
    talk_end(&t);
}

/* v5 MQTT-3.6.2-1, v5 MQTT-3.7.2-1: an exchange that is not known */
static void a_pubrel_of_nothing_is_answered(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    talk_gets(&t, "62 (0009 92)", MQTT_EVENT_NONE);
    assert_int_equal(talk_commits(&t), 1);
    talk_hears(&t, "70 (0009 92)");
    talk_end(&t);
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_3);
    talk_gets(&t, "62 (0009)", MQTT_EVENT_NONE);
    assert_int_equal(talk_commits(&t), 1);
    talk_hears(&t, "70 (0009)");
    talk_end(&t);
}

/* v5 MQTT-4.3.3-4, v3.1.1 MQTT-4.3.3-1: PUBREL only after PUBREC
 * v5 MQTT-4.3.3-6, v5 MQTT-2.2.1-3, v3.1.1 MQTT-2.3.1-2: no PUBLISH after PUBREL before PUBCOMP, nor
 * another message before that */
static void an_exchange_has_its_order(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    talk_gets(&t, "34 ({'a'} 0001 ())", MQTT_EVENT_MESSAGE);
    talk_breaks(&t, "62 (0001)", MQTT_FAULT_PUBREL_EARLY);
    talk_end(&t);
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_3);
    talk_gets(&t, "34 ({'a'} 0001)", MQTT_EVENT_MESSAGE);
    assert_int_equal(talk_commits(&t), 1);
    talk_gets(&t, "62 (0001)", MQTT_EVENT_RELEASE);
    talk_breaks(&t, "3c ({'a'} 0001)", MQTT_FAULT_ID_IN_USE);
    talk_end(&t);
}

/* v5 MQTT-3.3.4-7: one more than the receive maximum is one too many, at QoS 1, 2 and mixed */
static void the_receive_maximum_holds(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    talk_gets(&t, "32 ({'a'} 0001 ()) 34 ({'a'} 0002 ()) 32 ({'a'} 0003 ()) 34 ({'a'} 0004 ())",
              MQTT_EVENT_MESSAGE);
    talk_gets(&t, "30 ({'a'} ()) c000", MQTT_EVENT_NONE); /* which are not counted */
    talk_hears(&t, "d000");
    mqtt_connection_committed(t.c, 2);
    assert_int_equal(mqtt_connection_render(t.c, NULL, &t.w), 2); /* PUBREC frees nothing */
    talk_gets(&t, "32 ({'a'} 0001 ())", MQTT_EVENT_MESSAGE);
    talk_breaks(&t, "32 ({'a'} 0005 ())", MQTT_FAULT_RECEIVE_MAXIMUM);
    assert_int_equal(t.out[t.w.used - 1 - strlen(mqtt_fault_view(t.event.fault, MQTT_5).why) - 4],
                     MQTT_RECEIVE_MAXIMUM_EXCEEDED);
    talk_end(&t);
}

/* It is told when it connects; who does not keep to it is not read, and not cut off for it */
static void a_smaller_receive_maximum(void **state)
{
    (void)state;
    struct talk t;
    struct mqtt_accept accept = { .receive_maximum = 2 };
    talk_begin(&t, &offer);
    talk_gets(&t, CONNECT_5, MQTT_EVENT_CONNECT);
    assert_int_equal(mqtt_connection_accept(t.c, &accept, t.now_ms, &t.w), 0);
    talk_hears(&t, "20 (0000 (21 0002 27 00000400 2800 2900 2a00))");
    talk_gets(&t, "32 ({'a'} 0001 ()) 34 ({'a'} 0002 ()) 32 ({'a'} 0003 ())", MQTT_EVENT_MESSAGE);
    assert_false(mqtt_connection_may_read(t.c));
    assert_int_equal(talk_says(&t, "32 ({'a'} 0004 ())"), WEIR_EAGAIN);
    assert_int_equal(talk_commits(&t), 3);
    assert_true(mqtt_connection_may_read(t.c));
    talk_end(&t);
    talk_begin(&t, &offer); /* 3.1.1 is not told, and is held by not being read as it is */
    talk_gets(&t, CONNECT_3, MQTT_EVENT_CONNECT);
    assert_int_equal(mqtt_connection_accept(t.c, &accept, t.now_ms, &t.w), 0);
    for (int i = 0; i < 5; i++)
        talk_gets(&t, "32 ({'a'} 0001)", MQTT_EVENT_MESSAGE);
    assert_false(mqtt_connection_may_read(t.c));
    talk_end(&t);
}

/* 3.1.1 knows no receive maximum: the client is not read, and not blamed for it */
static void an_old_client_is_pushed_back(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_3);
    for (int i = 0; i < 5; i++)
        talk_gets(&t, "32 ({'a'} 0001)", MQTT_EVENT_MESSAGE);
    assert_false(mqtt_connection_may_read(t.c));
    assert_int_equal(talk_says(&t, "32 ({'a'} 0001)"), WEIR_EAGAIN);
    assert_false(mqtt_connection_expire(t.c, 1000000, &t.w));
    assert_int_equal(talk_commits(&t), 5);
    mqtt_connection_resume(t.c, 1000000);
    assert_false(mqtt_connection_expire(t.c, 1044999, &t.w));
    talk_gets(&t, "32 ({'a'} 0001)", MQTT_EVENT_MESSAGE);
    talk_end(&t);
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_3);
    for (unsigned i = 1; i <= 6; i++) { /* QoS 2, answered by PUBREC and left at that */
        char publish[64];
        snprintf(publish, sizeof publish, "34 ({'a'} %04x)", i);
        talk_gets(&t, publish, MQTT_EVENT_MESSAGE);
        assert_int_equal(talk_commits(&t), 1);
    }
    talk_breaks(&t, "34 ({'a'} 0007)", MQTT_FAULT_TOO_MANY_EXCHANGES);
    talk_end(&t);
}

/* Without room for an answer nothing is taken. */
static void a_full_buffer_stops_reading(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    struct byte_writer w = { .at = t.out, .bytes = MQTT_ANSWER_BYTES, .used = 1 };
    static const uint8_t pingreq[] = { 0xc0, 0 };
    struct mqtt_input in = { pingreq, 2, 0 };
    assert_int_equal(mqtt_connection_read(t.c, &in, &w, &t.event), WEIR_EAGAIN);
    w.used = 0;
    assert_int_equal(mqtt_connection_read(t.c, &in, &w, &t.event), 2);
    talk_end(&t);
}

/* The mark that a message of topic "a" and this payload has. */
static uint32_t mark_for(const char *payload)
{
    struct talk t;
    char publish[64];
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    snprintf(publish, sizeof publish, "34 ({'a'} 0001 () '%s')", payload);
    talk_gets(&t, publish, MQTT_EVENT_MESSAGE);
    uint32_t mark = t.event.mark;
    talk_end(&t);
    return mark;
}

static void resume(struct talk *t, const char *payload)
{
    talk_begin(t, &offer);
    talk_gets(t, AGAIN_5, MQTT_EVENT_CONNECT);
    for (uint16_t id = 1; id <= 6; id++)
        assert_int_equal(mqtt_connection_restore(t->c, id, mark_for(payload)), 0);
    assert_int_equal(mqtt_connection_restore(t->c, 7, 0), WEIR_EFULL);
    struct mqtt_accept accept = { .session_present = true, .session_expiry_s = 3600 };
    assert_int_equal(mqtt_connection_accept(t->c, &accept, 0, &t->w), 0);
    t->w.used = 0;
}

/* The session comes back: PUBLISH again and PUBREL again are known, with DUP and without; what is not
 * counted does not count against the receive maximum.
 * v5 MQTT-4.4.0-1, v3.1.1 MQTT-4.4.0-1, as the receiver sees it */
static void restored_exchanges_go_on(void **state)
{
    (void)state;
    struct talk t;
    resume(&t, "old");
    assert_int_equal(t.c->in_flight, 0);
    talk_gets(&t, "62 (0003)", MQTT_EVENT_RELEASE);
    talk_gets(&t, "3c ({'a'} 0004 () 'old')", MQTT_EVENT_MESSAGE);
    assert_true(t.event.is_repeat);
    assert_int_equal(t.c->in_flight, 1);
    assert_int_equal(talk_commits(&t), 2);
    talk_hears(&t, "70 (0003) 50 (0004)");
    talk_gets(&t, "62 (0004)", MQTT_EVENT_RELEASE);
    assert_int_equal(talk_commits(&t), 1);
    talk_hears(&t, "70 (0004)");
    assert_int_equal(t.c->in_flight, 0);
    talk_gets(&t, "34 ({'a'} 0005 () 'old')", MQTT_EVENT_MESSAGE);
    assert_true(t.event.is_repeat);
    talk_end(&t);
}

/* A client that has forgotten its session, and uses an identifier again, loses nothing; over one
 * connection it can't have forgotten. */
static void another_message_is_no_repeat(void **state)
{
    (void)state;
    struct talk t;
    resume(&t, "old");
    talk_gets(&t, "34 ({'a'} 0001 () 'new')", MQTT_EVENT_MESSAGE);
    assert_false(t.event.is_repeat);
    assert_int_equal(t.event.mark, mark_for("new"));
    talk_breaks(&t, "62 (0001)", MQTT_FAULT_PUBREL_EARLY); /* it has to be committed first */
    talk_end(&t);
    resume(&t, "old");
    talk_gets(&t, "34 ({'a'} 0001 () 'new')", MQTT_EVENT_MESSAGE);
    assert_int_equal(talk_commits(&t), 1);
    talk_gets(&t, "62 (0001)", MQTT_EVENT_RELEASE);
    assert_int_equal(talk_commits(&t), 1);
    talk_hears(&t, "50 (0001) 70 (0001)");
    assert_int_equal(t.c->in_flight, 0);
    talk_gets(&t, "34 ({'a'} 0002 () 'old')", MQTT_EVENT_MESSAGE);
    talk_breaks(&t, "34 ({'a'} 0002 () 'new')", MQTT_FAULT_ID_IN_USE);
    talk_end(&t);
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_3);
    talk_gets(&t, "34 ({'a'} 0001 'one')", MQTT_EVENT_MESSAGE);
    talk_breaks(&t, "3c ({'b'} 0001 'one')", MQTT_FAULT_ID_IN_USE);
    talk_end(&t);
}

/* Its memory is used again for the next client, which sees nothing of the last one. */
static void a_connection_begins_as_new(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    for (int i = 0; i < 3; i++) {
        struct mqtt_outgoing m = { .qos = 1, .topic = text_of("c") };
        mqtt_connection_open(t.c, 0);
        talk_connects(&t, CONNECT_5);
        talk_gets(&t, "34 ({'a'} 0001 ()) 32 ({'a'} 0002 ()) 34 ({'a'} 0003 ())", MQTT_EVENT_MESSAGE);
        assert_true(!t.event.is_repeat && t.event.number == 3 && t.c->in_flight == 3);
        mqtt_connection_committed(t.c, 2);
        assert_int_equal(mqtt_connection_render(t.c, NULL, &t.w), 2);
        talk_hears(&t, "50 (0001) 40 (0002)");
        assert_int_equal(mqtt_connection_publish(t.c, &m, &t.w), 0);
        talk_hears(&t, "32 ({'c'} 0001 ())");
    }
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledgements_wait_for_their_commit),
        cmocka_unit_test(what_does_not_fit_comes_later),
        cmocka_unit_test(a_verdict_is_told),
        cmocka_unit_test(identifiers_are_used_again),
        cmocka_unit_test(a_repeat_is_answered_and_not_stored),
        cmocka_unit_test(a_pubrel_of_nothing_is_answered),
        cmocka_unit_test(an_exchange_has_its_order),
        cmocka_unit_test(the_receive_maximum_holds),
        cmocka_unit_test(a_smaller_receive_maximum),
        cmocka_unit_test(an_old_client_is_pushed_back),
        cmocka_unit_test(a_full_buffer_stops_reading),
        cmocka_unit_test(restored_exchanges_go_on),
        cmocka_unit_test(another_message_is_no_repeat),
        cmocka_unit_test(a_connection_begins_as_new),
    };
    return cmocka_run_group_tests_name("mqtt_exchange", tests, NULL, NULL);
}
