/* http: the api over HTTP on a Unix socket of mode 0660, on libmicrohttpd driven by the loop.
 * Whoever may open the socket may ask anything. A connection whose answer is not there yet is
 * suspended and looked at again each turn. */
#ifndef FIRMWARE_HTTP_H
#define FIRMWARE_HTTP_H

#include "firmware/api.h"
#include "firmware/loop.h"

struct http; /* opaque */

/* NULL while the arena only measures. */
struct http *http_init(struct api *api, struct arena *arena);

/* Listen at `path`. A socket file that nobody answers on is replaced. `why` has 256 bytes.
 *   WEIR_EBUSY  somebody answers there; WEIR_EIO */
int http_open(struct http *http, struct loop *loop, const char *path, char *why);

/* Within a turn. */
void http_turn(struct http *http, int64_t mono_ms);
int64_t http_next_turn_ms(const struct http *http);

/* Connections that wait get no answer. Removes the socket's file. */
void http_close(struct http *http);

#endif
