#include "firmware/cli/growing.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_AT_FIRST = 256 };

void *growing_add(struct growing *g)
{
    if (g->count == g->room) {
        size_t room = g->room == 0 ? ROOM_AT_FIRST : g->room * 2;
        void *grown = realloc(g->at, room * g->item_bytes);
        if (grown == NULL)
            return NULL;
        g->at = grown;
        g->room = room;
    }
    void *item = (char *)g->at + g->count++ * g->item_bytes;
    memset(item, 0, g->item_bytes);
    return item;
}

void growing_free(struct growing *g)
{
    free(g->at);
    *g = (struct growing){ .item_bytes = g->item_bytes };
}
