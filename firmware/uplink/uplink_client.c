#include "firmware/uplink/uplink_client.h"

#include <MQTTAsync.h>
#include <stdio.h>
#include <string.h>

#include "firmware/log.h"
#include "pipeline/err.h"

enum { UPLINK_CONNECT_S = 20 };

/* --- on Paho's threads: note and wake, nothing else --- */

/* A publish's context is its token, so its callback finds the queue here. */
static struct uplink_queue *the_queue;

static void on_published(void *token, MQTTAsync_successData5 *data)
{
    bool refused = data != NULL && data->reasonCode >= MQTTREASONCODE_UNSPECIFIED_ERROR;
    uplink_queue_note(the_queue, refused ? UPLINK_EVENT_REFUSED : UPLINK_EVENT_SENT,
                      (uintptr_t)token, NULL);
}

static void on_publish_failed(void *token, MQTTAsync_failureData5 *data)
{
    bool refused = data->reasonCode >= MQTTREASONCODE_UNSPECIFIED_ERROR;
    uplink_queue_note(the_queue, refused ? UPLINK_EVENT_REFUSED : UPLINK_EVENT_FAILED,
                      (uintptr_t)token, refused ? MQTTReasonCode_toString(data->reasonCode) : NULL);
}

static void on_connected(void *ctx, MQTTAsync_successData5 *data)
{
    struct uplink_client *c = ctx;
    (void)data;
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
    uplink_queue_note(c->queue, UPLINK_EVENT_CONNECTED, 0, NULL);
}

static void on_connect_failed(void *ctx, MQTTAsync_failureData5 *data)
{
    struct uplink_client *c = ctx;
    bool refused = data->reasonCode >= MQTTREASONCODE_UNSPECIFIED_ERROR;
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
    /* Otherwise the library only says that it failed; TLS may have told us more. */
    uplink_queue_note(c->queue, UPLINK_EVENT_ENDED, 0,
                      refused ? MQTTReasonCode_toString(data->reasonCode) : NULL);
}

static void on_connection_lost(void *ctx, char *cause)
{
    struct uplink_client *c = ctx;
    uplink_queue_note(c->queue, UPLINK_EVENT_ENDED, 0, cause != NULL ? cause : "connection lost");
}

static void on_disconnected(void *ctx, MQTTProperties *properties, enum MQTTReasonCodes code)
{
    struct uplink_client *c = ctx;
    (void)properties;
    uplink_queue_note(c->queue, UPLINK_EVENT_ENDED, 0, MQTTReasonCode_toString(code));
}

static void on_closed(void *ctx, MQTTAsync_successData5 *data)
{
    struct uplink_client *c = ctx;
    (void)data;
    uplink_queue_note(c->queue, UPLINK_EVENT_ENDED, 0, "closed by us");
}

static void on_close_failed(void *ctx, MQTTAsync_failureData5 *data)
{
    (void)data;
    on_closed(ctx, NULL);
}

static void on_subscribed(void *ctx, MQTTAsync_successData5 *data)
{
    struct uplink_client *c = ctx;
    for (int i = 0; i < data->alt.sub.reasonCodeCount; i++)
        if (data->alt.sub.reasonCodes[i] >= MQTTREASONCODE_UNSPECIFIED_ERROR)
            uplink_queue_note(c->queue, UPLINK_EVENT_UNFIT, 0,
                              "the broker refused the subscription to receipts");
}

static void on_subscribe_failed(void *ctx, MQTTAsync_failureData5 *data)
{
    struct uplink_client *c = ctx;
    (void)data;
    uplink_queue_note(c->queue, UPLINK_EVENT_UNFIT, 0, "the subscription to receipts failed");
}

static int on_tls_error(const char *text, size_t bytes, void *ctx)
{
    struct uplink_client *c = ctx;
    uplink_queue_reason(c->queue, text, bytes);
    return 1;
}

/* That the certificate is for another host the library tells nobody but its trace: it asks first
 * for the name, then whether the host is one of the certificate's addresses. */
static void on_trace(enum MQTTASYNC_TRACE_LEVELS level, char *line)
{
    static const char other[] = "the broker's certificate is not for the host in `url`";
    const char *asked = strstr(line, "X509_check_ip_asc is ");
    (void)level;
    if (asked != NULL && strcmp(asked + strlen("X509_check_ip_asc is "), "1") != 0)
        uplink_queue_reason(the_queue, other, sizeof other - 1);
}

static int on_arrived(void *ctx, char *topic, int topic_bytes, MQTTAsync_message *message)
{
    struct uplink_client *c = ctx;
    (void)topic_bytes; /* 0 unless the topic holds a NUL, and then it is none of ours */
    bool replay = strcmp(topic, c->config->replay_topic) == 0;
    uplink_queue_message(c->queue, replay, message->payload, (size_t)message->payloadlen);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

/* --- on the loop --- */

int uplink_client_make(struct uplink_client *c)
{
    MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer5;
    options.sendWhileDisconnected = 0;
    options.restoreMessages = 0;
    options.maxBufferedMessages = (int)c->config->in_flight + 8;
    int err = MQTTAsync_createWithOptions(&c->paho, c->uri, c->config->broker.client_id,
                                          MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
    err = err ? err : MQTTAsync_setCallbacks(c->paho, c, on_connection_lost, on_arrived, NULL);
    err = err ? err : MQTTAsync_setDisconnected(c->paho, c, on_disconnected);
    if (err == MQTTASYNC_SUCCESS)
        return 0;
    log_event("uplink_client", "why=\"%s\"", MQTTAsync_strerror(err));
    return WEIR_EIO;
}

int uplink_client_open(struct uplink_client *c, const struct config_uplink *config,
                       struct uplink_queue *queue)
{
    const struct config_broker *broker = &config->broker;
    char why[256] = "";
    *c = (struct uplink_client){ .config = config, .queue = queue };
    the_queue = queue;
    bool six = strchr(broker->host, ':') != NULL;
    (void)snprintf(c->uri, sizeof c->uri, six ? "%s://[%s]:%u" : "%s://%s:%u",
                   broker->tls ? "ssl" : "tcp", broker->host, broker->port); /* it fits */
    if (broker->password_file[0] != '\0' &&
        config_secret(broker->password_file, c->password, sizeof c->password, why) != 0) {
        log_event("uplink_password", "why=\"%s\"", why);
        return WEIR_EINVAL;
    }
    MQTTAsync_init_options init = MQTTAsync_init_options_initializer;
    init.do_openssl_init = 1;
    MQTTAsync_global_init(&init);
    MQTTAsync_setTraceCallback(on_trace);
    return uplink_client_make(c);
}

const char *uplink_client_connect(struct uplink_client *c)
{
    const struct config_broker *broker = &c->config->broker;
    MQTTProperties properties = MQTTProperties_initializer;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer5;
    tls.trustStore = broker->ca_file[0] != '\0' ? broker->ca_file : NULL;
    tls.keyStore = broker->cert_file[0] != '\0' ? broker->cert_file : NULL;
    tls.privateKey = broker->key_file[0] != '\0' ? broker->key_file : NULL;
    tls.enableServerCertAuth = 1;
    tls.verify = 1; /* the host's name too */
    tls.sslVersion = MQTT_SSL_VERSION_TLS_1_2;
    tls.disableDefaultTrustStore = tls.trustStore != NULL;
    tls.ssl_error_cb = on_tls_error;
    tls.ssl_error_context = c;
    options.keepAliveInterval = (int)(broker->keepalive_ms / 1000);
    options.cleanstart = 1; /* and session expiry 0, which is what no property means */
    options.automaticReconnect = 0;
    options.connectTimeout = UPLINK_CONNECT_S;
    options.maxInflight = (int)c->config->in_flight;
    options.username = broker->username[0] != '\0' ? broker->username : NULL;
    options.password = c->password[0] != '\0' ? c->password : NULL;
    options.ssl = broker->tls ? &tls : NULL;
    options.connectProperties = &properties;
    options.onSuccess5 = on_connected;
    options.onFailure5 = on_connect_failed;
    options.context = c;
    static const char failed[] = "no connection: refused, unreachable, or no common TLS";
    uplink_queue_reason(c->queue, failed, sizeof failed - 1);
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_MINIMUM); /* until it is known how that went */
    int err = MQTTAsync_connect(c->paho, &options);
    return err == MQTTASYNC_SUCCESS ? NULL : MQTTAsync_strerror(err);
}

void uplink_client_subscribe(struct uplink_client *c)
{
    if (!c->config->receipts)
        return;
    char *topics[] = { (char *)c->config->receipt_topic, (char *)c->config->replay_topic };
    int qos[] = { 1, 1 };
    MQTTSubscribe_options each[2] = { MQTTSubscribe_options_initializer,
                                      MQTTSubscribe_options_initializer };
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.onSuccess5 = on_subscribed;
    response.onFailure5 = on_subscribe_failed;
    response.context = c;
    response.subscribeOptionsCount = 2;
    response.subscribeOptionsList = each;
    int err = MQTTAsync_subscribeMany(c->paho, 2, topics, qos, &response);
    if (err != MQTTASYNC_SUCCESS)
        uplink_queue_note(c->queue, UPLINK_EVENT_UNFIT, 0, MQTTAsync_strerror(err));
}

void uplink_client_close(struct uplink_client *c)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer5;
    options.timeout = 1000;
    options.onSuccess5 = on_closed;
    options.onFailure5 = on_close_failed;
    options.context = c;
    if (MQTTAsync_disconnect(c->paho, &options) != MQTTASYNC_SUCCESS)
        uplink_queue_note(c->queue, UPLINK_EVENT_ENDED, 0, "already gone");
}

int uplink_client_send(struct uplink_client *c, const char *topic, struct text payload,
                       uintptr_t token)
{
    MQTTAsync_message message = MQTTAsync_message_initializer;
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    MQTTProperties properties = MQTTProperties_initializer;
    bool json = payload.bytes > 0 && payload.at[0] == '{';
    static const char json_type[] = "application/cloudevents+json",
                      packed_type[] = "application/zlib";
    MQTTProperty type = { .identifier = MQTTPROPERTY_CODE_CONTENT_TYPE };
    type.value.data.data = (char *)(json ? json_type : packed_type); /* Paho copies it */
    type.value.data.len = (int)strlen(type.value.data.data);
    if (MQTTProperties_add(&properties, &type) != 0)
        return WEIR_EAGAIN;
    message.payload = (void *)payload.at; /* and the payload */
    message.payloadlen = (int)payload.bytes;
    message.qos = 1;
    message.properties = properties;
    response.onSuccess5 = on_published;
    response.onFailure5 = on_publish_failed;
    response.context = (void *)token;
    int err = MQTTAsync_sendMessage(c->paho, topic, &message, &response);
    MQTTProperties_free(&properties);
    return err == MQTTASYNC_SUCCESS ? 0 : WEIR_EAGAIN;
}

void uplink_client_destroy(struct uplink_client *c)
{
    MQTTAsync_destroy(&c->paho);
}

void uplink_client_end(struct uplink_client *c)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer5;
    if (c->paho == NULL)
        return;
    options.timeout = 100;
    (void)MQTTAsync_disconnect(c->paho, &options); /* not connected: just as good */
    MQTTAsync_destroy(&c->paho);
}
