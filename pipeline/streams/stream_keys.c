/* Who is known to a stream: keys, their table, and the two lists in order of the last reading. */
#include <assert.h>

#include "pipeline/streams/streams_state.h"

/* Of a copy that it knows to be short gcc makes `rep movs`, which takes longer than all the rest.
 * Some bytes are copied twice. */
static void copy_short(uint8_t *to, const char *from, uint32_t bytes)
{
    if (bytes >= 8) {
        for (uint32_t i = 0; i + 8 < bytes; i += 8)
            memcpy(to + i, from + i, 8);
        memcpy(to + bytes - 8, from + bytes - 8, 8);
        return;
    }
    for (uint32_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)from[i];
}

/* As put_u8 twice and put_text, for all that is short: most keys are. */
static bool pack_text(struct byte_writer *w, uint8_t place, struct text text)
{
    if (text.bytes >= 128 || w->used + 3 + text.bytes > w->bytes) {
        put_u8(w, place);
        put_u8(w, VALUE_TEXT);
        put_text(w, text);
        return !w->failed;
    }
    uint8_t *to = w->at + w->used;
    to[0] = place;
    to[1] = VALUE_TEXT;
    to[2] = (uint8_t)text.bytes;
    copy_short(to + 3, text.at, text.bytes);
    w->used += 3 + text.bytes;
    return true;
}

bool stream_key_pack(const struct stream_plan *plan, const struct datum *fields,
                     struct stream_key *key)
{
    struct byte_writer w = { key->bytes, plan->config->key_bytes, 0, false };
    for (uint32_t i = 0; i < plan->key_count; i++) {
        const struct datum *field = &fields[plan->key[i]];
        if (field->kind == DATUM_TEXT) {
            if (!pack_text(&w, (uint8_t)i, field->text))
                return false;
            continue;
        }
        if (field->kind == DATUM_NULL)
            return false;
        put_u8(&w, (uint8_t)i);
        put_u8(&w, field->kind == DATUM_NUMBER ? VALUE_NUMBER : VALUE_BOOLEAN);
        put_f64(&w, field->number + 0.0); /* no negative zero */
    }
    key->used = (uint32_t)w.used;
    return !w.failed;
}

static size_t align(size_t bytes)
{
    return (bytes + ACCUMULATOR_ALIGN - 1) / ACCUMULATOR_ALIGN * ACCUMULATOR_ALIGN;
}

void stream_keys_init(struct stream *s, const struct stream_plan *plan, struct arena *arena)
{
    uint32_t keys = plan->config->keys_max, slots = 16;
    while (slots < 2 * keys)
        slots *= 2;
    *s = (struct stream){ .plan = plan, .table_mask = slots - 1, .vacant = STREAM_NONE };
    s->memories_at = align(sizeof(struct entry) + plan->config->key_bytes);
    s->inputs_at = align(s->memories_at + plan->memory_bytes);
    s->panes_at = align(s->inputs_at + plan->watched_inputs * sizeof(struct input));
    s->entry_bytes = s->panes_at + windows_of(plan)->bytes(plan);
    s->entries = arena_take(arena, keys, s->entry_bytes);
    s->table = arena_take(arena, slots, sizeof *s->table);
    for (int list = 0; list < LISTS; list++)
        s->lists[list].first = s->lists[list].last = STREAM_NONE;
    s->early.first = s->early.last = STREAM_NONE;
}

uint64_t stream_key_bytes(const struct stream_plan *plan)
{
    struct stream s;
    struct arena arena = arena_measure();
    stream_keys_init(&s, plan, &arena);
    return arena.used / plan->config->keys_max;
}

/* --- the table --- */

static uint32_t hash_of(const struct streams *all, const struct stream_key *key)
{
    return (uint32_t)hash64(all->key, key->bytes, key->used);
}

static bool is_key(const struct stream *s, uint32_t index, uint32_t hash,
                   const struct stream_key *key)
{
    struct entry *e = entry_at(s, index);
    return e->hash == hash && e->key_bytes == key->used &&
           bytes_equal((const char *)entry_key(e), (const char *)key->bytes, key->used);
}

uint32_t stream_entry_guess(const struct stream *s, const struct stream_key *key)
{
    if (s->used == 0)
        return STREAM_NONE;
    uint32_t index = entry_at(s, s->found)->guess;
    struct entry *e = entry_at(s, index);
    bool same = e->key_bytes == key->used &&
                bytes_equal((const char *)entry_key(e), (const char *)key->bytes, key->used);
    return same ? index : STREAM_NONE;
}

void stream_entry_learn(struct stream *s, uint32_t index)
{
    entry_at(s, s->found)->guess = index;
    s->found = index;
}

uint32_t stream_entry_find(const struct streams *all, const struct stream *s,
                           const struct stream_key *key)
{
    uint32_t hash = hash_of(all, key);
    for (uint32_t at = hash;; at++) {
        uint32_t place = s->table[at & s->table_mask];
        if (place == 0)
            return STREAM_NONE;
        if (is_key(s, place - 1, hash, key))
            return place - 1;
    }
}

static void enter(struct stream *s, uint32_t index)
{
    uint32_t at = entry_at(s, index)->hash;
    while (s->table[at & s->table_mask] != 0)
        at++;
    s->table[at & s->table_mask] = index + 1;
}

/* What stands behind the one that goes moves up where it may, so that no search ends early. */
static void leave(struct stream *s, uint32_t index)
{
    uint32_t mask = s->table_mask, hole = entry_at(s, index)->hash & mask;
    while (s->table[hole] != index + 1)
        hole = (hole + 1) & mask;
    for (uint32_t at = (hole + 1) & mask; s->table[at] != 0; at = (at + 1) & mask) {
        uint32_t home = entry_at(s, s->table[at] - 1)->hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        s->table[hole] = s->table[at];
        hole = at;
    }
    s->table[hole] = 0;
}

/* --- the lists --- */

static void unlink_entry(struct stream *s, uint32_t index)
{
    const struct entry *e = entry_at(s, index);
    if (e->before != STREAM_NONE)
        entry_at(s, e->before)->after = e->after;
    else
        s->lists[e->list].first = e->after;
    if (e->after != STREAM_NONE)
        entry_at(s, e->after)->before = e->before;
    else
        s->lists[e->list].last = e->before;
}

/* Behind `before`; STREAM_NONE: to the begin. */
static void insert(struct stream *s, uint32_t index, enum entry_list to, uint32_t before)
{
    struct entry *e = entry_at(s, index);
    uint32_t *after = before != STREAM_NONE ? &entry_at(s, before)->after : &s->lists[to].first;
    e->list = (uint8_t)to;
    e->before = before;
    e->after = *after;
    *after = index;
    if (e->after != STREAM_NONE)
        entry_at(s, e->after)->before = index;
    else
        s->lists[to].last = index;
}

static void append(struct stream *s, uint32_t index, enum entry_list to)
{
    insert(s, index, to, s->lists[to].last);
}

void stream_entry_move(struct stream *s, uint32_t index, enum entry_list to)
{
    const struct entry *e = entry_at(s, index);
    if (e->list == to && e->after == STREAM_NONE)
        return;
    unlink_entry(s, index);
    append(s, index, to);
}

uint32_t stream_entry_open(struct stream *s, uint32_t index, int64_t over_ms)
{
    uint32_t passed = 0;
    unlink_entry(s, index);
    uint32_t before = s->lists[LIST_OPEN].last;
    for (; before != STREAM_NONE && entry_at(s, before)->over_ms > over_ms; passed++)
        before = entry_at(s, before)->before;
    entry_at(s, index)->over_ms = over_ms;
    insert(s, index, LIST_OPEN, before);
    return passed;
}

void stream_entries_wake(struct stream *s, int64_t last_t_ms)
{
    uint32_t before = STREAM_NONE, next = s->lists[LIST_ACTIVE].first;
    for (; next != STREAM_NONE && entry_at(s, next)->last_t_ms <= last_t_ms;
         next = entry_at(s, next)->after)
        before = next; /* these are due too */
    for (uint32_t i; (i = s->lists[LIST_OPEN].first) != STREAM_NONE; before = i) {
        entry_at(s, i)->last_t_ms = last_t_ms;
        unlink_entry(s, i);
        insert(s, i, LIST_ACTIVE, before);
    }
}

void stream_early_add(struct stream *s, uint32_t index, int64_t early_ms)
{
    struct entry *e = entry_at(s, index);
    assert(e->early_ms == INT64_MAX);
    e->early_ms = early_ms;
    e->early_before = s->early.last;
    e->early_after = STREAM_NONE;
    if (e->early_before != STREAM_NONE)
        entry_at(s, e->early_before)->early_after = index;
    else
        s->early.first = index;
    s->early.last = index;
}

void stream_early_remove(struct stream *s, uint32_t index)
{
    struct entry *e = entry_at(s, index);
    if (e->early_ms == INT64_MAX)
        return;
    e->early_ms = INT64_MAX;
    if (e->early_before != STREAM_NONE)
        entry_at(s, e->early_before)->early_after = e->early_after;
    else
        s->early.first = e->early_after;
    if (e->early_after != STREAM_NONE)
        entry_at(s, e->early_after)->early_before = e->early_before;
    else
        s->early.last = e->early_before;
}

uint32_t stream_entry_make(const struct streams *all, struct stream *s,
                           const struct stream_key *key)
{
    assert(s->counts.keys < s->plan->config->keys_max);
    uint32_t index = s->vacant;
    if (index != STREAM_NONE)
        s->vacant = entry_at(s, index)->after;
    else
        index = s->used++;
    struct entry *e = entry_at(s, index);
    *e = (struct entry){ .early_ms = INT64_MAX, .early_from = INT64_MAX };
    memset(entry_memories(s, e), 0, s->plan->memory_bytes);
    stream_inputs_begin(s, e);
    windows_of(s->plan)->begin(s, e);
    e->watermark_ms = INT64_MIN;
    e->hash = hash_of(all, key);
    e->key_bytes = (uint8_t)key->used;
    memcpy(entry_key(e), key->bytes, key->used);
    enter(s, index);
    append(s, index, LIST_ACTIVE);
    s->counts.keys++;
    return index;
}

void stream_entry_remove(struct stream *s, uint32_t index)
{
    struct entry *e = entry_at(s, index);
    leave(s, index);
    unlink_entry(s, index);
    stream_early_remove(s, index);
    e->key_bytes = 0; /* nobody guesses it */
    e->after = s->vacant;
    s->vacant = index;
    s->counts.keys--;
}
