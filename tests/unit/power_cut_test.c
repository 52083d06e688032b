/* Goal: what store_commit acknowledged survives a power cut at any operation of the disk, nothing
 *   is counted twice, nothing is damaged; and the same holds after errors of the disk, including
 *   a failed sync that the kernel forgets. A full disk is lived with. With synchronous=NORMAL acknowledged rows are lost, so
 *   the disk does what it says and the test would see it.
 * Method: a run of small batches that has everything in it (rows, dead letters, sessions of devices,
 *   checkpoints, retention, WAL checkpoints) on the faulty disk, cut at operation 1, 2, 3, ... with several seeds
 *   each; then the file is opened again and compared with a plain model in which every byte follows
 *   from a block's number.
 * Links: simulator/faulty_medium.c simulator/faulty_vfs.c storage/store_open.c storage/store_schema.c storage/store_sql.c storage/store_state.c storage/store_commit.c storage/store_outbox.c storage/store_letters.c storage/store_results.c storage/store_retention.c storage/store_checkpoint.c storage/store_daily.c storage/store_contracts.c storage/store_sessions.c storage/store_disk.c storage/store_deflate.c storage/ledger.c pipeline/bytes.c pipeline/contract.c pipeline/codec/envelope.c pipeline/codec/json_writer.c pipeline/reject.c pipeline/alerts/%.c pipeline/hash.c pipeline/err.c pipeline/timestamp.c
 * Libs: -lsqlite3 -lz
 */
#include "tests/lib/check.h"

#include <sqlite3.h>
#include <string.h>
#include <zlib.h>

#include "pipeline/codec/envelope.h"
#include "pipeline/err.h"
#include "simulator/faulty_vfs.h"
#include "storage/store.h"

enum { BLOCKS = 24, BLOCK_BYTES_MAX = 6000, PIECE_BYTES = 3000, PIECES = 3, SEEDS = 2 };

struct tally {
    uint64_t cases, lost_cases, lost_blocks, unclear, errors, set_aside;
};

/* --- the model: everything follows from a block's number -------------------------------------- */

static void fill(uint8_t *at, size_t bytes, uint64_t seed)
{
    uint64_t state = seed;
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(rnd(&state) & 0x3f);
}

static uint32_t block_bytes(uint64_t block)
{
    return (uint32_t)(20 + block * 977 % BLOCK_BYTES_MAX);
}

static uint32_t block_readings(uint64_t block)
{
    return (uint32_t)(1 + block % 7);
}

static bool block_has_letter(uint64_t block)
{
    return block % 4 == 0;
}

static struct ledger ledger_at(uint64_t block)
{
    struct ledger ledger = { 0 };
    for (uint64_t i = 1; i <= block; i++) {
        ledger.received += block_readings(i);
        ledger.stored += block_readings(i);
        ledger.received += block_has_letter(i);
        ledger.rejected[REJECT_JSON_SYNTAX] += block_has_letter(i);
    }
    return ledger;
}

/* One result a block, an alert every third; the receiver covers what is ten blocks old. */
static struct lane_state lane_at(enum lane lane, uint64_t block)
{
    uint64_t old = block > 10 ? block - 10 : 0;
    if (lane == LANE_RAW)
        return (struct lane_state){ 1, 0 };
    if (lane == LANE_ALERTS)
        return (struct lane_state){ 1 + block / 3, old / 3 };
    return (struct lane_state){ 1 + block, old };
}

/* Each block begins an exchange of a session and ends that of three blocks before; its session's row
 * is written anew, and at every seventh block everything of it went before. */
enum { SESSIONS = 5, SESSION_CHANGES_MAX = 4 };

struct sessions_model {
    uint64_t row[SESSIONS];              /* block that wrote it; 0: there is none */
    bool open[SESSIONS][BLOCKS + 2];     /* by packet identifier, which is the block */
};

static uint32_t changes_at(struct session_change *to, char row[64], uint64_t block)
{
    uint32_t count = 0, session = (uint32_t)(block % SESSIONS);
    if (block % 7 == 0)
        to[count++] = (struct session_change){ .kind = SESSION_REMOVE, .session = session };
    (void)snprintf(row, 64, "session %" PRIu64, block);
    to[count++] = (struct session_change){ .kind = SESSION_PUT, .session = session,
                                           .row = text_of(row) };
    to[count++] = (struct session_change){ .kind = EXCHANGE_PUT, .session = session,
                                           .packet_id = (uint16_t)block,
                                           .mark = (uint32_t)block * 77 };
    if (block > 3)
        to[count++] = (struct session_change){ .kind = EXCHANGE_REMOVE,
                                               .session = (uint32_t)((block - 3) % SESSIONS),
                                               .packet_id = (uint16_t)(block - 3) };
    return count;
}

static struct sessions_model sessions_at(uint64_t block)
{
    struct sessions_model model = { 0 };
    for (uint64_t i = 1; i <= block; i++) {
        uint64_t session = i % SESSIONS;
        if (i % 7 == 0)
            memset(model.open[session], 0, sizeof model.open[session]);
        model.row[session] = i;
        model.open[session][i] = true;
        if (i > 3)
            model.open[(i - 3) % SESSIONS][i - 3] = false;
    }
    return model;
}

static void expect_session(void *ctx, uint32_t session, struct text row)
{
    struct sessions_model *model = ctx;
    char wanted[64];
    assert_in_range(session, 0, SESSIONS - 1);
    (void)snprintf(wanted, sizeof wanted, "session %" PRIu64, model->row[session]);
    assert_true(text_equal(row, text_of(wanted)));
    model->row[session] = 0;
}

static void expect_exchange(void *ctx, uint32_t session, uint16_t packet_id, uint32_t mark)
{
    struct sessions_model *model = ctx;
    assert_in_range(session, 0, SESSIONS - 1);
    assert_in_range(packet_id, 1, BLOCKS + 1);
    assert_true(model->open[session][packet_id]);
    assert_int_equal(mark, packet_id * 77);
    model->open[session][packet_id] = false;
}

static void expect_receipt(void *ctx, const struct receipt_row *row)
{
    uint64_t *block = ctx;
    assert_int_equal(row->number, 3);
    assert_true(text_equal(row->device, text_of("d")));
    assert_true(*block > 0 && row->sequence == *block && row->above == ~*block);
    *block = 0;
}

static void check_sessions(struct store *store, uint64_t block)
{
    uint64_t told = block;
    assert_int_equal(store_receipts_each(store, &told, expect_receipt), 0);
    assert_int_equal(told, 0);
    struct sessions_model model = sessions_at(block);
    const struct session_visitor visitor = { &model, expect_session, expect_exchange };
    assert_int_equal(store_sessions_each(store, &visitor), 0);
    for (int i = 0; i < SESSIONS; i++) {
        assert_int_equal(model.row[i], 0); /* none is missing */
        for (int k = 0; k < BLOCKS + 2; k++)
            assert_false(model.open[i][k]);
    }
}

struct material { /* that one batch points into */
    uint8_t journal[BLOCK_BYTES_MAX + 20], piece[PIECE_BYTES];
    char result[64], alert[64];
    struct outbox_row rows[2];
    struct dead_letter letter;
    struct envelope envelope;
    struct session_change changes[SESSION_CHANGES_MAX];
    char session_row[64];
    struct receipt_row receipt;
};

/* A checkpoint begins at every fifth block and is written with it and the two after it. */
static struct checkpoint_piece piece_at(struct material *m, uint64_t block)
{
    uint64_t of = block - block % 5;
    uint32_t index = (uint32_t)(block % 5);
    if (of == 0 || index >= PIECES)
        return (struct checkpoint_piece){ 0 };
    fill(m->piece, PIECE_BYTES, of * 100 + index);
    return (struct checkpoint_piece){ .block = of, .offset = index * PIECE_BYTES,
                                      .total_bytes = PIECES * PIECE_BYTES,
                                      .bytes = { (const char *)m->piece, PIECE_BYTES },
                                      .daily = of % 10 == 0, .t_ms = (int64_t)of,
                                      .last = index == PIECES - 1 };
}

static uint32_t rows_at(struct material *m, uint64_t block)
{
    uint32_t count = 0;
    (void)snprintf(m->result, sizeof m->result, "result %" PRIu64, block);
    m->rows[count++] = (struct outbox_row){ .lane = LANE_RESULTS, .sequence = block,
                                            .payload = text_of(m->result) };
    if (block % 3 != 0)
        return count;
    (void)snprintf(m->alert, sizeof m->alert, "alert %" PRIu64, block / 3);
    m->rows[count++] = (struct outbox_row){ .lane = LANE_ALERTS, .sequence = block / 3,
                                            .key = { block / 9 + 1, 1 }, .revision = 1,
                                            .payload = text_of(m->alert) };
    return count;
}

static struct batch batch_at(struct material *m, uint64_t block)
{
    struct batch batch = { .block = block, .t_ms = (int64_t)block * 1000 };
    memset(m, 0, sizeof *m);
    batch.envelope = &m->envelope;
    fill(m->journal, block_bytes(block), block);
    batch.journal = (struct text){ (const char *)m->journal, block_bytes(block) };
    batch.readings = block_readings(block);
    batch.rows = m->rows;
    batch.row_count = rows_at(m, block);
    m->letter = (struct dead_letter){ .reason = REJECT_JSON_SYNTAX, .readings = 1,
                                      .source = text_of("s"), .topic = text_of("t"),
                                      .payload = text_of("{bad") };
    batch.letters = &m->letter;
    batch.letter_count = block_has_letter(block);
    for (int lane = 0; lane < LANES; lane++)
        batch.lanes[lane] = lane_at((enum lane)lane, block);
    batch.ledger = ledger_at(block);
    batch.checkpoint = piece_at(m, block);
    batch.raw_whole = true;
    batch.sessions = m->changes;
    m->receipt = (struct receipt_row){ 3, text_of("d"), block, ~block };
    batch.receipts = &m->receipt;
    batch.receipt_count = 1;
    batch.session_count = changes_at(m->changes, m->session_row, block);
    return batch;
}

/* --- the store on the faulty disk --------------------------------------------------------------- */

static struct store_config config_of(bool normal)
{
    return (struct store_config){
        .path = "cut.db", .vfs = FAULTY_VFS_NAME, .unsafe_sync_normal = normal,
        .disk_bytes_max = 8 * 1024 * 1024, .wal_bytes_max = 160 * 1024, .ballast_bytes = 65536,
        .journal_bytes_max = 24 * 1024, .outbox_bytes_max = { 1 << 20, 1 << 20, 1 << 20 },
        .letters_bytes_max = 1 << 20, .letters_max = 4, .sqlite_heap_bytes = 8 * 1024 * 1024,
        .daily_max = 2, .daily_bytes_max = 1 << 20, .daily_age_max_ms = 1 << 30,
    };
}

static int open_it(bool normal, struct store **store, struct store_recovery *found)
{
    uint64_t entropy[2] = { 1, 2 };
    char why[256] = "";
    struct store_config config = config_of(normal);
    int err = store_open(&config, entropy, store, found, why);
    if (err != 0 && !faulty_vfs_is_cut() && faulty_vfs_faults() == 0)
        fail_msg("open: %s: %s", weir_err_text(err), why);
    return err;
}

/* Commit until the power goes or all is committed; returns the last block acknowledged. */
static uint64_t run_until_cut(bool normal)
{
    struct material m;
    struct store *store;
    struct store_recovery found;
    uint64_t acknowledged = 0;

    if (open_it(normal, &store, &found) != 0)
        return 0;
    for (uint64_t block = 1; block <= BLOCKS; block++) {
        struct batch batch = batch_at(&m, block);
        if (store_commit(store, &batch) != 0)
            break;
        acknowledged = block;
    }
    if (!faulty_vfs_is_cut())
        faulty_vfs_kill();
    return store_close(store), acknowledged;
}

static void check_journal(struct store *store, const struct store_recovery *found)
{
    static uint8_t got[BLOCK_BYTES_MAX + 20], wanted[BLOCK_BYTES_MAX + 20];
    uint64_t held = 0, expected = found->first_block;

    for (uint64_t from = 1;; from++) {
        uint64_t number;
        size_t used;
        assert_int_equal(store_block_read(store, from, got, sizeof got, &number, &used), 0);
        if (number == 0)
            break;
        assert_int_equal(number, expected++); /* no hole */
        assert_int_equal(used, block_bytes(number));
        fill(wanted, used, number);
        assert_memory_equal(got, wanted, used);
        held += block_readings(number);
        from = number;
    }
    if (found->last_block > 0)
        assert_int_equal(expected, found->last_block + 1);
    assert_int_equal(held, found->ledger.held);
}

static void check_lane(struct store *store, enum lane lane, uint64_t block)
{
    static uint8_t bytes[65536];
    struct lane_state wanted = lane_at(lane, block);
    struct outbox_row rows[BLOCKS];
    uint32_t count;

    int err = store_outbox_read(store, lane, 1, bytes, sizeof bytes, rows, BLOCKS, &count);
    assert_int_equal(err, 0);
    assert_int_equal(count, wanted.next_sequence - 1 - wanted.covered);
    for (uint32_t i = 0; i < count; i++) {
        char text[64], plain[64];
        uLongf used = sizeof plain;
        uint64_t sequence = wanted.covered + 1 + i;
        assert_int_equal(rows[i].sequence, sequence);
        (void)snprintf(text, sizeof text, "%s %" PRIu64, lane == LANE_ALERTS ? "alert" : "result",
                       sequence);
        if (lane == LANE_ALERTS) {
            used = rows[i].payload.bytes;
            memcpy(plain, rows[i].payload.at, used);
        } else {
            assert_int_equal(uncompress((Bytef *)plain, &used, (const Bytef *)rows[i].payload.at,
                                        rows[i].payload.bytes), Z_OK);
        }
        assert_int_equal(used, strlen(text));
        assert_memory_equal(plain, text, used);
    }
}

static void check_checkpoint(struct store *store, const struct store_recovery *found)
{
    static uint8_t got[PIECES * PIECE_BYTES], wanted[PIECE_BYTES];

    uint64_t newest = found->last_block < 7 ? 0 : (found->last_block - 2) / 5 * 5;
    assert_int_equal(found->checkpoint_block, newest);
    if (newest == 0)
        return;
    assert_int_equal(found->checkpoint_bytes, sizeof got);
    const struct checkpoint_place place = { newest, sizeof got, 0 };
    assert_int_equal(store_checkpoint_read_at(store, &place, got, sizeof got), 0);
    for (uint32_t i = 0; i < PIECES; i++) {
        fill(wanted, PIECE_BYTES, newest * 100 + i);
        assert_memory_equal(got + i * PIECE_BYTES, wanted, PIECE_BYTES);
    }
    assert_true(found->first_block <= newest + 1); /* foldable from the newest on */
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    uint32_t count; /* with those that are kept */
    assert_int_equal(store_checkpoints(store, places, &count), 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(store_checkpoint_read_at(store, &places[i], got, sizeof got), 0);
        for (uint32_t k = 0; k < PIECES; k++) {
            fill(wanted, PIECE_BYTES, places[i].block * 100 + k);
            assert_memory_equal(got + k * PIECE_BYTES, wanted, PIECE_BYTES);
        }
    }
    assert_in_range(count, 1, 2 + 2);
}

static void check_pages(void)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2("cut.db", &db, SQLITE_OPEN_READWRITE, FAULTY_VFS_NAME),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

/* Everything acknowledged is there, and the store goes on from it. */
static void check_survival(uint64_t acknowledged, bool normal, struct tally *tally)
{
    struct material m;
    struct store *store;
    struct store_recovery found;

    assert_int_equal(open_it(normal, &store, &found), 0);
    tally->cases++;
    tally->set_aside += found.set_aside;
    tally->unclear += found.last_block > acknowledged;
    if (found.last_block < acknowledged) {
        tally->lost_cases++;
        tally->lost_blocks += acknowledged - found.last_block;
    }
    assert_in_range(found.last_block, 0, acknowledged + 1);
    struct ledger wanted = ledger_at(found.last_block);
    assert_int_equal(found.ledger.received, wanted.received);
    assert_int_equal(found.ledger.stored, wanted.stored);
    assert_true(ledger_balances(&found.ledger));
    check_journal(store, &found);
    check_lane(store, LANE_ALERTS, found.last_block);
    check_lane(store, LANE_RESULTS, found.last_block);
    check_checkpoint(store, &found);
    check_sessions(store, found.last_block);
    struct batch batch = batch_at(&m, found.last_block + 1);
    assert_int_equal(store_commit(store, &batch), 0);
    store_close(store);
    check_pages();
}

/* Power comes back and goes again while the store recovers. */
static void cut_recovery(bool normal, uint64_t at, uint64_t seed)
{
    struct store *store;
    struct store_recovery found;
    faulty_vfs_cut_at(at);
    if (open_it(normal, &store, &found) == 0)
        store_close(store);
    faulty_vfs_cut(seed);
    faulty_vfs_power_on();
}

static uint64_t operations_of_run(bool normal)
{
    faulty_vfs_begin(1);
    assert_int_equal(run_until_cut(normal), BLOCKS);
    return faulty_vfs_operations();
}

static struct tally cut_everywhere(bool normal, uint64_t seeds, uint64_t step)
{
    struct tally tally = { 0 };
    uint64_t operations = operations_of_run(normal), seed = check_seed();

    for (uint64_t k = 1; k <= operations; k += step) {
        for (uint64_t i = 0; i < seeds; i++) {
            faulty_vfs_begin(k * 31 + i);
            faulty_vfs_cut_at(k);
            uint64_t acknowledged = run_until_cut(normal);
            faulty_vfs_cut(seed + k * 1000 + i);
            faulty_vfs_power_on();
            if (i == 0)
                cut_recovery(normal, 1 + k % 12, k);
            check_survival(acknowledged, normal, &tally);
        }
    }
    printf("# %s: %" PRIu64 " operations, %" PRIu64 " cuts, %" PRIu64 " unclear commits kept, "
           "%" PRIu64 " cuts lost acknowledged rows (%" PRIu64 " blocks)\n",
           normal ? "NORMAL" : "FULL", operations, tally.cases, tally.unclear, tally.lost_cases,
           tally.lost_blocks);
    return tally;
}

static void a_cut_loses_nothing_acknowledged(void **state)
{
    (void)state;
    const char *seeds = getenv("SEEDS"); /* at each operation; `make powercut` */
    struct tally tally = cut_everywhere(false, seeds != NULL ? strtoull(seeds, NULL, 10) : SEEDS, 1);
    assert_true(tally.cases >= 2000);
    assert_int_equal(tally.lost_cases, 0);
    assert_int_equal(tally.set_aside, 0);
    assert_true(tally.unclear > 0);
}

static void without_full_sync_it_loses(void **state)
{
    (void)state;
    struct tally tally = cut_everywhere(true, 1, 3);
    assert_true(tally.lost_cases > 0);
    assert_int_equal(tally.set_aside, 0);
}

/* --- errors of the disk --------------------------------------------------------------------------- */

/* The gateway's way: the same batch again until it is stored. */
static void run_with_retries(struct tally *tally)
{
    struct material m;
    struct store *store;
    struct store_recovery found;

    while (open_it(false, &store, &found) != 0)
        tally->errors++;
    for (uint64_t block = 1; block <= BLOCKS; block++) {
        struct batch batch = batch_at(&m, block);
        int tries = 0;
        for (int err = store_commit(store, &batch); err != 0; err = store_commit(store, &batch)) {
            assert_true(err == WEIR_EIO || err == WEIR_ENOSPC);
            if (++tries == 20)
                fail_msg("block %" PRIu64 ": %s", block, store_why(store));
            tally->errors++;
        }
    }
    faulty_vfs_cut(tally->errors + 7);
    store_close(store);
    faulty_vfs_power_on();
}

/* The other way: the process ends with the first error, or in the middle of a commit, and a new one
 * goes on, on the same kernel. What the old one could not sync looks written to the new one. */
static void run_with_restarts(struct tally *tally)
{
    struct material m;
    struct store *store;
    struct store_recovery found;
    uint64_t block = 0;

    while (open_it(false, &store, &found) != 0)
        tally->errors++;
    while (block < BLOCKS) {
        struct batch batch = batch_at(&m, block + 1);
        block++;
        if (store_commit(store, &batch) == 0)
            continue;
        tally->errors++;
        faulty_vfs_kill();
        store_close(store);
        faulty_vfs_power_on();
        assert_int_equal(open_it(false, &store, &found), 0);
        assert_true(found.last_block == block || found.last_block + 1 == block);
        block = found.last_block;
    }
    faulty_vfs_cut(tally->errors + 7);
    store_close(store);
    faulty_vfs_power_on();
}

static void a_restart_writes_again_what_was_not_synced(void **state)
{
    struct tally tally = { 0 };
    uint64_t operations = operations_of_run(false);

    (void)state;
    for (uint64_t k = 1; k <= operations; k += 3) {
        faulty_vfs_begin(k * 13);
        faulty_vfs_fail_at(k, 1, FAULTY_EIO);
        run_with_restarts(&tally);
        check_survival(BLOCKS, false, &tally);
    }
    printf("# restarts: %" PRIu64 " runs, %" PRIu64 " ended early, %" PRIu64 " lost\n", tally.cases,
           tally.errors, tally.lost_cases);
    assert_true(tally.errors > tally.cases / 2);
    assert_int_equal(tally.lost_cases, 0);
    assert_int_equal(tally.set_aside, 0);
}

/* A commit that nobody heard of, and that the kernel alone holds, is durable once a start told of
 * it: its rows may be on their way by then. */
static void what_a_start_finds_lasts(void **state)
{
    struct material m;
    struct store *store;
    struct store_recovery found, later;
    uint64_t unheard = 0;

    (void)state;
    for (uint64_t k = 1; k <= 40; k++) {
        faulty_vfs_begin(k);
        assert_int_equal(open_it(false, &store, &found), 0);
        struct batch batch = batch_at(&m, 1);
        faulty_vfs_kill_at(k);
        bool heard = store_commit(store, &batch) == 0;
        faulty_vfs_kill();
        store_close(store);
        faulty_vfs_power_on();
        assert_int_equal(open_it(false, &store, &found), 0);
        unheard += !heard && found.last_block == 1;
        faulty_vfs_cut(k);
        store_close(store);
        faulty_vfs_power_on();
        assert_int_equal(open_it(false, &store, &later), 0);
        assert_int_equal(later.last_block, found.last_block);
        store_close(store);
    }
    assert_true(unheard > 0);
}

static void errors_lose_nothing(void **state)
{
    struct tally tally = { 0 };
    uint64_t operations = operations_of_run(false);

    (void)state;
    for (uint64_t k = 1; k <= operations; k += 3) {
        for (uint64_t i = 0; i < 3; i++) {
            faulty_vfs_begin(k * 17 + i);
            faulty_vfs_fail_at(k, i == 2 ? 4 : 1, i == 1 ? FAULTY_ENOSPC : FAULTY_EIO);
            run_with_retries(&tally);
            check_survival(BLOCKS, false, &tally);
        }
    }
    printf("# errors: %" PRIu64 " runs, %" PRIu64 " failed calls, %" PRIu64 " lost\n", tally.cases,
           tally.errors, tally.lost_cases);
    assert_true(tally.errors > tally.cases / 2);
    assert_int_equal(tally.lost_cases, 0);
    assert_int_equal(tally.set_aside, 0);
}

/* --- a full disk ---------------------------------------------------------------------------------- */

static int commit_until_refused(struct store *store, uint64_t *block, bool may_remove)
{
    struct material m;
    int err = 0;
    while (err == 0 && *block < 400) {
        struct batch batch = batch_at(&m, *block + 1);
        batch.may_remove = may_remove;
        err = store_commit(store, &batch);
        *block += err == 0;
    }
    return err;
}

/* So many commits, all good; what the last one said of the disk and of what was removed. */
static struct batch commit_some(struct store *store, uint64_t *block, uint64_t commits)
{
    static struct material m;
    struct batch batch = { 0 };
    for (uint64_t last = *block + commits; *block < last; ++*block) {
        batch = batch_at(&m, *block + 1);
        assert_int_equal(store_commit(store, &batch), 0);
    }
    return batch;
}

static uint64_t removed_for_space(const struct batch *batch)
{
    return batch->removed[REMOVED_SPACE_FORWARDED] + batch->removed[REMOVED_SPACE_UNFORWARDED];
}

/* The file system is full long before the budget is. The reserve goes, then commits are refused and
 * nothing is removed; when that lasts, old blocks make room for new ones inside the file, and no
 * commit is refused. When there is room again, so is the reserve, and nothing is removed. */
static void a_full_disk_makes_room_inside_the_file(void **state)
{
    struct store *store;
    struct store_recovery found;
    uint64_t block = 0, entropy[2] = { 1, 2 };
    char why[256];
    struct store_config config = config_of(false);
    config.journal_bytes_max = 4 << 20;

    (void)state;
    faulty_vfs_begin(5);
    assert_int_equal(store_open(&config, entropy, &store, &found, why), 0);
    struct batch batch = commit_some(store, &block, 30);
    faulty_vfs_room(batch.disk_bytes + 4096);
    assert_int_equal(commit_until_refused(store, &block, false), WEIR_ENOSPC);
    assert_true(block > 31); /* the reserve took some */
    assert_int_equal(commit_until_refused(store, &block, false), WEIR_ENOSPC);
    faulty_vfs_room(batch.disk_bytes + 4096 + 65536);
    batch = commit_some(store, &block, 2);
    assert_int_equal(removed_for_space(&batch), 0);
    faulty_vfs_room(batch.disk_bytes + 4096);
    assert_int_equal(commit_until_refused(store, &block, true), 0);
    faulty_vfs_room(0);
    batch = commit_some(store, &block, 40);
    uint64_t removed = removed_for_space(&batch);
    assert_true(removed > 0);
    batch = commit_some(store, &block, 40);
    assert_int_equal(removed_for_space(&batch), removed);
    store_close(store);

    assert_int_equal(store_open(&config, entropy, &store, &found, why), 0);
    assert_int_equal(found.last_block, block);
    assert_false(found.set_aside);
    check_journal(store, &found);
    store_close(store);
    check_pages();
}

/* A batch that a full disk refused is stored, once, when somebody else has made room. */
static void a_refused_batch_is_stored_later(void **state)
{
    struct store *store;
    struct store_recovery found;
    struct material m;
    uint64_t block = 0;

    (void)state;
    faulty_vfs_begin(6);
    assert_int_equal(open_it(false, &store, &found), 0);
    faulty_vfs_room(48 * 1024); /* before there is anything that could make room */
    assert_int_equal(commit_until_refused(store, &block, false), WEIR_ENOSPC);
    struct batch batch = batch_at(&m, block + 1);
    assert_int_equal(store_commit(store, &batch), WEIR_ENOSPC);
    faulty_vfs_room(0);
    batch = batch_at(&m, block + 1);
    assert_int_equal(store_commit(store, &batch), 0);
    store_close(store);
    assert_int_equal(open_it(false, &store, &found), 0);
    assert_int_equal(found.last_block, block + 1);
    check_journal(store, &found);
    check_lane(store, LANE_RESULTS, block + 1);
    store_close(store);
}

static int finish(void **state)
{
    (void)state;
    faulty_vfs_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_loses_nothing_acknowledged),
        cmocka_unit_test(without_full_sync_it_loses),
        cmocka_unit_test(errors_lose_nothing),
        cmocka_unit_test(a_restart_writes_again_what_was_not_synced),
        cmocka_unit_test(what_a_start_finds_lasts),
        cmocka_unit_test(a_full_disk_makes_room_inside_the_file),
        cmocka_unit_test(a_refused_batch_is_stored_later),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
