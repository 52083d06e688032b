/* replay_drift: the same recording by event time and by the time of arrival: how far results that
 * go by when a reading came drift from those that go by when it was measured. */
#ifndef FIRMWARE_REPLAY_DRIFT_H
#define FIRMWARE_REPLAY_DRIFT_H

#include "firmware/replay/replay_run.h"

struct replay_drift {
    const char *store;      /* its file */
    struct text config;     /* for both; empty: the one that the journal names last, else */
    struct text otherwise;  /* this one; may be empty */
    enum time_policy time;  /* DEVICE or ARRIVAL: whose results are held against the other's */
    bool json;
    struct replay_range range;
};

/* Prints how far. CLI_OK: not at all; CLI_DIFFERENT; CLI_PROBLEM. */
int replay_drift(const struct replay_drift *wanted);

#endif
