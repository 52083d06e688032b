/* Goal: a good packet is read as what its sender meant, wherever the bytes are cut on their way.
 * Method: examples with all their fields; then random packets from an encoder of the test's own, which
 * must come out field by field, and must not come out before their last byte has arrived.
 * Links: pipeline/mqtt/packet%.c pipeline/mqtt/property.c pipeline/mqtt/wire.c pipeline/mqtt/fault.c pipeline/mqtt/reason.c */
#include "pipeline/mqtt/packet.h"
#include "tests/lib/check.h"
#include "tests/lib/mqtt_bytes.h"

enum { LIMIT = 65536 };

static bool is(struct text text, const char *want)
{
    return text_equal(text, text_of(want));
}

/* Read a packet that is good; its bytes stay until the next call. */
static const struct mqtt_packet *good(enum mqtt_version version, const char *notation)
{
    static uint8_t *at;
    static struct mqtt_packet packet;
    size_t bytes;
    free(at);
    at = mqtt_noted(notation, &bytes);
    int used = mqtt_packet_read((struct mqtt_rules){ version, LIMIT }, at, bytes, &packet);
    if (used != (int)bytes || packet.bytes != bytes || packet.fault != MQTT_FAULT_NONE ||
        (version != MQTT_NO_VERSION && packet.version != version))
        fail_msg("%s: %d, fault %s", notation, used, mqtt_fault_view(packet.fault, version).why);
    return &packet;
}

/* --- examples --- */

/* v5 MQTT-3.1.3-1, v5 MQTT-3.1.3-5, v3.1.1 MQTT-3.1.3-1, v3.1.1 MQTT-3.1.3-5: the order of the
 * payload; client ids of 23 letters and digits */
static void a_connect_is_read(void **state)
{
    (void)state;
    const struct mqtt_connect *c =
        &good(MQTT_NO_VERSION, "10 ({'MQTT'} 05 f6 0e10"
                               " (11 00000078 21 0014 27 00000400 22 000a 19 01 17 00"
                               "  26 {'key'} {'value'} 15 {'SCRAM'} 16 {0001} 26 {'key'} {''})"
                               " {'0123456789abcdefghijXYZ'}"
                               " (18 0000001e 01 01 02 0000003c 03 {'json'} 08 {'re/ply'} 09 {ff}"
                               "  26 {'a'} {'b'})"
                               " {'gone/dev'} {'bye' 00} {'user'} {'pass' ff})")
             ->connect;
    assert_true(c->version == MQTT_5 && c->clean_start && c->keep_alive_s == 3600);
    assert_true(is(c->client_id, "0123456789abcdefghijXYZ"));
    assert_true(c->session_expiry_s == 120 && c->receive_maximum == 20);
    assert_true(c->packet_bytes_max == 1024 && c->alias_maximum == 10);
    assert_true(c->wants_response && !c->wants_problems);
    assert_true(c->has_auth_method && is(c->auth_method, "SCRAM") && c->auth_data.bytes == 2);
    assert_true(c->has_will && c->will.qos == 2 && c->will.retain && c->will.payload_is_text);
    assert_true(c->will.delay_s == 30 && c->will.expiry_s == 60);
    assert_true(is(c->will.topic, "gone/dev") && c->will.payload.bytes == 4);
    assert_true(is(c->will.content_type, "json") && is(c->will.response_topic, "re/ply"));
    assert_true(c->will.correlation.bytes == 1);
    assert_true(c->has_username && is(c->username, "user"));
    assert_true(c->has_password && c->password.bytes == 5);
}

static void what_a_connect_leaves_out_has_its_default(void **state)
{
    (void)state;
    const struct mqtt_packet *packet =
        good(MQTT_NO_VERSION, "10 ({'MQTT'} 05 00 0000 () {})");
    const struct mqtt_connect *c = &packet->connect;
    assert_true(packet->version == MQTT_5 && c->version == MQTT_5 && !c->clean_start);
    assert_true(c->client_id.bytes == 0 && c->keep_alive_s == 0 && c->session_expiry_s == 0);
    assert_true(c->receive_maximum == 65535 && c->packet_bytes_max == MQTT_NO_LIMIT);
    assert_true(c->alias_maximum == 0 && !c->wants_response && c->wants_problems);
    assert_true(!c->has_will && !c->has_username && !c->has_password && !c->has_auth_method);
    c = &good(MQTT_NO_VERSION, "10 ({'MQTT'} 05 42 0000 () {'d'} {'token'})")->connect;
    assert_true(c->has_password && !c->has_username); /* which 5.0 allows */
    packet = good(MQTT_NO_VERSION, "10 ({'MQTT'} 04 00 000a {'dev'})");
    assert_true(packet->version == MQTT_3_1_1 && packet->connect.session_expiry_s == MQTT_FOR_EVER);
    assert_true(packet->connect.receive_maximum == 65535 && packet->connect.keep_alive_s == 10);
    c = &good(MQTT_NO_VERSION, "10 ({'MQTT'} 04 c6 000a {} {'t'} {} {'u'} {})")->connect;
    assert_true(c->clean_start && c->session_expiry_s == 0 && c->client_id.bytes == 0);
    assert_true(c->has_will && is(c->will.topic, "t") && c->will.payload.bytes == 0);
    assert_true(c->will.expiry_s == -1 && c->has_username && c->has_password);
    /* 3.1.1 has no rule against a length in more bytes than it needs */
    c = &good(MQTT_NO_VERSION, "10 8f 80 00 {'MQTT'} 04 02 000a {'dev'}")->connect;
    assert_true(is(c->client_id, "dev"));
}

/* v5 MQTT-2.2.1-2, v3.1.1 MQTT-2.3.1-5: no packet identifier at QoS 0, what follows is payload
 * v5 MQTT-1.5.4-3, v3.1.1 MQTT-1.5.3-3: U+FEFF is kept
 * v5 MQTT-4.7.3-4, v3.1.1 MQTT-4.7.3-4: names are not normalised: precomposed and combining e differ */
static void a_publish_is_read(void **state)
{
    (void)state;
    const struct mqtt_publish *p = &good(MQTT_3_1_1, "30 ({'a/b'} 0102 '{}')")->publish;
    assert_true(p->qos == 0 && p->packet_id == 0 && !p->dup && !p->retain && p->alias == 0);
    assert_true(is(p->topic, "a/b") && is(p->payload, "\x01\x02{}") && p->expiry_s == -1);
    p = &good(MQTT_5, "3d ({'a/b'} ffff (01 01 02 ffffffff 23 ffff 08 {'x'} 09 {} 26 {} {} 03 {})"
                      " 'p')")
             ->publish;
    assert_true(p->qos == 2 && p->packet_id == 65535 && p->dup && p->retain);
    assert_true(p->alias == 65535 && p->payload_is_text && p->expiry_s == UINT32_MAX);
    assert_true(is(p->response_topic, "x") && is(p->payload, "p"));
    p = &good(MQTT_5, "32 ({} 0001 (23 0001))")->publish;
    assert_true(p->topic.bytes == 0 && p->alias == 1 && p->payload.bytes == 0);
    p = &good(MQTT_5, "30 ({efbbbf 'a'} ())")->publish;
    assert_true(p->topic.bytes == 4);
    p = &good(MQTT_3_1_1, "30 ({c3a9 65cc81})")->publish;
    assert_true(is(p->topic, "\xc3\xa9" "e\xcc\x81"));
    assert_true(is(good(MQTT_3_1_1, "30 ({'$SYS//'})")->publish.topic, "$SYS//"));
}

/* v5 MQTT-4.7.3-3, v3.1.1 MQTT-4.7.3-3: a topic of 65,535 bytes is the longest there is */
static void the_longest_topic_is_read(void **state)
{
    (void)state;
    size_t bytes = 4 + 2 + 65535;
    uint8_t *at = malloc(bytes);
    assert_non_null(at);
    memset(at, 'a', bytes);
    memcpy(at, "\x30\x81\x80\x04\xff\xff", 6);
    struct mqtt_packet packet;
    assert_int_equal(mqtt_packet_read((struct mqtt_rules){ MQTT_3_1_1, (uint32_t)bytes }, at, bytes,
                                      &packet),
                     bytes);
    assert_int_equal(packet.publish.topic.bytes, 65535);
    free(at);
}

static void acknowledgements_are_read(void **state)
{
    (void)state;
    assert_int_equal(good(MQTT_3_1_1, "40 (1234)")->ack.packet_id, 0x1234);
    assert_int_equal(good(MQTT_5, "50 (0001 99)")->ack.reason, MQTT_PAYLOAD_FORMAT_INVALID);
    const struct mqtt_packet *packet = good(MQTT_5, "62 (0001 92 (26 {'a'} {'b'} 1f {'gone'}))");
    assert_true(packet->type == MQTT_PUBREL && packet->ack.reason == MQTT_PACKET_ID_NOT_FOUND);
    assert_true(is(packet->ack.why, "gone"));
    assert_int_equal(good(MQTT_5, "70 (0001 00 ())")->type, MQTT_PUBCOMP);
    assert_int_equal(good(MQTT_5, "c0 00")->type, MQTT_PINGREQ);
    assert_int_equal(good(MQTT_3_1_1, "e0 00")->disconnect.reason, 0);
    const struct mqtt_disconnect *d = &good(MQTT_5, "e0 (04 (11 00000000 1f {'bye'}))")->disconnect;
    assert_true(d->reason == MQTT_DISCONNECT_WITH_WILL && d->has_session_expiry);
    assert_true(d->session_expiry_s == 0 && is(d->why, "bye"));
    assert_false(good(MQTT_5, "e0 (00)")->disconnect.has_session_expiry);
    const struct mqtt_auth *a = &good(MQTT_5, "f0 (19 (15 {'M'} 16 {'d'} 1f {'r'}))")->auth;
    assert_true(a->reason == MQTT_REAUTHENTICATE && is(a->method, "M") && is(a->data, "d"));
}

/* v3.1.1 MQTT-4.7.1-1: wildcards may stand in filters */
static void filters_are_read(void **state)
{
    (void)state;
    const struct mqtt_packet *packet =
        good(MQTT_5, "82 (0007 (0b ff7f 26 {'a'} {'b'}) {'#'} 2e {'+/a/+'} 00 {'$share/g/a/#'} 19)");
    struct mqtt_filters filters = packet->subscribe.filters;
    struct mqtt_filter f;
    assert_true(packet->subscribe.packet_id == 7 && packet->subscribe.count == 3);
    assert_int_equal(packet->subscribe.subscription_id, 16383);
    assert_true(mqtt_filter_next(&filters, &f) && is(f.filter, "#") && f.has_wildcard);
    assert_true(f.qos == 2 && f.no_local && f.retain_as_published && f.retain_handling == 2);
    assert_true(mqtt_filter_next(&filters, &f) && is(f.filter, "+/a/+") && !f.is_shared);
    assert_true(f.qos == 0 && !f.no_local && !f.retain_as_published && f.retain_handling == 0);
    assert_true(mqtt_filter_next(&filters, &f) && f.is_shared && f.has_wildcard);
    assert_true(f.qos == 1 && f.retain_as_published && f.retain_handling == 1);
    assert_false(mqtt_filter_next(&filters, &f));
    packet = good(MQTT_3_1_1, "82 (0001 {'weir/receipt/dev'} 01)");
    filters = packet->subscribe.filters;
    assert_true(mqtt_filter_next(&filters, &f) && f.qos == 1 && !f.has_wildcard);
    packet = good(MQTT_5, "a2 (0009 () {'a'} {'b/#'})");
    filters = packet->subscribe.filters;
    assert_true(packet->type == MQTT_UNSUBSCRIBE && packet->subscribe.count == 2);
    assert_true(mqtt_filter_next(&filters, &f) && mqtt_filter_next(&filters, &f));
    assert_true(is(f.filter, "b/#") && !mqtt_filter_next(&filters, &f));
    /* in 3.1.1 $share is a level like another */
    assert_int_equal(good(MQTT_3_1_1, "82 (0001 {'$share/'} 00)")->subscribe.count, 1);
}

static void packets_follow_one_another(void **state)
{
    (void)state;
    size_t bytes, at = 0, count = 0;
    uint8_t *stream = mqtt_noted("30 ({'a'} () '1') c000 32 ({'a'} 0001 ()) 62 (0001) e000", &bytes);
    static const enum mqtt_type types[] = { MQTT_PUBLISH, MQTT_PINGREQ, MQTT_PUBLISH, MQTT_PUBREL,
                                            MQTT_DISCONNECT };
    struct mqtt_packet packet;
    for (int used; at < bytes; at += (size_t)used) {
        used = mqtt_packet_read((struct mqtt_rules){ MQTT_5, LIMIT }, stream + at, bytes - at,
                                &packet);
        assert_true(used > 0);
        assert_int_equal(packet.type, types[count++]);
    }
    assert_int_equal(count, 5);
    free(stream);
}

static void what_is_missing_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint32_t needs;
    } table[] = { { "", 2 }, { "c0", 2 }, { "30 80", 3 }, { "30 80 80", 4 }, { "30 80 80 80", 5 },
                  { "30 05", 7 }, { "30 05 0001", 7 }, { "30 80 08", 1027 } };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t bytes;
        struct mqtt_packet packet;
        uint8_t *at = mqtt_noted(table[i].bytes, &bytes);
        struct mqtt_rules rules = { MQTT_5, LIMIT };
        assert_int_equal(mqtt_packet_read(rules, at, bytes, &packet), 0);
        assert_int_equal(packet.bytes, table[i].needs);
        free(at);
    }
}

/* --- random packets --- */

struct maker {
    uint8_t at[4096];
    size_t used;
    uint64_t seed;
};

static void add_u8(struct maker *m, unsigned value)
{
    m->at[m->used++] = (uint8_t)value;
}

static void add_u16(struct maker *m, unsigned value)
{
    add_u8(m, value >> 8);
    add_u8(m, value & 0xff);
}

static void add_u32(struct maker *m, uint32_t value)
{
    add_u16(m, value >> 16);
    add_u16(m, value & 0xffff);
}

static void add_text(struct maker *m, struct text text)
{
    add_u16(m, text.bytes);
    memcpy(m->at + m->used, text.at, text.bytes);
    m->used += text.bytes;
}

static void add_block(struct maker *m, const struct maker *block)
{
    m->used += noted_varint(m->at + m->used, block->used);
    memcpy(m->at + m->used, block->at, block->used);
    m->used += block->used;
}

static bool chance(struct maker *m)
{
    return rnd(&m->seed) % 2 == 0;
}

/* A piece of well-formed text without wildcards, cut at no character. */
static struct text any_text(struct maker *m, bool may_be_empty)
{
    static const char *const texts[] = { "", "a", "telemetry/dev-0001/temperature", "\xc3\xa9t\xc3\xa9",
                                         "/", "12345678", "\xf0\x9f\x8c\xa1 0123456789/x",
                                         "0123456\xe2\x82\xac/\xef\xbf\xbf" };
    size_t count = sizeof texts / sizeof texts[0];
    return text_of(texts[may_be_empty ? rnd(&m->seed) % count : 1 + rnd(&m->seed) % (count - 1)]);
}

static void add_user_property(struct maker *m)
{
    for (uint64_t i = rnd(&m->seed) % 3; i > 0; i--) {
        add_u8(m, 38);
        add_text(m, any_text(m, true));
        add_text(m, any_text(m, true));
    }
}

/* Properties of a message: of PUBLISH and of a will. */
static void make_message(struct maker *m, struct mqtt_publish *p)
{
    p->expiry_s = -1;
    add_user_property(m);
    if ((p->payload_is_text = chance(m)))
        add_u16(m, 0x0101);
    if (chance(m)) {
        p->expiry_s = (uint32_t)rnd(&m->seed);
        add_u8(m, 2);
        add_u32(m, (uint32_t)p->expiry_s);
    }
    if (chance(m)) {
        add_u8(m, 3);
        add_text(m, p->content_type = any_text(m, true));
    }
    if (chance(m)) {
        add_u8(m, 8);
        add_text(m, p->response_topic = any_text(m, false));
    }
    if (chance(m)) {
        add_u8(m, 9);
        add_text(m, p->correlation = any_text(m, true));
    }
    add_user_property(m);
}

static unsigned make_publish(struct maker *m, enum mqtt_version version, struct mqtt_publish *p)
{
    struct maker properties = { .seed = rnd(&m->seed) };
    *p = (struct mqtt_publish){ .qos = (uint8_t)(rnd(&m->seed) % 3), .retain = chance(m),
                                .expiry_s = -1, .payload = any_text(m, true) };
    p->dup = p->qos > 0 && chance(m);
    p->packet_id = p->qos > 0 ? (uint16_t)(1 + rnd(&m->seed) % 65535) : 0;
    if (version == MQTT_5) {
        make_message(&properties, p);
        if (chance(m)) {
            p->alias = (uint16_t)(1 + rnd(&m->seed) % 65535);
            add_u8(&properties, 35);
            add_u16(&properties, p->alias);
        }
    }
    add_text(m, p->topic = any_text(m, p->alias != 0));
    if (p->qos > 0)
        add_u16(m, p->packet_id);
    if (version == MQTT_5)
        add_block(m, &properties);
    memcpy(m->at + m->used, p->payload.at, p->payload.bytes);
    m->used += p->payload.bytes;
    return (p->dup ? 8u : 0u) | p->qos * 2u | p->retain;
}

static void check_message(const struct mqtt_publish *got, const struct mqtt_publish *want)
{
    assert_int_equal(got->payload_is_text, want->payload_is_text);
    assert_int_equal(got->expiry_s, want->expiry_s);
    assert_true(text_equal(got->content_type, want->content_type));
    assert_true(text_equal(got->response_topic, want->response_topic));
    assert_true(text_equal(got->correlation, want->correlation));
}

static void check_publish(const struct mqtt_publish *got, const struct mqtt_publish *want)
{
    assert_true(got->qos == want->qos && got->dup == want->dup && got->retain == want->retain);
    assert_int_equal(got->packet_id, want->packet_id);
    assert_int_equal(got->alias, want->alias);
    assert_true(text_equal(got->topic, want->topic) && text_equal(got->payload, want->payload));
    check_message(got, want);
}

static void make_connect_properties(struct maker *m, struct mqtt_connect *c)
{
    if (chance(m)) {
        add_u8(m, 17);
        add_u32(m, c->session_expiry_s = (uint32_t)rnd(&m->seed));
    }
    add_user_property(m);
    if (chance(m)) {
        add_u8(m, 33);
        add_u16(m, c->receive_maximum = (uint16_t)(1 + rnd(&m->seed) % 65535));
    }
    if (chance(m)) {
        add_u8(m, 39);
        add_u32(m, c->packet_bytes_max = 1 + (uint32_t)(rnd(&m->seed) % UINT32_MAX));
    }
    if (chance(m)) {
        add_u8(m, 34);
        add_u16(m, c->alias_maximum = (uint16_t)rnd(&m->seed));
    }
    if (chance(m)) {
        add_u8(m, 23);
        add_u8(m, c->wants_problems = chance(m));
    }
}

/* The will's message part is kept in `will`, to be compared as a PUBLISH is. */
static void make_connect(struct maker *m, enum mqtt_version version, struct mqtt_connect *c,
                         struct mqtt_publish *will)
{
    struct maker properties = { .seed = rnd(&m->seed) };
    *c = (struct mqtt_connect){ .version = version, .clean_start = chance(m), .has_will = chance(m),
                                .has_username = chance(m), .receive_maximum = 65535,
                                .packet_bytes_max = MQTT_NO_LIMIT, .wants_problems = true };
    c->has_password = c->has_username && chance(m);
    c->will.qos = c->has_will ? (uint8_t)(rnd(&m->seed) % 3) : 0;
    c->will.retain = c->has_will && chance(m);
    c->session_expiry_s = version == MQTT_3_1_1 && !c->clean_start ? MQTT_FOR_EVER : 0;
    add_text(m, text_of("MQTT"));
    add_u8(m, version);
    add_u8(m, (c->clean_start ? 2u : 0u) | (c->has_will ? 4u : 0u) | c->will.qos * 8u |
                  (c->will.retain ? 32u : 0u) | (c->has_password ? 64u : 0u) |
                  (c->has_username ? 128u : 0u));
    add_u16(m, c->keep_alive_s = (uint16_t)rnd(&m->seed));
    if (version == MQTT_5) {
        make_connect_properties(&properties, c);
        add_block(m, &properties);
    }
    add_text(m, c->client_id = any_text(m, c->clean_start));
    *will = (struct mqtt_publish){ .expiry_s = -1 };
    if (c->has_will) {
        struct maker of_will = { .seed = rnd(&m->seed) };
        if (version == MQTT_5) {
            make_message(&of_will, will);
            add_block(m, &of_will);
        }
        add_text(m, will->topic = any_text(m, false));
        add_text(m, will->payload = any_text(m, true));
    }
    if (c->has_username)
        add_text(m, c->username = any_text(m, true));
    if (c->has_password)
        add_text(m, c->password = any_text(m, true));
}

static void check_connect(const struct mqtt_connect *got, const struct mqtt_connect *want,
                          const struct mqtt_publish *will)
{
    assert_true(got->version == want->version && got->clean_start == want->clean_start);
    assert_true(got->has_will == want->has_will && got->will.qos == want->will.qos);
    assert_true(got->will.retain == want->will.retain && got->has_username == want->has_username);
    assert_true(got->has_password == want->has_password);
    assert_true(got->keep_alive_s == want->keep_alive_s);
    assert_true(got->session_expiry_s == want->session_expiry_s);
    assert_true(got->receive_maximum == want->receive_maximum);
    assert_true(got->packet_bytes_max == want->packet_bytes_max);
    assert_true(got->alias_maximum == want->alias_maximum);
    assert_true(got->wants_problems == want->wants_problems);
    assert_true(text_equal(got->client_id, want->client_id));
    assert_true(text_equal(got->username, want->username));
    assert_true(text_equal(got->password, want->password));
    assert_true(text_equal(got->will.topic, will->topic));
    assert_true(text_equal(got->will.payload, will->payload));
    struct mqtt_publish got_will = { .payload_is_text = got->will.payload_is_text,
                                     .expiry_s = got->will.expiry_s,
                                     .content_type = got->will.content_type,
                                     .response_topic = got->will.response_topic,
                                     .correlation = got->will.correlation };
    check_message(&got_will, will);
}

/* Show every prefix, each in memory of its own size. */
static void feed(struct mqtt_rules rules, const uint8_t *at, size_t bytes,
                 struct mqtt_packet *packet)
{
    static uint8_t *whole;
    for (size_t i = 0; i < bytes; i++) {
        uint8_t *prefix = malloc(i > 0 ? i : 1);
        assert_non_null(prefix);
        memcpy(prefix, at, i);
        assert_int_equal(mqtt_packet_read(rules, prefix, i, packet), 0);
        assert_true(packet->bytes > i && packet->bytes <= bytes);
        free(prefix);
    }
    free(whole);
    whole = malloc(bytes);
    assert_non_null(whole);
    memcpy(whole, at, bytes);
    assert_int_equal(mqtt_packet_read(rules, whole, bytes, packet), bytes);
}

static void random_packets_come_out_as_they_went_in(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (int i = 0; i < 4000; i++) {
        enum mqtt_version version = i % 2 == 0 ? MQTT_5 : MQTT_3_1_1;
        bool connects = rnd(&seed) % 4 == 0;
        struct maker body = { .seed = rnd(&seed) }, whole = { .used = 1 };
        struct mqtt_publish publish;
        struct mqtt_connect connect = { 0 };
        struct mqtt_packet packet;
        unsigned flags = 0;
        if (connects)
            make_connect(&body, version, &connect, &publish);
        else
            flags = make_publish(&body, version, &publish);
        whole.at[0] = (uint8_t)((connects ? MQTT_CONNECT : MQTT_PUBLISH) * 16u | flags);
        add_block(&whole, &body);
        struct mqtt_rules rules = { connects ? MQTT_NO_VERSION : version, LIMIT };
        feed(rules, whole.at, whole.used, &packet);
        if (connects)
            check_connect(&packet.connect, &connect, &publish);
        else
            check_publish(&packet.publish, &publish);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_is_read),
        cmocka_unit_test(what_a_connect_leaves_out_has_its_default),
        cmocka_unit_test(a_publish_is_read),
        cmocka_unit_test(the_longest_topic_is_read),
        cmocka_unit_test(acknowledgements_are_read),
        cmocka_unit_test(filters_are_read),
        cmocka_unit_test(packets_follow_one_another),
        cmocka_unit_test(what_is_missing_is_told),
        cmocka_unit_test(random_packets_come_out_as_they_went_in),
    };
    return cmocka_run_group_tests_name("mqtt_packet", tests, NULL, NULL);
}
