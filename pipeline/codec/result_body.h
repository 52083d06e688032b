/* result_body: a stream's result as it is kept in the store and shown to whoever asks: members of a
 * JSON object, "kind", "forced", "key" (fields by name) and "values" (aggregates by name). Bounds
 * and revision stand beside it, in columns. The receivers upstream get codec_results instead. */
#ifndef PIPELINE_CODEC_RESULT_BODY_H
#define PIPELINE_CODEC_RESULT_BODY_H

#include "pipeline/streams/streams.h"

/* That result_body writes at most, of this stream's results. */
uint32_t result_body_bytes_max(const struct stream_plan *plan);

/* The members, without braces; room for result_body_bytes_max and a few more is needed. */
struct text result_body(const struct stream_result *result, void *to, size_t bytes);

#endif
