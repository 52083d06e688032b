/* HTTP beside the gateway's socket: nothing but metrics and health without TLS, and nothing beyond
 * this machine without TLS and tokens. */
#include "firmware/config/config_parts.h"

#include <arpa/inet.h>

static bool is_address(const char *host)
{
    struct in6_addr address;
    return strcmp(host, "localhost") == 0 || inet_pton(AF_INET, host, &address) == 1
           || inet_pton(AF_INET6, host, &address) == 1;
}

static void check_without_tls(struct config_reader *r, const struct config_http *http)
{
    const char *unused[] = { http->at.cert_file, http->at.key_file, http->token_file };
    struct config_fault *f;
    if (!config_loopback(http->at.host)) {
        f = fault_at(r, &http->at, "`http.listen` at `%s` is open to the network", http->at.host);
        fault_why(f, "beyond this machine HTTP has TLS and a token for each role, or nothing");
        fault_fix(f, "http://127.0.0.1:%u; or https:// with `cert`, `key` and `tokens`",
                  http->at.port);
    }
    for (size_t i = 0; i < sizeof unused / sizeof unused[0]; i++) {
        if (unused[i][0] == '\0')
            continue;
        f = fault_at(r, unused[i], "a certificate, key or tokens for HTTP without TLS");
        fault_why(f, "`http.listen` begins with http://, so it would never be used");
        fault_fix(f, "write https:// there, or leave this key out");
    }
}

static void check_with_tls(struct config_reader *r, const struct config_http *http)
{
    const struct {
        const char *name, *value;
    } needed[] = { { "cert", http->at.cert_file },
                   { "key", http->at.key_file },
                   { "tokens", http->token_file } };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (needed[i].value[0] != '\0')
            continue;
        struct config_fault *f =
            fault_at(r, &http->at, "https:// without `http.%s`", needed[i].name);
        fault_why(f, "it has a certificate to show, and a token for each role that may ask");
        fault_fix(f, "name all of `cert`, `key` and `tokens`; `weir token` makes tokens");
    }
}

void config_check_http(struct config_reader *r)
{
    const struct config_http *http = &r->config->http;
    if (!http->given || http->at.host[0] == '\0')
        return;
    if (!is_address(http->at.host)) {
        struct config_fault *f =
            fault_at(r, &http->at, "`http.listen` can't be at `%s`", http->at.host);
        fault_why(f, "names are not looked up for it");
        fault_fix(f, "an address of this machine, such as http://127.0.0.1:9464");
    } else if (http->at.tls) {
        check_with_tls(r, http);
    } else {
        check_without_tls(r, http);
    }
}
