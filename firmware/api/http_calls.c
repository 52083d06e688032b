#include <arpa/inet.h>
#include <assert.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "firmware/api/http_state.h"
#include "firmware/log.h"

/* --- who asks, and may he --- */

void http_name_peer(struct MHD_Connection *connection, char *to)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *peer = info != NULL ? info->client_addr : NULL;
    (void)snprintf(to, INET6_ADDRSTRLEN, "unknown");
    if (peer != NULL && peer->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)peer)->sin_addr, to,
                        INET6_ADDRSTRLEN); /* it has room */
    if (peer != NULL && peer->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)peer)->sin6_addr, to,
                        INET6_ADDRSTRLEN); /* likewise */
}

static enum token_role role_of(const struct http *http, struct MHD_Connection *connection)
{
    static const char scheme[] = "Bearer ";
    const char *shown =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (shown == NULL || strncasecmp(shown, scheme, sizeof scheme - 1) != 0)
        return TOKEN_NONE;
    const struct token *token = tokens_find(&http->secrets[http->in_use].tokens,
                                            text_of(shown + sizeof scheme - 1));
    return token != NULL ? token->role : TOKEN_NONE;
}

static bool is_open_to_all(const char *url)
{
    return strcmp(url, "/metrics") == 0 || strcmp(url, "/healthz") == 0 ||
           strcmp(url, "/readyz") == 0;
}

/* Whoever stole a token could make himself a device with it, which outlives the token's revocation.
 * And what he tells upstream again passes for the gateway's. So that is for those who may open the
 * socket. */
static bool is_for_the_socket(const char *url)
{
    static const char at[] = "/api/v1/credentials/";
    return strncmp(url, at, sizeof at - 1) == 0 || strcmp(url, API_BACKFILL_PATH) == 0;
}

/* A status of HTTP, or 0: go on. */
static uint32_t refuse(struct door *door, struct MHD_Connection *connection, const char *url,
                       const char *method)
{
    bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
    if (!post && strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
        strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    switch (door->kind) {
    case DOOR_SOCKET:
        return 0;
    case DOOR_PLAIN:
        return is_open_to_all(url) ? 0 : MHD_HTTP_FORBIDDEN;
    case DOOR_TLS:
        break;
    }
    enum token_role role = role_of(door->http, connection);
    if (role == TOKEN_NONE)
        return MHD_HTTP_UNAUTHORIZED;
    return post && (role != TOKEN_ENGINEER || is_for_the_socket(url)) ? MHD_HTTP_FORBIDDEN : 0;
}

static void count_refusal(struct door *door, struct call *call)
{
    char peer[INET6_ADDRSTRLEN];
    if (call->refused == MHD_HTTP_FORBIDDEN)
        door->http->counts.forbidden++;
    if (call->refused != MHD_HTTP_UNAUTHORIZED)
        return;
    door->http->counts.unauthorized++;
    http_name_peer(call->connection, peer);
    log_event("http_unauthorized", "from=%s", peer);
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

struct call *call_begin(struct door *door, struct MHD_Connection *connection, const char *url,
                        const char *method)
{
    for (int i = 0; i < HTTP_CALLS_MAX; i++) {
        struct call *call = &door->calls[i];
        if (call->used)
            continue;
        *call = (struct call){ .used = true, .connection = connection };
        call->request = api_request_begin(++door->http->counts.requests,
                                          strcmp(method, MHD_HTTP_METHOD_POST) == 0,
                                          door->http->now_ms);
        bool fits = strlen(url) < sizeof call->request.path;
        (void)snprintf(call->request.path, sizeof call->request.path, "%s", fits ? url : "/");
        call->refused = refuse(door, connection, call->request.path, method);
        if (call->refused != 0)
            count_refusal(door, call);
        (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_argument, call);
        return call;
    }
    return NULL;
}

static const char *refusal_text(uint32_t status)
{
    if (status == MHD_HTTP_UNAUTHORIZED)
        return "{\"error\":\"show a token: Authorization: Bearer weir_...\"}";
    return status == MHD_HTTP_FORBIDDEN
               ? "{\"error\":\"this is not open to you here\"}"
               : "{\"error\":\"wrong method\"}";
}

bool call_answer(struct door *door, struct call *call)
{
    struct api_response answer = { 0 };
    if (call->refused != 0)
        answer = (struct api_response){ call->refused, "application/json",
                                        text_of(refusal_text(call->refused)), "" };
    else if (!api_answer(door->http->api, &call->request, door->http->now_ms, &answer))
        return false;
    call->status = answer.status;
    call->response = MHD_create_response_from_buffer(answer.body.bytes, (void *)answer.body.at,
                                                     MHD_RESPMEM_MUST_COPY);
    if (call->response == NULL)
        return true; /* out of memory: the handler then closes the connection */
    (void)MHD_add_response_header(call->response, "Content-Type",
                                  answer.type); /* all are short */
    if (answer.next[0] != '\0')
        (void)MHD_add_response_header(call->response, "Weir-Next", answer.next);
    if (call->refused == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(call->response, "WWW-Authenticate", "Bearer realm=\"weir\"");
    return true;
}

void call_end(struct door *door, struct call *call)
{
    if (call->response != NULL)
        MHD_destroy_response(call->response);
    else
        api_forget(door->http->api, call->request.number);
    *call = (struct call){ .used = false };
}
