/* An example of a device that publishes to Weir: MQTT 5 at QoS 1 by libmosquitto. What it promises and why: devices.md.
 *
 *   cc -o device device.c -lmosquitto
 *   while sleep 1; do sensor; done | DEVICE_PASSWORD=... ./device gateway.example.org 8883 boiler-1 temperature ca.crt
 *
 * A value a line comes from stdin. The last argument, the certificate of whoever signed the gateway's, may be left out
 * on the loopback. It ends when stdin ends and all is acknowledged. */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    UNDER_WAY_MAX = 64, /* messages without a PUBACK: Weir acknowledges after its commit, a second later or so */
    CONTENT_BYTES = 200,
    WAIT_MIN_MS = 1000,
    WAIT_MAX_MS = 60000,
    LOCKED_OUT_MS = 300000 /* wrong name or password: asking faster makes nothing better */
};

struct device {
    struct mosquitto *client;
    const char *name, *metric, *host;
    int port;
    bool connected, clean_end;
    uint64_t sequence; /* of the next message: from 1 at each start, which Weir sees by the time */
    int under_way;
    uint64_t rejected;
    int64_t wait_ms, retry_ms; /* back-off, and when the next attempt is due */
};

static int64_t now_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Full jitter: when a gateway comes back, a thousand devices must not come at once. */
static void wait_longer(struct device *d, int64_t least_ms)
{
    int64_t retry_ms = now_ms(CLOCK_MONOTONIC) + least_ms + (int64_t)(drand48() * (double)d->wait_ms);
    d->retry_ms = retry_ms > d->retry_ms ? retry_ms : d->retry_ms; /* a refusal also ends the connection */
    d->wait_ms = d->wait_ms * 2 < WAIT_MAX_MS ? d->wait_ms * 2 : WAIT_MAX_MS;
}

static void on_connect(struct mosquitto *client, void *ctx, int code, int flags, const mosquitto_property *properties)
{
    struct device *d = ctx;
    (void)client, (void)flags, (void)properties;
    d->connected = code == 0;
    if (d->connected) {
        d->wait_ms = WAIT_MIN_MS;
        return; /* libmosquitto sends again what has no PUBACK */
    }
    fprintf(stderr, "refused: %s (0x%02x)\n", mosquitto_reason_string(code), code);
    bool locked_out = code == MQTT_RC_BAD_USERNAME_OR_PASSWORD || code == MQTT_RC_NOT_AUTHORIZED || code == MQTT_RC_BANNED;
    wait_longer(d, locked_out ? LOCKED_OUT_MS : 0);
}

static void on_disconnect(struct mosquitto *client, void *ctx, int code, const mosquitto_property *properties)
{
    struct device *d = ctx;
    (void)client, (void)properties;
    d->connected = false;
    if (d->clean_end)
        return;
    if (code == MQTT_RC_SESSION_TAKEN_OVER) { /* two devices with one name push each other out for ever */
        fprintf(stderr, "another client has the id %s\n", d->name);
        wait_longer(d, LOCKED_OUT_MS);
        return;
    }
    fprintf(stderr, "connection lost (0x%02x)\n", code);
    wait_longer(d, 0);
}

/* Below 0x80 the reading is on the gateway's disk. From there on it is kept as a dead letter: the same message again
 * would fare no better. */
static void on_acknowledged(struct mosquitto *client, void *ctx, int mid, int code, const mosquitto_property *properties)
{
    struct device *d = ctx;
    (void)client, (void)mid, (void)properties;
    d->under_way--;
    if (code < 0x80)
        return;
    d->rejected++;
    fprintf(stderr, "rejected: %s (0x%02x)\n", mosquitto_reason_string(code), code);
}

static void publish(struct device *d, double value)
{
    char topic[CONTENT_BYTES], payload[CONTENT_BYTES];
    snprintf(topic, sizeof topic, "telemetry/%s/%s", d->name, d->metric);
    snprintf(payload, sizeof payload, "{\"value\":%.17g,\"time\":%lld,\"sequence\":%llu}", value,
             (long long)now_ms(CLOCK_REALTIME), (unsigned long long)d->sequence);
    int error = mosquitto_publish_v5(d->client, NULL, topic, (int)strlen(payload), payload, 1, false, NULL);
    if (error != MOSQ_ERR_SUCCESS && error != MOSQ_ERR_NO_CONN) { /* without a connection it is kept, and sent later */
        fprintf(stderr, "not published: %s\n", mosquitto_strerror(error));
        return;
    }
    d->sequence++;
    d->under_way++;
}

/* False: no more values will come. */
static bool take_value(struct device *d)
{
    char line[CONTENT_BYTES], *end;
    if (fgets(line, sizeof line, stdin) == NULL)
        return false;
    double value = strtod(line, &end);
    if (end != line)
        publish(d, value);
    return true;
}

/* Our own queue is bounded too: with so many messages under way the sensor is not read. */
static bool may_take(const struct device *d)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    return d->under_way < UNDER_WAY_MAX && poll(&input, 1, 0) > 0;
}

static void connect_when_due(struct device *d, bool *ever)
{
    if (now_ms(CLOCK_MONOTONIC) < d->retry_ms) {
        poll(NULL, 0, 50);
        return;
    }
    int error = *ever ? mosquitto_reconnect(d->client)
                      : mosquitto_connect_bind_v5(d->client, d->host, d->port, 60, NULL, NULL);
    *ever = *ever || error == MOSQ_ERR_SUCCESS;
    if (error == MOSQ_ERR_SUCCESS)
        return; /* CONNACK says more */
    fprintf(stderr, "no connection: %s\n", mosquitto_strerror(error));
    wait_longer(d, 0);
}

static void set_up(struct device *d, const char *ca_file)
{
    mosquitto_lib_init();
    d->client = mosquitto_new(d->name, true, d); /* no session: what is under way is kept here */
    if (d->client == NULL)
        exit(1);
    mosquitto_int_option(d->client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_max_inflight_messages_set(d->client, UNDER_WAY_MAX);
    mosquitto_username_pw_set(d->client, d->name, getenv("DEVICE_PASSWORD"));
    if (ca_file != NULL && mosquitto_tls_set(d->client, ca_file, NULL, NULL, NULL, NULL) != MOSQ_ERR_SUCCESS)
        exit(1);
    mosquitto_connect_v5_callback_set(d->client, on_connect);
    mosquitto_disconnect_v5_callback_set(d->client, on_disconnect);
    mosquitto_publish_v5_callback_set(d->client, on_acknowledged);
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: %s HOST PORT DEVICE METRIC [CA_FILE]\n", argv[0]);
        return 2;
    }
    struct device d = { .host = argv[1], .port = atoi(argv[2]), .name = argv[3], .metric = argv[4],
                        .sequence = 1, .wait_ms = WAIT_MIN_MS };
    bool ever = false, more = true;
    srand48(now_ms(CLOCK_REALTIME) ^ getpid());
    setvbuf(stdin, NULL, _IONBF, 0); /* or poll does not know what fgets has read ahead */
    set_up(&d, argc == 6 ? argv[5] : NULL);
    while (more || d.under_way > 0) {
        if (more && may_take(&d))
            more = take_value(&d);
        if (mosquitto_socket(d.client) >= 0)
            mosquitto_loop(d.client, 10, 1); /* an error is told to on_disconnect */
        else
            connect_when_due(&d, &ever);
    }
    d.clean_end = true;
    mosquitto_disconnect_v5(d.client, 0, NULL);
    mosquitto_loop(d.client, 100, 1);
    fprintf(stderr, "published %llu, rejected %llu\n", (unsigned long long)d.sequence - 1,
            (unsigned long long)d.rejected);
    mosquitto_destroy(d.client);
    mosquitto_lib_cleanup();
    return d.rejected > 0 ? 1 : 0;
}
