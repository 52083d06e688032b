/* Goal: whatever connections and processes break, a QoS 2 message is stored exactly once and a QoS 1
 * message at least once, and nothing is acknowledged that is not committed.
 * Method: a client that keeps the standard, a store that commits late, and connections and processes
 * that end at random, all from a seed; every acknowledgement is compared with what is committed.
 * Links: pipeline/mqtt/%.c pipeline/bytes.c pipeline/hash.c */
#include "tests/lib/mqtt_talk.h"

static const struct mqtt_offer offer = {
    .packet_bytes_max = 1024, .connect_bytes_max = 256, .receive_maximum = 4, .exchanges_max = 7,
    .send_max = 1, .connect_within_ms = 5000, .qos_max = 2, .retain = true,
};

#define CONNECT_5 "10 ({'MQTT'} 05 00 001e (11 00000e10) {'dev'})"
#define CONNECT_3 "10 ({'MQTT'} 04 00 001e {'dev'})"

enum { MESSAGES = 60, WINDOW = 4, ROUNDS_MAX = 20000 };

enum stage { UNSENT, SENT, HALF_DONE /* PUBREC came */, DONE };

struct model {
    uint64_t seed;
    enum mqtt_version version;
    bool sets_dup; /* as it must; not all do */
    /* the client: message k has packet identifier k % 7 + 1 while it is under way */
    enum stage stage[MESSAGES];
    uint8_t qos[MESSAGES];
    bool was_sent[MESSAGES];
    /* the store: what is in, what comes with which acknowledgement */
    uint32_t stored[MESSAGES];
    bool rows[8];
    uint32_t marks[8];
    struct {
        uint64_t number;
        int message;   /* -1: none */
        uint16_t row;  /* 0: none */
        uint32_t mark;
        bool deletes;
    } pending[64];
    uint32_t pending_count;
};

static uint16_t id_of(int message)
{
    return (uint16_t)(message % 7 + 1);
}

static void commit(struct model *m, uint64_t number)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->pending_count; i++) {
        if (m->pending[i].number > number) {
            m->pending[kept++] = m->pending[i];
            continue;
        }
        if (m->pending[i].message >= 0)
            m->stored[m->pending[i].message]++;
        if (m->pending[i].row != 0)
            m->rows[m->pending[i].row] = !m->pending[i].deletes;
        m->marks[m->pending[i].row] = m->pending[i].mark;
    }
    m->pending_count = kept;
}

static void server_takes(struct model *m, struct talk *t)
{
    const struct mqtt_event *e = &t->event;
    assert_true(m->pending_count < 64);
    if (e->kind == MQTT_EVENT_MESSAGE && !e->is_repeat) {
        m->pending[m->pending_count].number = e->number;
        m->pending[m->pending_count].message = atoi(e->packet.publish.payload.at);
        m->pending[m->pending_count].row = e->packet.publish.qos == 2 ? e->packet.publish.packet_id
                                                                      : 0;
        m->pending[m->pending_count].mark = e->mark;
        m->pending[m->pending_count++].deletes = false;
    } else if (e->kind == MQTT_EVENT_RELEASE) {
        m->pending[m->pending_count].number = e->number;
        m->pending[m->pending_count].message = -1;
        m->pending[m->pending_count].row = e->packet.ack.packet_id;
        m->pending[m->pending_count++].deletes = true;
    }
}

static void client_sends(struct model *m, struct talk *t, int message)
{
    char packet[64];
    const char *properties = m->version == MQTT_5 ? "()" : "";
    if (m->stage[message] == HALF_DONE)
        snprintf(packet, sizeof packet, "62 (%04x)", id_of(message));
    else
        snprintf(packet, sizeof packet, "%02x ({'a'} %04x %s '%d ')",
                 0x30 | m->qos[message] << 1 | (m->was_sent[message] && m->sets_dup ? 8 : 0), id_of(message),
                 properties, message);
    if (talk_says(t, packet) <= 0)
        fail_msg("%s: %s", packet, mqtt_fault_view(t->event.fault, m->version).why);
    server_takes(m, t);
    if (m->stage[message] == UNSENT)
        m->stage[message] = SENT;
    m->was_sent[message] = true;
}

/* The next that may be sent: in order, at most WINDOW under way, no identifier twice; -1: none. */
static int next_unsent(const struct model *m)
{
    int under_way = 0;
    for (int k = 0; k < MESSAGES; k++) {
        if (m->stage[k] == UNSENT)
            return under_way < WINDOW && (k < 7 || m->stage[k - 7] == DONE) ? k : -1;
        under_way += m->stage[k] != DONE;
    }
    return -1;
}

static void client_hears(struct model *m, struct talk *t)
{
    for (size_t i = 0; i < t->w.used; i += 2u + t->out[i + 1]) {
        int message = 0;
        while (m->stage[message] == DONE || m->stage[message] == UNSENT ||
               id_of(message) != t->out[i + 3])
            assert_true(++message < MESSAGES);
        /* the promise: nothing is acknowledged that is not committed */
        assert_true(m->stored[message] >= 1);
        assert_int_equal(t->out[i], m->qos[message] == 1              ? 0x40
                                    : m->stage[message] == SENT ? 0x50
                                                                : 0x70);
        if (t->out[i] == 0x50) {
            assert_true(m->rows[id_of(message)]);
            m->stage[message] = HALF_DONE;
            continue;
        }
        if (t->out[i] == 0x70)
            assert_false(m->rows[id_of(message)]);
        m->stage[message] = DONE;
    }
    t->w.used = 0;
}

/* A new connection to the same session, after the old one or the whole process has ended. */
static void come_back(struct model *m, struct talk *t)
{
    bool is_death = rnd(&m->seed) % 2 == 0;
    if (is_death)
        m->pending_count = 0;
    else
        commit(m, UINT64_MAX); /* what was taken is committed, only nobody hears of it */
    t->w.used = 0;
    mqtt_connection_open(t->c, t->now_ms);
    talk_gets(t, m->version == MQTT_5 ? CONNECT_5 : CONNECT_3, MQTT_EVENT_CONNECT);
    for (uint16_t id = 1; id < 8; id++)
        if (m->rows[id])
            assert_int_equal(mqtt_connection_restore(t->c, id, m->marks[id]), 0);
    struct mqtt_accept accept = { .session_present = true,
                                  .session_expiry_s = t->c->session_expiry_s };
    assert_int_equal(mqtt_connection_accept(t->c, &accept, t->now_ms, &t->w), 0);
    t->w.used = 0;
    for (int k = 0; k < MESSAGES; k++)
        if (m->stage[k] == SENT || m->stage[k] == HALF_DONE)
            client_sends(m, t, k);
}

static bool is_over(const struct model *m)
{
    for (int k = 0; k < MESSAGES; k++)
        if (m->stage[k] != DONE)
            return false;
    return true;
}

/* PUBREL is sent for what has had its PUBREC, once over each connection. */
static void live(struct model *m, struct talk *t)
{
    bool released[MESSAGES] = { false };
    for (uint32_t round = 0; round < ROUNDS_MAX && !is_over(m); round++) {
        int next = next_unsent(m);
        switch (rnd(&m->seed) % 8) {
        case 0:
            if (rnd(&m->seed) % 8 == 0) {
                come_back(m, t);
                for (int k = 0; k < MESSAGES; k++)
                    released[k] = m->stage[k] == HALF_DONE;
            }
            break;
        case 1:
        case 2: {
            uint64_t number = t->c->committed + rnd(&m->seed) % (1 + t->c->arrived - t->c->committed);
            commit(m, number);
            mqtt_connection_committed(t->c, number);
            break;
        }
        case 3:
        case 4:
            (void)mqtt_connection_render(t->c, NULL, &t->w);
            client_hears(m, t);
            break;
        default:
            if (next >= 0 && mqtt_connection_may_read(t->c))
                client_sends(m, t, next);
            for (int k = 0; k < MESSAGES && mqtt_connection_may_read(t->c); k++)
                if (m->stage[k] == HALF_DONE && !released[k]) {
                    client_sends(m, t, k);
                    released[k] = true;
                }
        }
        if (t->c->arrived > 0 && rnd(&m->seed) % 4 == 0) {
            commit(m, t->c->arrived);
            mqtt_connection_committed(t->c, t->c->arrived);
        }
    }
}

/* v5 MQTT-4.4.0-1, v3.1.1 MQTT-4.4.0-1 */
static void every_message_is_stored_as_often_as_promised(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    uint32_t repeated = 0;
    for (int world = 0; world < 400; world++) {
        struct model m = { .seed = rnd(&seed), .version = world % 2 == 0 ? MQTT_5 : MQTT_3_1_1,
                           .sets_dup = world % 3 != 0 };
        struct talk t;
        for (int k = 0; k < MESSAGES; k++)
            m.qos[k] = (uint8_t)(1 + rnd(&m.seed) % 2);
        talk_begin(&t, &offer);
        come_back(&m, &t);
        live(&m, &t);
        for (int k = 0; k < MESSAGES; k++) {
            if (m.stage[k] != DONE || (m.qos[k] == 2 ? m.stored[k] != 1 : m.stored[k] < 1))
                fail_msg("world %d: message %d at QoS %u: stage %u, stored %u times", world, k,
                         m.qos[k], m.stage[k], m.stored[k]);
            repeated += m.stored[k] > 1;
        }
        assert_int_equal(t.c->in_flight, 0);
        talk_end(&t);
    }
    assert_true(repeated > 100); /* the worlds were not too kind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_is_stored_as_often_as_promised),
    };
    return cmocka_run_group_tests_name("mqtt_worlds", tests, NULL, NULL);
}
