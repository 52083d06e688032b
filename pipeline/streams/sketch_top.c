#include "pipeline/streams/sketch_top.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/hash.h"

static_assert((int)TOP_COUNTERS == 64, "each counter has a bit in top_merge");

/* Not secret: equal values must be equal in every sketch. */
static const struct hash_key VALUES = { 0x746f70206d6f7374u, 0x76616c7565730001u };

static uint32_t hash_of(const struct held *value)
{
    if (value->kind == DATUM_TEXT)
        return (uint32_t)hash64(VALUES, value->text, value->bytes);
    return (uint32_t)hash64(VALUES, &value->number, sizeof value->number);
}

/* --- values --- */

/* As it is told; a character goes in whole or not at all. */
static void hold_text(struct held *h, struct text text)
{
    *h = (struct held){ .kind = DATUM_TEXT };
    for (uint32_t i = 0, bytes; i < text.bytes; i += bytes) {
        const char *escaped = text.at[i] == ' ' ? "%20" : text.at[i] == '%' ? "%25" : NULL;
        uint32_t written = 3;
        bytes = 1;
        while (i + bytes < text.bytes && ((unsigned char)text.at[i + bytes] & 0xc0) == 0x80)
            bytes++;
        if (escaped == NULL)
            written = bytes;
        if (h->bytes + written > HELD_TEXT_BYTES)
            return;
        memcpy(h->text + h->bytes, escaped != NULL ? escaped : text.at + i, written);
        h->bytes = (uint8_t)(h->bytes + written);
    }
}

static void hold(struct held *h, const struct datum *value)
{
    struct datum known = { .kind = DATUM_NUMBER, .number = value->number + 0.0 }; /* no -0 */
    if (value->kind == DATUM_TEXT)
        hold_text(h, value->text);
    else if (value->kind == DATUM_BOOLEAN)
        hold_text(h, text_of(value->number != 0 ? "true" : "false"));
    else
        held_set(h, &known);
}

static bool held_equal(const struct held *a, const struct held *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind != DATUM_TEXT)
        return a->number == b->number;
    return text_equal((struct text){ a->text, a->bytes }, (struct text){ b->text, b->bytes });
}

/* Numbers before texts. */
static bool held_before(const struct held *a, const struct held *b)
{
    if (a->kind != b->kind)
        return a->kind == DATUM_NUMBER;
    if (a->kind == DATUM_NUMBER)
        return a->number < b->number;
    uint8_t bytes = a->bytes < b->bytes ? a->bytes : b->bytes;
    int order = memcmp(a->text, b->text, bytes);
    return order != 0 ? order < 0 : a->bytes < b->bytes;
}

/* --- counters --- */

static uint32_t find(const struct top_state *s, const struct top_counter *wanted)
{
    uint32_t i = 0;
    while (i < s->used && !(s->counters[i].hash == wanted->hash &&
                            held_equal(&s->counters[i].value, &wanted->value)))
        i++;
    return i;
}

static uint32_t least_of(const struct top_state *s)
{
    uint32_t least = 0;
    for (uint32_t i = 1; i < s->used; i++)
        if (s->counters[i].count < s->counters[least].count)
            least = i;
    return least;
}

/* What a value without a counter may have come at most. */
static uint64_t unseen(const struct top_state *s)
{
    return s->used < TOP_COUNTERS ? 0 : s->counters[least_of(s)].count;
}

void top_push(struct top_state *s, const struct datum *value)
{
    if (value->kind == DATUM_NULL)
        return;
    struct top_counter new = { .count = 1 };
    hold(&new.value, value);
    new.hash = hash_of(&new.value);
    uint32_t at = find(s, &new);
    if (at < s->used) {
        s->counters[at].count++;
        return;
    }
    if (s->used < TOP_COUNTERS) {
        s->counters[s->used++] = new;
        return;
    }
    at = least_of(s);
    new.count += s->counters[at].count;
    s->counters[at] = new;
}

/* Both counts where both have one, else what the other may have missed with it; of all those the
 * greatest stay. */
void top_merge(struct top_state *into, const struct top_state *from)
{
    uint64_t missed_into = unseen(into), missed_from = unseen(from), common = 0;
    for (uint32_t i = 0; i < into->used; i++) {
        uint32_t at = find(from, &into->counters[i]);
        into->counters[i].count += at < from->used ? from->counters[at].count : missed_from;
        common |= at < from->used ? (uint64_t)1 << at : 0;
    }
    for (uint32_t i = 0; i < from->used; i++) {
        if ((common >> i & 1) != 0)
            continue;
        struct top_counter more = from->counters[i];
        more.count += missed_into;
        uint32_t least = least_of(into);
        if (into->used < TOP_COUNTERS)
            into->counters[into->used++] = more;
        else if (more.count > into->counters[least].count)
            into->counters[least] = more;
    }
}

/* --- telling --- */

/* A number by its shortest digits that are enough to tell it apart. */
static uint32_t put_value(const struct held *value, char *to)
{
    int bytes = 0;
    if (value->kind == DATUM_TEXT) {
        memcpy(to, value->text, value->bytes);
        return value->bytes;
    }
    for (int precision = 15; precision <= 17; precision++) {
        bytes = snprintf(to, HELD_TEXT_BYTES, "%.*g", precision, value->number);
        if (strtod(to, NULL) == value->number)
            break;
    }
    return (uint32_t)bytes;
}

static bool is_above(const struct top_counter *a, const struct top_counter *b)
{
    return a->count != b->count ? a->count > b->count : held_before(&a->value, &b->value);
}

struct text top_tell(const struct top_state *s, uint32_t most, char *to)
{
    assert(most <= TOP_MOST);
    uint64_t told = 0;
    uint32_t used = 0;
    for (uint32_t n = 0; n < most && n < s->used; n++) {
        uint32_t next = TOP_COUNTERS;
        for (uint32_t i = 0; i < s->used; i++)
            if ((told >> i & 1) == 0 &&
                (next == TOP_COUNTERS || is_above(&s->counters[i], &s->counters[next])))
                next = i;
        told |= (uint64_t)1 << next;
        if (n > 0)
            to[used++] = ' ';
        used += put_value(&s->counters[next].value, to + used);
        used += (uint32_t)snprintf(to + used, TOP_TEXT_BYTES - HELD_TEXT_BYTES, ":%llu",
                                   (unsigned long long)s->counters[next].count);
    }
    return (struct text){ to, used };
}

/* --- keeping --- */

void top_save(const struct top_state *s, struct byte_writer *w)
{
    put_u32(w, (uint32_t)s->used);
    for (uint32_t i = 0; i < s->used; i++) {
        put_u64(w, s->counters[i].count);
        held_save(&s->counters[i].value, w);
    }
}

void top_load(struct top_state *s, struct byte_reader *r)
{
    uint32_t used = get_u32(r);
    if (used > TOP_COUNTERS)
        r->failed = true;
    for (uint32_t i = 0; i < used && !r->failed; i++) {
        struct top_counter *to = &s->counters[i];
        to->count = get_u64(r);
        held_load(&to->value, r);
        if (to->value.kind == DATUM_NULL)
            r->failed = true;
        to->hash = hash_of(&to->value);
        s->used = i + 1;
    }
}
