#include "pipeline/mqtt/aliases.h"

#include "pipeline/err.h"

void mqtt_aliases_init(struct mqtt_aliases *a, uint16_t max, uint32_t bytes, struct arena *arena)
{
    *a = (struct mqtt_aliases){ .max = max, .bytes = bytes };
    a->table = arena_take(arena, max, sizeof a->table[0]);
    a->buffer = arena_take(arena, bytes, 1);
}

void mqtt_aliases_clear(struct mqtt_aliases *a)
{
    memset(a->table, 0, a->max * sizeof a->table[0]);
    a->used = 0;
}

struct text mqtt_aliases_get(const struct mqtt_aliases *a, uint16_t alias)
{
    assert(alias >= 1 && alias <= a->max);
    const struct mqtt_alias *entry = &a->table[alias - 1];
    return (struct text){ a->buffer + entry->offset, entry->bytes };
}

/* The entry whose topic begins first at or behind `from`; NULL: none. */
static struct mqtt_alias *first_from(const struct mqtt_aliases *a, uint32_t from)
{
    struct mqtt_alias *first = NULL;
    for (uint32_t i = 0; i < a->max; i++) {
        struct mqtt_alias *entry = &a->table[i];
        if (entry->bytes > 0 && entry->offset >= from &&
            (first == NULL || entry->offset < first->offset))
            first = entry;
    }
    return first;
}

static void close_holes(struct mqtt_aliases *a)
{
    uint32_t used = 0, from = 0;
    for (struct mqtt_alias *entry; (entry = first_from(a, from)) != NULL;) {
        from = entry->offset + entry->bytes;
        memmove(a->buffer + used, a->buffer + entry->offset, entry->bytes);
        entry->offset = used;
        used += entry->bytes;
    }
    assert(used <= a->used);
    a->used = used;
}

static uint32_t live_bytes(const struct mqtt_aliases *a)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < a->max; i++)
        bytes += a->table[i].bytes;
    return bytes;
}

int mqtt_aliases_set(struct mqtt_aliases *a, uint16_t alias, struct text topic)
{
    assert(alias >= 1 && alias <= a->max);
    assert(topic.bytes > 0 && topic.bytes <= UINT16_MAX);
    struct mqtt_alias *entry = &a->table[alias - 1];
    if (topic.bytes > entry->bytes) {
        if (live_bytes(a) - entry->bytes + topic.bytes > a->bytes)
            return WEIR_EFULL;
        entry->bytes = 0;
        if (topic.bytes > a->bytes - a->used)
            close_holes(a);
        entry->offset = a->used;
        a->used += topic.bytes;
    }
    entry->bytes = (uint16_t)topic.bytes;
    memcpy(a->buffer + entry->offset, topic.at, topic.bytes);
    return 0;
}
