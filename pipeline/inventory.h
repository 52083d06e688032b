/* inventory: what people know about a device (site, line, model, unit, limits), to enrich its
 * alerts with.
 * Filled from a CSV or JSON file that firmware reads; sorted by device, looked up by binary search.
 * Two halves: a
 * reload fills the idle one and then swaps, so a bad file changes nothing. */
#ifndef PIPELINE_INVENTORY_H
#define PIPELINE_INVENTORY_H

#include "pipeline/arena.h"
#include "pipeline/reading.h"

struct inventory_entry {
    char device[READING_NAME_BYTES_MAX + 1];
    char site[READING_NAME_BYTES_MAX + 1];
    char line[READING_NAME_BYTES_MAX + 1];
    char model[READING_NAME_BYTES_MAX + 1];
    char unit[READING_NAME_BYTES_MAX + 1];
    bool has_low, has_high;
    double low, high;
};

struct inventory; /* opaque */

/* NULL while the arena only measures. */
struct inventory *inventory_init(uint32_t entries_max, struct arena *arena);

/* Read a whole file's text, CSV with a header line or a JSON array of objects, into the idle half
 * and swap.
 *   WEIR_EINVAL  with a sentence naming line and column in `why` (256 bytes); WEIR_EFULL over
 * entries_max.
 * On error nothing changed. JSON goes through the decoder's cJSON arena. */
int inventory_load(struct inventory *inventory, struct text file, bool json, char *why);

const struct inventory_entry *inventory_find(const struct inventory *inventory, struct text device);

#endif
