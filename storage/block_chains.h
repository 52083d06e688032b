/* block_chains: the columns of a block while it grows: chains of chunks side by side in one piece
 * of memory, so that a block of any mixture of records fills the memory that it was given, and no
 * column needs room for its worst case. Names grow from the other end. For block_encode.c alone. */
#ifndef STORAGE_BLOCK_CHAINS_H
#define STORAGE_BLOCK_CHAINS_H

#include "storage/block_columns.h"

enum {
    CHUNK_BYTES = 256,   /* at least: a long text gets one of its own size */
    CHUNK_HEAD_BYTES = 8, /* offset of the next chunk, bytes used */
    /* What one record can take besides its texts: a new chunk for every column, and some more for
     * heads, for the ends of chunks that stay free, and for the lengths of names. */
    POOL_RESERVE_BYTES = (BLOCK_COLUMNS + 1) * CHUNK_BYTES
};

struct block_pool {
    uint8_t *at;
    uint32_t bytes;
    uint32_t low, high; /* the free bytes lie between */
};

struct block_chain {
    uint64_t zeros;       /* not yet written */
    uint32_t first, last; /* chunks: offsets in the pool */
    uint32_t room, used;  /* bytes of the last chunk */
    uint32_t bytes;       /* of the column */
};

/* Whoever writes has seen to it that the pool has room: POOL_RESERVE_BYTES more than the texts. */
void chain_begin(struct block_chain *chain, struct block_pool *pool);
void chain_number(struct block_chain *chain, struct block_pool *pool, uint64_t code);
void chain_varint(struct block_chain *chain, struct block_pool *pool, uint64_t value);
void chain_text(struct block_chain *chain, struct block_pool *pool, struct text text);
void chain_copy(const struct block_chain *chain, const struct block_pool *pool,
                struct byte_writer *w);

static inline uint32_t pool_free(const struct block_pool *pool)
{
    return pool->high - pool->low;
}

/* Copy a text to the pool's high end; returns its offset. Its length's bytes are taken too, so that
 * the finished block is never larger than the pool. */
uint32_t pool_text(struct block_pool *pool, struct text text);

#endif
