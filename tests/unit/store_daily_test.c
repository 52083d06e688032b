/* Goal: checkpoints that are kept for replays are what was written, over any number of later ones, restarts and deaths; of
 *   them so many stay as may, by number, age and bytes; one that the journal does not go on from goes, and all of them
 *   before any reading where pages are short; and of one that went nothing is left in the file.
 * Method: a real file under a temporary directory; examples, then seeded rounds against a plain model.
 * Links: storage/store_open.c storage/store_schema.c storage/store_sql.c storage/store_state.c storage/store_commit.c storage/store_outbox.c storage/store_letters.c storage/store_results.c storage/store_retention.c storage/store_checkpoint.c storage/store_daily.c storage/store_contracts.c storage/store_sessions.c storage/store_disk.c storage/store_deflate.c storage/ledger.c pipeline/bytes.c pipeline/contract.c pipeline/codec/envelope.c pipeline/codec/json_writer.c pipeline/reject.c pipeline/alerts/%.c pipeline/hash.c pipeline/err.c pipeline/timestamp.c
 * Libs: -lsqlite3 -lz
 */
#include "tests/lib/check.h"

#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/err.h"
#include "storage/store.h"

enum { MIB = 1024 * 1024, DAY_MS = 86400000, PIECES_MAX = 4, ROUNDS = 120 };

struct bench {
    char dir[64], path[96], why[256];
    struct store_config config;
    struct store *store;
    struct store_recovery found;
    uint64_t block;
    int64_t t_ms;
    uint64_t readings;
    uint32_t daily_count; /* as the last commit said */
    bool wanted;
};

static void bench_open(struct bench *b)
{
    uint64_t entropy[2] = { 1, 2 };
    int err = store_open(&b->config, entropy, &b->store, &b->found, b->why);
    if (err != 0)
        fail_msg("open: %s", b->why);
    b->block = b->found.last_block;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/weir-daily-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    (void)snprintf(b->path, sizeof b->path, "%s/weir.db", b->dir);
    b->config = (struct store_config){
        .path = b->path, .disk_bytes_max = 16 * MIB, .wal_bytes_max = MIB, .ballast_bytes = MIB / 2,
        .journal_bytes_max = 12 * MIB, .outbox_bytes_max = { MIB / 2, MIB / 2, MIB / 4 }, .letters_bytes_max = MIB / 4,
        .letters_max = 100, .sqlite_heap_bytes = 16 * MIB,
        .daily_max = 3, .daily_bytes_max = 4 * MIB, .daily_age_max_ms = 3 * DAY_MS,
    };
    bench_open(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char command[128];
    store_close(b->store);
    (void)snprintf(command, sizeof command, "rm -rf %s", b->dir);
    int code = system(command);
    free(b);
    return code;
}

static void commit(struct bench *b, struct batch *batch)
{
    batch->block = b->block + 1;
    batch->t_ms = b->t_ms;
    batch->wall_ms = 1000000 + b->t_ms;
    for (int lane = 0; lane < LANES; lane++)
        batch->lanes[lane] = b->found.lanes[lane];
    b->readings += batch->readings;
    batch->ledger = (struct ledger){ .received = b->readings, .stored = b->readings };
    int err = store_commit(b->store, batch);
    if (err != 0)
        fail_msg("commit: %s: %s", weir_err_text(err), store_why(b->store));
    b->block++;
    b->daily_count = batch->daily_count;
    b->wanted = batch->checkpoint_wanted;
}

static void fill_noise(char *to, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (char)rnd_below(&seed, 256);
}

/* As of now; its bytes hang on its block. `cut`: only so many pieces, as a death leaves it. */
static uint64_t write_checkpoint(struct bench *b, uint32_t pieces, bool daily, uint32_t cut)
{
    static char piece[STORE_PIECE_BYTES];
    uint64_t of = b->block;
    int64_t t_ms = b->t_ms;
    for (uint32_t i = 0; i < pieces && i < cut; i++) {
        fill_noise(piece, sizeof piece, of * 100 + i);
        struct batch batch = { .checkpoint = { of, i * STORE_PIECE_BYTES, pieces * STORE_PIECE_BYTES,
                                               { piece, sizeof piece }, t_ms, 1000000 + t_ms, daily, i == pieces - 1 } };
        commit(b, &batch);
    }
    return of;
}

static void write_block(struct bench *b, uint32_t bytes)
{
    static char block[MIB];
    fill_noise(block, bytes, b->block + 1);
    struct batch batch = { .journal = { block, bytes }, .readings = 10 };
    commit(b, &batch);
}

static bool is_held(struct bench *b, uint64_t block, struct checkpoint_place *to)
{
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    uint32_t count;
    bool found = false;
    assert_int_equal(store_checkpoints(b->store, places, &count), 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(i == 0 || places[i].block < places[i - 1].block);
        if (places[i].block == block)
            *to = places[i];
        found = found || places[i].block == block;
    }
    return found;
}

static void check_held(struct bench *b, uint64_t block)
{
    static uint8_t got[PIECES_MAX * STORE_PIECE_BYTES];
    static char piece[STORE_PIECE_BYTES];
    struct checkpoint_place place;
    assert_true(is_held(b, block, &place));
    assert_in_range(place.bytes, 1, sizeof got);
    assert_true(place.wall_ms > 0);
    assert_int_equal(store_checkpoint_read_at(b->store, &place, got, sizeof got), 0);
    for (uint32_t i = 0; i < place.bytes / STORE_PIECE_BYTES; i++) {
        fill_noise(piece, sizeof piece, block * 100 + i);
        assert_memory_equal(got + i * STORE_PIECE_BYTES, piece, sizeof piece);
    }
}

static bool is_gone(struct bench *b, uint64_t block)
{
    struct checkpoint_place place;
    return !is_held(b, block, &place);
}

static int64_t pieces_in_file(struct bench *b)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    store_close(b->store);
    assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM piece", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(q, 0);
    (void)sqlite3_finalize(q);
    (void)sqlite3_close(db);
    bench_open(b);
    return count;
}

static void kept_as_written(void **state)
{
    struct bench *b = *state;
    uint64_t kept[3];
    for (int day = 0; day < 3; day++) {
        b->t_ms = day * DAY_MS;
        kept[day] = write_checkpoint(b, 3, true, 3);
        for (int i = 0; i < 3; i++)
            (void)write_checkpoint(b, 2, false, 2); /* both slots have been written again */
    }
    check_held(b, kept[0]);
    store_close(b->store);
    bench_open(b);
    assert_int_equal(b->found.daily_t_ms, 2 * DAY_MS);
    for (int day = 0; day < 3; day++)
        check_held(b, kept[day]);
    assert_int_equal(pieces_in_file(b), 3 * 3 + 2 * 2);
}

static void so_many_and_so_old(void **state)
{
    struct bench *b = *state;
    uint64_t kept[5];
    for (int day = 0; day < 5; day++) {
        b->t_ms = day * DAY_MS;
        kept[day] = write_checkpoint(b, 2, true, 2);
        (void)write_checkpoint(b, 2, false, 2);
        (void)write_checkpoint(b, 2, false, 2);
    }
    assert_true(is_gone(b, kept[0]) && is_gone(b, kept[1]));
    for (int day = 2; day < 5; day++)
        check_held(b, kept[day]);
    b->t_ms = 10 * DAY_MS; /* nothing was kept meanwhile */
    (void)write_checkpoint(b, 1, false, 1);
    (void)write_checkpoint(b, 1, false, 1);
    for (int day = 2; day < 5; day++)
        assert_true(is_gone(b, kept[day]));
    assert_int_equal(pieces_in_file(b), 2);
    b->config.daily_bytes_max = 3 * STORE_PIECE_BYTES; /* their share, as another configuration has it */
    store_close(b->store);
    bench_open(b);
    kept[0] = write_checkpoint(b, 2, true, 2);
    kept[1] = write_checkpoint(b, 2, true, 2);
    (void)write_checkpoint(b, 1, false, 1);
    (void)write_checkpoint(b, 1, false, 1);
    assert_true(is_gone(b, kept[0]));
    check_held(b, kept[1]);
    b->config.daily_max = 0; /* none any more */
    store_close(b->store);
    bench_open(b);
    write_block(b, 100); /* also without another checkpoint */
    write_block(b, 100);
    assert_int_equal(b->daily_count, 0);
    assert_int_equal(pieces_in_file(b), 2);
}

/* Blocks behind it are gone: nothing could be folded on from there. */
static void not_without_its_journal(void **state)
{
    struct bench *b = *state;
    b->config.journal_bytes_max = 2 * MIB;
    store_close(b->store);
    bench_open(b);
    write_block(b, MIB / 2);
    uint64_t early = write_checkpoint(b, 2, true, 2);
    for (int i = 0; i < 3; i++)
        write_block(b, MIB / 2);
    uint64_t late = write_checkpoint(b, 2, true, 2);
    (void)write_checkpoint(b, 2, false, 2);
    for (int i = 0; i < 6; i++) {
        check_held(b, late);
        write_block(b, MIB / 4);
    }
    assert_true(is_gone(b, early));
    (void)write_checkpoint(b, 2, false, 2);
    (void)write_checkpoint(b, 2, false, 2);
    assert_int_equal(pieces_in_file(b), 3 * 2);
}

/* Sixteen MiB, and the journal may have twelve of them: kept checkpoints give way first, then readings. */
static void first_to_go(void **state)
{
    struct bench *b = *state;
    uint64_t kept[3];
    for (int i = 0; i < 3; i++) {
        kept[i] = write_checkpoint(b, 4, true, 4);
        (void)write_checkpoint(b, 1, false, 1);
        (void)write_checkpoint(b, 1, false, 1);
    }
    struct batch batch = { 0 };
    while (b->daily_count > 0) {
        write_block(b, MIB / 2);
        batch = (struct batch){ 0 };
        commit(b, &batch);
        assert_int_equal(batch.held, b->readings); /* no reading went */
        assert_in_range(b->block, 0, 100);
    }
    for (int i = 0; i < 3; i++)
        assert_true(is_gone(b, kept[i]));
    assert_int_equal(pieces_in_file(b), 2);
}

/* A death while one is written leaves those before as they are, and nothing behind. */
static void a_death_in_the_middle(void **state)
{
    struct bench *b = *state;
    uint64_t first = write_checkpoint(b, 3, true, 3);
    uint64_t plain = write_checkpoint(b, 2, false, 2);
    for (uint32_t cut = 1; cut < 4; cut++) {
        (void)write_checkpoint(b, 4, true, cut);
        store_close(b->store);
        bench_open(b);
        check_held(b, first);
        check_held(b, plain);
        assert_int_equal(b->found.checkpoint_block, plain);
    }
    uint64_t second = write_checkpoint(b, 1, true, 1);
    check_held(b, second);
    check_held(b, first);
    (void)write_checkpoint(b, 2, false, 2);
    assert_int_equal(pieces_in_file(b), 3 + 1 + 2);
}

/* Any order of checkpoints, blocks, days, deaths and shares: what is told to be held can be read, is what was written, and
 * is never more than may be. */
static void seeded_rounds(void **state)
{
    struct bench *b = *state;
    uint64_t seed = 20261127;
    for (int round = 0; round < ROUNDS; round++) {
        struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
        uint32_t count, pieces = 1 + (uint32_t)rnd_below(&seed, PIECES_MAX);
        b->t_ms += (int64_t)rnd_below(&seed, DAY_MS);
        switch (rnd_below(&seed, 5)) {
        case 0:
        case 1:
            (void)write_checkpoint(b, pieces, rnd_below(&seed, 2) == 0, pieces);
            break;
        case 2:
            (void)write_checkpoint(b, pieces, true, 1 + (uint32_t)rnd_below(&seed, pieces));
            break;
        case 3:
            write_block(b, (uint32_t)rnd_below(&seed, MIB));
            break;
        case 4:
            b->config.daily_max = (uint32_t)rnd_below(&seed, 5);
            b->config.daily_bytes_max = rnd_below(&seed, 12) * STORE_PIECE_BYTES;
            store_close(b->store);
            bench_open(b);
            write_block(b, 10);
            break;
        }
        assert_int_equal(store_checkpoints(b->store, places, &count), 0);
        assert_in_range(count, 0, 2 + 4 + 1);
        for (uint32_t i = 0; i < count; i++)
            check_held(b, places[i].block);
    }
    b->config.daily_max = 0;
    store_close(b->store);
    bench_open(b);
    for (int i = 0; i < 4; i++)
        (void)write_checkpoint(b, 2, false, 2);
    assert_int_equal(pieces_in_file(b), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_as_written, setup, teardown),
        cmocka_unit_test_setup_teardown(so_many_and_so_old, setup, teardown),
        cmocka_unit_test_setup_teardown(not_without_its_journal, setup, teardown),
        cmocka_unit_test_setup_teardown(first_to_go, setup, teardown),
        cmocka_unit_test_setup_teardown(a_death_in_the_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(seeded_rounds, setup, teardown),
    };
    return cmocka_run_group_tests_name("store_daily", tests, NULL, NULL);
}
