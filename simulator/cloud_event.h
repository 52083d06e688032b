/* cloud_event: what one message from a gateway says, checked: a CloudEvents 1.0 JSON event
 * (alert, gap, notice, correction), or a compressed batch of results or raw readings.
 * docs/receiver.md and docs/formats.md are its specification. Reads only; a message that breaks the
 * specification is told apart by `fault`, with as much as could be read. */
#ifndef SIMULATOR_CLOUD_EVENT_H
#define SIMULATOR_CLOUD_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/codec/codec_results.h"
#include "pipeline/text.h"

enum cloud_kind { CLOUD_ALERT, CLOUD_GAP, CLOUD_NOTICE, CLOUD_CORRECTION, CLOUD_RESULTS,
                  CLOUD_READINGS };

enum { CLOUD_WORD_BYTES = 72, CLOUD_BATCH_BYTES_MAX = 4 * 1024 * 1024 };

struct cloud_event {
    enum cloud_kind kind;
    const char *fault;          /* what breaks the specification; NULL: nothing */
    struct text payload;        /* as it came; the caller's */
    char store[33];             /* 32 hex digits */
    char lane[16];
    uint64_t sequence;          /* 0: not readable */
    /* ALERT */
    char alert_id[CLOUD_WORD_BYTES], device[CLOUD_WORD_BYTES], metric[CLOUD_WORD_BYTES];
    char rule[CLOUD_WORD_BYTES], transition[CLOUD_WORD_BYTES], severity[CLOUD_WORD_BYTES];
    uint32_t revision;
    bool learning;
    int64_t event_ms;           /* when it happened */
    bool has_observed;
    double observed;
    /* GAP: these sequences of the lane will never come; NOTICE: its kind is in `transition` */
    uint64_t gap_from, gap_to;
    /* CORRECTION, beside device and metric above; of the series' own window stream is empty */
    char id[CLOUD_WORD_BYTES], stream[CLOUD_WORD_BYTES];
    uint64_t start_ms, end_ms;
    /* RESULTS, READINGS: open, to be walked by the caller; slices live until the next call */
    struct results_reader batch;
    uint32_t batch_bytes;       /* uncompressed */
};

/* `lane` is the topic's last word. */
void cloud_event_read(struct cloud_event *event, const char *lane, struct text payload);

#endif
