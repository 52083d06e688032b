/* streams: readings into windows by any key, for each configured stream on its own.
 *
 * A reading goes to every stream whose `where` is true of it (null is not) and whose key's fields
 * it has. Each key has a watermark of its own: min(event time, arrival's wall time while that is
 * synced) - out_of_orderness, never back. A window is told when the watermark passes its end, and
 * again, whole, for each reading that comes within `lateness` after that; then it is closed: a
 * reading that is too late for all its windows is counted, and changes nothing. Where several
 * sources feed a stream, a key has a watermark for each that it was heard by, and its own is the
 * slowest of those that were heard less than `idle` ago, never back; that one is idle is seen with
 * the key's next reading. After `idle` without a reading a key's windows are told that are over by
 * the clock, less out_of_orderness (struct stream_clock); its watermark moves there, and
 * not beyond the last window's end; the others are told when they are over, and the key is not
 * forgotten before. With `final_only` a window is told once, when its lateness has passed.
 * Windows that share readings (hopping) share panes: a reading goes into one pane, and a window is
 * its panes merged when it is told (Li, Maier, Tufte, Papadimos and Tucker, "No Pane, No Gain",
 * 2005).
 *
 * A session is readings of which none is `gap` or more after the one before; it ends `gap` after
 * the last, and is told and closed by the rules above. Told, and then longer or joined to another
 * by a late reading, it is taken back (a retraction under its bounds, without values) and told
 * under its new bounds.
 *
 * A sliding window ends with a reading: at the first multiple of `every` behind it. One over a span
 * is a hopping window that is told where it has a reading in its last `every`. One of the last n
 * holds the n newest before its end, which closes by the rules above; a late reading revises those
 * that it is among the last n of. Where a key has no room for one more reading, the windows that
 * its oldest is in are told early and closed.
 *
 * With `early` a window that is open is told before its end too, so often while readings come
 * (STREAM_EARLY). `derive` adds values computed of a result's others. Rules judge results: as a
 * window closes, when it is told early, or after each reading, the fullest window that it is in; of
 * several that are judged at once, one of which it is true counts. previous(x) and baseline(x) are
 * of the windows of the key that closed before (the baseline: a mean that forgets, over about
 * BASELINE_LENGTH of them, null before BASELINE_LEAST), null in revisions; in rules on readings, of
 * what the earlier readings were judged by. A rule that is null of a result says nothing of it. A
 * key that is forgotten is well again.
 *
 * Keys stand in a table of fixed size. A key without a reading for `ttl` is forgotten; at the limit
 * a new one is refused, or the one longest without a reading is told and forgotten (counted, both).
 * A key that comes again begins anew: what was told of it stands, and is not revised.
 *
 * Part of the engine's fold: the state follows from the calls alone. Time: t (pipeline time) comes
 * with each call, event time with each reading. Memory: carved once. Cost of a reading: the
 * expressions' steps, a hash of the key, one pane; of a result, its panes, or its n readings. */
#ifndef PIPELINE_STREAMS_STREAMS_H
#define PIPELINE_STREAMS_STREAMS_H

#include "pipeline/arena.h"
#include "pipeline/hash.h"
#include "pipeline/record.h"
#include "pipeline/streams/stream_plan.h"

struct stream_set { /* what is configured */
    uint32_t count;
    const struct stream_plan *plans; /* [count] */
};

enum stream_result_kind {
    STREAM_CLOSE,     /* the watermark, or idleness, has passed the window's end */
    STREAM_REVISION,  /* told before; a late reading came */
    STREAM_RETRACTION, /* told before, and no window any more: its session grew or was joined */
    STREAM_EARLY,      /* it is open still */
    STREAM_RESULT_KINDS
};

/* "close", "revision", "retraction", "early" */
const char *stream_kind_name(enum stream_result_kind kind);

struct stream_value {
    struct text name;
    struct datum value;
};

/* One window of one key. Identity: the store's id, stream, key, start, end; of two with the same
 * the greater revision counts. Slices live until the call that was given it returns. */
struct stream_result {
    const struct stream_plan *plan;
    struct text stream;   /* its name */
    struct text key;      /* packed: (u8 place in the key, u8 value_type, f64 or text)... */
    int64_t start_ms, end_ms;
    uint32_t revision;
    enum stream_result_kind kind;
    bool forced;          /* told early, for want of room */
    uint32_t count;       /* of values */
    const struct stream_value *values;
    uint64_t first_block, last_block;
};

/* A reading that came too late for windows that are closed: for `windows` of them, the first from
 * start_ms to end_ms, each slide_ms behind the one before. Of a session: the least that it would
 * have been; of the last n readings: the one that it would have ended. Slices live until the call
 * that was given it returns. */
struct stream_late {
    const struct stream_plan *plan; /* NULL: the windows of the reading's own series */
    struct text key;             /* packed, as a result's; empty without a plan */
    const struct record *record;
    int64_t start_ms, end_ms, slide_ms;
    uint32_t windows;
    int64_t lateness_ms;         /* that was allowed */
    int64_t needed_ms;           /* and that would have been enough; less than what was allowed:
                                    the windows were closed for want of room */
};

struct stream_out { /* NULL: a rebuild */
    void *ctx;
    void (*result)(void *ctx, const struct stream_result *result);
    /* of a stream with late_out, before the results of the same reading; NULL: nobody asks */
    void (*late)(void *ctx, const struct stream_late *late);
};

/* How much lateness a reading needed to be in all of its windows: at most the i-th of these; the
 * first is none, and behind the last stand those that needed more. */
enum { STREAM_DELAYS = 24 };
extern const int64_t stream_delays_ms[STREAM_DELAYS];

struct stream_counts {
    uint64_t taken;       /* readings, late ones too */
    uint64_t without_key; /* a field of the key was null, or the key too long */
    uint64_t late;        /* too late for all their windows */
    uint64_t late_partly; /* for some of them */
    uint64_t refused;     /* for want of room for their key */
    uint64_t evicted, expired; /* keys */
    uint64_t forced;      /* windows */
    uint64_t results, revisions, retractions, early;
    uint64_t delays[STREAM_DELAYS + 1]; /* of those that had a key with room */
    uint32_t keys;
};

struct streams; /* opaque; streams_state.h */

/* NULL while the arena only measures. `set` outlives the streams. */
struct streams *streams_init(const struct stream_set *set, struct hash_key key,
                             struct arena *arena);

/* What a rule says of a key. One that is well is told only after one that was not. */
struct stream_verdict {
    const struct stream_plan *plan;
    uint32_t rule;        /* of the plan */
    struct text key;      /* packed */
    bool anomalous;
    double observed;
    int64_t event_ms;
};

/* What else a reading is judged by. */
struct stream_moment {
    int64_t t_ms;
    int64_t reached_ms;   /* event time that the watermark may follow */
    uint64_t block;
    void *ctx;
    void (*verdict)(void *ctx, const struct stream_verdict *verdict); /* in a rebuild too */
};
void streams_take(struct streams *s, const struct record *record,
                  const struct stream_moment *moment, const struct stream_out *out);

/* Past this clock idleness ends no window. Zeros: there is none, and idleness alone ends them. */
struct stream_clock {
    bool has_a_say;
    bool unset;           /* nothing is taken, and no window is over */
    int64_t offset_ms;    /* wall time less pipeline time */
    int64_t since_ms;     /* pipeline time from which that is so */
    int64_t ahead_ms;     /* windows that begin further ahead are not waited for */
};
/* O(keys that wait for the clock) where that is set back by more than a minute: they are looked at
 * anew, one at a time, as timers from since_ms on; likewise when it was unset. */
void streams_set_clock(struct streams *s, const struct stream_clock *clock);

/* As engine_deadline: the earliest timer where that is due at t_ms, else when to look again. */
int64_t streams_deadline(const struct streams *s, int64_t t_ms);
/* Fire the earliest timer, at moment->t_ms. */
void streams_fire(struct streams *s, const struct stream_moment *moment,
                  const struct stream_out *out);

/* What results have taken since streams_init, at most: plan->result_steps and STREAM_RESULT_STEPS
 * for each, of 10 ns on a PC. For whoever bounds a turn; no part of the state. */
enum { STREAM_RESULT_STEPS = 100 };
uint64_t streams_steps(const struct streams *s);

enum { BASELINE_LENGTH = 20, BASELINE_LEAST = 5 };

/* Verdicts of one streams_take, or one streams_fire, at most. */
uint32_t streams_verdicts_max(const struct stream_set *set);
/* Values in all results that one streams_take, or one streams_fire, makes at most. So many bytes of
 * text as STREAM_TEXT_VALUE_BYTES count as one more: they take no more room in a message. */
enum { STREAM_TEXT_VALUE_BYTES = 64 };
uint32_t streams_values_max(const struct stream_set *set);

struct stream_counts streams_counts(const struct streams *s, uint32_t stream);

/* What the delays say of the lateness: the least of stream_delays_ms with which all but `missed` of
 * the readings (0.001: one in a thousand) would be in all their windows; INT64_MAX: none. */
int64_t stream_lateness_for(const struct stream_counts *counts, double missed);

enum stream_hint { /* of a stream that has had enough readings to tell */
    STREAM_HINT_NONE,
    STREAM_HINT_TIGHT,    /* more than one in a thousand came too late; a longer one would help */
    STREAM_HINT_LONG      /* half of it would have missed nothing */
};
enum stream_hint stream_hint_of(const struct stream_plan *plan, const struct stream_counts *counts);

/* --- keeping --- */

size_t streams_save_bytes_max(const struct stream_set *set);
/* The state in parts of at most streams_part_bytes_max bytes each: `part` is called for each with
 * what was written into the writer since, and may set it back. NULL: all into the writer. */
size_t streams_part_bytes_max(const struct stream_set *set);
void streams_save(const struct streams *s, struct byte_writer *w,
                  void (*part)(void *ctx, struct byte_writer *w), void *ctx);
/* Into streams just initialised. A stream whose definition changed, or that is new, starts empty:
 * a bit for each of them is returned. Of keys that have no more room, those longest without a
 * reading are forgotten. Where a stream's rules are others than before, each may be told that it is
 * well, of any key. Fails the reader on what streams_save does not write; never breaks on any
 * bytes. */
uint64_t streams_load(struct streams *s, struct byte_reader *r);
/* Of those the ones that are not new. */
uint64_t streams_changed(const struct streams *s);

#endif
