/* replay_ledger: what a replay said, kept so that two can be compared: each alert from its onset to
 * its end, each window at its last revision, and so each result of a stream; one that was taken
 * back is none. On the heap, about 300 bytes an alert, 64 a window, and 80 a result of a stream
 * with its values behind that; no more than bytes_max in all: then it is full.
 *
 * Alerts of two replays are taken for the same one when they are of the same rule, device and
 * metric and overlap in event time: ids hang on the journal's blocks, onsets on the configuration.
 */
#ifndef FIRMWARE_REPLAY_LEDGER_H
#define FIRMWARE_REPLAY_LEDGER_H

#include "firmware/cli/growing.h"
#include "pipeline/alerts/alert.h"
#include "pipeline/streams/streams.h"
#include "pipeline/window.h"

struct told_alert {
    char device[READING_NAME_BYTES_MAX + 1], metric[READING_NAME_BYTES_MAX + 1];
    char rule[DETECTOR_NAME_BYTES_MAX + 1];
    struct hash128 key;
    int64_t onset_ms, raised_ms;
    int64_t cleared_ms;     /* INT64_MAX: it stands */
    enum severity severity; /* the highest that was told */
    enum reason reason;     /* of the last revision */
    double observed, score; /* likewise, before it was cleared */
};

struct told_series {
    char device[READING_NAME_BYTES_MAX + 1], metric[READING_NAME_BYTES_MAX + 1];
};

struct told_window {
    uint64_t key;           /* of series, start and end */
    uint64_t value;         /* of the aggregate, bit for bit */
    int64_t start_ms;
    double mean;
    uint64_t count;
    uint32_t series, revision;
};

struct told_key { /* of a stream */
    char stream[READING_NAME_BYTES_MAX + 1];
    size_t at;              /* in texts: its fields by name, a JSON object */
    struct text text;       /* likewise, while two are compared */
    uint32_t bytes;
    uint32_t number, place; /* the ledger's own: in order of the first result, and when sorted */
};

struct told_result { /* of a stream */
    uint64_t key;           /* of stream, key, start and end */
    uint64_t value;         /* of its values, by name, bit for bit */
    int64_t start_ms, end_ms;
    size_t at;              /* in texts: its values, a JSON object */
    uint32_t bytes, room;
    uint32_t owner;         /* in keys */
    uint32_t revision;
    enum stream_result_kind kind;
};

struct told_index { /* where an item with that key stands; grows */
    uint32_t *slots;        /* item + 1; 0: vacant */
    size_t mask;
};

struct replay_ledger {
    struct growing alerts;  /* struct told_alert */
    struct growing windows; /* struct told_window */
    struct growing series;  /* struct told_series */
    struct growing results; /* struct told_result */
    struct growing keys;    /* struct told_key */
    struct told_index alert_index, window_index, series_index, result_index, key_index;
    char *texts;            /* of keys and results */
    size_t texts_bytes, texts_room;
    size_t bytes;           /* that all of it takes */
    size_t bytes_max;       /* may be set after begin */
    bool full;              /* it would take more, or there is no memory: what it says is not all */
};

/* May take a quarter of this machine's memory, and 2 GiB at most. */
void replay_ledger_begin(struct replay_ledger *l);
/* CLI_OK, or CLI_PROBLEM told on stderr: it is full. */
int replay_ledger_check(const struct replay_ledger *l);
void replay_ledger_end(struct replay_ledger *l);
void replay_ledger_alert(struct replay_ledger *l, const struct alert_event *event);
void replay_ledger_window(struct replay_ledger *l, const struct window_result *result);
void replay_ledger_stream(struct replay_ledger *l, const struct stream_result *result);

enum change { CHANGE_SAME, CHANGE_APPEARS, CHANGE_VANISHES, CHANGE_MOVES, CHANGES };
const char *change_name(enum change change);

struct alert_change {
    enum change change;
    const struct told_alert *then, *now; /* NULL: there is none */
};

/* Every alert of either, by rule, device, metric and onset; sorts both. Calls back for each. */
void replay_compare_alerts(struct replay_ledger *then, struct replay_ledger *now, void *ctx,
                           void (*on_change)(void *ctx, const struct alert_change *change));

struct window_change {
    enum change change;
    const struct told_series *series;
    const struct told_window *then, *now; /* NULL: there is none */
};
void replay_compare_windows(struct replay_ledger *then, struct replay_ledger *now, void *ctx,
                            void (*on_change)(void *ctx, const struct window_change *change));

struct stream_change {
    enum change change;
    const struct told_key *key;
    const struct told_result *then, *now;  /* NULL: there is none */
    struct text then_values, now_values;   /* JSON objects */
};
/* Every result of streams of either, by stream, key, start and end; sorts both. What was taken back
 * in the end is not there. */
void replay_compare_streams(struct replay_ledger *then, struct replay_ledger *now, void *ctx,
                            void (*on_change)(void *ctx, const struct stream_change *change));

#endif
