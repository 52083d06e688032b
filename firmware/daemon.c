#include "firmware/daemon.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "firmware/api/api.h"
#include "firmware/board/board.h"
#include "firmware/board/button.h"
#include "firmware/budget.h"
#include "firmware/sizing/calibration.h"
#include "firmware/cli/cli.h"
#include "firmware/committer.h"
#include "firmware/listener/credentials.h"
#include "firmware/heap_seal.h"
#include "firmware/api/http.h"
#include "firmware/inventory_file.h"
#include "firmware/json_arena.h"
#include "firmware/listener/listener.h"
#include "firmware/sizing/load.h"
#include "firmware/listener/sessions.h"
#include "firmware/log.h"
#include "firmware/loop.h"
#include "firmware/board/notify.h"
#include "firmware/tap/tap.h"
#include "firmware/uplink/uplink_mqtt.h"
#include "hal/linux/hal_linux.h"
#include "pipeline/err.h"

enum {
    DAEMON_REST_MS_MAX = 10,    /* between two looks at a listener whose devices keep sending */
    DAEMON_STOP_MS = 20000,     /* that an orderly stop may take */
    DAEMON_NOTIFY_MS = 5000,    /* between two signs of life to the service manager */
    DAEMON_HEAPS = 2            /* that the C library keeps for all threads */
};

struct daemon {
    struct config config;
    struct hal_linux machine;
    struct hal hal;
    struct board board;
    struct button button;
    struct hal_time now;
    struct loop *loop;
    struct store *store;
    struct store_recovery recovery;
    struct committer committer;
    struct gateway *gateway;
    struct tap *taps[CONFIG_SOURCES_MAX];           /* NULL: the source is a listener */
    struct listener *listeners[CONFIG_SOURCES_MAX]; /* NULL: it is not */
    struct sessions *sessions;                      /* NULL: no source is a listener */
    struct uplink *uplink; /* NULL: none is configured */
    struct inventory_file *inventory;
    struct credentials *credentials;
    struct api *api;
    struct http *http;
    int64_t notified_ms;
    struct load load;
    uint32_t first_source; /* of this turn: each in rotation */
};

static const int64_t BUILT_MS = WEIR_BUILD_TIME * INT64_C(1000);

static struct daemon the_daemon; /* large, and one; the system gives it zero and untouched */

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

static int reload_inventory(void *ctx, char *why)
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
    if (config_check_budget(&d->config, budget.total_bytes, stderr) != 0)
        return CLI_CONFIG;
    config_print_warnings(&d->config, stderr);
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
                                         log_for_gateway };
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
    struct fold_memory memory = { NULL, malloc(limits.bytes_max), limits.bytes_max };
    int error = WEIR_EFULL;
    if (d->recovery.wall_ms < BUILT_MS)
        d->recovery.wall_ms = BUILT_MS;
    if (reader != NULL && memory.block != NULL) {
        struct arena arena = arena_over(reader, measure.used);
        memory.reader = block_reader_init(&limits, &arena);
        d->now = d->hal.time(d->hal.ctx);
        error = gateway_recover(d->gateway, d->store, &d->recovery, d->now, memory, why);
        gateway_on_recovered(d->gateway, d->hal.time(d->hal.ctx).mono_ms - d->now.mono_ms);
    }
    free(reader);
    free(memory.block);
    if (error == 0)
        return 0;
    if (error == WEIR_ECORRUPT)
        store_condemn(d->store); /* or every start would end here */
    (void)fprintf(stderr, "weir: the state can't be rebuilt: %s: %s\n", weir_err_text(error), why);
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
                                           d->http, d->recovery, reload_inventory, d });
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

static int start(struct daemon *d, const char *config_path)
{
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
    status = take_memory(d);
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

/* --- the turn --- */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t wait_ms(const struct daemon *d)
{
    int64_t next_ms = gateway_next_turn_ms(d->gateway);
    for (uint32_t i = 0; i < d->config.source_count; i++)
        next_ms = sooner(next_ms, d->taps[i] != NULL ? tap_next_turn_ms(d->taps[i])
                                                     : listener_next_turn_ms(d->listeners[i]));
    if (d->uplink != NULL)
        next_ms = sooner(next_ms, uplink_next_turn_ms(d->uplink));
    next_ms = sooner(next_ms, http_next_turn_ms(d->http));
    next_ms = sooner(next_ms, d->notified_ms + DAEMON_NOTIFY_MS);
    return next_ms > d->now.mono_ms ? next_ms - d->now.mono_ms : 0;
}

static void tell_manager(struct daemon *d)
{
    if (d->now.mono_ms - d->notified_ms < DAEMON_NOTIFY_MS)
        return;
    d->notified_ms = d->now.mono_ms;
    if (board_moves(&d->board.judgement, d->now.mono_ms))
        notify("WATCHDOG=1");
}

static void take_messages(struct daemon *d)
{
    uint32_t sources = d->config.source_count;
    for (uint32_t n = 0; n < sources; n++) {
        uint32_t i = (d->first_source + n) % sources;
        uint32_t most = gateway_turn_messages(d->gateway, i);
        if (d->taps[i] != NULL)
            tap_turn(d->taps[i], d->now.mono_ms, most);
        else
            listener_turn(d->listeners[i], d->now.mono_ms, most);
    }
    d->first_source = sources > 0 ? (d->first_source + 1) % sources : 0;
}

static void reload(struct daemon *d)
{
    char why[256] = "";
    int error = reload_inventory(d, why);
    log_event("inventory_reload", "ok=%d why=\"%s\"", error == 0, why);
    for (uint32_t i = 0; i < d->config.source_count; i++)
        if (d->listeners[i] != NULL)
            listener_reload(d->listeners[i]);
    why[0] = '\0';
    if (!d->config.http.given)
        return;
    error = http_reload(d->http, why);
    log_event("http_reload", "ok=%d why=\"%s\"", error == 0, why);
}

/* Who is revoked, or has a new password, is no longer connected with what it showed before. */
static void follow_credentials(struct daemon *d)
{
    const struct credentials_change *change = credentials_turn(d->credentials);
    if (change == NULL)
        return;
    bool ends = change->result == 0 && change->verb != CREDENTIALS_ADD;
    for (uint32_t i = 0; i < d->config.source_count && ends; i++)
        if (d->listeners[i] != NULL)
            listener_dismiss(d->listeners[i], text_of(change->name));
    api_on_change(d->api, change);
}

static void take_turn(struct daemon *d)
{
    load_begin_turn(&d->load);
    d->now = d->hal.time(d->hal.ctx);
    log_now(d->now.mono_ms);
    gateway_begin_turn(d->gateway, d->now);
    committer_turn(&d->committer, d->gateway);
    follow_credentials(d);
    take_messages(d);
    if (d->uplink != NULL)
        uplink_turn(d->uplink, d->now.mono_ms);
    inventory_file_turn(d->inventory, d->gateway, d->now.mono_ms);
    if (loop_told_to_reload(d->loop))
        reload(d);
    api_turn(d->api, d->now.mono_ms);
    http_turn(d->http, d->now.mono_ms);
    struct gateway_view view = gateway_view(d->gateway);
    if (board_turn(&d->board, &view, d->now.mono_ms))
        gateway_self_test(d->gateway);
    button_turn(&d->button, d->board.press, d->gateway, d->config.socket_path);
    gateway_end_turn(d->gateway);
    load_end_turn(&d->load, &d->hal, config_memory_max(&d->config), d->now.mono_ms, d->gateway);
    tell_manager(d);
}

static int stop(struct daemon *d)
{
    int64_t began_ms = d->now.mono_ms;
    notify("STOPPING=1");
    log_event("stopping", "pending=%llu", (unsigned long long)gateway_view(d->gateway).pending);
    gateway_begin_stop(d->gateway);
    while (!gateway_failed(d->gateway) && d->now.mono_ms - began_ms < DAEMON_STOP_MS) {
        take_turn(d);
        if (gateway_idle(d->gateway))
            break;
        loop_wait(d->loop, sooner(wait_ms(d), 100));
    }
    bool in_order = gateway_idle(d->gateway);
    for (uint32_t i = 0; i < d->config.source_count; i++)
        if (d->taps[i] != NULL)
            tap_close(d->taps[i]);
        else
            listener_close(d->listeners[i]);
    if (d->uplink != NULL)
        uplink_close(d->uplink);
    http_close(d->http);
    board_stop(&d->board, in_order);
    hal_linux_close(&d->machine);
    if (!in_order)
        return CLI_PROBLEM; /* the worker may still be in the store: the kernel closes it */
    store_close(d->store);
    loop_close(d->loop);
    log_event("stopped", "t_ms=%lld", (long long)gateway_view(d->gateway).t_ms);
    return CLI_OK;
}

int daemon_run(const char *config_path)
{
    struct daemon *d = &the_daemon;
    int status = start(d, config_path);
    if (status != 0)
        return status;
    struct gateway_view view = gateway_view(d->gateway);
    (void)fprintf(stderr, "weir: recovered %llu blocks in %lld ms\n",
                  (unsigned long long)view.recovered_blocks, (long long)view.recovered_in_ms);
    (void)fprintf(stderr, "weir: ready gateway=%s version=%s socket=%s\n", d->config.gateway_name,
                  WEIR_VERSION, d->config.socket_path);
    notify("READY=1");
    while (!loop_told_to_stop(d->loop)) {
        take_turn(d);
        if (gateway_failed(d->gateway)) {
            log_event("giving_up",
                      "what=\"nothing of what waits was acknowledged; it comes again\"");
            board_stop(&d->board, false);
            return CLI_PROBLEM;
        }
        loop_wait(d->loop, wait_ms(d));
    }
    return stop(d);
}
