#include "firmware/replay/replay_file.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "firmware/cli/cli.h"
#include "firmware/replay/recorded.h"
#include "firmware/replay/replay_diff.h"
#include "firmware/replay/replay_out.h"
#include "firmware/cli/table.h"
#include "firmware/config/config_parts.h"
#include "pipeline/timestamp.h"

enum { BLOCK_READINGS = 10000, PROGRESS_S = 1 };

static const char usual[] = "gateway: {name: desk, data_dir: /tmp, socket: /tmp/weir.sock}\n"
                            "sources: [{name: file, url: \"mqtt://localhost\",\n"
                            "           topics: [\"t/{device}/{metric}\"]}]\n";

struct desk {
    const struct replay_file *wanted;
    struct recorded file;
    struct replay replay;
    struct replay_ledger ledger;
    struct replay_out out;
    int64_t first_ms, last_ms; /* event time */
    int64_t began, told;       /* s */
    uint64_t took_ns; /* of a core */
};

static int64_t now_ns(clockid_t clock)
{
    struct timespec now = { 0 };
    (void)clock_gettime(clock, &now); /* fails for no known clock */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct desk *d = ctx;
    replay_ledger_alert(&d->ledger, event);
    replay_out_alert(&d->out, event);
}

static void on_result(void *ctx, const struct window_result *result)
{
    struct desk *d = ctx;
    replay_ledger_window(&d->ledger, result);
    replay_out_result(&d->out, result);
}

static void on_stream(void *ctx, const struct stream_result *result)
{
    struct desk *d = ctx;
    replay_ledger_stream(&d->ledger, result);
    replay_out_stream(&d->out, result);
}

/* --- readings --- */

/* The clock of a gateway that heard each reading as it was made; a late one, when it came. */
static void set_clock(struct desk *d, int64_t wall_ms)
{
    const struct record clock = { .kind = RECORD_CLOCK,
                                  .clock = { .offset_ms = wall_ms, .state = CLOCK_SYNCED } };
    const struct record connected = { .kind = RECORD_SOURCE, .count = 1 };
    engine_begin_block(d->replay.engine, 1);
    replay_record(&d->replay, &clock);
    replay_record(&d->replay, &connected);
}

static void take(struct desk *d)
{
    struct record *record = &d->file.record;
    struct replay *r = &d->replay;
    if (r->counts.readings == 0) {
        d->first_ms = d->last_ms = record->event_time_ms;
        set_clock(d, record->event_time_ms - (d->file.arrives ? record->t_ms : 0));
    }
    int64_t wall_ms = record->event_time_ms;
    d->last_ms = wall_ms > d->last_ms ? wall_ms : d->last_ms;
    if (!d->file.arrives)
        record->t_ms = d->last_ms - engine_clock(r->engine).offset_ms;
    if (record->t_ms < engine_t_ms(r->engine))
        record->t_ms = engine_t_ms(r->engine);
    replay_record(r, record);
    if (r->counts.readings % BLOCK_READINGS == 0)
        engine_begin_block(r->engine, 1 + r->counts.readings / BLOCK_READINGS);
}

static void tell_progress(struct desk *d)
{
    int64_t s = now_ns(CLOCK_MONOTONIC) / 1000000000;
    if (s < d->told + PROGRESS_S)
        return;
    d->told = s;
    (void)fprintf(stderr, "weir: %.0f %%, %" PRIu64 " readings, %zu alerts\n",
                  d->file.bytes > 0 ? 100.0 * (double)d->file.read / (double)d->file.bytes : 0,
                  d->replay.counts.readings, d->ledger.alerts.count);
}

static int run(struct desk *d)
{
    bool tells = d->wanted->progress || isatty(STDERR_FILENO) != 0;
    int got;
    int64_t began_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    d->told = now_ns(CLOCK_MONOTONIC) / 1000000000;
    while ((got = recorded_next(&d->file)) == 1) {
        take(d);
        if (tells && d->replay.counts.readings % 1024 == 0)
            tell_progress(d);
    }
    d->took_ns = (uint64_t)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns);
    if (got < 0)
        (void)fprintf(stderr, "weir: %s:%u: %s\n", d->file.path, d->file.line, d->file.fault);
    else if (d->replay.counts.readings == 0)
        (void)fprintf(stderr, "weir: %s: there is no reading in it\n", d->file.path);
    return got < 0 || d->replay.counts.readings == 0 ? CLI_PROBLEM : CLI_OK;
}

/* --- telling: all that is there appears beside nothing --- */

static double rate_of(const struct desk *d)
{
    return d->took_ns > 0 ? (double)d->replay.counts.readings * 1e9 / (double)d->took_ns : 0;
}

static void print_text(struct desk *d, struct replay_ledger *nothing)
{
    char from[TIMESTAMP_BYTES], to[TIMESTAMP_BYTES];
    struct replay_changes c = { .alone = true };
    const struct replay_counts *counts = &d->replay.counts;
    replay_compare_alerts(nothing, &d->ledger, &c, replay_tell_alert);
    replay_compare_streams(nothing, &d->ledger, &c, replay_tell_stream);
    timestamp_print(d->first_ms, from);
    timestamp_print(d->last_ms, to);
    if (c.table != NULL)
        table_print(c.table, stdout);
    replay_tell_streams(&c, d->replay.config);
    (void)printf("%" PRIu64 " readings from %s to %s: %" PRIu64
                 " alert%s, %zu windows", counts->readings, from, to, c.alerts[CHANGE_APPEARS],
                 c.alerts[CHANGE_APPEARS] == 1 ? "" : "s", d->ledger.windows.count);
    if (d->replay.config->stream_count > 0)
        (void)printf(", %" PRIu64 " results of streams", c.streams[CHANGE_APPEARS]);
    (void)putchar('\n');
    if (counts->late > 0)
        (void)printf("%" PRIu64 " came too late for their window\n", counts->late);
    if (counts->duplicate > 0)
        (void)printf("%" PRIu64 " are repeats\n", counts->duplicate);
    for (int i = 0; i < REJECT_REASON_END; i++)
        if (counts->rejected[i] > 0)
            (void)printf("%" PRIu64 " are rejected: %s\n", counts->rejected[i],
                         reject_text((enum reject_reason)i));
    (void)printf("%.2f s of a core, %.0f readings a second\n", (double)d->took_ns / 1e9,
                 rate_of(d));
}

static void print_json(struct desk *d, struct replay_ledger *nothing)
{
    struct replay_changes c = { .json = true, .alone = true };
    const struct replay_counts *counts = &d->replay.counts;
    (void)printf("{\"file\":");
    config_print_quoted(text_of(d->file.path), stdout);
    (void)printf(",\"readings\":%" PRIu64 ",\"late\":%" PRIu64 ",\"duplicate\":%" PRIu64
                 ",\"windows\":%zu,\"first_ms\":%" PRId64 ",\"last_ms\":%" PRId64
                 ",\"core_seconds\":%.6f,\"readings_per_second\":%.0f,\"rejected\":{",
                 counts->readings, counts->late, counts->duplicate, d->ledger.windows.count,
                 d->first_ms, d->last_ms, (double)d->took_ns / 1e9, rate_of(d));
    const char *comma = "";
    for (int i = 0; i < REJECT_REASON_END; i++)
        if (counts->rejected[i] > 0) {
            (void)printf("%s\"%s\":%" PRIu64, comma, reject_name((enum reject_reason)i),
                         counts->rejected[i]);
            comma = ",";
        }
    (void)printf("},\"alerts\":[");
    replay_compare_alerts(nothing, &d->ledger, &c, replay_tell_alert);
    (void)printf("],\"streams\":");
    replay_compare_streams(nothing, &d->ledger, &c, replay_tell_stream);
    replay_tell_streams(&c, d->replay.config);
    (void)printf(",\"stream_results\":%" PRIu64 "}\n", c.streams[CHANGE_APPEARS]);
}

static int begin(struct desk *d)
{
    char why[256] = "";
    const struct replay_start start = {
        .store = { 1, 2 }, /* ids of its own */
        .config = d->wanted->config.bytes > 0 ? d->wanted->config : text_of(usual),
        .anew = true,
        .sink = { d, on_alert, on_result, NULL, on_stream, NULL },
    };
    if (replay_begin(&d->replay, &start, why) == 0)
        return CLI_OK;
    (void)fprintf(stderr, "weir: %s\n", why);
    return CLI_PROBLEM;
}

int replay_file(const struct replay_file *wanted)
{
    static struct desk d; /* large */
    struct replay_ledger nothing;
    d.wanted = wanted;
    replay_ledger_begin(&d.ledger);
    replay_ledger_begin(&nothing);
    int status = recorded_open(&d.file, wanted->path);
    if (status == CLI_OK)
        status = begin(&d);
    if (status == CLI_OK)
        status = replay_out_open(&d.out, wanted->out, &d.replay);
    if (status == CLI_OK)
        status = run(&d);
    if (status == CLI_OK)
        status = replay_ledger_check(&d.ledger);
    if (status == CLI_OK && wanted->json)
        print_json(&d, &nothing);
    else if (status == CLI_OK)
        print_text(&d, &nothing);
    int closed = replay_out_close(&d.out);
    recorded_close(&d.file);
    replay_end(&d.replay);
    replay_ledger_end(&d.ledger);
    return status == CLI_OK ? closed : status;
}
