#include "firmware/uplink/uplink_mqtt.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "firmware/backoff.h"
#include "firmware/log.h"
#include "firmware/uplink/uplink_client.h"
#include "pipeline/codec/codec_json_receipt.h"
#include "pipeline/err.h"

enum {
    UPLINK_GIVE_UP_MS = 40000, /* Paho owes an answer to connect or disconnect: then a new client */
    UPLINK_DRAIN_MS = 10000,   /* that a change of certificates waits for the window */
    UPLINK_FILES_MS = 5000     /* between two looks at the certificates' files */
};

enum uplink_state {
    UPLINK_WAITING, /* for the time of the next attempt */
    UPLINK_CONNECTING,
    UPLINK_CONNECTED,
    UPLINK_DRAINING, /* connected; the window empties before new certificates are used */
    UPLINK_CLOSING   /* disconnect was asked */
};

struct slot { /* one row in flight */
    bool used;
    enum lane lane;
    uint64_t sequence;
};

struct uplink {
    const struct config_uplink *config;
    struct uplink_start start;
    struct uplink_client client;
    struct loop_watch *watch;
    struct backoff backoff;
    enum uplink_state state;
    struct uplink_queue queue;
    struct uplink_event *taken; /* the loop's copy, as many as the queue holds */
    struct slot *slots;         /* [config->in_flight] */
    uint32_t in_flight;
    uint32_t generation; /* of the connection; answers from an earlier one are not ours */
    char topics[LANES][CONFIG_PATH_BYTES_MAX + 1];
    bool rotating; /* we closed it ourselves, for new certificates: come back at once */
    int64_t now_ms, retry_ms, deadline_ms, files_ms;
    uint64_t files; /* what the certificates' files looked like when they were last used */
};

/* "weir/site-1/{lane}" with the lane filled in. */
static void fill_topic(char to[CONFIG_PATH_BYTES_MAX + 1], const char *template, const char *lane)
{
    const char *part = strstr(template, "{lane}");
    int before = part != NULL ? (int)(part - template) : (int)strlen(template);
    (void)snprintf(to, CONFIG_PATH_BYTES_MAX + 1, "%.*s%s%s", before, template,
                   part != NULL ? lane : "", part != NULL ? part + 6 : ""); /* checked to fit */
}

struct uplink *uplink_init(const struct config *config, struct arena *arena)
{
    uint32_t in_flight = config->uplink.in_flight;
    uint32_t capacity = 4 * in_flight + 16; /* answers of two connections, and how they went */
    struct uplink *u = arena_take(arena, 1, sizeof *u);
    struct slot *slots = arena_take(arena, in_flight, sizeof *slots);
    struct uplink_event *taken = arena_take(arena, capacity, sizeof *taken);
    if (u != NULL)
        *u = (struct uplink){ .config = &config->uplink, .slots = slots, .taken = taken };
    uplink_queue_init(u != NULL ? &u->queue : NULL, capacity, arena);
    if (u == NULL)
        return NULL;
    for (uint32_t lane = 0; lane < LANES; lane++)
        fill_topic(u->topics[lane], config->uplink.topic, receipt_lane_name(lane));
    return u;
}

/* --- on the loop --- */

int uplink_open(struct uplink *u, const struct uplink_start *start)
{
    const struct config_broker *broker = &u->config->broker;
    u->start = *start;
    u->backoff = (struct backoff){ broker->backoff_min_ms, broker->backoff_max_ms, start->seed, 0 };
    if (uplink_queue_open(&u->queue) != 0)
        return WEIR_EIO;
    u->watch = loop_watch(start->loop, u->queue.fd);
    if (u->watch == NULL)
        return WEIR_EIO;
    loop_want(u->watch, LOOP_READABLE);
    return uplink_client_open(&u->client, u->config, &u->queue);
}

static void set_state(struct uplink *u, enum uplink_state state)
{
    assert(state != UPLINK_CONNECTED || u->state == UPLINK_CONNECTING);
    assert(state != UPLINK_DRAINING || u->state == UPLINK_CONNECTED);
    u->state = state;
}

static bool may_be_connected(const struct uplink *u)
{
    return u->state == UPLINK_CONNECTED || u->state == UPLINK_DRAINING ||
           u->state == UPLINK_CLOSING;
}

/* The connection has ended or never was. Rows first, then the news that there is no uplink. */
static void end_connection(struct uplink *u, int64_t wait_ms)
{
    bool was_connected = may_be_connected(u);
    u->generation++;
    for (uint32_t i = 0; i < u->config->in_flight; i++)
        if (u->slots[i].used) {
            u->slots[i].used = false;
            u->in_flight--;
            gateway_on_send_failed(u->start.gateway, u->slots[i].lane, u->slots[i].sequence,
                                   false);
        }
    assert(u->in_flight == 0);
    if (was_connected)
        gateway_on_uplink(u->start.gateway, false);
    u->retry_ms = u->now_ms + wait_ms;
    set_state(u, UPLINK_WAITING);
}

/* A number that changes when one of the files does. */
static uint64_t look_at_files(const struct uplink *u)
{
    const struct config_broker *broker = &u->config->broker;
    const char *paths[] = { broker->ca_file, broker->cert_file, broker->key_file };
    uint64_t seen = 1;
    for (int i = 0; i < 3; i++) {
        struct stat status;
        if (paths[i][0] == '\0' || stat(paths[i], &status) != 0)
            continue;
        seen = seen * 1099511628211u + (uint64_t)status.st_mtim.tv_sec;
        seen = seen * 1099511628211u + (uint64_t)status.st_mtim.tv_nsec;
        seen = seen * 1099511628211u + (uint64_t)status.st_ino;
        seen = seen * 1099511628211u + (uint64_t)status.st_size;
    }
    return seen;
}

static void begin_connecting(struct uplink *u)
{
    u->files = look_at_files(u);
    const char *why = uplink_client_connect(&u->client);
    if (why != NULL) {
        int64_t wait_ms = backoff_fail(&u->backoff);
        log_event("uplink_closed", "why=\"%s\" retry_ms=%lld", why, (long long)wait_ms);
        end_connection(u, wait_ms);
        return;
    }
    u->deadline_ms = u->now_ms + UPLINK_GIVE_UP_MS;
    set_state(u, UPLINK_CONNECTING);
}

static void begin_closing(struct uplink *u)
{
    u->deadline_ms = u->now_ms + UPLINK_GIVE_UP_MS;
    set_state(u, UPLINK_CLOSING);
    uplink_client_close(&u->client);
}

/* Told twice, by a failed write and by the reader, it has ended once. Paho is not asked to close
 * what it is closing by itself: such a request may never be answered. */
static void on_ended(struct uplink *u, const char *reason)
{
    if (u->state == UPLINK_WAITING)
        return;
    int64_t wait_ms = u->rotating ? 0 : backoff_fail(&u->backoff);
    u->rotating = false;
    log_event("uplink_closed", "why=\"%s\" retry_ms=%lld", reason, (long long)wait_ms);
    end_connection(u, wait_ms);
}

static void on_unfit(struct uplink *u, const char *reason)
{
    if (u->state != UPLINK_CONNECTED && u->state != UPLINK_DRAINING)
        return;
    log_event("uplink_unfit", "why=\"%s\"", reason);
    begin_closing(u);
}

static void on_answer(struct uplink *u, const struct uplink_event *event)
{
    uint32_t generation = (uint32_t)(event->token >> 12) & 0xFFFFFu;
    uint32_t index = (uint32_t)event->token & 0xFFFu;
    if (generation != (u->generation & 0xFFFFFu) || index >= u->config->in_flight)
        return;
    struct slot *slot = &u->slots[index];
    if (!slot->used)
        return;
    slot->used = false;
    u->in_flight--;
    if (event->kind == UPLINK_EVENT_SENT)
        gateway_on_sent(u->start.gateway, slot->lane, slot->sequence);
    else
        gateway_on_send_failed(u->start.gateway, slot->lane, slot->sequence,
                               event->kind == UPLINK_EVENT_REFUSED);
}

static void on_event(struct uplink *u, const struct uplink_event *event, const char *reason)
{
    switch (event->kind) {
    case UPLINK_EVENT_CONNECTED:
        if (u->state != UPLINK_CONNECTING)
            break;
        set_state(u, UPLINK_CONNECTED);
        backoff_succeed(&u->backoff);
        log_event("uplink_opened", "broker=%s", u->client.uri);
        uplink_client_subscribe(&u->client);
        gateway_on_uplink(u->start.gateway, true);
        break;
    case UPLINK_EVENT_ENDED:
        on_ended(u, reason);
        break;
    case UPLINK_EVENT_UNFIT:
        on_unfit(u, reason);
        break;
    case UPLINK_EVENT_SENT:
    case UPLINK_EVENT_FAILED:
    case UPLINK_EVENT_REFUSED:
        on_answer(u, event);
        break;
    }
}

/* --- receipts --- */

static bool ours(const struct uplink *u, const uint64_t store_id[2])
{
    return store_id[0] == u->start.store_id[0] && store_id[1] == u->start.store_id[1];
}

static void on_receipt(struct uplink *u, struct text payload)
{
    struct receipt receipt;
    if (receipt_parse(u->start.json, payload, &receipt) != 0 || !ours(u, receipt.store_id)) {
        log_event("uplink_receipt_ignored", "bytes=%u", payload.bytes);
        return;
    }
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (receipt.has_lane[lane])
            gateway_on_receipt(u->start.gateway, (enum lane)lane, receipt.covered[lane]);
}

static void on_replay(struct uplink *u, struct text payload)
{
    struct replay_request wish;
    if (replay_parse(u->start.json, payload, &wish) != 0 || !ours(u, wish.store_id)) {
        log_event("uplink_replay_ignored", "bytes=%u", payload.bytes);
        return;
    }
    log_event("uplink_replay", "lane=%s from=%llu to=%llu", receipt_lane_name(wish.lane),
              (unsigned long long)wish.from, (unsigned long long)wish.to);
    gateway_on_replay_request(u->start.gateway, (enum lane)wish.lane, wish.from, wish.to);
}

/* --- the turn --- */

static void take_events(struct uplink *u)
{
    struct uplink_message message;
    struct uplink_taken taken = uplink_queue_take(&u->queue, u->taken);
    for (uint32_t i = 0; i < taken.count; i++)
        on_event(u, &u->taken[i], taken.reason);
    if (taken.overrun)
        on_unfit(u, "more answers than room");
    while (uplink_queue_take_message(&u->queue, &message)) {
        struct text payload = { message.payload, message.bytes };
        if (message.replay)
            on_replay(u, payload);
        else
            on_receipt(u, payload);
    }
}

/* Paho owes an answer and gives none. */
static void replace_client(struct uplink *u)
{
    log_event("uplink_client_replaced", "why=\"no answer from the library\"");
    uplink_client_destroy(&u->client);
    end_connection(u, backoff_fail(&u->backoff));
    if (uplink_client_make(&u->client) != 0)
        u->retry_ms = INT64_MAX;
}

static void watch_files(struct uplink *u)
{
    if (!u->config->broker.tls || u->now_ms < u->files_ms)
        return;
    u->files_ms = u->now_ms + UPLINK_FILES_MS;
    if (u->state != UPLINK_CONNECTED || look_at_files(u) == u->files)
        return;
    log_event("uplink_certificates", "what=\"a file changed; reconnecting with it\"");
    u->deadline_ms = u->now_ms + UPLINK_DRAIN_MS;
    set_state(u, UPLINK_DRAINING);
}

void uplink_turn(struct uplink *u, int64_t mono_ms)
{
    u->now_ms = mono_ms;
    if (loop_ready(u->watch) != 0)
        take_events(u);
    watch_files(u);
    switch (u->state) {
    case UPLINK_WAITING:
        if (mono_ms >= u->retry_ms)
            begin_connecting(u);
        break;
    case UPLINK_CONNECTING:
    case UPLINK_CLOSING:
        if (mono_ms >= u->deadline_ms)
            replace_client(u);
        break;
    case UPLINK_CONNECTED:
        break;
    case UPLINK_DRAINING:
        if (u->in_flight == 0 || mono_ms >= u->deadline_ms) {
            u->rotating = true;
            begin_closing(u);
        }
        break;
    }
}

int64_t uplink_next_turn_ms(const struct uplink *u)
{
    int64_t files_ms = u->config->broker.tls ? u->files_ms : INT64_MAX;
    switch (u->state) {
    case UPLINK_WAITING:
        return u->retry_ms;
    case UPLINK_CONNECTED:
        return files_ms;
    case UPLINK_CONNECTING:
    case UPLINK_CLOSING:
    case UPLINK_DRAINING:
        break;
    }
    return u->deadline_ms < files_ms ? u->deadline_ms : files_ms;
}

static uint32_t free_slot(const struct uplink *u)
{
    uint32_t i = 0;
    while (u->slots[i].used)
        i++;
    assert(i < u->config->in_flight);
    return i;
}

int uplink_send(struct uplink *u, const struct outbox_row *row)
{
    if (u->state != UPLINK_CONNECTED || u->in_flight == u->config->in_flight)
        return WEIR_EAGAIN;
    uint32_t index = free_slot(u);
    uintptr_t token = (uintptr_t)(u->generation & 0xFFFFFu) << 12 | index;
    int err = uplink_client_send(&u->client, u->topics[row->lane], row->payload, token);
    if (err != 0)
        return err;
    u->slots[index] = (struct slot){ true, row->lane, row->sequence };
    u->in_flight++;
    return 0;
}

void uplink_close(struct uplink *u)
{
    if (u->watch == NULL)
        return;
    uplink_client_end(&u->client);
    loop_unwatch(u->watch);
    uplink_queue_close(&u->queue);
}
