/* replay_file: what a configuration says of a recorded file. */
#ifndef FIRMWARE_REPLAY_FILE_H
#define FIRMWARE_REPLAY_FILE_H

#include "firmware/replay/replay_run.h"

struct replay_file {
    const char *path;
    struct text config;  /* empty: the detectors that are usual */
    const char *out;     /* a file for what is made; NULL: none */
    bool json;
    struct replay_range range; /* `from`, `to` and `progress` of it; all before `from` is read */
};

/* CLI_OK, or CLI_PROBLEM told on stderr. */
int replay_file(const struct replay_file *wanted);

#endif
