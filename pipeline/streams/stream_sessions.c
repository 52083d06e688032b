/* Session windows of one key: readings that are no more than `gap` apart, sorted by time. A session
 * goes by its bounds, so one that was told and then grows, or is joined to its neighbour, is taken
 * back under the old bounds and told under the new ones. */
#include <assert.h>

#include "pipeline/streams/streams_state.h"

static size_t session_bytes(const struct stream_plan *plan)
{
    return sizeof(struct session) + plan->state_bytes;
}

static size_t bytes_of(const struct stream_plan *plan)
{
    return sizeof(struct sessions) + plan->config->sessions_max * session_bytes(plan);
}

static void sessions_begin(const struct stream *s, struct entry *e)
{
    *entry_sessions(s, e) = (struct sessions){ .floor_ms = INT64_MIN };
}

static struct session *session_at(const struct stream_plan *plan, struct sessions *w, uint32_t i)
{
    return (struct session *)((uint8_t *)(w + 1) + i * session_bytes(plan));
}

static uint8_t *state_of(struct session *session)
{
    return (uint8_t *)(session + 1);
}

static int64_t end_of(const struct stream_plan *plan, const struct session *session)
{
    return session->last_ms + plan->config->gap_ms;
}

static void drop(const struct stream_plan *plan, struct sessions *w, uint32_t i)
{
    uint8_t *at = (uint8_t *)session_at(plan, w, i);
    memmove(at, at + session_bytes(plan), (w->count - i - 1) * session_bytes(plan));
    w->count--;
}

static struct stream_result result_of(const struct stream_plan *plan,
                                      const struct session *session)
{
    return (struct stream_result){
        .start_ms = session->first_ms, .end_ms = end_of(plan, session),
        .revision = session->revision, .first_block = session->first_block,
    };
}

static void tell(struct streams *all, struct stream *s, struct entry *e, struct session *session,
                 enum stream_result_kind kind)
{
    struct stream_result result = result_of(s->plan, session);
    result.kind = kind;
    result.forced = all->forced;
    session->revision++;
    session->closed |= kind == STREAM_CLOSE;
    session->changed = false;
    s->counts.forced += all->forced;
    stream_tell(all, s, e, &result, state_of(session));
}

static void tell_forced(struct streams *all, struct stream *s, struct entry *e,
                        struct session *session)
{
    all->forced = true;
    tell(all, s, e, session, STREAM_CLOSE);
    all->forced = false;
}

static void retract(struct streams *all, struct stream *s, struct entry *e,
                    struct session *session)
{
    session->closed = false;
    if (session->revision == 0)
        return;
    struct stream_result result = result_of(s->plan, session);
    result.kind = STREAM_RETRACTION;
    session->revision = 0;
    stream_tell(all, s, e, &result, NULL);
}

/* --- the watermark --- */

static int64_t firing_ms(const struct stream_plan *plan, const struct entry *e)
{
    return e->watermark_ms - (plan->config->final_only ? plan->config->lateness_ms : 0);
}

static void sessions_advance(struct streams *all, struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    struct sessions *w = entry_sessions(s, e);
    for (uint32_t i = 0; i < w->count; i++) {
        struct session *session = session_at(plan, w, i);
        if (!session->closed && end_of(plan, session) <= firing_ms(plan, e))
            tell(all, s, e, session, STREAM_CLOSE);
    }
    for (uint32_t i = w->count; i > 0; i--) {
        int64_t end_ms = end_of(plan, session_at(plan, w, i - 1));
        if (end_ms + plan->config->lateness_ms <= e->watermark_ms)
            drop(plan, w, i - 1);
    }
}

static void sessions_flush(struct streams *all, struct stream *s, struct entry *e)
{
    struct sessions *w = entry_sessions(s, e);
    for (uint32_t i = 0; i < w->count; i++)
        if (!session_at(s->plan, w, i)->closed)
            tell_forced(all, s, e, session_at(s->plan, w, i));
}

static void sessions_early(struct streams *all, struct stream *s, struct entry *e)
{
    struct sessions *w = entry_sessions(s, e);
    for (uint32_t i = 0; i < w->count; i++) {
        struct session *session = session_at(s->plan, w, i);
        if (!session->closed && session->changed)
            tell(all, s, e, session, STREAM_EARLY);
    }
}

/* The watermark at which the first or the last of the open sessions is told; INT64_MIN: none is. */
static int64_t told_at(const struct stream *s, struct entry *e, bool last)
{
    const struct stream_plan *plan = s->plan;
    struct sessions *w = entry_sessions(s, e);
    int64_t told_ms = INT64_MIN;
    for (uint32_t i = 0; i < w->count; i++) {
        const struct session *session = session_at(plan, w, i);
        int64_t end_ms = end_of(plan, session);
        if (!session->closed && (told_ms == INT64_MIN || (end_ms > told_ms) == last))
            told_ms = end_ms;
    }
    if (told_ms == INT64_MIN)
        return INT64_MIN;
    return told_ms + (plan->config->final_only ? plan->config->lateness_ms : 0);
}

static int64_t sessions_idle_ms(const struct stream *s, struct entry *e)
{
    return told_at(s, e, true);
}

static int64_t sessions_next_ms(const struct stream *s, struct entry *e)
{
    return told_at(s, e, false);
}

/* --- a reading --- */

/* Whether what begins and ends then may become one session with this one. */
static bool joins(const struct stream_plan *plan, const struct session *session, int64_t first_ms,
                  int64_t last_ms)
{
    int64_t first = session->first_ms < first_ms ? session->first_ms : first_ms;
    int64_t last = session->last_ms > last_ms ? session->last_ms : last_ms;
    bool near = first_ms < end_of(plan, session) &&
                session->first_ms < last_ms + plan->config->gap_ms;
    return near && (plan->config->length_max_ms == 0 ||
                    last - first <= plan->config->length_max_ms);
}

/* Place for a session that begins then. When all are taken the oldest is told early and closed. */
static struct session *insert(struct streams *all, struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    struct sessions *w = entry_sessions(s, e);
    if (w->count == plan->config->sessions_max) {
        struct session *oldest = session_at(plan, w, 0);
        if (all->event_ms < oldest->first_ms)
            return NULL;
        if (!oldest->closed)
            tell_forced(all, s, e, oldest);
        w->floor_ms = oldest->last_ms + 1;
        drop(plan, w, 0);
    }
    uint32_t at = w->count++;
    for (; at > 0 && session_at(plan, w, at - 1)->first_ms > all->event_ms; at--)
        memcpy(session_at(plan, w, at), session_at(plan, w, at - 1), session_bytes(plan));
    struct session *session = session_at(plan, w, at);
    memset(session, 0, session_bytes(plan));
    session->first_ms = session->last_ms = all->event_ms;
    session->first_block = all->moment.block;
    return session;
}

static void join_next(const struct stream_plan *plan, struct sessions *w, uint32_t i)
{
    struct session *into = session_at(plan, w, i), *from = session_at(plan, w, i + 1);
    into->last_ms = from->last_ms > into->last_ms ? from->last_ms : into->last_ms;
    into->first_block = from->first_block < into->first_block ? from->first_block
                                                              : into->first_block;
    for (uint32_t a = 0; a < plan->accumulator_count; a++)
        accumulator_merge(&plan->accumulators[a].accumulator,
                          state_of(into) + plan->accumulators[a].offset,
                          state_of(from) + plan->accumulators[a].offset);
    drop(plan, w, i + 1);
}

/* The first session that the reading joins; w->count: none. */
static uint32_t find(const struct stream_plan *plan, struct sessions *w, int64_t event_ms)
{
    uint32_t i = 0;
    while (i < w->count && !joins(plan, session_at(plan, w, i), event_ms, event_ms))
        i++;
    return i;
}

/* Into the session found; with its neighbour they become one, where the reading closes the gap. */
static struct session *extend(struct streams *all, struct stream *s, struct entry *e, uint32_t i)
{
    const struct stream_plan *plan = s->plan;
    struct sessions *w = entry_sessions(s, e);
    struct session *session = session_at(plan, w, i);
    int64_t first_ms = all->event_ms < session->first_ms ? all->event_ms : session->first_ms;
    int64_t last_ms = all->event_ms > session->last_ms ? all->event_ms : session->last_ms;
    bool next = i + 1 < w->count && joins(plan, session_at(plan, w, i + 1), first_ms, last_ms);
    if (next || first_ms != session->first_ms || last_ms != session->last_ms)
        retract(all, s, e, session);
    if (next)
        retract(all, s, e, session_at(plan, w, i + 1));
    session->first_ms = first_ms;
    session->last_ms = last_ms;
    stream_add(all, plan, state_of(session));
    if (next)
        join_next(plan, w, i);
    return session;
}

static void sessions_push(struct streams *all, struct stream *s, struct entry *e)
{
    const struct stream_plan *plan = s->plan;
    struct sessions *w = entry_sessions(s, e);
    uint32_t i = find(plan, w, all->event_ms);
    int64_t own_end_ms = all->event_ms + plan->config->gap_ms;
    bool closed = own_end_ms + plan->config->lateness_ms <= e->watermark_ms;
    struct session *session = NULL;
    stream_note_delay(s, e->watermark_ms - own_end_ms + 1);
    if (i < w->count) {
        session = extend(all, s, e, i);
    } else if (!closed && all->event_ms >= w->floor_ms) {
        session = insert(all, s, e);
        if (session != NULL)
            stream_add(all, plan, state_of(session));
    }
    if (session == NULL) {
        struct stream_late late = { .start_ms = all->event_ms, .end_ms = own_end_ms, .windows = 1 };
        s->counts.late++;
        stream_tell_late(all, s, e, &late);
        return;
    }
    session->changed = true;
    if (end_of(plan, session) <= firing_ms(plan, e))
        tell(all, s, e, session, session->closed ? STREAM_REVISION : STREAM_CLOSE);
    if (plan->judges_readings) {
        struct stream_result result = result_of(plan, session);
        stream_judge_reading(all, s, e, &result, state_of(session));
    }
}

/* --- keeping --- */

static void sessions_save(const struct stream *s, struct entry *e, struct byte_writer *w)
{
    const struct stream_plan *plan = s->plan;
    struct sessions *sessions = entry_sessions(s, e);
    put_u32(w, sessions->count);
    put_i64(w, sessions->floor_ms);
    for (uint32_t i = 0; i < sessions->count; i++) {
        struct session *session = session_at(plan, sessions, i);
        put_i64(w, session->first_ms);
        put_i64(w, session->last_ms);
        put_u64(w, session->first_block);
        put_u32(w, session->revision);
        put_bool(w, session->closed);
        put_bool(w, session->changed);
        for (uint32_t a = 0; a < plan->accumulator_count; a++)
            accumulator_save(plan->accumulators[a].accumulator.kind,
                             state_of(session) + plan->accumulators[a].offset, w);
    }
}

static void sessions_load(const struct stream *s, struct entry *e, struct byte_reader *r)
{
    const struct stream_plan *plan = s->plan;
    struct sessions *sessions = entry_sessions(s, e);
    uint32_t count = get_u32(r);
    sessions->floor_ms = get_i64(r);
    if (count > plan->config->sessions_max)
        r->failed = true;
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        struct session *session = session_at(plan, sessions, i);
        memset(session, 0, session_bytes(plan));
        session->first_ms = get_time(r);
        session->last_ms = get_time(r);
        session->first_block = get_u64(r);
        session->revision = get_u32(r);
        session->closed = get_bool(r);
        session->changed = get_bool(r);
        for (uint32_t a = 0; a < plan->accumulator_count; a++)
            accumulator_load(plan->accumulators[a].accumulator.kind,
                             state_of(session) + plan->accumulators[a].offset, r);
        bool ordered = i == 0 || session_at(plan, sessions, i - 1)->first_ms <= session->first_ms;
        if (!ordered || session->last_ms < session->first_ms)
            r->failed = true;
    }
    sessions->count = r->failed ? 0 : count;
}

const struct window_ops stream_sessions = {
    bytes_of, sessions_begin, sessions_advance, sessions_push, sessions_idle_ms, sessions_next_ms,
    sessions_early, sessions_flush, sessions_save, sessions_load,
};
