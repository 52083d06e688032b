/* http_state: what the files of http share. Nobody else includes this. */
#ifndef FIRMWARE_HTTP_STATE_H
#define FIRMWARE_HTTP_STATE_H

#include "firmware/config/tokens.h"
#include "firmware/api/http.h"

enum { HTTP_PEM_BYTES = 16 * 1024 }; /* of a certificate with its chain, of a key */

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;

enum door_kind {
    DOOR_SOCKET, /* the Unix socket */
    DOOR_PLAIN,
    DOOR_TLS,
    DOORS = 2 /* that can be open at once: the socket, and one of the others */
};

struct call { /* one request from its first header to its last byte */
    bool used;
    bool suspended;
    uint32_t refused; /* a status of HTTP: what it wants is not allowed; 0: it is */
    struct api_request request;
    struct MHD_Connection *connection;
    struct MHD_Response *response; /* NULL: no answer yet */
    uint32_t status;
};

struct visitor { /* a connection over TCP */
    struct MHD_Connection *connection; /* NULL: this place is free */
    uint64_t number; /* grows with each */
    bool asked;      /* its request is whole, and its answer is due, or on its way */
    bool answered;   /* it has had one before: kept open for the next, as scrapers do */
    int64_t until_ms; /* that is to be over; INT64_MAX: it was hung up on */
};

struct door {
    struct http *http;
    enum door_kind kind;
    int fd;                    /* listens */
    struct MHD_Daemon *daemon; /* NULL: closed */
    struct loop_watch *watch;
    int64_t rests_until_ms; /* TCP; INT64_MIN: it doesn't rest */
    struct call calls[HTTP_CALLS_MAX];
    struct visitor visitors[HTTP_CALLS_MAX];
    uint64_t visits;
    bool runs_again; /* one has gone: only the next run listens to newcomers, where all was taken */
};

struct secrets { /* what TLS needs, read from its files */
    char cert[HTTP_PEM_BYTES], key[HTTP_PEM_BYTES];
    struct tokens tokens;
};

struct http {
    const struct config *config;
    struct api *api;
    struct loop *loop;
    struct door doors[DOORS];
    struct secrets *secrets; /* [2]: those in use, and room for the next; NULL: there is no TLS */
    uint32_t in_use;
    int64_t now_ms;
    struct http_counts counts;
};

/* http_calls.c: what one request is, and may */
struct call *call_begin(struct door *door, struct MHD_Connection *connection, const char *url,
                        const char *method); /* NULL: there is no room */
/* True: call->response is there, or will never be. */
bool call_answer(struct door *door, struct call *call);
void call_end(struct door *door, struct call *call);

/* http_visitors.c: how long a connection over TCP may take, since a byte now and then would hold it
 * for ever; where all places are taken, whoever has not asked for longest gives way to the next */
void visitor_comes(struct door *door, struct MHD_Connection *connection, void **visitor_of);
void visitor_goes(struct door *door, void **visitor_of);
/* Whose turn it is now: ours to answer, or his to ask. */
void visitor_turn(struct MHD_Connection *connection, bool asked, int64_t now_ms);
void visitors_hurry(struct door *door, int64_t now_ms);
int64_t visitors_next_ms(const struct door *door);
void http_name_peer(struct MHD_Connection *connection, char *to); /* [INET6_ADDRSTRLEN] */

/* http_sockets.c: a socket that listens; WEIR_EBUSY, WEIR_EINVAL, WEIR_EIO with a sentence */
int http_listen_local(const char *path, char *why);
int http_listen_network(const struct config_broker *at, char *why);

#endif
