/* Goal: exactly once at QoS 2 and at least once at QoS 1, in both versions, whatever breaks when: a
 *   PUBCOMP or PUBACK that a client saw means committed, and nothing at QoS 2 is stored twice.
 *   What a CONNACK says of a session is so on disk.
 * Method: the listener's connections and sessions on a stage (tests/lib/listener_stage.h) with
 *   clients that go by the standard; connections that are cut, in one direction first, taken over,
 *   a process that is killed, commits that come late, a gateway that takes nothing for a while: each
 *   step drawn from a seed. Then the faults end, everything is drained, and every message must be
 *   stored. SEED=n repeats one; WORLDS=n lives through more.
 * Links: firmware/listener/device.c firmware/listener/device_packets.c firmware/listener/device_topics.c firmware/listener/device_pace.c firmware/listener/device_commands.c firmware/listener/sessions.c firmware/listener/sessions_store.c pipeline/mqtt/%.c pipeline/bytes.c pipeline/hash.c pipeline/err.c pipeline/reject.c
 */
#include "tests/lib/check.h"

#include "tests/lib/listener_stage.h"

enum { CLIENTS = 3, WINDOW = 6, STEPS = 400, WORLDS = 300 };

struct exchange_of_client {
    uint16_t packet_id; /* 0: none */
    int value;
    uint8_t qos;
    bool recorded; /* PUBREC came */
};

struct client {
    int place; /* -1: not connected */
    uint8_t version;
    bool accepted, must_be_present;
    bool anew;  /* it wants a clean start, until that is granted */
    bool clean; /* this connection began with one */
    uint16_t last_id;
    struct exchange_of_client open[WINDOW];
};

struct tally {
    uint64_t completed, kills, cuts, takeovers, repeats, clean_starts;
};

static struct client clients[CLIENTS];
static int next_value, completed[STAGE_VALUES];
static uint8_t qos_of[STAGE_VALUES];
static bool given_up[STAGE_VALUES]; /* by a clean start */
static struct tally tally;
static uint64_t living; /* seed of the world under way; 0: none */

/* --- bytes of a client -------------------------------------------------------------------------- */

static bool say(struct client *c, const uint8_t *at, uint32_t bytes)
{
    struct stage_pipe *in = &stage->in[c->place];
    if (in->used + bytes > STAGE_PIPE_BYTES)
        return false;
    memcpy(in->bytes + in->used, at, bytes);
    in->used += bytes;
    return true;
}

static void say_connect(struct client *c)
{
    uint8_t five[] = { 0x10, 20, 0, 4, 'M', 'Q', 'T', 'T', 5, 0, 0, 0, 5, 0x11, 0, 0, 0xff, 0xff, 0,
                       2, 'c', '0' };
    uint8_t three[] = { 0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 0, 0, 2, 'c', '0' };
    uint8_t *at = c->version == 5 ? five : three;
    uint32_t bytes = c->version == 5 ? sizeof five : sizeof three;
    at[bytes - 1] = (uint8_t)('0' + (c - clients));
    at[9] = c->clean ? 2 : 0;
    assert_true(say(c, at, bytes));
}

static void say_publish(struct client *c, const struct exchange_of_client *e, bool dup)
{
    uint8_t packet[32] = { (uint8_t)(0x30 | e->qos << 1 | (dup ? 8 : 0)), 0, 0, 1, 't' };
    uint32_t used = 5;
    packet[used++] = (uint8_t)(e->packet_id >> 8);
    packet[used++] = (uint8_t)e->packet_id;
    if (c->version == 5)
        packet[used++] = 0;
    used += (uint32_t)snprintf((char *)packet + used, sizeof packet - used, "%04d", e->value);
    packet[1] = (uint8_t)(used - 2);
    tally.repeats += dup;
    assert_true(say(c, packet, used));
}

static void say_release(struct client *c, const struct exchange_of_client *e)
{
    const uint8_t packet[] = { 0x62, 2, (uint8_t)(e->packet_id >> 8), (uint8_t)e->packet_id };
    assert_true(say(c, packet, sizeof packet));
}

/* --- what a client does ------------------------------------------------------------------------- */

static void leave(struct client *c, bool server_sees)
{
    if (c->place < 0)
        return;
    stage->out[c->place].closed = true;
    if (server_sees)
        stage->in[c->place].closed = true; /* behind what is in the pipe already */
    c->place = -1;
    tally.cuts++;
}

static void come(struct client *c)
{
    int place = stage_connect();
    if (place < 0)
        return;
    c->place = place;
    c->accepted = false;
    c->clean = c->anew;
    say_connect(c);
}

/* As one that has lost its memory: nothing that it sent before is known to it any more. */
static void come_anew(struct client *c)
{
    for (int i = 0; i < WINDOW; i++)
        if (c->open[i].packet_id != 0)
            given_up[c->open[i].value] = true;
    memset(c->open, 0, sizeof c->open);
    c->must_be_present = false;
    c->anew = true;
    tally.clean_starts++;
    leave(c, false);
    come(c);
}

/* Without one, exactly once ends with the connection. */
static bool has_session(const struct client *c)
{
    return c->version == 5 || !c->clean;
}

/* The number of its session on disk; -1: there is none. */
static int session_on_disk(const struct client *c)
{
    const char id[] = { 2, 'c', (char)('0' + (c - clients)) };
    for (int i = 0; i < STAGE_SESSIONS; i++)
        if (stage->rows[i].at != NULL &&
            memmem(stage->rows[i].at, stage->rows[i].bytes, id, sizeof id) != NULL)
            return i;
    return -1;
}

/* Nothing was published on this connection yet. */
static void check_begun_on_disk(const struct client *c, bool present)
{
    int session = session_on_disk(c);
    assert_true(has_session(c) == (session >= 0));
    for (uint32_t i = 0; i < stage->exchange_count && !present; i++)
        assert_int_not_equal((int)stage->exchanges[i].session, session);
}

static void publish_new(struct client *c, uint64_t *chance)
{
    for (int i = 0; i < WINDOW; i++) {
        struct exchange_of_client *e = &c->open[i];
        if (e->packet_id != 0 || next_value == STAGE_VALUES)
            continue;
        c->last_id = (uint16_t)(c->last_id % 9 + 1); /* few of them, so that they come again soon */
        for (int k = 0; k < WINDOW; k++)
            if (c->open[k].packet_id == c->last_id)
                return;
        *e = (struct exchange_of_client){ c->last_id, next_value++,
                                          (uint8_t)(1 + rnd_below(chance, 2)), false };
        qos_of[e->value] = e->qos;
        say_publish(c, e, false);
        return;
    }
}

static void on_accepted(struct client *c, const uint8_t *body)
{
    if (body[1] != 0) { /* all connections are in use: it tries again */
        leave(c, true);
        return;
    }
    c->accepted = true;
    assert_true(body[0] == 1 || !c->must_be_present);
    assert_false(c->clean && body[0] == 1);
    c->anew = false;
    check_begun_on_disk(c, body[0] == 1);
    for (int i = 0; i < WINDOW; i++)
        if (c->open[i].packet_id != 0 && !c->open[i].recorded)
            say_publish(c, &c->open[i], true);
    for (int i = 0; i < WINDOW; i++)
        if (c->open[i].packet_id != 0 && c->open[i].recorded)
            say_release(c, &c->open[i]);
}

static void on_answer(struct client *c, int type, uint16_t packet_id)
{
    struct exchange_of_client *e = NULL;
    for (int i = 0; i < WINDOW; i++)
        if (c->open[i].packet_id == packet_id)
            e = &c->open[i];
    if (e == NULL) /* what it released twice is answered twice */
        return;
    assert_true(stage->stored[e->value] >= 1); /* never before the commit */
    if (type == MQTT_PUBREC) {
        e->recorded = true;
        c->must_be_present = true;
        say_release(c, e);
        return;
    }
    if ((type == MQTT_PUBCOMP) != (e->qos == 2))
        return; /* of an earlier exchange with that identifier */
    assert_true(type == MQTT_PUBACK || e->recorded);
    completed[e->value]++;
    tally.completed++;
    e->packet_id = 0;
}

static void hear(struct client *c)
{
    while (c->place >= 0) {
        struct stage_pipe *out = &stage->out[c->place];
        if (out->used < 2 || out->used < 2u + out->bytes[1])
            break;
        uint8_t packet[256];
        uint32_t bytes = 2u + out->bytes[1];
        assert_in_range(bytes, 2, sizeof packet);
        memcpy(packet, out->bytes, bytes);
        out->used -= bytes;
        memmove(out->bytes, out->bytes + bytes, out->used);
        int type = packet[0] >> 4;
        if (type == MQTT_CONNACK)
            on_accepted(c, packet + 2);
        else if (type == MQTT_DISCONNECT)
            leave(c, true);
        else
            on_answer(c, type, (uint16_t)(packet[2] << 8 | packet[3]));
    }
    if (c->place >= 0 && stage->out[c->place].closed && stage->out[c->place].used == 0)
        c->place = -1;
}

/* --- a world ------------------------------------------------------------------------------------ */

static void check_never_twice(void)
{
    for (int value = 0; value < next_value; value++)
        if (qos_of[value] == 2 && stage->stored[value] > 1)
            fail_msg("%04d is stored %u times", value, stage->stored[value]);
}

static void kill_it(void)
{
    tally.kills++;
    stage_kill();
    for (int i = 0; i < CLIENTS; i++)
        clients[i].place = -1; /* whatever was under way to it is lost */
}

static void step(uint64_t *chance, bool healing)
{
    struct client *c = &clients[rnd_below(chance, CLIENTS)];
    size_t what = rnd_below(chance, healing ? 70 : 100);
    stage->t_ms += (int64_t)rnd_below(chance, 30);
    if (c->place < 0)
        come(c);
    else if (what < 30 && c->accepted && !healing && has_session(c))
        publish_new(c, chance);
    else if (what < 50)
        hear(c);
    else if (what < 62)
        stage_commit();
    else if (what < 70)
        stage->takes = healing || rnd_below(chance, 4) > 0;
    else if (what < 80)
        leave(c, rnd_below(chance, 2) == 0);
    else if (what < 84)
        kill_it();
    else if (what < 86) {
        tally.takeovers++;
        leave(c, false);
        come(c);
    } else if (what < 87)
        come_anew(c);
    stage_turn();
    check_never_twice();
}

static bool drained(void)
{
    for (int i = 0; i < CLIENTS; i++)
        for (int k = 0; k < WINDOW; k++)
            if (clients[i].anew || clients[i].open[k].packet_id != 0)
                return false;
    return true;
}

static void live(uint64_t seed)
{
    uint64_t chance = seed;
    stage_begin();
    next_value = 0;
    memset(completed, 0, sizeof completed);
    memset(given_up, 0, sizeof given_up);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){ .place = -1, .version = rnd_below(&chance, 2) ? 5 : 4 };
    for (int i = 0; i < STEPS; i++)
        step(&chance, false);
    stage->takes = true;
    for (int i = 0; i < 20000 && !drained(); i++) {
        step(&chance, true);
        for (int k = 0; k < CLIENTS; k++)
            hear(&clients[k]);
    }
    if (!drained())
        fail_msg("not drained");
    stage_commit();
    kill_it(); /* and all of it is there for the next process too */
    for (int value = 0; value < next_value; value++) {
        assert_true(given_up[value] || stage->stored[value] >= 1);
        assert_int_equal(completed[value], !given_up[value]);
    }
    struct sessions_counts counts = sessions_counts(stage->listener.config.sessions);
    assert_int_equal(counts.exchanges, 0);
    assert_in_range(counts.kept, 0, CLIENTS); /* of 3.1.1, none behind a clean start */
    stage_end();
}

static int tell_seed(void **state)
{
    (void)state;
    if (living != 0)
        printf("# SEED=%" PRIu64 "\n", living);
    return 0;
}

static void exactly_once(void **state)
{
    const char *given = getenv("SEED"), *worlds = getenv("WORLDS");
    uint64_t first = given != NULL ? strtoull(given, NULL, 10) : 1;
    uint64_t count = given != NULL ? 1 : worlds != NULL ? strtoull(worlds, NULL, 10) : WORLDS;
    (void)state;
    for (uint64_t seed = first; seed < first + count; seed++) {
        living = seed;
        live(seed);
    }
    living = 0;
    printf("# %" PRIu64 " worlds: %" PRIu64 " messages complete, %" PRIu64 " kills, %" PRIu64
           " cuts, %" PRIu64 " taken over, %" PRIu64 " sent again, %" PRIu64 " clean starts\n",
           count, tally.completed, tally.kills, tally.cuts, tally.takeovers, tally.repeats,
           tally.clean_starts);
    assert_true(given != NULL || tally.completed > 20 * count);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(exactly_once, tell_seed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
