/* world_messages: what devices say. A message's bytes follow from the struct, so a broker that
 * delivers it again delivers the same. */
#include <assert.h>
#include <stdio.h>

#include "simulator/world_state.h"

enum { FUTURE_MS = 36000000, BATCH_MAX = 6, BATCH_STEP_MS = 10, METRICS = 4, SENSOR_BROKEN = 40 };

enum shape { SHAPE_ONE, SHAPE_METRICS, SHAPE_BATCH };

static const struct device_kind {
    uint32_t source;
    enum shape shape;
    bool numbered; /* its messages carry a sequence */
    bool reboots;  /* and it begins again at 1; then its clock is never set back (dedup.h) */
} KINDS[WORLD_DEVICES] = {
    { 0, SHAPE_ONE, true, false },     { 0, SHAPE_ONE, true, true },
    { 1, SHAPE_METRICS, true, false }, { 1, SHAPE_BATCH, true, false },
    { 0, SHAPE_ONE, false, false },    { 2, SHAPE_ONE, true, false },
};

/* Without a number a message is known by its time, which then must be its own. */
static int64_t device_time(struct world *w, uint32_t device)
{
    struct world_devices *d = &w->devices;
    const struct device_kind *kind = &KINDS[device];
    if (!kind->reboots && kind->numbered && !w->healing && world_chance(w, 60)) {
        d->clock_error_ms[device] = (int64_t)chance_below(&w->chance, 20000) - 10000;
        WORLD_COUNT(w, DEVICE_CLOCK_STEPPED);
    }
    int64_t time_ms = w->true_ms + d->clock_error_ms[device];
    if (!kind->numbered && time_ms <= d->last_ms[device])
        time_ms = d->last_ms[device] + 1;
    d->last_ms[device] = time_ms;
    return time_ms;
}

/* What dedup.h says of a device that counts from the start again: its first number must come first,
 * at a time later than any before, and no run may have been forgotten. */
static bool reboots_now(struct world *w, uint32_t device)
{
    struct world_devices *d = &w->devices;
    if (!KINDS[device].reboots || w->plan.ranges < DEDUP_RANGES_MAX || w->healing ||
        d->sequence[device] < 5 || w->true_ms <= d->last_ms[device] || !world_chance(w, 25))
        return false;
    d->sequence[device] = 0;
    WORLD_COUNT(w, DEVICE_REBOOTED);
    return true;
}

static uint32_t draw_readings(struct world *w, enum shape shape)
{
    switch (shape) {
    case SHAPE_ONE:
        return 1;
    case SHAPE_METRICS:
        return w->plan.storms ? WORLD_READINGS_MAX : METRICS;
    case SHAPE_BATCH:
        return 1 + chance_below(&w->chance, BATCH_MAX);
    }
    return 0;
}

/* The device's next message. False: it must be published before any other of the device. */
bool message_measure(struct world *w, uint32_t device, struct world_message *m)
{
    const struct device_kind *kind = &KINDS[device];
    bool rebooted = reboots_now(w, device);
    *m = (struct world_message){
        .kind = world_chance(w, 60) ? MESSAGE_FUTURE : MESSAGE_GOOD,
        .device = device,
        .source = kind->source,
        .sequence = kind->numbered ? ++w->devices.sequence[device] : 0,
        .readings = draw_readings(w, kind->shape),
        .anomalous = world_chance(w, kind->shape == SHAPE_METRICS ? 3 : 15),
        .noise = chance_next(&w->chance),
    };
    m->broken = w->plan.alarms && !m->anomalous && m->noise % SENSOR_BROKEN == 0;
    m->time_ms = device_time(w, device);
    if (kind->reboots || kind->shape == SHAPE_METRICS)
        m->kind = MESSAGE_GOOD;
    if (m->kind == MESSAGE_FUTURE)
        m->time_ms += FUTURE_MS;
    m->bad_reading = kind->shape == SHAPE_BATCH && m->readings > 1 && world_chance(w, 6);
    return !rebooted;
}

struct world_message message_bad(struct world *w, uint32_t device)
{
    return (struct world_message){ .kind = MESSAGE_BAD,
                                   .device = device,
                                   .source = KINDS[device].source,
                                   .readings = 1,
                                   .noise = chance_next(&w->chance) };
}

int64_t message_time_ms(const struct world_message *m, uint32_t index)
{
    bool own = KINDS[m->device].shape == SHAPE_BATCH;
    return m->time_ms + (own ? (int64_t)index * BATCH_STEP_MS : 0);
}

bool message_reading_is_good(const struct world_message *m, uint32_t index)
{
    return m->kind != MESSAGE_BAD && index < m->readings && !(m->bad_reading && index == 1);
}

static double value_of(const struct world_message *m, uint64_t *noise)
{
    if (m->broken)
        return -127; /* as a sensor says it that is pulled off */
    return 20.0 + chance_between(noise, -1.0, 1.0) + (m->anomalous ? 90.0 : 0.0);
}

double message_value(const struct world_message *m, uint32_t index)
{
    uint64_t noise = m->noise;
    for (uint32_t i = 0; i < index; i++)
        (void)value_of(m, &noise);
    return value_of(m, &noise);
}

static void render_bad(const struct world_message *m, char *payload)
{
    static const char *const payloads[] = {
        "{\"device\":\"d0\",", "{\"value\":1e999}", "\xff\xfe", "[]",
        "{\"device\":\"other\",\"value\":1,\"ts\":1790000000000}"
    };
    (void)snprintf(payload, WORLD_PAYLOAD_BYTES, "%s",
                   payloads[m->noise % (sizeof payloads / sizeof payloads[0])]);
}

static void render_one(const struct world_message *m, char *payload)
{
    uint64_t noise = m->noise;
    char sequence[40] = "";
    if (m->sequence != 0)
        (void)snprintf(sequence, sizeof sequence, "\"seq\":%llu,", (unsigned long long)m->sequence);
    (void)snprintf(payload, WORLD_PAYLOAD_BYTES,
                   "{\"device\":\"d%u\",\"ts\":%lld,%s\"value\":%.3f}", m->device,
                   (long long)m->time_ms, sequence, value_of(m, &noise));
}

static void render_metrics(const struct world_message *m, char *payload)
{
    uint64_t noise = m->noise;
    int used = snprintf(payload, WORLD_PAYLOAD_BYTES, "{\"ts\":%lld,\"seq\":%llu,\"values\":",
                        (long long)m->time_ms, (unsigned long long)m->sequence);
    for (uint32_t i = 0; i < m->readings; i++)
        used += snprintf(payload + used, WORLD_PAYLOAD_BYTES - (size_t)used, "%s\"m%u\":%.1f",
                         i == 0 ? "{" : ",", i, value_of(m, &noise));
    (void)snprintf(payload + used, WORLD_PAYLOAD_BYTES - (size_t)used, "}}");
}

static void render_batch(const struct world_message *m, char *payload)
{
    uint64_t noise = m->noise;
    int used = snprintf(payload, WORLD_PAYLOAD_BYTES, "{\"seq\":%llu,\"batch\":",
                        (unsigned long long)m->sequence);
    for (uint32_t i = 0; i < m->readings; i++) {
        double value = value_of(m, &noise);
        used += snprintf(payload + used, WORLD_PAYLOAD_BYTES - (size_t)used, "%s{\"t\":%lld",
                         i == 0 ? "[" : ",", (long long)message_time_ms(m, i));
        if (message_reading_is_good(m, i))
            used += snprintf(payload + used, WORLD_PAYLOAD_BYTES - (size_t)used, ",\"v\":%.3f",
                             value);
        used += snprintf(payload + used, WORLD_PAYLOAD_BYTES - (size_t)used, "}");
    }
    (void)snprintf(payload + used, WORLD_PAYLOAD_BYTES - (size_t)used, "]}");
}

void message_render(const struct world_message *m, char *topic, char *payload)
{
    static const char *const topics[] = { "telemetry/d%u/temp", "", "radio/d%u/temp" };
    enum shape shape = KINDS[m->device].shape;
    const char *format = shape == SHAPE_METRICS ? "metrics/d%u"
                         : shape == SHAPE_BATCH ? "batch/d%u/temp"
                                                : topics[m->source];
    (void)snprintf(topic, WORLD_TOPIC_BYTES, format, m->device);
    if (m->kind == MESSAGE_BAD)
        render_bad(m, payload);
    else if (shape == SHAPE_METRICS)
        render_metrics(m, payload);
    else if (shape == SHAPE_BATCH)
        render_batch(m, payload);
    else
        render_one(m, payload);
}
