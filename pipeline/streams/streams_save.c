/* Keeping the streams' state: field by field, an entry a part, in the order of the lists. */
#include <assert.h>

#include "pipeline/err.h"
#include "pipeline/streams/streams_state.h"

enum {
    SET_SAVE_BYTES = 16,
    STREAM_SAVE_BYTES = READING_NAME_BYTES_MAX + 190 + 8 * (STREAM_DELAYS + 1) +
                        STREAM_SOURCES_MAX * (READING_NAME_BYTES_MAX + 2)
};

size_t streams_part_bytes_max(const struct stream_set *set)
{
    size_t most = SET_SAVE_BYTES + STREAM_SAVE_BYTES;
    for (uint32_t i = 0; i < set->count; i++)
        most = set->plans[i].save_bytes_max > most ? set->plans[i].save_bytes_max : most;
    return most;
}

enum { KEY_SAVE_BYTES = 4 }; /* before it: how long it is */

uint64_t stream_copy_bytes(const struct stream_plan *plan)
{
    return KEY_SAVE_BYTES + plan->save_bytes_max;
}

size_t streams_save_bytes_max(const struct stream_set *set)
{
    size_t bytes = SET_SAVE_BYTES;
    for (uint32_t i = 0; i < set->count; i++)
        bytes += STREAM_SAVE_BYTES +
                 (size_t)(set->plans[i].config->keys_max * stream_copy_bytes(&set->plans[i]));
    return bytes;
}

static void save_counts(const struct stream_counts *c, struct byte_writer *w)
{
    const uint64_t all[] = { c->taken, c->without_key, c->late, c->late_partly, c->refused,
                             c->evicted, c->expired, c->forced, c->results, c->revisions,
                             c->retractions, c->early };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        put_u64(w, all[i]);
    for (int i = 0; i <= STREAM_DELAYS; i++)
        put_u64(w, c->delays[i]);
}

static void load_counts(struct stream_counts *c, struct byte_reader *r)
{
    uint64_t *all[] = { &c->taken, &c->without_key, &c->late, &c->late_partly, &c->refused,
                        &c->evicted, &c->expired, &c->forced, &c->results, &c->revisions,
                        &c->retractions, &c->early };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        *all[i] = get_u64(r);
    for (int i = 0; i <= STREAM_DELAYS; i++)
        c->delays[i] = get_u64(r);
}

/* What the bits of an entry's `alarmed` stand for. */
static uint64_t rules_digest(const struct stream_plan *plan)
{
    static const struct hash_key key = { 0x7765697273747265u, 0x616d2072756c6573u };
    struct hash_state h;
    hash_begin(&h, key, 0);
    for (uint32_t i = 0; i < plan->rule_count; i++) {
        const char *name = plan->rules[i].config->name;
        hash_add(&h, name, strlen(name) + 1);
    }
    return hash_end64(&h);
}

static uint32_t memories(const struct stream_plan *plan)
{
    return plan->memory_count * (plan->judges_readings ? 2 : 1);
}

/* Its length goes in first and is set right afterwards. */
static void save_entry(const struct stream *s, uint32_t index, struct byte_writer *w)
{
    struct entry *e = entry_at(s, index);
    put_u32(w, 0);
    size_t from = w->used;
    put_i64(w, e->watermark_ms);
    put_i64(w, e->last_t_ms);
    put_text(w, (struct text){ (const char *)entry_key(e), e->key_bytes });
    put_u8(w, e->alarmed);
    put_i64(w, e->early_from);
    stream_inputs_save(s, e, w);
    for (uint32_t i = 0; i < memories(s->plan); i++) {
        put_f64(w, entry_memories(s, e)[i].value);
        put_u32(w, entry_memories(s, e)[i].count);
    }
    windows_of(s->plan)->save(s, e, w);
    assert(w->used - from + 4 <= s->plan->save_bytes_max || w->failed);
    if (w->failed || w->at == NULL)
        return;
    struct byte_writer length = { w->at + from - 4, 4, 0, false };
    put_u32(&length, (uint32_t)(w->used - from));
}

static uint32_t list_length(const struct stream *s, enum entry_list list)
{
    uint32_t count = 0;
    for (uint32_t i = s->lists[list].first; i != STREAM_NONE; i = entry_at(s, i)->after)
        count++;
    return count;
}

/* Who waits to be told early, by their places among those that were saved, and since when. */
static void save_early(const struct stream *s, struct byte_writer *w,
                       void (*part)(void *ctx, struct byte_writer *w), void *ctx)
{
    uint32_t count = 0, place = 0;
    for (int l = 0; l < LISTS; l++)
        for (uint32_t e = s->lists[l].first; e != STREAM_NONE; e = entry_at(s, e)->after)
            entry_at(s, e)->place = place++;
    for (uint32_t e = s->early.first; e != STREAM_NONE; e = entry_at(s, e)->early_after)
        count++;
    put_u32(w, count);
    for (uint32_t e = s->early.first; e != STREAM_NONE; e = entry_at(s, e)->early_after) {
        put_u32(w, entry_at(s, e)->place);
        put_i64(w, entry_at(s, e)->early_ms);
        if (part != NULL)
            part(ctx, w);
    }
}

void streams_save(const struct streams *s, struct byte_writer *w,
                  void (*part)(void *ctx, struct byte_writer *w), void *ctx)
{
    put_u32(w, s->set->count);
    for (uint32_t i = 0; i < s->set->count; i++) {
        const struct stream *stream = &s->streams[i];
        put_text(w, text_of(stream->plan->config->name));
        put_u64(w, stream->plan->digest);
        put_u64(w, rules_digest(stream->plan));
        save_counts(&stream->counts, w);
        stream_inputs_save_names(stream, w);
        for (int l = 0; l < LISTS; l++)
            put_u32(w, list_length(stream, (enum entry_list)l));
        if (part != NULL)
            part(ctx, w);
        for (int l = 0; l < LISTS; l++)
            for (uint32_t e = stream->lists[l].first; e != STREAM_NONE;
                 e = entry_at(stream, e)->after) {
                save_entry(stream, e, w);
                if (part != NULL)
                    part(ctx, w);
            }
        save_early(stream, w, part, ctx);
    }
}

/* --- loading --- */

static void need(struct byte_reader *r, bool holds)
{
    if (!holds)
        r->failed = true;
}

/* Of one stream. */
struct loading {
    struct streams *all;
    struct stream *s;            /* NULL: it is no more, or another */
    struct old_inputs inputs;
    struct byte_reader *r;
};

/* When its next window is over; they were saved in this order. */
static void load_over(const struct stream *s, struct entry *e, struct byte_reader *r)
{
    int64_t next_ms = windows_of(s->plan)->next_ms(s, e);
    need(r, next_ms != INT64_MIN);
    e->over_ms = r->failed ? 0 : next_ms + s->plan->config->out_of_orderness_ms;
    need(r, e->before == STREAM_NONE || entry_at(s, e->before)->over_ms <= e->over_ms);
}

static void load_entry(const struct loading *l, enum entry_list list, struct byte_reader *r)
{
    struct streams *all = l->all;
    struct stream *s = l->s;
    struct stream_key key = { .used = 0 };
    int64_t watermark_ms = get_time(r), last_t_ms = get_time(r);
    struct text text = get_text(r);
    need(r, text.bytes > 0 && text.bytes <= s->plan->config->key_bytes);
    if (r->failed)
        return;
    uint8_t alarmed = get_u8(r);
    int64_t early_from = get_i64(r);
    need(r, alarmed >> STREAM_RULES_MAX == 0);
    if (r->failed)
        return;
    memcpy(key.bytes, text.at, text.bytes);
    key.used = text.bytes;
    need(r, stream_entry_find(all, s, &key) == STREAM_NONE);
    uint32_t before = s->lists[list].last;
    need(r, before == STREAM_NONE || list == LIST_OPEN ||
                entry_at(s, before)->last_t_ms <= last_t_ms);
    if (r->failed)
        return;
    uint32_t index = stream_entry_make(all, s, &key);
    stream_entry_move(s, index, list);
    struct entry *e = entry_at(s, index);
    e->watermark_ms = watermark_ms;
    e->last_t_ms = last_t_ms;
    e->alarmed = alarmed;
    e->early_from = early_from;
    stream_inputs_load(s, e, &l->inputs, r);
    for (uint32_t i = 0; i < memories(s->plan); i++) {
        struct remembered *to = &entry_memories(s, e)[i];
        *to = (struct remembered){ get_finite(r), get_u32(r) };
        need(r, to->count <= BASELINE_LENGTH);
    }
    windows_of(s->plan)->load(s, e, r);
    need(r, r->used == r->bytes);
    if (list == LIST_OPEN && !r->failed)
        load_over(s, e, r);
}

static struct byte_reader get_part(struct byte_reader *r)
{
    uint32_t bytes = get_u32(r);
    need(r, bytes <= r->bytes - r->used);
    struct byte_reader part = { r->at + r->used, r->failed ? 0 : bytes, 0, r->failed };
    r->used += part.bytes;
    return part;
}

/* How many a list had, and of these, from its begin, those that there is no room for. */
struct loaded_list {
    uint32_t count, skip;
};

/* Of more keys than there is room for, those go that were heard least lately: the quiet before the
 * active, and of each list the first. */
static void load_list(const struct loading *l, enum entry_list list, const struct loaded_list *was)
{
    struct byte_reader *r = l->r;
    for (uint32_t i = 0; i < was->count && !r->failed; i++) {
        struct byte_reader entry = get_part(r);
        if (l->s == NULL || i < was->skip)
            continue;
        load_entry(l, list, &entry);
        need(r, !entry.failed);
    }
}

/* The entry of what was saved in this place; STREAM_NONE: it was skipped. The others were entered
 * one behind the other. */
static uint32_t entry_of_place(const struct loaded_list *lists, uint32_t place)
{
    uint32_t within = place, skipped = 0;
    for (int list = 0; list < LISTS; list++) {
        skipped += lists[list].skip;
        if (within < lists[list].count)
            return within < lists[list].skip ? STREAM_NONE : place - skipped;
        within -= lists[list].count;
    }
    return STREAM_NONE - 1; /* there was no such place */
}

/* Of those that were skipped nobody waits. */
static void load_early(struct stream *s, const struct loaded_list *lists, struct byte_reader *r)
{
    uint32_t count = get_u32(r);
    int64_t before_ms = -TIME_MS_MAX;
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        uint32_t place = get_u32(r);
        int64_t early_ms = get_time(r);
        need(r, early_ms >= before_ms);
        before_ms = early_ms;
        if (r->failed || s == NULL)
            continue;
        uint32_t index = entry_of_place(lists, place);
        if (index == STREAM_NONE)
            continue;
        need(r, index < s->used && entry_at(s, index)->early_ms == INT64_MAX);
        if (!r->failed)
            stream_early_add(s, index, early_ms);
    }
}

/* Its rules are others: which of them told that a key is not well can't be said by the bits. */
static void alarm_all(struct stream *s)
{
    uint8_t all = (uint8_t)((1u << s->plan->rule_count) - 1);
    for (int list = 0; list < LISTS; list++)
        for (uint32_t i = s->lists[list].first; i != STREAM_NONE; i = entry_at(s, i)->after)
            entry_at(s, i)->alarmed = all;
}

static void load_stream(struct streams *all, struct byte_reader *r, uint64_t *known,
                        uint64_t *anew)
{
    struct text name = get_text(r);
    uint64_t digest = get_u64(r), rules = get_u64(r);
    struct stream *s = NULL;
    struct stream_counts counts = { 0 };
    for (uint32_t i = 0; i < all->set->count && !r->failed; i++) {
        struct stream *named = &all->streams[i];
        if ((*known >> i & 1) != 0 || !text_equal(name, text_of(named->plan->config->name)))
            continue;
        *known |= (uint64_t)1 << i;
        s = digest == named->plan->digest ? named : NULL;
        if (s != NULL)
            *anew &= ~((uint64_t)1 << i);
    }
    load_counts(&counts, r);
    struct loading l = { .all = all, .s = s, .r = r };
    stream_inputs_load_names(s, &l.inputs, r);
    struct loaded_list lists[LISTS];
    uint32_t room = s != NULL ? s->plan->config->keys_max : 0, keys = 0;
    for (int list = 0; list < LISTS; list++) {
        lists[list].count = get_u32(r);
        need(r, lists[list].count <= r->bytes);
        keys += lists[list].count;
    }
    uint32_t over = keys > room ? keys - room : 0, left = over;
    for (int list = LISTS - 1; list >= 0; list--) {
        lists[list].skip = left < lists[list].count ? left : lists[list].count;
        left -= lists[list].skip;
    }
    if (s != NULL)
        s->counts = counts; /* keys are counted as they come */
    for (int list = 0; list < LISTS; list++)
        load_list(&l, (enum entry_list)list, &lists[list]);
    load_early(s, lists, r);
    if (s != NULL)
        s->counts.evicted += over;
    if (s != NULL && !r->failed && rules != rules_digest(s->plan))
        alarm_all(s);
}

uint64_t streams_load(struct streams *s, struct byte_reader *r)
{
    uint32_t count = get_u32(r);
    uint64_t known = 0, anew = ((uint64_t)1 << s->set->count) - 1;
    need(r, count <= STREAMS_MAX);
    for (uint32_t i = 0; i < count && !r->failed; i++)
        load_stream(s, r, &known, &anew);
    s->look_ms = INT64_MIN;
    s->changed = known & anew;
    return anew;
}

uint64_t streams_changed(const struct streams *s)
{
    return s->changed;
}
