/* ids: packet identifiers that are in use, each with a state: an open-addressing table of fixed
 * size. Clients count their identifiers up, so the low bits alone spread them well. */
#ifndef PIPELINE_MQTT_IDS_H
#define PIPELINE_MQTT_IDS_H

#include <stdbool.h>

#include "pipeline/arena.h"

struct mqtt_id {
    uint16_t id;   /* 0: the slot is free */
    uint8_t state; /* the owner's, as all below */
    uint8_t flags;
    uint32_t mark;
};

struct mqtt_ids {
    struct mqtt_id *slots; /* [mask + 1] */
    uint32_t mask;
    uint32_t count, max;
};

/* At most 32768 ids. `slots` is NULL while the arena only measures. */
void mqtt_ids_init(struct mqtt_ids *ids, uint32_t max, struct arena *arena);
void mqtt_ids_clear(struct mqtt_ids *ids);

/* NULL: not in use. The entry moves when another one is removed. */
struct mqtt_id *mqtt_ids_find(const struct mqtt_ids *ids, uint16_t id);

/* An id that is not in use and not 0, with the rest 0; NULL: the table is full. */
struct mqtt_id *mqtt_ids_add(struct mqtt_ids *ids, uint16_t id);

/* An id that is in use. */
void mqtt_ids_remove(struct mqtt_ids *ids, uint16_t id);

#endif
