/* inventory_file: reads the device inventory's file at start, when it changed, and when asked, and
 * hands it to the gateway. A bad file changes nothing. */
#ifndef FIRMWARE_INVENTORY_FILE_H
#define FIRMWARE_INVENTORY_FILE_H

#include "firmware/gateway/gateway.h"

struct inventory_file; /* opaque */

/* NULL while the arena only measures. */
struct inventory_file *inventory_file_init(const struct config *config, struct arena *arena);

/* Within a turn: read it again. WEIR_EIO, or gateway_on_inventory's; a sentence in `why` (256
 * bytes). */
int inventory_file_load(struct inventory_file *f, struct gateway *gateway, char *why);

/* Within a turn: look every 5 s whether the file changed; load and log. */
void inventory_file_turn(struct inventory_file *f, struct gateway *gateway, int64_t mono_ms);

#endif
