#include "simulator/cloud.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "pipeline/timestamp.h"
#include "simulator/clock.h"
#include "simulator/cloud_link.h"
#include "simulator/cloud_store.h"
#include "simulator/settings.h"

enum {
    WAIT_MS = 50,
    RECEIPT_EVERY_MS = 1000,
    RECEIPT_PROGRESS_MS = 100, /* sooner than that no receipt follows another */
    HOLE_AGE_MS = 2000,        /* rows may overtake each other: wait before asking */
    ASK_EVERY_MS = 5000,
    ASKS_MAX = 6,              /* then the hole is given up: its rows no longer exist */
    LANES_KNOWN_MAX = 256
};

struct asked { /* a hole that was asked for */
    uint64_t from;
    uint32_t times;
    int64_t last_ms;
};

struct cloud {
    const char *host, *client_id, *ca_file, *cert_file, *key_file, *db_file;
    uint64_t port;
    bool print, json, report, no_receipts;
    struct cloud_store *store;
    struct cloud_link *link;
    bool open;                 /* a transaction */
    bool failed;
    int64_t receipt_ms;        /* of the last receipts */
    bool progress;             /* since then */
    uint32_t lane_count;
    struct cloud_lane lanes[LANES_KNOWN_MAX];
    struct asked asked[LANES_KNOWN_MAX]; /* by the order of lanes, which only grows seldom */
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static int settings_read(struct cloud *c, int argc, char **argv)
{
    const struct setting table[] = {
        { "host", SETTING_TEXT, &c->host, "localhost", "the cloud's broker" },
        { "port", SETTING_COUNT, &c->port, "8883", "its port" },
        { "ca", SETTING_TEXT, &c->ca_file, NULL, "certificate that the broker's must lead to" },
        { "cert", SETTING_TEXT, &c->cert_file, NULL, "our certificate" },
        { "key", SETTING_TEXT, &c->key_file, NULL, "its key" },
        { "client-id", SETTING_TEXT, &c->client_id, "weir-cloud", "" },
        { "db", SETTING_TEXT, &c->db_file, "cloud.db", "SQLite file to keep everything in" },
        { "print", SETTING_FLAG, &c->print, NULL, "each alert as it takes effect" },
        { "json", SETTING_FLAG, &c->json, NULL, "print alerts as they came, a line each" },
        { "no-receipts", SETTING_FLAG, &c->no_receipts, NULL, "never say what has arrived" },
        { "report", SETTING_FLAG, &c->report, NULL, "only print the report of --db and leave" },
        { 0 },
    };
    const struct command_text text = {
        "weir-sim cloud --ca FILE --cert FILE --key FILE [options]",
        "The receiver: subscribes to weir/+/alerts, results and raw, applies each revision at\n"
        "most once and in order, keeps everything in SQLite, sends receipts and asks for holes.\n"
        "At the end (Ctrl-C) it prints one JSON object. Without --ca it speaks plain MQTT.",
    };
    return settings_parse(table, text, argc, argv);
}

static void alert_print(const struct cloud *c, const struct cloud_event *e, int64_t arrived_ms)
{
    if (c->json) {
        printf("%.*s\n", (int)e->payload.bytes, e->payload.at);
        return;
    }
    char at[TIMESTAMP_BYTES];
    timestamp_print(arrived_ms, at);
    printf("%.12s  %-8s %-8s %s/%s  %s", at + 11, e->transition, e->severity, e->device, e->metric,
           e->rule);
    if (e->has_observed)
        printf("  observed %.6g", e->observed);
    if (strcmp(e->transition, "cleared") != 0) /* that one waits to be sure: no delay to speak of */
        printf("  after %.3f s", (double)(arrived_ms - e->event_ms) * 1e-3);
    puts(e->learning ? "  (learning)" : "");
}

/* weir/{gateway}/{lane} */
static bool topic_split(const char *topic, char gateway[CLOUD_WORD_BYTES], char lane[16])
{
    return sscanf(topic, "weir/%71[^/]/%15[^/]", gateway, lane) == 2;
}

static void on_arrived(void *ctx, const char *topic, struct text payload)
{
    static struct cloud_event event; /* large */
    struct cloud *c = ctx;
    char gateway[CLOUD_WORD_BYTES], lane[16];
    if (c->failed || !topic_split(topic, gateway, lane))
        return;
    int64_t now_ms = clock_wall_ms();
    enum cloud_effect effect;
    cloud_event_read(&event, lane, payload);
    c->failed = !c->open && cloud_store_begin(c->store) != 0;
    c->open = !c->failed;
    if (c->failed || cloud_store_apply(c->store, gateway, &event, now_ms, &effect) != 0) {
        c->failed = true;
        return;
    }
    c->progress = true;
    if (effect == CLOUD_FAULTY)
        fprintf(stderr, "weir-sim cloud: %s: %s\n", topic, event.fault);
    if (c->print && event.kind == CLOUD_ALERT && effect == CLOUD_APPLIED)
        alert_print(c, &event, now_ms);
}

static void on_lane(void *ctx, const struct cloud_lane *lane)
{
    struct cloud *c = ctx;
    if (c->lane_count < LANES_KNOWN_MAX)
        c->lanes[c->lane_count++] = *lane;
}

static void lane_publish(struct cloud *c, const struct cloud_lane *lane, const char *what,
                         const char *text)
{
    char topic[128];
    (void)snprintf(topic, sizeof topic, "weir/%s/%s", lane->gateway, what); /* fits */
    cloud_link_publish(c->link, topic, text_of(text));
}

/* One receipt for each store: its lanes stand next to each other. Returns the next store's
 * index. */
static uint32_t receipt_send(struct cloud *c, uint32_t first)
{
    char text[256];
    int bytes = snprintf(text, sizeof text, "{\"store\":\"%s\",\"lanes\":{", c->lanes[first].store);
    uint32_t i = first;
    for (; i < c->lane_count && strcmp(c->lanes[i].store, c->lanes[first].store) == 0; i++)
        bytes += snprintf(text + bytes, sizeof text - (size_t)bytes, "%s\"%s\":%" PRIu64,
                          i > first ? "," : "", c->lanes[i].lane, c->lanes[i].contiguous);
    bytes += snprintf(text + bytes, sizeof text - (size_t)bytes, "}}");
    assert((size_t)bytes < sizeof text); /* at most three lanes of a store */
    lane_publish(c, &c->lanes[first], "receipt", text);
    return i;
}

static void hole_ask(struct cloud *c, const struct cloud_lane *lane, struct asked *asked,
                     int64_t now_ms)
{
    char text[160];
    (void)snprintf(text, sizeof text,
                   "{\"store\":\"%s\",\"lane\":\"%s\",\"from\":%" PRIu64 ",\"to\":%" PRIu64 "}",
                   lane->store, lane->lane, lane->contiguous + 1, lane->hole_to); /* fits */
    lane_publish(c, lane, "replay", text);
    fprintf(stderr, "weir-sim cloud: asked for %s\n", text);
    asked->last_ms = now_ms;
    asked->times++;
}

static void hole_look(struct cloud *c, uint32_t index, int64_t now_ms)
{
    const struct cloud_lane *lane = &c->lanes[index];
    struct asked *asked = &c->asked[index];
    if (lane->hole_to == 0 || now_ms - lane->moved_ms < HOLE_AGE_MS)
        return;
    if (asked->from != lane->contiguous + 1)
        *asked = (struct asked){ .from = lane->contiguous + 1 };
    if (asked->times > 0 && now_ms - asked->last_ms < ASK_EVERY_MS)
        return;
    if (asked->times < ASKS_MAX) {
        hole_ask(c, lane, asked, now_ms);
        return;
    }
    fprintf(stderr, "weir-sim cloud: gave up a hole in %s of %s\n", lane->lane, lane->gateway);
    c->failed = cloud_store_begin(c->store) != 0 ||
                cloud_store_give_up(c->store, lane, now_ms) != 0 ||
                cloud_store_commit(c->store) != 0;
}

/* Only what is committed may be receipted. */
static void receipts_turn(struct cloud *c, int64_t now_ms)
{
    int64_t since_ms = now_ms - c->receipt_ms;
    if (!cloud_link_connected(c->link) || since_ms < RECEIPT_PROGRESS_MS ||
        (!c->progress && since_ms < RECEIPT_EVERY_MS))
        return;
    c->lane_count = 0;
    c->failed = c->failed || cloud_store_lanes(c->store, c, on_lane) != 0;
    for (uint32_t i = 0; i < c->lane_count && !c->no_receipts;)
        i = receipt_send(c, i);
    for (uint32_t i = 0; i < c->lane_count && !c->failed; i++)
        hole_look(c, i, now_ms);
    c->receipt_ms = now_ms;
    c->progress = false;
}

static void commit(struct cloud *c)
{
    if (c->open && !c->failed)
        c->failed = cloud_store_commit(c->store) != 0;
    c->open = false;
    (void)fflush(stdout); /* printed alerts are shown at once */
}

static int receive(struct cloud *c)
{
    const struct cloud_link_config link = {
        .host = c->host, .port = (int)c->port, .client_id = c->client_id, .ca_file = c->ca_file,
        .cert_file = c->cert_file, .key_file = c->key_file, .arrived = on_arrived, .ctx = c,
    };
    c->link = cloud_link_open(&link);
    if (c->link == NULL)
        return 1;
    while (!stop_asked && !c->failed) {
        int64_t now_ms = clock_wall_ms();
        cloud_link_turn(c->link, now_ms, WAIT_MS);
        commit(c);
        receipts_turn(c, now_ms);
    }
    cloud_link_close(c->link);
    return c->failed ? 1 : 0;
}

int cloud_main(int argc, char **argv)
{
    static struct cloud c;
    int parsed = settings_read(&c, argc, argv);
    if (parsed != 0)
        return parsed > 0 ? 0 : 2;
    if (c.port < 1 || c.port > 65535) {
        fprintf(stderr, "weir-sim cloud: --port is 1 to 65535\n");
        return 2;
    }
    struct sigaction action = { .sa_handler = on_signal };
    (void)sigaction(SIGINT, &action, NULL); /* cannot fail for these */
    (void)sigaction(SIGTERM, &action, NULL);
    c.store = cloud_store_open(c.db_file);
    if (c.store == NULL)
        return 1;
    int code = c.report ? 0 : receive(&c);
    if (cloud_store_report(c.store, stdout) != 0)
        code = 1;
    cloud_store_close(c.store);
    return code;
}
