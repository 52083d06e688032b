/* Goal: what was committed is there after closing and opening again, byte for byte; a batch stored
 *   twice counts once; retention, eviction, dead letters and checkpoints keep their declared order;
 *   full, foreign, newer and damaged files are met as the header says.
 * Method: a real file under a temporary directory. Examples first, then a month of small commits
 *   in faked time under small budgets, in which every figure is checked against a plain model.
 * Links: storage/store_open.c storage/store_schema.c storage/store_sql.c storage/store_state.c storage/store_commit.c storage/store_outbox.c storage/store_letters.c storage/store_results.c storage/store_retention.c storage/store_checkpoint.c storage/store_daily.c storage/store_contracts.c storage/store_sessions.c storage/store_disk.c storage/store_deflate.c storage/ledger.c pipeline/bytes.c pipeline/contract.c pipeline/codec/envelope.c pipeline/codec/json_writer.c pipeline/reject.c pipeline/alerts/%.c pipeline/hash.c pipeline/err.c pipeline/timestamp.c
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

#include "pipeline/contract.h"
#include "pipeline/err.h"
#include "pipeline/codec/envelope.h"
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

/* --- sessions -------------------------------------------------------------------------------- */

static void note_session(void *ctx, uint32_t session, struct text row)
{
    char *to = ctx;
    (void)sprintf(to + strlen(to), "%u=%.*s ", session, (int)row.bytes, row.at);
}

static void note_exchange(void *ctx, uint32_t session, uint16_t packet_id, uint32_t mark)
{
    char *to = ctx;
    (void)sprintf(to + strlen(to), "%u/%u:%u ", session, packet_id, mark);
}

static void expect_sessions(struct bench *b, const char *wanted)
{
    char got[512] = "";
    const struct session_visitor visitor = { got, note_session, note_exchange };
    assert_int_equal(store_sessions_each(b->store, &visitor), 0);
    assert_string_equal(got, wanted);
}

static void keeps_sessions(void **state)
{
    struct bench *b = *state;
    const struct session_change begun[] = {
        { .kind = SESSION_PUT, .session = 7, .row = text_of("a") },
        { .kind = SESSION_PUT, .session = 65536, .row = text_of("b") },
        { .kind = SESSION_PUT, .session = 8, .row = text_of("gone") },
        { .kind = EXCHANGE_PUT, .session = 7, .packet_id = 1, .mark = 11 },
        { .kind = EXCHANGE_PUT, .session = 7, .packet_id = 65535, .mark = UINT32_MAX },
        { .kind = EXCHANGE_PUT, .session = 8, .packet_id = 1, .mark = 12 },
        { .kind = EXCHANGE_PUT, .session = 65536, .packet_id = 2, .mark = 13 },
    };
    const struct session_change then[] = {
        { .kind = SESSION_REMOVE, .session = 8 },
        { .kind = SESSION_PUT, .session = 8, .row = text_of("c") },
        { .kind = EXCHANGE_PUT, .session = 8, .packet_id = 9, .mark = 14 },
        { .kind = EXCHANGE_PUT, .session = 7, .packet_id = 1, .mark = 15 },
        { .kind = EXCHANGE_REMOVE, .session = 65536, .packet_id = 2 },
        { .kind = EXCHANGE_REMOVE, .session = 65536, .packet_id = 3 },
    };
    struct batch batch = batch_of(b, "", 0, 0);
    batch.sessions = begun;
    batch.session_count = sizeof begun / sizeof begun[0];
    commit(b, &batch);
    expect_sessions(b, "7=a 8=gone 65536=b 7/1:11 7/65535:4294967295 8/1:12 65536/2:13 ");
    batch = batch_of(b, "", 0, 0);
    batch.sessions = then;
    batch.session_count = sizeof then / sizeof then[0];
    commit(b, &batch);
    bench_close(b);
    assert_int_equal(bench_open(b), 0);
    expect_sessions(b, "7=a 8=c 65536=b 7/1:15 7/65535:4294967295 8/9:14 ");
    assert_int_equal(store_sessions_trim(b->store, 8), 0);
    expect_sessions(b, "7=a 7/1:15 7/65535:4294967295 ");
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

/* --- lanes ------------------------------------------------------------------------------------ */

struct gap { /* what a gap event in a lane says */
    uint64_t from, to;
};

static bool gap_of(struct text payload, struct gap *gap)
{
    char text[ENVELOPE_EVENT_BYTES_MAX + 1];
    if (payload.bytes == 0 || payload.bytes >= sizeof text || payload.at[0] != '{')
        return false;
    memcpy(text, payload.at, payload.bytes);
    text[payload.bytes] = '\0';
    const char *from = strstr(text, "\"from\":"), *to = strstr(text, "\"to\":");
    if (strstr(text, "gap") == NULL || from == NULL || to == NULL)
        return false;
    gap->from = strtoull(from + 7, NULL, 10);
    gap->to = strtoull(to + 5, NULL, 10);
    return true;
}

/* Rows and gaps together stand for every sequence from `first` on, once. Returns the rows. */
static uint64_t check_contiguous(struct bench *b, enum lane lane, uint64_t first)
{
    static uint8_t bytes[MIB], plain[65536];
    static struct outbox_row rows[256];
    uint64_t expected = first, held = 0;

    for (;;) {
        uint32_t count;
        assert_int_equal(store_outbox_read(b->store, lane, expected, bytes, sizeof bytes, rows, 256,
                                           &count), 0);
        if (count == 0)
            break;
        for (uint32_t i = 0; i < count; i++) {
            struct text payload = rows[i].payload;
            struct gap gap = { rows[i].sequence, rows[i].sequence };
            if (!gap_of(payload, &gap)) { /* a gap event stands as it is, in every lane */
                held++;
                if (lane != LANE_ALERTS)
                    (void)inflated(payload, plain, sizeof plain);
            }
            assert_int_equal(gap.from, expected);
            assert_int_equal(gap.to, rows[i].sequence);
            expected = rows[i].sequence + 1;
        }
    }
    assert_int_equal(expected, b->lanes[lane].next_sequence);
    return held;
}

static void fill_noise(char *to, uint32_t bytes, uint64_t *seed)
{
    for (uint32_t i = 0; i < bytes; i++)
        to[i] = (char)rnd(seed);
    to[0] = 'W'; /* not taken for an event */
}

static void evicts_the_oldest_results_with_one_gap(void **state)
{
    struct bench *b = *state;
    static char noise[8][4096];
    uint64_t seed = check_seed(), evicted = 0;

    for (int i = 0; i < 40; i++) {
        struct outbox_row rows[8];
        struct batch batch = batch_of(b, "x", 1, 1);
        for (int k = 0; k < 8; k++) {
            fill_noise(noise[k], sizeof noise[k], &seed);
            rows[k] = row_of(b, LANE_RESULTS, "");
            rows[k].payload = (struct text){ noise[k], sizeof noise[k] };
        }
        memcpy(batch.lanes, b->lanes, sizeof batch.lanes);
        batch.rows = rows;
        batch.row_count = 8;
        commit(b, &batch);
        evicted += batch.evicted[LANE_RESULTS];
        assert_true(batch.outbox_bytes[LANE_RESULTS] <=
                    b->config.outbox_bytes_max[LANE_RESULTS] + ENVELOPE_EVENT_BYTES_MAX);
    }
    uint64_t held = check_contiguous(b, LANE_RESULTS, 1);
    assert_true(evicted > 100);
    assert_int_equal(held + evicted, 320);
}

static void commit_rows(struct bench *b, enum lane lane, int count)
{
    struct outbox_row rows[16];
    assert_in_range(count, 0, 16);
    for (int i = 0; i < count; i++)
        rows[i] = row_of(b, lane, "W");
    struct batch batch = batch_of(b, "x", 1, 1);
    batch.rows = rows;
    batch.row_count = (uint32_t)count;
    commit(b, &batch);
}

static void old_rows_of_a_lane_go_and_old_alerts_stay(void **state)
{
    struct bench *b = *state;
    static uint8_t bytes[65536];
    struct outbox_row got;
    uint32_t count;
    bench_close(b);
    b->config.outbox_age_max_ms[LANE_RESULTS] = 2 * (int64_t)DAY_MS;
    assert_int_equal(bench_open(b), 0);
    for (int i = 0; i < 10; i++)
        for (int lane = 0; lane < LANES; lane++)
            commit_rows(b, (enum lane)lane, 12);
    b->t_ms = 2 * (int64_t)DAY_MS - 1;
    commit_rows(b, LANE_RESULTS, 5);
    assert_int_equal(check_contiguous(b, LANE_RESULTS, 1), 125);
    b->t_ms += 2;
    for (int i = 0; i < 3; i++)
        commit_rows(b, LANE_RESULTS, 1);
    assert_int_equal(check_contiguous(b, LANE_RESULTS, 1), 8);
    assert_int_equal(check_contiguous(b, LANE_RAW, 1), 120);
    assert_int_equal(check_contiguous(b, LANE_ALERTS, 1), 120);
    assert_int_equal(store_outbox_read(b->store, LANE_RESULTS, 1, bytes, sizeof bytes, &got, 1,
                                       &count), 0);
    assert_int_equal(got.sequence, 120);
    assert_non_null(memmem(got.payload.at, got.payload.bytes, "\"reason\":\"outbox_age\"", 21));
    b->t_ms += 2 * (int64_t)DAY_MS + 1;
    commit_rows(b, LANE_RESULTS, 0);
    assert_int_equal(check_contiguous(b, LANE_RESULTS, 1), 0);
}

static struct outbox_row alert_row(struct bench *b, uint64_t alert, uint32_t revision, bool cleared)
{
    static char text[4096];
    (void)memset(text, 'a', sizeof text);
    struct outbox_row row = row_of(b, LANE_ALERTS, "");
    row.key = (struct hash128){ alert, 1 };
    row.revision = revision;
    row.cleared = cleared;
    row.payload = (struct text){ text, sizeof text };
    return row;
}

static void commit_row(struct bench *b, struct outbox_row row)
{
    struct batch batch = batch_of(b, "x", 1, 1);
    batch.rows = &row;
    batch.row_count = 1;
    commit(b, &batch);
}

/* Which (alert, revision) are still held. */
static bool holds_alert(struct bench *b, uint64_t alert, uint32_t revision)
{
    static uint8_t bytes[2 * MIB];
    static struct outbox_row rows[1024];
    uint32_t count;
    assert_int_equal(store_outbox_read(b->store, LANE_ALERTS, 1, bytes, sizeof bytes, rows, 1024,
                                       &count), 0);
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].key.low == alert && rows[i].revision == revision)
            return true;
    return false;
}

/* 512 KiB hold about 126 alerts of 4 KiB: 40 alerts, each raised, told again, half of them cleared,
 * then standing ones, until superseded revisions and then cleared alerts have to go. */
static void keeps_every_alert_that_stands(void **state)
{
    struct bench *b = *state;
    for (uint64_t alert = 1; alert <= 40; alert++)
        commit_row(b, alert_row(b, alert, 1, false));
    for (uint64_t alert = 1; alert <= 40; alert++)
        commit_row(b, alert_row(b, alert, 2, alert % 2 == 0));
    for (uint64_t alert = 41; alert <= 60; alert++)
        commit_row(b, alert_row(b, alert, 1, false));
    assert_true(holds_alert(b, 1, 1)); /* there was room for all until here */
    for (uint64_t alert = 61; alert <= 90; alert++)
        commit_row(b, alert_row(b, alert, 1, false));
    assert_false(holds_alert(b, 1, 1));
    assert_true(holds_alert(b, 2, 2)); /* cleared, but superseded ones go before */
    for (uint64_t alert = 91; alert <= 140; alert++)
        commit_row(b, alert_row(b, alert, 1, false));
    for (uint64_t alert = 1; alert <= 140; alert++)
        if (alert > 40 || alert % 2 != 0)
            assert_true(holds_alert(b, alert, alert <= 40 ? 2 : 1));
    assert_false(holds_alert(b, 2, 2));
    check_contiguous(b, LANE_ALERTS, 1);
}

static void moves_a_poisoned_row_to_the_dead_letters(void **state)
{
    struct bench *b = *state;
    static uint8_t bytes[65536], plain[65536];
    struct outbox_row rows[2] = { row_of(b, LANE_RESULTS, "one"), row_of(b, LANE_RESULTS, "two") };
    struct batch batch = batch_of(b, "x", 1, 1);
    batch.rows = rows;
    batch.row_count = 2;
    commit(b, &batch);
    assert_int_equal(store_outbox_poison(b->store, LANE_RESULTS, 1, "refused: 0x99", 5, 6), 0);
    assert_int_equal(store_outbox_poison(b->store, LANE_RESULTS, 7, "", 5, 6), WEIR_ENOTFOUND);
    struct dead_letter letter;
    uint32_t count;
    assert_int_equal(store_letters_read(b->store, UINT64_MAX, bytes, sizeof bytes, &letter, 1,
                                        &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(letter.reason, REJECT_UPSTREAM_REFUSED);
    assert_true(text_equal(letter.source, text_of("uplink")));
    assert_true(text_equal(letter.topic, text_of("refused: 0x99")));
    assert_true(text_equal(inflated(letter.payload, plain, sizeof plain), text_of("one")));
    assert_int_equal(check_contiguous(b, LANE_RESULTS, 1), 1);
}

static void bounds_dead_letters_oldest_first(void **state)
{
    struct bench *b = *state;
    static uint8_t bytes[MIB];
    struct dead_letter letters[128], got[128];
    uint32_t count;
    for (int i = 0; i < 128; i++)
        letters[i] = (struct dead_letter){ .reason = REJECT_JSON_DEPTH, .payload = text_of("[[[") };
    struct batch batch = batch_of(b, "", 0, 0);
    batch.letters = letters;
    batch.letter_count = 128;
    commit(b, &batch);
    assert_int_equal(store_letters_read(b->store, 0, bytes, sizeof bytes, got, 128, &count), 0);
    assert_int_equal(count, 100);
    assert_int_equal(got[0].id, 29);
    b->t_ms = 8 * (int64_t)DAY_MS;
    batch = batch_of(b, "", 0, 0);
    commit(b, &batch);
    batch = batch_of(b, "", 0, 0);
    commit(b, &batch);
    assert_int_equal(store_letters_read(b->store, 0, bytes, sizeof bytes, got, 128, &count), 0);
    assert_int_equal(count, 0);
}

/* What was tried in vain stays with the last of its tries; one removed is gone with them; of those that retention
 * removed first nothing is said. */
static void changes_dead_letters_within_a_commit(void **state)
{
    struct bench *b = *state;
    static uint8_t bytes[MIB];
    struct dead_letter letters[3], got[3];
    struct letter_change changes[STORE_TRIES_KEPT + 4];
    uint32_t count;
    for (int i = 0; i < 3; i++)
        letters[i] = (struct dead_letter){ .reason = REJECT_JSON_DEPTH, .payload = text_of("[[["),
                                           .device = text_of("pump"), .taken = text_of("1part") };
    struct batch batch = batch_of(b, "", 0, 0);
    batch.letters = letters;
    batch.letter_count = 3;
    commit(b, &batch);
    for (int i = 0; i < STORE_TRIES_KEPT + 4; i++)
        changes[i] = (struct letter_change){ .id = 2, .reason = REJECT_TIME_INVALID, .wall_ms = 1000 + i };
    batch = batch_of(b, "", 0, 0);
    batch.letter_changes = changes;
    batch.letter_change_count = STORE_TRIES_KEPT + 4;
    commit(b, &batch);
    const struct letter_change gone[] = { { .id = 1, .removed = true }, { .id = 1, .removed = true },
                                          { .id = 99, .removed = true }, { .id = 1, .reason = REJECT_TIME_INVALID } };
    batch = batch_of(b, "", 0, 0);
    batch.letter_changes = gone;
    batch.letter_change_count = 4;
    commit(b, &batch);
    bench_close(b);
    assert_int_equal(bench_open(b), 0);
    assert_int_equal(store_letters_read(b->store, 0, bytes, sizeof bytes, got, 3, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(got[0].id, 2);
    assert_true(text_equal(got[0].device, text_of("pump")));
    assert_true(text_equal(got[0].taken, text_of("1part")));
    assert_int_equal(got[0].tries, STORE_TRIES_KEPT + 4);
    assert_int_equal(got[0].history.bytes, STORE_TRIES_KEPT * 9);
    struct byte_reader r = { (const uint8_t *)got[0].history.at, got[0].history.bytes, 0, false };
    assert_int_equal(get_i64(&r), 1004); /* the first four are forgotten */
    assert_int_equal(get_u8(&r), REJECT_TIME_INVALID);
    assert_int_equal(got[1].tries, 0);
    assert_int_equal(got[1].history.bytes, 0);
}

/* --- checkpoints and retention ------------------------------------------------------------------ */

static void write_checkpoint(struct bench *b, uint64_t mark, uint32_t pieces)
{
    static char piece[STORE_PIECE_BYTES];
    uint64_t of = b->block;
    for (uint32_t i = 0; i < pieces; i++) {
        uint64_t seed = mark * 100 + i;
        struct batch batch = batch_of(b, "", 0, 0);
        fill_noise(piece, sizeof piece, &seed);
        batch.checkpoint = (struct checkpoint_piece){
            of, i * STORE_PIECE_BYTES, pieces * STORE_PIECE_BYTES, { piece, sizeof piece },
            .last = i == pieces - 1 };
        commit(b, &batch);
    }
}

static void check_checkpoint(struct bench *b, uint64_t mark, uint32_t pieces)
{
    static uint8_t got[4 * STORE_PIECE_BYTES];
    static char wanted[STORE_PIECE_BYTES];
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    uint32_t count;
    assert_int_equal(store_checkpoints(b->store, places, &count), 0);
    assert_in_range(places[0].bytes, 1, sizeof got);
    assert_int_equal(store_checkpoint_read_at(b->store, &places[0], got, sizeof got), 0);
    for (uint32_t i = 0; i < pieces; i++) {
        uint64_t seed = mark * 100 + i;
        fill_noise(wanted, sizeof wanted, &seed);
        assert_memory_equal(got + i * STORE_PIECE_BYTES, wanted, sizeof wanted);
    }
}

static void damage(struct bench *b, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void falls_back_to_the_older_checkpoint(void **state)
{
    struct bench *b = *state;
    write_checkpoint(b, 1, 3);
    write_checkpoint(b, 2, 2);
    check_checkpoint(b, 2, 2);
    bench_close(b);
    damage(b, "UPDATE piece SET bytes = zeroblob(65536) WHERE id = (1 << 32) + 65536");
    assert_int_equal(bench_open(b), 0);
    assert_false(b->found.set_aside);
    assert_int_equal(b->found.checkpoint_block, 0);
    assert_int_equal(b->found.checkpoint_bytes, 3 * STORE_PIECE_BYTES);
    check_checkpoint(b, 1, 3);
    write_checkpoint(b, 3, 1); /* into the damaged slot's place */
    check_checkpoint(b, 3, 1);
}

/* Six blocks of 1 MiB into a share of 3: none may go before there is a checkpoint behind it. */
static void never_prunes_behind_the_older_checkpoint(void **state)
{
    struct bench *b = *state;
    static char big[MIB];
    uint64_t seed = 3, number;
    size_t used;
    static uint8_t got[MIB];
    bool wanted = false;

    fill_noise(big, sizeof big, &seed);
    for (int i = 0; i < 4; i++) {
        struct batch batch = batch_of(b, big, sizeof big, 10);
        commit(b, &batch);
        wanted = batch.checkpoint_wanted;
    }
    assert_true(wanted);
    assert_int_equal(store_block_read(b->store, 1, got, sizeof got, &number, &used), 0);
    assert_int_equal(number, 1);
    write_checkpoint(b, 1, 1);
    struct batch batch = batch_of(b, big, sizeof big, 10);
    commit(b, &batch);
    assert_int_equal(store_block_read(b->store, 1, got, sizeof got, &number, &used), 0);
    assert_true(number > 1);
    assert_int_equal(batch.held + batch.removed[REMOVED_SPACE_UNFORWARDED], 50);
}

/* A block of so many readings, its raw rows with payloads of `bytes`; whole: they hold all of it. */
static void commit_raw(struct bench *b, uint32_t readings, uint32_t row_count, uint32_t bytes,
                       bool whole)
{
    static char noise[256 * 1024];
    struct outbox_row rows[4];
    uint64_t seed = b->block;
    assert_in_range(row_count, 0, 4);
    fill_noise(noise, bytes + 1, &seed);
    for (uint32_t i = 0; i < row_count; i++) {
        rows[i] = row_of(b, LANE_RAW, "");
        rows[i].payload = (struct text){ noise, bytes };
    }
    struct batch batch = batch_of(b, "x", 1, readings);
    batch.rows = rows;
    batch.row_count = row_count;
    batch.raw_whole = whole;
    commit(b, &batch);
}

/* Each block has its own power of two of readings, so the sums say which blocks counted as what. */
static void a_removal_says_whether_it_had_been_forwarded(void **state)
{
    struct bench *b = *state;
    commit_raw(b, 1, 1, 100, true);       /* arrives */
    commit_raw(b, 2, 0, 0, false);        /* raw forwarding was shed */
    commit_raw(b, 4, 2, 100, true);       /* arrives, in two rows */
    commit_raw(b, 8, 1, 100, false);      /* only a part of it was put in */
    commit_raw(b, 16, 2, 100, true);      /* one of two is refused */
    assert_int_equal(store_outbox_poison(b->store, LANE_RAW, 5, "no", 5, 6), 0);
    b->lanes[LANE_RAW].covered = 6;
    commit_raw(b, 32, 1, 150000, true);   /* these two are evicted: the share is 256 KiB */
    commit_raw(b, 64, 1, 100000, true);
    commit_raw(b, 128, 1, 200000, true);  /* arrives */
    b->lanes[LANE_RAW].covered = b->lanes[LANE_RAW].next_sequence - 1;
    commit_raw(b, 256, 1, 100, true);     /* never covered */
    write_checkpoint(b, 1, 1);
    bench_close(b);
    assert_int_equal(bench_open(b), 0);
    b->t_ms = 11 * (int64_t)DAY_MS;
    struct batch batch = batch_of(b, "", 0, 0);
    commit(b, &batch);
    batch = batch_of(b, "", 0, 0);
    commit(b, &batch);
    assert_int_equal(batch.removed[REMOVED_AGE_FORWARDED], 1 + 4 + 128);
    assert_int_equal(batch.removed[REMOVED_AGE_UNFORWARDED], 2 + 8 + 16 + 32 + 64 + 256);
    assert_int_equal(batch.held, 0);
}

/* Without any checkpoint the budget runs out; the refused batch is stored once there is one. */
static void refuses_when_only_a_checkpoint_helps(void **state)
{
    struct bench *b = *state;
    static char big[MIB];
    uint64_t seed = 4;
    int err = 0;

    fill_noise(big, sizeof big, &seed);
    for (int i = 0; i < 10 && err == 0; i++) {
        struct batch batch = batch_of(b, big, sizeof big, 1);
        err = store_commit(b->store, &batch);
        b->block += err == 0;
    }
    assert_int_equal(err, WEIR_ENOSPC);
    b->ledger.received--;
    b->ledger.stored--;
    write_checkpoint(b, 1, 1);
    struct batch batch = batch_of(b, big, sizeof big, 1);
    commit(b, &batch);
    assert_int_equal(batch.held + batch.removed[REMOVED_SPACE_UNFORWARDED], b->ledger.stored);
}

/* --- a month ------------------------------------------------------------------------------------ */

static uint64_t bytes_on_disk(struct bench *b)
{
    static const char *const SUFFIX[] = { "", "-wal", ".ballast", "-journal" };
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof SUFFIX / sizeof SUFFIX[0]; i++) {
        char path[128];
        struct stat info;
        (void)snprintf(path, sizeof path, "%s%s", b->path, SUFFIX[i]);
        if (stat(path, &info) == 0)
            bytes += (uint64_t)info.st_size;
    }
    return bytes;
}

struct month { /* running figures of the model */
    uint64_t seed, evicted[LANES], rows[LANES], bytes_max, wanted;
    char noise[16384];
};

/* Away from day 5 to 15; else the receiver has everything but the last few. */
static void month_cover(struct bench *b, int day)
{
    for (int lane = 0; lane < LANES; lane++) {
        uint64_t next = b->lanes[lane].next_sequence;
        if ((day < 5 || day >= 15) && next > 4)
            b->lanes[lane].covered = next - 4;
    }
}

static void month_commit(struct bench *b, struct month *m, int day)
{
    struct outbox_row rows[LANES];
    struct dead_letter letter = { .t_ms = b->t_ms, .reason = REJECT_JSON_SYNTAX,
                                  .payload = { m->noise, 500 } };
    uint32_t readings = (uint32_t)(rnd(&m->seed) % 500);

    fill_noise(m->noise, sizeof m->noise, &m->seed);
    month_cover(b, day);
    for (int lane = 0; lane < LANES; lane++) {
        rows[lane] = row_of(b, (enum lane)lane, "");
        rows[lane].payload = (struct text){ m->noise, (uint32_t)(50 + rnd(&m->seed) % 2000) };
        rows[lane].key.low = lane == LANE_ALERTS ? 1 + rnd(&m->seed) % 50 : 0;
        rows[lane].cleared = rnd(&m->seed) % 3 == 0;
        m->rows[lane]++;
    }
    b->ledger.received++;
    b->ledger.rejected[REJECT_JSON_SYNTAX]++;
    struct batch batch = batch_of(b, m->noise, 20 + readings * 12, readings);
    batch.rows = rows;
    batch.row_count = LANES;
    batch.letters = &letter;
    batch.letter_count = 1;
    batch.raw_whole = true;
    commit(b, &batch);
    uint64_t removed = 0;
    for (int i = 0; i < REMOVALS; i++)
        removed += batch.removed[i];
    assert_int_equal(batch.held + removed, b->ledger.stored);
    for (int lane = 0; lane < LANES; lane++)
        m->evicted[lane] += batch.evicted[lane];
    m->wanted += batch.checkpoint_wanted;
    uint64_t bytes = bytes_on_disk(b);
    assert_int_equal(bytes, batch.disk_bytes);
    m->bytes_max = bytes > m->bytes_max ? bytes : m->bytes_max;
}

static void check_blocks(struct bench *b, uint64_t held)
{
    static uint8_t bytes[16384];
    uint64_t blocks = 0, number, from = 1;
    size_t used;
    do {
        assert_int_equal(store_block_read(b->store, from, bytes, sizeof bytes, &number, &used), 0);
        blocks += number != 0;
        from = number + 1;
    } while (number != 0);
    printf("# %" PRIu64 " blocks, %" PRIu64 " readings held\n", blocks, held);
    assert_true(blocks > 0);
}

static void stays_inside_its_budget_for_a_month(void **state)
{
    struct bench *b = *state;
    static struct month m;
    enum { COMMITS_A_DAY = 100 };

    bench_close(b);
    b->config.unsafe_sync_normal = true; /* retention is the same, and the test is quick */
    assert_int_equal(bench_open(b), 0);
    m.seed = check_seed();
    for (int i = 0; i < 30 * COMMITS_A_DAY; i++) {
        b->t_ms += DAY_MS / COMMITS_A_DAY;
        month_commit(b, &m, i / COMMITS_A_DAY);
        if (i % 60 == 59)
            write_checkpoint(b, (uint64_t)i, 4);
    }
    printf("# most on disk %" PRIu64 " of %" PRIu64 " bytes\n", m.bytes_max, b->config.disk_bytes_max);
    assert_true(m.bytes_max <= b->config.disk_bytes_max);
    for (int lane = 0; lane < LANES; lane++)
        check_contiguous(b, (enum lane)lane, b->lanes[lane].covered + 1);
    assert_true(m.evicted[LANE_RAW] > 0);
    assert_true(m.evicted[LANE_RESULTS] > 0);
    bench_close(b);
    assert_int_equal(bench_open(b), 0);
    assert_int_equal(b->found.ledger.held + ledger_removed(&b->found.ledger), b->ledger.stored);
    const uint64_t *removed = b->found.ledger.removed;
    assert_true(removed[REMOVED_SPACE_FORWARDED] + removed[REMOVED_AGE_FORWARDED] > 0);
    assert_true(removed[REMOVED_SPACE_UNFORWARDED] + removed[REMOVED_AGE_UNFORWARDED] > 0);
    check_blocks(b, b->found.ledger.held);
}

/* --- files that are not as they should be -------------------------------------------------------- */

static void one_process_at_a_time(void **state)
{
    struct bench *b = *state;
    pid_t child = fork();
    if (child == 0) {
        struct store *second;
        struct store_recovery found;
        uint64_t entropy[2] = { 0, 0 };
        _exit(store_open(&b->config, entropy, &second, &found, b->why) == WEIR_EBUSY ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void refuses_what_is_not_its_own(void **state)
{
    struct bench *b = *state;
    bench_close(b);
    damage(b, "PRAGMA user_version = 99");
    assert_int_equal(bench_open(b), WEIR_EVERSION);
    assert_non_null(strstr(b->why, "newer Weir"));
    damage(b, "PRAGMA user_version = 9; UPDATE schema SET version = 99; UPDATE journal SET bytes = "
              "x'02' WHERE id = (SELECT max(id) FROM journal)");
    assert_int_equal(bench_open(b), WEIR_EVERSION); /* what we can't read of it is not damage */
    assert_non_null(strstr(b->why, "state"));
    assert_int_equal(access(b->path, F_OK), 0);
    assert_int_equal(unlink(b->path), 0);
    damage(b, "CREATE TABLE recipes(name)");
    assert_int_equal(bench_open(b), WEIR_EINVAL);
    assert_non_null(strstr(b->why, "another program"));
}

/* Version 0 is a file without tables: the first step makes them, the last one sets the number. */
static void migrates_a_version_0_file(void **state)
{
    struct bench *b = *state;
    bench_close(b);
    assert_int_equal(unlink(b->path), 0);
    damage(b, "PRAGMA page_size = 4096; PRAGMA application_id = 1466263922; VACUUM");
    assert_int_equal(bench_open(b), 0);
    assert_true(b->found.created);
    assert_false(b->found.set_aside);
    struct batch batch = batch_of(b, "x", 1, 1);
    commit(b, &batch);
}

/* What version 1 left: no table of contracts, nor of sessions. */
static void migrates_a_version_1_file(void **state)
{
    struct bench *b = *state;
    static struct contract contract = { .name = "climate", .version = 3 };
    struct batch batch = batch_of(b, "x", 1, 1);
    commit(b, &batch);
    bench_close(b);
    damage(b, "DROP TABLE contract; DROP TABLE session; DROP TABLE exchange; DROP TABLE receipt; "
              "DROP TABLE letter_try; DROP TABLE result; DROP TABLE latest; DROP TABLE numbering; DROP TABLE daily; DROP TABLE schema; ALTER TABLE letters DROP COLUMN device; "
              "ALTER TABLE letters DROP COLUMN taken; "
              "PRAGMA user_version = 1");
    assert_int_equal(bench_open(b), 0);
    assert_true(!b->found.created && !b->found.set_aside && b->found.last_block == 1);
    assert_int_equal(store_contract_read(b->store, "climate", &contract), WEIR_ENOTFOUND);
    batch = batch_of(b, "y", 1, 1);
    batch.contracts = &contract;
    batch.contract_count = 1;
    commit(b, &batch);
    assert_int_equal(store_contract_read(b->store, "climate", &contract), 0);
}

static int64_t number_in(struct bench *b, const char *query)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return value;
}

/* After an update that is rolled back: a file that a later version took further by steps that only
 * add. This Weir plays the one before. */
static void goes_on_with_a_newer_file(void **state)
{
    struct bench *b = *state;
    struct batch batch = batch_of(b, "x", 1, 1);
    commit(b, &batch);
    bench_close(b);
    assert_int_equal(number_in(b, "PRAGMA user_version"), STORE_SCHEMA_READER);
    assert_int_equal(number_in(b, "SELECT version FROM schema"), STORE_SCHEMA_VERSION);
    damage(b, "ALTER TABLE letters ADD COLUMN colour BLOB; ALTER TABLE journal ADD COLUMN colour BLOB;"
              "CREATE TABLE colour(id INTEGER PRIMARY KEY, name BLOB); UPDATE schema SET version = version + 1");
    assert_int_equal(bench_open(b), 0);
    assert_true(b->found.newer && !b->found.created && !b->found.set_aside && b->found.last_block == 1);
    batch = batch_of(b, "y", 1, 1);
    commit(b, &batch);
    store_condemn(b->store);
    bench_close(b);
    assert_int_equal(bench_open(b), 0);
    assert_true(b->found.newer && !b->found.set_aside && b->found.last_block == 2);
    bench_close(b);
    assert_int_equal(number_in(b, "SELECT version FROM schema"), STORE_SCHEMA_VERSION + 1);
}

static void contracts_are_those_last_accepted(void **state)
{
    struct bench *b = *state;
    static struct contract contracts[2] = { { .name = "climate", .version = 1, .metric_count = 1,
                                              .metrics = { { .name = "temp", .unit = "Cel" } } },
                                            { .name = "power", .version = 7 } };
    static struct contract got;
    struct batch batch = batch_of(b, "x", 1, 1);
    batch.contracts = contracts;
    batch.contract_count = 2;
    commit(b, &batch);
    contracts[0].version = 2;
    batch = batch_of(b, "y", 1, 1);
    batch.contracts = contracts;
    batch.contract_count = 1;
    commit(b, &batch);
    bench_close(b);
    assert_int_equal(bench_open(b), 0);
    assert_int_equal(store_contract_read(b->store, "climate", &got), 0);
    assert_true(contract_same(&got, &contracts[0]));
    assert_int_equal(store_contract_read(b->store, "power", &got), 0);
    assert_int_equal(got.version, 7);
    assert_int_equal(store_contract_read(b->store, "clim", &got), WEIR_ENOTFOUND);
    for (int i = 0; i < STORE_CONTRACTS_MAX; i++) { /* the oldest go */
        (void)snprintf(contracts[1].name, sizeof contracts[1].name, "c%d", i);
        batch = batch_of(b, "z", 1, 1);
        batch.contracts = &contracts[1];
        batch.contract_count = 1;
        commit(b, &batch);
    }
    assert_int_equal(store_contract_read(b->store, "climate", &got), WEIR_ENOTFOUND);
    assert_int_equal(store_contract_read(b->store, "c0", &got), 0);
    bench_close(b);
    damage(b, "UPDATE contract SET bytes = x'0105' WHERE name = CAST('c1' AS BLOB)");
    assert_int_equal(bench_open(b), 0);
    assert_int_equal(store_contract_read(b->store, "c1", &got), WEIR_ECORRUPT);
    assert_int_equal(store_contract_read(b->store, "c2", &got), 0);
}

static void overwrite(const char *path, off_t at, size_t bytes)
{
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(pwrite(fd, "\xa5", 1, at + (off_t)i), 1);
    close(fd);
}

static void sets_a_damaged_file_aside(void **state)
{
    struct bench *b = *state;
    for (int n = 1; n <= 4; n++) { /* the third place is used again */
        char aside[128];
        struct batch batch = batch_of(b, "x", 1, 1);
        commit(b, &batch);
        bench_close(b);
        overwrite(b->path, n % 2 == 0 ? 0 : 4096, 8192); /* the header; the first tables */
        assert_int_equal(bench_open(b), 0);
        assert_int_equal(b->found.set_aside, n);
        assert_true(b->found.created);
        assert_int_equal(b->found.last_block, 0);
        bench_close(b);
        assert_int_equal(bench_open(b), 0);
        assert_int_equal(b->found.set_aside, n); /* for good */
        assert_false(b->found.created);
        (void)snprintf(aside, sizeof aside, "%s.damaged-%d", b->path, n < 3 ? n : 3);
        assert_int_equal(access(aside, F_OK), 0);
    }
}

/* Deep damage is not looked for at the start; met in a read, the next start sets the file aside. */
static void damage_met_later_is_not_forgotten(void **state)
{
    struct bench *b = *state;
    static char big[200000];
    static uint8_t got[200000];
    uint64_t number, seed = 5;
    size_t used;
    struct stat info;

    fill_noise(big, sizeof big, &seed);
    for (int i = 0; i < 300; i++) {
        struct batch batch = batch_of(b, big, 3000, 1);
        commit(b, &batch);
    }
    bench_close(b);
    assert_int_equal(stat(b->path, &info), 0);
    overwrite(b->path, info.st_size / 2 / 4096 * 4096, 4096);
    assert_int_equal(bench_open(b), 0);
    assert_false(b->found.set_aside);
    int err = 0;
    for (uint64_t from = 1; err == 0 && from <= 300; from++)
        err = store_block_read(b->store, from, got, sizeof got, &number, &used);
    assert_int_equal(err, WEIR_ECORRUPT);
    bench_close(b);
    assert_int_equal(bench_open(b), 0);
    assert_int_equal(b->found.set_aside, 1);
}

/* Every page is good, and yet its user can't make sense of it. */
static void a_condemned_file_is_set_aside(void **state)
{
    struct bench *b = *state;
    struct batch batch = batch_of(b, "x", 1, 1);
    commit(b, &batch);
    store_condemn(b->store);
    bench_close(b);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(bench_open(b), 0);
        assert_int_equal(b->found.set_aside, 1);
        assert_int_equal(b->found.last_block, 0);
        bench_close(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(survives_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(stores_a_block_once, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_ledger_that_does_not_balance, setup, teardown),
        cmocka_unit_test_setup_teardown(evicts_the_oldest_results_with_one_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(old_rows_of_a_lane_go_and_old_alerts_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_every_alert_that_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(moves_a_poisoned_row_to_the_dead_letters, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_dead_letters_oldest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_dead_letters_within_a_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(falls_back_to_the_older_checkpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(never_prunes_behind_the_older_checkpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(a_removal_says_whether_it_had_been_forwarded, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_when_only_a_checkpoint_helps, setup, teardown),
        cmocka_unit_test_setup_teardown(stays_inside_its_budget_for_a_month, setup, teardown),
        cmocka_unit_test_setup_teardown(one_process_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_not_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(migrates_a_version_0_file, setup, teardown),
        cmocka_unit_test_setup_teardown(migrates_a_version_1_file, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_on_with_a_newer_file, setup, teardown),
        cmocka_unit_test_setup_teardown(contracts_are_those_last_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_sessions, setup, teardown),
        cmocka_unit_test_setup_teardown(sets_a_damaged_file_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_met_later_is_not_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(a_condemned_file_is_set_aside, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
