#include "firmware/listener/door.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static_assert(DOOR_ADDRESSES % DOOR_WAYS == 0, "an address has DOOR_WAYS places");

void door_init(struct door *door, struct hash_key key)
{
    memset(door->entries, 0, sizeof door->entries);
    door->key = key;
    door->saved_ns = door->counted_ns = 0;
}

/* --- attempts -----------------------------------------------------------------------------------
 */

static struct door_entry *places_of(struct door *door, const struct door_address *from)
{
    uint64_t hash = hash64(door->key, from->bytes, sizeof from->bytes);
    return &door->entries[hash % (DOOR_ADDRESSES / DOOR_WAYS) * DOOR_WAYS];
}

static bool is_of(const struct door_entry *e, const struct door_address *from)
{
    return e->failures > 0 && memcmp(&e->address, from, sizeof *from) == 0;
}

static struct door_entry *find(struct door *door, const struct door_address *from)
{
    struct door_entry *places = places_of(door, from);
    for (int i = 0; i < DOOR_WAYS; i++)
        if (is_of(&places[i], from))
            return &places[i];
    return NULL;
}

/* Its own, a free one, or that of the address that failed longest ago. */
static struct door_entry *find_or_take(struct door *door, const struct door_address *from)
{
    struct door_entry *own = find(door, from), *places = places_of(door, from);
    struct door_entry *oldest = &places[0];
    if (own != NULL)
        return own;
    for (int i = 1; i < DOOR_WAYS; i++)
        if (oldest->failures > 0 &&
            (places[i].failures == 0 || places[i].counted_ms < oldest->counted_ms))
            oldest = &places[i];
    *oldest = (struct door_entry){ .address = *from };
    return oldest;
}

bool door_listens(const struct door *door, const struct door_address *from, int64_t now_ms)
{
    const struct door_entry *e = find((struct door *)door, from); /* changes nothing */
    return e == NULL || now_ms >= e->until_ms;
}

static int64_t wait_ms(uint32_t failures)
{
    if (failures <= DOOR_FAILURES_FREE)
        return 0;
    uint32_t doublings = failures - DOOR_FAILURES_FREE - 1;
    int64_t wait = doublings < 16 ? (int64_t)DOOR_WAIT_MS << doublings : DOOR_WAIT_MAX_MS;
    return wait < DOOR_WAIT_MAX_MS ? wait : DOOR_WAIT_MAX_MS;
}

void door_failed(struct door *door, const struct door_address *from, int64_t now_ms)
{
    enum { FAILURES_MAX = DOOR_FAILURES_FREE + 8 }; /* the wait has reached its most */
    struct door_entry *e = find_or_take(door, from);
    int64_t forgotten = (now_ms - e->counted_ms) / DOOR_FORGET_MS;
    if (forgotten < e->failures) {
        e->failures -= (uint32_t)forgotten;
        e->counted_ms += forgotten * DOOR_FORGET_MS;
    } else {
        e->failures = 0;
        e->counted_ms = now_ms;
    }
    e->failures += e->failures < FAILURES_MAX;
    e->until_ms = now_ms + wait_ms(e->failures);
}

void door_passed(struct door *door, const struct door_address *from)
{
    struct door_entry *e = find(door, from);
    if (e != NULL)
        e->failures = 0;
}

/* --- time ---------------------------------------------------------------------------------------
 */

bool door_has_time(struct door *door, int64_t now_ns)
{
    if (now_ns > door->counted_ns)
        door->saved_ns += (now_ns - door->counted_ns) / 100 * DOOR_PERCENT;
    door->counted_ns = now_ns;
    if (door->saved_ns > DOOR_SAVED_NS)
        door->saved_ns = DOOR_SAVED_NS;
    return door->saved_ns > 0;
}

void door_spent(struct door *door, int64_t ns)
{
    door->saved_ns -= ns;
}

int64_t door_wait_ns(const struct door *door)
{
    return door->saved_ns > 0 ? 0 : (1 - door->saved_ns) / DOOR_PERCENT * 100;
}
