/* replay: journal blocks through a fresh engine, once more, with what it says.
 *
 * As it was: by the configurations that the journal holds, each from where it came into force. Each
 * block is then compared with what it says that it made (pipeline/made.h): the same input gives the
 * same bits, so anything else is damage, another version's arithmetic, or a bug.
 *
 * Anew: by one given configuration, as if the gateway had had it. Readings are judged again (names,
 * contract, clock, limits) and timers fire as they come due; what was rejected then stays so, for
 * the journal holds no payload of it, and whatever was shed then, too. Nothing is compared.
 *
 * It reads no clock, opens no file and sends nothing; blocks come from the caller, in order. Takes
 * its memory from the heap: two configurations and two engines of the configured size at most. */
#ifndef FIRMWARE_GATEWAY_REPLAY_H
#define FIRMWARE_GATEWAY_REPLAY_H

#include "firmware/config/numbering.h"
#include "pipeline/made.h"

enum replay_verdict {
    REPLAY_SAME,      /* what the block makes is what it says that it made */
    REPLAY_DIFFERENT,
    REPLAY_UNTOLD,    /* it does not say: an older Weir wrote it, or another form */
};

struct replay_sink { /* within the call that makes them; NULL where nobody wants them */
    void *ctx;
    void (*alert)(void *ctx, const struct alert_event *event);
    void (*result)(void *ctx, const struct window_result *result);
    void (*inventory)(void *ctx, struct text content);
    void (*stream)(void *ctx, const struct stream_result *result);
    /* the number-th of its block that asks for a correction; whether that left is not known */
    void (*late)(void *ctx, const struct stream_late *late, uint32_t number);
};

struct replay_counts {
    uint64_t blocks, records, readings; /* taken */
    uint64_t late;
    /* anew only: readings that are rejected now, are repeats now, or came by a source that is no
     * more */
    uint64_t rejected[REJECT_REASON_END], duplicate, sourceless;
};

struct replay { /* read by anybody, written by replay.c */
    const struct config *config; /* in force; NULL: none yet */
    struct engine *engine;       /* its state; NULL likewise */
    bool anew, time_given;
    enum time_policy time;       /* of all sources, where it is given */
    /* anew, the caller's: readings are passed over, only what is known of the world is followed */
    bool skims;
    struct hash_key store;
    struct replay_sink sink;
    struct replay_counts counts;
    /* of the block that was taken last */
    uint64_t block;
    int64_t wall_ms;             /* of its first record; as far as known, 0: not */
    enum replay_verdict verdict;
    struct made_sum now, then;   /* `then` is zero where the block does not say */
    bool reconfigured;           /* a new configuration came into force in it */
    /* by the process that wrote it; before that it said of its clock that it is unset */
    bool clock_told;
    /* replay.c's own */
    struct config *configs[2];
    int config_at;
    void *engine_memory;
    struct made made;
    bool said, says;             /* this block did; blocks of this life do, */
    uint64_t form;               /* in this form; 0: none did yet */
    struct renumbering renumbering; /* anew: from the blocks' numbers to those of `config` */
    uint8_t extra[READING_FIELDS_MAX * (READING_TEXT_BYTES_MAX + 16)]; /* renumbered */
};

struct replay_start {
    struct hash_key store;       /* that wrote the journal: alerts' ids hang on it */
    struct text config;          /* in force at the first block; empty: that block begins with it */
    bool anew;                   /* then `config` is the one given */
    bool time_given;             /* anew: every source goes by this, whatever `config` says */
    enum time_policy time;
    bool says;                   /* who wrote the first block says what its blocks make */
    struct text state;           /* a checkpoint as of the block before the first; empty: none */
    struct clock_record clock;   /* as it is known otherwise, with `config`; offset 0: it is not */
    struct replay_sink sink;
};

/* 0, or with a sentence in `why` (256 bytes)
 *   WEIR_EFULL     no memory, or the state needs more than the configuration allows
 *   WEIR_EINVAL    the configuration is not one to this version
 *   WEIR_ECORRUPT, WEIR_EVERSION  the state can't be read
 * replay_end either way. */
int replay_begin(struct replay *r, const struct replay_start *start, char *why);

/* Anew: the blocks that come mean sources and fields by these numbers, until one of them holds a
 * configuration. Where nobody says so, by those of the configuration given. */
void replay_number(struct replay *r, const struct numbering *then);

/* What a record must be for the engine to take it: in order of time, and within its numbers. A
 * journal that a gateway wrote holds nothing else. */
bool replay_is_sound(const struct record *record, int64_t t_ms);

/* The next block. On error, with a sentence in `why`, nothing more can be taken:
 *   WEIR_ECORRUPT  it does not decode
 *   WEIR_EINVAL    a configuration in it is not one to this version, or there is none
 *   WEIR_EFULL     what is known is more than the new configuration allows; or no memory */
struct block_reader;
int replay_block(struct replay *r, struct block_reader *reader, uint64_t number, struct text bytes,
                 char *why);

/* One record by itself, of no block: recorded files. Anew only. */
void replay_record(struct replay *r, const struct record *record);

/* Anew: fire what is due until then, as the gateway would have. */
void replay_wait(struct replay *r, int64_t t_ms);

/* Wall time that the engine stands at; 0: not known. */
int64_t replay_wall_ms(const struct replay *r);

void replay_end(struct replay *r);

#endif
