/* Goal: of a window of a stream the row of the greatest revision is kept, whatever is told again, also over a death in
 *   between; ranges, keys and the latest of each key come page by page, whole and in order; what is over its share or its
 *   age goes, the oldest first, and the store's own count of it is what the file holds.
 * Method: a real file under a temporary directory; examples, then random tellings and retentions against a plain model.
 * Links: storage/store_open.c storage/store_schema.c storage/store_sql.c storage/store_state.c storage/store_commit.c storage/store_outbox.c storage/store_letters.c storage/store_results.c storage/store_retention.c storage/store_checkpoint.c storage/store_daily.c storage/store_contracts.c storage/store_sessions.c storage/store_disk.c storage/store_deflate.c storage/ledger.c pipeline/bytes.c pipeline/contract.c pipeline/codec/envelope.c pipeline/codec/json_writer.c pipeline/reject.c pipeline/alerts/%.c pipeline/hash.c pipeline/err.c pipeline/timestamp.c
 * Libs: -lsqlite3 -lz
 */
#include "tests/lib/check.h"

#include <string.h>
#include <unistd.h>

#include "pipeline/err.h"
#include "storage/store.h"

enum { MIB = 1024 * 1024, ROWS = 512, KEYS = 5, STARTS = 40, ROUNDS = 400 };

struct bench {
    char dir[64], path[96], why[256];
    struct store_config config;
    struct store *store;
    struct store_recovery found;
    uint64_t block;
    int64_t t_ms;
    struct batch batch; /* of the last commit */
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
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/weir-results-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    (void)snprintf(b->path, sizeof b->path, "%s/weir.db", b->dir);
    b->config = (struct store_config){
        .path = b->path, .disk_bytes_max = 8 * MIB, .wal_bytes_max = MIB, .ballast_bytes = MIB / 2,
        .journal_bytes_max = MIB, .outbox_bytes_max = { MIB / 2, MIB / 2, MIB / 4 }, .letters_bytes_max = MIB / 4,
        .letters_max = 100, .table_bytes_max = MIB, .sqlite_heap_bytes = 16 * MIB,
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

static void commit(struct bench *b, const struct kept_result *kept, uint32_t count)
{
    struct batch batch = { .block = b->block + 1, .t_ms = b->t_ms, .kept = kept, .kept_count = count };
    for (int lane = 0; lane < LANES; lane++)
        batch.lanes[lane] = b->found.lanes[lane];
    batch.ledger = b->found.ledger;
    int err = store_commit(b->store, &batch);
    if (err != 0)
        fail_msg("commit: %s: %s", weir_err_text(err), store_why(b->store));
    b->block++;
    b->batch = batch;
}

static struct kept_result row_of(const char *key, int64_t start_ms, int64_t end_ms, uint32_t revision, const char *body)
{
    return (struct kept_result){ .stream = text_of("s"), .key = text_of(key), .start_ms = start_ms, .end_ms = end_ms,
                                 .revision = revision, .body = text_of(body) };
}

/* All pages of a query: "key@start-end#revision=body " each. */
static void read_all(struct bench *b, struct kept_query query, char *to, size_t bytes)
{
    static uint8_t buffer[64 * 1024];
    struct kept_result rows[ROWS];
    uint32_t count = 0, pages = 0;
    size_t used = 0;
    to[0] = '\0';
    query.stream = text_of("s");
    do {
        int err = store_kept_read(b->store, &query, buffer, sizeof buffer, rows, &count, &query.after);
        assert_int_equal(err, 0);
        assert_true(count <= query.rows_max && ++pages < 1000);
        for (uint32_t i = 0; i < count; i++)
            used += (size_t)snprintf(to + used, bytes - used, "%.*s@%" PRId64 "-%" PRId64 "#%u=%.*s%s ",
                                     (int)rows[i].key.bytes, rows[i].key.at, rows[i].start_ms, rows[i].end_ms,
                                     rows[i].revision, (int)rows[i].body.bytes, rows[i].body.at,
                                     rows[i].retracted ? "!" : "");
        assert_true(used < bytes);
    } while (query.after.given);
}

static void expect(struct bench *b, struct kept_query query, const char *want)
{
    char got[4096];
    query.to_ms = query.to_ms != 0 ? query.to_ms : INT64_MAX;
    query.looked_max = query.looked_max != 0 ? query.looked_max : 1000;
    query.rows_max = query.rows_max != 0 ? query.rows_max : ROWS;
    read_all(b, query, got, sizeof got);
    assert_string_equal(got, want);
}

static const struct kept_query all = { .from_ms = INT64_MIN }, latest = { .latest = true };

static void the_highest_revision_is_kept(void **state)
{
    struct bench *b = *state;
    const struct kept_result first[] = { row_of("a", 0, 10, 0, "a0"), row_of("b", 0, 10, 0, "b0"),
                                         row_of("a", 10, 20, 0, "a10"), row_of("a", 0, 10, 1, "a0'") };
    commit(b, first, 4);
    expect(b, all, "a@0-10#1=a0' b@0-10#0=b0 a@10-20#0=a10 ");
    expect(b, latest, "a@10-20#0=a10 b@0-10#0=b0 ");
    store_close(b->store);
    bench_open(b);
    const struct kept_result again[] = { row_of("a", 0, 10, 1, "other"), row_of("b", 0, 10, 0, "other"),
                                         row_of("b", 0, 10, 7, "b7"), row_of("a", 5, 10, 0, "a5") };
    commit(b, again, 4);
    expect(b, all, "a@0-10#1=a0' b@0-10#7=b7 a@5-10#0=a5 a@10-20#0=a10 ");
    expect(b, latest, "a@10-20#0=a10 b@0-10#7=b7 ");
    assert_int_equal(b->batch.table_rows, 4);
}

/* A batch that is committed again, as after an unclear error, changes nothing. */
static void a_batch_again_counts_once(void **state)
{
    struct bench *b = *state;
    const struct kept_result row = row_of("a", 0, 10, 0, "a");
    commit(b, &row, 1);
    struct batch before = b->batch;
    b->block--;
    commit(b, &row, 1);
    assert_int_equal(b->batch.table_rows, 1);
    assert_int_equal(b->batch.table_bytes, before.table_bytes);
}

static void what_is_taken_back_is_nobodys_latest(void **state)
{
    struct bench *b = *state;
    struct kept_result rows[] = { row_of("a", 0, 10, 0, "one"), row_of("a", 20, 30, 0, "two"),
                                  row_of("a", 0, 10, 1, "-"), row_of("a", 20, 30, 1, "-"),
                                  row_of("a", 0, 30, 0, "both") };
    rows[2].retracted = rows[3].retracted = true;
    commit(b, rows, 4);
    expect(b, all, "a@0-10#1=-! a@20-30#1=-! ");
    expect(b, latest, "");
    commit(b, rows + 4, 1);
    expect(b, all, "a@0-10#1=-! a@0-30#0=both a@20-30#1=-! ");
    expect(b, latest, "a@0-30#0=both ");
}

static bool is_b(void *ctx, struct text key)
{
    (void)ctx;
    return text_equal(key, text_of("b"));
}

static void ranges_keys_and_pages(void **state)
{
    struct bench *b = *state;
    struct kept_result rows[] = { row_of("a", 0, 10, 0, "1"), row_of("b", 0, 10, 0, "2"), row_of("a", 10, 20, 0, "3"),
                                  row_of("b", 10, 20, 0, "4"), row_of("b", 20, 30, 0, "5"), row_of("z", 0, 9, 0, "6") };
    rows[5].stream = text_of("other");
    commit(b, rows, 6);
    for (uint32_t most = 1; most < 7; most++)
        for (uint32_t looked = 1; looked < 7; looked++) {
            struct kept_query query = { .from_ms = INT64_MIN, .rows_max = most, .looked_max = looked };
            expect(b, query, "a@0-10#0=1 b@0-10#0=2 a@10-20#0=3 b@10-20#0=4 b@20-30#0=5 ");
            query.from_ms = 1;
            query.to_ms = 20;
            expect(b, query, "a@10-20#0=3 b@10-20#0=4 ");
            query.from_ms = 0;
            query.wanted = is_b;
            expect(b, query, "b@0-10#0=2 b@10-20#0=4 ");
            query.latest = true;
            expect(b, query, "b@20-30#0=5 ");
            query.wanted = NULL;
            expect(b, query, "a@10-20#0=3 b@20-30#0=5 ");
        }
    uint8_t little[2];
    struct kept_result row;
    uint32_t count;
    struct kept_place next;
    struct kept_query query = { .stream = text_of("s"), .to_ms = 99, .rows_max = 1, .looked_max = 1 };
    assert_int_equal(store_kept_read(b->store, &query, little, sizeof little, &row, &count, &next), WEIR_EFULL);
}

/* A row that ended a page, and went before the next was asked for: the walk goes on behind it. */
static void a_walk_goes_on_behind_what_is_gone(void **state)
{
    struct bench *b = *state;
    b->config.table_age_max_ms = 100;
    store_close(b->store);
    bench_open(b);
    struct kept_result rows[] = { row_of("b", 10, 20, 0, "1"), row_of("a", 0, 10, 0, "2"), row_of("b", 0, 10, 0, "3"),
                                  row_of("c", 20, 30, 0, "4") };
    uint8_t buffer[1024];
    struct kept_result row[3];
    uint32_t count;
    for (int l = 0; l < 2; l++) {
        struct kept_query query = { .stream = text_of("s"), .from_ms = INT64_MIN, .to_ms = 99, .rows_max = 2,
                                    .looked_max = 9, .latest = l > 0 };
        b->t_ms = 1000 * l;
        commit(b, rows, 1);
        b->t_ms += 60;
        commit(b, rows + 1, 3);
        query.rows_max = l > 0 ? 2 : 3; /* b@10 is the last of it */
        assert_int_equal(store_kept_read(b->store, &query, buffer, sizeof buffer, row, &count, &query.after), 0);
        assert_true(query.after.given && count == query.rows_max && text_equal(row[count - 1].key, text_of("b")));
        assert_int_equal(row[count - 1].start_ms, 10);
        b->t_ms += 60;
        commit(b, NULL, 0);
        assert_int_equal(store_kept_read(b->store, &query, buffer, sizeof buffer, row, &count, &query.after), 0);
        assert_true(!query.after.given && count == 1 && text_equal(row[0].key, text_of("c")));
        b->t_ms += 500;
        commit(b, NULL, 0);
    }
}

/* A window that was told first, and begins last: when it goes the one before it is the latest. */
static void the_latest_that_goes_gives_way(void **state)
{
    struct bench *b = *state;
    b->config.table_age_max_ms = 100;
    store_close(b->store);
    bench_open(b);
    struct kept_result rows[] = { row_of("a", 20, 30, 0, "1"), row_of("a", 0, 10, 0, "2"), row_of("a", 10, 20, 0, "3"),
                                  row_of("a", 15, 20, 0, "-"), row_of("b", 15, 25, 0, "4") };
    rows[3].retracted = true;
    commit(b, rows, 1);
    b->t_ms = 60;
    commit(b, rows + 1, 4);
    expect(b, latest, "a@20-30#0=1 b@15-25#0=4 ");
    b->t_ms = 120;
    commit(b, NULL, 0);
    expect(b, latest, "a@10-20#0=3 b@15-25#0=4 ");
    b->t_ms = 1000;
    commit(b, NULL, 0);
    expect(b, latest, "");
}

static void the_old_go(void **state)
{
    struct bench *b = *state;
    b->config.table_age_max_ms = 100;
    store_close(b->store);
    bench_open(b);
    struct kept_result rows[] = { row_of("a", 0, 10, 0, "1"), row_of("b", 0, 10, 0, "2"), row_of("c", 9, 12, 0, "3") };
    commit(b, rows, 1);
    b->t_ms = 60;
    commit(b, rows + 1, 1);
    b->t_ms = 101;
    commit(b, rows + 2, 1);
    expect(b, all, "b@0-10#0=2 c@9-12#0=3 ");
    expect(b, latest, "b@0-10#0=2 c@9-12#0=3 ");
    b->t_ms = 1000;
    commit(b, NULL, 0);
    expect(b, all, "");
    expect(b, latest, "");
    assert_int_equal(b->batch.table_rows, 0);
    assert_int_equal(b->batch.table_bytes, 0);
}

/* --- a model --- */

struct model_row {
    bool is;
    uint32_t revision;
    uint64_t order; /* of its first telling */
    uint32_t value;
};

/* Told at random, some again and some backwards; a share that holds a part of it. What is held is the model's rows told
 * first most lately. */
static void random_tellings_are_as_the_model_says(void **state)
{
    struct bench *b = *state;
    static struct model_row model[KEYS][STARTS];
    static char want[64 * 1024], got[64 * 1024];
    uint64_t chance = 7, order = 0;
    b->config.table_bytes_max = 90 * 110;
    store_close(b->store);
    bench_open(b);
    memset(model, 0, sizeof model);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct kept_result rows[8];
        char keys[8][2], bodies[8][24];
        uint32_t count = (uint32_t)rnd_below(&chance, 9);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t k = (uint32_t)rnd_below(&chance, KEYS), s = (uint32_t)rnd_below(&chance, STARTS);
            uint32_t revision = (uint32_t)rnd_below(&chance, 4);
            struct model_row *m = &model[k][s];
            (void)snprintf(keys[i], sizeof keys[i], "%c", 'a' + (int)k);
            (void)snprintf(bodies[i], sizeof bodies[i], "%u", round * 8 + i);
            rows[i] = row_of(keys[i], s * 10, s * 10 + 10, revision, bodies[i]);
            if (!m->is)
                *m = (struct model_row){ true, revision, ++order, round * 8 + i };
            else if (revision > m->revision)
                *m = (struct model_row){ true, revision, m->order, round * 8 + i };
        }
        commit(b, rows, count);
        for (uint64_t held = 0;; held = 0) { /* the model lets go of as many as the store */
            struct model_row *oldest = NULL;
            for (uint32_t i = 0; i < KEYS * STARTS; i++) {
                struct model_row *m = &model[i / STARTS][i % STARTS];
                held += m->is;
                if (m->is && (oldest == NULL || m->order < oldest->order))
                    oldest = m;
            }
            if (held <= b->batch.table_rows)
                break;
            oldest->is = false;
        }
        assert_true(b->batch.table_bytes <= b->config.table_bytes_max);
        if (round % 40 != 39)
            continue;
        size_t used = 0;
        for (uint32_t s = 0; s < STARTS; s++)
            for (uint32_t k = 0; k < KEYS; k++)
                if (model[k][s].is)
                    used += (size_t)snprintf(want + used, sizeof want - used, "%c@%u-%u#%u=%u ", 'a' + (int)k, s * 10,
                                             s * 10 + 10, model[k][s].revision, model[k][s].value);
        read_all(b, (struct kept_query){ .from_ms = INT64_MIN, .to_ms = INT64_MAX, .rows_max = 7, .looked_max = 50 },
                 got, sizeof got);
        assert_string_equal(got, want);
        store_close(b->store);
        bench_open(b);
    }
    assert_true(b->batch.table_rows > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_highest_revision_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_again_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_taken_back_is_nobodys_latest, setup, teardown),
        cmocka_unit_test_setup_teardown(ranges_keys_and_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(a_walk_goes_on_behind_what_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(the_latest_that_goes_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(the_old_go, setup, teardown),
        cmocka_unit_test_setup_teardown(random_tellings_are_as_the_model_says, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
