/* replay_emit: what a replay as it was makes, told upstream once more by the gateway whose journal
 * it is: under the same identities and revisions, at new places in its lane of results, so that a
 * receiver that has them changes nothing. It goes through the gateway's socket in small pieces,
 * each answered when it is on disk; while results wait there, or the gateway is behind, it waits.
 * Whoever breaks it off repeats it. */
#ifndef FIRMWARE_REPLAY_EMIT_H
#define FIRMWARE_REPLAY_EMIT_H

#include "firmware/gateway/gateway.h"
#include "firmware/replay/replay_out.h"
#include "firmware/replay/replay_run.h"
#include "pipeline/codec/codec_results.h"

struct replay_emit {
    const char *socket;
    bool progress;             /* a line a second on stderr */
    uint64_t alerts, results;  /* on the gateway's disk: of windows and streams, */
    uint64_t corrections;
    uint64_t messages;         /* in so many */
    /* its own */
    const struct replay_run *run;
    struct replay_out out;     /* renders alerts */
    struct results_builder *windows, *streams;
    void *memory;
    uint64_t first_block, last_block; /* of what the builders hold */
    uint8_t digest[32];        /* of the configuration that it was made under */
    uint8_t body[GATEWAY_BACKFILL_BYTES];
    size_t used;
    uint32_t items;
    uint64_t alerts_in, corrections_in, results_in; /* the body; results: the builders too */
    int64_t told_ms;
    bool failed;               /* told on stderr; nothing more is sent */
};

/* The sink of `run` from now on. CLI_OK, or CLI_PROBLEM told on stderr. */
int replay_emit_begin(struct replay_emit *e, struct replay_run *run);
/* What is left; CLI_OK: all of it is on the gateway's disk. */
int replay_emit_end(struct replay_emit *e);

#endif
