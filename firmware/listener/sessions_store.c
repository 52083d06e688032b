/* sessions_store: sessions as rows: read at the start, given to the commits; and what falls due. */
#include <assert.h>

#include "firmware/listener/sessions_state.h"
#include "firmware/log.h"
#include "pipeline/bytes.h"
#include "pipeline/err.h"

enum { ROW_VERSION = 3, BACK_MS = 30000 /* that a device has to come back after a restart */ };

/* --- rows ---------------------------------------------------------------------------------------
 */

static void save(const struct sessions *s, const struct session *session, struct byte_writer *w)
{
    put_u8(w, ROW_VERSION);
    put_text(w, text_of(s->config->sources[session->source].name));
    put_text(w, session_id(session));
    put_varint(w, session->expiry_s);
    put_bool(w, session->state == SESSION_AWAY);
    put_zigzag(w, session->left_ms);
    put_u8(w, session->topics);
    put_u8(w, session->device_bytes);
    put_bool(w, session->has_will);
    if (!session->has_will)
        return;
    put_varint(w, session->will_delay_s);
    put_text(w, (struct text){ session->will, session->will_bytes });
}

static uint32_t source_named(const struct config *config, struct text name)
{
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == SOURCE_LISTENER &&
            text_equal(text_of(config->sources[i].name), name))
            return i;
    return SESSIONS_NONE;
}

static void load_will(struct session *session, struct byte_reader *r)
{
    session->has_will = get_bool(r);
    if (!session->has_will)
        return;
    uint64_t delay_s = get_varint(r);
    struct text will = get_text(r);
    if (delay_s > UINT32_MAX || will.bytes > SESSION_WILL_BYTES)
        r->failed = true;
    if (r->failed)
        return;
    session->will_delay_s = (uint32_t)delay_s;
    session->will_bytes = (uint8_t)will.bytes;
    memcpy(session->will, will.at, will.bytes);
}

/* False: it is no session of ours any more. Whoever was connected, or about to be missed, has some
 * time to come back first: it was us who were away. */
static bool load(struct sessions *s, struct session *session, struct byte_reader *r, int64_t t_ms)
{
    bool known = get_u8(r) == ROW_VERSION;
    uint32_t source = source_named(s->config, get_text(r));
    struct text id = get_text(r);
    uint64_t expiry_s = get_varint(r);
    bool away = get_bool(r);
    int64_t left_ms = get_zigzag(r);
    session->topics = get_u8(r);
    session->device_bytes = get_u8(r);
    load_will(session, r);
    if (!known || source == SESSIONS_NONE || r->failed || r->used != r->bytes || id.bytes == 0 ||
        id.bytes > SESSION_ID_BYTES || expiry_s > UINT32_MAX ||
        session->device_bytes > id.bytes)
        return false;
    const struct session_name name = { source, id, session->device_bytes };
    if (sessions_find(s, &name) != NULL)
        return false;
    session->state = SESSION_AWAY;
    session->source = (uint8_t)source;
    session->id_bytes = (uint8_t)id.bytes;
    memcpy(session->id, id.at, id.bytes);
    session->expiry_s = (uint32_t)expiry_s;
    session->left_ms = away && left_ms < t_ms ? left_ms : t_ms;
    session->gone_ms = session->has_will ? t_ms + BACK_MS : INT64_MAX;
    sessions_link(s, session);
    sessions_look_at(s, session_due_ms(session));
    return true;
}

struct loading {
    struct sessions *s;
    int64_t t_ms;
};

static void on_session(void *ctx, uint32_t number, struct text row)
{
    const struct loading *loading = ctx;
    struct sessions *s = loading->s;
    struct session *session = &s->table[number];
    struct byte_reader r = { (const uint8_t *)row.at, row.bytes, 0, false };
    session->stored = true;
    if (load(s, session, &r, loading->t_ms))
        return;
    session->wipe = true;
    session->ended = SESSIONS_OF_NOBODY;
    s->ended[SESSIONS_OF_NOBODY].waiting++;
    sessions_mark(s, session);
}

/* A session with more exchanges than there is room for is forgotten: it could not be told which of
 * its messages are here. */
static void on_exchange(void *ctx, uint32_t number, uint16_t packet_id, uint32_t mark)
{
    const struct loading *loading = ctx;
    struct sessions *s = loading->s;
    struct session *session = &s->table[number];
    if (session->state == SESSION_FREE)
        return;
    if (sessions_may_add(s, session, packet_id)) {
        sessions_add(s, session, packet_id, mark);
        return;
    }
    log_event("session_forgotten", "source=%s client=\"%s\" why=\"limits.exchanges is too low\"",
              s->config->sources[session->source].name,
              log_name(session->id, session->id_bytes).text);
    sessions_end(s, session);
}

int sessions_load(struct sessions *s, struct store *store, int64_t t_ms)
{
    struct loading loading = { s, t_ms };
    const struct session_visitor visitor = { &loading, on_session, on_exchange };
    int err = store_sessions_trim(store, s->config->sessions_max);
    if (err == 0)
        err = store_sessions_each(store, &visitor);
    s->free_session = SESSIONS_NONE;
    for (uint32_t i = s->config->sessions_max; i-- > 0;) {
        if (s->table[i].state != SESSION_FREE)
            continue;
        s->table[i].next = s->free_session;
        s->free_session = i;
    }
    return err;
}

/* --- towards the store --------------------------------------------------------------------------
 */

static void give(struct sessions *s, struct session *session, struct gateway *gateway)
{
    uint8_t bytes[STORE_SESSION_BYTES_MAX];
    struct session_change change = { SESSION_REMOVE, .session = sessions_number(s, session) };
    uint64_t block = gateway_block(gateway);
    if (session->wipe) {
        struct ended *ended = &s->ended[session->ended];
        session->number = gateway_on_session(gateway, session->source, &change);
        ended->waiting--;
        ended->block = block;
    }
    session->stored = session->stored && !session->wipe;
    session->wipe = false;
    if (session->state == SESSION_FREE)
        return;
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    save(s, session, &w);
    assert(!w.failed);
    change.kind = SESSION_PUT;
    change.row = (struct text){ (const char *)bytes, (uint32_t)w.used };
    session->number = gateway_on_session(gateway, session->source, &change);
    session->block = block;
    session->stored = true;
}

bool sessions_settled(const struct session *session, const struct gateway *gateway)
{
    return !session->dirty && session->block <= gateway_committed(gateway);
}

bool sessions_forgotten(const struct sessions *s, uint32_t source, struct text id,
                        const struct gateway *gateway)
{
    const struct ended *ended = &s->ended[sessions_ended_of(s, source, id)];
    return ended->waiting == 0 && ended->block <= gateway_committed(gateway);
}

void sessions_flush(struct sessions *s, struct session *session, struct gateway *gateway)
{
    while (session->dirty && gateway_may_take(gateway, s->table[s->dirty_first].source)) {
        struct session *first = &s->table[s->dirty_first];
        s->dirty_first = first->next_dirty;
        if (s->dirty_first == SESSIONS_NONE)
            s->dirty_last = SESSIONS_NONE;
        first->dirty = false;
        give(s, first, gateway);
    }
}

/* The device that is missed: the one that it showed to be, else its client id. */
static struct text device_of(const struct session *session)
{
    struct text device = { session->id, session->device_bytes };
    if (device.bytes == 0)
        device.bytes = session->id_bytes;
    if (device.bytes > READING_NAME_BYTES_MAX)
        device.bytes = READING_NAME_BYTES_MAX;
    return device;
}

/* In one commit with the row that says so. False: not now. */
static bool tell_will(struct sessions *s, struct session *session, struct gateway *gateway)
{
    if (gateway_on_gone(gateway, session->source, device_of(session),
                        (struct text){ session->will, session->will_bytes }) != 0)
        return false;
    s->counts.gone++;
    session->has_will = false;
    session->gone_ms = INT64_MAX;
    sessions_mark(s, session);
    return true;
}

void sessions_settle(struct sessions *s, struct session *session, struct gateway *gateway)
{
    if (session->gone_ms <= gateway_t_ms(gateway))
        (void)tell_will(s, session, gateway); /* else the device is back before it was missed */
}

static void attend(struct sessions *s, struct session *session, struct gateway *gateway)
{
    int64_t t_ms = gateway_t_ms(gateway);
    if (session->gone_ms <= t_ms && !tell_will(s, session, gateway)) {
        sessions_look_at(s, t_ms); /* in the next turn */
        return;
    }
    if (session->state == SESSION_ENDED) {
        sessions_release(s, session);
    } else if (session_due_ms(session) <= t_ms) {
        s->counts.expired += session->expiry_s > 0;
        sessions_end(s, session);
    } else {
        sessions_look_at(s, session_due_ms(session));
    }
}

static void attend_all(struct sessions *s, struct gateway *gateway)
{
    s->look_ms = INT64_MAX;
    for (uint32_t i = 0; i < s->config->sessions_max; i++)
        if (s->table[i].state == SESSION_AWAY || s->table[i].state == SESSION_ENDED)
            attend(s, &s->table[i], gateway);
}

void sessions_turn(struct sessions *s, struct gateway *gateway)
{
    if (gateway_t_ms(gateway) >= s->look_ms)
        attend_all(s, gateway);
    if (s->dirty_last != SESSIONS_NONE)
        sessions_flush(s, &s->table[s->dirty_last], gateway);
}
