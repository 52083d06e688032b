#include "firmware/tap/tap_client.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <string.h>

#include "firmware/log.h"
#include "pipeline/err.h"

static int use_credentials(const struct config_source *source, struct mosquitto *client)
{
    const struct config_broker *broker = &source->broker;
    char why[256] = "", password[512];
    if (broker->username[0] != '\0') {
        bool has_password = broker->password_file[0] != '\0';
        if (has_password &&
            config_secret(broker->password_file, password, sizeof password, why) != 0) {
            log_event("source_password", "source=%s why=\"%s\"", source->name, why);
            return WEIR_EINVAL;
        }
        int err =
            mosquitto_username_pw_set(client, broker->username, has_password ? password : NULL);
        explicit_bzero(password, sizeof password);
        if (err != MOSQ_ERR_SUCCESS)
            return WEIR_EIO;
    }
    if (!broker->tls)
        return 0;
    const char *cert = broker->cert_file[0] != '\0' ? broker->cert_file : NULL;
    const char *key = broker->key_file[0] != '\0' ? broker->key_file : NULL;
    /* The library's "tlsv1.2" is a minimum of 1.2 and, in 2.0.11, the maximum too. */
    int err = broker->ca_file[0] != '\0'
                  ? mosquitto_tls_set(client, broker->ca_file, NULL, cert, key, NULL)
                  : mosquitto_int_option(client, MOSQ_OPT_TLS_USE_OS_CERTS, 1);
    err = err ? err : mosquitto_tls_opts_set(client, 1, "tlsv1.2", NULL);
    if (err == MOSQ_ERR_SUCCESS)
        return 0;
    log_event("source_tls", "source=%s ca=%s why=\"%s\"", source->name, broker->ca_file,
              mosquitto_strerror(err));
    return WEIR_EINVAL;
}

int tap_client_make(const struct config_source *source, void *ctx, struct mosquitto **client)
{
    if (mosquitto_lib_init() != MOSQ_ERR_SUCCESS)
        return WEIR_EIO;
    struct mosquitto *made = mosquitto_new(source->broker.client_id, false, ctx);
    if (made == NULL)
        return WEIR_EIO;
    *client = made;
    /* "Threaded" makes the library queue what it wants to send instead of writing it at once: the
     * only way to keep a PUBACK back. */
    int err = mosquitto_threaded_set(made, true);
    err = err ? err : mosquitto_int_option(made, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    err = err ? err
              : mosquitto_int_option(made, MOSQ_OPT_RECEIVE_MAXIMUM, (int)source->receive_maximum);
    err = err ? err : mosquitto_int_option(made, MOSQ_OPT_TCP_NODELAY, 1);
    return err != MOSQ_ERR_SUCCESS ? WEIR_EIO : use_credentials(source, made);
}

static mosquitto_property *connect_properties(uint32_t payload_bytes_max)
{
    mosquitto_property *properties = NULL;
    int err =
        mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, UINT32_MAX);
    err = err ? err
              : mosquitto_property_add_int32(&properties, MQTT_PROP_MAXIMUM_PACKET_SIZE,
                                             payload_bytes_max + TAP_PACKET_SLACK);
    if (err != MOSQ_ERR_SUCCESS) {
        mosquitto_property_free_all(&properties);
        return NULL;
    }
    return properties;
}

int tap_client_connect(struct mosquitto *client, const struct config_source *source,
                       uint32_t payload_bytes_max)
{
    const struct config_broker *broker = &source->broker;
    mosquitto_property *properties = connect_properties(payload_bytes_max);
    if (properties == NULL)
        return MOSQ_ERR_NOMEM;
    int err = mosquitto_connect_bind_v5(client, broker->host, broker->port,
                                        (int)(broker->keepalive_ms / 1000), NULL, properties);
    int kept = errno;
    mosquitto_property_free_all(&properties);
    errno = kept;
    return err;
}
