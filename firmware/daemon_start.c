/* daemon_start: from the configuration to the first turn: memory, store, state, adapters. */
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "firmware/budget.h"
#include "firmware/cli/cli.h"
#include "firmware/daemon_state.h"
#include "firmware/heap_seal.h"
#include "firmware/json_arena.h"
#include "firmware/log.h"
#include "firmware/sizing/calibration.h"
#include "pipeline/err.h"

enum {
    DAEMON_REST_MS_MAX = 10, /* between two looks at a listener whose devices keep sending */
    DAEMON_HEAPS = 2         /* that the C library keeps for all threads */
};

static const int64_t BUILT_MS = WEIR_BUILD_TIME * INT64_C(1000);

static const struct json_memory json = { json_arena_reset, json_arena_exhausted };

/* --- ports --- */

static void begin_store_job(void *ctx, struct store_job *job)
{
    struct daemon *d = ctx;
    committer_begin(&d->committer, job);
}

static void acknowledge_source(void *ctx, uint32_t source, uint64_t number)
{
    struct daemon *d = ctx;
    if (d->taps[source] != NULL)
        tap_acknowledge(d->taps[source]); /* all that it holds: it took nothing later */
    if (d->listeners[source] != NULL)
        listener_acknowledge(d->listeners[source], number);
}

static int send_row(void *ctx, const struct outbox_row *row)
{
    struct daemon *d = ctx;
    return d->uplink != NULL ? uplink_send(d->uplink, row) : WEIR_EAGAIN;
}

static void log_for_gateway(void *ctx, const char *event, const char *details)
{
    (void)ctx;
    log_event(event, "%s", details);
}

static void on_folding(void *ctx, uint64_t block, uint64_t readings)
{
    struct daemon *d = ctx;
    fold_progress_step(&d->folding, block, readings, d->hal.time(d->hal.ctx).mono_ms);
}

static void pseudonym(void *ctx, struct text value, uint8_t mac[32])
{
    struct daemon *d = ctx;
    pii_key_hmac(&d->pii_key, value, mac);
}

int daemon_reload_inventory(void *ctx, char *why)
{
    struct daemon *d = ctx;
    return inventory_file_load(d->inventory, d->gateway, why);
}

/* --- start --- */

static int read_configuration(struct daemon *d, const char *path)
{
    if (config_read(path, &d->config, stderr) != 0)
        return CLI_CONFIG;
    struct budget budget = budget_of(&d->config);
    budget_print(&budget, stderr);
    const struct config_costs costs = budget_most(&budget, &d->config);
    if (config_check_budget(&d->config, &costs, stderr) != 0)
        return CLI_CONFIG;
    config_print_warnings(&d->config, stderr);
    uint64_t spare = config_memory_max(&d->config) - budget.total_bytes;
    d->spare_bytes = spare < SIZE_MAX ? (size_t)spare : SIZE_MAX;
    return 0;
}

static uint64_t chance(struct daemon *d)
{
    uint64_t value = 0;
    int error = d->hal.entropy(d->hal.ctx, &value, sizeof value);
    assert(error == 0); /* getrandom on a running Linux does not fail */
    return value;
}

/* A twentieth of what a reading waits for its commit anyway. */
static int64_t rest_ms(const struct daemon *d)
{
    int64_t share_ms = d->config.commit_max_age_ms / 20;
    return share_ms < DAEMON_REST_MS_MAX ? share_ms : DAEMON_REST_MS_MAX;
}

static void carve(struct daemon *d, struct arena *arena)
{
    const struct gateway_ports ports = { d, begin_store_job, acknowledge_source, send_row,
                                         log_for_gateway, pseudonym, on_folding };
    void *json_bytes = arena_take(arena, d->config.json_arena_bytes, 1);
    if (json_bytes != NULL)
        json_arena_start(json_bytes, d->config.json_arena_bytes);
    d->gateway = gateway_init(&d->config, &ports, &json, arena);
    d->credentials = credentials_init(&d->config, arena);
    uint32_t payload = d->config.json.payload_bytes;
    if (config_listens(&d->config))
        d->sessions = sessions_init(&d->config, arena);
    for (uint32_t i = 0; i < d->config.source_count; i++) {
        const struct config_source *source = &d->config.sources[i];
        if (source->kind == SOURCE_BROKER)
            d->taps[i] = tap_init(&(struct tap_config){ source, i, payload, d->config.data_dir },
                                  arena);
        else
            d->listeners[i] =
                listener_init(&(struct listener_config){ source, i, payload, rest_ms(d),
                                                         d->sessions, d->credentials },
                              arena);
    }
    if (d->config.uplink.given)
        d->uplink = uplink_init(&d->config, arena);
    d->inventory = inventory_file_init(&d->config, arena);
    d->api = api_init(&d->config, arena);
    d->http = http_init(&d->config, d->api, arena);
}

static int take_memory(struct daemon *d)
{
    struct arena measure = arena_measure();
    carve(d, &measure);
    void *memory = calloc(1, measure.used);
    if (memory == NULL) {
        (void)fprintf(stderr, "weir: no memory for the budget above\n");
        return CLI_PROBLEM;
    }
    struct arena arena = arena_over(memory, measure.used);
    carve(d, &arena);
    return 0;
}

static int take_pii_key(struct daemon *d)
{
    char why[256] = "";
    if (pii_key_read(&d->pii_key, d->config.pii_key_file, why) == 0)
        return 0;
    (void)fprintf(stderr, "weir: %s: %s\n", d->config.pii_key_file, why);
    return CLI_CONFIG;
}

static int open_store(struct daemon *d)
{
    char why[256] = "";
    uint64_t entropy[2] = { chance(d), chance(d) };
    (void)umask(umask(0) | 0027); /* readings are for the owner, and at most his group, to read */
    if (mkdir(d->config.data_dir, 0750) != 0 && errno != EEXIST) {
        (void)fprintf(stderr, "weir: %s: %s\n", d->config.data_dir, strerror(errno));
        return CLI_PROBLEM;
    }
    int error = store_open(&d->config.store, entropy, &d->store, &d->recovery, why);
    if (error != 0) {
        (void)fprintf(stderr, "weir: %s: %s: %s\n", d->config.store.path, weir_err_text(error),
                      why);
        return CLI_PROBLEM;
    }
    d->config.engine.store =
        (struct hash_key){ d->recovery.store_id[0], d->recovery.store_id[1] };
    if (d->recovery.newer)
        log_event("store_newer",
                  "file=%s what=\"a newer Weir took it further; this one goes on with it\"",
                  d->config.store.path);
    if (d->recovery.created && d->recovery.set_aside > 0)
        log_event("store_set_aside", "file=%s what=\"it was damaged; a new one begins\"",
                  d->config.store.path);
    return 0;
}

static int recover(struct daemon *d)
{
    char why[256] = "";
    struct block_limits limits = gateway_block_limits_max();
    struct arena measure = arena_measure();
    (void)block_reader_init(&limits, &measure);
    void *reader = calloc(1, measure.used);
    struct fold_memory memory = { .block = malloc(limits.bytes_max),
                                  .block_bytes = limits.bytes_max,
                                  /* nothing is reloaded yet */
                                  .then = { &d->reload.configs[0], &d->reload.configs[1] },
                                  .heap_bytes_max = d->spare_bytes };
    int error = WEIR_EFULL;
    if (d->recovery.wall_ms < BUILT_MS)
        d->recovery.wall_ms = BUILT_MS;
    if (reader != NULL && memory.block != NULL) {
        struct arena arena = arena_over(reader, measure.used);
        memory.reader = block_reader_init(&limits, &arena);
        d->now = d->hal.time(d->hal.ctx);
        fold_progress_begin(&d->folding, d->recovery.last_block, d->now.mono_ms);
        error = gateway_recover(d->gateway, d->store, &d->recovery, d->now, memory, why);
        gateway_on_recovered(d->gateway, d->hal.time(d->hal.ctx).mono_ms - d->now.mono_ms);
    }
    free(reader);
    free(memory.block);
    if (error == 0)
        return 0;
    if (error == WEIR_ECORRUPT)
        store_condemn(d->store); /* or every start would end here; a newer Weir's stays */
    bool newer = d->recovery.newer;
    (void)fprintf(stderr, "weir: the state can't be rebuilt: %s: %s%s%s\n", weir_err_text(error),
                  why, newer ? "; a newer Weir wrote to it: start that one, or move away " : "",
                  newer ? d->config.store.path : "");
    return CLI_PROBLEM;
}

static int take_sessions(struct daemon *d)
{
    int error = d->sessions != NULL
                    ? sessions_load(d->sessions, d->store, gateway_t_ms(d->gateway))
                    : 0;
    if (error != 0)
        (void)fprintf(stderr, "weir: %s: %s\n", d->config.store.path, store_why(d->store));
    return error == 0 ? 0 : CLI_PROBLEM;
}

static int take_contracts(struct daemon *d)
{
    uint32_t changed;
    int error = config_check_contracts(&d->config, d->store, stderr, &changed);
    if (error < 0)
        (void)fprintf(stderr, "weir: %s: %s\n", d->config.store.path, store_why(d->store));
    if (error != 0)
        return error < 0 ? CLI_PROBLEM : CLI_CONFIG;
    for (uint32_t i = 0; i < d->config.contract_count; i++)
        if ((changed >> i & 1) != 0)
            log_event("contract_accepted", "contract=%s version=%u", d->config.contracts[i].name,
                      d->config.contracts[i].version);
    if (changed != 0)
        gateway_accept_contracts(d->gateway);
    return 0;
}

static int open_source(struct daemon *d, uint32_t i)
{
    char why[256] = "";
    int error = d->taps[i] != NULL
                    ? tap_open(d->taps[i], d->loop, d->gateway, chance(d))
                    : listener_open(d->listeners[i], d->loop, d->gateway, chance(d), why);
    if (error == 0)
        return 0;
    if (d->taps[i] != NULL)
        (void)fprintf(stderr, "weir: source %s can't be set up\n", d->config.sources[i].name);
    else
        (void)fprintf(stderr, "weir: %s\n", why);
    return CLI_PROBLEM;
}

static int open_adapters(struct daemon *d)
{
    char why[256] = "";
    d->loop = loop_open();
    if (d->loop == NULL) {
        (void)fprintf(stderr, "weir: the event loop did not start\n");
        return CLI_PROBLEM;
    }
    committer_init(&d->committer, d->loop, d->store);
    if (credentials_open(d->credentials, d->loop, why) != 0) {
        (void)fprintf(stderr, "weir: %s\n", why);
        return CLI_PROBLEM;
    }
    api_start(d->api, &(struct api_start){ d->gateway, &d->board, d->credentials, d->listeners,
                                           d->http, d->loop, d->recovery,
                                           daemon_reload_inventory, daemon_reload_begin,
                                           daemon_reload_report, d });
    if (http_open(d->http, d->loop, why) != 0) {
        (void)fprintf(stderr, "weir: %s\n", why);
        return CLI_PROBLEM;
    }
    for (uint32_t i = 0; i < d->config.source_count; i++)
        if (open_source(d, i) != 0)
            return CLI_PROBLEM;
    const struct uplink_start start = {
        d->loop, d->gateway, &json, { d->recovery.store_id[0], d->recovery.store_id[1] }, chance(d)
    };
    if (d->uplink != NULL && uplink_open(d->uplink, &start) != 0) {
        (void)fprintf(stderr, "weir: the uplink can't be set up\n");
        return CLI_PROBLEM;
    }
    return 0;
}

/* As many as we may: what is configured was compared with that. */
static void allow_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* not above the hard limit: it is granted */
}

int daemon_start(struct daemon *d, const char *config_path)
{
    d->config_path = config_path;
    int status = read_configuration(d, config_path);
    if (status != 0)
        return status;
    allow_files();
    (void)signal(SIGPIPE, SIG_IGN); /* fails for no valid signal */
    /* Else each thread of a library has a heap of its own, and keeps what it once needed. */
    (void)mallopt(M_ARENA_MAX, DAEMON_HEAPS); /* refused, it costs memory and no more */
    d->hal = hal_linux(&d->machine, &(struct hal_linux_config){ &d->config.board, "",
                                                                d->config.clock_trusted });
    board_init(&d->board, &d->hal, &d->config);
    status = take_pii_key(d);
    status = status != 0 ? status : take_memory(d);
    status = status != 0 ? status : open_store(d);
    status = status != 0 ? status : recover(d);
    status = status != 0 ? status : take_contracts(d);
    status = status != 0 ? status : take_sessions(d);
    if (status == 0)
        gateway_set_capacity(d->gateway, calibration_start(d->config.data_dir));
    status = status != 0 ? status : open_adapters(d);
    if (status == 0)
        heap_seal();
    return status;
}
