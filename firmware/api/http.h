/* http: the api over HTTP, on libmicrohttpd driven by the loop. Through two doors:
 * - a Unix socket of mode 0660: whoever may open it may ask anything;
 * - where `http` is configured, TCP. Without TLS (on the loopback, the configuration sees to that)
 *   it gives metrics and health alone. With TLS a request shows a bearer token: a viewer's reads
 *   all, an engineer's may also post, but for devices' credentials, which only the socket changes.
 *   Others are answered 401, counted and logged.
 *
 * A connection whose answer is not there yet is suspended and looked at again each turn. Either
 * door has connections of its own, so that one can't fill the other's; and what comes over TCP,
 * handshakes included, has at most a fifth of the loop's time: after each piece of work that door
 * rests for four times as long, at least HTTP_REST_MS. There a request has HTTP_ASK_MS from the
 * connection, or the answer before it, to its last byte, and its answer HTTP_TAKE_MS; when all
 * connections are taken, the one that has not asked for longest gives way to the next. */
#ifndef FIRMWARE_HTTP_H
#define FIRMWARE_HTTP_H

#include "firmware/api/api.h"
#include "firmware/loop.h"

enum {
    HTTP_CALLS_MAX = 16, /* connections of a door */
    HTTP_REST_MS = 5,
    HTTP_ASK_MS = 15000,
    HTTP_TAKE_MS = 90000 /* a device's word on a command is waited for, up to 60 s */
};

struct http; /* opaque */

/* NULL while the arena only measures. */
struct http *http_init(const struct config *config, struct api *api, struct arena *arena);

/* Listen at both. A socket file that nobody answers on is replaced. `why` has 256 bytes.
 *   WEIR_EBUSY   somebody answers there
 *   WEIR_EINVAL  certificate, key or tokens
 *   WEIR_EIO */
int http_open(struct http *http, struct loop *loop, char *why);

/* Read certificate, key and tokens again; connections over TLS end. On error (WEIR_EINVAL, a
 * sentence in `why`) all goes on with the old ones. */
int http_reload(struct http *http, char *why);

/* Within a turn. */
void http_turn(struct http *http, int64_t mono_ms);
int64_t http_next_turn_ms(const struct http *http);

/* Connections that wait get no answer. Removes the socket's file. */
void http_close(struct http *http);

struct http_counts {       /* since the start */
    uint64_t requests;     /* through both doors */
    uint64_t unauthorized; /* without a token that we know */
    uint64_t forbidden;    /* more than the token, or the door, allows */
    uint64_t slow;         /* connections over TCP that took too long, or gave way */
};
struct http_counts http_counts(const struct http *http);

#endif
