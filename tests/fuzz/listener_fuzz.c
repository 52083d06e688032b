/* Goal: no sequence of packets harms the connections and sessions of the listener, whatever happens in
 * between: cuts, kills, late commits, a gateway that takes nothing, time. What is in memory and what is
 * committed agree whenever nothing waits. Method: libFuzzer drives the stage of tests/lib/listener_stage.h:
 * a byte is an operation, those below 64 put so many bytes more of the input into a connection.
 * Links: firmware/listener/device.c firmware/listener/device_packets.c firmware/listener/device_topics.c firmware/listener/device_pace.c firmware/listener/device_commands.c firmware/listener/sessions.c firmware/listener/sessions_store.c pipeline/mqtt/aliases.c pipeline/mqtt/connection.c pipeline/mqtt/connection_messages.c pipeline/mqtt/encode.c pipeline/mqtt/fault.c pipeline/mqtt/ids.c pipeline/mqtt/packet.c pipeline/mqtt/packet_connect.c pipeline/mqtt/packet_subscribe.c pipeline/mqtt/peek.c pipeline/mqtt/property.c pipeline/mqtt/reason.c pipeline/mqtt/wire.c pipeline/bytes.c pipeline/hash.c pipeline/err.c pipeline/reject.c */
#include "firmware/listener/sessions_state.h"
#include "tests/lib/listener_stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { OPERATIONS_MAX = 300, SECOND_MS = 1000, RAW_BELOW = 64 };

enum operation { /* numbers of the corpus: never renumber */
    COMMIT = 64, /* RAW_BELOW */
    KILL,
    CUT,
    CONNECTION,
    CHOOSE,
    TAKES,
    TIME,
    HEAR,
    TURN
};

static void check_session(const struct sessions *s, uint32_t number)
{
    const struct session *session = &s->table[number];
    uint32_t open = 0;
    if (session->dirty || session->state == SESSION_ENDED)
        return;
    assert((stage->rows[number].at != NULL) == (session->state != SESSION_FREE));
    for (uint32_t i = 0; i < stage->exchange_count; i++)
        open += stage->exchanges[i].session == number;
    assert(open == (session->state == SESSION_FREE ? 0 : session->exchange_count));
}

/* Only when nothing waits for a commit. */
static void check_agreement(void)
{
    const struct sessions *s = stage->listener.config.sessions;
    uint32_t kept = 0, exchanges = 0;
    for (uint32_t i = 0; i < STAGE_SESSIONS; i++) {
        bool linked = s->table[i].state == SESSION_HELD || s->table[i].state == SESSION_AWAY;
        kept += linked;
        exchanges += linked ? s->table[i].exchange_count : 0;
        check_session(s, i);
    }
    assert(s->counts.kept == kept && s->counts.exchanges == exchanges);
    assert(exchanges <= STAGE_EXCHANGES);
}

static void check_connections(void)
{
    const struct listener *l = &stage->listener;
    uint32_t connected = 0, held = 0;
    for (uint32_t i = 0; i < STAGE_PLACES; i++) {
        connected += l->devices[i].connected;
        held += l->devices[i].session != NULL;
        assert(l->devices[i].session == NULL || l->devices[i].session->state == SESSION_HELD);
    }
    assert(l->counts.connected == connected && connected < STAGE_PLACES);
    for (uint32_t i = 0; i < STAGE_SESSIONS; i++)
        held -= l->config.sessions->table[i].state == SESSION_HELD;
    assert(held == 0); /* each is one connection's */
}

static size_t raw(int place, const uint8_t *data, size_t bytes)
{
    struct stage_pipe *in = &stage->in[place];
    if (bytes > STAGE_PIPE_BYTES - in->used)
        bytes = STAGE_PIPE_BYTES - in->used;
    memcpy(in->bytes + in->used, data, bytes);
    in->used += (uint32_t)bytes;
    return bytes;
}

static uint8_t next_of(const uint8_t **at, const uint8_t *end)
{
    return *at < end ? *(*at)++ : 0;
}

static void operate(enum operation operation, int *place, uint8_t argument)
{
    int made;
    switch (operation) {
    case COMMIT:
        stage_commit();
        break;
    case KILL:
        stage_kill();
        break;
    case CUT:
        stage->in[*place].closed = true;
        break;
    case CONNECTION:
        made = stage_connect();
        *place = made >= 0 ? made : *place;
        break;
    case CHOOSE:
        *place = argument % STAGE_PLACES;
        break;
    case TAKES:
        stage->takes = argument % 2 != 0;
        break;
    case TIME:
        stage->t_ms += argument * SECOND_MS;
        break;
    case HEAR:
        stage->out[*place].used = 0;
        break;
    case TURN:
    default: /* any byte may come */
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const uint8_t *at = data, *end = data + bytes;
    int place = 0;
    stage_begin();
    for (int n = 0; n < OPERATIONS_MAX && at < end; n++) {
        uint8_t operation = *at++;
        if (operation < RAW_BELOW) {
            size_t most = (size_t)(end - at) < operation + 1u ? (size_t)(end - at) : operation + 1u;
            (void)raw(place, at, most);
            at += most;
        } else {
            bool has_argument = operation == CHOOSE || operation == TAKES || operation == TIME;
            operate((enum operation)operation, &place, has_argument ? next_of(&at, end) : 0);
        }
        if (operation != COMMIT && operation != HEAR)
            stage_turn();
        check_connections();
    }
    stage->takes = true;
    for (int i = 0; i < 3; i++) {
        stage_turn();
        stage_commit();
    }
    if (stage->waiting_count == 0)
        check_agreement();
    stage_kill();
    check_agreement();
    stage_end();
    return 0;
}
