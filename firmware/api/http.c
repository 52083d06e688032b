#include "firmware/api/http.h"

#include <assert.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "firmware/api/http_state.h"
#include "firmware/log.h"
#include "pipeline/err.h"

enum {
    IDLE_S = 60,
    IDLE_NETWORK_S = 15,
    CONNECTION_BYTES = 16 * 1024,
    SAME_ADDRESS_MAX = HTTP_CALLS_MAX / 2, /* connections over TCP from one address */
    REST_FACTOR = 4                        /* for so many times its work a door to TCP rests */
};

/* As towards devices: ECDHE, and ciphers that authenticate what they encrypt. */
static const char TLS_PRIORITIES[] =
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:"
    "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD";

struct http *http_init(const struct config *config, struct api *api, struct arena *arena)
{
    bool tls = config->http.given && config->http.at.tls;
    struct http *http = arena_take(arena, 1, sizeof *http);
    struct secrets *secrets = tls ? arena_take(arena, 2, sizeof *secrets) : NULL;
    if (http != NULL)
        *http = (struct http){ .config = config, .api = api, .secrets = secrets };
    return http;
}

/* --- called by libmicrohttpd --- */

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **call_of)
{
    struct door *door = ctx;
    struct call *call = *call_of;
    (void)version;
    if (call == NULL) {
        call = call_begin(door, connection, url, method);
        *call_of = call;
        return call != NULL ? MHD_YES : MHD_NO;
    }
    if (*upload_bytes > 0) {
        if (call->refused == 0)
            api_body(door->http->api, &call->request, upload, *upload_bytes);
        *upload_bytes = 0;
        return MHD_YES;
    }
    visitor_turn(connection, true, door->http->now_ms);
    if (call->response == NULL && !call_answer(door, call)) {
        call->suspended = true;
        MHD_suspend_connection(connection);
        return MHD_YES;
    }
    return call->response != NULL ? MHD_queue_response(connection, call->status, call->response)
                                  : MHD_NO;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **call_of,
                         enum MHD_RequestTerminationCode code)
{
    struct door *door = ctx;
    (void)code;
    visitor_turn(connection, false, door->http->now_ms);
    if (*call_of != NULL)
        call_end(door, *call_of);
    *call_of = NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **visitor_of,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        visitor_comes(ctx, connection, visitor_of);
    else
        visitor_goes(ctx, visitor_of);
}

/* --- a door --- */

static struct MHD_Daemon *start_daemon(struct door *door, int fd)
{
    const struct http *http = door->http;
    bool tls = door->kind == DOOR_TLS, network = door->kind != DOOR_SOCKET;
    const struct secrets *secrets = tls ? &http->secrets[http->in_use] : NULL;
    struct MHD_OptionItem options[] = {
        { MHD_OPTION_LISTEN_SOCKET, fd, NULL },
        { MHD_OPTION_CONNECTION_LIMIT, HTTP_CALLS_MAX, NULL },
        { MHD_OPTION_CONNECTION_TIMEOUT, network ? IDLE_NETWORK_S : IDLE_S, NULL },
        { MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL },
        { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, door },
        { MHD_OPTION_PER_IP_CONNECTION_LIMIT, network ? SAME_ADDRESS_MAX : 0, NULL },
        { MHD_OPTION_NOTIFY_CONNECTION, network ? (intptr_t)on_connection : 0, door },
        { tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, tls ? (void *)secrets->cert : NULL },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? (void *)secrets->key : NULL },
        { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES },
        { MHD_OPTION_END, 0, NULL },
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (tls ? MHD_USE_TLS : 0u);
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, door, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_END);
}

/* The daemon gets a descriptor of its own, which it closes at its end or when it can't start. */
static int start_door(struct door *door)
{
    int fd = fcntl(door->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return WEIR_EIO;
    door->daemon = start_daemon(door, fd);
    const union MHD_DaemonInfo *info =
        door->daemon != NULL ? MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    door->watch = info != NULL ? loop_watch(door->http->loop, info->epoll_fd) : NULL;
    door->rests_until_ms = INT64_MIN;
    if (door->watch == NULL) {
        if (door->daemon != NULL)
            MHD_stop_daemon(door->daemon);
        door->daemon = NULL; /* closed */
        return WEIR_EIO;
    }
    loop_want(door->watch, LOOP_READABLE);
    return 0;
}

/* Its listening socket stays open. */
static void stop_door(struct door *door)
{
    for (int i = 0; i < HTTP_CALLS_MAX; i++) /* libmicrohttpd must not stop with one suspended */
        if (door->calls[i].used && door->calls[i].suspended)
            MHD_resume_connection(door->calls[i].connection);
    loop_unwatch(door->watch);
    MHD_stop_daemon(door->daemon);
    door->daemon = NULL;
}

static int64_t now_us(void)
{
    struct timespec now;
    int error = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(error == 0); /* every Linux has this clock */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The loop is not woken by a door that rests; what comes meanwhile waits in the kernel. */
static void run_door(struct door *door, int64_t now_ms)
{
    int64_t began_us = door->kind == DOOR_SOCKET ? 0 : now_us();
    door->runs_again = false;
    (void)MHD_run(door->daemon); /* fails only for a daemon with threads of its own */
    if (door->kind == DOOR_SOCKET)
        return;
    int64_t rest_ms = (now_us() - began_us) * REST_FACTOR / 1000;
    door->rests_until_ms = now_ms + (rest_ms > HTTP_REST_MS ? rest_ms : HTTP_REST_MS);
    loop_want(door->watch, 0);
}

static bool resume_answered(struct door *door)
{
    bool resumed = false;
    for (int i = 0; i < HTTP_CALLS_MAX; i++) {
        struct call *call = &door->calls[i];
        if (!call->used || !call->suspended || !call_answer(door, call))
            continue;
        call->suspended = false;
        MHD_resume_connection(call->connection);
        resumed = true;
    }
    return resumed;
}

static void turn_door(struct door *door, int64_t now_ms)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    if (now_ms < door->rests_until_ms)
        return;
    if (door->rests_until_ms != INT64_MIN) {
        door->rests_until_ms = INT64_MIN;
        loop_want(door->watch, LOOP_READABLE); /* from the next wait on */
    }
    visitors_hurry(door, now_ms);
    bool resumed = resume_answered(door);
    bool due = MHD_get_timeout(door->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0;
    if (resumed || due || door->runs_again || loop_ready(door->watch) != 0)
        run_door(door, now_ms);
}

static int64_t next_turn_of(const struct door *door, int64_t now_ms)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    int64_t next_ms = visitors_next_ms(door);
    if (door->rests_until_ms != INT64_MIN)
        return door->rests_until_ms;
    if (door->runs_again)
        return now_ms;
    if (MHD_get_timeout(door->daemon, &timeout_ms) == MHD_YES && timeout_ms < 1000 * 1000 &&
        now_ms + (int64_t)timeout_ms < next_ms)
        next_ms = now_ms + (int64_t)timeout_ms;
    for (int i = 0; i < HTTP_CALLS_MAX; i++) {
        const struct call *call = &door->calls[i];
        int64_t patience_ms = call->request.began_ms + API_TAIL_WAIT_MS;
        if (call->used && call->suspended && patience_ms > now_ms && patience_ms < next_ms)
            next_ms = patience_ms;
    }
    return next_ms;
}

/* --- start --- */

static int open_local(struct http *http, char *why)
{
    const char *path = http->config->socket_path;
    int fd = http_listen_local(path, why);
    if (fd < 0)
        return fd;
    http->doors[0] = (struct door){ .http = http, .kind = DOOR_SOCKET, .fd = fd };
    if (start_door(&http->doors[0]) == 0)
        return 0;
    (void)snprintf(why, 256, "%.200s: libmicrohttpd did not start", path);
    return WEIR_EIO;
}

static int read_secrets(const struct config_http *config, struct secrets *to, char *why)
{
    int err = config_file(config->at.cert_file, to->cert, sizeof to->cert, why);
    err = err != 0 ? err : config_secret(config->at.key_file, to->key, sizeof to->key, why);
    return err != 0 ? err : tokens_read(config->token_file, &to->tokens, why);
}

static int no_start(char *why)
{
    (void)snprintf(why, 256,
                   "http.listen: libmicrohttpd did not start; does http.key belong to http.cert?");
    return WEIR_EINVAL;
}

static int open_network(struct http *http, char *why)
{
    const struct config_http *config = &http->config->http;
    char reason[256];
    int fd = http_listen_network(&config->at, why);
    if (fd < 0)
        return fd;
    enum door_kind kind = config->at.tls ? DOOR_TLS : DOOR_PLAIN;
    http->doors[1] = (struct door){ .http = http, .kind = kind, .fd = fd };
    if (config->at.tls && read_secrets(config, &http->secrets[0], reason) != 0) {
        (void)snprintf(why, 256, "http: %.240s", reason);
        return WEIR_EINVAL;
    }
    if (start_door(&http->doors[1]) != 0)
        return no_start(why);
    log_event("http_listening", "at=%s:%u tls=%d", config->at.host, config->at.port,
              config->at.tls);
    return 0;
}

int http_open(struct http *http, struct loop *loop, char *why)
{
    http->loop = loop;
    int err = open_local(http, why);
    return err == 0 && http->config->http.given ? open_network(http, why) : err;
}

int http_reload(struct http *http, char *why)
{
    struct door *door = &http->doors[1];
    if (door->kind != DOOR_TLS)
        return 0;
    uint32_t before = http->in_use;
    if (read_secrets(&http->config->http, &http->secrets[1 - before], why) != 0)
        return WEIR_EINVAL;
    if (door->daemon != NULL)
        stop_door(door);
    http->in_use = 1 - before;
    if (start_door(door) == 0)
        return 0;
    http->in_use = before;
    /* With these it ran a moment ago; where it doesn't, the machine has no descriptor or memory
     * left. The door stays closed, and the next reload tries again. */
    (void)start_door(door);
    return no_start(why);
}

/* --- the turn --- */

void http_turn(struct http *http, int64_t mono_ms)
{
    http->now_ms = mono_ms;
    for (int i = 0; i < DOORS; i++)
        if (http->doors[i].daemon != NULL)
            turn_door(&http->doors[i], mono_ms);
}

int64_t http_next_turn_ms(const struct http *http)
{
    int64_t next_ms = INT64_MAX;
    for (int i = 0; i < DOORS; i++) {
        if (http->doors[i].daemon == NULL)
            continue;
        int64_t door_ms = next_turn_of(&http->doors[i], http->now_ms);
        next_ms = door_ms < next_ms ? door_ms : next_ms;
    }
    return next_ms;
}

void http_close(struct http *http)
{
    for (int i = 0; i < DOORS; i++) {
        if (http->doors[i].daemon == NULL)
            continue;
        stop_door(&http->doors[i]);
        (void)close(http->doors[i].fd); /* nothing more is wanted of it */
    }
    (void)unlink(http->config->socket_path); /* one that stays is replaced at the next start */
}

struct http_counts http_counts(const struct http *http)
{
    return http->counts;
}
