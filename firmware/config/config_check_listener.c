/* What a source that listens must and must not say. */
#include "firmware/config/config_parts.h"

#include <arpa/inet.h>

#include "pipeline/mqtt/connection.h"

/* A key that this kind of source does not look at was meant to do something. */
static void check_unused_keys(struct config_reader *r, const struct config_source *source)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const char *field = (const char *)source + key->offset;
        if (key->section != SECTION_SOURCE || config_key_applies(key, source)
            || !config_given(r, field))
            continue;
        struct config_fault *f =
            fault_at(r, field, "a source with `%s` has no `%s`",
                     config_kind_name(SECTION_SOURCE, source->kind), key->name);
        fault_why(f, "it would be without effect");
        fault_fix(f, "leave it out; `weir config explain sources.%s` says what uses it", key->name);
    }
}

void config_check_kind(struct config_reader *r, const struct config_source *source)
{
    struct config_fault *f;
    if (!source->dials && !source->listens) {
        f = fault_on(r, source, sizeof *source, "a source has neither `url` nor `listen`");
        fault_why(f, "nothing says where its readings come from");
        fault_fix(f, "add `url:` with a broker, or `listen:` with an address of this machine");
    } else if (source->dials && source->listens) {
        f = fault_on(r, source, sizeof *source, "the source `%s` has both `url` and `listen`",
                     source->name);
        fault_why(f, "readings come from a broker, or devices publish to us");
        fault_fix(f, "make it two sources");
    }
    check_unused_keys(r, source);
}

static void check_tls(struct config_reader *r, const struct config_source *source)
{
    const struct config_broker *at = &source->broker;
    struct config_fault *f;
    if (at->tls && (at->cert_file[0] == '\0' || at->key_file[0] == '\0')) {
        f = fault_at(r, at, "`listen` at mqtts:// needs `cert` and `key`");
        fault_why(f, "devices are to know that they talk to this gateway");
        fault_fix(f, "a certificate for its name, and its key; docs/operations.md makes one");
    } else if (!at->tls && (at->cert_file[0] != '\0' || at->key_file[0] != '\0')) {
        f = fault_at(r, at->cert_file[0] != '\0' ? at->cert_file : at->key_file,
                     "`listen` at mqtt:// uses no certificate");
        fault_why(f, "it would be without effect");
        fault_fix(f, "leave it out, or listen at mqtts://");
    }
}

/* One {device}, and the rest as it is. */
static bool names_device(const char *template)
{
    static const char *const kinds[] = { "CN=", "DNS:", "URI:" };
    const char *device = strstr(template, "{device}");
    bool known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        known = known || strncmp(template, kinds[i], strlen(kinds[i])) == 0;
    return known && device != NULL && strpbrk(device + strlen("{device}"), "{}") == NULL
           && strcspn(template, "{}") == (size_t)(device - template);
}

static void check_clients(struct config_reader *r, const struct config_source *source)
{
    struct config_fault *f;
    if (source->client_ca_file[0] != '\0' && (source->anonymous || !source->broker.tls)) {
        f = fault_at(r, source->client_ca_file, "`client_ca` asks for certificates, %s",
                     source->anonymous ? "and `anonymous` for nothing"
                                       : "and mqtt:// has none");
        fault_why(f, "it would be without effect");
        fault_fix(f, "leave one of them out");
    }
    if (!names_device(source->client_name)) {
        f = fault_at(r, source->client_name, "`client_name` can't be `%s`", source->client_name);
        fault_why(f, "it is CN=, DNS: or URI:, and a text with {device} in it once");
        fault_fix(f, "such as CN={device}, or DNS:{device}.devices.example.org");
    }
}

static void check_address(struct config_reader *r, const struct config_source *source)
{
    const struct config_broker *at = &source->broker;
    struct in_addr four;
    struct in6_addr six;
    struct config_fault *f;
    if (strcmp(at->host, "localhost") != 0 && inet_pton(AF_INET, at->host, &four) != 1
        && inet_pton(AF_INET6, at->host, &six) != 1) {
        f = fault_at(r, at, "`listen` can't be at `%s`", at->host);
        fault_why(f, "names are not looked up for it");
        fault_fix(f, "an address of this machine, such as mqtt://127.0.0.1:1884");
    } else if (!at->tls && !config_loopback(at->host) && !source->plaintext_network) {
        f = fault_at(r, at, "`listen` at `%s` is open to the network", at->host);
        fault_why(f, "without TLS anybody on the way can read and forge readings and passwords");
        fault_fix(f, "mqtts://; or `plaintext_network: true` where the network itself is safe");
    }
}

void config_check_listener(struct config_reader *r, uint32_t index)
{
    const struct config_source *source = &r->config->sources[index];
    struct config_fault *f;
    check_address(r, source);
    check_tls(r, source);
    check_clients(r, source);
    if (source->receive_maximum > MQTT_RECEIVE_MAXIMUM_MAX) {
        f = fault_at(r, &source->receive_maximum, "`receive_maximum` is too much for a listener");
        fault_why(f, "each connection has room for so many acknowledgements; at most %d",
                  MQTT_RECEIVE_MAXIMUM_MAX);
        fault_fix(f, "such as the default, 1000");
    }
    for (uint32_t i = 0; i < index; i++) {
        const struct config_source *other = &r->config->sources[i];
        if (other->kind != SOURCE_LISTENER || other->broker.port != source->broker.port
            || strcmp(other->broker.host, source->broker.host) != 0)
            continue;
        f = fault_at(r, &source->broker, "`%s` listens there already", other->name);
        fault_why(f, "an address and port belong to one source");
        fault_fix(f, "another port");
    }
}
