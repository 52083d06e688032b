#include <assert.h>

#include "firmware/listener/sessions_state.h"
#include "pipeline/hash.h"

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
        .dirty_first = SESSIONS_NONE,
        .dirty_last = SESSIONS_NONE,
        .look_ms = INT64_MAX,
    };
    if (s == NULL)
        return NULL;
    memset(s->buckets, 0xff, buckets * sizeof s->buckets[0]);
    for (uint32_t i = 0; i < config->exchanges_max; i++)
        s->pool[i].next = i + 1 < config->exchanges_max ? i + 1 : SESSIONS_NONE;
    s->free_session = SESSIONS_NONE; /* until sessions_load, which knows which are taken */
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

static uint64_t hash_of(const struct sessions *s, uint32_t source, struct text text)
{
    struct hash_key key = s->config->engine.store; /* nobody outside knows it */
    key.k1 ^= source;
    return hash64(key, text.at, text.bytes);
}

/* All sessions of a device are in one: no more than it may have. */
static uint32_t *bucket_of(struct sessions *s, const struct session_name *name)
{
    uint32_t bytes = name->device_bytes > 0 ? name->device_bytes : name->id.bytes;
    const struct text what = { name->id.at, bytes };
    return &s->buckets[hash_of(s, name->source, what) & s->mask];
}

uint32_t sessions_ended_of(const struct sessions *s, uint32_t source, struct text id)
{
    return (uint32_t)(hash_of(s, source, id) >> 32) % SESSIONS_OF_NOBODY;
}

struct session *sessions_find(struct sessions *s, const struct session_name *name)
{
    for (uint32_t i = *bucket_of(s, name); i != SESSIONS_NONE; i = s->table[i].next)
        if (s->table[i].source == name->source && text_equal(session_id(&s->table[i]), name->id))
            return &s->table[i];
    return NULL;
}

void sessions_link(struct sessions *s, struct session *session)
{
    const struct session_name name = session_name(session);
    uint32_t *bucket = bucket_of(s, &name);
    session->next = *bucket;
    *bucket = sessions_number(s, session);
    s->counts.kept++;
}

static void unlink_from(struct sessions *s, struct session *session)
{
    const struct session_name name = session_name(session);
    uint32_t *at = bucket_of(s, &name);
    while (*at != sessions_number(s, session))
        at = &s->table[*at].next;
    *at = session->next;
    s->counts.kept--;
}

/* --- life ---------------------------------------------------------------------------------------
 */

void sessions_mark(struct sessions *s, struct session *session)
{
    if (session->dirty)
        return;
    uint32_t number = sessions_number(s, session);
    session->dirty = true;
    session->next_dirty = SESSIONS_NONE;
    if (s->dirty_last == SESSIONS_NONE)
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
            session->gone_ms == INT64_MAX && (found == NULL || session->left_ms < found->left_ms))
            found = session;
    }
    return found;
}

static bool is_of_device(const struct session *session, const struct session_name *name)
{
    return session->source == name->source && session->device_bytes == name->device_bytes &&
           memcmp(session->id, name->id.at, name->device_bytes) == 0;
}

/* Of a device that has as many as it may: the one of its that has been away for longest. */
static struct session *find_surplus(struct sessions *s, const struct session_name *name)
{
    struct session *found = NULL;
    uint32_t count = 0;
    if (name->device_bytes == 0)
        return NULL;
    for (uint32_t i = *bucket_of(s, name); i != SESSIONS_NONE; i = s->table[i].next) {
        struct session *session = &s->table[i];
        if (!is_of_device(session, name))
            continue;
        count++;
        if (session->state == SESSION_AWAY && (found == NULL || session->left_ms <= found->left_ms))
            found = session; /* of those that left at once, the first to come */
    }
    return count >= s->config->sources[name->source].connections_of_one ? found : NULL;
}

struct session *sessions_open(struct sessions *s, const struct session_name *name)
{
    assert(name->id.bytes > 0 && name->id.bytes <= SESSION_ID_BYTES);
    struct session *gives_way = find_surplus(s, name);
    if (gives_way == NULL && s->free_session == SESSIONS_NONE)
        gives_way = find_idle(s);
    if (gives_way != NULL) {
        s->counts.evicted++;
        sessions_end(s, gives_way);
    }
    if (s->free_session == SESSIONS_NONE)
        return NULL;
    struct session *session = &s->table[s->free_session];
    s->free_session = session->next;
    session->state = SESSION_HELD;
    session->number = 0;
    session->topics = 0;
    session->has_will = false;
    session->gone_ms = INT64_MAX;
    session->source = (uint8_t)name->source;
    session->id_bytes = (uint8_t)name->id.bytes;
    session->device_bytes = (uint8_t)name->device_bytes;
    memcpy(session->id, name->id.at, name->id.bytes);
    sessions_link(s, session);
    return session;
}

void sessions_hold(struct sessions *s, struct session *session, uint32_t expiry_s)
{
    session->state = SESSION_HELD;
    session->expiry_s = expiry_s;
    session->has_will = false;
    session->gone_ms = INT64_MAX;
    sessions_mark(s, session);
}

void sessions_will(struct sessions *s, struct session *session, const struct session_will *will)
{
    session->has_will = true;
    session->will_delay_s = will->delay_s;
    session->will_bytes = 0;
    for (uint32_t i = 0; i < will->payload.bytes && i < SESSION_WILL_BYTES; i++) {
        char c = will->payload.at[i];
        if (c < ' ' || c > '~' || c == '"')
            break;
        session->will[session->will_bytes++] = c;
    }
    sessions_mark(s, session);
}

void sessions_leave(struct sessions *s, struct session *session, int64_t t_ms, bool missed)
{
    uint32_t delay_s = session->will_delay_s;
    delay_s = delay_s < session->expiry_s ? delay_s : session->expiry_s;
    session->has_will = session->has_will && missed;
    session->gone_ms = session->has_will ? t_ms + delay_s * INT64_C(1000) : INT64_MAX;
    session->state = SESSION_AWAY;
    session->left_ms = t_ms;
    if (session->expiry_s == 0 && !session->has_will) {
        sessions_end(s, session);
        return;
    }
    sessions_look_at(s, session_due_ms(session));
    sessions_mark(s, session);
}

void sessions_subscribe(struct sessions *s, struct session *session, uint8_t topics)
{
    session->topics = topics;
    sessions_mark(s, session);
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
void sessions_release(struct sessions *s, struct session *session)
{
    uint32_t ended = sessions_ended_of(s, session->source, session_id(session));
    session->state = SESSION_FREE;
    session->next = s->free_session;
    s->free_session = sessions_number(s, session);
    if (!session->stored || session->wipe) { /* what is to be removed was another's */
        s->ended[ended].waiting--;
        return;
    }
    session->wipe = true;
    session->ended = (uint16_t)ended;
    sessions_mark(s, session);
}

/* With the session its will is due [5 MQTT-3.1.2-8]. */
void sessions_end(struct sessions *s, struct session *session)
{
    assert(session->state == SESSION_HELD || session->state == SESSION_AWAY);
    drop_exchanges(s, session);
    unlink_from(s, session);
    s->ended[sessions_ended_of(s, session->source, session_id(session))].waiting++;
    if (session->gone_ms == INT64_MAX) {
        sessions_release(s, session);
        return;
    }
    session->state = SESSION_ENDED;
    session->gone_ms = 0;
    sessions_look_at(s, 0);
}

/* --- exchanges ----------------------------------------------------------------------------------
 */

static struct pooled *find_exchange(const struct sessions *s, const struct session *session,
                                    uint16_t packet_id, uint32_t *before)
{
    uint32_t at = session->oldest;
    *before = SESSIONS_NONE;
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
    return s->free_exchange != SESSIONS_NONE ||
           find_exchange(s, session, packet_id, &before) != NULL;
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
    assert(at != SESSIONS_NONE);
    s->free_exchange = s->pool[at].next;
    s->pool[at] = (struct pooled){ .mark = mark, .next = SESSIONS_NONE, .packet_id = packet_id };
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
    if (before == SESSIONS_NONE)
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
