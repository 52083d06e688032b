#include "firmware/cli/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/config/config.h"
#include "pipeline/err.h"

/* --- one answer --- */

struct headers {
    bool chunked;
    bool has_length;
    size_t length;
};

static void read_header(char *line, struct headers *headers, struct client_answer *answer)
{
    char *value = strchr(line, ':');
    if (value == NULL)
        return;
    *value++ = '\0';
    value += strspn(value, " \t");
    if (strcasecmp(line, "Content-Length") == 0) {
        headers->has_length = true;
        headers->length = strtoul(value, NULL, 10);
    } else if (strcasecmp(line, "Transfer-Encoding") == 0) {
        headers->chunked = strcasecmp(value, "chunked") == 0;
    } else if (strcasecmp(line, "Weir-Next") == 0) {
        (void)snprintf(answer->next, sizeof answer->next, "%s", value); /* ours; short */
    }
}

/* Move the chunks together. False: cut off or not chunks. */
static bool join_chunks(char *at, size_t bytes, uint32_t *joined)
{
    size_t used = 0, put = 0;
    while (used < bytes) {
        char *line_end = memchr(at + used, '\n', bytes - used);
        if (line_end == NULL)
            return false;
        char *number_end;
        size_t chunk = strtoul(at + used, &number_end, 16);
        if (number_end == at + used)
            return false;
        used = (size_t)(line_end + 1 - at);
        if (chunk == 0) {
            *joined = (uint32_t)put;
            return true;
        }
        if (chunk > bytes - used || bytes - used - chunk < 2)
            return false;
        memmove(at + put, at + used, chunk);
        put += chunk;
        used += chunk + 2;
    }
    return false;
}

int client_parse(char *at, size_t bytes, struct client_answer *answer)
{
    struct headers headers = { 0 };
    *answer = (struct client_answer){ 0 };
    char *body = memmem(at, bytes, "\r\n\r\n", 4);
    unsigned minor;
    if (body == NULL || sscanf(at, "HTTP/1.%u %u", &minor, &answer->status) != 2)
        return WEIR_EINVAL;
    *body = '\0';
    body += 4;
    size_t body_bytes = bytes - (size_t)(body - at);
    char *line = strstr(at, "\r\n");
    while (line != NULL) {
        line += 2;
        char *end = strstr(line, "\r\n");
        if (end != NULL)
            *end = '\0';
        read_header(line, &headers, answer);
        line = end;
    }
    answer->body = (struct text){ body, (uint32_t)body_bytes };
    if (headers.chunked)
        return join_chunks(body, body_bytes, &answer->body.bytes) ? 0 : WEIR_EINVAL;
    if (headers.has_length && headers.length > body_bytes)
        return WEIR_EINVAL;
    if (headers.has_length)
        answer->body.bytes = (uint32_t)headers.length;
    return 0;
}

/* --- one call --- */

static int connect_to(const char *path, char *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        (void)snprintf(why, 256, "%.200s: too long for a socket's path", path);
        return -1;
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)snprintf(why, 256, errno == EACCES ? "%s: %s: be a member of the group that it belongs to"
                                             : "no gateway answers at %s: %s: does it run?",
                   path, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* never used */
    return -1;
}

static bool send_all(int fd, const char *at, size_t bytes)
{
    while (bytes > 0) {
        ssize_t sent = send(fd, at, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

static int exchange(const char *socket_path, const char *method, const char *target,
                    struct text body, struct client_answer *answer, char *why)
{
    static char bytes[CLIENT_ANSWER_BYTES];
    char request[CLIENT_REQUEST_BYTES];
    int length = snprintf(request, sizeof request,
                          "%s %s HTTP/1.1\r\nHost: weir\r\nContent-Length: %u\r\n"
                          "Connection: close\r\n\r\n",
                          method, target, body.bytes);
    if (length < 0 || (size_t)length >= sizeof request) {
        (void)snprintf(why, 256, "the request is too long: %d bytes, where %d have room", length,
                       (int)sizeof request - 1);
        return WEIR_EINVAL;
    }
    int fd = connect_to(socket_path, why);
    if (fd < 0)
        return WEIR_EIO;
    size_t used = 0;
    ssize_t got = 1;
    bool sent = send_all(fd, request, (size_t)length) && send_all(fd, body.at, body.bytes);
    while (sent && used < sizeof bytes - 1) {
        got = read(fd, bytes + used, sizeof bytes - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    (void)close(fd); /* all was read */
    bytes[used] = '\0';
    if (!sent || got != 0 || client_parse(bytes, used, answer) != 0) {
        (void)snprintf(why, 256, "the gateway at %s broke off its answer", socket_path);
        return WEIR_EIO;
    }
    return 0;
}

int client_call(const char *socket_path, const char *method, const char *target,
                struct client_answer *answer, char *why)
{
    return exchange(socket_path, method, target, (struct text){ 0 }, answer, why);
}

int client_send(const char *socket_path, const char *target, struct text body,
                struct client_answer *answer, char *why)
{
    return exchange(socket_path, "POST", target, body, answer, why);
}

static int call(const struct client_options *options, const char *method, const char *target,
                struct client_answer *answer)
{
    char why[256] = "", text[256] = "";
    if (client_call(options->socket_path, method, target, answer, why) != 0) {
        (void)fprintf(stderr, "weir: %s\n", why);
        return CLI_PROBLEM;
    }
    if (answer->status < 300)
        return CLI_OK;
    json_view_text(answer->body, "error", text, sizeof text);
    (void)fprintf(stderr, "weir: %s\n", text[0] != '\0' ? text : "the gateway refused");
    return CLI_PROBLEM;
}

int client_get(const struct client_options *options, const char *target,
               struct client_answer *answer)
{
    return call(options, "GET", target, answer);
}

int client_post(const struct client_options *options, const char *target,
                struct client_answer *answer)
{
    return call(options, "POST", target, answer);
}

int client_find(struct client_options *options, const char *socket, const char *config_path)
{
    static struct config config;
    const char *path = config_path != NULL ? config_path : cli_config_path();
    if (socket != NULL) {
        (void)snprintf(options->socket_path, sizeof options->socket_path, "%s", socket);
        return CLI_OK;
    }
    (void)snprintf(options->socket_path, sizeof options->socket_path, "/run/weir/weir.sock");
    if (config_path == NULL && access(path, R_OK) != 0)
        return CLI_OK;
    if (config_read_socket(path, &config, stderr) != 0)
        return CLI_CONFIG;
    (void)snprintf(options->socket_path, sizeof options->socket_path, "%s", config.socket_path);
    return CLI_OK;
}

void client_escape(char *to, size_t bytes, const char *value)
{
    size_t used = 0;
    for (; *value != '\0' && used + 4 < bytes; value++) {
        unsigned char c = (unsigned char)*value;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-_.~", c) != NULL;
        used += (size_t)snprintf(to + used, bytes - used, plain ? "%c" : "%%%02X", c);
    }
    to[used] = '\0';
}
