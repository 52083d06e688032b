#include "firmware/fold_progress.h"

#include <stdio.h>

#include "firmware/board/notify.h"
#include "firmware/log.h"

void fold_progress_begin(struct fold_progress *p, uint64_t last, int64_t mono_ms)
{
    *p = (struct fold_progress){ .last = last, .told_ms = mono_ms, .extended_ms = INT64_MIN };
}

static void extend(void)
{
    char state[64];
    (void)snprintf(state, sizeof state, "EXTEND_TIMEOUT_USEC=%lld",
                   (long long)FOLD_EXTEND_MS * 1000);
    notify(state);
}

void fold_progress_step(struct fold_progress *p, uint64_t block, uint64_t readings, int64_t mono_ms)
{
    if (p->extended_ms == INT64_MIN || mono_ms - p->extended_ms >= FOLD_EXTEND_EVERY_MS) {
        p->extended_ms = mono_ms;
        extend();
    }
    if (mono_ms - p->told_ms < FOLD_TELL_EVERY_MS)
        return;
    p->told_ms = mono_ms;
    log_event("folding", "block=%llu last=%llu readings=%llu", (unsigned long long)block,
              (unsigned long long)p->last, (unsigned long long)readings);
}
