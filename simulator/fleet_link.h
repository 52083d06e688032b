/* fleet_link: the fleet's connections to a broker, with a device's contract: a message is kept
 * until its PUBACK and published again after a reconnection.
 *
 * Devices share connections (device modulo connections), or each has its own, over TLS and with
 * its password; on one connection messages go out in the order they were put. All memory is taken
 * at open; a full link takes no more (fleet_link_room), so devices wait, they don't drop. */
#ifndef SIMULATOR_FLEET_LINK_H
#define SIMULATOR_FLEET_LINK_H

#include <stdbool.h>
#include <stdint.h>

enum { FLEET_PAYLOAD_BYTES_MAX = 208, FLEET_NAME_BYTES_MAX = 40 };

enum fleet_expect { EXPECT_STORED, EXPECT_REJECTED };

struct fleet_message {
    uint32_t device;       /* index; chooses the connection */
    uint32_t payload_bytes;
    enum fleet_expect expect; /* what a gateway must make of it */
    bool repeat;           /* an exact repetition of an earlier message */
    uint64_t sequence;
    int64_t published_ms;  /* wall time when it was put */
    const char *device_name, *metric_name; /* the fleet's; outlive the link */
    char payload[FLEET_PAYLOAD_BYTES_MAX];
};

struct fleet_login {
    char name[FLEET_NAME_BYTES_MAX], password[FLEET_NAME_BYTES_MAX];
};

struct fleet_link_config {
    const char *host;
    int port;
    uint32_t connections;
    uint32_t pending_max;  /* messages over all connections */
    uint32_t in_flight;    /* sent and not acknowledged, a connection */
    const char *ca_file;   /* NULL: no TLS */
    /* A connection's own name and password, from the fleet; NULL: connections are anonymous */
    const struct fleet_login *logins;
    uint64_t seed;         /* for the jitter of reconnections and the names of clients */
    /* the broker's PUBACK for a message */
    void (*acked)(void *ctx, const struct fleet_message *message);
    void *ctx;
};

struct fleet_link_counts {
    uint64_t acked;
    uint64_t sent_again;   /* after reconnections */
    uint64_t connects;     /* first ones included */
    uint32_t connected;    /* now */
    uint64_t pending;      /* put and not acknowledged */
};

struct fleet_link; /* opaque */

/* NULL with a sentence on stderr when there is no memory. Connecting happens in the turns. */
struct fleet_link *fleet_link_open(const struct fleet_link_config *config);
void fleet_link_close(struct fleet_link *link);

bool fleet_link_room(const struct fleet_link *link, uint32_t device);
/* fleet_link_room was true. Copies. */
void fleet_link_put(struct fleet_link *link, const struct fleet_message *message);

/* Connect what is due, send, receive; waits at most `wait_ms` for something to happen. */
void fleet_link_turn(struct fleet_link *link, int64_t now_ms, int wait_ms);

struct fleet_link_counts fleet_link_counts(const struct fleet_link *link);
/* Show every message that was put and not acknowledged. */
void fleet_link_each_pending(const struct fleet_link *link, void *ctx,
                             void (*show)(void *ctx, const struct fleet_message *message));

#endif
