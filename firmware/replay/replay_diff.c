#include "firmware/replay/replay_diff.h"

#include <inttypes.h>
#include <stdlib.h>

#include "firmware/cli/cli.h"
#include "firmware/replay/replay_out.h"
#include "firmware/config/config_parts.h"
#include "pipeline/timestamp.h"

struct side { /* one of the two replays */
    struct replay_run run;
    struct replay_ledger ledger;
    struct replay_out out;
};

/* --- one replay --- */

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct side *s = ctx;
    if (!s->run.in_range)
        return;
    replay_ledger_alert(&s->ledger, event);
    replay_out_alert(&s->out, event);
}

static void on_result(void *ctx, const struct window_result *result)
{
    struct side *s = ctx;
    if (!s->run.in_range)
        return;
    replay_ledger_window(&s->ledger, result);
    replay_out_result(&s->out, result);
}

static void on_stream(void *ctx, const struct stream_result *result)
{
    struct side *s = ctx;
    if (!s->run.in_range)
        return;
    replay_ledger_stream(&s->ledger, result);
    replay_out_stream(&s->out, result);
}

static void on_inventory(void *ctx, struct text content)
{
    struct side *s = ctx;
    replay_out_inventory(&s->out, content);
}

static int run_side(struct side *s, const struct replay_diff *wanted, struct journal_copy *copy,
                    bool anew)
{
    replay_ledger_begin(&s->ledger);
    s->run = (struct replay_run){
        .copy = copy,
        .range = wanted->range,
        .config = anew ? wanted->now : wanted->was,
        .anew = anew,
        .may_warm_up = true,
        .sink = { s, on_alert, on_result, on_inventory, on_stream, NULL },
    };
    int status = replay_out_open(&s->out, anew ? wanted->out : NULL, &s->run.replay);
    if (status == CLI_OK)
        status = replay_run(&s->run);
    return status == CLI_OK ? replay_ledger_check(&s->ledger) : status;
}

static int end_side(struct side *s)
{
    replay_run_close(&s->run);
    replay_ledger_end(&s->ledger);
    return replay_out_close(&s->out);
}

/* --- telling --- */

static uint64_t rejected(const struct replay_counts *c)
{
    uint64_t sum = 0;
    for (int i = 0; i < REJECT_REASON_END; i++)
        sum += c->rejected[i];
    return sum;
}

static void print_rejected(const struct replay_counts *c)
{
    for (int i = 0; i < REJECT_REASON_END; i++)
        if (c->rejected[i] > 0)
            (void)printf("%" PRIu64 " readings would be rejected: %s\n", c->rejected[i],
                         reject_text((enum reject_reason)i));
    if (c->duplicate > 0)
        (void)printf("%" PRIu64 " readings would be taken for repeats\n", c->duplicate);
    if (c->sourceless > 0)
        (void)printf("%" PRIu64 " readings came by a source that it does not have\n",
                     c->sourceless);
}

static void print_text(const struct replay_diff *wanted, struct side *then, struct side *now)
{
    char from[TIMESTAMP_BYTES], to[TIMESTAMP_BYTES];
    struct replay_changes c = { 0 };
    replay_compare_alerts(&then->ledger, &now->ledger, &c, replay_tell_alert);
    replay_compare_windows(&then->ledger, &now->ledger, &c, replay_tell_window);
    replay_compare_streams(&then->ledger, &now->ledger, &c, replay_tell_stream);
    timestamp_print(now->run.first_ms, from);
    timestamp_print(now->run.last_ms, to);
    (void)printf("%s, beside what was in force, from %s to %s\n", wanted->name, from, to);
    if (then->run.warmed_up)
        (void)printf("what was known before is gone: both warm up, and \"then\" is what it would "
                     "have said\n");
    (void)printf("alerts: %" PRIu64 " the same, %" PRIu64 " would appear, %" PRIu64
                 " vanish, %" PRIu64 " move\n", c.alerts[CHANGE_SAME], c.alerts[CHANGE_APPEARS],
                 c.alerts[CHANGE_VANISHES], c.alerts[CHANGE_MOVES]);
    (void)printf("results: %" PRIu64 " the same, %" PRIu64 " would appear, %" PRIu64
                 " vanish, %" PRIu64 " be others\n", c.windows[CHANGE_SAME],
                 c.windows[CHANGE_APPEARS], c.windows[CHANGE_VANISHES], c.windows[CHANGE_MOVES]);
    if (then->ledger.results.count + now->ledger.results.count > 0)
        (void)printf("results of streams: %" PRIu64 " the same, %" PRIu64 " would appear, %" PRIu64
                     " vanish, %" PRIu64 " be others\n", c.streams[CHANGE_SAME],
                     c.streams[CHANGE_APPEARS], c.streams[CHANGE_VANISHES],
                     c.streams[CHANGE_MOVES]);
    print_rejected(&now->run.replay.counts);
    (void)putchar('\n');
    replay_tell_groups(&c);
    replay_tell_keys(&c);
}

static void print_json(const struct replay_diff *wanted, struct side *then, struct side *now)
{
    struct replay_changes c = { .json = true };
    const struct replay_counts *counts = &now->run.replay.counts;
    (void)printf("{\"config\":");
    config_print_quoted(text_of(wanted->name), stdout);
    (void)printf(",\"first_ms\":%" PRId64 ",\"last_ms\":%" PRId64 ",\"warmed_up\":%s,\"readings\":%"
                 PRIu64 ",\"seconds\":%.6f", now->run.first_ms, now->run.last_ms,
                 then->run.warmed_up ? "true" : "false", counts->readings,
                 (double)(then->run.took_us + now->run.took_us) / 1e6);
    (void)printf(",\"rejected\":%" PRIu64 ",\"duplicate\":%" PRIu64 ",\"sourceless\":%" PRIu64
                 ",\"alerts\":[", rejected(counts), counts->duplicate, counts->sourceless);
    replay_compare_alerts(&then->ledger, &now->ledger, &c, replay_tell_alert);
    (void)printf("],\"results\":[");
    replay_compare_windows(&then->ledger, &now->ledger, &c, replay_tell_window);
    (void)printf("],\"stream_results\":[");
    replay_compare_streams(&then->ledger, &now->ledger, &c, replay_tell_stream);
    (void)printf("]");
    replay_tell_groups(&c);
    replay_tell_keys(&c);
    (void)printf("}\n");
}

static void count_change(void *ctx, const struct alert_change *change)
{
    uint64_t *changes = ctx;
    *changes += change->change != CHANGE_SAME;
}

static void count_window(void *ctx, const struct window_change *change)
{
    uint64_t *changes = ctx;
    *changes += change->change != CHANGE_SAME;
}

static void count_stream(void *ctx, const struct stream_change *change)
{
    uint64_t *changes = ctx;
    *changes += change->change != CHANGE_SAME;
}

static int tell(const struct replay_diff *wanted, struct side *then, struct side *now)
{
    uint64_t changes = 0;
    if (now->run.first_block == 0) {
        (void)fprintf(stderr, "weir: there is nothing between --from and --to\n");
        return CLI_PROBLEM;
    }
    replay_compare_alerts(&then->ledger, &now->ledger, &changes, count_change);
    replay_compare_windows(&then->ledger, &now->ledger, &changes, count_window);
    replay_compare_streams(&then->ledger, &now->ledger, &changes, count_stream);
    if (wanted->json)
        print_json(wanted, then, now);
    else
        print_text(wanted, then, now);
    return changes > 0 ? CLI_DIFFERENT : CLI_OK;
}

int replay_diff(const struct replay_diff *wanted)
{
    static struct side then, now; /* large */
    struct journal_copy copy;
    int status = journal_copy_open(&copy, wanted->store);
    if (status == CLI_OK)
        status = run_side(&then, wanted, &copy, false);
    if (status == CLI_OK)
        status = run_side(&now, wanted, &copy, true);
    if (status == CLI_OK)
        status = tell(wanted, &then, &now);
    int closed = end_side(&then);
    closed = end_side(&now) == CLI_OK ? closed : CLI_PROBLEM;
    journal_copy_close(&copy);
    return status == CLI_OK ? closed : status;
}
