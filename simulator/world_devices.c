/* world_devices: four devices and the broker in front: persistent session, QoS 1, in order, again
 * after every break. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "simulator/world_state.h"

static struct world_message *add_message(struct world *w)
{
    struct world_devices *d = &w->devices;
    assert(d->count < WORLD_MESSAGES_MAX);
    struct world_message *m = &d->messages[d->count];
    memset(m, 0, sizeof *m);
    m->same_as = d->count++;
    w->outcome.messages++;
    return m;
}

static struct world_message measure(struct world *w, uint32_t device)
{
    struct world_message m = { .kind = MESSAGE_GOOD, .device = device };
    double noise = chance_between(&w->chance, -1.0, 1.0);
    bool anomalous = world_chance(w, 15);
    m.sequence = ++w->devices.sequence[device];
    m.device_time_ms = w->wall_ms;
    (void)snprintf(m.topic, sizeof m.topic, "telemetry/d%u/temp", device);
    (void)snprintf(m.payload, sizeof m.payload,
                   "{\"device\":\"d%u\",\"ts\":%lld,\"seq\":%llu,\"value\":%.3f}", device,
                   (long long)m.device_time_ms, (unsigned long long)m.sequence,
                   20.0 + noise + (anomalous ? 90.0 : 0.0));
    return m;
}

static void publish(struct world *w, struct world_message message)
{
    struct world_message *m = add_message(w);
    message.same_as = m->same_as;
    *m = message;
}

/* Most are published at once; some are kept by the device for a while, and come late and out of
 * order. */
static void publish_good(struct world *w, uint32_t device)
{
    struct world_devices *d = &w->devices;
    struct world_message m = measure(w, device);
    if (d->late_count < WORLD_LATE_MAX && world_chance(w, 12))
        d->late[d->late_count++] = m;
    else
        publish(w, m);
}

static void publish_late(struct world *w)
{
    struct world_devices *d = &w->devices;
    if (d->late_count == 0 || d->count == WORLD_MESSAGES_MAX || !(w->healing || world_chance(w, 8)))
        return;
    publish(w, d->late[0]);
    d->late_count--;
    memmove(d->late, d->late + 1, d->late_count * sizeof d->late[0]);
    WORLD_COUNT(w, MESSAGE_LATE);
}

static void publish_bad(struct world *w, uint32_t device)
{
    static const char *const payloads[] = {
        "{\"device\":\"d0\",", "{\"value\":1e999}", "\xff\xfe",
        "{\"device\":\"other\",\"value\":1,\"ts\":1790000000000}"
    };
    struct world_message *m = add_message(w);
    m->kind = MESSAGE_BAD;
    m->device = device;
    (void)snprintf(m->topic, sizeof m->topic, "telemetry/d%u/temp", device);
    (void)snprintf(m->payload, sizeof m->payload, "%s",
                   payloads[chance_below(&w->chance, sizeof payloads / sizeof payloads[0])]);
    WORLD_COUNT(w, MESSAGE_MALFORMED);
}

static void publish_again(struct world *w)
{
    struct world_devices *d = &w->devices;
    if (d->count == 0)
        return;
    uint32_t which = d->messages[chance_below(&w->chance, d->count)].same_as;
    struct world_message *m = add_message(w);
    uint32_t index = m->same_as;
    (void)index;
    *m = d->messages[which];
    m->same_as = which;
    m->delivered = m->ever_delivered = m->acknowledged = m->done = false;
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
            publish_bad(w, device);
        else if (world_chance(w, 14))
            publish_again(w);
        else
            publish_good(w, device);
    }
}

void devices_disconnect(struct world *w)
{
    struct world_devices *d = &w->devices;
    d->connected = false;
    for (uint32_t i = d->oldest_open; i < d->count; i++)
        d->messages[i].delivered = false;
}

void devices_deliver(struct world *w)
{
    struct world_devices *d = &w->devices;
    uint32_t most = 1 + chance_below(&w->chance, 12);
    uint32_t given = 0;
    for (uint32_t i = d->oldest_open; i < d->count && given < most && !w->dead; i++) {
        struct world_message *m = &d->messages[i];
        if (m->done || m->delivered)
            continue;
        if (!gateway_may_take(w->gateway, w->source))
            return;
        m->delivered = true;
        WORLD_COUNT(w, MESSAGE_TAKEN);
        if (m->ever_delivered)
            WORLD_COUNT(w, MESSAGE_REDELIVERED);
        m->ever_delivered = true;
        struct message message = { .source = w->source,
                                   .qos = 1,
                                   .topic = text_of(m->topic),
                                   .payload = text_of(m->payload) };
        m->number = gateway_on_message(w->gateway, &message).number;
        given++;
        (void)world_dies(w, WORLD_KILLED_AFTER_MESSAGE);
    }
    if (given < most && !w->dead)
        gateway_on_drained(w->gateway, w->source);
}

/* What was taken up to this number; with a broker in front that is all of it. */
void devices_acknowledge(struct world *w, uint64_t number)
{
    struct world_devices *d = &w->devices;
    bool lost = !w->healing && world_chance(w, 30);
    uint32_t later = 0;
    for (uint32_t i = d->oldest_open; i < d->count; i++) {
        struct world_message *m = &d->messages[i];
        if (!m->delivered || m->done)
            continue;
        if (m->number > number) {
            later++;
            continue;
        }
        m->acknowledged = true;
        m->done = !lost;
    }
    if (later > 0 && w->source == 0)
        world_break(w, "A8: %u messages were taken that this would acknowledge too", later);
    if (later > 0)
        WORLD_COUNT(w, ACKNOWLEDGED_IN_PART);
    while (d->oldest_open < d->count && d->messages[d->oldest_open].done)
        d->oldest_open++;
    if (!lost)
        return;
    /* They left, and the connection broke before the broker had them: it delivers all of them
     * again. */
    WORLD_COUNT(w, ACKNOWLEDGEMENT_LOST);
    devices_disconnect(w);
}

bool devices_quiet(const struct world *w)
{
    return w->devices.oldest_open == w->devices.count &&
           (w->devices.late_count == 0 || w->devices.count == WORLD_MESSAGES_MAX);
}
