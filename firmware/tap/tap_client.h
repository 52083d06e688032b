/* tap_client: how a source's libmosquitto client is made and connected; what goes over the
 * connection is tap.c's. Connecting blocks, so it has a thread of its own, with the client to
 * itself. */
#ifndef FIRMWARE_TAP_CLIENT_H
#define FIRMWARE_TAP_CLIENT_H

#include "firmware/config/config.h"

struct mosquitto;

/* Over the payload limit: so much too large is still taken and becomes a dead letter; more the
 * broker keeps to itself. */
enum { TAP_PACKET_SLACK = 64 * 1024 };

/* A client with the source's settings and credentials, and no callbacks yet; `ctx` is theirs.
 * WEIR_EIO, WEIR_EINVAL: the library refused something, logged. */
int tap_client_make(const struct config_source *source, void *ctx, struct mosquitto **client);

/* Blocks for as long as the name server and the network take. CONNECT waits to be written then. TLS
 * compares the certificate with the host's name. 0, or libmosquitto's code, with errno behind
 * MOSQ_ERR_ERRNO. */
int tap_client_connect(struct mosquitto *client, const struct config_source *source,
                       uint32_t payload_bytes_max);

#endif
