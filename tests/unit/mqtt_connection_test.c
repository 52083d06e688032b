/* Goal: a connection goes the way that the specifications have, from CONNECT to its end: what is
 * granted and refused, time, topic aliases, subscriptions.
 * Method: conversations, as a timeline. What one is told and when is compared byte for byte. No fault of
 * the connection may be without a conversation, here or in the two tests named below.
 * Links: pipeline/mqtt/%.c pipeline/bytes.c pipeline/hash.c */
#include "tests/lib/mqtt_talk.h"

#define CONNECT_5 "10 ({'MQTT'} 05 02 001e () {'dev'})"
#define CONNECT_3 "10 ({'MQTT'} 04 02 001e {'dev'})"

static const struct mqtt_offer offer = {
    .packet_bytes_max = 1024, .connect_bytes_max = 256, .receive_maximum = 4, .exchanges_max = 8,
    .alias_maximum = 3, .alias_bytes = 30, .send_max = 2, .keep_alive_max_s = 60,
    .connect_within_ms = 5000, .qos_max = 2, .retain = true, .wildcards = true,
    .subscription_ids = true, .shared = true,
};

/* A device's: little is available. */
static const struct mqtt_offer meagre = {
    .packet_bytes_max = 1024, .connect_bytes_max = 256, .receive_maximum = 4, .exchanges_max = 4,
    .send_max = 1, .connect_within_ms = 5000,
};

/* --- CONNECT --- */

/* v5 MQTT-3.1.4-5, v5 MQTT-3.2.0-1, v5 MQTT-3.2.0-2, v3.1.1 MQTT-3.1.4-4, v3.1.1 MQTT-3.2.0-1: one
 * CONNACK, before anything else; v5 MQTT-3.2.2-2, v3.1.1 MQTT-3.2.2-1, v3.1.1 MQTT-3.2.2-3: no session
 * v5 MQTT-3.12.4-1, v3.1.1 MQTT-3.12.4-1: PINGRESP */
static void a_connect_is_accepted(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_gets(&t, CONNECT_5, MQTT_EVENT_CONNECT);
    assert_true(t.c->clean_start && !t.c->needs_id);
    assert_int_equal(talk_says(&t, "c000"), WEIR_EAGAIN); /* not before it is decided */
    assert_false(mqtt_connection_may_read(t.c));
    talk_hears(&t, "");
    struct mqtt_accept accept = { .session_present = false };
    struct byte_writer small = { .at = t.out, .bytes = 8 };
    assert_int_equal(mqtt_connection_accept(t.c, &accept, 0, &small), WEIR_EFULL);
    assert_int_equal(t.c->state, MQTT_CONNECTING);
    assert_int_equal(mqtt_connection_accept(t.c, &accept, 0, &t.w), 0);
    talk_hears(&t, "20 (00 00 (21 0004 27 00000400 22 0003))");
    talk_gets(&t, "c000", MQTT_EVENT_NONE);
    talk_hears(&t, "d000");
    talk_end(&t);
    talk_begin(&t, &meagre);
    talk_gets(&t, "10 ({'MQTT'} 05 04 0000 (11 00000064) {'dev'} () {'gone'} {'bye'})",
              MQTT_EVENT_CONNECT);
    assert_true(!t.c->clean_start && t.event.packet.connect.has_will);
    accept = (struct mqtt_accept){ .session_present = true, .session_expiry_s = 60 };
    assert_int_equal(mqtt_connection_accept(t.c, &accept, 0, &t.w), 0);
    talk_hears(&t, "20 (01 00 (11 0000003c 21 0004 24 00 27 00000400 25 00 28 00 29 00 2a 00))");
    talk_end(&t);
    talk_begin(&t, &offer);
    talk_gets(&t, CONNECT_3, MQTT_EVENT_CONNECT);
    accept = (struct mqtt_accept){ .session_present = false };
    assert_int_equal(mqtt_connection_accept(t.c, &accept, 0, &t.w), 0);
    talk_hears(&t, "20 (00 00)");
    talk_end(&t);
}

/* v3.1.1 MQTT-3.2.2-2: session present where there is one */
static void a_session_is_told(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_gets(&t, "10 ({'MQTT'} 04 00 001e {'dev'})", MQTT_EVENT_CONNECT);
    struct mqtt_accept accept = { .session_present = true, .session_expiry_s = MQTT_FOR_EVER };
    assert_int_equal(mqtt_connection_accept(t.c, &accept, 0, &t.w), 0);
    talk_hears(&t, "20 (01 00)");
    talk_end(&t);
}

/* v5 MQTT-3.1.3-6, v3.1.1 MQTT-3.1.3-6: a client without an id gets one; v5 MQTT-3.1.3-7 tells it */
static void a_client_without_an_id_gets_one(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_gets(&t, "10 ({'MQTT'} 05 02 001e () {})", MQTT_EVENT_CONNECT);
    assert_true(t.c->needs_id);
    struct mqtt_accept accept = { .assigned_client_id = text_of("weir-7") };
    assert_int_equal(mqtt_connection_accept(t.c, &accept, 0, &t.w), 0);
    talk_hears(&t, "20 (00 00 (12 {'weir-7'} 21 0004 27 00000400 22 0003))");
    talk_end(&t);
    talk_begin(&t, &offer);
    talk_gets(&t, "10 ({'MQTT'} 04 02 001e {})", MQTT_EVENT_CONNECT);
    assert_true(t.c->needs_id);
    talk_end(&t);
}

/* v5 MQTT-3.1.4-2, v5 MQTT-3.1.3-8, v5 MQTT-3.2.2-7, v5 MQTT-3.1.4-6, v3.1.1 MQTT-3.1.3-9,
 * v3.1.1 MQTT-3.2.2-5, v3.1.1 MQTT-3.1.4-5: a refusal is the end, nothing is read behind it */
static void a_connect_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *connect, *heard;
        uint8_t reason;
    } table[] = {
        { CONNECT_5, "20 (00 87 (1f {'no'}))", MQTT_NOT_AUTHORIZED },
        { CONNECT_5, "20 (00 85 (1f {'no'}))", MQTT_CLIENT_ID_NOT_VALID },
        { CONNECT_3, "20 (00 02)", MQTT_CLIENT_ID_NOT_VALID },
        { CONNECT_3, "20 (00 04)", MQTT_BAD_CREDENTIALS },
        { CONNECT_3, "", MQTT_BAD_AUTHENTICATION_METHOD },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct talk t;
        talk_begin(&t, &offer);
        talk_gets(&t, table[i].connect, MQTT_EVENT_CONNECT);
        mqtt_connection_close(t.c, table[i].reason, text_of("no"), &t.w);
        talk_hears(&t, table[i].heard);
        assert_int_equal(t.c->state, MQTT_CLOSING);
        assert_int_equal(talk_says(&t, "30 ({'a'} ())"), WEIR_EAGAIN);
        mqtt_connection_close(t.c, MQTT_SERVER_BUSY, text_of(""), &t.w); /* has no effect */
        talk_hears(&t, "");
        talk_end(&t);
    }
}

static bool provoked[MQTT_FAULTS];

/* v5 MQTT-3.1.4-1, v5 MQTT-4.13.1-1, v5 MQTT-4.13.2-1, v5 MQTT-3.14.0-1: a bad CONNECT is answered by
 * CONNACK at most, never by DISCONNECT; v3.1.1 MQTT-3.1.4-1: in 3.1.1 by nothing
 * v5 MQTT-3.1.2-1, v5 MQTT-3.1.2-2, v3.1.1 MQTT-3.1.2-2: another version is told so
 * v5 MQTT-3.2.2-12, v5 MQTT-3.2.2-13, v5 MQTT-4.12.0-1 */
static void a_bad_connect_is_told_what_its_version_can_say(void **state)
{
    (void)state;
    static const struct {
        const struct mqtt_offer *offer;
        const char *connect, *heard;
        enum mqtt_fault fault;
    } table[] = {
        { &offer, "10 ({'MQTT'} 05 03 001e () {'dev'})",
          "20 (00 81 (1f {'the reserved connect flag is set'}))", MQTT_FAULT_CONNECT_RESERVED },
        { &offer, "10 ({'MQTT'} 04 03 001e {'dev'})", "", MQTT_FAULT_CONNECT_RESERVED },
        { &offer, "10 ({'MQTT'} 07 02 001e () {'dev'})",
          "20 (00 84 (1f {'the protocol level is neither 4 nor 5'}))", MQTT_FAULT_PROTOCOL_LEVEL },
        { &offer, "10 ({'MQIsdp'} 03 02 001e {'dev'})", "20 (00 01)", MQTT_FAULT_PROTOCOL_LEVEL },
        { &offer, "10 ({'MQTT'} 84 02 001e {'dev'})", "20 (00 01)", MQTT_FAULT_PROTOCOL_LEVEL },
        { &offer, "10 ({'HTTP'} 05 02 001e () {'dev'})", "", MQTT_FAULT_PROTOCOL_NAME },
        { &offer, "10 ({'MQTT'} 04 00 001e {})", "20 (00 02)", MQTT_FAULT_CLIENT_ID_EMPTY },
        { &offer, "c000", "", MQTT_FAULT_FIRST_NOT_CONNECT },
        { &offer, "10 ff02 {'MQTT'} 05", "", MQTT_FAULT_TOO_LARGE },
        /* its maximum packet size holds for the refusal as well [v5 MQTT-3.2.2-19] */
        { &offer, "10 ({'MQTT'} 05 02 001e (27 00000005 15 {'SCRAM'}) {'dev'})", "20 (00 8c ())",
          MQTT_FAULT_AUTH_METHOD },
        { &offer, "10 ({'MQTT'} 05 02 001e (27 00000004 15 {'SCRAM'}) {'dev'})", "",
          MQTT_FAULT_AUTH_METHOD },
        { &meagre, "10 ({'MQTT'} 05 0e 001e () {'dev'} () {'t'} {'m'})",
          "20 (00 9b (1f {'the will*s QoS is more than this server takes'}))",
          MQTT_FAULT_WILL_QOS_OVER },
        { &meagre, "10 ({'MQTT'} 05 26 001e () {'dev'} () {'t'} {'m'})",
          "20 (00 9a (1f {'this server retains no will'}))", MQTT_FAULT_WILL_RETAIN },
        { &meagre, "10 ({'MQTT'} 04 26 001e {'dev'} {'t'} {'m'})", "", MQTT_FAULT_WILL_RETAIN },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct talk t;
        talk_begin(&t, table[i].offer);
        talk_breaks(&t, table[i].connect, table[i].fault);
        for (size_t k = 0; k < t.w.used; k++)
            t.out[k] = t.out[k] == '\'' ? '*' : t.out[k]; /* the notation has no quote in text */
        talk_hears(&t, table[i].heard);
        provoked[table[i].fault] = true;
        talk_end(&t);
    }
}

/* --- the end --- */

/* v5 MQTT-3.14.4-3, v3.1.1 MQTT-3.14.4-3: reason 0 drops the will */
static void a_client_takes_its_leave(void **state)
{
    (void)state;
    static const struct {
        const char *connect, *disconnect;
        bool drops_will;
    } table[] = {
        { CONNECT_5, "e000", true },
        { CONNECT_5, "e0 (00 ())", true },
        { CONNECT_5, "e0 (04)", false },
        { CONNECT_5, "e0 (00 (11 00000000))", true },
        { "10 ({'MQTT'} 05 02 001e (11 00000064) {'dev'})", "e0 (00 (11 00000005))", true },
        { CONNECT_3, "e000", true },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct talk t;
        talk_begin(&t, &offer);
        talk_connects(&t, table[i].connect);
        talk_gets(&t, "32 ({'a'} 0001 00)", MQTT_EVENT_MESSAGE);
        talk_gets(&t, table[i].disconnect, MQTT_EVENT_DISCONNECT);
        assert_int_equal(t.event.drops_will, table[i].drops_will);
        assert_int_equal(t.c->state, MQTT_CLOSING);
        assert_int_equal(talk_says(&t, "c000"), WEIR_EAGAIN);
        assert_int_equal(talk_commits(&t), 0); /* nobody listens any more */
        talk_hears(&t, "");
        talk_end(&t);
    }
}

/* v5 MQTT-3.14.4-1: nothing follows a DISCONNECT; v5 MQTT-3.1.4-3: a take-over says so
 * v3.1.1 has no DISCONNECT of a server */
static void the_server_takes_its_leave(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    talk_gets(&t, "32 ({'a'} 0001 00)", MQTT_EVENT_MESSAGE);
    mqtt_connection_committed(t.c, 1);
    mqtt_connection_close(t.c, MQTT_SESSION_TAKEN_OVER, text_of(""), &t.w);
    talk_hears(&t, "e0 (8e)");
    assert_int_equal(mqtt_connection_render(t.c, NULL, &t.w), 0);
    assert_int_equal(talk_says(&t, "c000"), WEIR_EAGAIN);
    talk_hears(&t, "");
    talk_end(&t);
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_3);
    mqtt_connection_close(t.c, MQTT_SERVER_SHUTTING_DOWN, text_of("later"), &t.w);
    talk_hears(&t, "");
    assert_int_equal(t.c->state, MQTT_CLOSING);
    talk_end(&t);
    talk_begin(&t, &offer);
    mqtt_connection_close(t.c, MQTT_SERVER_BUSY, text_of("later"), &t.w); /* before CONNECT */
    talk_hears(&t, "");
    talk_end(&t);
}

/* v5 MQTT-4.13.1-1, v5 MQTT-4.13.2-1, v3.1.1 MQTT-4.8.0-1, v5 MQTT-3.1.0-2, v3.1.1 MQTT-3.1.0-2,
 * v5 MQTT-4.12.0-7, v5 MQTT-3.2.2-11, v5 MQTT-3.2.2-14, v5 MQTT-3.2.2-17, v5 MQTT-3.2.2-18,
 * v5 MQTT-3.3.2-9, v3.1.1 MQTT-3.3.5-2 */
static void a_broken_rule_ends_the_connection(void **state)
{
    (void)state;
    static const struct {
        const struct mqtt_offer *offer;
        const char *connect, *packet;
        enum mqtt_fault fault;
        uint8_t reason; /* of DISCONNECT; 0: silence */
    } table[] = {
        { &offer, CONNECT_5, CONNECT_5, MQTT_FAULT_SECOND_CONNECT, 0x82 },
        { &offer, CONNECT_3, CONNECT_3, MQTT_FAULT_SECOND_CONNECT, 0 },
        { &offer, CONNECT_5, "36", MQTT_FAULT_QOS_3, 0x81 },
        { &offer, CONNECT_3, "36", MQTT_FAULT_QOS_3, 0 },
        { &offer, CONNECT_5, "f0 (18 (15 {'SCRAM'}))", MQTT_FAULT_AUTH_UNASKED, 0x82 },
        { &meagre, CONNECT_5, "32 ({'a'} 0001 00)", MQTT_FAULT_QOS_OVER, 0x9b },
        { &meagre, CONNECT_3, "32 ({'a'} 0001)", MQTT_FAULT_QOS_OVER, 0 },
        { &meagre, CONNECT_5, "31 ({'a'} 00)", MQTT_FAULT_RETAIN, 0x9a },
        { &meagre, CONNECT_5, "30 ({'a'} (23 0001))", MQTT_FAULT_ALIAS_OVER, 0x94 },
        { &offer, CONNECT_5, "30 ({'a'} (23 0004))", MQTT_FAULT_ALIAS_OVER, 0x94 },
        { &offer, CONNECT_5, "30 ({} (23 0001))", MQTT_FAULT_ALIAS_UNKNOWN, 0x82 },
        { &offer, CONNECT_5, "30 ({'0123456789012345678901234567890'} (23 0001))",
          MQTT_FAULT_ALIAS_ROOM, 0x97 },
        { &meagre, CONNECT_5, "82 (0001 () {'a/+'} 00)", MQTT_FAULT_WILDCARD_FILTER, 0xa2 },
        { &meagre, CONNECT_5, "82 (0001 (0b 01) {'a'} 00)", MQTT_FAULT_SUBSCRIPTION_IDS, 0xa1 },
        { &meagre, CONNECT_5, "82 (0001 () {'$share/g/a'} 00)", MQTT_FAULT_SHARED_FILTER, 0x9e },
        { &offer, CONNECT_5, "e0 (00 (11 00000001))", MQTT_FAULT_SESSION_EXPIRY, 0x82 },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct talk t;
        talk_begin(&t, table[i].offer);
        talk_connects(&t, table[i].connect);
        talk_breaks(&t, table[i].packet, table[i].fault);
        if (table[i].reason == 0)
            assert_int_equal(t.w.used, 0);
        else
            assert_true(t.w.used > 3 && t.out[0] == 0xe0 && t.out[2] == table[i].reason);
        provoked[table[i].fault] = true;
        talk_end(&t);
    }
}

/* Whatever is broken, there is room for the answer in what mqtt_connection_read asks for. */
static void every_fault_can_be_told(void **state)
{
    (void)state;
    for (enum mqtt_fault fault = MQTT_FAULT_NONE + 1; fault < MQTT_FAULTS; fault++) {
        struct mqtt_fault_view view = mqtt_fault_view(fault, MQTT_5);
        struct text why = text_of(view.why);
        struct mqtt_connack connack = { .reason = view.reason, .why = why };
        struct mqtt_peer peer = { MQTT_5, MQTT_NO_LIMIT, true };
        uint8_t room[MQTT_ANSWER_BYTES];
        struct byte_writer w = { .at = room, .bytes = sizeof room };
        int err = mqtt_reason_allowed(view.reason, MQTT_IN_DISCONNECT)
                      ? mqtt_put_disconnect(&w, &peer, view.reason, why)
                      : mqtt_put_connack(&w, &peer, &connack);
        assert_int_equal(err, 0);
        assert_true(w.used > why.bytes && why.bytes > 0);
    }
}

/* --- time --- */

/* v5 MQTT-3.1.2-22, v3.1.1 MQTT-3.1.2-24: one and a half times the keep alive */
static void silence_is_not_borne(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    assert_int_equal(t.c->deadline_ms, 45000);
    t.now_ms = 40000;
    talk_gets(&t, "c000", MQTT_EVENT_NONE);
    talk_hears(&t, "d000");
    t.now_ms = 84000;
    assert_int_equal(talk_says(&t, "32 0a 0001"), 0); /* a part of a packet is no packet */
    assert_false(mqtt_connection_expire(t.c, 84999, &t.w));
    assert_true(mqtt_connection_expire(t.c, 85000, &t.w));
    assert_true(t.out[0] == 0xe0 && t.out[2] == MQTT_KEEP_ALIVE_TIMEOUT);
    assert_int_equal(t.c->state, MQTT_CLOSING);
    assert_false(mqtt_connection_expire(t.c, 99000, &t.w));
    talk_end(&t);
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_3);
    assert_true(mqtt_connection_expire(t.c, 45000, &t.w));
    talk_hears(&t, "");
    talk_end(&t);
    provoked[MQTT_FAULT_SILENT] = true;
}

/* v5 MQTT-3.2.2-22: the client's keep alive holds where the server names none; else the server's */
static void a_keep_alive_is_cut_where_the_client_can_know(void **state)
{
    (void)state;
    static const struct {
        const struct mqtt_offer *offer;
        const char *connect;
        uint16_t keep_alive_s;
    } table[] = {
        { &offer, CONNECT_5, 30 },
        { &offer, "10 ({'MQTT'} 05 02 0078 () {'dev'})", 60 },
        { &offer, "10 ({'MQTT'} 05 02 0000 () {'dev'})", 60 },
        { &offer, "10 ({'MQTT'} 04 02 0078 {'dev'})", 120 },
        { &offer, "10 ({'MQTT'} 04 02 0000 {'dev'})", 0 },
        { &meagre, "10 ({'MQTT'} 05 02 ffff () {'dev'})", 65535 },
        { &meagre, "10 ({'MQTT'} 05 02 0000 () {'dev'})", 0 },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct talk t;
        talk_begin(&t, table[i].offer);
        talk_gets(&t, table[i].connect, MQTT_EVENT_CONNECT);
        assert_int_equal(t.c->deadline_ms, INT64_MAX); /* it waits for us */
        struct mqtt_accept accept = { .session_expiry_s = 0 };
        assert_int_equal(mqtt_connection_accept(t.c, &accept, 1000, &t.w), 0);
        bool is_told = memchr(t.out, 0x13, t.w.used) != NULL;
        assert_int_equal(is_told, table[i].keep_alive_s == 60);
        assert_int_equal(t.c->keep_alive_s, table[i].keep_alive_s);
        assert_int_equal(t.c->deadline_ms, table[i].keep_alive_s == 0
                                               ? INT64_MAX
                                               : 1000 + 1500 * table[i].keep_alive_s);
        talk_end(&t);
    }
}

static void a_connect_must_come_in_time(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    t.now_ms = 4000;
    assert_int_equal(talk_says(&t, "10 20 0004"), 0); /* dribbling is no CONNECT */
    assert_false(mqtt_connection_expire(t.c, 4999, &t.w));
    assert_true(mqtt_connection_expire(t.c, 5000, &t.w));
    talk_hears(&t, "");
    provoked[MQTT_FAULT_NO_CONNECT] = true;
    talk_end(&t);
}

/* --- aliases --- */

/* v5 MQTT-3.3.2-12, v5 MQTT-3.3.2-7 */
static void aliases_stand_for_topics_of_this_connection(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &offer);
    talk_connects(&t, CONNECT_5);
    talk_gets(&t, "30 ({'a/one'} (23 0001) '1') 30 ({'a/two'} (23 0003))", MQTT_EVENT_MESSAGE);
    assert_true(text_equal(t.event.topic, text_of("a/two")));
    talk_gets(&t, "30 ({} (23 0001) '2')", MQTT_EVENT_MESSAGE);
    assert_true(text_equal(t.event.topic, text_of("a/one")));
    talk_gets(&t, "30 ({'a/longer/one'} (23 0001))", MQTT_EVENT_MESSAGE);
    talk_gets(&t, "30 ({} (23 0003))", MQTT_EVENT_MESSAGE);
    assert_true(text_equal(t.event.topic, text_of("a/two")));
    talk_gets(&t, "30 ({} (23 0001))", MQTT_EVENT_MESSAGE);
    assert_true(text_equal(t.event.topic, text_of("a/longer/one")));
    talk_gets(&t, "30 ({'plain'} ())", MQTT_EVENT_MESSAGE);
    assert_true(text_equal(t.event.topic, text_of("plain")));
    mqtt_connection_open(t.c, 0);
    talk_connects(&t, CONNECT_5);
    talk_breaks(&t, "30 ({} (23 0001))", MQTT_FAULT_ALIAS_UNKNOWN);
    talk_end(&t);
}

/* --- subscriptions --- */

/* v5 MQTT-3.8.4-1, v3.1.1 MQTT-3.8.4-1, v5 MQTT-3.10.4-4: each is handed over to be answered
 * v5 MQTT-3.2.2-10: at whatever QoS; v3.1.1 MQTT-3.8.3-2: wildcards are refused filter by filter */
static void subscriptions_are_the_callers(void **state)
{
    (void)state;
    struct talk t;
    talk_begin(&t, &meagre);
    talk_connects(&t, CONNECT_5);
    talk_gets(&t, "82 (0007 () {'weir/receipt/dev'} 02)", MQTT_EVENT_SUBSCRIBE);
    static const uint8_t granted = 1;
    struct mqtt_suback suback = { t.event.packet.subscribe.packet_id, 1, &granted, { 0 } };
    assert_int_equal(mqtt_put_suback(&t.w, &t.c->peer, MQTT_SUBACK, &suback), 0);
    talk_hears(&t, "90 (0007 () 01)");
    talk_gets(&t, "a2 (0008 () {'weir/receipt/+'})", MQTT_EVENT_UNSUBSCRIBE);
    talk_end(&t);
    talk_begin(&t, &meagre);
    talk_connects(&t, CONNECT_3);
    talk_gets(&t, "82 (0007 {'#'} 02)", MQTT_EVENT_SUBSCRIBE);
    struct mqtt_filters filters = t.event.packet.subscribe.filters;
    struct mqtt_filter filter;
    assert_true(mqtt_filter_next(&filters, &filter) && filter.has_wildcard);
    talk_end(&t);
}

/* Those about messages under way are in mqtt_exchange_test.c and mqtt_sending_test.c. */
static void no_fault_is_without_a_conversation(void **state)
{
    (void)state;
    provoked[MQTT_FAULT_RECEIVE_MAXIMUM] = provoked[MQTT_FAULT_TOO_MANY_EXCHANGES] = true;
    provoked[MQTT_FAULT_ID_IN_USE] = provoked[MQTT_FAULT_PUBREL_EARLY] = true;
    provoked[MQTT_FAULT_PUBREC_OF_QOS_1] = true;
#define X(name, reason, v3, v5, why)                                                               \
    if (!provoked[MQTT_FAULT_##name])                                                              \
        fail_msg("no conversation provokes %s", #name);
    MQTT_STATE_FAULTS(X)
#undef X
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_is_accepted),
        cmocka_unit_test(a_session_is_told),
        cmocka_unit_test(a_client_without_an_id_gets_one),
        cmocka_unit_test(a_connect_is_refused),
        cmocka_unit_test(a_bad_connect_is_told_what_its_version_can_say),
        cmocka_unit_test(a_client_takes_its_leave),
        cmocka_unit_test(the_server_takes_its_leave),
        cmocka_unit_test(a_broken_rule_ends_the_connection),
        cmocka_unit_test(every_fault_can_be_told),
        cmocka_unit_test(silence_is_not_borne),
        cmocka_unit_test(a_keep_alive_is_cut_where_the_client_can_know),
        cmocka_unit_test(a_connect_must_come_in_time),
        cmocka_unit_test(aliases_stand_for_topics_of_this_connection),
        cmocka_unit_test(subscriptions_are_the_callers),
        cmocka_unit_test(no_fault_is_without_a_conversation),
    };
    return cmocka_run_group_tests_name("mqtt_connection", tests, NULL, NULL);
}
