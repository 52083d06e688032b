/* mqtt_talk: one MQTT connection and what a test says to it, in the notation of mqtt_bytes.h. */
#ifndef TESTS_LIB_MQTT_TALK_H
#define TESTS_LIB_MQTT_TALK_H

#include "pipeline/err.h"
#include "pipeline/mqtt/connection.h"
#include "tests/lib/check.h"
#include "tests/lib/mqtt_bytes.h"

struct talk {
    struct mqtt_connection *c;
    void *memory;
    uint8_t out[4096];
    struct byte_writer w;
    struct mqtt_event event;  /* of the last packet */
    uint8_t *said;            /* which its texts point into */
    int64_t now_ms;
};

static inline void talk_begin(struct talk *t, const struct mqtt_offer *offer)
{
    struct arena arena = arena_measure();
    (void)mqtt_connection_init(offer, &arena);
    *t = (struct talk){ .memory = calloc(1, arena.used) };
    assert_non_null(t->memory);
    arena = arena_over(t->memory, arena.used);
    t->c = mqtt_connection_init(offer, &arena);
    t->w = (struct byte_writer){ .at = t->out, .bytes = sizeof t->out };
    mqtt_connection_open(t->c, t->now_ms);
}

static inline void talk_end(struct talk *t)
{
    free(t->said);
    free(t->memory);
}

/* What the server wrote since it was last asked is exactly this. */
static inline void talk_hears(struct talk *t, const char *notation)
{
    size_t bytes;
    uint8_t *want = mqtt_noted(notation, &bytes);
    if (t->w.used != bytes || memcmp(t->out, want, bytes) != 0) {
        fprintf(stderr, "wrote:");
        for (size_t i = 0; i < t->w.used; i++)
            fprintf(stderr, " %02x", t->out[i]);
        fail_msg("\nwanted: %s", notation);
    }
    free(want);
    t->w.used = 0;
}

/* Say one or more packets, of which all but the last must be taken; what the last one got. */
static inline int talk_says(struct talk *t, const char *notation)
{
    size_t bytes;
    free(t->said);
    t->said = mqtt_noted(notation, &bytes);
    for (size_t at = 0;;) {
        struct mqtt_input in = { t->said + at, bytes - at, t->now_ms };
        int used = mqtt_connection_read(t->c, &in, &t->w, &t->event);
        at += used > 0 ? (size_t)used : 0;
        if (at == bytes || used <= 0)
            return used;
    }
}

/* Say a packet that makes this of it. */
static inline void talk_gets(struct talk *t, const char *notation, enum mqtt_event_kind kind)
{
    int used = talk_says(t, notation);
    if (used <= 0 || t->event.kind != kind || t->event.fault != MQTT_FAULT_NONE)
        fail_msg("%s: %d, event %u, fault %u (%s)", notation, used, t->event.kind, t->event.fault,
                 mqtt_fault_view(t->event.fault, t->c->peer.version).why);
}

/* Say a packet that breaks a rule. */
static inline void talk_breaks(struct talk *t, const char *notation, enum mqtt_fault fault)
{
    int used = talk_says(t, notation);
    if (used != WEIR_EINVAL || t->event.kind != MQTT_EVENT_FAULT || t->event.fault != fault)
        fail_msg("%s: %d, event %u, fault %u (%s)", notation, used, t->event.kind, t->event.fault,
                 mqtt_fault_view(t->event.fault, t->c->peer.version).why);
    assert_int_equal(t->c->state, MQTT_CLOSING);
}

/* CONNECT and its acceptance, whose CONNACK is heard and forgotten. */
static inline void talk_connects(struct talk *t, const char *notation)
{
    talk_gets(t, notation, MQTT_EVENT_CONNECT);
    struct mqtt_accept accept = { .session_expiry_s = t->c->session_expiry_s };
    assert_int_equal(mqtt_connection_accept(t->c, &accept, t->now_ms, &t->w), 0);
    t->w.used = 0;
}

/* Everything that has arrived is committed and acknowledged. */
static inline uint32_t talk_commits(struct talk *t)
{
    mqtt_connection_committed(t->c, t->c->arrived);
    return mqtt_connection_render(t->c, NULL, &t->w);
}

#endif
