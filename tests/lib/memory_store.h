/* memory_store: what a gateway asks of its store, over plain memory: blocks, rows of the outbox, the last dead letters, the
 * checkpoint. It checks what each commit promises: the ledger balances, rows follow on each other, alerts are JSON. Included
 * instead of storage/store_*.c, once in a program. */
#ifndef TESTS_LIB_MEMORY_STORE_H
#define TESTS_LIB_MEMORY_STORE_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/codec/codec_json_check.h"
#include "pipeline/err.h"
#include "storage/store.h"

enum { BLOCKS_MAX = 2048, ROWS_MAX = 1024, LETTERS_MAX = 64 };

struct store {
    struct {
        uint8_t *at;
        size_t bytes;
    } blocks[BLOCKS_MAX];        /* by number; the first is 1 */
    uint64_t last;
    struct {
        enum lane lane;
        uint64_t sequence;
        uint8_t *at;
        uint32_t bytes;
    } rows[ROWS_MAX];
    uint32_t row_count;
    struct lane_state lanes[LANES];
    struct {
        uint64_t id;
        enum reject_reason reason;
        uint8_t *at;             /* topic, payload, device, taken, behind each other */
        uint32_t source, topic, payload, device, taken; /* their bytes */
    } letters[LETTERS_MAX];      /* a ring */
    uint64_t letter_count;
    uint8_t *checkpoint, *part;
    uint64_t checkpoint_block;
    uint32_t checkpoint_bytes;
    struct ledger ledger;
    int64_t t_ms, wall_ms;
};

static uint8_t *copy_of(const void *at, size_t bytes)
{
    uint8_t *to = malloc(bytes + 1);
    assert(to != NULL);
    if (bytes > 0)
        memcpy(to, at, bytes);
    return to;
}

static void keep_row(struct store *s, const struct outbox_row *row)
{
    assert(row->sequence == s->lanes[row->lane].next_sequence);
    s->lanes[row->lane].next_sequence++;
    if (row->lane == LANE_ALERTS)
        assert(json_check(row->payload, 32).reason == REJECT_NONE);
    if (s->row_count == ROWS_MAX)
        return; /* the cloud sees none of these */
    s->rows[s->row_count].lane = row->lane;
    s->rows[s->row_count].sequence = row->sequence;
    s->rows[s->row_count].at = copy_of(row->payload.at, row->payload.bytes);
    s->rows[s->row_count++].bytes = row->payload.bytes;
}

static void keep_letter(struct store *s, const struct dead_letter *letter)
{
    const struct text parts[] = { letter->source, letter->topic, letter->payload, letter->device, letter->taken };
    uint32_t place = (uint32_t)(s->letter_count++ % LETTERS_MAX);
    size_t used = 0;
    free(s->letters[place].at);
    s->letters[place].at = malloc(8192);
    assert(s->letters[place].at != NULL);
    for (int i = 0; i < 5; i++) {
        assert(used + parts[i].bytes <= 8192);
        if (parts[i].bytes > 0)
            memcpy(s->letters[place].at + used, parts[i].at, parts[i].bytes);
        used += parts[i].bytes;
    }
    s->letters[place].id = s->letter_count;
    s->letters[place].reason = letter->reason;
    s->letters[place].source = letter->source.bytes;
    s->letters[place].topic = letter->topic.bytes;
    s->letters[place].payload = letter->payload.bytes;
    s->letters[place].device = letter->device.bytes;
    s->letters[place].taken = letter->taken.bytes;
}

static void keep_checkpoint(struct store *s, const struct checkpoint_piece *piece)
{
    if (piece->bytes.at == NULL)
        return;
    if (piece->offset == 0) {
        free(s->part);
        s->part = malloc(piece->total_bytes + 1u);
    }
    assert(s->part != NULL && piece->offset + piece->bytes.bytes <= piece->total_bytes);
    memcpy(s->part + piece->offset, piece->bytes.at, piece->bytes.bytes);
    if (!piece->last)
        return;
    free(s->checkpoint);
    s->checkpoint = s->part;
    s->part = NULL;
    s->checkpoint_block = piece->block;
    s->checkpoint_bytes = piece->total_bytes;
}

int store_commit(struct store *s, struct batch *b)
{
    if (b->block > s->last) {
        assert(b->block < BLOCKS_MAX);
        s->last = b->block;
        s->blocks[b->block].at = b->journal.bytes > 0 ? copy_of(b->journal.at, b->journal.bytes) : NULL;
        s->blocks[b->block].bytes = b->journal.bytes;
        for (uint32_t i = 0; i < b->row_count; i++)
            keep_row(s, &b->rows[i]);
        for (uint32_t i = 0; i < b->letter_count; i++)
            keep_letter(s, &b->letters[i]);
        keep_checkpoint(s, &b->checkpoint);
        for (int lane = 0; lane < LANES; lane++) {
            assert(b->lanes[lane].next_sequence == s->lanes[lane].next_sequence);
            s->lanes[lane].covered = b->lanes[lane].covered;
        }
        s->ledger = b->ledger;
        s->ledger.held = b->ledger.stored;
        assert(ledger_balances(&s->ledger));
        s->t_ms = b->t_ms;
        s->wall_ms = b->wall_ms;
    }
    b->held = s->ledger.held;
    for (int lane = 0; lane < LANES; lane++)
        b->first_sequence[lane] = s->lanes[lane].covered + 1;
    return 0;
}

int store_outbox_read(struct store *s, enum lane lane, uint64_t from, uint8_t *to, size_t bytes,
                      struct outbox_row *rows, uint32_t rows_max, uint32_t *count)
{
    size_t used = 0;
    *count = 0;
    for (uint32_t i = 0; i < s->row_count && *count < rows_max; i++) {
        if (s->rows[i].lane != lane || s->rows[i].sequence < from || s->rows[i].bytes > bytes - used)
            continue;
        memcpy(to + used, s->rows[i].at, s->rows[i].bytes);
        rows[(*count)++] = (struct outbox_row){ .lane = lane, .sequence = s->rows[i].sequence,
                                                .payload = { (const char *)to + used, s->rows[i].bytes } };
        used += s->rows[i].bytes;
    }
    return 0;
}

int store_block_read(struct store *s, uint64_t from, uint8_t *to, size_t bytes, uint64_t *number, size_t *used)
{
    *number = 0;
    for (uint64_t n = from > 0 ? from : 1; n <= s->last; n++) {
        if (s->blocks[n].at == NULL)
            continue;
        assert(s->blocks[n].bytes <= bytes);
        memcpy(to, s->blocks[n].at, s->blocks[n].bytes);
        *used = s->blocks[n].bytes;
        *number = n;
        return 0;
    }
    return 0;
}

int store_checkpoints(struct store *s, struct checkpoint_place *places, uint32_t *count)
{
    *count = s->checkpoint != NULL;
    places[0] = (struct checkpoint_place){ .block = s->checkpoint_block, .bytes = s->checkpoint_bytes };
    return 0;
}

void store_checkpoint_pass_over(struct store *s, const struct checkpoint_place *place)
{
    (void)s, (void)place;
    assert(false); /* each one that is taken can be read */
}

int store_checkpoint_read_at(struct store *s, const struct checkpoint_place *place, uint8_t *to, size_t room)
{
    assert(place->block == s->checkpoint_block);
    assert(s->checkpoint_bytes <= room);
    memcpy(to, s->checkpoint, s->checkpoint_bytes);
    return 0;
}

int store_numbering_read(struct store *s, uint64_t block, uint8_t *to, size_t bytes, uint64_t *from, size_t *used)
{
    (void)s, (void)block, (void)to, (void)bytes; /* both configurations number alike */
    *from = *used = 0;
    return 0;
}

int store_outbox_poison(struct store *s, enum lane lane, uint64_t sequence, const char *why, int64_t t_ms, int64_t wall_ms)
{
    (void)s, (void)lane, (void)sequence, (void)why, (void)t_ms, (void)wall_ms;
    return 0;
}

int store_receipts_each(struct store *s, void *ctx, void (*receipt)(void *ctx, const struct receipt_row *row))
{
    (void)s, (void)ctx, (void)receipt;
    return 0;
}

int store_contract_read(struct store *s, const char *name, struct contract *contract)
{
    (void)s, (void)name, (void)contract;
    return WEIR_ENOTFOUND;
}

const char *store_why(const struct store *s)
{
    (void)s;
    return "";
}

static void store_forget(struct store *store)
{
    for (uint64_t n = 0; n < BLOCKS_MAX; n++)
        free(store->blocks[n].at);
    for (uint32_t i = 0; i < store->row_count; i++)
        free(store->rows[i].at);
    for (uint32_t i = 0; i < LETTERS_MAX; i++)
        free(store->letters[i].at);
    free(store->checkpoint);
    free(store->part);
    free(store);
}

#endif
