/* Goal: what was committed is there after closing and opening again, byte for byte; a batch stored
 *   twice counts once; retention, eviction, dead letters and checkpoints keep their declared order;
 *   full, foreign, newer and damaged files are met as the header says.
 * Method: a real file under a temporary directory. Examples first, then a month of small commits
 *   in faked time under small budgets, in which every figure is checked against a plain model.
 * Links: storage/store_open.c storage/store_schema.c storage/store_sql.c storage/store_state.c storage/store_commit.c storage/store_outbox.c storage/store_letters.c storage/store_retention.c storage/store_checkpoint.c storage/store_disk.c storage/store_deflate.c storage/ledger.c pipeline/bytes.c pipeline/envelope.c pipeline/json_writer.c pipeline/reject.c pipeline/alert.c pipeline/hash.c pipeline/err.c pipeline/timestamp.c
 * Libs: -lsqlite3 -lz
 */
#include "tests/lib/check.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "pipeline/err.h"
#include "pipeline/envelope.h"
#include "storage/store.h"

enum { MIB = 1024 * 1024, DAY_MS = 24 * 3600 * 1000 };

struct bench { /* one store in its own directory, and what the test knows of it */
    char dir[64], path[96], why[256];
    struct store_config config;
    struct store *store;
    struct store_recovery found;
    struct ledger ledger;
    struct lane_state lanes[LANES];
    uint64_t block;
    int64_t t_ms;
    struct envelope envelope;
};

static struct store_config small_config(const char *path)
{
    return (struct store_config){
        .path = path,
        .disk_bytes_max = 8 * MIB, .wal_bytes_max = MIB, .ballast_bytes = MIB / 2,
        .journal_bytes_max = 3 * MIB,
        .outbox_bytes_max = { MIB / 2, MIB / 2, MIB / 4 },
        .letters_bytes_max = MIB / 4, .letters_max = 100,
        .letters_age_max_ms = 7 * (int64_t)DAY_MS, .journal_age_max_ms = 10 * (int64_t)DAY_MS,
        .sqlite_heap_bytes = 16 * MIB,
    };
}

static int bench_open(struct bench *b)
{
    uint64_t entropy[2] = { 11, 22 };
    int err = store_open(&b->config, entropy, &b->store, &b->found, b->why);
    if (err == 0) {
        b->ledger = b->found.ledger;
        b->block = b->found.last_block;
        memcpy(b->lanes, b->found.lanes, sizeof b->lanes);
    }
    return err;
}

static void bench_close(struct bench *b)
{
    store_close(b->store);
    b->store = NULL;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/weir-store-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    (void)snprintf(b->path, sizeof b->path, "%s/weir.db", b->dir);
    b->config = small_config(b->path);
    b->envelope.gateway = text_of("test");
    b->envelope.version = text_of("0");
    assert_int_equal(bench_open(b), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char command[128];
    if (b->store != NULL)
        bench_close(b);
    (void)snprintf(command, sizeof command, "rm -rf %s", b->dir);
    int code = system(command);
    free(b);
    return code;
}

static struct batch batch_of(struct bench *b, const char *journal, uint32_t bytes, uint32_t readings)
{
    struct batch batch = { .block = b->block + 1, .t_ms = b->t_ms, .readings = readings,
                           .journal = { journal, bytes }, .envelope = &b->envelope };
    b->ledger.received += readings;
    b->ledger.stored += readings;
    batch.ledger = b->ledger;
    memcpy(batch.lanes, b->lanes, sizeof batch.lanes);
    return batch;
}

static void commit(struct bench *b, struct batch *batch)
{
    int err = store_commit(b->store, batch);
    if (err != 0)
        fail_msg("commit: %s: %s", weir_err_text(err), store_why(b->store));
    b->block = batch->block;
}

static struct outbox_row row_of(struct bench *b, enum lane lane, const char *payload)
{
    return (struct outbox_row){ .lane = lane, .sequence = b->lanes[lane].next_sequence++,
                                .t_ms = b->t_ms, .payload = text_of(payload) };
}

static struct text inflated(struct text packed, uint8_t *to, size_t bytes)
{
    uLongf used = bytes;
    assert_int_equal(uncompress(to, &used, (const Bytef *)packed.at, packed.bytes), Z_OK);
    return (struct text){ (const char *)to, (uint32_t)used };
}

/* --- examples ------------------------------------------------------------------------------- */

static void survives_reopening(void **state)
{
    struct bench *b = *state;
    static uint8_t bytes[65536], plain[65536];
    struct outbox_row rows[3] = { row_of(b, LANE_ALERTS, "{\"alert\":1}"),
                                  row_of(b, LANE_RESULTS, "WR results"),
                                  row_of(b, LANE_RESULTS, "WR more results") };
    rows[0].key = (struct hash128){ 5, 6 };
    rows[0].revision = 1;
    struct dead_letter letter = { .t_ms = 4, .wall_ms = 5, .reason = REJECT_JSON_SYNTAX,
                                  .fault_offset = 3, .readings = 1, .source = text_of("tap"),
                                  .topic = text_of("a/b"), .payload = text_of("{oops") };
    assert_true(b->found.created);
    b->t_ms = 1000;
    b->ledger.received++;
    b->ledger.rejected[REJECT_JSON_SYNTAX]++;
    struct batch batch = batch_of(b, "block one", 9, 7);
    batch.rows = rows;
    batch.row_count = 3;
    batch.letters = &letter;
    batch.letter_count = 1;
    commit(b, &batch);
    assert_int_equal(batch.held, 7);
    assert_int_equal(batch.outbox_rows[LANE_RESULTS], 2);
    bench_close(b);
    assert_int_equal(bench_open(b), 0);

    assert_false(b->found.created);
    assert_int_equal(b->found.store_id[0], 11);
    assert_int_equal(b->found.last_block, 1);
    assert_int_equal(b->found.first_block, 1);
    assert_int_equal(b->found.t_ms, 1000);
    assert_int_equal(b->found.ledger.stored, 7);
    assert_int_equal(b->found.ledger.held, 7);
    assert_int_equal(b->found.lanes[LANE_RESULTS].next_sequence, 3);
    uint64_t number;
    size_t used;
    assert_int_equal(store_block_read(b->store, 1, bytes, sizeof bytes, &number, &used), 0);
    assert_int_equal(number, 1);
    assert_memory_equal(bytes, "block one", used);
    assert_int_equal(store_block_read(b->store, 2, bytes, sizeof bytes, &number, &used), 0);
    assert_int_equal(number, 0);

    struct outbox_row got[4];
    uint32_t count;
    assert_int_equal(store_outbox_read(b->store, LANE_ALERTS, 1, bytes, sizeof bytes, got, 4, &count),
                     0);
    assert_int_equal(count, 1);
    assert_true(text_equal(got[0].payload, text_of("{\"alert\":1}")));
    assert_int_equal(got[0].key.high, 6);
    assert_int_equal(got[0].revision, 1);
    assert_int_equal(
        store_outbox_read(b->store, LANE_RESULTS, 2, bytes, sizeof bytes, got, 4, &count), 0);
    assert_int_equal(count, 1);
    assert_true(text_equal(inflated(got[0].payload, plain, sizeof plain),
                           text_of("WR more results")));

    struct dead_letter back;
    assert_int_equal(store_letter_read(b->store, 1, bytes, sizeof bytes, &back), 0);
    assert_true(text_equal(back.payload, text_of("{oops")));
    assert_true(text_equal(back.topic, text_of("a/b")));
    assert_int_equal(back.reason, REJECT_JSON_SYNTAX);
    assert_int_equal(store_letter_read(b->store, 2, bytes, sizeof bytes, &back), WEIR_ENOTFOUND);
}

static void stores_a_block_once(void **state)
{
    struct bench *b = *state;
    struct batch batch = batch_of(b, "x", 1, 3), again = batch;
    commit(b, &batch);
    assert_int_equal(store_commit(b->store, &again), 0);
    assert_int_equal(again.held, 3);
    assert_int_equal(again.first_sequence[LANE_RAW], 1);
}

static void refuses_a_ledger_that_does_not_balance(void **state)
{
    struct bench *b = *state;
    struct batch batch = batch_of(b, "x", 1, 3);
    batch.ledger.received++;
    assert_int_equal(store_commit(b->store, &batch), WEIR_ECORRUPT);
    assert_non_null(strstr(store_why(b->store), "balance"));
    batch.ledger.received--;
    assert_int_equal(store_commit(b->store, &batch), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(survives_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(stores_a_block_once, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_ledger_that_does_not_balance, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
