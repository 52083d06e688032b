/* Streams in the turn of a reading: what they are told of it, and their timers. */
#include "pipeline/engine/engine_state.h"

static struct stream_moment moment_of(const struct engine *e, int64_t reached_ms)
{
    return (struct stream_moment){ .t_ms = e->t_ms, .reached_ms = reached_ms, .block = e->block };
}

static struct stream_out out_of(const struct engine_out *out)
{
    return (struct stream_out){ .ctx = out->ctx, .result = out->stream };
}

void engine_feed_streams(struct engine *e, const struct record *record)
{
    if (e->config->streams.count == 0)
        return;
    struct stream_moment moment = moment_of(e, engine_reached_ms(e, record));
    struct stream_out out = e->out != NULL ? out_of(e->out) : (struct stream_out){ 0 };
    streams_take(e->streams, record, &moment, e->out != NULL ? &out : NULL);
}

void engine_fire_streams(struct engine *e)
{
    struct stream_moment moment = moment_of(e, INT64_MIN);
    struct stream_out out = e->out != NULL ? out_of(e->out) : (struct stream_out){ 0 };
    streams_fire(e->streams, &moment, e->out != NULL ? &out : NULL);
}

struct stream_counts engine_stream_counts(const struct engine *engine, uint32_t stream)
{
    return streams_counts(engine->streams, stream);
}
