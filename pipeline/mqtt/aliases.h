/* aliases: the topics that a client's topic aliases stand for, in a buffer of fixed size.
 *
 * A buffer of (aliases x the longest topic) bytes never runs out; a smaller one does when the
 * topics of all aliases do not fit together. */
#ifndef PIPELINE_MQTT_ALIASES_H
#define PIPELINE_MQTT_ALIASES_H

#include "pipeline/arena.h"
#include "pipeline/text.h"

struct mqtt_alias {
    uint32_t offset; /* in the buffer */
    uint16_t bytes;  /* 0: stands for nothing */
};

struct mqtt_aliases {
    struct mqtt_alias *table; /* [max], alias 1 first */
    char *buffer;             /* [bytes] */
    uint16_t max;
    uint32_t bytes, used; /* `used` includes the holes of topics that were replaced */
};

/* Arrays are NULL while the arena only measures. */
void mqtt_aliases_init(struct mqtt_aliases *a, uint16_t max, uint32_t bytes, struct arena *arena);
void mqtt_aliases_clear(struct mqtt_aliases *a);

/* 1 <= alias <= max. Empty: it stands for nothing yet. Valid until the next mqtt_aliases_set. */
struct text mqtt_aliases_get(const struct mqtt_aliases *a, uint16_t alias);

/* Let it stand for a topic of 1..65535 bytes. WEIR_EFULL: no room, nothing changed. O(topic), and
 * O(max^2 + bytes) when the holes have to be closed. */
int mqtt_aliases_set(struct mqtt_aliases *a, uint16_t alias, struct text topic);

#endif
