#include "storage/block_chains.h"

#include <assert.h>
#include <string.h>

enum { VARINT_BYTES_MAX = 10 };

static void chunk_begin(struct block_chain *chain, struct block_pool *pool, uint32_t bytes)
{
    chain->room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    assert(pool_free(pool) >= chain->room);
    chain->last = pool->low;
    chain->used = CHUNK_HEAD_BYTES;
    pool->low += chain->room;
}

static void chunk_close(const struct block_chain *chain, struct block_pool *pool, uint32_t next)
{
    memcpy(pool->at + chain->last, &next, sizeof next);
    memcpy(pool->at + chain->last + sizeof next, &chain->used, sizeof chain->used);
}

/* `bytes` in one piece at the chain's end. */
static uint8_t *room(struct block_chain *chain, struct block_pool *pool, uint32_t bytes)
{
    if (chain->room - chain->used < bytes) {
        chunk_close(chain, pool, pool->low);
        chunk_begin(chain, pool, bytes + CHUNK_HEAD_BYTES);
    }
    return pool->at + chain->last + chain->used;
}

static void advance(struct block_chain *chain, uint32_t bytes)
{
    chain->used += bytes;
    chain->bytes += bytes;
    assert(chain->used <= chain->room);
}

void chain_begin(struct block_chain *chain, struct block_pool *pool)
{
    *chain = (struct block_chain){ .first = pool->low };
    chunk_begin(chain, pool, CHUNK_BYTES);
}

void chain_number(struct block_chain *chain, struct block_pool *pool, uint64_t code)
{
    uint8_t *at = room(chain, pool, PACKED_BYTES_MAX);
    advance(chain, packed_put(at, chain->zeros, code));
    chain->zeros = 0;
}

void chain_varint(struct block_chain *chain, struct block_pool *pool, uint64_t value)
{
    struct byte_writer w = { .at = room(chain, pool, VARINT_BYTES_MAX), .bytes = VARINT_BYTES_MAX };
    put_varint(&w, value);
    assert(!w.failed);
    advance(chain, (uint32_t)w.used);
}

void chain_text(struct block_chain *chain, struct block_pool *pool, struct text text)
{
    chain_varint(chain, pool, text.bytes);
    if (text.bytes == 0)
        return;
    uint32_t fits = chain->room - chain->used;
    uint32_t head = text.bytes < fits ? text.bytes : fits, tail = text.bytes - head;
    if (head > 0)
        memcpy(room(chain, pool, head), text.at, head);
    advance(chain, head);
    if (tail > 0)
        memcpy(room(chain, pool, tail), text.at + head, tail);
    advance(chain, tail);
}

void chain_copy(const struct block_chain *chain, const struct block_pool *pool,
                struct byte_writer *w)
{
    uint32_t chunk = chain->first;
    while (chunk != chain->last) {
        uint32_t next, used;
        memcpy(&next, pool->at + chunk, sizeof next);
        memcpy(&used, pool->at + chunk + sizeof next, sizeof used);
        put_raw(w, pool->at + chunk + CHUNK_HEAD_BYTES, used - CHUNK_HEAD_BYTES);
        chunk = next;
    }
    put_raw(w, pool->at + chunk + CHUNK_HEAD_BYTES, chain->used - CHUNK_HEAD_BYTES);
}

uint32_t pool_text(struct block_pool *pool, struct text text)
{
    struct byte_writer counted = { 0 };
    put_text(&counted, text);
    assert(pool_free(pool) >= counted.used);
    pool->high -= (uint32_t)counted.used;
    memcpy(pool->at + pool->high, text.at, text.bytes);
    return pool->high;
}
