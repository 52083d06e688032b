#include "pipeline/detect/counter.h"

#include <assert.h>

enum { RISES_KNOWN = 100, READINGS_KNOWN = 500, SPAN_KNOWN_S = 86400 };

static void learn(struct counter *c, bool rises, int64_t gap_ms)
{
    int64_t span_s = c->span_s + (gap_ms + 999) / 1000;
    c->span_s = span_s < SPAN_KNOWN_S ? (uint32_t)span_s : SPAN_KNOWN_S;
    c->readings = (uint16_t)(c->readings + (c->readings < READINGS_KNOWN));
    c->rises = (uint8_t)(c->rises + (rises && c->rises < RISES_KNOWN));
    c->is_one = c->span_s == SPAN_KNOWN_S && c->readings == READINGS_KNOWN &&
                c->rises == RISES_KNOWN;
}

enum counter_step counter_take(struct counter *c, double previous, double value, int64_t gap_ms)
{
    assert(gap_ms >= 0);
    if (value >= previous) {
        if (!c->is_one)
            learn(c, value > previous, gap_ms);
        return c->is_one ? COUNTER_GOES_ON : COUNTER_NOT;
    }
    if (c->is_one && value >= 0 && value < previous / 2)
        return COUNTER_RESET;
    *c = (struct counter){ .is_one = false };
    return COUNTER_NOT;
}

void counter_save(const struct counter *c, struct byte_writer *w)
{
    put_u32(w, c->span_s);
    put_u16(w, c->readings);
    put_u8(w, c->rises);
    put_bool(w, c->is_one);
}

void counter_load(struct counter *c, struct byte_reader *r)
{
    c->span_s = get_u32(r);
    c->readings = get_u16(r);
    c->rises = get_u8(r);
    c->is_one = get_bool(r);
    if (c->span_s > SPAN_KNOWN_S || c->readings > READINGS_KNOWN || c->rises > RISES_KNOWN)
        r->failed = true;
}
