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
    int64_t size_ms;      /* > 0 */
    int64_t lateness_ms;  /* >= 0 */
    uint32_t slots;       /* a series, >= 2 */
};

struct aggregate {
    uint64_t count;
    double mean, m2;      /* sum = mean * count */
    double min, max;
    double first, last;   /* by event time; of equal times the one that came first, and the last */
    int64_t first_ms, last_ms;
};

struct window {
    int64_t start_ms;     /* event time; the end is start + size */
    uint32_t revision;    /* that the next firing will have */
    bool open;            /* the slot is in use */
    bool fired;
    bool dirty;           /* changed since it last fired */
    uint64_t first_block; /* journal block of its first reading */
    struct aggregate aggregate;
};

struct windows { /* of one series; slots are the caller's */
    struct window *slots;
    int64_t floor_ms;     /* what starts before was closed early: never opened again */
    uint32_t forced;
};

/* A window's result; slices live until the call that was given it returns. */
struct window_result {
    struct text device, metric, unit;
    int64_t start_ms, end_ms;
    uint32_t revision;
    bool forced;          /* closed early because every slot was taken */
    struct aggregate aggregate;
    uint64_t first_block, last_block;
    uint32_t contract_version;
};

void aggregate_push(struct aggregate *a, int64_t event_time_ms, double value);

void windows_init(struct windows *w, struct window *slots, const struct window_config *config);

/* Put a reading into its window. `watermark_ms` is the key's, before this reading moved it.
 *   0           taken
 *   WEIR_ELATE  its window has closed, by the watermark or early; nothing changed
 *   WEIR_EFULL  every slot holds an open window and this one is older than all of them; nothing
 * changed
 * When a slot has to be freed, the window pushed out is copied to *forced (open = true, and dirty
 * when it holds what has not been told), else forced->open = false. */
int windows_push(struct windows *w, const struct window_config *config, int64_t watermark_ms,
                 int64_t event_time_ms, double value, uint64_t block, struct window *forced);

/* The next window that is due at this watermark, oldest first: returns it with fired set and
 * revision
 * as to be told in *due, or returns false. Call until false. Frees slots whose lateness has passed.
 * */
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
