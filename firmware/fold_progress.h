/* fold_progress: a start that folds for long says so: to the service manager, which would take it
 * for stuck (EXTEND_TIMEOUT_USEC, systemd.service(5)), and to people. Time is the caller's. */
#ifndef FIRMWARE_FOLD_PROGRESS_H
#define FIRMWARE_FOLD_PROGRESS_H

#include <stdint.h>

enum {
    FOLD_EXTEND_EVERY_MS = 5000,
    FOLD_EXTEND_MS = 60000, /* from then on so much longer; a block takes a small part of it */
    FOLD_TELL_EVERY_MS = 10000
};

struct fold_progress {
    uint64_t last;         /* block of the journal */
    int64_t told_ms;       /* or begun; monotonic */
    int64_t extended_ms;   /* INT64_MIN: not yet */
};

void fold_progress_begin(struct fold_progress *p, uint64_t last, int64_t mono_ms);
/* After each block. */
void fold_progress_step(struct fold_progress *p, uint64_t block, uint64_t readings,
                        int64_t mono_ms);

#endif
