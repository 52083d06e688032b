/* device_door: who a connection is of, before it is let in: its TLS handshake, its name and
 * password. */
#include <string.h>
#include <sys/epoll.h>

#include "firmware/listener/listener_state.h"
#include "firmware/log.h"
#include "pipeline/codec/codec_json_check.h"

void device_failed(struct listener *l, struct device *d)
{
    if (!d->inside)
        door_failed(l->door, &d->address, l->now_ms);
}

void device_enter(struct listener *l, struct device *d)
{
    (void)epoll_ctl(l->strangers, EPOLL_CTL_DEL, d->link.fd, NULL); /* it is in there */
    d->inside = true;
    d->watched = false;
    d->interest = 0;
    l->shaking -= d->shaking;
    d->shaking = false;
    door_passed(l->door, &d->address);
}

/* --- TLS ----------------------------------------------------------------------------------------
 */

static void give_up(struct listener *l, struct device *d, const char *why)
{
    l->counts.bad_handshakes++;
    device_failed(l, d);
    log_event("device_handshake_failed", "source=%s why=\"%s\"", l->config.source->name, why);
    device_close(l, d);
}

/* Its first bytes are there: from here on it takes memory of mbedTLS. */
static bool begin(struct listener *l, struct device *d)
{
    if (l->shaking >= LISTENER_HANDSHAKES) {
        d->waits = true; /* until the next tick */
        return false;
    }
    if (tls_open(l->tls, d->link.tls, d->link.fd) != 0) {
        give_up(l, d, "there is no memory for it");
        return false;
    }
    d->shaking = true;
    l->shaking++;
    return true;
}

bool device_shake(struct listener *l, struct device *d)
{
    if (d->link.tls == NULL || d->shaken)
        return true;
    if (!d->shaking && !begin(l, d))
        return false;
    switch (tls_shake(d->link.tls)) {
    case TLS_FAILED:
        give_up(l, d, tls_why(d->link.tls));
        return false;
    case TLS_WAITS:
        return false;
    case TLS_DONE:
        break;
    }
    l->counts.handshakes++;
    d->shaken = true;
    return true;
}

bool device_hurry(struct listener *l, struct device *d)
{
    d->waits = false;
    if (!d->shaking || !l->crowded || l->now_ms - d->opened_ms < LISTENER_SHAKE_MS ||
        transport_waits_for_us(&d->link))
        return true;
    give_up(l, d, "too slow, while others wait");
    return false;
}

/* --- certificate, or name and password ----------------------------------------------------------
 */

/* The part of `name` that stands where the template has {device}; empty: it fits no device. */
static struct text fit(const char *template, struct text name)
{
    static const char device[] = "{device}";
    const char *at = strstr(template, device), *rest = at + strlen(device);
    uint32_t before = (uint32_t)(at - template), after = (uint32_t)strlen(rest);
    if (name.bytes < before + after || memcmp(name.at, template, before) != 0 ||
        memcmp(name.at + name.bytes - after, rest, after) != 0)
        return (struct text){ 0 };
    struct text found = { name.at + before, name.bytes - before - after };
    return name_valid(found) ? found : (struct text){ 0 };
}

/* The device that its certificate names; empty: none that fits. */
static struct text certified(const struct listener *l, const struct device *d)
{
    const char *template = l->config.source->client_name;
    enum tls_name kind = template[0] == 'C'   ? TLS_NAME_CN
                         : template[0] == 'D' ? TLS_NAME_DNS
                                              : TLS_NAME_URI;
    template += kind == TLS_NAME_CN ? strlen("CN=") : strlen("DNS:"); /* or "URI:" */
    struct text device = { 0 }, name;
    for (uint32_t n = 0;
         device.bytes == 0 && (name = tls_certificate_name(d->link.tls, kind, n)).bytes > 0; n++)
        device = fit(template, name);
    return device;
}

static bool has_certificate(const struct device *d)
{
    return d->link.tls != NULL && tls_has_certificate(d->link.tls);
}

/* NULL: *name is who it is. Else why not. */
static const char *judge(const struct listener *l, const struct device *d, struct text *name)
{
    const struct mqtt_connect *connect = &l->event.packet.connect;
    *name = connect->username;
    if (has_certificate(d)) {
        *name = certified(l, d);
        if (name->bytes == 0)
            return "its certificate names no device, where client_name has it";
        if (connect->has_username && !text_equal(connect->username, *name))
            return "user name and certificate name different devices";
        return credentials_revoked(l->config.credentials, *name) ? "it was revoked" : NULL;
    }
    if (connect->has_username && connect->has_password &&
        credentials_match(l->config.credentials, *name, connect->password))
        return NULL;
    return "unknown device, or not its password";
}

bool device_identify(struct listener *l, struct device *d, struct byte_writer *w)
{
    struct text name;
    if (l->config.source->anonymous)
        return true;
    if (!has_certificate(d) && !door_listens(l->door, &d->address, l->now_ms)) {
        /* It was connected before others from there failed: as many guesses as connections. */
        l->counts.slowed++;
        mqtt_connection_close(d->mqtt, MQTT_SERVER_BUSY, text_of("not now"), w);
        return false;
    }
    const char *why = judge(l, d, &name);
    if (why == NULL) {
        memcpy(d->id, name.at, name.bytes);
        d->device_bytes = name.bytes;
        return true;
    }
    l->counts.refused++;
    l->counts.bad_credentials++;
    device_failed(l, d);
    /* Its client id is not ours to know yet: in the log it has the name that it gave. */
    d->id_bytes = name.bytes < LISTENER_ID_BYTES ? name.bytes : LISTENER_ID_BYTES;
    if (d->id_bytes > 0)
        memcpy(d->id, name.at, d->id_bytes);
    listener_log(l, d, "device_refused", MQTT_BAD_CREDENTIALS, why);
    mqtt_connection_close(d->mqtt, MQTT_BAD_CREDENTIALS, text_of(why), w);
    return false;
}
