/* replay_diff: what another configuration would have said over the same stretch of a journal. */
#ifndef FIRMWARE_REPLAY_DIFF_H
#define FIRMWARE_REPLAY_DIFF_H

#include "firmware/replay/replay_ledger.h"
#include "firmware/replay/replay_run.h"

struct replay_diff {
    const char *store;   /* its file */
    struct text was;     /* in force where the journal does not say; may be empty */
    struct text now;     /* the other one, checked */
    const char *name;    /* of its file */
    const char *out;     /* a file for what it says; NULL: none */
    bool json;
    struct replay_range range;
};

/* Prints what would be otherwise. CLI_OK: nothing; CLI_DIFFERENT; CLI_PROBLEM. */
int replay_diff(const struct replay_diff *wanted);

struct replay_changes { /* replay_tell.c: gathers and prints them */
    bool json;
    bool alone;          /* there is nothing to compare with: what is there, in fewer columns */
    uint64_t alerts[CHANGES], windows[CHANGES], streams[CHANGES];
    struct table *table; /* of alerts; NULL: none yet, or JSON */
    struct growing groups; /* struct told_group, by rule and device */
    struct growing keys;   /* struct told_changes: of streams, in order */
    uint64_t listed_windows, listed_streams;
};

void replay_tell_alert(void *ctx, const struct alert_change *change);
void replay_tell_window(void *ctx, const struct window_change *change);
/* A table by rule and device, or the same as JSON members, each with a comma before it; and
 * forgets them. */
void replay_tell_groups(struct replay_changes *c);

/* replay_tell_streams.c: likewise, of results of streams, by stream and key */
void replay_tell_stream(void *ctx, const struct stream_change *change);
void replay_tell_keys(struct replay_changes *c);
/* Alone: a table of what each stream of the configuration came to, or a JSON array. */
void replay_tell_streams(struct replay_changes *c, const struct config *config);
void replay_tell_counts(const uint64_t of[CHANGES]); /* JSON members, and the closing brace */

#endif
