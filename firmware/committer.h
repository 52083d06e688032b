/* committer: the store's one worker. It takes a job of the gateway's at a time to libuv's pool and
 * brings it back in a turn. */
#ifndef FIRMWARE_COMMITTER_H
#define FIRMWARE_COMMITTER_H

#include "firmware/gateway/gateway.h"
#include "firmware/loop.h"

struct committer { /* the caller's memory; only committer.c writes it */
    struct loop *loop;
    struct store *store;
    struct store_job *job; /* under way; NULL: none */
};

void committer_init(struct committer *c, struct loop *loop, struct store *store);

/* As gateway_ports.store_begin wants it. */
void committer_begin(struct committer *c, struct store_job *job);

/* Within a turn: tell the gateway of a job that was done since the last one. */
void committer_turn(struct committer *c, struct gateway *gateway);

#endif
