#include "firmware/listener/sessions.h"

#include <assert.h>

#include "firmware/log.h"
#include "pipeline/bytes.h"
#include "pipeline/err.h"
#include "pipeline/hash.h"

enum { ROW_VERSION = 2 };

static const uint32_t NONE = UINT32_MAX;

struct pooled { /* an exchange */
    uint32_t mark, next;
    uint16_t packet_id;
};

struct sessions {
    const struct config *config;
    struct session *table; /* [sessions_max] */
    uint32_t *buckets;     /* [mask + 1], by source and client id */
    uint32_t mask;
    struct pooled *pool; /* [exchanges_max] */
    uint32_t free_session, free_exchange;
    uint32_t dirty_first, dirty_last;
    int64_t look_ms; /* t: none expires before */
    struct sessions_counts counts;
};

struct sessions *sessions_init(const struct config *config, struct arena *arena)
{
    struct sessions *s = arena_take(arena, 1, sizeof *s);
    struct sessions measured, *to = s != NULL ? s : &measured;
    uint32_t buckets = 1;
    while (buckets < config->sessions_max)
        buckets *= 2;
    *to = (struct sessions){
        .config = config,
        .table = arena_take(arena, config->sessions_max, sizeof to->table[0]),
        .buckets = arena_take(arena, buckets, sizeof to->buckets[0]),
        .mask = buckets - 1,
        .pool = arena_take(arena, config->exchanges_max, sizeof to->pool[0]),
        .dirty_first = NONE,
        .dirty_last = NONE,
        .look_ms = INT64_MAX,
    };
    if (s == NULL)
        return NULL;
    memset(s->buckets, 0xff, buckets * sizeof s->buckets[0]);
    for (uint32_t i = 0; i < config->exchanges_max; i++)
        s->pool[i].next = i + 1 < config->exchanges_max ? i + 1 : NONE;
    s->free_session = NONE; /* until sessions_load, which knows which are taken */
    return s;
}

uint32_t sessions_number(const struct sessions *s, const struct session *session)
{
    return (uint32_t)(session - s->table);
}

struct sessions_counts sessions_counts(const struct sessions *s)
{
    return s->counts;
}

/* --- by client id -------------------------------------------------------------------------------
 */

static uint32_t *bucket_of(struct sessions *s, uint32_t source, struct text id)
{
    struct hash_key key = s->config->engine.store; /* nobody outside knows it */
    key.k1 ^= source;
    return &s->buckets[hash64(key, id.at, id.bytes) & s->mask];
}

static struct text id_of(const struct session *session)
{
    return (struct text){ session->id, session->id_bytes };
}

struct session *sessions_find(struct sessions *s, uint32_t source, struct text id)
{
    for (uint32_t i = *bucket_of(s, source, id); i != NONE; i = s->table[i].next)
        if (s->table[i].source == source && text_equal(id_of(&s->table[i]), id))
            return &s->table[i];
    return NULL;
}

static void link_in(struct sessions *s, struct session *session)
{
    uint32_t *bucket = bucket_of(s, session->source, id_of(session));
    session->next = *bucket;
    *bucket = sessions_number(s, session);
    s->counts.kept++;
}

static void unlink_from(struct sessions *s, struct session *session)
{
    uint32_t *at = bucket_of(s, session->source, id_of(session));
    while (*at != sessions_number(s, session))
        at = &s->table[*at].next;
    *at = session->next;
    s->counts.kept--;
}

/* --- life ---------------------------------------------------------------------------------------
 */

static void mark_dirty(struct sessions *s, struct session *session)
{
    if (session->dirty)
        return;
    uint32_t number = sessions_number(s, session);
    session->dirty = true;
    session->next_dirty = NONE;
    if (s->dirty_last == NONE)
        s->dirty_first = number;
    else
        s->table[s->dirty_last].next_dirty = number;
    s->dirty_last = number;
}

/* The one that has been away for longest and waits for nothing. */
static struct session *find_idle(struct sessions *s)
{
    struct session *found = NULL;
    for (uint32_t i = 0; i < s->config->sessions_max; i++) {
        struct session *session = &s->table[i];
        if (session->state == SESSION_AWAY && session->exchange_count == 0 &&
            (found == NULL || session->left_ms < found->left_ms))
            found = session;
    }
    return found;
}

struct session *sessions_open(struct sessions *s, uint32_t source, struct text id)
{
    assert(id.bytes > 0 && id.bytes <= SESSION_ID_BYTES);
    struct session *idle = s->free_session == NONE ? find_idle(s) : NULL;
    if (idle != NULL) {
        s->counts.evicted++;
        sessions_end(s, idle);
    }
    if (s->free_session == NONE)
        return NULL;
    struct session *session = &s->table[s->free_session];
    s->free_session = session->next;
    session->state = SESSION_HELD;
    session->number = 0;
    session->topics = 0;
    session->source = (uint8_t)source;
    session->id_bytes = (uint8_t)id.bytes;
    memcpy(session->id, id.at, id.bytes);
    link_in(s, session);
    return session;
}

void sessions_hold(struct sessions *s, struct session *session, uint32_t expiry_s)
{
    session->state = SESSION_HELD;
    session->expiry_s = expiry_s;
    mark_dirty(s, session);
}

static int64_t end_ms(const struct session *session)
{
    return session->left_ms + session->expiry_s * INT64_C(1000);
}

void sessions_leave(struct sessions *s, struct session *session, int64_t t_ms)
{
    if (session->expiry_s == 0) {
        sessions_end(s, session);
        return;
    }
    session->state = SESSION_AWAY;
    session->left_ms = t_ms;
    if (end_ms(session) < s->look_ms)
        s->look_ms = end_ms(session);
    mark_dirty(s, session);
}

void sessions_subscribe(struct sessions *s, struct session *session, uint8_t topics)
{
    session->topics = topics;
    mark_dirty(s, session);
}

static void drop_exchanges(struct sessions *s, struct session *session)
{
    if (session->exchange_count == 0)
        return;
    s->pool[session->newest].next = s->free_exchange;
    s->free_exchange = session->oldest;
    s->counts.exchanges -= session->exchange_count;
    session->exchange_count = 0;
}

/* Its rows go before the place's next session has any. */
void sessions_end(struct sessions *s, struct session *session)
{
    assert(session->state != SESSION_FREE);
    drop_exchanges(s, session);
    unlink_from(s, session);
    session->state = SESSION_FREE;
    session->next = s->free_session;
    s->free_session = sessions_number(s, session);
    if (!session->stored)
        return;
    session->wipe = true;
    mark_dirty(s, session);
}

/* --- exchanges ----------------------------------------------------------------------------------
 */

static struct pooled *find_exchange(const struct sessions *s, const struct session *session,
                                    uint16_t packet_id, uint32_t *before)
{
    uint32_t at = session->oldest;
    *before = NONE;
    for (uint32_t i = 0; i < session->exchange_count; i++) {
        if (s->pool[at].packet_id == packet_id)
            return &s->pool[at];
        *before = at;
        at = s->pool[at].next;
    }
    return NULL;
}

bool sessions_may_add(const struct sessions *s, const struct session *session, uint16_t packet_id)
{
    uint32_t before;
    return s->free_exchange != NONE || find_exchange(s, session, packet_id, &before) != NULL;
}

void sessions_add(struct sessions *s, struct session *session, uint16_t packet_id, uint32_t mark)
{
    uint32_t before;
    struct pooled *known = find_exchange(s, session, packet_id, &before);
    if (known != NULL) {
        known->mark = mark;
        return;
    }
    uint32_t at = s->free_exchange;
    assert(at != NONE);
    s->free_exchange = s->pool[at].next;
    s->pool[at] = (struct pooled){ .mark = mark, .next = NONE, .packet_id = packet_id };
    if (session->exchange_count == 0)
        session->oldest = at;
    else
        s->pool[session->newest].next = at;
    session->newest = at;
    session->exchange_count++;
    s->counts.exchanges++;
}

bool sessions_remove(struct sessions *s, struct session *session, uint16_t packet_id)
{
    uint32_t before;
    struct pooled *found = find_exchange(s, session, packet_id, &before);
    if (found == NULL)
        return false;
    uint32_t at = (uint32_t)(found - s->pool);
    if (before == NONE)
        session->oldest = found->next;
    else
        s->pool[before].next = found->next;
    if (session->newest == at)
        session->newest = before;
    found->next = s->free_exchange;
    s->free_exchange = at;
    session->exchange_count--;
    s->counts.exchanges--;
    return true;
}

bool sessions_exchange(const struct sessions *s, const struct session *session, uint32_t *cursor,
                       struct exchange *exchange)
{
    if (*cursor == session->exchange_count)
        return false;
    uint32_t at = session->oldest;
    for (uint32_t i = 0; i < *cursor; i++)
        at = s->pool[at].next;
    ++*cursor;
    *exchange = (struct exchange){ s->pool[at].packet_id, s->pool[at].mark };
    return true;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static void save(const struct sessions *s, const struct session *session, struct byte_writer *w)
{
    put_u8(w, ROW_VERSION);
    put_text(w, text_of(s->config->sources[session->source].name));
    put_text(w, id_of(session));
    put_varint(w, session->expiry_s);
    put_bool(w, session->state == SESSION_AWAY);
    put_zigzag(w, session->left_ms);
    put_u8(w, session->topics);
}

static uint32_t source_named(const struct config *config, struct text name)
{
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == SOURCE_LISTENER &&
            text_equal(text_of(config->sources[i].name), name))
            return i;
    return NONE;
}

/* False: it is no session of ours any more. */
static bool load(struct sessions *s, struct session *session, struct byte_reader *r, int64_t t_ms)
{
    bool known = get_u8(r) == ROW_VERSION;
    uint32_t source = source_named(s->config, get_text(r));
    struct text id = get_text(r);
    uint64_t expiry_s = get_varint(r);
    bool away = get_bool(r);
    int64_t left_ms = get_zigzag(r);
    uint8_t topics = get_u8(r);
    if (!known || source == NONE || r->failed || r->used != r->bytes || id.bytes == 0 ||
        id.bytes > SESSION_ID_BYTES || expiry_s > UINT32_MAX ||
        sessions_find(s, source, id) != NULL)
        return false;
    session->state = SESSION_AWAY;
    session->source = (uint8_t)source;
    session->id_bytes = (uint8_t)id.bytes;
    memcpy(session->id, id.at, id.bytes);
    session->expiry_s = (uint32_t)expiry_s;
    session->topics = topics;
    session->left_ms = away && left_ms < t_ms ? left_ms : t_ms;
    link_in(s, session);
    if (end_ms(session) < s->look_ms)
        s->look_ms = end_ms(session);
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
    mark_dirty(s, session);
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
    log_event("session_forgotten", "source=%s client=\"%.*s\" why=\"limits.exchanges is too low\"",
              s->config->sources[session->source].name, (int)session->id_bytes, session->id);
    sessions_end(s, session);
}

int sessions_load(struct sessions *s, struct store *store, int64_t t_ms)
{
    struct loading loading = { s, t_ms };
    const struct session_visitor visitor = { &loading, on_session, on_exchange };
    int err = store_sessions_trim(store, s->config->sessions_max);
    if (err == 0)
        err = store_sessions_each(store, &visitor);
    s->free_session = NONE;
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
    if (session->wipe)
        session->number = gateway_on_session(gateway, session->source, &change);
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
    session->stored = true;
}

void sessions_flush(struct sessions *s, struct session *session, struct gateway *gateway)
{
    while (session->dirty && gateway_may_take(gateway, s->table[s->dirty_first].source)) {
        struct session *first = &s->table[s->dirty_first];
        s->dirty_first = first->next_dirty;
        if (s->dirty_first == NONE)
            s->dirty_last = NONE;
        first->dirty = false;
        give(s, first, gateway);
    }
}

static void expire(struct sessions *s, int64_t t_ms)
{
    s->look_ms = INT64_MAX;
    for (uint32_t i = 0; i < s->config->sessions_max; i++) {
        struct session *session = &s->table[i];
        if (session->state != SESSION_AWAY)
            continue;
        if (end_ms(session) <= t_ms) {
            s->counts.expired++;
            sessions_end(s, session);
        } else if (end_ms(session) < s->look_ms) {
            s->look_ms = end_ms(session);
        }
    }
}

void sessions_turn(struct sessions *s, struct gateway *gateway)
{
    int64_t t_ms = gateway_t_ms(gateway);
    if (t_ms >= s->look_ms)
        expire(s, t_ms);
    if (s->dirty_last != NONE)
        sessions_flush(s, &s->table[s->dirty_last], gateway);
}
