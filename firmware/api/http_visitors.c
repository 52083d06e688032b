#include <arpa/inet.h>
#include <microhttpd.h>
#include <sys/socket.h>

#include "firmware/api/http_state.h"
#include "firmware/log.h"

/* libmicrohttpd's own timeout is one between two bytes. Shut down, the socket reads as ended, and
 * the library closes it in its next run. */
static void hang_up(struct door *door, struct visitor *visitor, const char *why)
{
    char peer[INET6_ADDRSTRLEN];
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(visitor->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    visitor->until_ms = INT64_MAX;
    if (visitor->asked || !visitor->answered) { /* else it may just have nothing more to ask */
        door->http->counts.slow++;
        http_name_peer(visitor->connection, peer);
        log_event("http_slow", "from=%s why=\"%s\"", peer, why);
    }
    if (info != NULL)
        (void)shutdown(info->connect_fd, SHUT_RDWR); /* gone already: just as good */
}

static struct visitor *find_idle(struct door *door, const struct visitor *but)
{
    struct visitor *oldest = NULL;
    for (int i = 0; i < HTTP_CALLS_MAX; i++) {
        struct visitor *one = &door->visitors[i];
        if (one != but && one->connection != NULL && !one->asked && one->until_ms != INT64_MAX &&
            (oldest == NULL || one->number < oldest->number))
            oldest = one;
    }
    return oldest;
}

void visitor_comes(struct door *door, struct MHD_Connection *connection, void **visitor_of)
{
    struct visitor *own = NULL;
    int left = 0;
    for (int i = 0; i < HTTP_CALLS_MAX; i++)
        if (door->visitors[i].connection == NULL) {
            own = &door->visitors[i];
            left++;
        }
    if (own == NULL) /* not with CONNECTION_LIMIT as it is */
        return;
    *own = (struct visitor){ .connection = connection,
                             .number = ++door->visits,
                             .until_ms = door->http->now_ms + HTTP_ASK_MS };
    *visitor_of = own;
    struct visitor *idle = left == 1 ? find_idle(door, own) : NULL;
    if (idle != NULL)
        hang_up(door, idle, "all connections were in use, and it had not asked for longest");
}

void visitor_goes(struct door *door, void **visitor_of)
{
    struct visitor *visitor = *visitor_of;
    door->runs_again = true;
    if (visitor != NULL)
        *visitor = (struct visitor){ .connection = NULL };
    *visitor_of = NULL;
}

void visitor_turn(struct MHD_Connection *connection, bool asked, int64_t now_ms)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct visitor *visitor = info != NULL ? info->socket_context : NULL;
    if (visitor == NULL || visitor->until_ms == INT64_MAX)
        return;
    visitor->answered = visitor->answered || !asked;
    visitor->asked = asked;
    visitor->until_ms = now_ms + (asked ? HTTP_TAKE_MS : HTTP_ASK_MS);
}

void visitors_hurry(struct door *door, int64_t now_ms)
{
    for (int i = 0; i < HTTP_CALLS_MAX; i++) {
        struct visitor *one = &door->visitors[i];
        if (one->connection != NULL && now_ms >= one->until_ms)
            hang_up(door, one, one->asked ? "it does not take its answer" : "it does not ask");
    }
}

int64_t visitors_next_ms(const struct door *door)
{
    int64_t next_ms = INT64_MAX;
    for (int i = 0; i < HTTP_CALLS_MAX; i++)
        if (door->visitors[i].connection != NULL && door->visitors[i].until_ms < next_ms)
            next_ms = door->visitors[i].until_ms;
    return next_ms;
}
