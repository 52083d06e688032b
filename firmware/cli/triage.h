/* triage: of every reason for which something is rejected: its usual cause, what mends it, and
 * whether trying the dead letter again can help then. docs/triage.md is this table. */
#ifndef FIRMWARE_CLI_TRIAGE_H
#define FIRMWARE_CLI_TRIAGE_H

#include <stdbool.h>

#include "pipeline/reject.h"

struct triage {
    const char *cause, *fix; /* a sentence without its full stop */
    bool retry;
};

/* NULL for what is no reason. */
const struct triage *triage_of(enum reject_reason reason);
enum reject_reason triage_reason(const char *name); /* REJECT_NONE: there is none of that name */

#endif
