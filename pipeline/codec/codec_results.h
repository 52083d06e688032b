/* codec_results: many window results, raw readings, or results of streams, in one compact message
 * upstream. docs/formats.md specifies it byte for byte for those who write a receiver;
 * tests/vectors holds examples.
 *
 * A message: header (magic "WR", version, kind, store id, lane, sequence, first and last block,
 * configuration digest, contract version),
 * then names, then columns with deltas. Uncompressed here; the store's outbox keeps and sends it as
 * zlib (RFC 1950).
 * The builder refuses (WEIR_EFULL, nothing changed) what no longer fits; the caller finishes it and
 * begins another. */
#ifndef PIPELINE_CODEC_CODEC_RESULTS_H
#define PIPELINE_CODEC_CODEC_RESULTS_H

#include "pipeline/arena.h"
#include "pipeline/packing.h"
#include "pipeline/record.h"
#include "pipeline/streams/streams.h"
#include "pipeline/window.h"

enum results_kind { RESULTS_WINDOWS = 1, RESULTS_READINGS = 2, RESULTS_STREAMS = 3 };

struct results_header {
    enum results_kind kind;
    uint64_t store_id[2];
    uint64_t sequence;       /* in its lane */
    uint64_t first_block, last_block;
    uint8_t config_digest[32];
    uint32_t contract_version;
    uint32_t count;
};

enum {
    RESULTS_BYTES_MIN = 2048,     /* of bytes_max */
    RESULTS_ITEMS_MAX = 20000,    /* of items_max */
    RESULTS_COLUMNS_MAX = 20,
    RESULTS_NAME_MARKS = 128,
    RESULTS_STREAM_BYTES = 16 * 1024,
    RESULTS_KIND_AT = 3           /* of a finished batch: its byte that says which kind it is */
};

struct results_builder; /* opaque */
/* NULL while the arena only measures. At most items_max items, bytes_max bytes when finished. */
struct results_builder *results_builder_init(enum results_kind kind, uint32_t items_max,
                                             uint32_t bytes_max, struct arena *arena);
void results_builder_reset(struct results_builder *b);
int results_add_window(struct results_builder *b, const struct window_result *result);
int results_add_reading(struct results_builder *b, const struct record *record);
/* A row for each of its values, all or none. An empty builder of RESULTS_STREAM_BYTES takes any. */
int results_add_stream(struct results_builder *b, const struct stream_result *result);
uint32_t results_count(const struct results_builder *b);
/* header->count, ->kind and ->contract_version are filled in here, and ->first_block goes back to
 * the oldest block of the windows. */
void results_finish(struct results_builder *b, struct results_header *header,
                    struct byte_writer *w);

/* A finished batch of that store gets its place in the lane, at `at`. 0, or WEIR_ECORRUPT,
 * WEIR_EVERSION: it is none. */
int results_renumber(uint8_t *at, size_t bytes, const uint64_t store_id[2], uint64_t sequence);

/* Decoding, for receivers, tests and the simulator. Slices point into `bytes`.
 *   WEIR_ECORRUPT, WEIR_EVERSION */
struct results_place { /* where the row before stood: what the next one is a difference to */
    uint64_t device, metric, unit, extra; /* names */
    uint64_t start, length, count, first_block, contract; /* windows */
    uint64_t t, event, sequence, index, source, flags;    /* readings */
    uint64_t scale;
    uint64_t stream, key, revision, field, type, last_block; /* results of streams */
};

struct results_reader {
    struct results_header header; /* to be read by anybody; the rest is the codec's own */
    uint32_t next;
    uint32_t name_count;
    struct text names;
    uint32_t name_stride;         /* every so many names one is marked, so that a name is found */
    uint32_t name_marks[RESULTS_NAME_MARKS];
    struct packed_column columns[RESULTS_COLUMNS_MAX];
    struct results_place place;
};
int results_open(struct results_reader *r, struct text bytes);
/* 1, 0 at the end, or an error */
int results_next_window(struct results_reader *r, struct window_result *result);
int results_next_reading(struct results_reader *r, struct record *record);

struct stream_row { /* one value of one result */
    struct text stream, key;  /* as in struct stream_result */
    int64_t start_ms, end_ms;
    uint32_t revision;
    enum stream_result_kind kind;
    bool forced;
    struct text name;
    struct datum value;
    uint64_t first_block, last_block;
};
int results_next_stream(struct results_reader *r, struct stream_row *row);

#endif
