/* world_devices: when devices speak, and the brokers in front of the gateway: a persistent session
 * at QoS 1, in order, again after every break; and one at QoS 0 that forgets. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "simulator/world_state.h"

enum { RADIO = 2 /* the source at QoS 0 */, SLOW_TURNS_MAX = 60 };

/* --- devices --- */

static struct world_message *publish(struct world *w, struct world_message message)
{
    struct world_devices *d = &w->devices;
    assert(d->count < WORLD_MESSAGES_MAX);
    struct world_message *m = &d->messages[d->count];
    *m = message;
    m->same_as = d->count++;
    w->outcome.messages++;
    if (m->readings > 1)
        WORLD_COUNT(w, MESSAGE_OF_MANY_READINGS);
    if (m->bad_reading)
        WORLD_COUNT(w, MESSAGE_PARTLY_BAD);
    if (m->kind == MESSAGE_FUTURE)
        WORLD_COUNT(w, MESSAGE_FROM_THE_FUTURE);
    if (m->kind == MESSAGE_BAD)
        WORLD_COUNT(w, MESSAGE_MALFORMED);
    else if (m->sequence == 0)
        WORLD_COUNT(w, MESSAGE_WITHOUT_SEQUENCE);
    return m;
}

/* Most are published at once; some are kept by the device for a while, and come late and out of
 * order. */
static void publish_good(struct world *w, uint32_t device)
{
    struct world_devices *d = &w->devices;
    struct world_message m;
    bool may_wait = message_measure(w, device, &m);
    if (may_wait && d->late_count < WORLD_LATE_MAX && world_chance(w, 12))
        d->late[d->late_count++] = m;
    else
        (void)publish(w, m);
}

static void publish_late(struct world *w)
{
    struct world_devices *d = &w->devices;
    if (d->late_count == 0 || d->count == WORLD_MESSAGES_MAX || !(w->healing || world_chance(w, 8)))
        return;
    (void)publish(w, d->late[0]);
    d->late_count--;
    memmove(d->late, d->late + 1, d->late_count * sizeof d->late[0]);
    WORLD_COUNT(w, MESSAGE_LATE);
}

static void publish_again(struct world *w)
{
    struct world_devices *d = &w->devices;
    if (d->count == 0)
        return;
    uint32_t which = d->messages[chance_below(&w->chance, d->count)].same_as;
    struct world_message again = d->messages[which];
    again.delivered = again.ever_delivered = again.acknowledged = again.done = false;
    publish(w, again)->same_as = which;
    WORLD_COUNT(w, MESSAGE_REPEATED_BY_DEVICE);
}

void devices_publish(struct world *w)
{
    struct world_devices *d = &w->devices;
    uint32_t burst = w->healing ? 0 : chance_below(&w->chance, 6);
    publish_late(w);
    for (uint32_t i = 0; i < burst && d->count < WORLD_MESSAGES_MAX; i++) {
        uint32_t device = chance_below(&w->chance, WORLD_DEVICES);
        if (world_chance(w, 14))
            (void)publish(w, message_bad(w, device));
        else if (world_chance(w, 14))
            publish_again(w);
        else
            publish_good(w, device);
    }
}

bool devices_quiet(const struct world *w)
{
    return w->devices.oldest_open == w->devices.count &&
           (w->devices.late_count == 0 || w->devices.count == WORLD_MESSAGES_MAX);
}

/* --- brokers --- */

static void pass_done(struct world_devices *d)
{
    while (d->oldest_open < d->count && d->messages[d->oldest_open].done)
        d->oldest_open++;
}

void devices_disconnect(struct world *w, uint32_t source)
{
    struct world_devices *d = &w->devices;
    d->connected[source] = false;
    for (uint32_t i = d->oldest_open; i < d->count; i++)
        if (d->messages[i].source == source)
            d->messages[i].delivered = false;
}

/* A broker keeps nothing at QoS 0 for a client that is away. */
static void forget_radio(struct world *w)
{
    struct world_devices *d = &w->devices;
    if (d->connected[RADIO])
        return;
    for (uint32_t i = d->oldest_open; i < d->count; i++)
        if (d->messages[i].source == RADIO && !d->messages[i].done) {
            d->messages[i].done = true;
            WORLD_COUNT(w, MESSAGE_LOST_AT_QOS_0);
        }
    pass_done(d);
}

/* More comes than is read: lag grows. */
void devices_slow_down(struct world *w)
{
    struct world_devices *d = &w->devices;
    d->slow = w->healing ? 0 : d->slow - (d->slow > 0);
    if (w->healing || d->slow > 0 || chance_below(&w->pressure_chance, 80) != 0)
        return;
    d->slow = 1 + chance_below(&w->pressure_chance, SLOW_TURNS_MAX);
    WORLD_COUNT(w, SOURCES_READ_SLOWLY);
}

/* What the gateway will not keep, as it must count it. */
static void note_dropped(struct world *w, const struct world_message *m)
{
    if (m->source != RADIO || gateway_view(w->gateway).shed != SHED_QOS0)
        return;
    w->devices.dropped += m->kind == MESSAGE_BAD ? 1 : m->readings;
    WORLD_COUNT(w, READING_DROPPED);
}

static void deliver(struct world *w, struct world_message *m)
{
    char topic[WORLD_TOPIC_BYTES], payload[WORLD_PAYLOAD_BYTES];
    message_render(m, topic, payload);
    note_dropped(w, m);
    WORLD_COUNT(w, MESSAGE_TAKEN);
    if (m->ever_delivered)
        WORLD_COUNT(w, MESSAGE_REDELIVERED);
    m->delivered = m->ever_delivered = true;
    if (m->source == RADIO) {
        WORLD_COUNT(w, MESSAGE_AT_QOS_0);
        m->done = true;
    }
    struct message message = { .source = m->source,
                               .qos = m->source == RADIO ? 0 : 1,
                               .topic = text_of(topic),
                               .payload = text_of(payload) };
    struct session_change exchange = exchange_of(w, m);
    if (m->source == WORLD_LISTENER) {
        exchanges_step(w);
        exchanges_delivered(w, m);
        message.qos = 2;
        message.exchange = &exchange;
        message.exchange_if_rejected = true;
    }
    m->number = gateway_on_message(w->gateway, &message).number;
}

void devices_deliver(struct world *w, uint32_t source)
{
    struct world_devices *d = &w->devices;
    uint32_t most = 1 + chance_below(&w->chance, 12);
    uint32_t allowed = d->slow > 0 ? 1 : gateway_turn_messages(w->gateway, source);
    uint32_t given = 0;
    most = most < allowed ? most : allowed;
    forget_radio(w);
    if (!d->connected[source])
        return;
    for (uint32_t i = d->oldest_open; i < d->count && given < most; i++) {
        struct world_message *m = &d->messages[i];
        if (m->source != source || m->done || m->delivered)
            continue;
        if (!gateway_may_take(w->gateway, source))
            return;
        deliver(w, m);
        given++;
        if (world_dies(w, WORLD_KILLED_AFTER_MESSAGE))
            return;
    }
    pass_done(d);
    if (given < most && d->slow == 0)
        gateway_on_drained(w->gateway, source);
}

/* What can't be used is counted; a reading from the future may have been taken, by a clock that was
 * not synced. */
static void acknowledge(struct world *w, struct world_message *m, bool lost)
{
    bool whole = fold_has(w, m);
    if (m->kind == MESSAGE_GOOD && !whole)
        world_break(w, "A1: device d%u, sequence %llu at %lld was acknowledged and is not whole in "
                    "the journal", m->device, (unsigned long long)m->sequence,
                    (long long)m->time_ms);
    exchanges_acknowledged(w, m);
    bool bad = m->kind == MESSAGE_BAD || m->bad_reading || !whole;
    w->devices.acknowledged_bad += !whole ? m->readings : bad;
    w->devices.acknowledged_letters += bad;
    m->acknowledged = true;
    m->done = !lost;
}

/* What was taken of the source up to this number; of a broker that is all that was taken. */
void devices_acknowledge(struct world *w, uint32_t source, uint64_t number)
{
    struct world_devices *d = &w->devices;
    bool lost = !w->healing && world_chance(w, 30);
    uint32_t later = 0;
    for (uint32_t i = d->oldest_open; i < d->count; i++) {
        struct world_message *m = &d->messages[i];
        if (m->source != source || !m->delivered || m->done)
            continue;
        if (m->number <= number)
            acknowledge(w, m, lost);
        else
            later++;
    }
    if (later > 0 && w->config->sources[source].kind == SOURCE_BROKER)
        world_break(w, "A1: %u messages were taken that this acknowledges too", later);
    if (later > 0)
        WORLD_COUNT(w, ACKNOWLEDGED_IN_PART);
    pass_done(d);
    if (!lost)
        return;
    /* They left, and the connection broke before the broker had them: it delivers all of them
     * again. */
    WORLD_COUNT(w, ACKNOWLEDGEMENT_LOST);
    d->broken[source] = true;
    devices_disconnect(w, source);
}
