/* reason: in what way a reading is unusual, where a detector can tell ways apart. The numbers are
 * stored: append only. */
#ifndef PIPELINE_REASON_H
#define PIPELINE_REASON_H

enum reason {
    REASON_NONE,
    REASON_PATTERN, /* readings of late do not fit what this hour is like */
    REASON_SPIKE,   /* one reading further off than any before */
    REASON_HIGH,    /* higher than ever */
    REASON_LOW,     /* lower than ever */
    REASON_DRIFT,   /* the level is moving away */
    REASON_SILENCE, /* nothing happens for longer than ever */
    REASON_CODE,    /* what a sensor says when it has nothing to say */
    REASON_SHIFT,   /* the level moved, and stays */
    REASON_NOISE_UP, /* readings scatter more than usual */
    REASON_NOISE_DOWN, /* or less */
    REASON_RANGE,   /* what the unit does not allow */
    REASON_RESET,   /* what only counts up began again */
    REASON_CLOCK_AHEAD,  /* a device's clock is, of the gateway's */
    REASON_CLOCK_BEHIND,
    REASON_CYCLE,   /* what repeats itself was out of form */
    REASON_SIBLINGS, /* not as another metric of the device says */
    REASONS
};

enum { REASON_TERMS = REASON_CODE + 1 }; /* those before are what the baseline's score is made of */

/* "pattern", "spike", "new high", ...; of NONE "". */
const char *reason_name(enum reason reason);

#endif
