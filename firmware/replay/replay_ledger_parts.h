/* replay_ledger_parts: what replay_ledger.c and replay_ledger_streams.c share. For them alone. */
#ifndef FIRMWARE_REPLAY_REPLAY_LEDGER_PARTS_H
#define FIRMWARE_REPLAY_REPLAY_LEDGER_PARTS_H

#include "firmware/replay/replay_ledger.h"
#include "pipeline/hash.h"

static const struct hash_key LEDGER_HASH = { 3, 5 };

/* False: then it would be more than it may; it is full. */
bool ledger_take(struct replay_ledger *l, size_t bytes);
/* The list's new item, zero; NULL: no room, it is full. */
void *ledger_add(struct replay_ledger *l, struct growing *list);

void index_put(struct told_index *index, uint64_t key, size_t item);
/* Room for one more than `count`, at most half of the slots taken; false: none, it is full. */
bool index_grow(struct replay_ledger *l, struct told_index *index, size_t count,
                uint64_t (*key_at)(const struct replay_ledger *, size_t));

#endif
