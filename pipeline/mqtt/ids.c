#include "pipeline/mqtt/ids.h"

#include <string.h>

enum { IDS_MAX = 32768 };

/* At most half full, so that a search ends soon. */
void mqtt_ids_init(struct mqtt_ids *ids, uint32_t max, struct arena *arena)
{
    assert(max <= IDS_MAX);
    uint32_t slots = 2;
    while (slots < 2 * max)
        slots *= 2;
    *ids = (struct mqtt_ids){ .mask = slots - 1, .max = max };
    ids->slots = arena_take(arena, slots, sizeof ids->slots[0]);
}

void mqtt_ids_clear(struct mqtt_ids *ids)
{
    if (ids->count > 0)
        memset(ids->slots, 0, (ids->mask + 1) * sizeof ids->slots[0]);
    ids->count = 0;
}

/* Where the id stands, or the free slot where it would. */
static uint32_t place(const struct mqtt_ids *ids, uint16_t id)
{
    assert(id != 0);
    uint32_t slot = id & ids->mask;
    while (ids->slots[slot].id != 0 && ids->slots[slot].id != id)
        slot = (slot + 1) & ids->mask;
    return slot;
}

struct mqtt_id *mqtt_ids_find(const struct mqtt_ids *ids, uint16_t id)
{
    struct mqtt_id *entry = &ids->slots[place(ids, id)];
    return entry->id != 0 ? entry : NULL;
}

struct mqtt_id *mqtt_ids_add(struct mqtt_ids *ids, uint16_t id)
{
    if (ids->count == ids->max)
        return NULL;
    struct mqtt_id *entry = &ids->slots[place(ids, id)];
    assert(entry->id == 0);
    *entry = (struct mqtt_id){ .id = id };
    ids->count++;
    return entry;
}

/* Close the gap: what follows it, and would be found from it, moves up (Knuth 6.4, algorithm R). */
void mqtt_ids_remove(struct mqtt_ids *ids, uint16_t id)
{
    uint32_t gap = place(ids, id);
    assert(ids->slots[gap].id == id);
    for (uint32_t next = (gap + 1) & ids->mask; ids->slots[next].id != 0;
         next = (next + 1) & ids->mask) {
        uint32_t home = ids->slots[next].id & ids->mask;
        if (((next - home) & ids->mask) < ((next - gap) & ids->mask))
            continue;
        ids->slots[gap] = ids->slots[next];
        gap = next;
    }
    ids->slots[gap] = (struct mqtt_id){ 0 };
    ids->count--;
}
