/* replay_run: a stretch of a journal through a replay, block by block: where to start, what is
 * before the stretch, how fast, and how far it is. Progress goes to stderr while that is a
 * terminal, or where it is asked for. */
#ifndef FIRMWARE_REPLAY_RUN_H
#define FIRMWARE_REPLAY_RUN_H

#include "firmware/replay/journal_copy.h"
#include "firmware/gateway/replay.h"

struct replay_range {
    int64_t from_ms, to_ms;  /* wall time of arrival; INT64_MIN, INT64_MAX: from or to the end */
    int64_t warmup_ms;       /* anew: what is read before `from`; as it was, without a state to
                              * start from: what is marked from the journal's beginning on */
    double speed;            /* times pipeline time; 0: as fast as can be */
    bool progress;           /* asked for */
};

struct replay_run {
    struct journal_copy *copy;
    struct replay_range range;
    struct text config;      /* anew: the one; else in force where the journal does not say */
    bool anew;
    bool time_given;         /* anew: by this, whatever the sources say */
    enum time_policy time;
    /* as it was, where what was known then is gone: anew, by the configuration that the journal
     * names last, after a warm-up */
    bool may_warm_up;
    struct replay_sink sink;
    /* after each block that is in the range */
    void (*on_block)(void *ctx, const struct replay_run *run);
    void *ctx;
    /* out */
    struct replay replay;
    bool warmed_up;          /* it came to that */
    bool in_range;           /* now: what is said is of the range, and may be compared */
    bool marks;              /* now: it is of the range, and of the warm-up before what may be */
    /* as it was, from what is left of a journal whose beginning is gone, and without a state: that
     * is wall time up to which it warms up; 0: it is not so */
    int64_t warm_ms;
    uint64_t start_block;    /* as of whose end the state was taken from a checkpoint; 0: none */
    struct replay_sum {
        uint64_t blocks, alerts, results;
    } before,                /* the range: made on the way to it, and compared with nothing */
      marked;                /* of the range, and likewise: while `marks` */
    uint64_t first_block, last_block;   /* of the range */
    int64_t first_ms, last_ms;
    int64_t took_us, core_us; /* from the first block to the last; time of a core in it */
    char *was;               /* run's own: text of a configuration, */
    uint8_t *state;          /* and of a state */
};

/* CLI_OK, or CLI_PROBLEM told on stderr. replay_run_close either way. */
int replay_run(struct replay_run *run);
void replay_run_close(struct replay_run *run);

/* What the journal says of the end of a block. O(blocks before it). */
struct replay_then {
    const struct replay_sink *sink; /* in: hears of inventories; NULL: nobody does */
    struct text config; /* in force; empty: it does not say */
    bool says;          /* who wrote it says what its blocks make, as far as is known */
};
/* `config` goes into `to` ([CONFIG_FILE_BYTES_MAX]). -1 told on stderr. */
int replay_then_at(struct journal_copy *copy, uint64_t block, char *to, struct replay_then *then);

#endif
