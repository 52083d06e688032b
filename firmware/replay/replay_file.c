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
    bool begun;
    bool clock_told;           /* by the file: what it says of its clock is not guessed */
    bool clock_exact;          /* guessed by a reading that has the time of its arrival */
    int64_t heard_ms;          /* wall time of the last arrival, where that is not in t */
    bool in_range;
    struct replay_counts before; /* the range */
    int64_t first_ms, last_ms; /* event time, in the range */
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
    if (!d->in_range)
        return;
    replay_ledger_alert(&d->ledger, event);
    replay_out_alert(&d->out, event);
}

static void on_result(void *ctx, const struct window_result *result)
{
    struct desk *d = ctx;
    if (!d->in_range)
        return;
    replay_ledger_window(&d->ledger, result);
    replay_out_result(&d->out, result);
}

static void on_stream(void *ctx, const struct stream_result *result)
{
    struct desk *d = ctx;
    if (!d->in_range)
        return;
    replay_ledger_stream(&d->ledger, result);
    replay_out_stream(&d->out, result);
}

/* --- readings --- */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void set_clock(struct desk *d, int64_t t_ms, const struct clock_record *clock)
{
    const struct record record = { .kind = RECORD_CLOCK, .t_ms = t_ms, .clock = *clock };
    replay_record(&d->replay, &record);
    if (d->begun)
        return;
    d->begun = true;
    for (uint16_t i = 0; i < d->replay.config->source_count; i++) {
        const struct record connected = { .kind = RECORD_SOURCE, .t_ms = t_ms, .count = 1,
                                          .reading = { .source = i } };
        replay_record(&d->replay, &connected);
    }
}

static void guess_clock(struct desk *d, int64_t t_ms, int64_t wall_ms)
{
    const struct clock_record clock = { .offset_ms = wall_ms - t_ms, .state = CLOCK_SYNCED };
    set_clock(d, t_ms, &clock);
}

/* When a reading arrives that says so: at its t. Until the file tells of its clock, that is one by
 * which no reading arrives before it was made, and one that has the time of its arrival just then:
 * t stands still while the gateway does, so it steps. Where it is exact, devices may be ahead. */
static int64_t arrive_at_t(struct desk *d)
{
    const struct record *record = &d->file.record;
    int64_t stands_ms = engine_t_ms(d->replay.engine), t_ms = later(record->t_ms, stands_ms);
    int64_t wall_ms = t_ms + engine_clock(d->replay.engine).offset_ms;
    bool exact = record->time_source == TIME_ARRIVAL && record->t_ms >= stands_ms;
    int64_t skew_ms = d->clock_exact ? d->replay.config->engine.max_skew_ms : 0;
    bool wrong = exact ? record->event_time_ms != wall_ms
                       : record->event_time_ms > wall_ms + skew_ms;
    d->clock_exact = d->clock_exact || exact;
    if (!d->begun || (!d->clock_told && wrong))
        guess_clock(d, t_ms, record->event_time_ms);
    return t_ms;
}

/* And one that does not: when the file says that it was heard, else as it was made; in order. */
static int64_t arrive_as_made(struct desk *d)
{
    const struct record *record = &d->file.record;
    int64_t heard_ms = d->file.heard ? d->file.heard_ms : record->event_time_ms;
    d->heard_ms = d->begun ? later(heard_ms, d->heard_ms) : heard_ms;
    if (!d->begun)
        guess_clock(d, 0, heard_ms);
    int64_t t_ms = later(d->heard_ms - engine_clock(d->replay.engine).offset_ms,
                         engine_t_ms(d->replay.engine));
    return t_ms < TIME_MS_MAX ? t_ms : TIME_MS_MAX - 1; /* of a file that spans more: rejected */
}

/* What is due before the range begins is of what is before it. False: it is over. */
static bool enter(struct desk *d, int64_t t_ms)
{
    const struct replay_range *range = &d->wanted->range;
    struct replay *r = &d->replay;
    int64_t offset_ms = engine_clock(r->engine).offset_ms, wall_ms = t_ms + offset_ms;
    if (wall_ms >= range->to_ms)
        return false;
    if (d->in_range || wall_ms < range->from_ms)
        return true;
    if (range->from_ms != INT64_MIN)
        replay_wait(r, later(range->from_ms - offset_ms - 1, engine_t_ms(r->engine)));
    d->before = r->counts;
    d->in_range = true;
    return true;
}

static void note_time(struct desk *d, int64_t event_ms)
{
    bool first = d->replay.counts.readings == d->before.readings;
    d->first_ms = first ? event_ms : d->first_ms;
    d->last_ms = first ? event_ms : later(event_ms, d->last_ms);
}

/* False: it is behind the range. */
static bool take(struct desk *d)
{
    struct record *record = &d->file.record;
    struct replay *r = &d->replay;
    if (r->counts.readings == 0 && !d->begun)
        engine_begin_block(r->engine, 1);
    if (record->kind == RECORD_CLOCK) {
        d->clock_told = true;
        set_clock(d, later(record->t_ms, engine_t_ms(r->engine)), &record->clock);
        return true;
    }
    record->t_ms = d->file.arrives ? arrive_at_t(d) : arrive_as_made(d);
    if (!enter(d, record->t_ms))
        return false;
    if (d->in_range)
        note_time(d, record->event_time_ms);
    replay_record(r, record);
    if (r->counts.readings % BLOCK_READINGS == 0)
        engine_begin_block(r->engine, 1 + r->counts.readings / BLOCK_READINGS);
    return true;
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
    bool tells = d->wanted->range.progress || isatty(STDERR_FILENO) != 0;
    int got;
    int64_t began_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    d->told = now_ns(CLOCK_MONOTONIC) / 1000000000;
    d->in_range = d->wanted->range.from_ms == INT64_MIN;
    while ((got = recorded_next(&d->file)) == 1 && take(d))
        if (tells && d->replay.counts.readings % 1024 == 0)
            tell_progress(d);
    d->took_ns = (uint64_t)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns);
    bool nothing = !d->in_range || d->replay.counts.readings == d->before.readings;
    if (got < 0)
        (void)fprintf(stderr, "weir: %s:%u: %s\n", d->file.path, d->file.line, d->file.fault);
    else if (nothing)
        (void)fprintf(stderr, "weir: %s: there is no reading in it%s\n", d->file.path,
                      d->begun ? " between --from and --to" : "");
    return got < 0 || nothing ? CLI_PROBLEM : CLI_OK;
}

/* --- what streams want, and the file has not --- */

static void tell_missing(const struct desk *d, bool json)
{
    const struct config *config = d->replay.config;
    const char *comma = "";
    for (uint32_t s = 0; s < config->stream_count; s++) {
        uint64_t missing = recorded_fields_missing(&d->file.fields, s);
        for (uint32_t i = 0; i < config->stream_fields.count; i++) {
            struct text name = config->stream_fields.names[i].name;
            if ((missing >> i & 1) == 0)
                continue;
            if (!json) {
                (void)fprintf(stderr, "weir: %s: no reading in it has the field `%.*s`, which the "
                              "stream `%s` looks at\n", d->file.path, (int)name.bytes, name.at,
                              config->streams[s].name);
                continue;
            }
            (void)printf("%s{\"stream\":", comma);
            config_print_quoted(text_of(config->streams[s].name), stdout);
            (void)printf(",\"field\":");
            config_print_quoted(name, stdout);
            (void)printf("}");
            comma = ",";
        }
    }
}

/* --- telling: all that is there appears beside nothing --- */

static struct replay_counts counts_of(const struct desk *d)
{
    struct replay_counts c = d->replay.counts;
    c.readings -= d->before.readings;
    c.late -= d->before.late;
    c.duplicate -= d->before.duplicate;
    for (int i = 0; i < REJECT_REASON_END; i++)
        c.rejected[i] -= d->before.rejected[i];
    return c;
}

static double rate_of(const struct desk *d)
{
    return d->took_ns > 0 ? (double)d->replay.counts.readings * 1e9 / (double)d->took_ns : 0;
}

static void print_text(struct desk *d, struct replay_ledger *nothing)
{
    char from[TIMESTAMP_BYTES], to[TIMESTAMP_BYTES];
    struct replay_changes c = { .alone = true };
    const struct replay_counts counts = counts_of(d);
    replay_compare_alerts(nothing, &d->ledger, &c, replay_tell_alert);
    replay_compare_streams(nothing, &d->ledger, &c, replay_tell_stream);
    timestamp_print(d->first_ms, from);
    timestamp_print(d->last_ms, to);
    if (c.table != NULL)
        table_print(c.table, stdout);
    replay_tell_streams(&c, d->replay.config);
    (void)printf("%" PRIu64 " readings from %s to %s: %" PRIu64
                 " alert%s, %zu windows", counts.readings, from, to, c.alerts[CHANGE_APPEARS],
                 c.alerts[CHANGE_APPEARS] == 1 ? "" : "s", d->ledger.windows.count);
    if (d->replay.config->stream_count > 0)
        (void)printf(", %" PRIu64 " results of streams", c.streams[CHANGE_APPEARS]);
    (void)putchar('\n');
    if (counts.late > 0)
        (void)printf("%" PRIu64 " came too late for their window\n", counts.late);
    if (counts.duplicate > 0)
        (void)printf("%" PRIu64 " are repeats\n", counts.duplicate);
    for (int i = 0; i < REJECT_REASON_END; i++)
        if (counts.rejected[i] > 0)
            (void)printf("%" PRIu64 " are rejected: %s\n", counts.rejected[i],
                         reject_text((enum reject_reason)i));
    if (d->before.readings > 0)
        (void)printf("%" PRIu64 " that arrived before --from are what it knew by then\n",
                     d->before.readings);
    tell_missing(d, false);
    (void)printf("%.2f s of a core, %.0f readings a second\n", (double)d->took_ns / 1e9,
                 rate_of(d));
}

static void print_json(struct desk *d, struct replay_ledger *nothing)
{
    struct replay_changes c = { .json = true, .alone = true };
    const struct replay_counts counts = counts_of(d);
    (void)printf("{\"file\":");
    config_print_quoted(text_of(d->file.path), stdout);
    (void)printf(",\"readings\":%" PRIu64 ",\"late\":%" PRIu64 ",\"duplicate\":%" PRIu64
                 ",\"windows\":%zu,\"first_ms\":%" PRId64 ",\"last_ms\":%" PRId64
                 ",\"core_seconds\":%.6f,\"readings_per_second\":%.0f,\"rejected\":{",
                 counts.readings, counts.late, counts.duplicate, d->ledger.windows.count,
                 d->first_ms, d->last_ms, (double)d->took_ns / 1e9, rate_of(d));
    const char *comma = "";
    for (int i = 0; i < REJECT_REASON_END; i++)
        if (counts.rejected[i] > 0) {
            (void)printf("%s\"%s\":%" PRIu64, comma, reject_name((enum reject_reason)i),
                         counts.rejected[i]);
            comma = ",";
        }
    (void)printf("},\"alerts\":[");
    replay_compare_alerts(nothing, &d->ledger, &c, replay_tell_alert);
    (void)printf("],\"streams\":");
    replay_compare_streams(nothing, &d->ledger, &c, replay_tell_stream);
    replay_tell_streams(&c, d->replay.config);
    (void)printf(",\"stream_results\":%" PRIu64 ",\"before\":%" PRIu64 ",\"missing\":[",
                 c.streams[CHANGE_APPEARS], d->before.readings);
    tell_missing(d, true);
    (void)printf("]}\n");
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
        recorded_fields_init(&d.file.fields, d.replay.config);
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
