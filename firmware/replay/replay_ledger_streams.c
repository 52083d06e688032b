/* The part of replay_ledger.h that is of results of streams. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/json_view.h"
#include "firmware/replay/replay_ledger_parts.h"
#include "firmware/replay/replay_out.h"

enum { TEXT_ROOM = 16 }; /* values are kept in multiples of this: revisions mostly fit in place */

static struct told_result *result_at(const struct replay_ledger *l, size_t i)
{
    return (struct told_result *)l->results.at + i;
}

static struct told_key *key_at(const struct replay_ledger *l, size_t i)
{
    return (struct told_key *)l->keys.at + i;
}

static struct text text_at(const struct replay_ledger *l, size_t at, uint32_t bytes)
{
    return (struct text){ l->texts + at, bytes };
}

static uint64_t key_hash(struct text stream, struct text key)
{
    struct hash_state h;
    hash_begin(&h, LEDGER_HASH, 0);
    hash_add(&h, stream.at, stream.bytes);
    hash_add(&h, "", 1);
    hash_add(&h, key.at, key.bytes);
    return hash_end64(&h);
}

static uint64_t key_hash_at(const struct replay_ledger *l, size_t i)
{
    const struct told_key *k = key_at(l, i);
    return key_hash(text_of(k->stream), text_at(l, k->at, k->bytes));
}

static uint64_t result_hash_at(const struct replay_ledger *l, size_t i)
{
    return result_at(l, i)->key;
}

/* --- texts --- */

/* Where so many bytes may stand; SIZE_MAX: no room. */
static size_t text_room(struct replay_ledger *l, size_t bytes)
{
    if (l->texts_bytes + bytes > l->texts_room) {
        size_t room = l->texts_room == 0 ? (size_t)64 * 1024 : 2 * l->texts_room;
        char *grown = ledger_take(l, room - l->texts_room) ? realloc(l->texts, room) : NULL;
        if (grown == NULL) {
            l->full = true;
            return SIZE_MAX;
        }
        l->texts = grown;
        l->texts_room = room;
    }
    size_t at = l->texts_bytes;
    l->texts_bytes += bytes;
    return at;
}

/* --- what is said --- */

/* UINT32_MAX: no room. */
static uint32_t owner_of(struct replay_ledger *l, struct text stream, struct text key)
{
    uint64_t hash = key_hash(stream, key);
    if (!index_grow(l, &l->key_index, l->keys.count, key_hash_at))
        return UINT32_MAX;
    size_t slot = (size_t)(hash & l->key_index.mask);
    for (; l->key_index.slots[slot] != 0; slot = (slot + 1) & l->key_index.mask) {
        const struct told_key *k = key_at(l, l->key_index.slots[slot] - 1);
        if (text_equal(text_of(k->stream), stream) &&
            text_equal(text_at(l, k->at, k->bytes), key))
            return k->number;
    }
    size_t at = text_room(l, key.bytes);
    struct told_key *k = at != SIZE_MAX ? ledger_add(l, &l->keys) : NULL;
    if (k == NULL)
        return UINT32_MAX;
    memcpy(l->texts + at, key.at, key.bytes);
    *k = (struct told_key){ .at = at, .bytes = key.bytes, .number = (uint32_t)l->keys.count - 1 };
    assert(stream.bytes < sizeof k->stream); /* a configured name */
    memcpy(k->stream, stream.at, stream.bytes);
    l->key_index.slots[slot] = (uint32_t)l->keys.count;
    return k->number;
}

static struct told_result *result_find(const struct replay_ledger *l, uint64_t key)
{
    size_t slot = (size_t)(key & l->result_index.mask);
    for (; l->result_index.slots[slot] != 0; slot = (slot + 1) & l->result_index.mask)
        if (result_at(l, l->result_index.slots[slot] - 1)->key == key)
            return result_at(l, l->result_index.slots[slot] - 1);
    return NULL;
}

/* NULL: no room. */
static struct told_result *result_of(struct replay_ledger *l, const struct stream_result *result,
                                     struct text key)
{
    const uint64_t parts[] = { key_hash(result->stream, key), (uint64_t)result->start_ms,
                               (uint64_t)result->end_ms };
    uint64_t hash = hash64(LEDGER_HASH, parts, sizeof parts);
    if (!index_grow(l, &l->result_index, l->results.count, result_hash_at))
        return NULL;
    struct told_result *r = result_find(l, hash);
    if (r != NULL)
        return r;
    uint32_t owner = owner_of(l, result->stream, key);
    r = owner != UINT32_MAX ? ledger_add(l, &l->results) : NULL;
    if (r == NULL)
        return NULL;
    *r = (struct told_result){ .key = hash, .start_ms = result->start_ms,
                               .end_ms = result->end_ms, .owner = owner };
    index_put(&l->result_index, hash, l->results.count - 1);
    return r;
}

void replay_ledger_stream(struct replay_ledger *l, const struct stream_result *result)
{
    static char to[REPLAY_BODY_BYTES];
    if (l->full)
        return;
    struct text body = replay_out_body(result, to), values = json_view_at(body, "values");
    struct told_result *r = result_of(l, result, json_view_at(body, "key"));
    if (r == NULL)
        return;
    if (values.bytes > r->room) {
        uint32_t room = (values.bytes + TEXT_ROOM - 1) / TEXT_ROOM * TEXT_ROOM;
        size_t at = text_room(l, room);
        if (at == SIZE_MAX)
            return;
        r->at = at;
        r->room = room;
    }
    memcpy(l->texts + r->at, values.at, values.bytes);
    r->bytes = values.bytes;
    r->value = hash64(LEDGER_HASH, values.at, values.bytes);
    r->revision = result->revision;
    r->kind = result->kind;
}

/* --- comparing --- */

static int order_of_keys(const void *first, const void *second)
{
    const struct told_key *a = first, *b = second;
    int order = strcmp(a->stream, b->stream);
    uint32_t bytes = a->text.bytes < b->text.bytes ? a->text.bytes : b->text.bytes;
    if (order == 0)
        order = memcmp(a->text.at, b->text.at, bytes);
    return order != 0 ? order : (int)a->text.bytes - (int)b->text.bytes;
}

static int order_of_windows(const struct told_result *a, const struct told_result *b)
{
    if (a->start_ms != b->start_ms)
        return a->start_ms < b->start_ms ? -1 : 1;
    return a->end_ms < b->end_ms ? -1 : a->end_ms > b->end_ms;
}

static int order_of_results(const void *first, const void *second)
{
    const struct told_result *a = first, *b = second;
    if (a->owner != b->owner)
        return a->owner < b->owner ? -1 : 1;
    return order_of_windows(a, b);
}

static void sort(struct replay_ledger *l)
{
    for (size_t i = 0; i < l->keys.count; i++)
        key_at(l, i)->text = text_at(l, key_at(l, i)->at, key_at(l, i)->bytes);
    if (l->keys.count > 1)
        qsort(l->keys.at, l->keys.count, sizeof(struct told_key), order_of_keys);
    for (size_t i = 0; i < l->keys.count; i++)
        key_at(l, key_at(l, i)->number)->place = (uint32_t)i;
    for (size_t i = 0; i < l->results.count; i++)
        result_at(l, i)->owner = key_at(l, result_at(l, i)->owner)->place;
    for (size_t i = 0; i < l->keys.count; i++)
        key_at(l, i)->number = (uint32_t)i;
    if (l->results.count > 1)
        qsort(l->results.at, l->results.count, sizeof(struct told_result), order_of_results);
    free(l->result_index.slots); /* they stand elsewhere now */
    free(l->key_index.slots);
    l->result_index = l->key_index = (struct told_index){ 0 };
}

/* The first from there on that was not taken back; NULL: none. */
static const struct told_result *next_of(const struct replay_ledger *l, size_t *at)
{
    while (*at < l->results.count && result_at(l, *at)->kind == STREAM_RETRACTION)
        (*at)++;
    return *at < l->results.count ? result_at(l, *at) : NULL;
}

static int order_of_two(const struct replay_ledger *then, const struct told_result *a,
                        const struct replay_ledger *now, const struct told_result *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? 1 : -1;
    int order = order_of_keys(key_at(then, a->owner), key_at(now, b->owner));
    return order != 0 ? order : order_of_windows(a, b);
}

void replay_compare_streams(struct replay_ledger *then, struct replay_ledger *now, void *ctx,
                            void (*on_change)(void *ctx, const struct stream_change *change))
{
    size_t at = 0, beside = 0;
    const struct told_result *a, *b;
    sort(then);
    sort(now);
    while ((a = next_of(then, &at), b = next_of(now, &beside), a != NULL || b != NULL)) {
        int order = order_of_two(then, a, now, b);
        struct stream_change c = { .then = order <= 0 ? a : NULL, .now = order >= 0 ? b : NULL };
        c.change = c.now == NULL    ? CHANGE_VANISHES
                   : c.then == NULL ? CHANGE_APPEARS
                   : a->value == b->value ? CHANGE_SAME : CHANGE_MOVES;
        c.key = c.then != NULL ? key_at(then, a->owner) : key_at(now, b->owner);
        if (c.then != NULL)
            c.then_values = text_at(then, a->at, a->bytes);
        if (c.now != NULL)
            c.now_values = text_at(now, b->at, b->bytes);
        at += c.then != NULL;
        beside += c.now != NULL;
        on_change(ctx, &c);
    }
}
