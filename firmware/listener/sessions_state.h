/* sessions_state: what the files of sessions share. Nobody else includes this. */
#ifndef FIRMWARE_SESSIONS_STATE_H
#define FIRMWARE_SESSIONS_STATE_H

#include "firmware/listener/sessions.h"

#define SESSIONS_NONE UINT32_MAX

struct pooled { /* an exchange */
    uint32_t mark, next;
    uint16_t packet_id;
};

enum { SESSIONS_OF_NOBODY = 256 };

struct ended { /* sessions, by a hash of their ids */
    uint32_t waiting; /* not given to a commit yet */
    uint64_t block;   /* the last that was goes with this one */
};

struct sessions {
    const struct config *config;
    struct session *table; /* [sessions_max] */
    uint32_t *buckets;     /* [mask + 1], by source and device, or client id */
    uint32_t mask;
    struct pooled *pool; /* [exchanges_max] */
    uint32_t free_session, free_exchange;
    uint32_t dirty_first, dirty_last;
    struct ended ended[SESSIONS_OF_NOBODY + 1]; /* the last: which no client can name */
    int64_t look_ms; /* t: nothing is to be done about one that is away before */
    struct sessions_counts counts;
};

static inline struct text session_id(const struct session *session)
{
    return (struct text){ session->id, session->id_bytes };
}

static inline struct session_name session_name(const struct session *session)
{
    return (struct session_name){ session->source, session_id(session), session->device_bytes };
}

/* When there is something to do about a session that is away. */
static inline int64_t session_due_ms(const struct session *session)
{
    bool missed = session->gone_ms != INT64_MAX;
    return missed ? session->gone_ms : session->left_ms + session->expiry_s * INT64_C(1000);
}

static inline void sessions_look_at(struct sessions *s, int64_t at_ms)
{
    s->look_ms = at_ms < s->look_ms ? at_ms : s->look_ms;
}

uint32_t sessions_ended_of(const struct sessions *s, uint32_t source, struct text id); /* index */
void sessions_link(struct sessions *s, struct session *session);
void sessions_mark(struct sessions *s, struct session *session); /* for the next commit */
void sessions_release(struct sessions *s, struct session *session); /* its place is free */

#endif
