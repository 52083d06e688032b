/* Goal: no sequence of messages, whatever is in them, harms a gateway with contracts, streams, rules, fields that are not
 * kept, and an uplink: with time that jumps, commits that fail, kills, other configurations, commands, dead letters tried again
 * and a cloud that comes and goes in between. Every commit's ledger balances, its rows follow on each other, and what it sends
 * as alerts is JSON; at the end a replay of the journal makes what each block says that it made, and comes to the very state
 * that the gateway has, whatever configurations it went through.
 * Method: libFuzzer; a byte is an operation, those behind it are its arguments. A store in memory keeps blocks, rows, letters
 * and the checkpoint. The two configurations differ in streams, rules and contracts.
 * Links: firmware/gateway/%.c firmware/config/%.c firmware/json_arena.c hal/board.c storage/block%.c storage/crc32c.c storage/ledger.c pipeline/%.c pipeline/%/%.c
 * Libs: -lz -lcjson -lmbedcrypto -lyaml
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/gateway/gateway.h"
#include "firmware/gateway/replay.h"
#include "firmware/json_arena.h"
#include "tests/lib/memory_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { OPERATIONS_MAX = 400, JSON_BYTES = 32 * 1024, FOLD_HEAP_BYTES = 8 << 20 };

/* --- two configurations --- */

#define COMMON \
    "gateway: {name: fuzz, data_dir: /nowhere, pii_key: /nowhere/key}\n" \
    "clock: {trust: system}\n" \
    "limits: {devices: 6, series: 14, payload: 1KiB, readings_per_message: 8, json_arena: 16KiB, sessions: 4, exchanges: 4, reload: 64KiB}\n" \
    "commit: {max_age: 200ms, max_readings: 40}\n" \
    "window: {size: 10s, lateness: 5s, slots: 2, recent: 2}\n" \
    "alerts: {reject_rate: 5/m, lag_grows_for: 30s, shed_for: 20s}\n" \
    "learning: {time: 1s, readings: 2}\n" \
    "uplink: {url: \"mqtt://127.0.0.1:1884\", raw: true, receipts: true, in_flight: 4, refusals_max: 2}\n" \
    "sources:\n" \
    "  - {name: plant, url: \"mqtt://127.0.0.1:1883\", contract: shop, receive_maximum: 40, topics: [\"t/{device}/{metric}\"]," \
    " payload: {value: /v, time: /t, sequence: /n, version: /ver, unit: /u, fields: {zone: /z, card: /c}}}\n" \
    "  - {name: site, listen: \"mqtt://127.0.0.1:1885\", anonymous: true, receive_maximum: 40, topics: [\"m/{device}\"], time: clamp," \
    " payload: {metrics: /m, time: /t, fields: {zone: /z}}, pii: [/c, {field: /z, pii: hmac}]}\n"

static const char *const yaml[] = {
    COMMON "contracts: [{name: shop, metrics: [{name: temp, unit: C, min: -40, max: 125}, {name: on, type: boolean},"
           " {name: word, type: text}], allow_unknown: true}]\n"
           "detectors: [{name: hot, type: limit, metric: temp, high: 80}, {type: rate, metric: temp, per_second: 5}]\n"
           "streams:\n"
           "  - {name: zones, where: \"value > 0 or zone == 'a'\", key: [zone, metric], window: {type: hopping, size: 20s, slide: 5s},"
           " keys: 3, at_limit: evict, lateness: 10s, idle: 20s, ttl: 40s, early: 2s,"
           " aggregates: [count, mean, stddev, \"median(value) as middle\", \"top(card, 2)\", \"distinct(device) as who\"],"
           " derive: [{name: growth, of: \"count / previous(count)\"}],"
           " rules: [{name: busy, when: \"count > 3\", on: reading, observe: count}, {name: odd, when: \"count > 2 * baseline(count)\"}]}\n"
           "  - {name: visits, key: [device], window: {type: session, gap: 4s, max_length: 30s, sessions: 2}, keys: 2, at_limit: refuse,"
           " lateness: 8s, idle: 10s, ttl: 20s, aggregates: [count, first, last, \"ewma(value, 2)\"],"
           " rules: [{name: rush, when: \"last > first\", on: close}]}\n",
    COMMON "contracts: [{name: shop, version: 2, metrics: [{name: temp, min: -40, max: 200}, {name: on, type: boolean},"
           " {name: word, type: text}, {name: more}], allow_unknown: true}]\n"
           "detectors: [{name: warm, type: limit, metric: temp, high: 60}]\n"
           "streams:\n"
           "  - {name: visits, key: [device], window: {type: session, gap: 4s, max_length: 30s, sessions: 2}, keys: 4, at_limit: evict,"
           " lateness: 8s, idle: 10s, ttl: 20s, aggregates: [count, first, last, \"ewma(value, 2)\"],"
           " rules: [{name: slow, when: \"last < first\", on: close}, {name: rush, when: \"last > first\", on: reading}]}\n"
           "  - {name: zones, key: [zone], window: {type: tumbling, size: 10s}, keys: 3, emit: final, aggregates: [sum, \"rate\"]}\n",
};

static struct config *configs[2], *then[2];

static struct store *store;

/* --- the gateway --- */

static struct {
    struct gateway *gateway;
    struct hal_time now;
    struct store_job *job;
    int config;                  /* of the next start */
    uint32_t failures;           /* commits that are to fail */
    struct {
        enum lane lane;
        uint64_t sequence;
    } sent[8];
    uint32_t sent_count;
    uint64_t acknowledged[CONFIG_SOURCES_MAX];
} f;

static void begin_job(void *ctx, struct store_job *job)
{
    (void)ctx;
    assert(f.job == NULL);
    f.job = job;
}

static void acknowledge(void *ctx, uint32_t source, uint64_t number)
{
    (void)ctx;
    assert(number > f.acknowledged[source]);
    f.acknowledged[source] = number;
}

static int send_row(void *ctx, const struct outbox_row *row)
{
    (void)ctx;
    if (f.sent_count == sizeof f.sent / sizeof f.sent[0])
        return WEIR_EAGAIN;
    f.sent[f.sent_count].lane = row->lane;
    f.sent[f.sent_count++].sequence = row->sequence;
    return 0;
}

static void log_nothing(void *ctx, const char *event, const char *details)
{
    (void)ctx, (void)details;
    assert(strcmp(event, "configuration_unknown") != 0); /* all of them can be had */
}

static void hmac(void *ctx, struct text value, uint8_t mac[32])
{
    (void)ctx;
    memset(mac, (int)value.bytes, 32);
}

/* What is taken for each input anew, and stays: to give it back and ask for it again takes longer than the rest. */
struct room {
    uint8_t *at;
    size_t bytes;
    bool clean;                  /* it must be zero each time */
};
static struct room gateway_room = { .clean = true }, reader_room;

static void make_room(struct room *room, size_t bytes)
{
    if (bytes <= room->bytes)
        return;
    free(room->at);
    room->bytes = bytes;
    room->at = aligned_alloc(ARENA_ALIGN, bytes);
    assert(room->at != NULL);
    memset(room->at, 0, bytes);
}

static struct arena again(const struct room *room)
{
    if (room->clean)
        memset(room->at, 0, room->bytes);
    return arena_over(room->at, room->bytes);
}

static void begin_gateway(void)
{
    const struct gateway_ports ports = { NULL, begin_job, acknowledge, send_row, log_nothing, hmac, NULL };
    const struct json_memory json = { json_arena_reset, json_arena_exhausted };
    struct block_limits limits = gateway_block_limits_max();
    struct arena whole = again(&gateway_room), reading = again(&reader_room);
    char why[256];
    f.gateway = gateway_init(configs[f.config], &ports, &json, &whole);
    struct fold_memory memory = { .reader = block_reader_init(&limits, &reading) };
    memory.block = arena_take(&reading, limits.bytes_max, 1);
    memory.block_bytes = limits.bytes_max;
    memory.then[0] = then[0];
    memory.then[1] = then[1];
    memory.heap_bytes_max = FOLD_HEAP_BYTES;
    struct store_recovery found = { .store_id = { 11, 22 }, .last_block = store->last, .t_ms = store->t_ms,
                                    .wall_ms = store->wall_ms, .ledger = store->ledger,
                                    .checkpoint_block = store->checkpoint_block,
                                    .checkpoint_bytes = store->checkpoint_bytes, .first_block = store->last > 0 };
    memcpy(found.lanes, store->lanes, sizeof found.lanes);
    for (int lane = 0; lane < LANES; lane++)
        found.first_sequence[lane] = store->lanes[lane].covered + 1;
    assert(gateway_recover(f.gateway, store, &found, f.now, memory, why) == 0);
}

static void kill_gateway(void)
{
    f.job = NULL;
    f.sent_count = 0;
    memset(f.acknowledged, 0, sizeof f.acknowledged);
    begin_gateway();
}

static void begin_turn(int64_t ms)
{
    f.now.mono_ms += ms;
    f.now.wall_ms += ms;
    gateway_begin_turn(f.gateway, f.now);
    struct store_job *job = f.job;
    if (job == NULL)
        return;
    f.job = NULL;
    if (job->kind == STORE_JOB_COMMIT && f.failures > 0) {
        f.failures--;
        job->result = WEIR_ENOSPC;
    } else {
        store_job_run(job, store);
    }
    gateway_on_store_done(f.gateway, job);
}

static void turn(int64_t ms)
{
    begin_turn(ms);
    gateway_end_turn(f.gateway);
}

/* --- the state once more --- */

static void fold_is_the_same(void)
{
    static struct replay replay;
    const struct replay_start start = { .store = { 11, 22 } };
    struct block_limits limits = gateway_block_limits_max();
    struct arena reading = again(&reader_room);
    struct block_reader *reader = block_reader_init(&limits, &reading);
    char why[256];
    assert(replay_begin(&replay, &start, why) == 0);
    for (uint64_t n = 1; n <= store->last; n++) {
        if (store->blocks[n].at == NULL)
            continue;
        struct text block = { (const char *)store->blocks[n].at, (uint32_t)store->blocks[n].bytes };
        assert(replay_block(&replay, reader, n, block, why) == 0);
        assert(replay.verdict == REPLAY_SAME);
    }
    engine_begin_block(replay.engine, store->last + 1);
    struct hash128 live = engine_digest(gateway_view(f.gateway).engine), folded = engine_digest(replay.engine);
    assert(live.high == folded.high && live.low == folded.low);
    replay_end(&replay);
}

/* --- operations --- */

struct input {
    const uint8_t *at, *end;
};

static uint8_t next_byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static struct text next_text(struct input *in, uint32_t most)
{
    uint32_t bytes = next_byte(in) * 8u;
    uint32_t left = (uint32_t)(in->end - in->at);
    bytes = bytes < left ? bytes : left;
    bytes = bytes < most ? bytes : most;
    struct text text = { (const char *)in->at, bytes };
    in->at += bytes;
    return text;
}

static const char *const devices[] = { "a", "b", "c", "d", "a/b", "e\xc3\xa9", "f", "" };
static const char *const metrics[] = { "temp", "on", "word", "more", "m5", "m6", "temp", "temp" };
static const char *const zones[] = { "\"a\"", "\"b/c\"", "\"\"", "7", "true", "null", "\"$x\\u0001\"", "\"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz\"" };

static struct text build(struct input *in, bool many, char *to, size_t bytes)
{
    static const char *const values[] = { "true", "\"hello\"", "null", "1e308", "-0", "\"\\ud83d\\ude00\"", "99.5", "NaN" };
    uint8_t how = next_byte(in), v = next_byte(in), t = next_byte(in);
    char value[40], time[48] = "";
    (void)snprintf(value, sizeof value, "%d", (int)v - 100);
    int64_t at_ms = f.now.wall_ms + ((int64_t)(t & 0x3f) - 48) * ((t & 0x40) != 0 ? 4000 : 500);
    if ((t & 0x80) == 0)
        (void)snprintf(time, sizeof time, ",\"t\":%lld.%03d", (long long)(at_ms / 1000), (int)(at_ms % 1000));
    const char *shown = (how & 0x18) == 0x18 ? values[v & 7] : value;
    int used = many ? snprintf(to, bytes, "{\"m\":{\"temp\":%s,\"on\":true,\"m%u\":%s},\"z\":%s,\"c\":\"%u\"%s}", shown,
                               v & 3u, value, zones[how & 7], v & 15u, time)
                    : snprintf(to, bytes, "{\"v\":%s,\"z\":%s,\"c\":\"%u\",\"n\":%u,\"ver\":%u%s%s}", shown, zones[how & 7],
                               v & 15u, how >> 5 == 7 ? 0u : next_byte(in), 1u + (how >> 6), (how & 0x20) != 0 ? ",\"u\":\"C\"" : "",
                               time);
    return (struct text){ to, used > 0 && (size_t)used < bytes ? (uint32_t)used : 0 };
}

static void message(struct input *in, bool raw)
{
    char topic[512], payload[1024];
    uint8_t what = next_byte(in);
    struct message m = { .source = what >> 7, .qos = (what >> 6 & 1) };
    const char *device = devices[what & 7], *metric = metrics[what >> 3 & 7];
    (void)snprintf(topic, sizeof topic, m.source == 0 ? "t/%s/%s" : "m/%s", device, metric);
    m.topic = raw && (what & 1) != 0 ? next_text(in, sizeof topic) : text_of(topic);
    m.payload = raw ? next_text(in, 1200) : build(in, m.source == 1, payload, sizeof payload);
    if (m.source == 1 && (what & 0x20) != 0)
        m.device = text_of(devices[next_byte(in) & 3]);
    begin_turn(what & 3);
    if (gateway_may_take(f.gateway, m.source))
        (void)gateway_on_message(f.gateway, &m);
    gateway_end_turn(f.gateway);
}

static void try_letter(struct input *in)
{
    uint8_t which = next_byte(in);
    struct retried to;
    if (store->letter_count == 0)
        return;
    uint32_t count = store->letter_count < LETTERS_MAX ? (uint32_t)store->letter_count : LETTERS_MAX;
    uint32_t i = (which >> 2) % count;
    const char *at = (const char *)store->letters[i].at;
    struct dead_letter letter = { .id = store->letters[i].id, .reason = store->letters[i].reason };
    struct text *const parts[] = { &letter.source, &letter.topic, &letter.payload, &letter.device, &letter.taken };
    const uint32_t bytes[] = { store->letters[i].source, store->letters[i].topic, store->letters[i].payload,
                               store->letters[i].device, store->letters[i].taken };
    for (int n = 0; n < 5; n++) {
        *parts[n] = (struct text){ at, bytes[n] };
        at += bytes[n];
    }
    struct retry_how how = { .dry = (which & 1) != 0, .poisoned = true, .as_new = (which & 2) != 0 };
    begin_turn(1);
    (void)gateway_retry(f.gateway, &letter, how, &to);
    gateway_end_turn(f.gateway);
}

static void command(struct input *in)
{
    uint8_t which = next_byte(in);
    struct alert_view alert;
    uint64_t cursor = 0;
    char text[128];
    begin_turn(1);
    for (uint32_t n = which >> 3; engine_alert(gateway_view(f.gateway).engine, &cursor, &alert); n--)
        if (n == 0) {
            (void)snprintf(text, sizeof text, (which & 1) != 0 ? "ack %s" : "shelve %s %lld", alert.id,
                           (long long)f.now.wall_ms + 20000);
            (void)gateway_command(f.gateway, text_of(text));
            break;
        }
    struct maintenance_order order = { .device = text_of(devices[which & 3]), .until_ms = f.now.wall_ms + 30000,
                                       .reason = text_of("fuzz") };
    if ((which & 6) == 2)
        (void)gateway_maintain(f.gateway, &order);
    if ((which & 6) == 4)
        (void)gateway_resume(f.gateway, order.device);
    gateway_end_turn(f.gateway);
}

static void cloud(struct input *in)
{
    uint8_t what = next_byte(in);
    begin_turn(1);
    if ((what & 7) < 2) {
        gateway_on_uplink(f.gateway, (what & 7) == 1);
        f.sent_count = 0;
    }
    uint32_t count = f.sent_count;
    f.sent_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if ((what & 0x38) != 0)
            gateway_on_sent(f.gateway, f.sent[i].lane, f.sent[i].sequence);
        else
            gateway_on_send_failed(f.gateway, f.sent[i].lane, f.sent[i].sequence, true);
    if ((what & 7) == 3)
        gateway_on_receipt(f.gateway, (enum lane)(what % LANES), what >> 3);
    if ((what & 7) == 4)
        gateway_on_replay_request(f.gateway, (enum lane)(what % LANES), what >> 5, what >> 3);
    gateway_end_turn(f.gateway);
}

static void reload(void)
{
    char why[256];
    int other = gateway_config(f.gateway) == configs[0];
    begin_turn(1);
    (void)gateway_reload(f.gateway, configs[other], why);
    gateway_end_turn(f.gateway);
    f.config = other;
}

static void operate(struct input *in)
{
    static const int64_t spans_ms[] = { 0, 1, 100, 300, 1000, 3000, 10000, 11000, 60000, 400000, 3600000, 90000000 };
    uint8_t operation = next_byte(in), argument;
    switch (operation % 16) {
    case 0: case 1: case 2: case 3: case 4:
        message(in, false);
        break;
    case 5:
        message(in, true);
        break;
    case 6: case 7:
        turn(spans_ms[next_byte(in) % (sizeof spans_ms / sizeof spans_ms[0])]);
        break;
    case 8: /* the wall clock alone */
        argument = next_byte(in);
        f.now.wall_ms += ((int64_t)argument - 128) * (int64_t)((argument & 1) != 0 ? 60000 : 300);
        f.now.state = (argument & 2) != 0 ? CLOCK_SYNCED : CLOCK_COARSE;
        turn(1);
        break;
    case 9:
        f.failures = next_byte(in) % 4;
        break;
    case 10:
        argument = next_byte(in);
        begin_turn(1);
        gateway_on_source(f.gateway, argument & 1, (argument & 2) != 0);
        gateway_on_drained(f.gateway, argument >> 2 & 1);
        if ((argument & 8) != 0)
            (void)gateway_on_gone(f.gateway, 1, text_of(devices[argument >> 4 & 3]), text_of("will"));
        gateway_on_load(f.gateway, argument, argument);
        gateway_end_turn(f.gateway);
        break;
    case 11:
        reload();
        break;
    case 12:
        kill_gateway();
        break;
    case 13:
        command(in);
        break;
    case 14:
        cloud(in);
        break;
    case 15:
        try_letter(in);
        break;
    }
}

static void stop(void)
{
    f.failures = 0;
    gateway_begin_stop(f.gateway);
    for (int i = 0; i < 2000 && !gateway_idle(f.gateway); i++)
        turn(10);
    assert(gateway_idle(f.gateway));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static _Alignas(16) uint8_t json_bytes[JSON_BYTES];
    (void)argc, (void)argv;
    json_arena_start(json_bytes, sizeof json_bytes);
    for (int i = 0; i < 2; i++) {
        configs[i] = calloc(1, sizeof *configs[i]);
        assert(configs[i] != NULL);
        if (config_read_text("fuzz.yaml", yaml[i], strlen(yaml[i]), configs[i], stderr) != 0)
            abort();
        configs[i]->engine.store = (struct hash_key){ 11, 22 };
        then[i] = calloc(1, sizeof *then[i]);
        assert(then[i] != NULL);
        struct arena whole = arena_measure();
        static const struct json_memory json = { json_arena_reset, json_arena_exhausted };
        (void)gateway_init(configs[i], NULL, &json, &whole);
        make_room(&gateway_room, whole.used);
    }
    struct block_limits limits = gateway_block_limits_max();
    struct arena reading = arena_measure();
    (void)block_reader_init(&limits, &reading);
    make_room(&reader_room, reading.used + limits.bytes_max + ARENA_ALIGN);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct input in = { data, data + bytes };
    memset(&f, 0, sizeof f);
    store = calloc(1, sizeof *store);
    assert(store != NULL);
    for (int lane = 0; lane < LANES; lane++)
        store->lanes[lane].next_sequence = 1;
    f.now = (struct hal_time){ 1000, INT64_C(1790000000000), CLOCK_SYNCED, 1 };
    begin_gateway();
    gateway_on_uplink(f.gateway, true);
    for (int i = 0; i < OPERATIONS_MAX && in.at < in.end; i++)
        operate(&in);
    stop();
    fold_is_the_same();
    store_forget(store);
    return 0;
}
