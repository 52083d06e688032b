/* listener_stage: the listener's connections and sessions on a stage: no socket, no gateway and no
 * store, but what they would do. Bytes go through buffers; what the gateway is given waits for
 * stage_commit; stage_kill forgets what waits, and starts anew from what was committed. One stage a
 * program, since the ports that it stands for carry no context. */
#ifndef TESTS_LIB_LISTENER_STAGE_H
#define TESTS_LIB_LISTENER_STAGE_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/listener/listener_state.h"
#include "firmware/log.h"

enum {
    STAGE_PLACES = 6,
    STAGE_PIPE_BYTES = 4096,
    STAGE_SESSIONS = 4,
    STAGE_EXCHANGES = 24,
    STAGE_VALUES = 2048,  /* messages have a payload of four digits below that, or are refused */
    STAGE_ROWS = 256,     /* of exchanges: more than can be open and wait to be over */
    STAGE_WAITING = 512
};

struct stage_pipe {
    uint8_t bytes[STAGE_PIPE_BYTES];
    uint32_t used;
    bool closed; /* by the one who reads it */
};

struct stage_waiting { /* for the commit */
    uint64_t number;
    int value; /* of a message; -1: of none */
    bool has_change;
    struct session_change change;
    char row[STORE_SESSION_BYTES_MAX];
};

struct stage_exchange {
    uint32_t session, mark;
    uint16_t packet_id;
};

struct stage {
    /* what a disk would hold */
    uint32_t stored[STAGE_VALUES]; /* how often each value is */
    uint32_t rejected, gone;
    struct text rows[STAGE_SESSIONS]; /* at == NULL: none */
    char row_bytes[STAGE_SESSIONS][STORE_SESSION_BYTES_MAX];
    struct stage_exchange exchanges[STAGE_ROWS];
    uint32_t exchange_count;
    /* and what waits for it */
    struct stage_waiting waiting[STAGE_WAITING];
    uint32_t waiting_count;
    uint64_t number, committed;
    bool takes, is_busy; /* busy: reads nothing */
    int64_t t_ms;
    /* the process */
    struct config config;
    struct listener listener;
    struct device devices[STAGE_PLACES];
    struct stage_pipe in[STAGE_PLACES], out[STAGE_PLACES]; /* as the listener sees them */
    void *memory;
    size_t memory_bytes;
};

static struct stage *stage;

/* --- in the place of transport, TLS and door ---------------------------------------------------- */

int32_t transport_read(const struct transport *t, uint8_t *to, uint32_t bytes)
{
    struct stage_pipe *in = &stage->in[t->fd];
    if (in->used == 0)
        return in->closed ? -1 : 0;
    bytes = bytes < in->used ? bytes : in->used;
    memcpy(to, in->bytes, bytes);
    in->used -= bytes;
    memmove(in->bytes, in->bytes + bytes, in->used);
    return (int32_t)bytes;
}

int32_t transport_write(const struct transport *t, const uint8_t *at, uint32_t bytes)
{
    struct stage_pipe *out = &stage->out[t->fd];
    uint32_t room = STAGE_PIPE_BYTES - out->used;
    if (out->closed)
        return -1;
    bytes = bytes < room ? bytes : room;
    memcpy(out->bytes + out->used, at, bytes);
    out->used += bytes;
    return (int32_t)bytes;
}

bool transport_pending(const struct transport *t)
{
    (void)t;
    return false;
}

bool transport_wants_write(const struct transport *t)
{
    (void)t;
    return false;
}

bool transport_waits_for_us(const struct transport *t)
{
    return stage->in[t->fd].used > 0;
}

bool transport_end(const struct transport *t)
{
    return !stage->out[t->fd].closed;
}

void transport_close(struct transport *t)
{
    stage->in[t->fd].closed = stage->out[t->fd].closed = true;
}

struct tls_session *tls_session(struct tls *tls, uint32_t index)
{
    (void)tls;
    (void)index;
    return NULL;
}

bool device_shake(struct listener *l, struct device *d)
{
    (void)l;
    (void)d;
    return true;
}

bool device_identify(struct listener *l, struct device *d, struct byte_writer *w)
{
    (void)l;
    (void)d;
    (void)w;
    return true;
}

bool device_hurry(struct listener *l, struct device *d)
{
    (void)l;
    (void)d;
    return true;
}

void device_enter(struct listener *l, struct device *d)
{
    (void)l;
    d->inside = true;
}

void device_failed(struct listener *l, struct device *d)
{
    (void)l;
    (void)d;
}

void listener_watch(struct listener *l, struct device *d, uint32_t interest)
{
    (void)l;
    d->interest = interest;
}

struct device *listener_find(struct listener *l, const struct device *but, struct text id)
{
    for (uint32_t i = 0; i < l->slots; i++) {
        struct device *d = &l->devices[i];
        if (d != but && d->connected && text_equal((struct text){ d->id, d->id_bytes }, id))
            return d;
    }
    return NULL;
}

struct log_name log_name(const char *at, size_t bytes)
{
    (void)at, (void)bytes;
    return (struct log_name){ "" };
}

void listener_log(struct listener *l, const struct device *d, const char *event, uint8_t reason,
                  const char *why)
{
    (void)l;
    (void)d;
    (void)event;
    (void)reason;
    (void)why;
}

void log_event(const char *event, const char *format, ...)
{
    (void)event;
    (void)format;
}

/* --- in the place of the gateway ---------------------------------------------------------------- */

static struct stage_waiting *stage_wait(void)
{
    assert(stage->waiting_count < STAGE_WAITING);
    struct stage_waiting *w = &stage->waiting[stage->waiting_count++];
    w->number = ++stage->number;
    w->value = -1;
    w->has_change = false;
    return w;
}

static void stage_keep(struct stage_waiting *w, const struct session_change *change)
{
    assert(change->session < STAGE_SESSIONS);
    w->has_change = true;
    w->change = *change;
    if (change->row.bytes > 0)
        memcpy(w->row, change->row.at, change->row.bytes);
}

bool gateway_may_take(const struct gateway *g, uint32_t source)
{
    (void)g;
    (void)source;
    return stage->takes && stage->waiting_count + 16 < STAGE_WAITING;
}

struct taken gateway_on_message(struct gateway *g, const struct message *message)
{
    assert(gateway_may_take(g, message->source));
    struct stage_waiting *w = stage_wait();
    struct taken taken = { .number = w->number, .reason = REJECT_JSON_SYNTAX };
    int value = 0;
    for (uint32_t i = 0; i < message->payload.bytes && i < 4; i++)
        value = value * 10 + (message->payload.at[i] - '0');
    if (message->payload.bytes == 4 && value >= 0 && value < STAGE_VALUES) {
        w->value = value;
        taken.reason = REJECT_NONE;
    }
    if (message->exchange == NULL)
        return taken;
    stage_keep(w, message->exchange);
    if (taken.reason != REJECT_NONE && !message->exchange_if_rejected)
        w->change.kind = EXCHANGE_REMOVE;
    return taken;
}

void gateway_expect(const struct gateway *g, uint32_t source, struct text topic)
{
    (void)g;
    (void)source;
    (void)topic;
}

bool gateway_looks_ahead(const struct gateway *g)
{
    (void)g;
    return stage->t_ms % 2 == 0; /* both ways are gone */
}

uint64_t gateway_on_session(struct gateway *g, uint32_t source, const struct session_change *change)
{
    (void)g;
    (void)source;
    struct stage_waiting *w = stage_wait();
    stage_keep(w, change);
    return w->number;
}

uint32_t gateway_receive_maximum(const struct gateway *g, uint32_t source)
{
    (void)g;
    (void)source;
    return stage->t_ms % 3 == 0 ? 2 : 8; /* pressure comes and goes */
}

uint64_t gateway_block(const struct gateway *g)
{
    (void)g;
    return stage->committed + 1;
}

uint64_t gateway_committed(const struct gateway *g)
{
    (void)g;
    return stage->committed;
}

int gateway_on_gone(struct gateway *g, uint32_t source, struct text device, struct text will)
{
    (void)device;
    (void)will;
    if (!gateway_may_take(g, source))
        return WEIR_EAGAIN;
    stage->gone++;
    return 0;
}

int64_t gateway_t_ms(const struct gateway *g)
{
    (void)g;
    return stage->t_ms;
}

int gateway_receipt_watch(struct gateway *g, struct text device)
{
    (void)g;
    (void)device;
    return WEIR_EFULL;
}

void gateway_receipt_unwatch(struct gateway *g, int receipt)
{
    (void)g;
    (void)receipt;
}

bool gateway_receipt(const struct gateway *g, int receipt, uint64_t *sequence)
{
    (void)g;
    (void)receipt;
    (void)sequence;
    return false;
}

/* --- in the place of the store ------------------------------------------------------------------ */

static void stage_remove_exchange(uint32_t session, int packet_id) /* -1: all of the session */
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < stage->exchange_count; i++) {
        const struct stage_exchange *e = &stage->exchanges[i];
        if (e->session != session || (packet_id >= 0 && e->packet_id != packet_id))
            stage->exchanges[kept++] = *e;
    }
    stage->exchange_count = kept;
}

static void stage_apply(const struct stage_waiting *w)
{
    const struct session_change *change = &w->change;
    if (w->value >= 0)
        stage->stored[w->value]++;
    if (!w->has_change)
        return;
    switch (change->kind) {
    case SESSION_PUT:
        memcpy(stage->row_bytes[change->session], w->row, change->row.bytes);
        stage->rows[change->session] =
            (struct text){ stage->row_bytes[change->session], change->row.bytes };
        break;
    case SESSION_REMOVE:
        stage->rows[change->session].at = NULL;
        stage_remove_exchange(change->session, -1);
        break;
    case EXCHANGE_PUT:
        assert(stage->rows[change->session].at != NULL); /* its session was there before it */
        stage_remove_exchange(change->session, change->packet_id);
        assert(stage->exchange_count < STAGE_ROWS);
        stage->exchanges[stage->exchange_count++] =
            (struct stage_exchange){ change->session, change->mark, change->packet_id };
        break;
    case EXCHANGE_REMOVE:
        stage_remove_exchange(change->session, change->packet_id);
        break;
    }
}

int store_sessions_each(struct store *store, const struct session_visitor *visitor)
{
    (void)store;
    for (uint32_t i = 0; i < STAGE_SESSIONS; i++)
        if (stage->rows[i].at != NULL)
            visitor->session(visitor->ctx, i, stage->rows[i]);
    for (uint32_t i = 0; i < stage->exchange_count; i++)
        visitor->exchange(visitor->ctx, stage->exchanges[i].session, stage->exchanges[i].packet_id,
                          stage->exchanges[i].mark);
    return 0;
}

int store_sessions_trim(struct store *store, uint32_t sessions_max)
{
    (void)store;
    (void)sessions_max;
    return 0;
}

/* --- what a test does --------------------------------------------------------------------------- */

static void stage_carve(struct arena *arena, bool measure)
{
    struct listener *l = &stage->listener;
    struct sessions *sessions = sessions_init(&stage->config, arena);
    l->config.sessions = measure ? NULL : sessions;
    l->gulp = arena_take(arena, l->in_bytes, 1);
    for (uint32_t i = 0; i < STAGE_PLACES; i++)
        device_init(l, measure ? NULL : &l->devices[i], arena);
}

/* A process begins, from what is committed. */
static void stage_start(void)
{
    struct listener *l = &stage->listener;
    *l = (struct listener){
        .config = { .source = &stage->config.sources[0], .payload_bytes_max = 512 },
        .offer = { .packet_bytes_max = 1024,
                   .connect_bytes_max = 1024,
                   .receive_maximum = 8,
                   .exchanges_max = 8,
                   .alias_maximum = 4,
                   .alias_bytes = 64,
                   .send_max = 1,
                   .keep_alive_max_s = 600,
                   .connect_within_ms = 10000,
                   .qos_max = 2,
                   .retain = true,
                   .wildcards = true,
                   .subscription_ids = true,
                   .shared = true },
        .slots = STAGE_PLACES,
        .devices = stage->devices,
        .in_bytes = 1024,
        .out_bytes = LISTENER_OUT_BYTES + 32,
        .now_ms = stage->t_ms,
    };
    struct arena arena = arena_measure();
    stage_carve(&arena, true);
    if (stage->memory == NULL) {
        stage->memory_bytes = arena.used;
        stage->memory = malloc(arena.used);
        assert(stage->memory != NULL);
    }
    memset(stage->memory, 0, stage->memory_bytes);
    arena = arena_over(stage->memory, stage->memory_bytes);
    stage_carve(&arena, false);
    stage->number = 0;
    stage->waiting_count = 0;
    stage->takes = true;
    int err = sessions_load(l->config.sessions, NULL, stage->t_ms);
    assert(err == 0);
}

static void stage_begin(void)
{
    stage = calloc(1, sizeof *stage);
    assert(stage != NULL);
    struct config *config = &stage->config;
    config->source_count = 1;
    config->sessions_max = STAGE_SESSIONS;
    config->exchanges_max = STAGE_EXCHANGES;
    (void)strcpy(config->sources[0].name, "devices");
    config->sources[0].kind = SOURCE_LISTENER;
    config->sources[0].anonymous = true;
    config->sources[0].connections_max = STAGE_PLACES - 1;
    config->sources[0].connections_of_one = STAGE_PLACES;
    config->sources[0].receive_maximum = 8;
    config->sources[0].session_expiry_s = 100000;
    stage_start();
}

static void stage_end(void)
{
    free(stage->memory);
    free(stage);
}

/* What the gateway's commit and the listener's turn do. */
static void stage_commit(void)
{
    struct listener *l = &stage->listener;
    for (uint32_t i = 0; i < stage->waiting_count; i++)
        stage_apply(&stage->waiting[i]);
    stage->waiting_count = 0;
    stage->committed++;
    l->acknowledged = stage->number;
    for (uint32_t i = 0; i < STAGE_PLACES; i++)
        if (l->devices[i].connected)
            device_acknowledge(l, &l->devices[i]);
}

static inline void stage_kill(void)
{
    for (uint32_t i = 0; i < STAGE_PLACES; i++) {
        stage->in[i].closed = stage->out[i].closed = true;
        stage->in[i].used = 0;
        stage->devices[i].state = DEVICE_FREE;
    }
    stage_start();
}

/* A new connection's place, or -1: none is free. */
static int stage_connect(void)
{
    struct listener *l = &stage->listener;
    for (int i = 0; i < STAGE_PLACES; i++) {
        if (l->devices[i].state != DEVICE_FREE)
            continue;
        stage->in[i] = stage->out[i] = (struct stage_pipe){ .used = 0 };
        device_open(l, &l->devices[i], i);
        return i;
    }
    return -1;
}

/* Whoever can be read is, what stalled is tried again, sessions are given to the gateway. */
static void stage_turn(void)
{
    struct listener *l = &stage->listener;
    l->now_ms = stage->t_ms;
    for (uint32_t i = 0; i < STAGE_PLACES; i++) {
        struct device *d = &l->devices[i];
        if (d->state == DEVICE_SERVED && d->stall == STALL_GATEWAY && stage->takes)
            device_retry(l, d);
        if (d->state == DEVICE_SERVED && d->stall == STALL_NONE && !stage->is_busy)
            device_read(l, d);
        if (d->state == DEVICE_ENDING && stage->in[i].closed)
            device_close(l, d);
        if (d->state != DEVICE_FREE)
            device_tick(l, d);
    }
    l->ticked_ms = l->now_ms;
    sessions_turn(l->config.sessions, NULL);
}

#endif
