/* checkpoint_form: what a checkpoint holds: the engine's state, and behind it the configuration by
 * which it is meant, its text whole. A start folds the journal by that, whatever the file says by
 * then, and a replay may begin there although the journal no longer names it.
 *
 * A Weir that reads the state alone does not look behind it. Where the state nearly fills what such
 * a one, of the same limits, has room for, the text is left out: it could not start otherwise. */
#ifndef FIRMWARE_GATEWAY_CHECKPOINT_FORM_H
#define FIRMWARE_GATEWAY_CHECKPOINT_FORM_H

#include "firmware/config/config.h"

struct checkpoint_parts { /* slices of the checkpoint */
    struct text state;
    struct text config; /* empty: it does not say */
    struct text digest; /* of that; likewise */
};

/* Behind the state, as far as `bytes_max` of the whole allow. */
void checkpoint_put_config(struct byte_writer *w, const struct config *config, size_t bytes_max);
/* Whatever the bytes are. */
struct checkpoint_parts checkpoint_parts(struct text bytes);

/* So many bytes has a checkpoint at most, of the present Weir and the one before. */
size_t checkpoint_bytes_max(const struct config *config);

#endif
