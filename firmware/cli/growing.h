/* growing: an array that grows, for commands: on the heap, by doubling, so that items move. */
#ifndef FIRMWARE_CLI_GROWING_H
#define FIRMWARE_CLI_GROWING_H

#include <stddef.h>

struct growing {
    void *at;           /* count items of item_bytes each; NULL: none yet */
    size_t count, room;
    size_t item_bytes;  /* the owner's; set before the first is added */
};

/* The new item, zero; NULL: no memory, and nothing changed. Amortised O(1). */
void *growing_add(struct growing *g);
/* Empty again. */
void growing_free(struct growing *g);

#endif
