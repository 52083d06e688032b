/* paho_client: publishes COUNT readings of one device with Paho C, at QoS 0, 1 and 2 in turn, and
 * waits until each is complete. With -DASYNC by its asynchronous interface. For clients_test.py.
 *
 *   paho_client URI VERSION COUNT DEVICE [CA PASSWORD]   VERSION is 4 (3.1.1) or 5 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef ASYNC
#include <MQTTAsync.h>
#else
#include <MQTTClient.h>
#endif

struct job {
    const char *uri, *device, *ca, *password;
    int version, count;
};

static int message_of(const struct job *job, int number, char topic[64], char payload[64])
{
    (void)snprintf(topic, 64, "t/%s/temp", job->device);
    return snprintf(payload, 64, "{\"value\":%d,\"sequence\":%d}", number, number);
}

static void check(int code, const char *what)
{
    if (code >= 0)
        return;
    fprintf(stderr, "%s: %d\n", what, code);
    exit(1);
}

#ifdef ASYNC

static volatile int connected, done, failed; /* by Paho's thread */

static void on_connected(void *ctx, MQTTAsync_successData *data)
{
    (void)ctx;
    (void)data;
    connected = 1;
}

static void on_connected5(void *ctx, MQTTAsync_successData5 *data)
{
    (void)ctx;
    (void)data;
    connected = 1;
}

static void on_sent(void *ctx, MQTTAsync_successData *data)
{
    (void)ctx;
    (void)data;
    done++;
}

static void on_sent5(void *ctx, MQTTAsync_successData5 *data)
{
    (void)ctx;
    (void)data;
    done++;
}

static void on_failure(void *ctx, MQTTAsync_failureData *data)
{
    (void)ctx;
    fprintf(stderr, "failed: %d %s\n", data != NULL ? data->code : 0,
            data != NULL && data->message != NULL ? data->message : "");
    failed++;
}

static void on_failure5(void *ctx, MQTTAsync_failureData5 *data)
{
    (void)ctx;
    fprintf(stderr, "failed: %d, reason 0x%02x\n", data->code, data->reasonCode);
    failed++;
}

static void wait_for(volatile int *what, int count)
{
    for (int i = 0; i < 6000 && *what < count && failed == 0; i++)
        (void)nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    check(*what >= count && failed == 0 ? 0 : -1, "wait");
}

static void publish_all(const struct job *job)
{
    MQTTAsync client;
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
    create.MQTTVersion = job->version;
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    MQTTAsync_connectOptions options5 = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    bool five = job->version == MQTTVERSION_5;
    if (five)
        options = options5;
    tls.trustStore = job->ca;
    options.MQTTVersion = job->version;
    options.maxInflight = 50;
    options.onSuccess = five ? NULL : on_connected;
    options.onSuccess5 = five ? on_connected5 : NULL;
    options.onFailure = five ? NULL : on_failure;
    options.onFailure5 = five ? on_failure5 : NULL;
    if (job->ca != NULL) {
        options.ssl = &tls;
        options.username = job->device;
        options.password = job->password;
    }
    create.maxBufferedMessages = job->count;
    check(MQTTAsync_createWithOptions(&client, job->uri, "paho-async", MQTTCLIENT_PERSISTENCE_NONE, NULL,
                                      &create), "create");
    check(MQTTAsync_connect(client, &options), "connect");
    wait_for(&connected, 1);
    for (int i = 1; i <= job->count; i++) {
        char topic[64], payload[64];
        int bytes = message_of(job, i, topic, payload);
        MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
        response.onSuccess = five ? NULL : on_sent;
        response.onSuccess5 = five ? on_sent5 : NULL;
        response.onFailure = five ? NULL : on_failure;
        response.onFailure5 = five ? on_failure5 : NULL;
        check(MQTTAsync_send(client, topic, bytes, payload, i % 3, 0, &response), "send");
    }
    wait_for(&done, job->count);
    MQTTAsync_disconnectOptions end = MQTTAsync_disconnectOptions_initializer;
    check(MQTTAsync_disconnect(client, &end), "disconnect");
    (void)nanosleep(&(struct timespec){ 0, 200000000 }, NULL);
    MQTTAsync_destroy(&client);
}

#else

static void publish_all(const struct job *job)
{
    MQTTClient client;
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
    create.MQTTVersion = job->version;
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions options5 = MQTTClient_connectOptions_initializer5;
    MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
    bool five = job->version == MQTTVERSION_5;
    if (five)
        options = options5;
    tls.trustStore = job->ca;
    options.MQTTVersion = job->version;
    if (job->ca != NULL) {
        options.ssl = &tls;
        options.username = job->device;
        options.password = job->password;
    }
    check(MQTTClient_createWithOptions(&client, job->uri, "paho-sync", MQTTCLIENT_PERSISTENCE_NONE, NULL,
                                       &create), "create");
    if (five) {
        MQTTResponse said = MQTTClient_connect5(client, &options, NULL, NULL);
        check(said.reasonCode == MQTTREASONCODE_SUCCESS ? 0 : -said.reasonCode, "connect");
        MQTTResponse_free(said);
    } else {
        check(-abs(MQTTClient_connect(client, &options)), "connect");
    }
    for (int i = 1; i <= job->count; i++) {
        char topic[64], payload[64];
        int token, bytes = message_of(job, i, topic, payload);
        if (five) {
            MQTTResponse said = MQTTClient_publish5(client, topic, bytes, payload, i % 3, 0, NULL, &token);
            check(said.reasonCode < MQTTREASONCODE_UNSPECIFIED_ERROR ? 0 : -said.reasonCode, "publish");
            MQTTResponse_free(said);
        } else {
            check(MQTTClient_publish(client, topic, bytes, payload, i % 3, 0, &token), "publish");
        }
        check(i % 30 == 0 ? MQTTClient_waitForCompletion(client, token, 30000) : 0, "complete");
    }
    check(-abs(five ? MQTTClient_disconnect5(client, 30000, MQTTREASONCODE_SUCCESS, NULL)
                    : MQTTClient_disconnect(client, 30000)), "disconnect"); /* waits for all */
    MQTTClient_destroy(&client);
}

#endif

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 7)
        return 2;
    struct job job = { .uri = argv[1],
                       .version = atoi(argv[2]),
                       .count = atoi(argv[3]),
                       .device = argv[4],
                       .ca = argc == 7 ? argv[5] : NULL,
                       .password = argc == 7 ? argv[6] : NULL };
    publish_all(&job);
    return 0;
}
