/* explain: what would have had to differ for an alert not to be raised, in a sentence for people.
 * It is about the alert's most anomalous reading, and true: tests/unit/explain_test.c does what it
 * says, for each kind. */
#ifndef FIRMWARE_API_EXPLAIN_H
#define FIRMWARE_API_EXPLAIN_H

#include "pipeline/engine/engine.h"

enum { EXPLAIN_BYTES = 320 };

void explain_unless(const struct alert_view *view, char to[EXPLAIN_BYTES]);

/* BASELINE: whether this term of the score would have raised the alert alone. The score is the
 * largest term but drift's, and drift's beside it. */
bool explain_fires(const struct alert *alert, int reason);

#endif
