/* replay_file: what a configuration says of a recorded file. */
#ifndef FIRMWARE_REPLAY_FILE_H
#define FIRMWARE_REPLAY_FILE_H

#include "pipeline/text.h"

struct replay_file {
    const char *path;
    struct text config;  /* empty: the detectors that are usual */
    const char *out;     /* a file for what is made; NULL: none */
    bool json, progress;
};

/* CLI_OK, or CLI_PROBLEM told on stderr. */
int replay_file(const struct replay_file *wanted);

#endif
