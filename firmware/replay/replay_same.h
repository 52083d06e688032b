/* replay_same: a stretch of a journal as it was, compared with what it says that it made. */
#ifndef FIRMWARE_REPLAY_SAME_H
#define FIRMWARE_REPLAY_SAME_H

#include "firmware/replay/replay_run.h"

struct replay_same {
    const char *store;   /* its file */
    struct text config;  /* in force where the journal does not say; may be empty */
    const char *out;     /* a file for what is made again; NULL: none */
    const char *socket;  /* of the gateway, which tells it once more; NULL: nobody does */
    bool json;
    struct replay_range range;
};

/* Prints what came of it. CLI_OK: identical; CLI_DIFFERENT; CLI_PROBLEM. */
int replay_same(const struct replay_same *wanted);

#endif
