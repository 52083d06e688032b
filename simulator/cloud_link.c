#include "simulator/cloud_link.h"

#include <mosquitto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEEPALIVE_S = 30, RETRY_MS = 500 };

struct cloud_link {
    struct cloud_link_config config;
    struct mosquitto *client;
    bool open;          /* a socket exists */
    bool subscribed;
    uint64_t incoming;  /* how a drained socket is known */
    int64_t next_try_ms;
};

static void on_connect(struct mosquitto *client, void *ctx, int code)
{
    static char *const filters[] = { "weir/+/alerts", "weir/+/results", "weir/+/raw" };
    struct cloud_link *link = ctx;
    link->incoming++;
    if (code != 0)
        fprintf(stderr, "weir-sim cloud: refused: %s\n", mosquitto_connack_string(code));
    else if (mosquitto_subscribe_multiple(client, NULL, 3, filters, 1, 0, NULL) != 0)
        fprintf(stderr, "weir-sim cloud: the subscription could not be sent\n");
}

static void on_subscribe(struct mosquitto *client, void *ctx, int mid, int count,
                         const int *granted)
{
    struct cloud_link *link = ctx;
    (void)client;
    (void)mid;
    link->incoming++;
    link->subscribed = count > 0 && granted[0] <= 1;
    fprintf(stderr, "weir-sim cloud: %s\n",
            link->subscribed ? "subscribed" : "not allowed to subscribe");
}

static void on_message(struct mosquitto *client, void *ctx, const struct mosquitto_message *m)
{
    struct cloud_link *link = ctx;
    (void)client;
    link->incoming++;
    link->config.arrived(link->config.ctx, m->topic,
                         (struct text){ m->payload, (uint32_t)m->payloadlen });
}

static void on_publish(struct mosquitto *client, void *ctx, int mid)
{
    struct cloud_link *link = ctx;
    (void)client;
    (void)mid;
    link->incoming++;
}

static bool tls_set(struct cloud_link *link)
{
    const struct cloud_link_config *c = &link->config;
    if (c->ca_file == NULL)
        return true;
    /* NULL: no password. Host names are checked unless one says otherwise. */
    int code = mosquitto_tls_set(link->client, c->ca_file, NULL, c->cert_file, c->key_file, NULL);
    if (code != 0)
        fprintf(stderr, "weir-sim cloud: TLS with %s: %s\n", c->ca_file, mosquitto_strerror(code));
    return code == 0;
}

struct cloud_link *cloud_link_open(const struct cloud_link_config *config)
{
    struct cloud_link *link = calloc(1, sizeof *link);
    if (link == NULL || mosquitto_lib_init() != 0) {
        free(link);
        return NULL;
    }
    link->config = *config;
    link->client = mosquitto_new(config->client_id, false, link);
    if (link->client == NULL || !tls_set(link)) {
        cloud_link_close(link);
        return NULL;
    }
    mosquitto_connect_callback_set(link->client, on_connect);
    mosquitto_subscribe_callback_set(link->client, on_subscribe);
    mosquitto_message_callback_set(link->client, on_message);
    mosquitto_publish_callback_set(link->client, on_publish);
    return link;
}

void cloud_link_close(struct cloud_link *link)
{
    if (link->client != NULL) {
        (void)mosquitto_disconnect(link->client); /* we leave either way */
        mosquitto_destroy(link->client);
    }
    (void)mosquitto_lib_cleanup();
    free(link);
}

static void lost(struct cloud_link *link, int code, int64_t now_ms)
{
    if (link->subscribed)
        fprintf(stderr, "weir-sim cloud: connection lost: %s\n", mosquitto_strerror(code));
    link->open = link->subscribed = false;
    link->next_try_ms = now_ms + RETRY_MS;
}

/* A call of mosquitto_loop_read takes one packet; go on until one brings nothing. */
static void receive(struct cloud_link *link, int64_t now_ms)
{
    uint64_t before;
    int code;
    do {
        before = link->incoming;
        code = mosquitto_loop_read(link->client, 1);
    } while (code == 0 && link->incoming != before);
    if (code == 0 && mosquitto_want_write(link->client))
        code = mosquitto_loop_write(link->client, 1);
    if (code == 0)
        code = mosquitto_loop_misc(link->client);
    if (code != 0)
        lost(link, code, now_ms);
}

void cloud_link_turn(struct cloud_link *link, int64_t now_ms, int wait_ms)
{
    struct pollfd wait = { .fd = -1 };
    if (!link->open && now_ms >= link->next_try_ms) {
        int code =
            mosquitto_connect(link->client, link->config.host, link->config.port, KEEPALIVE_S);
        link->open = code == 0;
        if (code != 0)
            lost(link, code, now_ms);
    }
    if (link->open) {
        wait.fd = mosquitto_socket(link->client);
        wait.events = mosquitto_want_write(link->client) ? POLLIN | POLLOUT : POLLIN;
    }
    (void)poll(&wait, 1, wait_ms); /* a signal only ends the wait */
    if (link->open)
        receive(link, now_ms);
}

bool cloud_link_connected(const struct cloud_link *link)
{
    return link->subscribed;
}

void cloud_link_publish(struct cloud_link *link, const char *topic, struct text payload)
{
    (void)mosquitto_publish(link->client, NULL, topic, (int)payload.bytes, payload.at, 1, false);
}
