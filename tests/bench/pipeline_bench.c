/* Goal: what the pipeline costs, without transport and disk: CPU a reading from bytes to detectors,
 * step by step, and bytes of memory a device. Method: 1,000 devices with one metric, a reading a
 * second each, flat JSON of about 100 bytes; every case takes the same messages, the cases take
 * turns, and of the rounds the fastest and the middle one are told, so that a busy machine weighs
 * on all of them alike. One JSON line a case. Arguments: rounds (20), one case.
 * Links: storage/%.c hal/board.c firmware/json_arena.c firmware/config/%.c
 * Libs: -lyaml -lmbedcrypto -lsqlite3 -lz */
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "firmware/config/config.h"
#include "firmware/json_arena.h"
#include "pipeline/codec/codec_json_check.h"
#include "pipeline/codec/codec_json_scan.h"
#include "pipeline/codec/codec_json_tree.h"

enum {
    DEVICES = 1000,
    SECONDS = 60, /* of traffic in a round */
    MESSAGES = DEVICES * SECONDS,
    MESSAGE_BYTES = 128,
    TURN = 100, /* messages between two looks at the timers */
    ROUNDS_MAX = 1000,
    BLOCK_READINGS = 10000
};

static const int64_t EPOCH_MS = 1790000000000;

static const char MINIMAL[] = "sources:\n"
                              "  - name: plant\n"
                              "    url: mqtt://localhost\n"
                              "    topics: [\"telemetry/{device}/{metric}\"]\n"
                              "    payload: {device: /device, metric: /metric}\n";
static const char NO_RULES[] = "usual: {all: false}\n";
static const char SIX_RULES[] =
    "detectors:\n"
    "  - {type: limit, high: 1000}\n  - {type: rate, per_second: 1000}\n  - {type: spike}\n"
    "  - {type: shift}\n  - {type: stuck}\n  - {type: silent}\n";

struct gateway_less { /* one configuration's pipeline, without a gateway around it */
    struct config *config;
    struct engine *engine;
    void *memory;
    size_t memory_bytes;
    int64_t t_ms;
    uint64_t told;
};

struct message {
    char at[MESSAGE_BYTES];
    uint32_t bytes;
};

static struct message *messages;
static struct reading *readings; /* what they decode to */
static struct decoder decoder;
static struct block_builder *builder;
static struct gateway_less usual, six, journalled, thinking, bare;
static uint64_t sink; /* so that no work is left out */

/* --- making --- */

static uint64_t rnd(uint64_t *chance) /* splitmix64 */
{
    uint64_t z = (*chance += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double noise(uint64_t *chance) /* about normal */
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (double)(rnd(chance) >> 11) * 0x1p-53;
    return sum;
}

/* The readings of the n-th second from the start; each round goes on where the last one ended. */
static void make_messages(uint64_t second)
{
    uint64_t chance = second;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint64_t n = second + i / DEVICES;
        int64_t time_ms = EPOCH_MS + (int64_t)n * 1000 + i % DEVICES + (int64_t)(rnd(&chance) % 8);
        double value = 20 + i % 10 + noise(&chance);
        int bytes = snprintf(messages[i].at, MESSAGE_BYTES,
                             "{\"device\":\"dev-%04u\",\"time\":%lld,\"sequence\":%llu,"
                             "\"metric\":\"temperature\",\"unit\":\"Cel\",\"value\":%.2f}",
                             i % DEVICES, (long long)time_ms, (unsigned long long)n + 1, value);
        assert(bytes > 0 && bytes < MESSAGE_BYTES);
        messages[i].bytes = (uint32_t)bytes;
        readings[i] = (struct reading){ .device = { messages[i].at + sizeof "{'device':", 8 },
                                        .metric = text_of("temperature"),
                                        .unit = text_of("Cel"),
                                        .value = { .type = VALUE_NUMBER, .number = value },
                                        .has_device_time = true,
                                        .has_sequence = true,
                                        .device_time_ms = time_ms,
                                        .sequence = n + 1 };
    }
}

static void on_alert(void *ctx, const struct alert_event *event)
{
    (void)event;
    ++*(uint64_t *)ctx;
}

static void on_result(void *ctx, const struct window_result *result)
{
    (void)result;
    ++*(uint64_t *)ctx;
}

static void on_late(void *ctx, const struct record *record)
{
    (void)ctx, (void)record;
    abort(); /* these devices are never late */
}

static void *zeroed(size_t bytes)
{
    void *at = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (at == NULL)
        abort();
    return memset(at, 0, bytes);
}

static struct config *config_of(const char *rules)
{
    char text[1024];
    int bytes = snprintf(text, sizeof text, "%s%s", MINIMAL, rules);
    struct config *config = calloc(1, sizeof *config);
    assert(config != NULL && bytes > 0 && (size_t)bytes < sizeof text);
    if (config_read_text("bench", text, (size_t)bytes, config, stderr) != 0)
        abort();
    return config;
}

static void begin(struct gateway_less *g, const char *rules)
{
    g->config = config_of(rules);
    struct arena arena = arena_measure();
    (void)engine_init(&g->config->engine, &arena);
    g->memory_bytes = arena.used;
    g->memory = zeroed(arena.used);
    arena = arena_over(g->memory, g->memory_bytes);
    g->engine = engine_init(&g->config->engine, &arena);
    struct record clock = { .kind = RECORD_CLOCK, .clock = { EPOCH_MS, CLOCK_SYNCED, 1 } };
    engine_apply(g->engine, &clock, NULL);
}

static void begin_builder(void)
{
    struct block_limits limits = usual.config->block;
    struct arena arena = arena_measure();
    block_builder_init(&limits, &arena);
    arena = arena_over(zeroed(arena.used), arena.used);
    builder = block_builder_init(&limits, &arena);
}

static void begin_decoder(const struct config *config)
{
    json_arena_start(zeroed(config->json_arena_bytes), config->json_arena_bytes);
    decoder = (struct decoder){ .memory = { json_arena_reset, json_arena_exhausted },
                                .limits = config->json,
                                .readings = zeroed(config->json.readings * sizeof(struct reading)),
                                .extra = zeroed(4096),
                                .extra_bytes = 4096 };
}

/* --- steps --- */

static void decode(const struct config *config, uint32_t i)
{
    static struct decoded out;
    struct text payload = { messages[i].at, messages[i].bytes };
    decode_json(&decoder, &config->sources[0].topics[0].mapping, 0, (struct text){ 0 },
                (struct text){ 0 }, payload, &out);
    assert(out.count == 1);
}

static struct record *think(struct gateway_less *g, uint32_t i, const struct reading *reading)
{
    static struct admission admission;
    const struct engine_out out = { .ctx = &g->told, .alert = on_alert, .result = on_result, .late = on_late };
    if (i % TURN == 0) {
        g->t_ms += 1000 * TURN / DEVICES;
        while (engine_deadline(g->engine, g->t_ms) <= g->t_ms)
            engine_fire(g->engine, &out);
    }
    engine_admit(g->engine, g->t_ms, reading, 1, &admission);
    assert(admission.verdict == ADMIT_STORE);
    engine_apply(g->engine, &admission.record, &out);
    return &admission.record;
}

/* --- cases --- */

static void scan_only(void)
{
    struct json_keys keys;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        json_arena_reset();
        if (json_scan((struct text){ messages[i].at, messages[i].bytes }, &keys) == NULL)
            abort();
    }
}

static void cjson_only(void)
{
    for (uint32_t i = 0; i < MESSAGES; i++) {
        bool exhausted;
        struct text json = { messages[i].at, messages[i].bytes };
        json_arena_reset();
        sink += json_check(json, 8).reason;
        cJSON *root = cJSON_ParseWithLengthOpts(json.at, json.bytes, NULL, 0);
        sink += json_duplicate(root, &exhausted) != NULL;
    }
}

static void decode_only(void)
{
    for (uint32_t i = 0; i < MESSAGES; i++)
        decode(usual.config, i);
}

static void admit_and_apply(void)
{
    for (uint32_t i = 0; i < MESSAGES; i++)
        (void)think(&thinking, i, &readings[i]);
}

static void admit_and_apply_no_rules(void)
{
    for (uint32_t i = 0; i < MESSAGES; i++)
        (void)think(&bare, i, &readings[i]);
}

static void decode_to_detectors(void)
{
    for (uint32_t i = 0; i < MESSAGES; i++) {
        decode(usual.config, i);
        (void)think(&usual, i, &decoder.readings[0]);
    }
}

static void six_rules(void)
{
    for (uint32_t i = 0; i < MESSAGES; i++) {
        decode(six.config, i);
        (void)think(&six, i, &decoder.readings[0]);
    }
}

static void with_journal(void)
{
    static uint8_t block[4 << 20];
    for (uint32_t i = 0; i < MESSAGES; i++) {
        decode(journalled.config, i);
        const struct record *record = think(&journalled, i, &decoder.readings[0]);
        if (block_append(builder, record) != 0)
            abort();
        if (block_records(builder) < BLOCK_READINGS && i + 1 < MESSAGES)
            continue;
        struct byte_writer w = { .at = block, .bytes = sizeof block };
        block_finish(builder, &w);
        assert(!w.failed);
        sink += w.used;
        block_builder_reset(builder);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    { "scan", scan_only },
    { "check_and_cjson", cjson_only },
    { "decode", decode_only },
    { "admit_and_apply", admit_and_apply },
    { "admit_and_apply_no_rules", admit_and_apply_no_rules },
    { "decode_to_detectors", decode_to_detectors },
    { "decode_to_detectors_6_rules", six_rules },
    { "decode_to_journal_block", with_journal },
};

enum { CASES = sizeof cases / sizeof cases[0] };

static double ns[CASES][ROUNDS_MAX]; /* a reading */

static double cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 20;
    if (rounds == 0 || rounds > ROUNDS_MAX)
        return 2;
    messages = zeroed(MESSAGES * sizeof *messages);
    readings = zeroed(MESSAGES * sizeof *readings);
    begin(&usual, "");
    begin(&thinking, "");
    begin(&bare, NO_RULES);
    begin(&six, SIX_RULES);
    begin(&journalled, "");
    begin_builder();
    begin_decoder(usual.config);
    for (uint32_t round = 0; round < rounds; round++) {
        make_messages((uint64_t)round * SECONDS);
        for (size_t c = 0; c < CASES; c++) {
            if (argc > 2 && strcmp(argv[2], cases[c].name) != 0)
                continue;
            double from = cpu_ns();
            cases[c].run();
            ns[c][round] = (cpu_ns() - from) / MESSAGES;
        }
    }
    for (size_t c = 0; c < CASES; c++) {
        qsort(ns[c], rounds, sizeof ns[c][0], compare);
        printf("{\"bench\":\"pipeline\",\"case\":\"%s\",\"ns_min\":%.1f,\"ns_median\":%.1f,"
               "\"cpu_s_a_million\":%.3f,\"readings_a_second\":%.0f}\n",
               cases[c].name, ns[c][0], ns[c][rounds / 2], ns[c][0] / 1000, 1e9 / ns[c][0]);
    }
    struct engine_cost cost = engine_cost(&usual.config->engine);
    printf("{\"bench\":\"memory\",\"case\":\"a_device_with_one_metric\",\"bytes\":%zu,"
           "\"statistics\":%zu,\"windows\":%zu,\"recent\":%zu,\"rules\":%zu,\"duplicates\":%zu,"
           "\"alert\":%zu,\"rest\":%zu}\n",
           cost.total, cost.statistics, cost.windows, cost.recent, cost.rules, cost.duplicates,
           cost.alert, cost.rest);
    return sink == 0;
}
