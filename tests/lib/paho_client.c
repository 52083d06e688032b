/* A device on the Paho C client, as its documentation has it: publishes COUNT numbered readings and waits for each
 * to be done. Built twice: with -DSYNC on MQTTClient (-lpaho-mqtt3cs), else on MQTTAsync (-lpaho-mqtt3as).
 *
 *   paho_client URI VERSION QOS COUNT FIRST [USER PASSWORD] [CA [CERT KEY]]     "-" for what is not wanted */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef SYNC
#include <MQTTClient.h>
#define SSL_OPTIONS MQTTClient_SSLOptions
#define SSL_INITIAL MQTTClient_SSLOptions_initializer
#else
#include <MQTTAsync.h>
#define SSL_OPTIONS MQTTAsync_SSLOptions
#define SSL_INITIAL MQTTAsync_SSLOptions_initializer
#endif

enum { WAIT_MS = 30000 };

struct wanted {
    const char *uri, *user, *password, *ca, *cert, *key;
    int version, qos, count, first;
};

static const char *argument(int argc, char **argv, int i)
{
    return i < argc && strcmp(argv[i], "-") != 0 ? argv[i] : NULL;
}

static SSL_OPTIONS tls_of(const struct wanted *w)
{
    SSL_OPTIONS tls = SSL_INITIAL;
    tls.trustStore = w->ca;
    tls.keyStore = w->cert;
    tls.privateKey = w->key;
    tls.enableServerCertAuth = 1;
    tls.verify = 1;
    return tls;
}

static int fill(char *payload, size_t bytes, int number)
{
    return snprintf(payload, bytes, "{\"value\":%d,\"sequence\":%d}", number, number);
}

#ifdef SYNC

static int run(const struct wanted *w)
{
    MQTTClient client;
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
    MQTTClient_connectOptions connect = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions connect5 = MQTTClient_connectOptions_initializer5;
    SSL_OPTIONS tls = tls_of(w);
    create.MQTTVersion = w->version;
    if (w->version == MQTTVERSION_5)
        connect = connect5;
    connect.MQTTVersion = w->version;
    connect.username = w->user;
    connect.password = w->password;
    connect.ssl = w->ca != NULL ? &tls : NULL;
    if (MQTTClient_createWithOptions(&client, w->uri, "paho-sync", MQTTCLIENT_PERSISTENCE_NONE, NULL, &create) != 0)
        return 1;
    int code;
    if (w->version == MQTTVERSION_5) {
        MQTTResponse answer = MQTTClient_connect5(client, &connect, NULL, NULL);
        code = (int)answer.reasonCode;
        MQTTResponse_free(answer);
    } else {
        code = MQTTClient_connect(client, &connect);
    }
    for (int i = 0; i < w->count && code == 0; i++) {
        char payload[64];
        MQTTClient_message message = MQTTClient_message_initializer;
        MQTTClient_deliveryToken token;
        message.payloadlen = fill(payload, sizeof payload, w->first + i);
        message.payload = payload;
        message.qos = w->qos;
        if (w->version == MQTTVERSION_5) {
            MQTTResponse answer = MQTTClient_publishMessage5(client, "t/d1/temp", &message, &token);
            code = (int)answer.reasonCode;
            MQTTResponse_free(answer);
        } else {
            code = MQTTClient_publishMessage(client, "t/d1/temp", &message, &token);
        }
        if (code == 0 && w->qos > 0 && (i % 50 == 49 || i == w->count - 1))
            code = MQTTClient_waitForCompletion(client, token, WAIT_MS);
    }
    if (code != 0)
        fprintf(stderr, "code %d\n", code);
    if (w->version == MQTTVERSION_5)
        (void)MQTTClient_disconnect5(client, WAIT_MS, 0, NULL); /* all is done */
    else
        (void)MQTTClient_disconnect(client, WAIT_MS);
    MQTTClient_destroy(&client);
    return code != 0;
}

#else

static volatile int connected, done, failed;

static void on_connect(void *ctx, MQTTAsync_successData *data)
{
    (void)ctx, (void)data;
    connected = 1;
}

static void on_connect5(void *ctx, MQTTAsync_successData5 *data)
{
    (void)ctx, (void)data;
    connected = 1;
}

static void on_failure(void *ctx, MQTTAsync_failureData *data)
{
    (void)ctx;
    fprintf(stderr, "code %d\n", data != NULL ? data->code : 0);
    failed = 1;
}

static void on_failure5(void *ctx, MQTTAsync_failureData5 *data)
{
    (void)ctx;
    fprintf(stderr, "code %d reason %d\n", data != NULL ? data->code : 0, data != NULL ? (int)data->reasonCode : 0);
    failed = 1;
}

static void on_done(void *ctx, MQTTAsync_successData *data)
{
    (void)ctx, (void)data;
    __sync_fetch_and_add(&done, 1);
}

static void on_done5(void *ctx, MQTTAsync_successData5 *data)
{
    (void)ctx, (void)data;
    __sync_fetch_and_add(&done, 1);
}

static bool wait_for(volatile int *what, int count)
{
    for (int ms = 0; *what < count && !failed && ms < WAIT_MS; ms++)
        (void)usleep(1000);
    return *what >= count && !failed;
}

static int run(const struct wanted *w)
{
    MQTTAsync client;
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
    MQTTAsync_connectOptions connect = MQTTAsync_connectOptions_initializer;
    MQTTAsync_connectOptions connect5 = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_responseOptions respond = MQTTAsync_responseOptions_initializer;
    SSL_OPTIONS tls = tls_of(w);
    create.MQTTVersion = w->version;
    if (w->version == MQTTVERSION_5) {
        connect = connect5;
        connect.onSuccess5 = on_connect5;
        connect.onFailure5 = on_failure5;
        respond.onSuccess5 = on_done5;
        respond.onFailure5 = on_failure5;
    } else {
        connect.MQTTVersion = w->version;
        connect.onSuccess = on_connect;
        connect.onFailure = on_failure;
        respond.onSuccess = on_done;
        respond.onFailure = on_failure;
    }
    connect.username = w->user;
    connect.password = w->password;
    connect.ssl = w->ca != NULL ? &tls : NULL;
    connect.maxInflight = 50;
    if (MQTTAsync_createWithOptions(&client, w->uri, "paho-async", MQTTCLIENT_PERSISTENCE_NONE, NULL, &create) != 0 ||
        MQTTAsync_connect(client, &connect) != 0 || !wait_for(&connected, 1))
        return 1;
    for (int i = 0; i < w->count && !failed; i++) {
        char payload[64];
        int bytes = fill(payload, sizeof payload, w->first + i);
        if (MQTTAsync_send(client, "t/d1/temp", bytes, payload, w->qos, 0, &respond) != 0)
            return 1;
    }
    bool all = wait_for(&done, w->count);
    MQTTAsync_disconnectOptions leave = MQTTAsync_disconnectOptions_initializer;
    (void)MQTTAsync_disconnect(client, &leave); /* all is done */
    MQTTAsync_destroy(&client);
    return !all;
}

#endif

int main(int argc, char **argv)
{
    if (argc < 6)
        return 2;
    const struct wanted w = { .uri = argv[1],
                              .version = atoi(argv[2]),
                              .qos = atoi(argv[3]),
                              .count = atoi(argv[4]),
                              .first = atoi(argv[5]),
                              .user = argument(argc, argv, 6),
                              .password = argument(argc, argv, 7),
                              .ca = argument(argc, argv, 8),
                              .cert = argument(argc, argv, 9),
                              .key = argument(argc, argv, 10) };
    return run(&w);
}
