/* codec_json_receipt: what a receiver says back (docs/schemas/receipt.json, replay.json).
 *   receipt  {"store":"<32 hex digits>","lanes":{"alerts":41,"results":1200}}
 *            everything up to these sequences has arrived, without a hole
 *   replay   {"store":"<32 hex digits>","lane":"alerts","from":17,"to":19}
 *            these rows please, again
 * Unknown members and lanes are ignored; a wrong type or number makes the whole message invalid.
 */
#ifndef PIPELINE_CODEC_CODEC_JSON_RECEIPT_H
#define PIPELINE_CODEC_CODEC_JSON_RECEIPT_H

#include "pipeline/codec/codec_json.h"

enum { RECEIPT_LANES = 3, RECEIPT_BYTES_MAX = 1024 };

struct receipt {
    uint64_t store_id[2];
    bool has_lane[RECEIPT_LANES]; /* 0 alerts, 1 results, 2 raw */
    uint64_t covered[RECEIPT_LANES];
};

struct replay_request {
    uint64_t store_id[2];
    uint32_t lane;
    uint64_t from, to; /* 1 <= from <= to */
};

/* cJSON's memory is reset first. WEIR_EINVAL: not that message; *out is unchanged. */
int receipt_parse(const struct json_memory *memory, struct text payload, struct receipt *out);
int replay_parse(const struct json_memory *memory, struct text payload,
                 struct replay_request *out);

/* "alerts", "results", "raw". */
const char *receipt_lane_name(uint32_t lane);

#endif
