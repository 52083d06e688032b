/* Goal: whatever order readings come in, sessions are told so that a receiver that keeps the highest revision of each
 * bounds ends with the sessions that there are: nothing is retracted that was not told, no revision is left out, and
 * in the end what stands is every run of readings, with all of them in it once; a state that is saved and loaded on the
 * way changes nothing. Method: libFuzzer; the first bytes draw the stream, then each two a reading of one of two keys,
 * a span of time, or a turn through the saved form. Nothing is closed before the end, so that the runs are plain.
 * Links: pipeline/streams/%.c pipeline/hash.c pipeline/bytes.c */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/streams/streams.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { KEYS = 2, READINGS = 200, ROWS = 4096, ARENA = 1 << 18, SAVED = 1 << 17 };
static const int64_t EPOCH_MS = 1790000000000;

static struct row {
    int key;
    int64_t start_ms, end_ms;
    uint32_t revision;
    enum stream_result_kind kind;
    double count, sum;
} rows[ROWS];
static size_t row_count;

static void on_result(void *ctx, const struct stream_result *r)
{
    (void)ctx;
    int key = r->key.at[3] - 'a';
    size_t i = 0;
    while (i < row_count && !(rows[i].key == key && rows[i].start_ms == r->start_ms && rows[i].end_ms == r->end_ms))
        i++;
    assert(i < ROWS && r->start_ms < r->end_ms && !r->forced);
    if (i == row_count) {
        assert(r->revision == 0 && r->kind != STREAM_RETRACTION);
        row_count++;
    } else {
        assert(r->revision == rows[i].revision + 1 && rows[i].kind != STREAM_RETRACTION);
    }
    rows[i] = (struct row){ key, r->start_ms, r->end_ms, r->revision, r->kind, r->values[0].value.number,
                            r->values[1].value.number };
}

static struct stream_config config;
static struct stream_plan plan;
static struct stream_fields fields;
static struct stream_set set = { 1, &plan };
static uint8_t *memory;

static struct streams *make(void)
{
    const struct hash_key key = { 1, 2 };
    struct arena arena = arena_over(memory, ARENA);
    memset(memory, 0, ARENA);
    struct streams *s = streams_init(&set, key, &arena);
    assert(s != NULL);
    return s;
}

static struct streams *again(struct streams *s)
{
    static uint8_t bytes[SAVED], twice[SAVED];
    struct byte_writer w = { bytes, sizeof bytes, 0, false }, w2 = { twice, sizeof twice, 0, false };
    streams_save(s, &w, NULL, NULL);
    assert(!w.failed);
    s = make();
    struct byte_reader r = { bytes, w.used, 0, false };
    uint64_t anew = streams_load(s, &r);
    assert(!r.failed && r.used == r.bytes && anew == 0);
    streams_save(s, &w2, NULL, NULL);
    assert(w2.used == w.used && memcmp(bytes, twice, w.used) == 0);
    return s;
}

static int64_t pass(struct streams *s, int64_t t_ms)
{
    const struct stream_out out = { .result = on_result };
    for (int64_t due; (due = streams_deadline(s, t_ms)) <= t_ms;) {
        struct stream_moment moment = { .t_ms = due };
        streams_fire(s, &moment, &out);
    }
    return t_ms;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* What stands of the key is its runs. */
static void check_runs(int key, int64_t *times, size_t count)
{
    size_t standing = 0;
    for (size_t i = 0; i < row_count; i++)
        standing += rows[i].key == key && rows[i].kind != STREAM_RETRACTION;
    qsort(times, count, sizeof times[0], by_time);
    for (size_t from = 0, to; from < count; from = to) {
        double sum = 0;
        for (to = from; to < count && (to == from || times[to] - times[to - 1] < config.gap_ms); to++)
            sum += (double)(times[to] - EPOCH_MS);
        size_t i = 0;
        while (i < row_count && !(rows[i].key == key && rows[i].kind != STREAM_RETRACTION &&
                                  rows[i].start_ms == times[from] &&
                                  rows[i].end_ms == times[to - 1] + config.gap_ms))
            i++;
        assert(i < row_count && rows[i].count == (double)(to - from) && rows[i].sum == sum);
        standing--;
    }
    assert(standing == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static int64_t times[KEYS][READINGS];
    size_t counts[KEYS] = { 0 };
    const struct stream_out out = { .result = on_result };
    struct stream_fault fault;
    if (bytes < 4)
        return 0;
    memory = memory != NULL ? memory : aligned_alloc(64, ARENA);
    assert(memory != NULL);
    config = (struct stream_config){
        .name = "s", .key_count = 1, .key = { { "device" } }, .out_of_orderness_ms = data[0] * 10, .window = STREAM_SESSION,
        .gap_ms = 1 + data[1], .lateness_ms = (int64_t)1 << 40, .idle_ms = 1000 + data[2] * 10, .size_ms = 1,
        .sessions_max = READINGS, .keys_max = KEYS, .key_bytes = 16, .ttl_ms = (int64_t)1 << 50,
        .early_ms = data[3] % 2 * 500, .aggregate_count = 2, .aggregates = { { "count" }, { "sum" } },
    };
    stream_fields_begin(&fields);
    int err = stream_compile(&plan, &config, &fields, &fault);
    assert(err == 0);
    struct streams *s = make();
    int64_t t_ms = 0;
    row_count = 0;
    for (size_t i = 4; i + 1 < bytes; i += 2) {
        int key = data[i] & 1;
        char name[2] = { (char)('a' + key), '\0' };
        if ((data[i] & 6) == 6) {
            t_ms = pass(s, t_ms + data[i + 1] * 20);
            s = (data[i] & 8) != 0 ? again(s) : s;
            continue;
        }
        if (counts[key] == READINGS)
            break;
        int64_t event_ms = EPOCH_MS + data[i + 1] * 16 + (data[i] >> 4);
        struct record record = { .kind = RECORD_READING, .event_time_ms = event_ms };
        record.reading.device = text_of(name);
        record.reading.metric = text_of("m");
        record.reading.value = (struct value){ .type = VALUE_NUMBER, .number = (double)(event_ms - EPOCH_MS) };
        struct stream_moment moment = { .t_ms = t_ms, .reached_ms = event_ms };
        streams_take(s, &record, &moment, &out);
        times[key][counts[key]++] = event_ms;
    }
    (void)pass(s, t_ms + 100000);
    for (int key = 0; key < KEYS; key++)
        check_runs(key, times[key], counts[key]);
    return 0;
}
