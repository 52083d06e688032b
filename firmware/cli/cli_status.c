#include <stdio.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/table.h"

static const char help[] =
    "usage: weir status [-s PATH | -c FILE] [--json]\n\n"
    "How the running gateway is: connections, ledger, lanes, disk and memory.\n"
    "A health of `failed` is exit status 1.\n";

static void print_health(struct text status)
{
    char health[32], value[80];
    size_t cursor = 0;
    struct text reason;
    json_view_text(status, "health", health, sizeof health);
    const char *code = strcmp(health, "good") == 0     ? "32"
                       : strcmp(health, "failed") == 0 ? "31"
                                                       : "33";
    (void)printf("%s%s%s", table_colour(stdout, code), health, table_colour(stdout, "0"));
    while (json_view_next(json_view_at(status, "reasons"), &cursor, NULL, &reason)) {
        json_view_print(reason, value, sizeof value);
        (void)printf(" %s", value);
    }
    (void)printf("\n");
}

static void print_lines(struct text status)
{
    static const struct {
        const char *label, *path;
    } lines[] = { { "gateway", "gateway" },
                  { "version", "version" },
                  { "store", "store_id" },
                  { "configuration", "config_file" },
                  { "running for (ms)", "uptime_ms" },
                  { "  the store (ms)", "t_ms" },
                  { "clock", "clock" },
                  { "time", "time" },
                  { "devices", "engine.devices" },
                  { "series", "engine.series" },
                  { "open alerts", "engine.alerts_open" },
                  { "shed level", "shed.level" },
                  { "lag (ms)", "shed.lag_ms" },
                  { "event time (ms late)", "watermark.delay_median_ms" },
                  { "  worst", "watermark.delay_worst_ms" },
                  { "  worst device", "watermark.worst_device" },
                  { "recovered in (ms)", "store.recovered_in_ms" },
                  { "stores set aside", "store.set_aside" } };
    char value[256];
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        json_view_text(status, lines[i].path, value, sizeof value);
        (void)printf("  %-20s %s\n", lines[i].label, value);
    }
}

/* What the machine does not have is left out. */
static void print_machine(struct text status)
{
    static const struct {
        const char *label, *path;
    } lines[] = { { "board", "machine.board" },
                  { "machine id", "machine.unique_id" },
                  { "last reset", "machine.last_reset" },
                  { "temperature (C)", "machine.temperature_c" },
                  { "supply", "machine.supply" },
                  { "storage", "machine.storage.device" },
                  { "  life used (%)", "machine.storage.life_used_percent" },
                  { "  reserve", "machine.storage.reserve" },
                  { "  written (bytes)", "machine.storage.written_bytes" },
                  { "watchdog (s)", "machine.watchdog.timeout_s" } };
    char value[256];
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        json_view_text(status, lines[i].path, value, sizeof value);
        if (value[0] != '\0')
            (void)printf("  %-20s %s\n", lines[i].label, value);
    }
}

static void print_source_state(struct text source)
{
    struct text devices = json_view_at(source, "devices");
    if (devices.bytes == 0) {
        (void)printf("%s\n", json_view_bool(source, "connected") ? "connected" : "not connected");
        return;
    }
    static const char *const counts[] = { "messages", "refused", "faults", "silent", "taken_over" };
    (void)printf("listening, %llu of %llu connections",
                 (unsigned long long)json_view_unsigned(devices, "connected"),
                 (unsigned long long)json_view_unsigned(devices, "connections_max"));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        (void)printf("%s %s %llu", i == 0 ? ";" : ",", counts[i],
                     (unsigned long long)json_view_unsigned(devices, counts[i]));
    (void)printf("\n");
}

static void print_sources(struct text status)
{
    size_t cursor = 0;
    struct text source;
    char name[80], host[256];
    while (json_view_next(json_view_at(status, "sources"), &cursor, NULL, &source)) {
        json_view_text(source, "name", name, sizeof name);
        json_view_text(source, "host", host, sizeof host);
        (void)printf("  source %-13s %s:%llu ", name, host,
                     (unsigned long long)json_view_unsigned(source, "port"));
        print_source_state(source);
    }
    struct text uplink = json_view_at(status, "uplink");
    if (json_view_bool(uplink, "configured")) {
        json_view_text(uplink, "host", host, sizeof host);
        (void)printf("  %-20s %s:%llu %s\n", "uplink", host,
                     (unsigned long long)json_view_unsigned(uplink, "port"),
                     json_view_bool(uplink, "connected") ? "connected" : "not connected");
    }
}

static void print_ledger(struct text status)
{
    struct text ledger = json_view_at(status, "ledger");
    static const char *const paths[] = { "received", "stored", "duplicate",     "rejected_total",
                                         "pending",  "held",   "removed_total", "late" };
    (void)printf("\nledger (%s)\n",
                 json_view_bool(ledger, "balanced") ? "balanced" : "NOT BALANCED");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        (void)printf("  %-20s %llu\n", paths[i],
                     (unsigned long long)json_view_unsigned(ledger, paths[i]));
    size_t cursor = 0;
    struct text reason = { 0 }, count;
    while (json_view_next(json_view_at(ledger, "rejected"), &cursor, &reason, &count))
        (void)printf("    %-18.*s %.*s\n", (int)reason.bytes, reason.at, (int)count.bytes,
                     count.at);
}

static void print_maintenance(struct text status)
{
    char until[40];
    uint64_t count = json_view_unsigned(status, "maintenance.count");
    if (count == 0)
        return;
    json_view_text(status, "maintenance.until", until, sizeof until);
    (void)printf("  %-20s %llu devices, until %s (weir maintenance)\n", "maintenance",
                 (unsigned long long)json_view_unsigned(status, "maintenance.devices"), until);
}

static void print_left_out(struct text left_out)
{
    static const struct {
        const char *name, *what;
    } all[] = { { "enrichment", "alerts' enrichment" },
                { "results", "results" },
                { "raw", "raw readings to forward" },
                { "qos0_readings", "readings of QoS 0" } };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (json_view_unsigned(left_out, all[i].name) > 0)
            (void)printf(", %llu %s", (unsigned long long)json_view_unsigned(left_out, all[i].name),
                         all[i].what);
}

/* Nothing, where nothing was shed since the start. */
static void print_shedding(struct text status)
{
    struct text shed = json_view_at(status, "shed"), change;
    size_t cursor = 0;
    char cause[32], time[40];
    if (json_view_unsigned(shed, "level") > 0) {
        json_view_text(shed, "cause", cause, sizeof cause);
        (void)printf("\nshedding at level %llu for %.1f s, for %s",
                     (unsigned long long)json_view_unsigned(shed, "level"),
                     json_view_number(shed, "for_ms") / 1000, cause);
        print_left_out(json_view_at(shed, "left_out"));
        (void)printf("\n");
    }
    while (json_view_next(json_view_at(shed, "changes"), &cursor, NULL, &change)) {
        unsigned long long from = json_view_unsigned(change, "from");
        unsigned long long to = json_view_unsigned(change, "to");
        json_view_text(change, "time", time, sizeof time);
        json_view_text(change, "cause", cause, sizeof cause);
        (void)printf("  %s level %llu %s (%s)", time, to > from ? to : from,
                     to > from ? "entered" : "left", cause);
        if (to < from)
            (void)printf(" after %.1f s", json_view_number(change, "lasted_ms") / 1000);
        print_left_out(json_view_at(change, "left_out"));
        (void)printf("\n");
    }
}

static void print_lanes(struct text status)
{
    static const char *const headers[] = {
        "lane", ">next", ">sent", ">covered", ">rows", ">bytes"
    };
    static const char *const paths[] = { "next", "sent", "covered", "rows", "bytes" };
    struct table *table = table_make(headers, 6);
    size_t cursor = 0;
    struct text name = { 0 }, lane;
    char cell[TABLE_CELL_BYTES];
    if (table == NULL)
        return;
    while (json_view_next(json_view_at(status, "lanes"), &cursor, &name, &lane)) {
        (void)snprintf(cell, sizeof cell, "%.*s", (int)name.bytes, name.at);
        table_add(table, cell);
        for (size_t i = 0; i < 5; i++) {
            json_view_text(lane, paths[i], cell, sizeof cell);
            table_add(table, cell);
        }
    }
    (void)printf("\n");
    table_print(table, stdout);
}

static void print_sizes(struct text status)
{
    (void)printf("\ndisk %.1f of %.1f MiB, WAL %.1f MiB; commit %.1f ms, at most %.1f ms; "
                 "memory %.1f MiB resident, %.1f MiB anonymous, of the machine's %.0f MiB "
                 "%.0f free\n",
                 json_view_number(status, "store.disk_bytes") / 1048576,
                 json_view_number(status, "store.disk_bytes_max") / 1048576,
                 json_view_number(status, "store.wal_bytes") / 1048576,
                 json_view_number(status, "store.commit_last_us") / 1000,
                 json_view_number(status, "store.commit_max_us") / 1000,
                 json_view_number(status, "memory.rss_bytes") / 1048576,
                 json_view_number(status, "memory.anon_bytes") / 1048576,
                 json_view_number(status, "memory.machine_bytes") / 1048576,
                 json_view_number(status, "memory.machine_available_bytes") / 1048576);
}

int cli_status(int argc, char **argv)
{
    struct arguments a = { .help = help };
    struct client_options options;
    struct client_answer answer;
    char health[32];
    int status = arguments_for_gateway(&a, argc, argv, &options);
    if (status != -1)
        return status;
    status = client_get(&options, "/api/v1/status", &answer);
    if (status != CLI_OK)
        return status;
    if (options.json) {
        (void)printf("%.*s\n", (int)answer.body.bytes, answer.body.at);
    } else {
        print_health(answer.body);
        print_lines(answer.body);
        print_maintenance(answer.body);
        print_machine(answer.body);
        print_sources(answer.body);
        print_ledger(answer.body);
        print_lanes(answer.body);
        print_shedding(answer.body);
        print_sizes(answer.body);
    }
    json_view_text(answer.body, "health", health, sizeof health);
    return strcmp(health, "failed") == 0 ? CLI_PROBLEM : CLI_OK;
}
