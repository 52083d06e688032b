#include "simulator/fleet_link.h"

#include <assert.h>
#include <mosquitto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "simulator/chance.h"

enum {
    CONNECTIONS_MAX = 4096,
    TRIES_A_TURN = 16, /* or those that are connected would wait for all others to begin */
    KEEPALIVE_S = 30,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 1000
};

struct slot {
    struct fleet_message message;
    int mid;      /* of the last sending */
    bool acked;   /* waits only for older ones to be acknowledged */
    bool sent_before;
};

/* Slots are numbered by counters that only grow: [acked, sent) in flight, [sent, put) waiting. */
struct connection {
    struct fleet_link *link;
    struct mosquitto *client;
    struct slot *slots;
    uint64_t acked, sent, put;
    bool connected;
    int64_t next_try_ms;
    int64_t backoff_ms;
};

struct fleet_link {
    struct fleet_link_config config;
    struct fleet_link_counts counts;
    uint32_t slots_each;
    uint64_t chance;
    uint64_t incoming;     /* PUBACKs and the like: how a drained socket is known */
    struct pollfd *polls;
    struct connection *connections;
    struct slot *slots;
};

static struct slot *slot_of(const struct connection *c, uint64_t number)
{
    return &c->slots[number % c->link->slots_each];
}

static void on_connect(struct mosquitto *client, void *ctx, int code)
{
    struct connection *c = ctx;
    (void)client;
    c->link->incoming++;
    c->connected = code == 0;
    if (!c->connected)
        return;
    c->backoff_ms = BACKOFF_MIN_MS;
    c->sent = c->acked; /* whatever has no PUBACK goes out again */
    c->link->counts.connects++;
    c->link->counts.connected++;
}

static void slot_acknowledge(struct connection *c, struct slot *s)
{
    struct fleet_link *link = c->link;
    s->acked = true;
    link->counts.acked++;
    link->counts.pending--;
    link->config.acked(link->config.ctx, &s->message);
    while (c->acked < c->sent && slot_of(c, c->acked)->acked)
        c->acked++;
}

static void on_publish(struct mosquitto *client, void *ctx, int mid)
{
    struct connection *c = ctx;
    (void)client;
    c->link->incoming++;
    for (uint64_t n = c->acked; n < c->sent; n++) { /* PUBACKs come in order: mostly the first */
        struct slot *s = slot_of(c, n);
        if (!s->acked && s->mid == mid) {
            slot_acknowledge(c, s);
            return;
        }
    }
}

static void connection_drop(struct connection *c, int64_t now_ms)
{
    struct fleet_link *link = c->link;
    if (c->connected)
        link->counts.connected--;
    c->connected = false;
    if (c->client != NULL)
        mosquitto_destroy(c->client);
    c->client = NULL;
    c->next_try_ms = now_ms + (int64_t)chance_below(&link->chance, (uint32_t)c->backoff_ms + 1);
    c->backoff_ms = c->backoff_ms * 2 < BACKOFF_MAX_MS ? c->backoff_ms * 2 : BACKOFF_MAX_MS;
}

/* Name, password and TLS, where they are wanted. */
static bool set_up_client(const struct connection *c)
{
    const struct fleet_link_config *config = &c->link->config;
    const struct fleet_login *login =
        config->logins != NULL ? &config->logins[c - c->link->connections] : NULL;
    return (login == NULL ||
            mosquitto_username_pw_set(c->client, login->name, login->password) == 0) &&
           (config->ca_file == NULL ||
            mosquitto_tls_set(c->client, config->ca_file, NULL, NULL, NULL, NULL) == 0);
}

/* A new client each time: its own memory of unacknowledged messages would compete with ours. */
static void connection_try(struct connection *c, int64_t now_ms)
{
    struct fleet_link *link = c->link;
    char id[64];
    (void)snprintf(id, sizeof id, "weir-fleet-%08x-%u", (uint32_t)link->config.seed,
                   (uint32_t)(c - link->connections)); /* fits */
    c->client = mosquitto_new(id, true, c);
    if (c->client == NULL) {
        connection_drop(c, now_ms);
        return;
    }
    mosquitto_connect_callback_set(c->client, on_connect);
    mosquitto_publish_callback_set(c->client, on_publish);
    mosquitto_max_inflight_messages_set(c->client, 0); /* our own window bounds them */
    if (!set_up_client(c) ||
        mosquitto_connect(c->client, link->config.host, link->config.port, KEEPALIVE_S) != 0)
        connection_drop(c, now_ms);
}

static void connection_send(struct connection *c, int64_t now_ms)
{
    struct fleet_link *link = c->link;
    while (c->connected && c->sent < c->put && c->sent - c->acked < link->config.in_flight) {
        struct slot *s = slot_of(c, c->sent);
        c->sent++;
        if (s->acked)
            continue;
        char topic[128];
        (void)snprintf(topic, sizeof topic, "telemetry/%s/%s", s->message.device_name,
                       s->message.metric_name); /* names are bounded: fits */
        link->counts.sent_again += s->sent_before;
        s->sent_before = true;
        if (mosquitto_publish(c->client, &s->mid, topic, (int)s->message.payload_bytes,
                              s->message.payload, 1, false) != 0)
            connection_drop(c, now_ms);
    }
}

/* A call of mosquitto_loop_read takes one packet; go on until one brings nothing. */
static void connection_receive(struct connection *c, short events, int64_t now_ms)
{
    uint64_t before;
    int code = 0;
    do {
        before = c->link->incoming;
        if (events & (POLLIN | POLLERR | POLLHUP))
            code = mosquitto_loop_read(c->client, 1);
    } while (code == 0 && c->link->incoming != before);
    if (code == 0 && mosquitto_want_write(c->client))
        code = mosquitto_loop_write(c->client, 1);
    if (code == 0)
        code = mosquitto_loop_misc(c->client);
    if (code != 0)
        connection_drop(c, now_ms);
}

static struct pollfd poll_of(struct connection *c)
{
    if (c->client == NULL)
        return (struct pollfd){ .fd = -1 };
    short events = mosquitto_want_write(c->client) ? POLLIN | POLLOUT : POLLIN;
    return (struct pollfd){ .fd = mosquitto_socket(c->client), .events = events };
}

void fleet_link_turn(struct fleet_link *link, int64_t now_ms, int wait_ms)
{
    uint32_t count = link->config.connections, tries = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct connection *c = &link->connections[i];
        if (c->client == NULL && now_ms >= c->next_try_ms && tries++ < TRIES_A_TURN)
            connection_try(c, now_ms);
        connection_send(c, now_ms);
        link->polls[i] = poll_of(c);
    }
    (void)poll(link->polls, count, wait_ms); /* a signal only ends the wait */
    for (uint32_t i = 0; i < count; i++)
        if (link->connections[i].client != NULL)
            connection_receive(&link->connections[i], link->polls[i].revents, now_ms);
}

struct fleet_link *fleet_link_open(const struct fleet_link_config *config)
{
    assert(config->connections > 0 && config->connections <= CONNECTIONS_MAX);
    assert(config->pending_max >= config->connections && config->in_flight > 0);
    struct fleet_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return NULL;
    link->config = *config;
    link->chance = config->seed;
    link->slots_each = config->pending_max / config->connections;
    link->connections = calloc(config->connections, sizeof *link->connections);
    link->polls = calloc(config->connections, sizeof *link->polls);
    link->slots = calloc((size_t)config->connections * link->slots_each, sizeof *link->slots);
    if (link->connections == NULL || link->polls == NULL || link->slots == NULL ||
        mosquitto_lib_init() != 0) {
        fprintf(stderr, "weir-sim fleet: no memory for %u pending messages\n",
                config->pending_max);
        fleet_link_close(link);
        return NULL;
    }
    for (uint32_t i = 0; i < config->connections; i++)
        link->connections[i] = (struct connection){
            .link = link,
            .slots = link->slots + (size_t)i * link->slots_each,
            .backoff_ms = BACKOFF_MIN_MS,
        };
    return link;
}

void fleet_link_close(struct fleet_link *link)
{
    for (uint32_t i = 0; link->connections != NULL && i < link->config.connections; i++) {
        struct mosquitto *client = link->connections[i].client;
        if (client == NULL)
            continue;
        (void)mosquitto_disconnect(client); /* we leave either way */
        mosquitto_destroy(client);
    }
    (void)mosquitto_lib_cleanup();
    free(link->connections);
    free(link->polls);
    free(link->slots);
    free(link);
}

static struct connection *connection_of(const struct fleet_link *link, uint32_t device)
{
    return &link->connections[device % link->config.connections];
}

bool fleet_link_room(const struct fleet_link *link, uint32_t device)
{
    const struct connection *c = connection_of(link, device);
    return c->put - c->acked < link->slots_each;
}

void fleet_link_put(struct fleet_link *link, const struct fleet_message *message)
{
    assert(fleet_link_room(link, message->device));
    struct connection *c = connection_of(link, message->device);
    *slot_of(c, c->put) = (struct slot){ .message = *message };
    c->put++;
    link->counts.pending++;
}

struct fleet_link_counts fleet_link_counts(const struct fleet_link *link)
{
    return link->counts;
}

void fleet_link_each_pending(const struct fleet_link *link, void *ctx,
                             void (*show)(void *ctx, const struct fleet_message *message))
{
    for (uint32_t i = 0; i < link->config.connections; i++) {
        const struct connection *c = &link->connections[i];
        for (uint64_t n = c->acked; n < c->put; n++)
            if (!slot_of(c, n)->acked)
                show(ctx, &slot_of(c, n)->message);
    }
}
