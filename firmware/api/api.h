/* api: what may be asked of a running gateway, as JSON; it knows no transport: http.c brings
 * the requests, and knows who may.
 *
 *   GET  /metrics                           figures, in the text format of Prometheus
 *   GET  /healthz                           progress, not life: 503 when nothing was committed for
 *                                           half of watchdog.timeout, self-tests included
 *   GET  /readyz                            503 while no readings are taken, and why
 *   GET  /api/v1/status                     health, ledger, lanes, disk, memory, machine
 *   GET  /api/v1/devices?after=&max=        known devices, in order of first appearance
 *   GET  /api/v1/streams                    streams: keys, counts, lateness against completeness
 *   GET  /api/v1/results?stream=&key=&from=&to=&after=&max=
 *                                           kept results of a stream, by start; `from` and `to`
 *                                           bound that, RFC 3339 or Unix milliseconds; a `key` for
 *                                           each of the first fields of the key
 *   GET  /api/v1/latest?stream=&key=&after=&max=
 *                                           of each key the window that ends last; both also
 *                                           without the v1
 *   GET  /api/v1/series?device=&after=&max= series with their running statistics
 *   GET  /api/v1/alerts?after=              alerts that are not quiet
 *   GET  /api/v1/alerts/report              how often people are called
 *   POST /api/v1/alerts/ID/ack | shelve?until_ms= | unshelve
 *   GET  /api/v1/maintenance                devices that are being worked on
 *   POST /api/v1/maintenance?device=&until_ms=&reason=
 *                                           their alerts call nobody until then; device may have a
 *                                           * in it, and is the whole gateway where it is * alone
 *   POST /api/v1/maintenance/end?device=    no longer
 *   GET  /api/v1/tail?after=&max=           the last readings; with `after` it waits up to
 *                                           10 s for a newer one
 *   GET  /api/v1/dlq?after=&max=            dead letters, oldest first; without `after` the newest
 *   GET  /api/v1/dlq/ID                     one, with its payload
 *   POST /api/v1/dlq/ID/retry?dry=&poisoned=&as_new= | drop
 *                                           tried again by the present configuration (dry=1: only
 *                                           what would become of it), or forgotten; it is on disk
 *                                           with the next commit
 *   GET  /api/v1/fields                     names of further fields that the configuration keeps
 *   GET  /api/v1/explain/ID                 why an alert was raised, and unless what not
 *   GET  /api/v1/export?from=BLOCK&skip=N   the journal as JSON Lines, part of one block a
 * request; the header Weir-Next says where to go on: "BLOCK.N". With
 * &device=&metric= only the readings of that series, of up to 64 blocks a request
 *   POST /api/v1/inventory/reload           read the inventory's file again
 *   POST /api/v1/reload                     likewise the configuration's; answered when it is in
 *                                           force, and the journal says so
 *   GET  /api/v1/credentials?after=         devices with a password, or revoked
 *   POST /api/v1/credentials/add | rotate | revoke?device=
 *                                           answered when it is on the disk; the first two with
 *                                           the new password, which is told this once
 *   POST /api/v1/commands?device=&payload_hex=&qos=&wait_ms=
 *                                           sent to the device now, or not at all; at QoS 1 it is
 *                                           answered with the device's PUBACK, or after wait_ms
 *
 *   GET  /api/v1/update                     a board's slots and versions, and how far the update
 *                                           is that was asked for last
 *   POST /api/v1/update/check | install?bundle=
 *   POST /api/v1/update/confirm | rollback  answered with 202 when it began; 409 while another is
 *                                           under way; 501 where no image's updater is. Both also
 *                                           without the v1
 *
 *   POST /api/v1/backfill                   with a body: what was told before, made again from the
 *                                           journal; answered when it is on disk, or with 503: not
 *                                           now
 *
 * What needs the store waits for its worker: api_answer then says false and is asked again in a
 * later turn. One thread, within a turn. */
#ifndef FIRMWARE_API_H
#define FIRMWARE_API_H

#include "firmware/gateway/gateway.h"
#include "firmware/listener/credentials.h"
#include "firmware/listener/listener.h"
#include "firmware/update/source.h"

#define API_BACKFILL_PATH "/api/v1/backfill"

enum { API_PATH_BYTES = 128, API_TAIL_WAIT_MS = 10000, API_COMMAND_WAIT_MS = 10000 };

struct api; /* opaque */

/* NULL while the arena only measures. `config` outlives the api. */
struct api *api_init(const struct config *config, struct arena *arena);

enum { API_RELOAD_TEXT_BYTES = 10 * 1024 }; /* escaped, whatever it is, it fits an answer */

struct api_reload { /* of the configuration */
    bool done;
    const char *outcome; /* "taken", "unchanged", "restart", "refused" */
    struct text text;    /* faults, or what differs; lines; at most API_RELOAD_TEXT_BYTES */
};

struct board; /* firmware/board/board.h */
struct http; /* firmware/api/http.h */
struct loop; /* firmware/loop.h */
struct api_start {
    struct gateway *gateway;
    const struct board *board;
    struct credentials *credentials;
    struct listener *const *listeners; /* [CONFIG_SOURCES_MAX]; NULL: that source is none */
    const struct http *http; /* for its counts */
    struct loop *loop;
    struct store_recovery recovery;
    /* reads the inventory's file again; a sentence in `why` (256 bytes) on error */
    int (*reload_inventory)(void *ctx, char *why);
    /* Reads the configuration's file again. WEIR_EAGAIN: another is under way. */
    int (*reload_begin)(void *ctx);
    const struct api_reload *(*reload_report)(void *ctx); /* of the last */
    void *ctx;
};
void api_start(struct api *api, const struct api_start *start);

struct api_request {
    uint64_t number; /* of this request, never 0 */
    bool post;
    char path[API_PATH_BYTES];
    int64_t began_ms; /* hal_time.mono_ms */
    bool bad_argument, bad_name;
    bool has_after, has_max;
    uint64_t after, max, from, skip;
    struct kept_place place; /* `after` of results */
    struct retry_how how;
    int64_t until_ms;
    char device[READING_NAME_BYTES_MAX + 1], metric[READING_NAME_BYTES_MAX + 1];
    char stream[READING_NAME_BYTES_MAX + 1];
    bool has_from, has_to, bad_time;
    int64_t from_ms, to_ms;
    uint32_t key_count;
    char keys[STREAM_KEY_FIELDS_MAX][STREAM_KEY_BYTES_MAX + 1];
    char reason[MAINTENANCE_REASON_BYTES_MAX + 1];
    bool reason_too_long;
    char bundle[UPDATE_URL_BYTES + 1];
    bool bundle_too_long, forces;
    uint64_t qos;     /* 1 */
    int64_t wait_ms;  /* API_COMMAND_WAIT_MS */
    bool has_payload, payload_too_large;
    uint32_t payload_bytes;
    uint8_t payload[LISTENER_COMMAND_BYTES];
};

/* What a request is before its arguments. */
struct api_request api_request_begin(uint64_t number, bool post, int64_t mono_ms);

/* One argument of the query string; an unknown one, or one that is no number, makes the request
 * bad. */
void api_argument(struct api_request *request, const char *name, const char *value);

/* A piece of the request's body, before it is answered; kept where the path wants one. */
void api_body(struct api *api, const struct api_request *request, const char *at, size_t bytes);

struct api_response {
    uint32_t status;  /* of HTTP */
    const char *type; /* of the content */
    struct text body; /* the api's; until the next call */
    char next[48];    /* header Weir-Next; empty: none */
};

/* True: *response is the answer. False: not yet. */
bool api_answer(struct api *api, const struct api_request *request, int64_t mono_ms,
                struct api_response *response);
/* Once a turn: looks at some of the series, so that no request has to look at all. */
void api_turn(struct api *api, int64_t mono_ms);
/* A change of credentials has ended; `change` as credentials_turn gave it. */
void api_on_change(struct api *api, const struct credentials_change *change);
/* The client of an unanswered request is gone. */
void api_forget(struct api *api, uint64_t number);

#endif
