/* device_door: who a connection is of, before it is let in: its TLS handshake, its name and
 * password. */
#include <string.h>
#include <sys/epoll.h>

#include "firmware/listener/listener_state.h"
#include "firmware/log.h"

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

/* --- name and password --------------------------------------------------------------------------
 */

bool device_identify(struct listener *l, struct device *d, struct byte_writer *w)
{
    static const char why[] = "unknown device, or not its password";
    const struct mqtt_connect *connect = &l->event.packet.connect;
    struct text name = connect->username;
    if (l->config.source->anonymous)
        return true;
    if (connect->has_username && connect->has_password &&
        credentials_match(l->config.credentials, name, connect->password)) {
        memcpy(d->id, name.at, name.bytes);
        d->device_bytes = name.bytes;
        return true;
    }
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
