#include "pipeline/mqtt/connection_parts.h"

#include "pipeline/err.h"

static void set_state(struct mqtt_connection *c, enum mqtt_state state)
{
    switch (c->state) {
    case MQTT_AWAITING:
        assert(state == MQTT_CONNECTING || state == MQTT_CLOSING);
        break;
    case MQTT_CONNECTING:
        assert(state == MQTT_CONNECTED || state == MQTT_CLOSING);
        break;
    case MQTT_CONNECTED:
        assert(state == MQTT_CLOSING);
        break;
    case MQTT_CLOSING:
        assert(false);
    }
    c->state = state;
    if (state != MQTT_CONNECTED)
        c->deadline_ms = INT64_MAX;
}

/* --- life --- */

/* One acknowledgement more than the receive maximum may wait, so that the message over it is still
 * read, and refused, instead of pushed back. */
struct mqtt_connection *mqtt_connection_init(const struct mqtt_offer *offer, struct arena *arena)
{
    assert(offer->receive_maximum >= 1 && offer->receive_maximum <= MQTT_RECEIVE_MAXIMUM_MAX);
    assert(offer->qos_max < 2 || offer->exchanges_max >= offer->receive_maximum);
    assert(offer->packet_bytes_max >= 128 && offer->connect_bytes_max >= 128);
    assert(offer->send_max >= 1 && offer->qos_max <= 2);
    struct mqtt_connection *c = arena_take(arena, 1, sizeof *c);
    struct mqtt_connection unused, *to = c != NULL ? c : &unused;
    *to = (struct mqtt_connection){ .offer = offer, .state = MQTT_CLOSING };
    to->held_max = offer->receive_maximum + 1u;
    to->held = arena_take(arena, to->held_max, sizeof to->held[0]);
    mqtt_ids_init(&to->exchanges, offer->exchanges_max, arena);
    mqtt_ids_init(&to->sent, offer->send_max, arena);
    mqtt_aliases_init(&to->aliases, offer->alias_maximum, offer->alias_bytes, arena);
    return c;
}

void mqtt_connection_open(struct mqtt_connection *c, int64_t now_ms)
{
    c->state = MQTT_AWAITING;
    c->deadline_ms = now_ms + c->offer->connect_within_ms;
    c->peer = (struct mqtt_peer){ .version = MQTT_NO_VERSION, .packet_bytes_max = MQTT_NO_LIMIT };
    c->held_first = c->held_count = c->in_flight = 0;
    c->waiting_max = c->held_max;
    c->arrived = c->committed = 0;
    c->last_id = 0;
    mqtt_ids_clear(&c->exchanges);
    mqtt_ids_clear(&c->sent);
    mqtt_aliases_clear(&c->aliases);
}

/* --- time --- */

static void heard(struct mqtt_connection *c, int64_t now_ms)
{
    c->deadline_ms = c->keep_alive_s == 0 ? INT64_MAX : now_ms + c->keep_alive_s * INT64_C(1500);
}

bool mqtt_connection_may_read(const struct mqtt_connection *c)
{
    return c->state == MQTT_AWAITING ||
           (c->state == MQTT_CONNECTED && c->held_count < c->waiting_max);
}

void mqtt_connection_resume(struct mqtt_connection *c, int64_t now_ms)
{
    if (c->state == MQTT_CONNECTED)
        heard(c, now_ms);
}

/* --- endings --- */

static struct mqtt_peer peer_of(const struct mqtt_connect *connect)
{
    return (struct mqtt_peer){ .version = connect->version,
                               .packet_bytes_max = connect->packet_bytes_max,
                               .wants_problems = connect->wants_problems };
}

static void put_refusal(struct mqtt_connection *c, uint8_t reason, struct text why,
                        struct byte_writer *w)
{
    struct mqtt_connack connack = { .reason = reason, .why = why };
    (void)mqtt_put_connack(w, &c->peer, &connack); /* or it just sees the end */
}

void mqtt_connection_close(struct mqtt_connection *c, uint8_t reason, struct text why,
                           struct byte_writer *w)
{
    assert(reason >= MQTT_FAILURE);
    switch (c->state) {
    case MQTT_AWAITING:
        break;
    case MQTT_CONNECTING:
        put_refusal(c, reason, why, w);
        break;
    case MQTT_CONNECTED:
        if (c->peer.version == MQTT_5)
            (void)mqtt_put_disconnect(w, &c->peer, reason, why); /* or it just sees the end */
        break;
    case MQTT_CLOSING:
        return;
    }
    set_state(c, MQTT_CLOSING);
}

bool mqtt_connection_expire(struct mqtt_connection *c, int64_t now_ms, struct byte_writer *w)
{
    if (now_ms < c->deadline_ms || !mqtt_connection_may_read(c))
        return false;
    enum mqtt_fault fault = c->state == MQTT_AWAITING ? MQTT_FAULT_NO_CONNECT : MQTT_FAULT_SILENT;
    struct mqtt_fault_view view = mqtt_fault_view(fault, c->peer.version);
    mqtt_connection_close(c, view.reason, text_of(view.why), w);
    return true;
}

/* A broken rule. In a CONNECT, `version` is what can be read of it; 3.1.1 has no word for a
 * malformed one [3.1.1 MQTT-3.1.4-1]. */
static int refuse(struct mqtt_connection *c, enum mqtt_fault fault, struct byte_writer *w,
                  struct mqtt_event *event)
{
    enum mqtt_version version = event->packet.version;
    struct mqtt_fault_view view = mqtt_fault_view(fault, version);
    if (c->state == MQTT_AWAITING && version != MQTT_NO_VERSION) {
        c->peer = peer_of(&event->packet.connect);
        put_refusal(c, view.reason, text_of(view.why), w);
    }
    mqtt_connection_close(c, view.reason, text_of(view.why), w);
    event->kind = MQTT_EVENT_FAULT;
    event->fault = fault;
    return WEIR_EINVAL;
}

/* --- CONNECT --- */

static enum mqtt_fault check_connect(const struct mqtt_offer *offer,
                                     const struct mqtt_connect *connect)
{
    if (connect->has_auth_method)
        return MQTT_FAULT_AUTH_METHOD;
    if (connect->has_will && connect->will.qos > offer->qos_max)
        return MQTT_FAULT_WILL_QOS_OVER;
    if (connect->has_will && connect->will.retain && !offer->retain)
        return MQTT_FAULT_WILL_RETAIN;
    return MQTT_FAULT_NONE;
}

static uint16_t keep_alive(const struct mqtt_offer *offer, const struct mqtt_connect *connect)
{
    uint16_t asked = connect->keep_alive_s, most = offer->keep_alive_max_s;
    bool is_cut = connect->version == MQTT_5 && most != 0 && (asked == 0 || asked > most);
    return is_cut ? most : asked;
}

static enum mqtt_fault on_connect(struct mqtt_connection *c, struct mqtt_event *event)
{
    assert(c->state == MQTT_AWAITING); /* the codec knows no CONNECT afterwards */
    const struct mqtt_connect *connect = &event->packet.connect;
    enum mqtt_fault fault = check_connect(c->offer, connect);
    if (fault != MQTT_FAULT_NONE)
        return fault;
    c->peer = peer_of(connect);
    c->clean_start = connect->clean_start;
    c->needs_id = connect->client_id.bytes == 0;
    c->session_expiry_s = connect->session_expiry_s;
    c->asked_keep_alive_s = connect->keep_alive_s;
    c->keep_alive_s = keep_alive(c->offer, connect);
    c->send_quota = connect->receive_maximum < c->offer->send_max ? connect->receive_maximum
                                                                  : c->offer->send_max;
    set_state(c, MQTT_CONNECTING);
    event->kind = MQTT_EVENT_CONNECT;
    return MQTT_FAULT_NONE;
}

int mqtt_connection_accept(struct mqtt_connection *c, const struct mqtt_accept *accept,
                           int64_t now_ms, struct byte_writer *w)
{
    const struct mqtt_offer *offer = c->offer;
    assert(c->state == MQTT_CONNECTING);
    assert(!accept->session_present || !c->clean_start);
    assert(c->peer.version != MQTT_5 || c->needs_id == (accept->assigned_client_id.bytes > 0));
    bool is_capped = c->peer.version == MQTT_5 && accept->receive_maximum > 0 &&
                     accept->receive_maximum < offer->receive_maximum;
    struct mqtt_connack connack = {
        .session_present = accept->session_present,
        .has_session_expiry = accept->session_expiry_s != c->session_expiry_s,
        .session_expiry_s = accept->session_expiry_s,
        .has_keep_alive = c->keep_alive_s != c->asked_keep_alive_s,
        .keep_alive_s = c->keep_alive_s,
        .receive_maximum = is_capped ? accept->receive_maximum : offer->receive_maximum,
        .alias_maximum = offer->alias_maximum,
        .packet_bytes_max = offer->packet_bytes_max,
        .qos_max = offer->qos_max,
        .no_retain = !offer->retain,
        .no_wildcards = !offer->wildcards,
        .no_subscription_ids = !offer->subscription_ids,
        .no_shared = !offer->shared,
        .assigned_client_id = accept->assigned_client_id,
    };
    int err = mqtt_put_connack(w, &c->peer, &connack);
    if (err != 0)
        return err;
    c->waiting_max = connack.receive_maximum + 1u;
    set_state(c, MQTT_CONNECTED);
    heard(c, now_ms);
    return 0;
}

/* --- the rest of what a client sends --- */

static enum mqtt_fault check_filters(const struct mqtt_connection *c,
                                     const struct mqtt_subscribe *subscribe)
{
    if (c->peer.version != MQTT_5)
        return MQTT_FAULT_NONE; /* there, each filter is refused by itself */
    if (subscribe->subscription_id != 0 && !c->offer->subscription_ids)
        return MQTT_FAULT_SUBSCRIPTION_IDS;
    struct mqtt_filters filters = subscribe->filters;
    struct mqtt_filter filter;
    while (mqtt_filter_next(&filters, &filter)) {
        if (filter.is_shared && !c->offer->shared)
            return MQTT_FAULT_SHARED_FILTER;
        if (filter.has_wildcard && !c->offer->wildcards)
            return MQTT_FAULT_WILDCARD_FILTER;
    }
    return MQTT_FAULT_NONE;
}

static enum mqtt_fault on_subscribe(struct mqtt_connection *c, struct mqtt_event *event)
{
    event->kind =
        event->packet.type == MQTT_SUBSCRIBE ? MQTT_EVENT_SUBSCRIBE : MQTT_EVENT_UNSUBSCRIBE;
    return event->kind == MQTT_EVENT_SUBSCRIBE ? check_filters(c, &event->packet.subscribe)
                                               : MQTT_FAULT_NONE;
}

static enum mqtt_fault on_disconnect(struct mqtt_connection *c, struct mqtt_event *event)
{
    const struct mqtt_disconnect *disconnect = &event->packet.disconnect;
    if (disconnect->has_session_expiry && disconnect->session_expiry_s != 0 &&
        c->session_expiry_s == 0)
        return MQTT_FAULT_SESSION_EXPIRY;
    event->kind = MQTT_EVENT_DISCONNECT;
    event->drops_will = disconnect->reason == MQTT_SUCCESS;
    set_state(c, MQTT_CLOSING);
    return MQTT_FAULT_NONE;
}

static enum mqtt_fault take(struct mqtt_connection *c, struct byte_writer *w,
                            struct mqtt_event *event)
{
    switch (event->packet.type) {
    case MQTT_CONNECT:
        return on_connect(c, event);
    case MQTT_PUBLISH:
        return connection_on_publish(c, event);
    case MQTT_PUBACK:
        return connection_on_puback(c, event);
    case MQTT_PUBREC:
        return connection_on_pubrec(c, event, w);
    case MQTT_PUBREL:
        return connection_on_pubrel(c, event);
    case MQTT_PUBCOMP:
        return MQTT_FAULT_NONE; /* ends what on_pubrec answered */
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return on_subscribe(c, event);
    case MQTT_PINGREQ:
        (void)mqtt_put_pingresp(w, &c->peer); /* there is room */
        return MQTT_FAULT_NONE;
    case MQTT_DISCONNECT:
        return on_disconnect(c, event);
    case MQTT_AUTH:
        return MQTT_FAULT_AUTH_UNASKED; /* a CONNECT that named a method was refused */
    case MQTT_CONNACK:
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
    case MQTT_PINGRESP:
        break;
    }
    assert(false); /* the codec lets none of them through */
    return MQTT_FAULT_NONE;
}

int mqtt_connection_read(struct mqtt_connection *c, const struct mqtt_input *in,
                         struct byte_writer *w, struct mqtt_event *event)
{
    event->kind = MQTT_EVENT_NONE;
    event->fault = MQTT_FAULT_NONE;
    event->number = 0;
    event->mark = 0;
    event->is_repeat = event->drops_will = false;
    if (!mqtt_connection_may_read(c) || w->failed || w->bytes - w->used < MQTT_ANSWER_BYTES)
        return WEIR_EAGAIN;
    struct mqtt_rules rules = { c->peer.version, c->state == MQTT_AWAITING
                                                     ? c->offer->connect_bytes_max
                                                     : c->offer->packet_bytes_max };
    int used = mqtt_packet_read(rules, in->at, in->bytes, &event->packet);
    if (used < 0)
        return refuse(c, event->packet.fault, w, event);
    if (used == 0)
        return 0;
    if (c->state == MQTT_CONNECTED)
        heard(c, in->now_ms);
    enum mqtt_fault fault = take(c, w, event);
    return fault == MQTT_FAULT_NONE ? used : refuse(c, fault, w, event);
}
