/* window: tumbling windows of one series in event time, in a fixed ring of slots.
 *
 * A reading falls into the window that starts at floor(event time / size) * size. A window fires
 * when the watermark passes
 * its end (revision 0), fires again for each reading that comes within `lateness` after that
 * (revision n: the whole, to be
 * upserted), and is closed when the watermark passes end + lateness. What comes later is too late:
 * the caller
 * stores and counts it. When every slot is taken by an open window, the oldest is fired and closed
 * early, and that is
 * counted (`forced`): memory never grows. Aggregates are Welford's, so that count, mean and m2 of
 * two can be merged (Chan, Golub and LeVeque 1979). */
#ifndef PIPELINE_WINDOW_H
#define PIPELINE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"
#include "pipeline/text.h"

struct window_config {
    int64_t size_ms;      /* 1..UINT32_MAX */
    int64_t lateness_ms;  /* >= 0 */
    uint32_t slots;       /* a series, >= 2, sizeof(struct window_slot) each */
};

struct aggregate {
    uint64_t count;
    double mean, m2;      /* sum = mean * count */
    double min, max;
    double first, last;   /* by event time; of equal times the one that came first, and the last */
    int64_t first_ms, last_ms;
};

struct window { /* one window, as it is told */
    int64_t start_ms;     /* event time; the end is start + size */
    uint32_t revision;    /* 0: it fires for the first time */
    bool open;            /* there is one */
    bool dirty;           /* it holds what has not been told */
    uint64_t first_block; /* journal block of its first reading */
    struct aggregate aggregate;
};

struct window_slot { /* and as it is kept: 80 bytes */
    int64_t start_ms;
    uint64_t first_block;
    double mean, m2, min, max, first, last;
    uint32_t first_after_ms, last_after_ms; /* since the start */
    uint32_t count;       /* 0: vacant */
    uint32_t revision : 31; /* that the next firing will have */
    uint32_t dirty : 1;
};

struct windows { /* of one series */
    int64_t floor_ms;     /* what starts before was closed early: never opened again */
    struct window_slot slots[]; /* [window_config.slots] */
};

/* A window's result; slices live until the call that was given it returns. */
struct window_result {
    struct text device, metric, unit;
    int64_t start_ms, end_ms;
    uint32_t revision;
    bool forced;          /* closed early because every slot was taken */
    bool alert_open;      /* of its series: whoever looks into that alert needs this */
    struct aggregate aggregate;
    uint64_t first_block, last_block;
    uint32_t contract_version;
};

/* Of the window that the reading falls into. */
int64_t window_start(int64_t event_time_ms, int64_t size_ms);

void aggregate_push(struct aggregate *a, int64_t event_time_ms, double value);

size_t windows_bytes(const struct window_config *config);
void windows_init(struct windows *w, const struct window_config *config);

/* Put a reading into its window. `watermark_ms` is the key's. The watermark that this very reading
 * brings closes no window that it falls into, so it may be moved first, which makes room.
 *   0           taken
 *   WEIR_ELATE  its window has closed, by the watermark or early; or it holds 2^32 - 1 readings;
 *               nothing changed
 *   WEIR_EFULL  every slot holds an open window and this one is older than all of them; nothing
 * changed
 * When a slot has to be freed, the window pushed out is copied to *forced (open = true, and dirty
 * when it holds what has not been told), else forced->open = false. */
int windows_push(struct windows *w, const struct window_config *config, int64_t watermark_ms,
                 int64_t event_time_ms, double value, uint64_t block, struct window *forced);

/* The next window that is due at this watermark, oldest first, as to be told in *due; false: none.
 * Call until false. Frees slots whose lateness has passed. */
bool windows_due(struct windows *w, const struct window_config *config, int64_t watermark_ms,
                 struct window *due);

/* End of the last open window, or INT64_MIN when none is open: where idleness moves the watermark
 * to. */
int64_t windows_end(const struct windows *w, const struct window_config *config);

void windows_save(const struct windows *w, const struct window_config *config,
                  struct byte_writer *out);
/* Fails the reader on what windows_save does not write; never breaks on any bytes. */
void windows_load(struct windows *w, const struct window_config *config, struct byte_reader *in);

#endif
