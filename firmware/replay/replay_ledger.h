/* replay_ledger: what a replay said, kept so that two can be compared: each alert from its onset to
 * its end, each window at its last revision. On the heap, about 300 bytes an alert and 56 a window.
 *
 * Alerts of two replays are taken for the same one when they are of the same rule, device and
 * metric and overlap in event time: ids hang on the journal's blocks, onsets on the configuration.
 */
#ifndef FIRMWARE_REPLAY_LEDGER_H
#define FIRMWARE_REPLAY_LEDGER_H

#include "firmware/cli/growing.h"
#include "pipeline/alerts/alert.h"
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

struct told_index { /* where an item with that key stands; grows */
    uint32_t *slots;        /* item + 1; 0: vacant */
    size_t mask;
};

struct replay_ledger {
    struct growing alerts;  /* struct told_alert */
    struct growing windows; /* struct told_window */
    struct growing series;  /* struct told_series */
    struct told_index alert_index, window_index, series_index;
    bool full;              /* no memory: what it says is not all */
};

void replay_ledger_begin(struct replay_ledger *l);
void replay_ledger_end(struct replay_ledger *l);
void replay_ledger_alert(struct replay_ledger *l, const struct alert_event *event);
void replay_ledger_window(struct replay_ledger *l, const struct window_result *result);

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

#endif
