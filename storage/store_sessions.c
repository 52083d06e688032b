/* Sessions of devices, their unfinished QoS 2 exchanges and receipts, written by the commit that
 * what is told of them waits for. What a row says is its owner's. */
#include <assert.h>

#include "storage/store_internal.h"

enum { PACKET_ID_BITS = 16 };

static int64_t exchange_key(uint32_t session, uint16_t packet_id)
{
    return (int64_t)((uint64_t)session << PACKET_ID_BITS | packet_id);
}

static int exchanges_delete(struct store *s, int64_t from, int64_t to)
{
    sql_i64(s, SQL_EXCHANGE_DELETE, 1, from);
    sql_i64(s, SQL_EXCHANGE_DELETE, 2, to);
    return sql_run(s, SQL_EXCHANGE_DELETE);
}

static int session_remove(struct store *s, uint32_t session)
{
    int err = exchanges_delete(s, exchange_key(session, 0), exchange_key(session, UINT16_MAX));
    if (err != 0)
        return err;
    sql_i64(s, SQL_SESSION_DELETE, 1, session);
    return sql_run(s, SQL_SESSION_DELETE);
}

static int change_write(struct store *s, const struct session_change *change)
{
    switch (change->kind) {
    case SESSION_PUT:
        assert(change->row.bytes <= STORE_SESSION_BYTES_MAX);
        sql_i64(s, SQL_SESSION_WRITE, 1, change->session);
        sql_blob(s, SQL_SESSION_WRITE, 2, change->row);
        return sql_run(s, SQL_SESSION_WRITE);
    case SESSION_REMOVE:
        return session_remove(s, change->session);
    case EXCHANGE_PUT:
        sql_i64(s, SQL_EXCHANGE_WRITE, 1, exchange_key(change->session, change->packet_id));
        sql_i64(s, SQL_EXCHANGE_WRITE, 2, change->mark);
        return sql_run(s, SQL_EXCHANGE_WRITE);
    case EXCHANGE_REMOVE:
        return exchanges_delete(s, exchange_key(change->session, change->packet_id),
                                exchange_key(change->session, change->packet_id));
    }
    return 0;
}

/* Numbers are the device's, of 64 bits; SQLite's are signed. */
static int receipt_write(struct store *s, const struct receipt_row *row)
{
    sql_i64(s, SQL_RECEIPT_WRITE, 1, row->number);
    sql_blob(s, SQL_RECEIPT_WRITE, 2, row->device);
    sql_i64(s, SQL_RECEIPT_WRITE, 3, (int64_t)row->sequence);
    sql_i64(s, SQL_RECEIPT_WRITE, 4, (int64_t)row->above);
    return sql_run(s, SQL_RECEIPT_WRITE);
}

int sessions_write(struct store *s, const struct batch *b)
{
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < b->session_count; i++)
        err = change_write(s, &b->sessions[i]);
    for (uint32_t i = 0; err == 0 && i < b->receipt_count; i++)
        err = receipt_write(s, &b->receipts[i]);
    return err;
}

uint64_t sessions_bytes(const struct batch *b)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < b->session_count; i++)
        bytes += STORE_ROW_BYTES + b->sessions[i].row.bytes;
    for (uint32_t i = 0; i < b->receipt_count; i++)
        bytes += STORE_ROW_BYTES + b->receipts[i].device.bytes;
    return bytes;
}

int store_sessions_each(struct store *s, const struct session_visitor *visitor)
{
    int row, err = store_ready(s);
    if (err != 0)
        return err;
    while ((row = sql_next(s, SQL_SESSION_READ)) == 1)
        visitor->session(visitor->ctx, (uint32_t)sql_column(s, SQL_SESSION_READ, 0),
                         sql_column_bytes(s, SQL_SESSION_READ, 1));
    if (row < 0)
        return row;
    while ((row = sql_next(s, SQL_EXCHANGE_READ)) == 1) {
        int64_t key = sql_column(s, SQL_EXCHANGE_READ, 0);
        visitor->exchange(visitor->ctx, (uint32_t)(key >> PACKET_ID_BITS), (uint16_t)key,
                          (uint32_t)sql_column(s, SQL_EXCHANGE_READ, 1));
    }
    return row;
}

int store_receipts_each(struct store *s, void *ctx,
                        void (*receipt)(void *ctx, const struct receipt_row *row))
{
    int row, err = store_ready(s);
    if (err != 0)
        return err;
    while ((row = sql_next(s, SQL_RECEIPT_READ)) == 1) {
        const struct receipt_row read = {
            .number = (uint32_t)sql_column(s, SQL_RECEIPT_READ, 0),
            .device = sql_column_bytes(s, SQL_RECEIPT_READ, 1),
            .sequence = (uint64_t)sql_column(s, SQL_RECEIPT_READ, 2),
            .above = (uint64_t)sql_column(s, SQL_RECEIPT_READ, 3),
        };
        receipt(ctx, &read);
    }
    return row;
}

int store_sessions_trim(struct store *s, uint32_t sessions_max)
{
    int err = store_ready(s);
    if (err == 0)
        err = store_begin(s);
    if (err == 0)
        err = exchanges_delete(s, exchange_key(sessions_max, 0), INT64_MAX);
    if (err == 0) {
        sql_i64(s, SQL_SESSION_TRIM, 1, sessions_max);
        err = sql_run(s, SQL_SESSION_TRIM);
    }
    if (err == 0) {
        sql_i64(s, SQL_RECEIPT_TRIM, 1, sessions_max);
        err = sql_run(s, SQL_RECEIPT_TRIM);
    }
    return store_end(s, err);
}
