#include "simulator/fleet.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/clock.h"

enum { WAIT_MAX_MS = 20, PROGRESS_EVERY_MS = 5000, DRAIN_AFTER_SIGNAL_MS = 5000 };

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked++;
}

static int config_parse(struct fleet_config *c, int argc, char **argv)
{
    const struct setting table[] = {
        { "host", SETTING_TEXT, &c->host, "127.0.0.1", "the broker" },
        { "port", SETTING_COUNT, &c->port, "1883", "its port" },
        { "devices", SETTING_COUNT, &c->devices, NULL, "virtual devices [500; with --csv 0]" },
        { "metrics", SETTING_COUNT, &c->metrics, "1", "of each device, 1 to 4" },
        { "rate", SETTING_NUMBER, &c->rate, "10", "readings a second of each device and metric" },
        { "duration", SETTING_DURATION, &c->duration_ms, "60s", "0s: until stopped" },
        { "seed", SETTING_COUNT, &c->seed, "1", "of everything that is drawn" },
        { "connections", SETTING_COUNT, &c->connections, "8",
          "that the devices share, 1 to 4096" },
        { "ca", SETTING_TEXT, &c->ca_file, NULL, "over TLS; who signed the broker's certificate" },
        { "logins", SETTING_TEXT, &c->logins_file, NULL,
          "a line a device, its name and password: a connection each" },
        { "pending", SETTING_COUNT, &c->pending, "131072", "messages kept without a PUBACK" },
        { "in-flight", SETTING_COUNT, &c->in_flight, "500", "of them sent, a connection" },
        { "drain", SETTING_DURATION, &c->drain_ms, "60s", "wait at most for the last PUBACKs" },
        { "clean-for", SETTING_DURATION, &c->clean_ms, "30s", "no fault begins before" },
        { "faults", SETTING_TEXT, &c->faults, "spike,shift,stuck",
          "kinds: spike shift stuck dropout noise drift" },
        { "fault-every", SETTING_DURATION, &c->fault_every_ms, "60s",
          "mean time between a series' faults; 0s: none" },
        { "late", SETTING_SHARE, &c->late, "0%", "of messages, held back for --late-by" },
        { "late-by", SETTING_DURATION, &c->late_by_ms, "5s", "" },
        { "reordered", SETTING_SHARE, &c->reordered, "0%", "sent behind the device's next one" },
        { "repeated", SETTING_SHARE, &c->repeated, "0%",
          "sent again, byte for byte, 0.7 s later" },
        { "malformed", SETTING_SHARE, &c->malformed, "0%", "unreadable messages added" },
        { "wrong-clocks", SETTING_SHARE, &c->wrong_clocks, "0%",
          "of devices, 10 min to 2 h off; these have no faults" },
        { "max-skew", SETTING_DURATION, &c->max_skew_ms, "5m",
          "ahead: a gateway must refuse it" },
        { "csv", SETTING_LIST, &c->csv, NULL, "FILE[:device] of timestamp,value to replay" },
        { "speed", SETTING_NUMBER, &c->speed, "1", "of the replay" },
        { "keep-times", SETTING_FLAG, &c->keep_times, NULL, "replay the series' own times" },
        { "truth", SETTING_TEXT, &c->truth_file, NULL, "write what was done, for `report`" },
        { "acked", SETTING_TEXT, &c->acked_file, NULL, "write what the broker acknowledged" },
        { "progress", SETTING_FLAG, &c->progress, NULL, "a line on stderr every 5 s" },
        { "json", SETTING_FLAG, &c->json, NULL, "print the totals as JSON" },
        { 0 },
    };
    const struct command_text text = {
        "weir-sim fleet [options]",
        "Virtual devices on real MQTT connections: QoS 1, JSON on telemetry/{device}/{metric}.\n"
        "Each message is kept until its PUBACK and published again after a reconnection.\n"
        "A device's signal is base, daily cycle, drift and noise; magnitudes of faults are in\n"
        "standard deviations of its noise. Messages of a fault travel undisturbed, so that a\n"
        "report measures detection, not luck. Exit 0 when everything was acknowledged, else 1.",
    };
    c->devices = UINT64_MAX;
    return settings_parse(table, text, argc, argv);
}

static int config_check(struct fleet_config *c)
{
    if (c->devices == UINT64_MAX)
        c->devices = c->csv.count > 0 ? 0 : 500;
    if (c->logins_file != NULL)
        c->connections = c->devices + c->csv.count;
    const char *wrong =
        c->port < 1 || c->port > 65535 ? "--port is 1 to 65535"
        : c->devices > 100000 ? "--devices is at most 100000"
        : c->metrics < 1 || c->metrics > SIGNAL_METRICS ? "--metrics is 1 to 4"
        : c->rate < 0.001 || c->rate > 1000 ? "--rate is 0.001 to 1000"
        : c->connections < 1 || c->connections > 4096 ? "--connections is 1 to 4096"
        : c->pending < c->connections || c->pending > 4000000 ? "--pending is up to 4000000"
        : c->in_flight < 1 || c->in_flight > 65535 ? "--in-flight is 1 to 65535"
        : fault_kinds_of(c->faults) == 0 && c->fault_every_ms > 0 ? "--faults: unknown kind"
        : c->late + c->reordered > 1 ? "--late and --reordered are over 100% together"
        : c->speed < 0.001 ? "--speed is 0.001 or more" : NULL;
    if (wrong != NULL)
        fprintf(stderr, "weir-sim fleet: %s\n", wrong);
    return wrong == NULL ? 0 : -1;
}

struct fleet {
    struct fleet_config config;
    struct fleet_link *link;
    struct fleet_login *logins; /* [config.connections], or NULL */
    struct fleet_outlet outlet;
    struct fleet_devices *devices;
    struct fleet_replay *replay;
    FILE *truth, *acked;
    int64_t start_ms;
    uint64_t lines;      /* acknowledged readings, each once */
    bool connected;      /* all connections, as last told */
};

static void message_tell(struct fleet *f, const struct fleet_message *m, int64_t acked_ms)
{
    if (m->repeat)
        return; /* a repetition, or a message that is no reading */
    f->lines += acked_ms != 0;
    if (f->acked != NULL)
        fprintf(f->acked,
                "{\"device\":\"%s\",\"metric\":\"%s\",\"seq\":%" PRIu64
                ",\"published_ms\":%" PRId64 ",\"acked_ms\":%" PRId64 ",\"expect\":\"%s\"}\n",
                m->device_name, m->metric_name, m->sequence, m->published_ms, acked_ms,
                m->expect == EXPECT_STORED ? "stored" : "rejected");
}

static void on_acked(void *ctx, const struct fleet_message *message)
{
    message_tell(ctx, message, clock_wall_ms());
}

static void on_unacked(void *ctx, const struct fleet_message *message)
{
    message_tell(ctx, message, 0);
}

static bool file_open(const char *path, FILE **to)
{
    if (path == NULL)
        return true;
    *to = fopen(path, "w");
    if (*to == NULL)
        fprintf(stderr, "weir-sim fleet: %s: %s\n", path, strerror(errno));
    return *to != NULL;
}

static void truth_begin(struct fleet *f)
{
    const struct fleet_config *c = &f->config;
    char text[256];
    (void)snprintf(text, sizeof text,
                   "\"rate\":%g,\"late\":%g,\"reordered\":%g,\"repeated\":%g,\"malformed\":%g,"
                   "\"wrong_clocks\":%g,\"start_ms\":%" PRId64 ",\"clean_ms\":%" PRId64,
                   c->rate, c->late, c->reordered, c->repeated, c->malformed, c->wrong_clocks,
                   f->start_ms, c->clean_ms); /* nine numbers: fits */
    truth_fleet(f->truth, c->seed, c->devices + c->csv.count, text);
}

/* As many as there are devices, in their order. */
static bool logins_read(struct fleet *f)
{
    const struct fleet_config *c = &f->config;
    if (c->logins_file == NULL)
        return true;
    FILE *file = fopen(c->logins_file, "r");
    f->logins = calloc((size_t)c->connections, sizeof *f->logins);
    uint64_t count = 0;
    static_assert(FLEET_NAME_BYTES_MAX == 40, "the format below says so");
    while (file != NULL && f->logins != NULL && count < c->connections &&
           fscanf(file, "%39s %39s", f->logins[count].name, f->logins[count].password) == 2)
        count++;
    if (file == NULL || count < c->connections)
        fprintf(stderr, "weir-sim fleet: %s: %s\n", c->logins_file,
                file == NULL ? strerror(errno) : "not a name and password for each device");
    if (file != NULL)
        (void)fclose(file); /* read only */
    return count == c->connections;
}

static bool fleet_open(struct fleet *f)
{
    const struct fleet_config *c = &f->config;
    if (!logins_read(f))
        return false;
    const struct fleet_link_config link = {
        .host = c->host, .port = (int)c->port, .connections = (uint32_t)c->connections,
        .ca_file = c->ca_file, .logins = f->logins,
        .pending_max = (uint32_t)c->pending, .in_flight = (uint32_t)c->in_flight, .seed = c->seed,
        .acked = on_acked, .ctx = f,
    };
    if (!file_open(c->truth_file, &f->truth) || !file_open(c->acked_file, &f->acked))
        return false;
    f->start_ms = clock_wall_ms();
    truth_begin(f);
    f->link = fleet_link_open(&link);
    if (f->link == NULL || outlet_open(&f->outlet, c, f->link) != 0)
        return false;
    f->devices = devices_open(c, f->start_ms, f->truth);
    f->replay = replay_open(c, f->start_ms, (uint32_t)c->devices);
    return f->devices != NULL && f->replay != NULL;
}

static void fleet_close(struct fleet *f)
{
    if (f->devices != NULL)
        devices_close(f->devices);
    if (f->replay != NULL)
        replay_close(f->replay);
    outlet_close(&f->outlet);
    if (f->link != NULL)
        fleet_link_close(f->link);
    free(f->logins);
}

static void progress_print(const struct fleet *f, int64_t now_ms)
{
    struct fleet_link_counts n = fleet_link_counts(f->link);
    fprintf(stderr,
            "fleet %5.1f s: published %" PRIu64 ", acknowledged %" PRIu64 ", pending %" PRIu64
            ", connections %" PRIu32 "\n",
            (double)(now_ms - f->start_ms) * 1e-3, f->outlet.totals.published, f->lines,
            n.pending, n.connected);
}

/* Whoever measures an outage wants to know when the last device is back. */
static void connections_tell(struct fleet *f)
{
    bool connected = fleet_link_counts(f->link).connected == f->config.connections;
    if (connected != f->connected && f->config.progress)
        fprintf(stderr, "fleet: %s\n", connected ? "connected" : "connection lost");
    f->connected = connected;
}

static int wait_of(int64_t next_ms, int64_t now_ms)
{
    if (next_ms <= now_ms)
        return 1;
    return next_ms - now_ms < WAIT_MAX_MS ? (int)(next_ms - now_ms) : WAIT_MAX_MS;
}

/* Until every reading has been published, or somebody asked to stop. */
static void publish_all(struct fleet *f)
{
    int64_t progress_ms = f->start_ms + PROGRESS_EVERY_MS;
    for (;;) {
        int64_t now_ms = clock_wall_ms();
        int64_t next_ms = devices_turn(f->devices, &f->outlet, now_ms);
        int64_t replay_ms = replay_turn(f->replay, &f->outlet, now_ms);
        next_ms = replay_ms < next_ms ? replay_ms : next_ms;
        if (next_ms == INT64_MAX || stop_asked)
            return;
        outlet_turn(&f->outlet, now_ms, false);
        fleet_link_turn(f->link, now_ms, wait_of(next_ms, now_ms));
        connections_tell(f);
        if (f->config.progress && now_ms >= progress_ms) {
            progress_print(f, now_ms);
            progress_ms += PROGRESS_EVERY_MS;
        }
    }
}

static void drain(struct fleet *f)
{
    int64_t now_ms = clock_wall_ms();
    int64_t until_ms = now_ms + (stop_asked ? DRAIN_AFTER_SIGNAL_MS : f->config.drain_ms);
    int signals = stop_asked;
    for (; now_ms < until_ms && stop_asked == signals; now_ms = clock_wall_ms()) {
        outlet_turn(&f->outlet, now_ms, true);
        if (outlet_empty(&f->outlet) && fleet_link_counts(f->link).pending == 0)
            return;
        fleet_link_turn(f->link, now_ms, WAIT_MAX_MS);
    }
}

static void totals_print(const struct fleet *f)
{
    const struct fleet_totals *t = &f->outlet.totals;
    struct fleet_link_counts n = fleet_link_counts(f->link);
    const char *form = f->config.json
        ? "{\"published\":%" PRIu64 ",\"acknowledged\":%" PRIu64 ",\"unacknowledged\":%" PRIu64
          ",\"withheld\":%" PRIu64 ",\"late\":%" PRIu64 ",\"reordered\":%" PRIu64
          ",\"repeated\":%" PRIu64 ",\"malformed\":%" PRIu64 ",\"sent_again\":%" PRIu64
          ",\"connects\":%" PRIu64
        : "published %" PRIu64 ", acknowledged %" PRIu64 ", unacknowledged %" PRIu64
          "; withheld %" PRIu64 ", late %" PRIu64 ", reordered %" PRIu64 ", repeated %" PRIu64
          ", malformed %" PRIu64 ", sent again %" PRIu64 ", connects %" PRIu64;
    printf(form, t->published, f->lines, n.pending, t->withheld, t->late, t->reordered,
           t->repeated, t->malformed, n.sent_again, n.connects);
    printf(f->config.json ? ",\"faults\":{" : "; faults:");
    for (uint32_t k = 0; k < FAULT_KINDS; k++)
        printf(f->config.json ? "%s\"%s\":%" PRIu64 : "%s %s %" PRIu64, k > 0 ? "," : "",
               fault_name(k), t->faults[k]);
    puts(f->config.json ? "}}" : "");
}

static bool file_close(FILE *file, const char *path)
{
    if (file == NULL || fclose(file) == 0)
        return true;
    fprintf(stderr, "weir-sim fleet: %s: %s\n", path, strerror(errno));
    return false;
}

/* Everything told and written; whether all of it was acknowledged. */
static bool fleet_finish(struct fleet *f)
{
    devices_end(f->devices, &f->outlet);
    fleet_link_each_pending(f->link, f, on_unacked);
    truth_end(f->truth, &f->outlet.totals);
    totals_print(f);
    bool truth_kept = file_close(f->truth, f->config.truth_file);
    bool acked_kept = file_close(f->acked, f->config.acked_file);
    return truth_kept && acked_kept && fleet_link_counts(f->link).pending == 0 &&
           outlet_empty(&f->outlet);
}

int fleet_main(int argc, char **argv)
{
    static struct fleet f;
    int parsed = config_parse(&f.config, argc, argv);
    if (parsed != 0)
        return parsed > 0 ? 0 : 2;
    if (config_check(&f.config) != 0)
        return 2;
    struct sigaction action = { .sa_handler = on_signal };
    (void)sigaction(SIGINT, &action, NULL); /* cannot fail for these */
    (void)sigaction(SIGTERM, &action, NULL);
    bool good = fleet_open(&f);
    if (good) {
        publish_all(&f);
        drain(&f);
        good = fleet_finish(&f);
    }
    fleet_close(&f);
    return good ? 0 : 1;
}
