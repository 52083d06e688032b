/* Values that are texts: names, patterns, pointers, topics and their templates, paths, URLs. */
#include "firmware/config/config_parts.h"

#include "pipeline/err.h"

static uint32_t count_of(struct text value, char c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < value.bytes; i++)
        count += value.at[i] == c;
    return count;
}

static bool name_ok(struct text value)
{
    for (uint32_t i = 0; i < value.bytes; i++) {
        char c = value.at[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
                  || c == '.' || c == '-' || c == '_';
        if (!ok)
            return false;
    }
    return true;
}

static bool printable(struct text value)
{
    for (uint32_t i = 0; i < value.bytes; i++)
        if ((uint8_t)value.at[i] < 0x20 || value.at[i] == 0x7f)
            return false;
    return true;
}

/* RFC 6901: empty or from a /; ~ only as ~0 or ~1. */
static bool pointer_ok(struct text value)
{
    for (uint32_t i = 0; i < value.bytes; i++)
        if (value.at[i] == '~'
            && (i + 1 == value.bytes || (value.at[i + 1] != '0' && value.at[i + 1] != '1')))
            return false;
    return value.bytes == 0 || value.at[0] == '/';
}

static bool text_ok(const struct config_key *key, struct text value)
{
    bool may_be_empty = key->fallback != NULL && *key->fallback == '\0';
    switch (key->type) {
    case KEY_NAME:
        return name_ok(value) && (value.bytes > 0 || may_be_empty);
    case KEY_TEXT:
    case KEY_PATH:
        return printable(value) && (value.bytes > 0 || may_be_empty);
    case KEY_PATTERN:
        return value.bytes > 0 && count_of(value, '*') <= 1 && printable(value);
    case KEY_POINTER:
        return pointer_ok(value) && printable(value);
    case KEY_TOPIC:
        return count_of(value, '+') == 0 && count_of(value, '#') == 0 && printable(value);
    default:
        return printable(value);
    }
}

static int parse_plain(const struct config_key *key, struct text value, void *field,
                      struct config_fault *f)
{
    char path[CONFIG_KEY_PATH_BYTES];
    char hint[64] = "";
    if (value.bytes >= key->bytes) {
        (void)snprintf(f->message, sizeof f->message, "`%s` is too long: %u bytes",
                       config_key_path(key, path), value.bytes);
        fault_why(f, "it may have at most %zu bytes", key->bytes - 1);
        fault_fix(f, "shorten it by %zu", value.bytes - (key->bytes - 1));
        return WEIR_EINVAL;
    }
    if (!text_ok(key, value)) {
        if (key->type == KEY_POINTER && value.bytes > 0 && value.bytes < 60 && value.at[0] != '/')
            (void)snprintf(hint, sizeof hint, "/%.*s", (int)value.bytes, value.at);
        return config_wrong(key, value, hint, f);
    }
    memset(field, 0, key->bytes);
    if (value.bytes > 0)
        memcpy(field, value.at, value.bytes);
    return 0;
}

static int parse_template(const struct config_key *key, struct text value, void *field,
                          struct config_fault *f)
{
    struct topic_template compiled = { 0 };
    char terminated[TOPIC_BYTES_MAX + 1];
    const char *why = "it is longer than 256 bytes";
    size_t at = 0;
    char path[CONFIG_KEY_PATH_BYTES];
    int err = WEIR_EINVAL;
    if (!printable(value))
        why = "it has control characters in it";
    else if (value.bytes < sizeof terminated) {
        memcpy(terminated, value.at, value.bytes);
        terminated[value.bytes] = '\0';
        err = topic_compile(&compiled, terminated, &why, &at);
    }
    if (err == 0) {
        memcpy(field, &compiled, sizeof compiled);
        return 0;
    }
    (void)snprintf(f->message, sizeof f->message,
                   "`%s` is not a topic template, at its character %zu", config_key_path(key, path),
                   at + 1);
    fault_why(f, "%s", why);
    fault_fix(f, "%s", config_type_rule(KEY_TEMPLATE));
    return WEIR_EINVAL;
}

struct scheme {
    const char *name; /* with an s behind it: over TLS */
    uint16_t port, tls_port;
    const char *neither, *user; /* what is wrong with another scheme, with a user name */
};

static const struct scheme mqtt = { "mqtt", 1883, 8883,
                                    "it begins with neither mqtt:// nor mqtts://",
                                    "it holds a user name; that is `username` and "
                                    "`password_file`" };
static const struct scheme web = { "http", 9464, 9464,
                                   "it begins with neither http:// nor https://",
                                   "it holds a user name; who may ask stands in `tokens`" };

struct url {
    struct text host;
    uint16_t port;
    bool tls;
};

/* Bytes of the scheme and what divides it from the host; 0: it is another. */
static uint32_t scheme_bytes(const struct scheme *scheme, struct text value, bool *tls)
{
    uint32_t name = (uint32_t)strlen(scheme->name);
    if (value.bytes < name + 3 || memcmp(value.at, scheme->name, name) != 0)
        return 0;
    *tls = value.at[name] == 's';
    uint32_t skip = name + (*tls ? 4 : 3);
    return value.bytes >= skip && memcmp(value.at + skip - 3, "://", 3) == 0 ? skip : 0;
}

/* NULL: it is one; else what is wrong with it. */
static const char *url_split(const struct scheme *scheme, struct text value, struct url *url)
{
    *url = (struct url){ 0 };
    uint32_t skip = scheme_bytes(scheme, value, &url->tls);
    if (skip == 0)
        return scheme->neither;
    struct text rest = { value.at + skip, value.bytes - skip };
    if (count_of(rest, '@') > 0)
        return scheme->user;
    if (count_of(rest, '/') > 0 || count_of(rest, '?') > 0 || !printable(rest)
        || count_of(rest, ' ') > 0)
        return "something stands behind the host and port";
    const char *end = rest.at + rest.bytes, *colon = end;
    if (rest.bytes > 0 && rest.at[0] == '[') {
        const char *close = memchr(rest.at, ']', rest.bytes);
        if (close == NULL || (close + 1 < end && close[1] != ':'))
            return "the [ of the address has no ] before the port";
        url->host = (struct text){ rest.at + 1, (uint32_t)(close - rest.at - 1) };
        colon = close + 1;
    } else {
        const char *found = rest.bytes > 0 ? memchr(rest.at, ':', rest.bytes) : NULL;
        colon = found != NULL ? found : end;
        url->host = (struct text){ rest.at, (uint32_t)(colon - rest.at) };
    }
    if (url->host.bytes == 0 || url->host.bytes > CONFIG_PATH_BYTES_MAX)
        return "it names no host";
    url->port = url->tls ? scheme->tls_port : scheme->port;
    if (colon == end)
        return NULL;
    int64_t port;
    char hint[64];
    struct text digits = { colon + 1, (uint32_t)(end - colon - 1) };
    if (units_integer(digits, &port, hint) != 0 || port < 1 || port > 65535)
        return "the port is not a number from 1 to 65535";
    url->port = (uint16_t)port;
    return NULL;
}

static int parse_url(const struct config_key *key, struct text value, void *field,
                     struct config_fault *f)
{
    struct url url;
    const char *bad = url_split(key->type == KEY_WEB ? &web : &mqtt, value, &url);
    if (bad != NULL) {
        (void)config_wrong(key, value, NULL, f);
        fault_why(f, "%s", bad);
        fault_fix(f, "%s", config_type_rule(key->type));
        return WEIR_EINVAL;
    }
    struct config_broker *broker = field;
    memset(broker->host, 0, sizeof broker->host);
    memcpy(broker->host, url.host.at, url.host.bytes);
    broker->port = url.port;
    broker->tls = url.tls;
    return 0;
}

int config_parse_text(const struct config_key *key, struct text value, void *field,
                      struct config_fault *fault)
{
    if (key->type == KEY_TEMPLATE)
        return parse_template(key, value, field, fault);
    if (key->type == KEY_URL || key->type == KEY_WEB)
        return parse_url(key, value, field, fault);
    return parse_plain(key, value, field, fault);
}
