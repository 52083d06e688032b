/* transport: the bytes of one connection, over TCP or TLS. Non-blocking.
 *
 * Reading and writing return the bytes that moved; 0: not now, never "gone"; negative: gone. After
 * a write that returned 0 the next begins with the same bytes, and at least as many. */
#ifndef FIRMWARE_TRANSPORT_H
#define FIRMWARE_TRANSPORT_H

#include "firmware/listener/tls.h"

struct transport {
    int fd;                  /* -1: none */
    struct tls_session *tls; /* NULL: plain */
};

int32_t transport_read(const struct transport *t, uint8_t *to, uint32_t bytes);
int32_t transport_write(const struct transport *t, const uint8_t *at, uint32_t bytes);
/* Bytes wait to be read of which the socket knows nothing any more. */
bool transport_pending(const struct transport *t);
/* The peer has said more, and we have not listened yet. */
bool transport_waits_for_us(const struct transport *t);
/* It waits for the socket to take more, beside what the caller has to write. */
bool transport_wants_write(const struct transport *t);
/* Nothing more will be written, nor understood: what still comes is raw bytes. False: gone. */
bool transport_end(const struct transport *t);
void transport_close(struct transport *t);

#endif
