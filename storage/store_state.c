#include <assert.h>
#include <stdio.h>
#include <zlib.h>

#include "storage/store_internal.h"

enum { STATE_VERSION = 1, CRC_BYTES = 4 };

static void slot_save(const struct checkpoint_slot *slot, struct byte_writer *w)
{
    put_bool(w, slot->valid);
    put_varint(w, slot->block);
    put_varint(w, slot->total_bytes);
    put_varint(w, slot->written_bytes);
    put_u32(w, slot->crc);
}

static void slot_load(struct checkpoint_slot *slot, struct byte_reader *r)
{
    slot->valid = get_bool(r);
    slot->block = get_varint(r);
    slot->total_bytes = (uint32_t)get_varint(r);
    slot->written_bytes = (uint32_t)get_varint(r);
    slot->crc = get_u32(r);
}

static void state_save(const struct store_state *state, struct byte_writer *w)
{
    put_u8(w, STATE_VERSION);
    put_u64(w, state->store_id[0]);
    put_u64(w, state->store_id[1]);
    put_varint(w, state->block);
    put_zigzag(w, state->t_ms);
    put_zigzag(w, state->wall_ms);
    put_u8(w, LANES);
    for (int lane = 0; lane < LANES; lane++) {
        put_varint(w, state->lanes[lane].next_sequence);
        put_varint(w, state->lanes[lane].covered);
        put_varint(w, state->outbox_bytes[lane]);
        put_varint(w, state->outbox_rows[lane]);
    }
    put_varint(w, state->journal_bytes);
    put_varint(w, state->letters_bytes);
    put_varint(w, state->letters_rows);
    put_varint(w, state->letter_next);
    slot_save(&state->slots[0], w);
    slot_save(&state->slots[1], w);
    put_varint(w, state->prune_limit);
    ledger_save(&state->ledger, w);
    put_varint(w, state->table_bytes);
    put_varint(w, state->table_rows);
    put_varint(w, state->table_next);
    for (int i = 0; i < 2; i++) {
        put_varint(w, state->slots[i].place);
        put_zigzag(w, state->slots[i].wall_ms);
    }
    put_varint(w, state->pruned);
    ledger_save_more(&state->ledger, w);
}

static bool state_take(struct store_state *state, struct byte_reader *r)
{
    *state = (struct store_state){ 0 };
    if (get_u8(r) != STATE_VERSION)
        return false;
    state->store_id[0] = get_u64(r);
    state->store_id[1] = get_u64(r);
    state->block = get_varint(r);
    state->t_ms = get_zigzag(r);
    state->wall_ms = get_zigzag(r);
    if (get_u8(r) != LANES)
        return false;
    for (int lane = 0; lane < LANES; lane++) {
        state->lanes[lane].next_sequence = get_varint(r);
        state->lanes[lane].covered = get_varint(r);
        state->outbox_bytes[lane] = get_varint(r);
        state->outbox_rows[lane] = get_varint(r);
    }
    state->journal_bytes = get_varint(r);
    state->letters_bytes = get_varint(r);
    state->letters_rows = get_varint(r);
    state->letter_next = get_varint(r);
    slot_load(&state->slots[0], r);
    slot_load(&state->slots[1], r);
    state->prune_limit = get_varint(r);
    ledger_load(&state->ledger, r);
    bool table = r->used < r->bytes; /* since schema 6 */
    state->table_bytes = table ? get_varint(r) : 0;
    state->table_rows = table ? get_varint(r) : 0;
    state->table_next = table ? get_varint(r) : 1;
    bool daily = r->used < r->bytes; /* since schema 9 */
    for (uint32_t i = 0; i < 2; i++) {
        state->slots[i].place = daily ? (uint32_t)get_varint(r) : i;
        state->slots[i].wall_ms = daily ? get_zigzag(r) : 0;
    }
    state->pruned = daily ? get_varint(r) : 0;
    ledger_load_more(&state->ledger, r);
    return !r->failed;
}

static uint32_t crc_of(const uint8_t *at, size_t bytes)
{
    return (uint32_t)crc32(0, at, (uInt)bytes);
}

static int damaged(struct store *s, const char *what)
{
    return store_fail(s, WEIR_ECORRUPT, "%s: %s", s->path, what);
}

int store_state_load(struct store *s)
{
    int row = sql_next(s, SQL_STATE_READ);
    if (row != 1)
        return row < 0 ? row : damaged(s, "there is no state");
    struct text bytes = sql_column_bytes(s, SQL_STATE_READ, 0);
    const uint8_t *at = (const uint8_t *)bytes.at;
    bool good = bytes.bytes > CRC_BYTES;
    if (good) {
        size_t body = bytes.bytes - CRC_BYTES;
        struct byte_reader r = { at, body, 0, false };
        struct byte_reader tail = { at + body, CRC_BYTES, 0, false };
        good = get_u32(&tail) == crc_of(at, body) && state_take(&s->state, &r) &&
               ledger_balances(&s->state.ledger);
    }
    sql_end(s, SQL_STATE_READ);
    return good ? 0 : damaged(s, "its state can't be read");
}

int store_state_write(struct store *s)
{
    uint8_t bytes[STORE_STATE_BYTES_MAX];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };

    assert(ledger_balances(&s->next.ledger));
    state_save(&s->next, &w);
    put_u32(&w, crc_of(bytes, w.used));
    assert(!w.failed);
    sql_blob(s, SQL_STATE_WRITE, 1, (struct text){ (const char *)bytes, (uint32_t)w.used });
    return sql_run(s, SQL_STATE_WRITE);
}

int store_state_begin(struct store *s, const uint64_t entropy[2])
{
    s->state = (struct store_state){ .store_id = { entropy[0], entropy[1] }, .letter_next = 1,
                                     .table_next = 1, .slots = { [1] = { .place = 1 } } };
    for (int lane = 0; lane < LANES; lane++)
        s->state.lanes[lane].next_sequence = 1;
    int err = store_begin(s);
    return store_end(s, err != 0 ? err : store_state_write(s));
}
