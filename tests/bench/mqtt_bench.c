/* Goal: what a PUBLISH costs before anybody looks at its payload: nanoseconds to read it, and to read,
 * account for, commit and acknowledge it.
 * Method: packets of 1,000 devices behind one another in a buffer of 64 KiB, as a socket gives them, and the
 * best of many rounds over it. Prints one JSON line a case.
 * Links: pipeline/mqtt/%.c pipeline/bytes.c pipeline/hash.c */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pipeline/mqtt/connection.h"
#include "tests/lib/mqtt_bytes.h"

enum { BUFFER = 65536, ROUNDS = 400, ACKS = 100 };

static const struct mqtt_offer offer = {
    .packet_bytes_max = 4096, .connect_bytes_max = 512, .receive_maximum = ACKS,
    .exchanges_max = ACKS, .alias_maximum = 16, .alias_bytes = 1024, .send_max = 4,
    .connect_within_ms = 1000, .qos_max = 2, .retain = true,
};

static uint8_t stream[BUFFER];
static size_t stream_bytes, stream_packets;

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct kind {
    const char *name;
    enum mqtt_version version;
    uint8_t qos;
    bool by_alias;
    const char *properties; /* notation */
    bool whole;             /* through a connection, else the codec alone */
};

static const struct kind kinds[] = {
    { "read 3.1.1 QoS 0", MQTT_3_1_1, 0, false, "", false },
    { "read 3.1.1 QoS 1", MQTT_3_1_1, 1, false, "", false },
    { "read 5.0 QoS 1", MQTT_5, 1, false, "()", false },
    { "read 5.0 QoS 1, user property", MQTT_5, 1, false, "(26 {'site'} {'north'})", false },
    { "take 3.1.1 QoS 0", MQTT_3_1_1, 0, false, "", true },
    { "take 3.1.1 QoS 1 and acknowledge", MQTT_3_1_1, 1, false, "", true },
    { "take 5.0 QoS 1 and acknowledge", MQTT_5, 1, false, "()", true },
    { "take 5.0 QoS 1 by alias and acknowledge", MQTT_5, 1, true, "(23 0001)", true },
};

static const char payload[] =
    "'{\"device\":\"dev-0001\",\"ts\":1700000000000,\"metric\":\"temperature\",\"value\":21.50}'";

/* Fill the buffer with packets of a kind. */
static void fill(const struct kind *kind)
{
    stream_bytes = stream_packets = 0;
    for (unsigned i = 0;; i++) {
        size_t bytes;
        char notation[512], topic[64] = "", id[16] = "";
        if (!kind->by_alias)
            snprintf(topic, sizeof topic, "'telemetry/dev-%04u/temperature'", i * 7919 % 1000);
        if (kind->qos > 0)
            snprintf(id, sizeof id, "%04x", 1 + i % ACKS);
        snprintf(notation, sizeof notation, "%02x ({%s} %s %s %s)", 0x30 | kind->qos << 1, topic, id,
                 kind->properties, payload);
        uint8_t *packet = mqtt_noted(notation, &bytes);
        bool fits = stream_bytes + bytes <= BUFFER;
        if (fits)
            memcpy(stream + stream_bytes, packet, bytes);
        free(packet);
        if (!fits)
            return;
        stream_bytes += bytes;
        stream_packets++;
    }
}

static uint64_t read_all(const struct kind *kind)
{
    struct mqtt_rules rules = { kind->version, 4096 };
    struct mqtt_packet packet;
    uint64_t sum = 0;
    for (size_t at = 0; at < stream_bytes;) {
        int used = mqtt_packet_read(rules, stream + at, stream_bytes - at, &packet);
        if (used <= 0)
            abort();
        sum += packet.publish.payload.bytes + packet.publish.topic.bytes;
        at += (size_t)used;
    }
    return sum;
}

static struct mqtt_connection *connected(const struct kind *kind)
{
    static _Alignas(16) uint8_t memory[65536];
    static uint8_t out[512];
    memset(memory, 0, sizeof memory);
    struct arena arena = arena_over(memory, sizeof memory);
    struct mqtt_connection *c = mqtt_connection_init(&offer, &arena);
    struct byte_writer w = { .at = out, .bytes = sizeof out };
    struct mqtt_event event;
    size_t bytes;
    mqtt_connection_open(c, 0);
    uint8_t *connect = mqtt_noted(kind->version == MQTT_5
                                      ? "10 ({'MQTT'} 05 02 0000 () {'d'})"
                                      : "10 ({'MQTT'} 04 02 0000 {'d'})", &bytes);
    struct mqtt_input in = { connect, bytes, 0 };
    if (mqtt_connection_read(c, &in, &w, &event) <= 0 ||
        mqtt_connection_accept(c, &(struct mqtt_accept){ 0 }, 0, &w) != 0)
        abort();
    free(connect);
    uint8_t *first = mqtt_noted("30 ({'telemetry/dev-0001/temperature'} (23 0001))", &bytes);
    in = (struct mqtt_input){ first, bytes, 0 };
    if (kind->version == MQTT_5 && mqtt_connection_read(c, &in, &w, &event) <= 0)
        abort();
    free(first);
    return c;
}

static uint64_t take_all(struct mqtt_connection *c)
{
    static uint8_t out[4096];
    struct byte_writer w = { .at = out, .bytes = sizeof out };
    struct mqtt_event event;
    uint64_t sum = 0;
    for (size_t at = 0; at < stream_bytes;) {
        struct mqtt_input in = { stream + at, stream_bytes - at, 0 };
        int used = mqtt_connection_read(c, &in, &w, &event);
        if (used <= 0)
            abort();
        sum += event.packet.publish.payload.bytes + event.topic.bytes;
        at += (size_t)used;
        if (c->in_flight == ACKS || at == stream_bytes) {
            mqtt_connection_committed(c, c->arrived);
            sum += mqtt_connection_render(c, NULL, &w);
            w.used = 0;
        }
    }
    return sum;
}

int main(void)
{
    uint64_t sum = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        const struct kind *kind = &kinds[k];
        double best = 1;
        fill(kind);
        struct mqtt_connection *c = connected(kind);
        for (int i = 0; i < ROUNDS; i++) {
            double start = seconds();
            sum += kind->whole ? take_all(c) : read_all(kind);
            double took = seconds() - start;
            best = took < best ? took : best;
        }
        double ns = best * 1e9 / (double)stream_packets;
        printf("{\"bench\":\"mqtt\",\"case\":\"%s\",\"ns_per_packet\":%.1f,\"bytes_per_packet\":%zu}\n", kind->name, ns,
               stream_bytes / stream_packets);
    }
    fprintf(stderr, "# %llu\n", (unsigned long long)sum); /* so that the work is not left out */
    return 0;
}
