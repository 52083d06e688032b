/* A stream that several sources feed: of each key one watermark for each of them, and the slowest
 * of those that are not idle counts. One that a key was never heard by is idle. */
#include "pipeline/streams/streams_state.h"

uint64_t stream_inputs_bytes(const struct stream_plan *plan)
{
    return plan->watched_inputs * sizeof(struct input);
}

void stream_inputs_begin(const struct stream *s, struct entry *e)
{
    for (uint32_t i = 0; i < s->plan->watched_inputs; i++)
        entry_inputs(s, e)[i] = (struct input){ INT64_MIN, INT64_MIN };
}

int64_t stream_inputs_move(const struct stream *s, struct entry *e, const struct input_moved *moved)
{
    struct input *inputs = entry_inputs(s, e), *own = &inputs[moved->input];
    int64_t idle_since_ms = moved->t_ms - s->plan->config->idle_ms, slowest_ms = INT64_MAX;
    own->last_t_ms = moved->t_ms;
    own->watermark_ms = moved->watermark_ms > own->watermark_ms ? moved->watermark_ms
                                                                : own->watermark_ms;
    for (uint32_t i = 0; i < s->plan->watched_inputs; i++)
        if (inputs[i].last_t_ms > idle_since_ms && inputs[i].watermark_ms < slowest_ms)
            slowest_ms = inputs[i].watermark_ms;
    return slowest_ms;
}

/* --- keeping: by name, for a configuration may order sources otherwise --- */

/* Of those that are gone: empty. */
static struct text name_of(const struct stream_plan *plan, uint32_t input)
{
    uint32_t source = 0;
    while (source < plan->fields->source_count && plan->inputs[source] != input)
        source++;
    return source < plan->fields->source_count ? plan->fields->sources[source]
                                               : (struct text){ "", 0 };
}

void stream_inputs_save_names(const struct stream *s, struct byte_writer *w)
{
    put_u8(w, (uint8_t)s->plan->watched_inputs);
    for (uint32_t i = 0; i < s->plan->watched_inputs; i++)
        put_text(w, name_of(s->plan, i));
}

/* Of a stream that is no more (s NULL) all are passed over. */
void stream_inputs_load_names(const struct stream *s, struct old_inputs *old, struct byte_reader *r)
{
    old->count = get_u8(r);
    r->failed |= old->count > STREAM_SOURCES_MAX + 1;
    for (uint32_t i = 0; i < old->count && !r->failed; i++) {
        struct text name = get_text(r);
        old->now[i] = UINT8_MAX;
        for (uint32_t k = 0; s != NULL && k < s->plan->watched_inputs; k++)
            if (text_equal(name, name_of(s->plan, k)))
                old->now[i] = (uint8_t)k;
    }
}

void stream_inputs_save(const struct stream *s, struct entry *e, struct byte_writer *w)
{
    uint32_t heard = 0;
    for (uint32_t i = 0; i < s->plan->watched_inputs; i++)
        heard += entry_inputs(s, e)[i].last_t_ms > INT64_MIN;
    put_u8(w, (uint8_t)heard);
    for (uint32_t i = 0; i < s->plan->watched_inputs; i++) {
        const struct input *input = &entry_inputs(s, e)[i];
        if (input->last_t_ms == INT64_MIN)
            continue;
        put_u8(w, (uint8_t)i);
        put_i64(w, input->watermark_ms);
        put_i64(w, input->last_t_ms);
    }
}

void stream_inputs_load(const struct stream *s, struct entry *e, const struct old_inputs *old,
                        struct byte_reader *r)
{
    uint32_t heard = get_u8(r);
    r->failed |= heard > old->count;
    for (uint32_t i = 0; i < heard && !r->failed; i++) {
        uint8_t input = get_u8(r);
        struct input read = { .watermark_ms = get_time(r) };
        read.last_t_ms = get_time(r);
        r->failed |= input >= old->count;
        if (!r->failed && old->now[input] != UINT8_MAX)
            entry_inputs(s, e)[old->now[input]] = read;
    }
}
