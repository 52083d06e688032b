/* sessions: what is kept for devices between their connections, of all listeners: that a session
 * exists, until when, its QoS 2 exchanges that are not over, its subscriptions, and its will, which
 * becomes an event of ours when the device goes without a word. All of it is in memory; what
 * changes is a row in the next commit, and what an acknowledgement says waits for that.
 *
 * Only sessions that outlive their connection, or have a will, are here. Time is pipeline time,
 * which stands still while the gateway is down: nothing expires in a night without power. */
#ifndef FIRMWARE_SESSIONS_H
#define FIRMWARE_SESSIONS_H

#include "firmware/gateway/gateway.h"

/* Of a client id, behind the name of its device and a "/". */
enum { SESSION_ID_BYTES = READING_NAME_BYTES_MAX + 1 + 64 };

enum { SESSION_WILL_BYTES = 128 }; /* of its payload; the rest is not told */

enum session_state {
    SESSION_FREE,
    SESSION_HELD, /* by a connection */
    SESSION_AWAY,
    SESSION_ENDED /* but its will is not told yet */
};

enum session_topics { /* subscribed to; bits */
    SESSION_RECEIPTS = 1,
    SESSION_COMMANDS = 2,
    SESSION_COMMANDS_QOS_1 = 4 /* and may be sent so */
};

struct session {
    enum session_state state;
    bool stored;      /* the store has a row of it, or will with a commit under way */
    bool wipe, dirty; /* for the next commit: remove what was here before; write the row */
    uint16_t ended;   /* with `wipe`: in sessions.ended, by what is to be removed */
    uint8_t source, id_bytes, device_bytes /* of the id, where it names one */, topics;
    uint32_t expiry_s;
    int64_t left_ms;  /* t, when its connection ended; AWAY */
    bool has_will;
    uint8_t will_bytes;
    uint32_t will_delay_s;
    int64_t gone_ms;  /* t, when its will is told; INT64_MAX: not, as it is now */
    uint64_t number;  /* the gateway's, of its last change */
    uint64_t block;   /* gateway_block() when its row was last given */
    uint32_t next, next_dirty;
    uint32_t oldest, newest; /* exchange; only with exchange_count > 0 */
    uint32_t exchange_count;
    char id[SESSION_ID_BYTES];
    char will[SESSION_WILL_BYTES];
};

struct sessions; /* opaque */

/* NULL while the arena only measures. */
struct sessions *sessions_init(const struct config *config, struct arena *arena);

/* From the store, before any job; `t_ms` as recovered. What no source or limit has room for any
 * more is forgotten. The store's errors. */
int sessions_load(struct sessions *s, struct store *store, int64_t t_ms);

struct session_name {
    uint32_t source;
    struct text id;
    uint32_t device_bytes; /* of the id, that name who it showed to be; 0: nobody */
};

/* NULL: there is none. O(1), or the sessions of the one device. */
struct session *sessions_find(struct sessions *s, const struct session_name *name);

/* A new one, HELD. A device has no more than connections_per_device: with a new client id each time
 * it would drive out everybody else's. So one of its own gives way, the one away for longest. Where
 * there is no room at all, that of anybody without an open exchange does; NULL: there is none. */
struct session *sessions_open(struct sessions *s, const struct session_name *name);

/* A will that had to be told by now is told first, if that can be; another one is dropped. */
void sessions_hold(struct sessions *s, struct session *session, uint32_t expiry_s);
struct session_will {
    uint32_t delay_s;
    struct text payload; /* kept as far as it is printable ASCII */
};
void sessions_will(struct sessions *s, struct session *session, const struct session_will *will);
/* Its connection is gone: it is kept for expiry_s, or ends. `missed`: without a word. */
void sessions_leave(struct sessions *s, struct session *session, int64_t t_ms, bool missed);
/* Tell a will that is due. */
void sessions_settle(struct sessions *s, struct session *session, struct gateway *gateway);
void sessions_subscribe(struct sessions *s, struct session *session, uint8_t topics);
void sessions_end(struct sessions *s, struct session *session);

/* --- QoS 2 exchanges: in memory; the row goes with gateway_on_message or gateway_on_session --- */

bool sessions_may_add(const struct sessions *s, const struct session *session, uint16_t packet_id);
void sessions_add(struct sessions *s, struct session *session, uint16_t packet_id, uint32_t mark);
/* False: there was none. */
bool sessions_remove(struct sessions *s, struct session *session, uint16_t packet_id);

struct exchange {
    uint16_t packet_id;
    uint32_t mark;
};
/* The next one, oldest first; *cursor begins at 0. False: no more. */
bool sessions_exchange(const struct sessions *s, const struct session *session, uint32_t *cursor,
                       struct exchange *exchange);

uint32_t sessions_number(const struct sessions *s, const struct session *session); /* of its rows */

/* --- towards the store --- */

/* Whether the store has it as it is. */
bool sessions_settled(const struct session *session, const struct gateway *gateway);
/* Whether the store has nothing any more of those with this id that ended: else a kill would bring
 * one back. Rarely false for another's sake. O(1). */
bool sessions_forgotten(const struct sessions *s, uint32_t source, struct text id,
                        const struct gateway *gateway);

/* Give what changed of one, or of all, to the gateway, as far as that takes it. */
void sessions_flush(struct sessions *s, struct session *session, struct gateway *gateway);
void sessions_turn(struct sessions *s, struct gateway *gateway);

struct sessions_counts {
    uint32_t kept;      /* sessions */
    uint32_t exchanges; /* in them, not over */
    uint64_t expired, evicted, gone; /* since the start */
};
struct sessions_counts sessions_counts(const struct sessions *s);

#endif
