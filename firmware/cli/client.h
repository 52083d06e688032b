/* client: one request of the command line to a running gateway: HTTP/1.1 over its Unix socket. */
#ifndef FIRMWARE_CLI_CLIENT_H
#define FIRMWARE_CLI_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/text.h"

enum {
    CLIENT_ANSWER_BYTES = 1024 * 1024,
    CLIENT_REQUEST_BYTES = 4 * 1024, /* without a body: a page of keys at their longest */
};

struct client_answer {
    uint32_t status;  /* of HTTP */
    struct text body; /* the client's; until its next call */
    char next[48];    /* header Weir-Next; empty: none */
};

/* Take an answer apart in place: `bytes` is all that came until the connection closed.
 * WEIR_EINVAL: not an HTTP/1 answer, or cut off. */
int client_parse(char *at, size_t bytes, struct client_answer *answer);

/* WEIR_EIO, or WEIR_EINVAL for a request that is too long, with a sentence in `why` (256 bytes).
 * `method` is "GET" or "POST". */
int client_call(const char *socket_path, const char *method, const char *target,
                struct client_answer *answer, char *why);

/* As client_call, a POST with a body. */
int client_send(const char *socket_path, const char *target, struct text body,
                struct client_answer *answer, char *why);

/* --- what all commands that ask the gateway share --- */

struct client_options {
    char socket_path[256];
    bool json;
};

/* Call; prints what went wrong on stderr. CLI_OK, CLI_PROBLEM. */
int client_get(const struct client_options *options, const char *target,
               struct client_answer *answer);
int client_post(const struct client_options *options, const char *target,
                struct client_answer *answer);

/* Where the gateway listens: `socket`, else what the configuration says (`config`, or the default
 * path when that file is there, faults elsewhere in it or not), else /run/weir/weir.sock. CLI_OK or
 * CLI_CONFIG. */
int client_find(struct client_options *options, const char *socket, const char *config);

/* `to` gets `value` with everything but letters, digits, "-", "_", "." and "~" as %XX; cut. */
void client_escape(char *to, size_t bytes, const char *value);

#endif
