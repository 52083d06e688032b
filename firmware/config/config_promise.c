/* What a configuration costs on disk and what it does not promise, in sentences. Each is one line,
 * so that `weir check --json` can carry them as they are. */
#include "firmware/config/config_parts.h"

#include <inttypes.h>

/* Planning figures, rounded up from what `make bench` measures (docs/performance.md). */
enum {
    JOURNAL_BYTES_A_READING = 8,  /* in blocks of 10,000; */
    JOURNAL_BYTES_AT_LEAST = 31,  /* in blocks of 1,000, each of another device */
    RESULT_BYTES = 24,
    KEPT_BYTES = 300,       /* of a stream's result with five values, and its places in indexes */
    ALERT_BYTES = 3 * 1024,
    SESSION_BYTES = 300,
    EXCHANGE_BYTES = 32,
    RECEIVE_MAXIMUM_LOW = 100, /* below this an SD card's 30 ms a commit allow < 3,300 messages/s */
    BROKER_SAVE_S = 60         /* how often mosquitto saves, as set up below */
};

/* Rounded for people: three digits are enough. */
static struct shown size(uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    struct shown shown;
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1024;
    (void)snprintf(shown.text, sizeof shown.text, "%.3g %s", value, units[unit]);
    return shown;
}

static struct shown hours(double hours_held)
{
    struct shown shown;
    if (hours_held >= 48)
        (void)snprintf(shown.text, sizeof shown.text, "%.0f days", hours_held / 24);
    else
        (void)snprintf(shown.text, sizeof shown.text, "%.1f hours", hours_held);
    return shown;
}

/* --- warnings -------------------------------------------------------------------------------- */

static bool reads(const struct config_source *source, bool time)
{
    for (uint32_t i = 0; i < source->topic_count; i++) {
        const struct json_mapping *m = &source->topics[i].mapping;
        if ((time ? m->time : m->sequence)[0] == '\0')
            return false;
    }
    return true;
}

static void warn_about_listener(const struct config_source *source, FILE *out)
{
    if (source->session_expiry_s == 0)
        (void)fprintf(out,
                      "source %s: session_expiry: 0; a message at QoS 2 that breaks off is stored "
                      "again when it is sent again\n",
                      source->name);
    bool local = config_loopback(source->broker.host);
    if (source->anonymous)
        (void)fprintf(out,
                      "%ssource %s: anonymous: whoever reaches %s:%u can publish for any device, "
                      "and take over the connection of any by its client id\n",
                      local ? "" : "warning: ", source->name, source->broker.host,
                      source->broker.port);
    if (!local && !source->broker.tls)
        (void)fprintf(out,
                      "warning: source %s: readings%s cross the network in clear; they can be "
                      "read and forged on the way\n",
                      source->name, source->anonymous ? "" : " and PASSWORDS");
}

static void warn_about_broker(const struct config_source *source, FILE *out)
{
    const struct config_broker *b = &source->broker;
    bool local = config_loopback(b->host);
    if (source->qos == 0)
        (void)fprintf(
            out,
            "source %s: qos 0: what is in transit when the gateway or the broker stops is lost\n",
            source->name);
    if (source->qos > 0 && source->receive_maximum < RECEIVE_MAXIMUM_LOW)
        (void)fprintf(
            out,
            "source %s: at most %u messages wait for a commit; a card that takes 30 ms for "
            "one stalls the source above %u messages/s\n",
            source->name, source->receive_maximum, source->receive_maximum * 1000 / 30);
    if (!b->tls && !local && b->username[0] != '\0')
        (void)fprintf(
            out, "warning: source %s: the password crosses the network in clear; use mqtts://\n",
            source->name);
    if (!local && b->username[0] == '\0' && b->cert_file[0] == '\0')
        (void)fprintf(
            out, "source %s: anonymous access to %s; anybody there can publish for any device\n",
            source->name, b->host);
}

static void warn_about_source(const struct config_source *source, FILE *out)
{
    if (source->kind == SOURCE_LISTENER)
        warn_about_listener(source, out);
    else
        warn_about_broker(source, out);
    if (!reads(source, false) && !reads(source, true))
        (void)fprintf(out,
                      "source %s: readings have neither sequence nor time; one that is sent again "
                      "can't be told from a new one and counts twice\n",
                      source->name);
}

static bool has_kind(const struct config *config, enum source_kind kind)
{
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == kind)
            return true;
    return false;
}

static bool contract_used(const struct config *config, const struct contract *contract)
{
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->engine_sources[i].contract == contract)
            return true;
    return false;
}

void config_print_warnings(const struct config *config, FILE *out)
{
    const struct config_uplink *up = &config->uplink;
    for (uint32_t i = 0; i < config->source_count; i++)
        warn_about_source(&config->sources[i], out);
    for (uint32_t i = 0; i < config->contract_count; i++)
        if (!contract_used(config, &config->contracts[i]))
            (void)fprintf(out, "warning: contract %s: no source follows it\n",
                          config->contracts[i].name);
    if (!up->given)
        (void)fputs(
            "warning: uplink: none; alerts and results are kept here until their share is full\n",
            out);
    if (up->given && !up->receipts)
        (void)fputs(
            "warning: uplink.receipts: false; a crash of the cloud's broker can lose what it had "
            "acknowledged and not yet passed on\n",
            out);
    if (config->engine.dedup.keep == 0)
        (void)fputs(
            "warning: dedup.keep: 0; readings without a sequence are never known as repeats\n",
            out);
    if (config->clock_trusted)
        (void)fputs("warning: clock.trust: system; a clock that is wrong at start is believed\n",
                    out);
    if (config->store.ballast_bytes == 0)
        (void)fputs("warning: store.ballast: 0; a full disk leaves no room to clean up in\n", out);
    if (config->rule_count == 0)
        (void)fputs("warning: detectors: none; readings are stored and no alert is ever raised\n",
                    out);
}

/* Also docs/broker.conf, for the default receive_maximum: tests/e2e/broker_conf_test.py compares */
static const char BROKER[] =
    "# What waits for Weir while it is stopped or behind, in messages. Without it mosquitto keeps\n"
    "# 1000 and drops every newer one, although it acknowledges it to the device. Memory: about\n"
    "# 0.5 kB a message of 100 bytes. Not 0, which means no limit: with that, Debian's mosquitto\n"
    "# 2.0.11 cuts off a client for one publish that the access list denies.\n"
    "max_queued_messages 1000000\n"
    "# What devices publish at QoS 0 while Weir is away is not kept: let them publish at QoS 1.\n"
    "# Leave queue_qos0_messages off: with it, mosquitto 2.0.11 stops in the middle of a backlog\n"
    "# that holds both, until the connection is made anew.\n"
    "queue_qos0_messages false\n"
    "# At least the receive_maximum of Weir's sources, and far below max_queued_messages. Without\n"
    "# it: nothing changes where the broker grants what an MQTT 5 client asks for, as mosquitto\n"
    "# 2.0 does; one that takes the smaller of the two sends 20 messages a commit.\n"
    "max_inflight_messages %u\n"
    "# Weir's session and what waits in it survive a restart of the broker. Without it both are\n"
    "# gone, and so is what devices publish until Weir has subscribed again. Leave\n"
    "# persistent_client_expiration unset: the session must outlive any stop of Weir.\n"
    "persistence true\n"
    "# Save after so many seconds. Without these two lines the broker saves every 30 minutes, and\n"
    "# its own crash loses all that came since, and repeats what Weir had acknowledged. A save\n"
    "# writes all that waits, and the broker does nothing else meanwhile: by changes instead of\n"
    "# seconds (autosave_on_changes), a backlog grows until it only saves.\n"
    "autosave_on_changes false\n"
    "autosave_interval %d\n"
    "# A reading is passed on at once. Without it small messages may wait for those before them.\n"
    "set_tcp_nodelay true\n";

void config_print_broker(const struct config *config, FILE *out)
{
    uint32_t most = 20;
    if (!has_kind(config, SOURCE_BROKER))
        return;
    for (uint32_t i = 0; i < config->source_count; i++)
        if (config->sources[i].kind == SOURCE_BROKER && config->sources[i].receive_maximum > most)
            most = config->sources[i].receive_maximum;
    (void)fprintf(out, BROKER, most, BROKER_SAVE_S);
}

/* --- disk ------------------------------------------------------------------------------------ */

static void disk_line(FILE *out, const char *use, uint64_t bytes, const char *what)
{
    (void)fprintf(out, "%-18s %10s  %s\n", use, size(bytes).text, what);
}

void config_print_disk(const struct config *config, FILE *out)
{
    const struct store_config *s = &config->store;
    char text[128];
    uint64_t spare = s->disk_bytes_max - s->wal_bytes_max - s->ballast_bytes - s->journal_bytes_max
                     - s->letters_bytes_max - s->table_bytes_max - s->daily_bytes_max;
    (void)snprintf(text, sizeof text, "%.3g million readings in small commits to %.3g, at most %s",
                   (double)s->journal_bytes_max / JOURNAL_BYTES_AT_LEAST / 1e6,
                   (double)s->journal_bytes_max / JOURNAL_BYTES_A_READING / 1e6,
                   shown_ms(s->journal_age_max_ms).text);
    disk_line(out, "raw readings", s->journal_bytes_max, text);
    (void)snprintf(text, sizeof text, "about %" PRIu64 " revisions with enrichment",
                   s->outbox_bytes_max[LANE_ALERTS] / ALERT_BYTES);
    disk_line(out, "alerts to send", s->outbox_bytes_max[LANE_ALERTS], text);
    (void)snprintf(text, sizeof text, "about %" PRIu64 " million window results",
                   s->outbox_bytes_max[LANE_RESULTS] / RESULT_BYTES / 1000000);
    disk_line(out, "results to send", s->outbox_bytes_max[LANE_RESULTS], text);
    disk_line(out, "raw to send", s->outbox_bytes_max[LANE_RAW],
              config->uplink.raw                    ? "batches of raw readings"
              : config_corrections_max(config) > 0 ? "corrections"
                                                    : "unused, uplink.raw is false");
    (void)snprintf(text, sizeof text, "at most %u, and %s", s->letters_max,
                   shown_ms(s->letters_age_max_ms).text);
    disk_line(out, "dead letters", s->letters_bytes_max, text);
    (void)snprintf(text, sizeof text, "of streams: about %.3g thousand, and at most %s",
                   (double)s->table_bytes_max / KEPT_BYTES / 1000,
                   shown_ms(s->table_age_max_ms).text);
    if (s->table_bytes_max > 0)
        disk_line(out, "kept results", s->table_bytes_max, text);
    uint64_t largest = engine_save_bytes_max(&config->engine);
    uint64_t least = largest > 0 ? s->daily_bytes_max / largest : s->daily_max;
    (void)snprintf(text, sizeof text,
                   "one a day for %u days, the first to go; one has at most %s: room for %u",
                   s->daily_max, size(largest).text,
                   least < s->daily_max ? (uint32_t)least : s->daily_max);
    if (s->daily_max > 0)
        disk_line(out, "kept checkpoints", s->daily_bytes_max, text);
    for (uint32_t lane = 0; lane < LANES; lane++)
        spare -= s->outbox_bytes_max[lane];
    disk_line(out, "checkpoints, spare", spare, "two checkpoints, indexes, half-filled pages");
    if (has_kind(config, SOURCE_LISTENER)) {
        (void)snprintf(text, sizeof text, "of the spare: %u, and %u open messages at QoS 2",
                       config->sessions_max, config->exchanges_max);
        disk_line(out, "devices' sessions",
                  (uint64_t)config->sessions_max * SESSION_BYTES +
                      (uint64_t)config->exchanges_max * EXCHANGE_BYTES,
                  text);
    }
    disk_line(out, "write-ahead log", s->wal_bytes_max, "SQLite's own");
    disk_line(out, "ballast", s->ballast_bytes, "given up when the disk is full");
    disk_line(out, "total", s->disk_bytes_max, "store.disk_max");
}

/* --- losses ---------------------------------------------------------------------------------- */

static void print_day_offline(const struct config *config, FILE *out)
{
    const struct store_config *s = &config->store;
    const struct engine_config *e = &config->engine;
    double results_an_hour = 3600e3 / (double)e->window.size_ms * e->series_max;
    double held = (double)s->outbox_bytes_max[LANE_RESULTS] / RESULT_BYTES / results_an_hour;
    double aged = (double)s->outbox_age_max_ms[LANE_RESULTS] / 3600e3;
    held = aged < held ? aged : held;
    if (!config->uplink.given) {
        (void)fputs("a day offline: nothing is sent at all; there is no uplink\n", out);
        return;
    }
    if (held >= 24)
        (void)fprintf(out, "a day offline: nothing; results wait for %s with all %u series busy\n",
                      hours(held).text, e->series_max);
    else
        (void)fprintf(out,
                      "a day offline: results older than %s, with all %u series busy; a gap event "
                      "takes their place, and their raw readings stay here\n",
                      hours(held).text, e->series_max);
    (void)fprintf(out,
                  "alerts offline: about %" PRIu64
                  " revisions wait; past that superseded ones go first, "
                  "then cleared alerts, each with a gap event\n",
                  s->outbox_bytes_max[LANE_ALERTS] / ALERT_BYTES);
}

static void print_late(const struct config *config, FILE *out)
{
    if (config_corrections_max(config) == 0)
        return;
    (void)fprintf(out,
                  "too late for a window, where `late: side_output` is set: of readings beyond "
                  "%u a minute, and of all at shed level 2, the correction does not leave; they "
                  "are stored, and counted\n",
                  config->uplink.corrections_per_minute);
}

static void print_alerts(const struct config *config, FILE *out)
{
    (void)fprintf(out,
                  "more than %u alerts at once: those in cool-down give way; past that a silence "
                  "waits for a place, any other anomaly is counted and tried again with the next "
                  "reading\n",
                  engine_alerts_max(&config->engine));
}

static void print_repeats(const struct config *config, FILE *out)
{
    const struct dedup_config *d = &config->engine.dedup;
    (void)fprintf(
        out,
        "repeats with a sequence: known however late, while a device has at most %u break%s in "
        "its numbers: gaps, restarts, its clock set back\n",
        d->ranges - 1, d->ranges == 2 ? "" : "s");
    (void)fprintf(
        out,
        "repeats without a sequence: known among the last %u readings of a device; what a device "
        "sends again later counts twice%s\n",
        d->keep,
        has_kind(config, SOURCE_BROKER) ? ", as does what a broker repeats after its own crash"
                                        : "");
    struct dedup_config mixed = dedup_mixed(d);
    (void)fprintf(out,
                  "repeats of a device that sends both: at most %u gap%s, and the last %u readings "
                  "without\n",
                  mixed.ranges - 1, mixed.ranges == 2 ? "" : "s", mixed.keep);
}

static void print_overload(const struct config *config, bool qos0, FILE *out)
{
    int64_t lag_ms = config->shed.over[SHED_LAG][SHED_QOS0];
    (void)fputs("more than can be handled: in the cloud, raw readings and results of series "
                "without an alert; here, nothing acknowledged",
                out);
    if (qos0 && lag_ms > 0)
        (void)fprintf(out, "; of what comes at QoS 0 all that comes after a lag of %s",
                      shown_ms(lag_ms).text);
    (void)fputc('\n', out);
}

void config_print_losses(const struct config *config, FILE *out)
{
    const struct config_uplink *up = &config->uplink;
    bool qos0 = false;
    for (uint32_t i = 0; i < config->source_count; i++)
        qos0 = qos0 || config->sources[i].qos == 0 || config->sources[i].kind == SOURCE_LISTENER;
    if (has_kind(config, SOURCE_BROKER))
        (void)fputs(
            "gateway stopped: what devices publish at QoS 0; the broker keeps QoS 1 and 2\n", out);
    if (has_kind(config, SOURCE_LISTENER))
        (void)fputs("gateway stopped: what devices would publish to it; at QoS 1 each knows what "
                    "was not acknowledged, and is to send it again\n",
                    out);
    const char *unacknowledged = qos0 ? "; of what comes at QoS 0 up to " : "";
    (void)fprintf(out, "kill -9: nothing acknowledged%s%s\n", unacknowledged,
                  qos0 ? shown_ms(config->commit_max_age_ms).text : "");
    (void)fprintf(out, "power cut: nothing acknowledged, on storage that honours flush%s%s\n",
                  unacknowledged, qos0 ? shown_ms(config->commit_max_age_ms).text : "");
    print_day_offline(config, out);
    print_overload(config, qos0, out);
    print_late(config, out);
    (void)fprintf(
        out,
        "full disk: nothing acknowledged; the ballast of %s is given up, then acknowledgements "
        "stop until there is room; alerts already committed still leave; after %s the oldest raw "
        "readings make room, counted\n",
        size(config->store.ballast_bytes).text, shown_ms(config->commit_retry_for_ms).text);
    (void)fprintf(out,
                  "failing disk: nothing acknowledged; after %s without a commit the process ends, "
                  "and a restart reads the store anew\n",
                  shown_ms(config->commit_retry_for_ms).text);
    (void)fprintf(
        out,
        "full budget: raw readings beyond %s are removed, oldest first, counted, also those "
        "not forwarded\n",
        size(config->store.journal_bytes_max).text);
    if (has_kind(config, SOURCE_BROKER))
        (void)fprintf(
            out,
            "crash of the broker in front: what it had acknowledged and not saved: everything "
            "since its last save (30 min as it is shipped, %d s as set up below)\n",
            BROKER_SAVE_S);
    if (up->given)
        (void)fprintf(out, "crash of the cloud's broker: %s\n",
                      up->receipts
                          ? "nothing; rows wait for the receiver's receipt"
                          : "what it had acknowledged and not passed on (uplink.receipts: false)");
    print_alerts(config, out);
    print_repeats(config, out);
}
