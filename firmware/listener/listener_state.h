/* listener_state: what the listener's own files share. Nobody else includes this. */
#ifndef FIRMWARE_LISTENER_STATE_H
#define FIRMWARE_LISTENER_STATE_H

#include "firmware/listener/credentials.h"
#include "firmware/listener/door.h"
#include "firmware/listener/listener.h"
#include "firmware/listener/sessions.h"
#include "firmware/listener/transport.h"
#include "pipeline/err.h"
#include "pipeline/mqtt/connection.h"
#include "pipeline/mqtt/reason.h"

enum {
    LISTENER_ID_BYTES = 64,                /* of a client id; longer ones are refused */
    LISTENER_NAME_BYTES = SESSION_ID_BYTES, /* with the device before it */
    LISTENER_PACKET_SLACK = 1024, /* topic and properties, beside the payload */
    LISTENER_GULP_BYTES = 64 * 1024,
    LISTENER_OUT_BYTES = 512, /* the largest answer that is no acknowledgement */
    LISTENER_ALIASES = 16,
    LISTENER_ALIAS_BYTES = 1024,
    LISTENER_KEEP_ALIVE_S = 3600, /* at most, in 5.0 */
    LISTENER_CONNECT_MS = 10000,
    LISTENER_PATIENCE_MS = 30000, /* with half a packet, and with a client that does not read */
    LISTENER_HANDSHAKES = 64,     /* at once: each takes memory of mbedTLS */
    LISTENER_SHAKE_MS = 3000,     /* that one may take while others wait for it */
    LISTENER_GOODBYE_MS = 2000    /* for the client to read why, and hang up */
};

#define LISTENER_COMMANDS_TOPIC "weir/command/"

/* One to a device fits into the output of a connection that has nothing else to say. */
static_assert(LISTENER_COMMAND_BYTES + sizeof LISTENER_COMMANDS_TOPIC + LISTENER_ID_BYTES + 16 <=
              LISTENER_OUT_BYTES, "commands are too long");

enum device_state {
    DEVICE_FREE,
    DEVICE_SERVED,
    DEVICE_ENDING /* told why; what it still sends is thrown away until it hangs up */
};

enum stall {
    STALL_NONE,
    STALL_GATEWAY, /* until the gateway takes messages; tried again every turn */
    STALL_SELF,    /* until some of its acknowledgements are committed, or read by it */
    STALL_RATE     /* until it, or all, may send again */
};

struct device_reply { /* to a SUBSCRIBE or UNSUBSCRIBE, that waits */
    bool waits; /* for the commit of its session */
    enum mqtt_type type;
    uint16_t packet_id;
    uint32_t count; /* 0: there is none */
    uint8_t codes[MQTT_FILTERS_MAX];
};

struct device_welcome { /* the CONNACK */
    bool waits; /* for the commit of what it says of its session */
    struct mqtt_accept accept;
};

/* Messages by the clock: each moves `next_us` on by its share of a second; it may be up to a second
 * ahead. */
struct pace {
    int64_t next_us;
};

struct device { /* one connection */
    struct mqtt_connection *mqtt;
    enum device_state state;
    struct transport link;
    struct door_address address; /* where it comes from */
    uint32_t interest;           /* as epoll was told */
    uint64_t opened;     /* grows with each */
    uint64_t served;     /* turn in which it was read or written to last */
    int64_t opened_ms;
    bool connected;      /* counted as such: its CONNECT was good */
    struct pace pace;
    enum stall stall;    /* why what waits in `in` may not be taken now */
    bool watched;        /* epoll knows it */
    bool inside;         /* that is `epoll`; else `strangers` */
    bool shaking;        /* has a TLS session, and is not connected */
    bool shaken;         /* its handshake is done */
    bool waits;          /* for the end of another's handshake */
    /* of half a packet, while we listen, or of the goodbye; INT64_MAX: none */
    int64_t deadline_ms;
    int64_t stuck_ms;    /* the output has not moved since; INT64_MAX: there is none */
    uint8_t *in;         /* [in_bytes]: what was read and not taken */
    uint32_t in_used;
    uint8_t *out; /* [out_bytes] */
    uint32_t out_used, out_sent;
    uint64_t *numbers;  /* [receive_maximum + 1], by number of the acknowledgement modulo that:
                         * the gateway's number of the message */
    uint64_t committed; /* number of the last acknowledgement that may go */
    uint64_t waits_for; /* the gateway's number that the next one waits for, whatever it answers */
    struct session *session; /* NULL: none outlives this connection, and there is no will */
    bool drops_will;         /* it said goodbye */
    uint8_t topics;          /* bits of enum session_topics */
    int receipt;             /* the gateway's handle; negative: none */
    bool receipt_told;
    uint64_t told_sequence;
    struct device_welcome welcome;
    uint64_t command; /* at QoS 1, of the listener's, that it has not acknowledged; 0: none */
    struct device_reply reply;
    uint32_t device_bytes;       /* of `id`: the device that it showed to be; 0: anonymous */
    uint32_t id_bytes;
    char id[LISTENER_NAME_BYTES]; /* the device, "/", and the client id; or that alone */
};

struct listener_command { /* at QoS 1 */
    uint64_t number;          /* 0: nobody waits for it */
    struct command_progress progress;
};

struct listener {
    struct listener_config config;
    struct mqtt_offer offer;
    struct loop_watch *watch;
    struct gateway *gateway;
    /* -1: closed. `strangers` watches our socket and those who are not connected, and is watched
     * by `epoll` itself: one call stops to listen to all of them. */
    int fd, epoll, strangers;
    bool accepting; /* `strangers` watches `fd` */
    bool listening; /* `epoll` watches `strangers` */
    struct tls *tls; /* NULL: plain */
    uint32_t shaking; /* devices */
    bool crowded;     /* as many as may be, when the tick began */
    struct door *door;
    uint32_t slots;
    struct device *devices; /* [slots] */
    uint32_t in_bytes, out_bytes;
    uint8_t *gulp; /* [in_bytes]: what is being read, of all connections */
    struct mqtt_event event;
    uint32_t stalled; /* devices, by the gateway */
    uint32_t first;   /* of the devices: where their turn begins */
    uint64_t turn;    /* counts those in which somebody was ready */
    uint32_t taken;   /* messages of this turn */
    struct pace pace; /* of all */
    bool drained;     /* this turn found an end everywhere */
    uint64_t acknowledged; /* of the gateway's numbers */
    int64_t now_ms, tick_ms;
    int64_t ticked_ms; /* when the last tick was */
    int64_t took_ms; /* when it last took a message */
    int64_t rests_until_ms; /* INT64_MIN: it does not rest */
    uint64_t opened, ids; /* numbers for the next */
    uint64_t last_command;
    struct listener_command commands[LISTENER_COMMANDS]; /* by number modulo that */
    struct listener_counts counts;
};

/* device.c: one connection */
void device_init(struct listener *l, struct device *d, struct arena *arena);
void device_open(struct listener *l, struct device *d, int fd);
void device_close(struct listener *l, struct device *d); /* at once */
void device_read(struct listener *l, struct device *d);
void device_write(struct listener *l, struct device *d);
void device_retry(struct listener *l, struct device *d); /* what was stalled */
void device_acknowledge(struct listener *l, struct device *d); /* as far as l->acknowledged */
void device_tick(struct listener *l, struct device *d);
/* Send it a message now. Errors as mqtt_connection_publish; on success it may be closed. */
int device_publish(struct listener *l, struct device *d, struct mqtt_outgoing *message);
/* Tell it why, where its version can, and end. */
void device_dismiss(struct listener *l, struct device *d, uint8_t reason);

/* device_door.c: who it is */
/* On with the handshake, as far as there is time. True: it is done, or there is none. */
bool device_shake(struct listener *l, struct device *d);
/* A tick: one that waits looks again; one that others wait for may have taken too long. False: it
 * was closed. */
bool device_hurry(struct listener *l, struct device *d);
/* What its CONNECT shows. False: it is refused. */
bool device_identify(struct listener *l, struct device *d, struct byte_writer *w);
/* It is connected now: no stranger any more. */
void device_enter(struct listener *l, struct device *d);
/* It went without having been let in. */
void device_failed(struct listener *l, struct device *d);

/* device_pace.c: how fast messages may come */
bool device_in_time(const struct listener *l, const struct device *d);
void device_count(struct listener *l, struct device *d); /* a message */

/* device_packets.c: what a packet means */
void device_handle(struct listener *l, struct device *d, struct byte_writer *w);
/* By a packet's first byte: whether it may be taken now. */
bool device_may_take(struct listener *l, struct device *d, uint8_t first);
void device_welcome(struct listener *l, struct device *d, struct byte_writer *w); /* if it may */
void device_leave(struct listener *l, struct device *d); /* its connection ends */

/* device_topics.c: subscriptions and receipts */
void device_on_filters(struct listener *l, struct device *d);
void device_put_more(struct listener *l, struct device *d, struct byte_writer *w);
void device_resume_topics(struct listener *l, struct device *d);
void device_forget_receipts(struct listener *l, struct device *d);

/* device_commands.c */
void device_on_delivered(struct listener *l, struct device *d); /* its PUBACK */
void device_forget_command(struct listener *l, struct device *d);

/* Whose receipts and commands are its own. */
static inline struct text device_name(const struct device *d)
{
    return (struct text){ d->id, d->device_bytes > 0 ? d->device_bytes : d->id_bytes };
}

/* strangers.c */
#define LISTENER_STRANGERS (UINT32_MAX - 1) /* in `epoll`, among the numbers of devices */
bool strangers_open(struct listener *l); /* both epoll descriptors; `fd` is there */
void strangers_serve(struct listener *l); /* accept, and go on with those that have something */
void strangers_turn(struct listener *l);
void strangers_tick(struct listener *l);
int64_t strangers_next_turn_ms(const struct listener *l);

/* listener.c */
void listener_serve(struct listener *l, struct device *d, uint32_t events);
void listener_watch(struct listener *l, struct device *d, uint32_t interest);
struct device *listener_find(struct listener *l, const struct device *but, struct text id);
void listener_log(struct listener *l, const struct device *d, const char *event, uint8_t reason,
                  const char *why);

#endif
