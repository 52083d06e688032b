/* Goal: what a stream adds to a reading, from the engine's record to the rows of its results: CPU, and what hopping
 * windows of 12 overlaps cost beside tumbling ones. Method: 1,000 devices in turn, a reading a second each, five
 * aggregates; the cases take turns on the same readings, and of the rounds the fastest and the middle one are told.
 * One JSON line a case. Arguments: rounds (20). */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pipeline/codec/codec_results.h"
#include "pipeline/err.h"
#include "pipeline/streams/streams.h"

enum { DEVICES = 1000, SECONDS = 60, READINGS = DEVICES * SECONDS, ROUNDS_MAX = 1000, TURN = 100 };
static const int64_t EPOCH_MS = 1790000000000;

struct stage {
    const char *name;
    struct stream_config config;
    struct stream_plan plan;
    struct stream_set set;
    struct streams *streams;
    struct results_builder *builder;
    int64_t t_ms;
    uint64_t results;
    double ns[ROUNDS_MAX]; /* a reading */
};

static struct stage stages[] = {
    { .name = "none", .config = { .where = "metric == 'other'", .size_ms = 10000 } },
    { .name = "tumbling", .config = { .size_ms = 10000 } },
    { .name = "tumbling-where", .config = { .where = "metric == 'temperature' and value > -100", .size_ms = 10000 } },
    { .name = "tumbling-1m", .config = { .size_ms = 60000 } },
    { .name = "hopping-1m-5s", .config = { .window = STREAM_HOPPING, .size_ms = 60000, .slide_ms = 5000 } },
    { .name = "sliding-last-20", .config = { .window = STREAM_SLIDING, .last_count = 20, .size_ms = 1 } },
    { .name = "sliding-span-1m", .config = { .window = STREAM_SLIDING, .span_ms = 60000, .size_ms = 1 } },
};
enum { STAGES = sizeof stages / sizeof stages[0] };
static struct stream_fields fields;
static char devices[DEVICES][16];

static void *zeroed(size_t bytes)
{
    void *at = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert(at != NULL);
    memset(at, 0, bytes);
    return at;
}

static void on_result(void *ctx, const struct stream_result *result)
{
    struct stage *g = ctx;
    g->results++;
    if (results_add_stream(g->builder, result) != WEIR_EFULL)
        return;
    results_builder_reset(g->builder);
    if (results_add_stream(g->builder, result) != 0)
        abort();
}

static void set_stage(struct stage *g)
{
    const struct hash_key key = { 3, 4 };
    struct stream_config *c = &g->config;
    struct stream_fault fault;
    strcpy(c->name, "bench");
    c->key_count = 2;
    strcpy(c->key[0].name, "device");
    strcpy(c->key[1].name, "metric");
    c->out_of_orderness_ms = 2000, c->lateness_ms = 15000, c->idle_ms = 30000, c->ttl_ms = 3600000;
    c->keys_max = DEVICES, c->key_bytes = 64;
    if (stream_compile(&g->plan, c, &fields, &fault) != 0)
        abort();
    g->set = (struct stream_set){ 1, &g->plan };
    struct arena arena = arena_measure();
    (void)streams_init(&g->set, key, &arena);
    arena = arena_over(zeroed(arena.used), arena.used);
    g->streams = streams_init(&g->set, key, &arena);
    arena = arena_measure();
    (void)results_builder_init(RESULTS_STREAMS, 1024, 32 * 1024, &arena);
    arena = arena_over(zeroed(arena.used), arena.used);
    g->builder = results_builder_init(RESULTS_STREAMS, 1024, 32 * 1024, &arena);
}

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void run(struct stage *g, int round)
{
    const struct stream_out out = { .ctx = g, .result = on_result };
    struct record record = { .kind = RECORD_READING };
    record.reading.metric = text_of("temperature");
    record.reading.unit = text_of("Cel");
    record.reading.has_sequence = true;
    double from = now_ns();
    for (uint32_t i = 0; i < READINGS; i++) {
        if (i % TURN == 0) {
            g->t_ms += 1000 * TURN / DEVICES;
            while (streams_deadline(g->streams, g->t_ms) <= g->t_ms)
                streams_fire(g->streams, &(struct stream_moment){ .t_ms = g->t_ms }, &out);
        }
        const char *device = devices[i % DEVICES];
        record.t_ms = g->t_ms;
        record.event_time_ms = EPOCH_MS + g->t_ms - i * 7 % 100;
        record.reading.device = (struct text){ device, 9 };
        record.reading.value.number = 20 + (double)(i * 31 % 997) / 100;
        streams_take(g->streams, &record,
                     &(struct stream_moment){ .t_ms = g->t_ms, .reached_ms = record.event_time_ms, .block = (uint64_t)round + 1 }, &out);
    }
    g->ns[round] = (now_ns() - from) / READINGS;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 20;
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    stream_fields_begin(&fields);
    for (int i = 0; i < DEVICES; i++)
        (void)snprintf(devices[i], sizeof devices[i], "dev-%05d", i);
    for (size_t i = 0; i < STAGES; i++)
        set_stage(&stages[i]);
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < STAGES; i++)
            run(&stages[i], round);
    for (size_t i = 0; i < STAGES; i++)
        qsort(stages[i].ns, (size_t)rounds, sizeof(double), by_value);
    for (size_t i = 0; i < STAGES; i++)
        (void)printf("{\"bench\":\"streams\",\"case\":\"%s\",\"ns_per_reading\":%.1f,\"median_ns\":%.1f,\"of_tumbling\":%.2f,"
                     "\"results_per_reading\":%.3f,\"bytes_per_key\":%lu,\"steps\":%u}\n",
                     stages[i].name, stages[i].ns[0], stages[i].ns[rounds / 2], stages[i].ns[0] / stages[1].ns[0],
                     (double)stages[i].results / ((double)READINGS * rounds),
                     (unsigned long)stream_key_bytes(&stages[i].plan), stages[i].plan.steps_max);
    return 0;
}
