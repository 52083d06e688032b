/* Sources in a saved state go by their names: the configuration that takes it up may number them
 * otherwise. Series of one that is no more belong to none until they are heard by another. */
#include "pipeline/engine/engine_state.h"

void engine_sources_save(const struct engine *e, struct byte_writer *w)
{
    put_u32(w, e->config->source_count);
    for (uint32_t i = 0; i < e->config->source_count; i++) {
        put_text(w, e->config->sources[i].name);
        put_bool(w, e->sources[i].connected);
        put_i64(w, e->sources[i].since_ms);
    }
}

/* source_count: there is none any more. */
static uint32_t present_source(const struct engine_config *c, struct text name)
{
    uint32_t i = 0;
    while (i < c->source_count && !text_equal(c->sources[i].name, name))
        i++;
    return i;
}

void engine_sources_load(struct engine *e, struct old_sources *old, struct byte_reader *r)
{
    old->count = get_u32(r);
    r->failed |= old->count >= UINT8_MAX;
    for (uint32_t i = 0; i < old->count && !r->failed; i++) {
        struct text name = get_text(r);
        struct source_state source = { .connected = get_bool(r) };
        source.since_ms = get_time(r);
        uint32_t now = present_source(e->config, name);
        old->now[i] = (uint8_t)now;
        if (now < e->config->source_count && !r->failed)
            e->sources[now] = source;
    }
}

uint8_t engine_source_load(const struct engine *e, const struct old_sources *old,
                           struct byte_reader *r)
{
    uint16_t source = get_u16(r);
    r->failed |= source > old->count;
    if (r->failed || source == old->count)
        return (uint8_t)e->config->source_count;
    return old->now[source];
}
