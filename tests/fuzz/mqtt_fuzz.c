/* Goal: no bytes harm the MQTT codec or the state of a connection, whatever the caller does in between:
 * slices stay within the input, what is refused early is refused whole, acknowledgements come in
 * order of arrival and not before their commit, limits hold. Method: libFuzzer; input ends at a page that
 * may not be touched. The first byte chooses: one packet in one of the versions, or a client's stream;
 * for a stream the second byte counts what follows of the caller's decisions, taken in turn.
 * Links: pipeline/mqtt/aliases.c pipeline/mqtt/connection.c pipeline/mqtt/connection_messages.c pipeline/mqtt/encode.c pipeline/mqtt/fault.c pipeline/mqtt/ids.c pipeline/mqtt/packet.c pipeline/mqtt/packet_connect.c pipeline/mqtt/packet_subscribe.c pipeline/mqtt/property.c pipeline/mqtt/reason.c pipeline/mqtt/wire.c pipeline/bytes.c pipeline/hash.c */
#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pipeline/err.h"
#include "pipeline/mqtt/connection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { INPUT_MAX = 16384, HELD_MAX = 16 };

#define MARK_OF_A 0xe7180497u /* of an empty message to topic "a", as the corpus has */

static uint8_t *page_end(void)
{
    static uint8_t *at;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (at != NULL)
        return at + INPUT_MAX;
    at = mmap(NULL, INPUT_MAX + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(at != MAP_FAILED);
    int err = mprotect(at + INPUT_MAX, page, PROT_NONE);
    assert(err == 0);
    return at + INPUT_MAX;
}

/* --- one packet --- */

static void check_slice(struct text text, const uint8_t *at, size_t bytes)
{
    const uint8_t *from = (const uint8_t *)text.at;
    assert(text.bytes == 0 || (from >= at && from + text.bytes <= at + bytes));
}

static void check_name(struct text text, const uint8_t *at, size_t bytes)
{
    check_slice(text, at, bytes);
    for (uint32_t i = 0; i < text.bytes; i++)
        assert(text.at[i] != 0 && text.at[i] != '+' && text.at[i] != '#');
}

static void check_connect(const struct mqtt_connect *c, const uint8_t *at, size_t bytes)
{
    check_slice(c->client_id, at, bytes);
    check_slice(c->username, at, bytes);
    check_slice(c->password, at, bytes);
    check_slice(c->auth_method, at, bytes);
    check_slice(c->auth_data, at, bytes);
    check_name(c->will.topic, at, bytes);
    check_slice(c->will.payload, at, bytes);
    check_name(c->will.response_topic, at, bytes);
    assert(c->has_will == (c->will.topic.bytes > 0) && c->will.qos <= 2);
    assert(c->receive_maximum > 0 && c->packet_bytes_max > 0);
}

static void check_publish(const struct mqtt_publish *p, const uint8_t *at, size_t bytes)
{
    check_name(p->topic, at, bytes);
    check_name(p->response_topic, at, bytes);
    check_slice(p->payload, at, bytes);
    check_slice(p->content_type, at, bytes);
    check_slice(p->correlation, at, bytes);
    assert(p->payload.bytes == 0 || (const uint8_t *)p->payload.at + p->payload.bytes == at + bytes);
    assert(p->qos <= 2 && (p->qos == 0) == (p->packet_id == 0) && (p->qos > 0 || !p->dup));
    assert(p->topic.bytes > 0 || p->alias > 0);
}

static void check_filters(const struct mqtt_subscribe *s, const uint8_t *at, size_t bytes)
{
    struct mqtt_filters filters = s->filters;
    struct mqtt_filter filter;
    uint32_t count = 0;
    while (mqtt_filter_next(&filters, &filter)) {
        check_slice(filter.filter, at, bytes);
        assert(filter.filter.bytes > 0 && filter.qos <= 2 && filter.retain_handling <= 2);
        count++;
    }
    assert(count == s->count && count > 0 && count <= MQTT_FILTERS_MAX && s->packet_id != 0);
}

static void check_packet(const struct mqtt_packet *packet, const uint8_t *at, size_t bytes)
{
    if (packet->type == MQTT_CONNECT)
        check_connect(&packet->connect, at, bytes);
    else if (packet->type == MQTT_PUBLISH)
        check_publish(&packet->publish, at, bytes);
    else if (packet->type == MQTT_SUBSCRIBE || packet->type == MQTT_UNSUBSCRIBE)
        check_filters(&packet->subscribe, at, bytes);
    else if (packet->type == MQTT_DISCONNECT)
        check_slice(packet->disconnect.why, at, bytes);
}

static void try_packet(enum mqtt_version version, const uint8_t *at, size_t bytes)
{
    struct mqtt_rules rules = { version, INPUT_MAX / 2 };
    struct mqtt_packet packet, part;
    int used = mqtt_packet_read(rules, at, bytes, &packet);
    assert(used <= (int)bytes);
    if (used > 0)
        check_packet(&packet, at, (size_t)used);
    else if (used == 0)
        assert(packet.bytes > bytes);
    else
        assert(used == WEIR_EINVAL && packet.fault != MQTT_FAULT_NONE &&
               packet.fault_offset <= bytes);
    size_t whole = used > 0 ? (size_t)used : bytes;
    for (size_t cut = 0; cut < whole; cut += 1 + cut / 4) {
        int early = mqtt_packet_read(rules, at, cut, &part);
        assert(early <= 0);
        assert(early == 0 ? part.bytes > cut : used < 0 && part.fault == packet.fault);
    }
}

/* --- a stream --- */

struct stream {
    struct mqtt_connection *c;
    const uint8_t *decisions;
    size_t decision_count, decision_next;
    struct { uint16_t packet_id; uint8_t type; uint64_t number; } expected[HELD_MAX];
    size_t expected_count;
    int64_t now_ms;
    uint8_t room[2048];
};

static const struct mqtt_offer offers[] = {
    { .packet_bytes_max = 4096, .connect_bytes_max = 512, .receive_maximum = 3, .exchanges_max = 5,
      .alias_maximum = 4, .alias_bytes = 64, .send_max = 2, .keep_alive_max_s = 100,
      .connect_within_ms = 1000, .qos_max = 2, .retain = true, .wildcards = true,
      .subscription_ids = true, .shared = true },
    { .packet_bytes_max = 256, .connect_bytes_max = 256, .receive_maximum = 1, .exchanges_max = 1,
      .send_max = 1, .connect_within_ms = 1000, .qos_max = 1 },
};

static unsigned decide(struct stream *s)
{
    return s->decision_count == 0 ? 0 : s->decisions[s->decision_next++ % s->decision_count];
}

static void decide_connect(struct stream *s, struct byte_writer *w)
{
    unsigned decision = decide(s);
    struct mqtt_accept accept = { .session_expiry_s = decision & 0x40 ? 7 : s->c->session_expiry_s };
    if ((decision & 7) == 7) {
        mqtt_connection_close(s->c, MQTT_NOT_AUTHORIZED, text_of("no"), w);
        return;
    }
    for (uint16_t id = 1; !s->c->clean_start && id <= (decision & 7); id++)
        (void)mqtt_connection_restore(s->c, id, decision & 0x80 ? MARK_OF_A : 0);
    accept.session_present = !s->c->clean_start && (decision & 8) != 0;
    if (s->c->needs_id)
        accept.assigned_client_id = text_of("weir-1");
    if (mqtt_connection_accept(s->c, &accept, s->now_ms, w) != 0)
        mqtt_connection_close(s->c, MQTT_SERVER_BUSY, text_of(""), w);
}

static void remember(struct stream *s, const struct mqtt_event *event)
{
    if (event->number == 0)
        return;
    assert(s->expected_count < HELD_MAX && event->number == s->c->arrived);
    bool is_publish = event->packet.type == MQTT_PUBLISH;
    s->expected[s->expected_count].number = event->number;
    s->expected[s->expected_count].packet_id = is_publish ? event->packet.publish.packet_id
                                                          : event->packet.ack.packet_id;
    s->expected[s->expected_count++].type = !is_publish                       ? MQTT_PUBCOMP
                                            : event->packet.publish.qos == 1 ? MQTT_PUBACK
                                                                             : MQTT_PUBREC;
    if (is_publish && !event->is_repeat && decide(s) % 4 == 0)
        mqtt_connection_judge(s->c, event->number, MQTT_PAYLOAD_FORMAT_INVALID, 1);
}

static void render(struct stream *s, size_t room)
{
    static const struct text details[] = { { "", 0 }, { "why", 3 } };
    struct byte_writer w = { .at = s->room, .bytes = room };
    uint32_t written = mqtt_connection_render(s->c, details, &w);
    size_t at = 0;
    for (uint32_t i = 0; i < written; i++) {
        assert(i < s->expected_count && s->expected[i].number <= s->c->committed);
        bool is_this = at < w.used && w.at[at] >> 4 == s->expected[i].type &&
                       (w.at[at + 2] << 8 | w.at[at + 3]) == s->expected[i].packet_id;
        assert(is_this || s->c->peer.packet_bytes_max < 12);
        at += is_this ? 2u + w.at[at + 1] : 0;
    }
    assert(at == w.used);
    memmove(s->expected, s->expected + written,
            (s->expected_count - written) * sizeof s->expected[0]);
    s->expected_count -= written;
}

/* What a caller may do at any time. */
static void act(struct stream *s, struct byte_writer *w)
{
    unsigned decision = decide(s);
    struct mqtt_outgoing message = { .qos = decision >> 3 & 1, .topic = text_of("weir/receipt/d"),
                                     .payload = text_of("1") };
    switch (decision & 7) {
    case 0:
    case 1:
        mqtt_connection_committed(s->c, s->c->arrived);
        render(s, sizeof s->room);
        break;
    case 2:
        mqtt_connection_committed(s->c, s->c->committed +
                                            (decision >> 3) % (s->c->arrived - s->c->committed + 1));
        render(s, decision);
        break;
    case 3:
        if (s->c->state == MQTT_CONNECTED)
            (void)mqtt_connection_publish(s->c, &message, w);
        break;
    case 4:
        s->now_ms += (decision >> 3) * 1000;
        (void)mqtt_connection_expire(s->c, s->now_ms, w);
        break;
    case 5:
        mqtt_connection_resume(s->c, s->now_ms);
        break;
    case 6:
        if (decision > 0xf0)
            mqtt_connection_close(s->c, MQTT_SERVER_BUSY, text_of("later"), w);
        break;
    default:
        break;
    }
}

static void answer(struct stream *s, const struct mqtt_event *event, struct byte_writer *w)
{
    uint8_t codes[MQTT_FILTERS_MAX] = { 0 };
    struct mqtt_suback suback = { event->packet.subscribe.packet_id, event->packet.subscribe.count,
                                  codes, { 0 } };
    if (event->kind == MQTT_EVENT_CONNECT)
        decide_connect(s, w);
    else if (event->kind == MQTT_EVENT_SUBSCRIBE)
        (void)mqtt_put_suback(w, &s->c->peer, MQTT_SUBACK, &suback);
    else if (event->kind == MQTT_EVENT_UNSUBSCRIBE)
        (void)mqtt_put_suback(w, &s->c->peer, MQTT_UNSUBACK, &suback);
    else
        remember(s, event);
}

static void check_state(const struct stream *s, int used, const struct mqtt_event *event)
{
    const struct mqtt_connection *c = s->c;
    assert(c->peer.version != MQTT_5 || c->in_flight <= c->offer->receive_maximum);
    assert(c->held_count <= c->held_max && c->held_count == s->expected_count);
    assert(c->exchanges.count <= c->offer->exchanges_max && c->sent.count <= c->send_quota);
    assert(used != WEIR_EINVAL || (c->state == MQTT_CLOSING && event->kind == MQTT_EVENT_FAULT));
    assert(c->state != MQTT_CLOSING || !mqtt_connection_may_read(c));
}

static void try_stream(const struct mqtt_offer *offer, struct stream *s, const uint8_t *at,
                       size_t bytes)
{
    static _Alignas(16) uint8_t memory[8192];
    memset(memory, 0, sizeof memory);
    struct arena arena = arena_over(memory, sizeof memory);
    uint8_t out[512];
    s->c = mqtt_connection_init(offer, &arena);
    mqtt_connection_open(s->c, 0);
    for (int idle = 0; idle < 64 && s->c->state != MQTT_CLOSING;) {
        struct byte_writer w = { .at = out, .bytes = sizeof out };
        struct mqtt_event event;
        struct mqtt_input in = { at, bytes, s->now_ms };
        int used = mqtt_connection_read(s->c, &in, &w, &event);
        if (used > 0) {
            if (event.kind == MQTT_EVENT_MESSAGE)
                assert(event.topic.bytes > 0);
            answer(s, &event, &w);
            at += used;
            bytes -= (size_t)used;
        }
        check_state(s, used, &event);
        act(s, &w);
        check_state(s, 0, &event);
        assert(!w.failed);
        idle = used > 0 ? 0 : idle + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const enum mqtt_version versions[] = { MQTT_NO_VERSION, MQTT_3_1_1, MQTT_5 };
    if (bytes < 2 || bytes > INPUT_MAX)
        return 0;
    size_t skip = 1;
    struct stream s = { .decisions = data + 2 };
    bool is_stream = data[0] % 4 == 3;
    if (is_stream) {
        s.decision_count = data[1] < bytes - 2 ? data[1] : bytes - 2;
        skip = 2 + s.decision_count;
    }
    uint8_t *at = page_end() - (bytes - skip);
    memcpy(at, data + skip, bytes - skip);
    if (is_stream)
        try_stream(&offers[data[0] / 4 % 2], &s, at, bytes - skip);
    else
        try_packet(versions[data[0] % 4], at, bytes - skip);
    return 0;
}
