/* dlq: what the parts of `weir dlq` share: dead letters asked for page by page, as JSON objects of
 * the gateway's. */
#ifndef FIRMWARE_CLI_DLQ_H
#define FIRMWARE_CLI_DLQ_H

#include "firmware/cli/client.h"

struct dlq_filter {      /* NULL: any */
    const char *reason, *source;
};

/* Call back for each that fits, oldest first; the slice lives until the call returns. Stops where
 * it says so (not CLI_OK). */
int dlq_each(const struct client_options *options, const struct dlq_filter *filter, void *ctx,
             int (*on_letter)(void *ctx, struct text letter));

/* dlq_summary.c: `by` is "reason", "source", "device", "hour", or NULL: reasons by hour. */
int dlq_summary(const struct client_options *options, const struct dlq_filter *filter,
                const char *by);

/* dlq_retry.c: what is asked for one, or for each that fits; prints what became of them. */
struct dlq_change {
    const char *verb;    /* "retry" or "drop" */
    const char *id;      /* NULL: each that fits */
    bool dry, poisoned, as_new;
};
int dlq_change(const struct client_options *options, const struct dlq_filter *filter,
               const struct dlq_change *change);

/* The payload's bytes, of an answer that holds it whole. */
struct text dlq_payload(struct text letter);
/* It, and a caret under the byte where the fault was seen. */
void dlq_print_payload(struct text letter);

#endif
