#include "firmware/cli/golive.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/table.h"
#include "firmware/config/config_parts.h"
#include "firmware/sizing/calibration.h"

enum {
    COMMITS_ENOUGH = 100,   /* for a percentile */
    READINGS_ENOUGH = 1000, /* for a share of those that came late */
    SCRAPE_MAX_MS = 5 * 60 * 1000,
    EVIDENCE_BYTES = 400
};

enum answer { YES, NO, UNKNOWN };

struct finding {
    enum answer answer;
    char evidence[EVIDENCE_BYTES], todo[EVIDENCE_BYTES];
};

struct inquiry {
    const struct config *config;
    struct text status, streams; /* as the gateway answered */
    struct finding found;        /* of the present question */
};

/* --- saying -------------------------------------------------------------------------------------
 */

static void append(char *to, const char *form, va_list values)
{
    size_t used = strlen(to);
    (void)vsnprintf(to + used, EVIDENCE_BYTES - used, form, values); /* cut */
}

static void say(struct inquiry *q, const char *form, ...) __attribute__((format(printf, 2, 3)));
static void say(struct inquiry *q, const char *form, ...)
{
    va_list values;
    va_start(values, form);
    if (q->found.evidence[0] != '\0')
        (void)strncat(q->found.evidence, "; ", EVIDENCE_BYTES - strlen(q->found.evidence) - 1);
    append(q->found.evidence, form, values);
    va_end(values);
}

/* The first thing to do stays; the worst answer stands. */
static void blame(struct inquiry *q, enum answer answer, const char *form, ...)
    __attribute__((format(printf, 3, 4)));
static void blame(struct inquiry *q, enum answer answer, const char *form, ...)
{
    va_list values;
    va_start(values, form);
    bool worse = q->found.answer == YES || (q->found.answer == UNKNOWN && answer == NO);
    if (worse) {
        q->found.todo[0] = '\0';
        append(q->found.todo, form, values);
        q->found.answer = answer;
    }
    va_end(values);
}

static uint64_t number(const struct inquiry *q, const char *path)
{
    return json_view_unsigned(q->status, path);
}

/* --- the questions ------------------------------------------------------------------------------
 */

static void ask_configuration(struct inquiry *q)
{
    char hex[65], running[80];
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", q->config->digest[i]);
    json_view_text(q->status, "config_digest", running, sizeof running);
    say(q, "the gateway runs configuration %.12s", running);
    if (strcmp(hex, running) != 0)
        blame(q, NO, "%s is another, %.12s: restart the gateway, or check the one that runs (-c)",
              q->config->path, hex);
}

static void ask_latency(struct inquiry *q)
{
    double p99_ms = (double)number(q, "store.commit_p99_us") / 1000;
    int64_t lag_max_ms = q->config->shed.over[SHED_LAG][SHED_ENRICHMENT];
    say(q,
        "objective: acknowledged within commit.max_age, %" PRId64 " ms, and a commit; lag at most "
        "%" PRId64 " ms (shed.enrichment_lag)",
        q->config->commit_max_age_ms, lag_max_ms);
    say(q, "measured: 99 %% of %" PRIu64 " commits took %.1f ms or less, lag %" PRIu64 " ms now",
        number(q, "store.commits"), p99_ms, number(q, "shed.lag_ms"));
    if (lag_max_ms == 0)
        blame(q, NO, "no lag is too much: set shed.enrichment_lag to what your users accept");
    if (number(q, "shed.lag_ms") > (uint64_t)lag_max_ms)
        blame(q, NO, "it is behind: `weir status` says why");
    if (p99_ms > 1000)
        blame(q, NO, "commits are slow: `weir bench --calibrate` measures the disk");
    if (number(q, "store.commits") < COMMITS_ENOUGH)
        blame(q, UNKNOWN, "let it run until it has committed %d times", COMMITS_ENOUGH);
}

static bool has_sequence(const struct config_source *source)
{
    for (uint32_t i = 0; i < source->topic_count; i++)
        if (source->topics[i].mapping.sequence[0] == '\0')
            return false;
    return true;
}

static void ask_semantics(struct inquiry *q)
{
    say(q,
        "a PUBACK is behind the commit; repeats known: %" PRIu64 ", forgotten: %" PRIu64
        "; the ledger %s",
        number(q, "ledger.duplicate"), number(q, "engine.dedup_forgotten"),
        json_view_bool(q->status, "ledger.balanced") ? "balances" : "does NOT balance");
    if (!json_view_bool(q->status, "ledger.balanced"))
        blame(q, NO, "a bug: keep the store, and report it");
    for (uint32_t i = 0; i < q->config->source_count; i++) {
        const struct config_source *source = &q->config->sources[i];
        if (source->kind == SOURCE_BROKER && source->qos == 0)
            blame(q, NO, "source %s: qos 0 loses what is in transit", source->name);
        if (!has_sequence(source))
            blame(q, NO,
                  "source %s: without payload.sequence an old repeat can't be told from a new "
                  "reading",
                  source->name);
    }
    if (number(q, "engine.dedup_forgotten") > 0)
        blame(q, NO,
              "devices miss more numbers at a time than dedup.ranges, so that a repeat of "
              "one may count: raise it");
}

static void ask_watermark(struct inquiry *q)
{
    uint64_t stored = number(q, "ledger.stored"), late = number(q, "ledger.late");
    struct text stream;
    size_t cursor = 0;
    say(q,
        "of %" PRIu64 " readings %" PRIu64 " (%.3f %%) were too late for a window of their series",
        stored, late, stored > 0 ? 100 * (double)late / (double)stored : 0);
    if (stored < READINGS_ENOUGH)
        blame(q, UNKNOWN, "let it take %d readings, as late as yours are", READINGS_ENOUGH);
    else if (late * 1000 > stored)
        blame(q, NO, "more than one in a thousand: raise window.lateness");
    while (json_view_next(q->streams, &cursor, NULL, &stream)) {
        char name[80], hint[80];
        double ratio = json_view_number(stream, "late_ratio");
        json_view_text(stream, "name", name, sizeof name);
        json_view_text(stream, "hint", hint, sizeof hint);
        say(q, "stream %s: %.3f %%", name, 100 * ratio);
        if (hint[0] != '\0')
            blame(q, NO, "stream %s: %s; `weir streams lateness %s` has the table", name, hint,
                  name);
        else if (json_view_unsigned(stream, "readings") < READINGS_ENOUGH)
            blame(q, UNKNOWN, "stream %s has too few readings to tell", name);
    }
}

static void ask_partitions(struct inquiry *q)
{
    struct calibration c = calibration_default();
    char why[256];
    bool measured = calibration_read(q->config->data_dir, &c, why) == 0;
    double capacity = (double)number(q, "load.capacity_per_second");
    double peak = (double)number(q, "load.peak_per_second");
    double room = capacity * (100 - q->config->scale.headroom_percent) / 100;
    say(q,
        "the most in a minute was %.0f readings/s; this board takes %.0f (%s), of which %u %% are "
        "to "
        "stay free; gateways wanted: %" PRIu64,
        peak, capacity, measured ? "measured" : "a guess", q->config->scale.headroom_percent,
        number(q, "load.gateways_wanted"));
    if (!measured)
        blame(q, NO, "measure this board: weir bench --calibrate");
    if (peak > room || number(q, "load.gateways_wanted") > 1)
        blame(q, NO,
              "divide the devices among more gateways: weir size --peak-eps %.0f "
              "--per-consumer-eps %.0f --headroom %u",
              peak, capacity, q->config->scale.headroom_percent);
    if (number(q, "ledger.stored") < READINGS_ENOUGH)
        blame(q, UNKNOWN, "let it carry the load of its busiest hour");
}

static void ask_shedding(struct inquiry *q)
{
    struct text change;
    size_t cursor = 0;
    uint64_t highest = number(q, "shed.level"), changes = 0;
    for (; json_view_next(json_view_at(q->status, "shed.changes"), &cursor, NULL, &change);
         changes++) {
        uint64_t to = json_view_unsigned(change, "to");
        highest = to > highest ? to : highest;
    }
    say(q,
        "level %" PRIu64 " now; of its last %" PRIu64 " changes the highest was %" PRIu64
        "; left out since the store began: %" PRIu64 " enrichments, %" PRIu64 " readings of QoS 0",
        number(q, "shed.level"), changes, highest, number(q, "ledger.enrichment_left_out"),
        number(q, "ledger.shed.qos0_overload"));
    if (number(q, "shed.level") > 0)
        blame(q, NO, "it sheds now: `weir status` says why");
    if (highest == 0)
        blame(q, NO,
              "never tried since the start: offer it more than it takes, once, before others do");
}

static void ask_letters(struct inquiry *q)
{
    say(q, "an alert above %g rejects a minute (alerts.reject_rate); rejected: %" PRIu64,
        q->config->reject_rate_max, number(q, "ledger.rejected_total"));
    if (!(q->config->reject_rate_max > 0))
        blame(q, NO, "set alerts.reject_rate");
    if (number(q, "ledger.rejected_total") == 0)
        blame(q, UNKNOWN, "publish one bad message, and find it with `weir dlq summary`");
}

static void ask_contracts(struct inquiry *q)
{
    uint32_t bound = 0;
    for (uint32_t i = 0; i < q->config->source_count; i++) {
        const struct config_source *source = &q->config->sources[i];
        bound += source->contract_name[0] != '\0';
        if (source->contract_name[0] == '\0')
            blame(q, NO, "source %s follows no contract: whatever is a number is stored",
                  source->name);
    }
    say(q, "%u of %u sources follow a contract; %" PRIu64 " readings broke theirs", bound,
        q->config->source_count,
        number(q, "ledger.rejected.contract_type") + number(q, "ledger.rejected.contract_unit") +
            number(q, "ledger.rejected.contract_range") +
            number(q, "ledger.rejected.contract_required") +
            number(q, "ledger.rejected.contract_unknown") +
            number(q, "ledger.rejected.contract_version"));
}

static void ask_metrics(struct inquiry *q)
{
    uint64_t scrapes = number(q, "metrics.scrapes"), age_ms = number(q, "metrics.last_age_ms");
    say(q, "/metrics was read %" PRIu64 " times", scrapes);
    if (scrapes > 0)
        say(q, "last %" PRIu64 " s ago", age_ms / 1000);
    if (scrapes == 0 || age_ms > SCRAPE_MAX_MS)
        blame(q, NO, "nobody watches: point Prometheus at `http` (docs/metrics.md)");
}

static void ask_uplink(struct inquiry *q)
{
    bool connected = json_view_bool(q->status, "uplink.connected");
    if (!q->config->uplink.given) {
        say(q, "none is configured");
        blame(q, NO, "nobody is told of an alert: set uplink.url");
        return;
    }
    say(q, "%s; the oldest alert that waits is %" PRIu64 " s old; %s",
        connected ? "connected" : "NOT connected", number(q, "lanes.alerts.age_ms") / 1000,
        q->config->uplink.receipts ? "the receiver's receipts are waited for"
                                   : "the broker's PUBACK counts");
    if (!connected)
        blame(q, NO, "`weir status` says why");
    else if (number(q, "lanes.alerts.sent") == 0)
        blame(q, UNKNOWN, "no alert has travelled yet: make one, and see it arrive");
    if (!q->config->uplink.receipts)
        blame(q, UNKNOWN,
              "does the broker there keep what it has acknowledged? uplink.receipts ask "
              "the receiver itself");
}

static void ask_security(struct inquiry *q)
{
    for (uint32_t i = 0; i < q->config->source_count; i++) {
        const struct config_source *source = &q->config->sources[i];
        bool near = config_loopback(source->broker.host);
        say(q, "source %s: %s%s", source->name, source->broker.tls ? "TLS" : "plain",
            source->anonymous ? ", anonymous" : "");
        if (source->anonymous)
            blame(q, NO,
                  "source %s: whoever reaches it is any device; take `anonymous` away and use "
                  "`weir device add`",
                  source->name);
        if (!source->broker.tls && !near)
            blame(q, NO, "source %s: use mqtts://", source->name);
    }
    if (q->config->uplink.given && !q->config->uplink.broker.tls &&
        !config_loopback(q->config->uplink.broker.host))
        blame(q, NO, "uplink: use mqtts://");
    if (q->config->uplink.given)
        say(q, "uplink: %s", q->config->uplink.broker.tls ? "TLS" : "plain");
    if (q->config->http.given)
        say(q, "http: %s", q->config->http.at.tls ? "TLS and a token" : "on this machine alone");
}

static void ask_machine(struct inquiry *q)
{
    char clock[40], board[80], health[40];
    json_view_text(q->status, "clock", clock, sizeof clock);
    json_view_text(q->status, "machine.board", board, sizeof board);
    json_view_text(q->status, "health", health, sizeof health);
    bool watched = json_view_bool(q->status, "machine.watchdog.running");
    say(q, "board %s; clock %s%s; watchdog %s; health %s", board[0] != '\0' ? board : "unknown",
        clock, q->config->clock_trusted ? " by clock.trust: system" : "",
        watched ? "running" : "off", health);
    if (strcmp(clock, "synced") != 0)
        blame(q, NO, "event times are guesses until NTP has set the clock");
    if (q->config->clock_trusted)
        blame(q, NO, "clock.trust: kernel tells a clock that nobody has set");
    if (!watched)
        blame(q, NO,
              "a gateway that hangs stays so: set watchdog.timeout, on a board that has one");
    if (strcmp(health, "good") != 0)
        blame(q, NO, "`weir status` says what is wrong");
}

static const struct question {
    const char *name;
    void (*ask)(struct inquiry *q);
} questions[] = {
    { "configuration", ask_configuration },
    { "latency", ask_latency },
    { "semantics", ask_semantics },
    { "watermark", ask_watermark },
    { "partitions", ask_partitions },
    { "shedding", ask_shedding },
    { "dead letters", ask_letters },
    { "contracts", ask_contracts },
    { "metrics", ask_metrics },
    { "uplink", ask_uplink },
    { "security", ask_security },
    { "machine", ask_machine },
};

/* --- the list -----------------------------------------------------------------------------------
 */

static const char *const words[] = { [YES] = "yes", [NO] = "NO", [UNKNOWN] = "unknown" };

static void print_finding(const char *name, const struct finding *f)
{
    const char *colour = table_colour(stdout, f->answer == YES  ? "\033[32m"
                                              : f->answer == NO ? "\033[31m"
                                                                : "\033[33m");
    (void)printf("%s%-8s%s %-14s %s\n", colour, words[f->answer],
                 colour[0] != '\0' ? "\033[0m" : "", name, f->evidence);
    if (f->answer != YES)
        (void)printf("%-8s %-14s -> %s\n", "", "", f->todo);
}

static void print_json(const char *name, const struct finding *f, bool first)
{
    static const char *const answers[] = { [YES] = "yes", [NO] = "no", [UNKNOWN] = "unknown" };
    (void)printf("%s{\"check\":\"%s\",\"answer\":\"%s\",\"evidence\":", first ? "" : ",", name,
                 answers[f->answer]);
    config_print_quoted(text_of(f->evidence), stdout);
    (void)printf(",\"todo\":");
    config_print_quoted(text_of(f->todo), stdout);
    (void)printf("}");
}

/* The client keeps one answer at a time. */
static int ask_gateway(const struct client_options *options, const char *target, const char *path,
                       char *to, size_t bytes, struct text *found)
{
    struct client_answer answer;
    int status = client_get(options, target, &answer);
    if (status != CLI_OK)
        return status;
    if (answer.body.bytes >= bytes) {
        (void)fprintf(stderr, "weir: the gateway's answer at %s is too long\n", target);
        return CLI_PROBLEM;
    }
    memcpy(to, answer.body.at, answer.body.bytes);
    *found = (struct text){ to, answer.body.bytes };
    if (path != NULL)
        *found = json_view_at(*found, path);
    return CLI_OK;
}

int golive(const struct config *config, const struct client_options *options)
{
    static char status[128 * 1024], streams[128 * 1024];
    struct inquiry q = { .config = config };
    uint32_t counts[3] = { 0 };
    int error = ask_gateway(options, "/api/v1/status", NULL, status, sizeof status, &q.status);
    if (error == CLI_OK)
        error =
            ask_gateway(options, "/api/v1/streams", "streams", streams, sizeof streams, &q.streams);
    if (error != CLI_OK)
        return error;
    (void)printf(options->json ? "{\"checks\":[" : "");
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        q.found = (struct finding){ .answer = YES };
        questions[i].ask(&q);
        counts[q.found.answer]++;
        if (options->json)
            print_json(questions[i].name, &q.found, i == 0);
        else
            print_finding(questions[i].name, &q.found);
    }
    bool ready = counts[NO] + counts[UNKNOWN] == 0;
    if (options->json)
        (void)printf("],\"ready\":%s}\n", ready ? "true" : "false");
    else
        (void)printf("%s: %u yes, %u no, %u unknown\n", ready ? "ready" : "not ready", counts[YES],
                     counts[NO], counts[UNKNOWN]);
    return ready ? CLI_OK : CLI_PROBLEM;
}
