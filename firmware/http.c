#include "firmware/http.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/log.h"
#include "pipeline/err.h"

enum { HTTP_CALLS_MAX = 16, HTTP_IDLE_S = 60, HTTP_MEMORY_BYTES = 16 * 1024 };

struct call { /* one request from its first header to its last byte */
    bool used;
    bool suspended;
    struct api_request request;
    struct MHD_Connection *connection;
    struct MHD_Response *response; /* NULL: no answer yet */
    uint32_t status;
};

struct http {
    struct api *api;
    struct MHD_Daemon *daemon;
    struct loop_watch *watch;
    int64_t now_ms;
    uint64_t requests;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    struct call calls[HTTP_CALLS_MAX];
};

struct http *http_init(struct api *api, struct arena *arena)
{
    struct http *http = arena_take(arena, 1, sizeof *http);
    if (http != NULL)
        *http = (struct http){ .api = api };
    return http;
}

/* --- one request --- */

static enum MHD_Result take_argument(void *ctx, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    struct call *call = ctx;
    (void)kind;
    api_argument(&call->request, name, value != NULL ? value : "");
    return MHD_YES;
}

static struct call *begin_call(struct http *http, struct MHD_Connection *connection,
                               const char *url, const char *method)
{
    for (int i = 0; i < HTTP_CALLS_MAX; i++) {
        struct call *call = &http->calls[i];
        if (call->used)
            continue;
        *call = (struct call){ .used = true, .connection = connection };
        call->request.number = ++http->requests;
        call->request.post = strcmp(method, "POST") == 0;
        call->request.began_ms = http->now_ms;
        bool fits = strlen(url) < sizeof call->request.path;
        (void)snprintf(call->request.path, sizeof call->request.path, "%s", fits ? url : "/");
        (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_argument, call);
        return call;
    }
    return NULL;
}

/* True: call->response is there. */
static bool answer(struct http *http, struct call *call)
{
    struct api_response answer;
    if (!api_answer(http->api, &call->request, http->now_ms, &answer))
        return false;
    call->status = answer.status;
    call->response = MHD_create_response_from_buffer(answer.body.bytes, (void *)answer.body.at,
                                                     MHD_RESPMEM_MUST_COPY);
    if (call->response == NULL)
        return true; /* out of memory: the handler then closes the connection */
    (void)MHD_add_response_header(call->response, "Content-Type",
                                  answer.type); /* both are short */
    if (answer.next[0] != '\0')
        (void)MHD_add_response_header(call->response, "Weir-Next", answer.next);
    return true;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **call_of)
{
    struct http *http = ctx;
    struct call *call = *call_of;
    (void)version, (void)upload;
    if (call == NULL) {
        call = begin_call(http, connection, url, method);
        *call_of = call;
        return call != NULL ? MHD_YES : MHD_NO;
    }
    if (*upload_bytes > 0) {
        *upload_bytes = 0; /* no request has a body that means anything */
        return MHD_YES;
    }
    if (call->response == NULL && !answer(http, call)) {
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
    struct http *http = ctx;
    struct call *call = *call_of;
    (void)connection, (void)code;
    if (call == NULL)
        return;
    if (call->response != NULL)
        MHD_destroy_response(call->response);
    else
        api_forget(http->api, call->request.number);
    *call = (struct call){ .used = false };
    *call_of = NULL;
}

/* --- the socket --- */

static bool somebody_answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0)
        (void)close(fd); /* nothing was written */
    return answers;
}

static int listen_at(const char *path, char *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        (void)snprintf(why, 256, "%.190s: a socket's path has at most %zu bytes", path,
                       sizeof address.sun_path - 1);
        return WEIR_EINVAL;
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (somebody_answers(&address)) {
        (void)snprintf(why, 256, "%s: another gateway answers there", path);
        return WEIR_EBUSY;
    }
    (void)unlink(path); /* a file that is not there is just as good */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask = umask(0117); /* 0660 from the first moment on */
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    (void)umask(mask);
    if (bound && listen(fd, 16) == 0)
        return fd;
    (void)snprintf(why, 256, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* never used */
    return WEIR_EIO;
}

int http_open(struct http *http, struct loop *loop, const char *path, char *why)
{
    int fd = listen_at(path, why);
    if (fd < 0)
        return fd;
    (void)snprintf(http->path, sizeof http->path, "%s", path); /* listen_at checked its length */
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, http,
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTP_CALLS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY_BYTES, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, http, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        http->daemon != NULL ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    http->watch = info != NULL ? loop_watch(loop, info->epoll_fd) : NULL;
    if (http->watch == NULL) {
        (void)snprintf(why, 256, "%s: libmicrohttpd did not start", path);
        return WEIR_EIO;
    }
    loop_want(http->watch, LOOP_READABLE);
    return 0;
}

/* --- the turn --- */

void http_turn(struct http *http, int64_t mono_ms)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    http->now_ms = mono_ms;
    bool resumed = false;
    for (int i = 0; i < HTTP_CALLS_MAX; i++) {
        struct call *call = &http->calls[i];
        if (!call->used || !call->suspended || !answer(http, call))
            continue;
        call->suspended = false;
        MHD_resume_connection(call->connection);
        resumed = true;
    }
    bool due = MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0;
    if (resumed || due || loop_ready(http->watch) != 0)
        (void)MHD_run(http->daemon); /* fails only for a daemon with threads of its own */
}

int64_t http_next_turn_ms(const struct http *http)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    int64_t next_ms = INT64_MAX;
    if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES && timeout_ms < 1000 * 1000)
        next_ms = http->now_ms + (int64_t)timeout_ms;
    for (int i = 0; i < HTTP_CALLS_MAX; i++) {
        const struct call *call = &http->calls[i];
        int64_t patience_ms = call->request.began_ms + API_TAIL_WAIT_MS;
        if (call->used && call->suspended && patience_ms > http->now_ms && patience_ms < next_ms)
            next_ms = patience_ms;
    }
    return next_ms;
}

void http_close(struct http *http)
{
    if (http->daemon == NULL)
        return;
    for (int i = 0; i < HTTP_CALLS_MAX; i++) /* libmicrohttpd must not stop with one suspended */
        if (http->calls[i].used && http->calls[i].suspended)
            MHD_resume_connection(http->calls[i].connection);
    loop_unwatch(http->watch);
    MHD_stop_daemon(http->daemon); /* closes the socket too */
    (void)unlink(http->path);      /* a stale file is replaced at the next start anyway */
    http->daemon = NULL;
}
