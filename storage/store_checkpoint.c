#include <assert.h>
#include <zlib.h>

#include "storage/store_internal.h"

/* A piece's key: its checkpoint's place in the upper 32 bits, its offset below. */
static int64_t piece_key(uint32_t place, uint32_t offset)
{
    return (int64_t)place << 32 | (int64_t)offset;
}

void checkpoint_bind_place(struct store *s, enum sql q, uint32_t place)
{
    sql_i64(s, q, 1, piece_key(place, 0));
    sql_i64(s, q, 2, piece_key(place, UINT32_MAX));
}

int checkpoint_newest(const struct store_state *state)
{
    const struct checkpoint_slot *a = &state->slots[0], *b = &state->slots[1];

    if (!a->valid && !b->valid)
        return -1;
    if (a->valid && b->valid)
        return a->block >= b->block ? 0 : 1;
    return a->valid ? 0 : 1;
}

/* The last piece makes its slot the newest. Until then the older one may be needed to fold the
 * journal from, so blocks behind it stay until the next checkpoint is whole. */
static int slot_complete(struct store *s, int index)
{
    struct checkpoint_slot *slot = &s->next.slots[index];
    int before = checkpoint_newest(&s->next);

    assert(slot->written_bytes == slot->total_bytes);
    s->next.prune_limit = before < 0 ? slot->block : s->next.slots[before].block;
    slot->valid = true;
    sql_i64(s, SQL_PIECE_TRIM, 1, piece_key(slot->place, slot->total_bytes));
    sql_i64(s, SQL_PIECE_TRIM, 2, piece_key(slot->place, UINT32_MAX));
    return sql_run(s, SQL_PIECE_TRIM);
}

static int slot_begin(struct store *s, int index, const struct checkpoint_piece *piece)
{
    int place = daily_place(s, index);
    if (place < 0)
        return place;
    s->next.slots[index] = (struct checkpoint_slot){ .block = piece->block,
                                                     .total_bytes = piece->total_bytes,
                                                     .place = (uint32_t)place,
                                                     .wall_ms = piece->wall_ms };
    return 0;
}

int checkpoint_write(struct store *s, const struct checkpoint_piece *piece)
{
    if (piece->bytes.at == NULL)
        return 0;
    int newest = checkpoint_newest(&s->next);
    int index = newest == 0 ? 1 : 0;
    struct checkpoint_slot *slot = &s->next.slots[index];

    int err = piece->offset == 0 ? slot_begin(s, index, piece) : 0;
    if (err != 0)
        return err;
    assert(piece->bytes.bytes > 0 && piece->bytes.bytes <= STORE_PIECE_BYTES);
    assert(!slot->valid);
    assert(slot->block == piece->block && slot->total_bytes == piece->total_bytes);
    assert(slot->written_bytes == piece->offset);
    assert(piece->block <= s->next.block);
    sql_i64(s, SQL_PIECE_WRITE, 1, piece_key(slot->place, piece->offset));
    sql_blob(s, SQL_PIECE_WRITE, 2, piece->bytes);
    err = sql_run(s, SQL_PIECE_WRITE);
    if (err != 0)
        return err;
    slot->written_bytes += piece->bytes.bytes;
    slot->crc = (uint32_t)crc32(slot->crc, (const Bytef *)piece->bytes.at, piece->bytes.bytes);
    err = piece->last ? slot_complete(s, index) : 0;
    return err == 0 && piece->last && piece->daily ? daily_keep(s, slot, piece->t_ms) : err;
}

int checkpoint_read(struct store *s, const struct checkpoint_slot *slot, uint8_t *to, size_t room)
{
    uint32_t used = 0, crc = 0;

    checkpoint_bind_place(s, SQL_PIECE_READ, slot->place);
    int row = sql_next(s, SQL_PIECE_READ);
    for (; row == 1; row = sql_next(s, SQL_PIECE_READ)) {
        struct text bytes = sql_column_bytes(s, SQL_PIECE_READ, 1);
        if (sql_column(s, SQL_PIECE_READ, 0) != piece_key(slot->place, used) ||
            bytes.bytes > slot->total_bytes - used)
            break;
        crc = (uint32_t)crc32(crc, (const Bytef *)bytes.at, bytes.bytes);
        size_t left = room > used ? room - used : 0;
        if (left > 0)
            memcpy(to + used, bytes.at, bytes.bytes < left ? bytes.bytes : left);
        used += bytes.bytes;
    }
    if (row < 0)
        return row;
    sql_end(s, SQL_PIECE_READ);
    return used == slot->total_bytes && crc == slot->crc ? 0 : WEIR_ECORRUPT;
}

/* A damaged slot is left out from now on: the older one and a longer fold come to the same
 * state. */
int checkpoint_verify(struct store *s)
{
    int index = checkpoint_newest(&s->state);

    while (index >= 0) {
        int err = checkpoint_read(s, &s->state.slots[index], NULL, 0);
        if (err != WEIR_ECORRUPT)
            return err;
        s->state.slots[index].valid = false;
        index = checkpoint_newest(&s->state);
    }
    return 0;
}

void store_checkpoint_pass_over(struct store *s, const struct checkpoint_place *place)
{
    for (int i = 0; i < 2; i++)
        if (s->state.slots[i].block == place->block)
            s->state.slots[i].valid = false;
}
