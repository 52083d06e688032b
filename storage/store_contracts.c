/* Contracts as they were last accepted. They stand in a table of their own and not in the state
 * that checkpoints hold, because they must outlive those: a start that lost its state still has to
 * know what readings it once agreed to. */
#include <assert.h>

#include "pipeline/contract.h"
#include "storage/store_internal.h"

static int contract_write(struct store *s, uint64_t block, const struct contract *contract)
{
    uint8_t bytes[CONTRACT_BYTES_MAX];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };

    contract_save(contract, &w);
    assert(!w.failed);
    sql_blob(s, SQL_CONTRACT_WRITE, 1, text_of(contract->name));
    sql_i64(s, SQL_CONTRACT_WRITE, 2, (int64_t)block);
    sql_blob(s, SQL_CONTRACT_WRITE, 3, (struct text){ (const char *)bytes, (uint32_t)w.used });
    return sql_run(s, SQL_CONTRACT_WRITE);
}

int contracts_write(struct store *s, const struct batch *b)
{
    int err = 0;

    if (b->contract_count == 0)
        return 0;
    assert(b->contract_count <= STORE_CONTRACTS_MAX);
    for (uint32_t i = 0; err == 0 && i < b->contract_count; i++)
        err = contract_write(s, b->block, &b->contracts[i]);
    if (err != 0)
        return err;
    sql_i64(s, SQL_CONTRACT_TRIM, 1, STORE_CONTRACTS_MAX);
    return sql_run(s, SQL_CONTRACT_TRIM);
}

int numbering_write(struct store *s, const struct batch *b)
{
    if (b->numbering.bytes == 0)
        return 0;
    sql_i64(s, SQL_NUMBERING_WRITE, 1, (int64_t)b->block);
    sql_blob(s, SQL_NUMBERING_WRITE, 2, b->numbering);
    int err = sql_run(s, SQL_NUMBERING_WRITE);
    if (err != 0)
        return err;
    sql_i64(s, SQL_NUMBERING_TRIM, 1, STORE_NUMBERINGS_MAX);
    return sql_run(s, SQL_NUMBERING_TRIM);
}

int store_numbering_read(struct store *s, uint64_t block, uint8_t *to, size_t bytes,
                         uint64_t *from, size_t *used)
{
    int err = store_ready(s);
    *from = 0;
    *used = 0;
    if (err != 0)
        return err;
    sql_i64(s, SQL_NUMBERING_READ, 1, block < INT64_MAX ? (int64_t)block : INT64_MAX);
    int row = sql_next(s, SQL_NUMBERING_READ);
    if (row != 1)
        return row;
    struct text numbering = sql_column_bytes(s, SQL_NUMBERING_READ, 1);
    *from = (uint64_t)sql_column(s, SQL_NUMBERING_READ, 0);
    *used = numbering.bytes;
    if (numbering.bytes <= bytes)
        memcpy(to, numbering.at, numbering.bytes);
    sql_end(s, SQL_NUMBERING_READ);
    return numbering.bytes <= bytes ? 0 : WEIR_EFULL;
}

int store_contract_read(struct store *s, const char *name, struct contract *contract)
{
    int err = store_ready(s);

    if (err != 0)
        return err;
    sql_blob(s, SQL_CONTRACT_READ, 1, text_of(name));
    int row = sql_next(s, SQL_CONTRACT_READ);
    if (row != 1)
        return row < 0 ? row : WEIR_ENOTFOUND;
    struct text bytes = sql_column_bytes(s, SQL_CONTRACT_READ, 0);
    struct byte_reader r = { (const uint8_t *)bytes.at, bytes.bytes, 0, false };
    contract_load(contract, &r);
    sql_end(s, SQL_CONTRACT_READ);
    return r.failed || r.used != r.bytes ? WEIR_ECORRUPT : 0;
}
