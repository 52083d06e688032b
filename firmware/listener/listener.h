/* listener: an MQTT server for devices, for one source: they publish straight to us, 3.1.1 and 5.0,
 * over TLS or plain TCP, each as the device whose name and password it shows. It acknowledges a
 * message (QoS 1 and 2) when the commit that holds it is done, each connection's in order of
 * arrival. It is an endpoint, not a broker: it forwards nothing, and a device hears of its own
 * receipts alone.
 *
 * A session that outlives its connection is in sessions.h: its QoS 2 exchanges that are not over
 * are rows of the commit that PUBREC waits for, and gone with the one that PUBCOMP waits for. So a
 * message at QoS 2 is stored once, whatever breaks in between. Without such a session, at QoS 0 and
 * 1, everything that matters is with the device.
 *
 * Bounded: connections by configuration, each with memory set aside at start, and some more places
 * in which a client is told that it is one too many. Where none is free, the one that has not
 * connected for longest gives way. A device is not read while its acknowledgements fill their room,
 * none is while the gateway takes nothing: TCP then holds it back. One read takes no more than what
 * the connection could keep, so what is not taken has a place. What strangers may cost is door.h's.
 *
 * It waits on an epoll descriptor of its own, which is one watch of the loop. */
#ifndef FIRMWARE_LISTENER_H
#define FIRMWARE_LISTENER_H

#include "firmware/gateway/gateway.h"
#include "firmware/listener/sessions.h"
#include "firmware/loop.h"

struct listener; /* opaque */

struct listener_config {
    const struct config_source *source; /* outlives the listener */
    uint32_t index;                     /* of the source */
    uint32_t payload_bytes_max;
    int64_t rest_ms; /* while messages keep coming, so long between two looks; 0: never */
    struct sessions *sessions; /* of all listeners; NULL while the arena only measures */
    const struct credentials *credentials; /* likewise */
};

/* What mbedTLS takes for a source that listens with TLS, at most, beside our own. */
uint64_t listener_tls_bytes(const struct config_source *source);

/* NULL while the arena only measures. */
struct listener *listener_init(const struct listener_config *config, struct arena *arena);

/* Listen. `seed` is for client ids that it gives out. WEIR_EIO with a sentence in `why` (256
 * bytes). */
int listener_open(struct listener *l, struct loop *loop, struct gateway *gateway, uint64_t seed,
                  char *why);

/* Within a turn: let clients in, take about `messages_max` messages, answer, end what is silent. */
void listener_turn(struct listener *l, int64_t mono_ms, uint32_t messages_max);

/* When the next turn is due, in hal_time.mono_ms. */
int64_t listener_next_turn_ms(const struct listener *l);

/* As gateway_ports.source_acknowledge wants it. */
void listener_acknowledge(struct listener *l, uint64_t number);

/* Read certificate, key and clients' authority again; who is connected stays so. The log says what
 * came of it; where they can't be used, nothing changed. */
void listener_reload(struct listener *l);
/* The same source as another configuration has it, which differs in what may change while devices
 * are connected: how fast they may be. It outlives the listener, or the next call. */
void listener_follow(struct listener *l, const struct config_source *source);
/* Of its certificate, Unix time; INT64_MAX: it has none. */
int64_t listener_valid_until_ms(const struct listener *l);

/* End the connections of a device whose credentials are no longer what they were. */
void listener_dismiss(struct listener *l, struct text device);

/* --- commands to devices: at once or not at all; nothing is kept for one that is away --- */

enum {
    LISTENER_COMMAND_BYTES = 256,
    LISTENER_COMMANDS = 32 /* at QoS 1 whose PUBACK is awaited */
};

struct command {
    struct text device, payload; /* at most LISTENER_COMMAND_BYTES */
    uint8_t qos;                 /* 0, 1 */
};

enum command_fate { /* the best of all its connections; later ones are nearer to it */
    COMMAND_NOT_CONNECTED,
    COMMAND_NOT_SUBSCRIBED,
    COMMAND_AT_QOS_0,  /* it is subscribed, and QoS 1 was wanted */
    COMMAND_TOO_LARGE, /* for its maximum packet size */
    COMMAND_NOT_NOW,   /* one of before has no PUBACK, or it does not read, or too many wait */
    COMMAND_SENT
};

struct command_progress { /* of its connections */
    uint32_t sent, acknowledged, refused, lost /* ended before PUBACK */;
};

/* Within a turn: send it to each connection of the device that is subscribed to its commands. At
 * QoS 1 *number is what to ask by for what became of it, until listener_command_end. */
enum command_fate listener_command(struct listener *l, const struct command *command,
                                   uint64_t *number);
struct command_progress listener_command_progress(struct listener *l, uint64_t number);
void listener_command_end(struct listener *l, uint64_t number);

/* Say goodbye to every device and stop listening. What was not acknowledged comes again. */
void listener_close(struct listener *l);

struct listener_counts { /* since the start, but for the first */
    uint32_t connected;  /* now */
    uint64_t accepted;   /* TCP connections */
    uint64_t refused;    /* by CONNACK, or without a word where there was no room even for that */
    uint64_t faults;     /* connections ended because the client broke a rule */
    uint64_t silent;     /* ended because nothing whole was heard in time, or nothing read */
    uint64_t taken_over; /* by the same client's next */
    uint64_t bad_credentials; /* refused for them */
    uint64_t handshakes; /* of TLS, that succeeded */
    uint64_t bad_handshakes;
    uint64_t slowed;     /* hung up on, since their address had failed too often */
    uint64_t messages;
    uint64_t held_back; /* times that one sent faster than `rate` or `rate_per_connection` */
    struct sessions_counts sessions; /* of all listeners */
    uint64_t commands, commands_acknowledged; /* sent to devices */
    uint64_t sessions_refused; /* there was no room for it, or for its will */
    uint64_t exchanges_refused; /* QoS 2, because limits.exchanges were in use */
};
struct listener_counts listener_counts(const struct listener *l);

#endif
