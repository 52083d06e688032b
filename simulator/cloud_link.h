/* cloud_link: the receiver's connection to the cloud's broker: MQTT over mutual TLS, QoS 1, a
 * session that is kept.
 *
 * The library acknowledges a message to the broker before it is handled; that is harmless,
 * because the gateway keeps what no receipt covers. Host names are checked, and TLS is 1.2 or
 * better. */
#ifndef SIMULATOR_CLOUD_LINK_H
#define SIMULATOR_CLOUD_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/text.h"

struct cloud_link_config {
    const char *host;
    int port;
    const char *client_id;
    const char *ca_file, *cert_file, *key_file; /* all NULL: no TLS */
    /* a message; slices live until the call returns */
    void (*arrived)(void *ctx, const char *topic, struct text payload);
    void *ctx;
};

struct cloud_link; /* opaque */

/* NULL with a sentence on stderr when the certificates cannot be used. Connecting happens in the
 * turns. */
struct cloud_link *cloud_link_open(const struct cloud_link_config *config);
void cloud_link_close(struct cloud_link *link);

/* Connect when it is time, send, receive; waits at most `wait_ms`. */
void cloud_link_turn(struct cloud_link *link, int64_t now_ms, int wait_ms);
bool cloud_link_connected(const struct cloud_link *link); /* and subscribed */
/* QoS 1. Lost when the connection is; the caller says it again later. */
void cloud_link_publish(struct cloud_link *link, const char *topic, struct text payload);

#endif
