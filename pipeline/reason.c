#include "pipeline/reason.h"

#include <assert.h>

const char *reason_name(enum reason reason)
{
    switch (reason) {
    case REASON_NONE:
        return "";
    case REASON_PATTERN:
        return "pattern";
    case REASON_SPIKE:
        return "spike";
    case REASON_HIGH:
        return "new high";
    case REASON_LOW:
        return "new low";
    case REASON_DRIFT:
        return "drift";
    case REASON_SILENCE:
        return "silence";
    case REASON_CODE:
        return "error code";
    case REASON_SHIFT:
        return "shift";
    case REASON_NOISE_UP:
        return "noise up";
    case REASON_NOISE_DOWN:
        return "noise down";
    case REASON_RANGE:
        return "out of range";
    case REASON_RESET:
        return "counter reset";
    case REASON_CLOCK_AHEAD:
        return "clock ahead";
    case REASON_CLOCK_BEHIND:
        return "clock behind";
    case REASON_CYCLE:
        return "broken cycle";
    case REASON_SIBLINGS:
        return "disagreement";
    case REASONS:
        break;
    }
    assert(reason < REASONS);
    return "";
}
