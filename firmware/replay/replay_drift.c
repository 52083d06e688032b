#include "firmware/replay/replay_drift.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "firmware/cli/cli.h"
#include "firmware/replay/replay_ledger.h"

struct side { /* one of the two replays */
    struct replay_run run;
    struct replay_ledger ledger;
};

struct drift {
    uint64_t windows[CHANGES], alerts[CHANGES], streams[CHANGES];
    /* by each of the two: in windows; and in one that has fewer by the other */
    uint64_t readings[2], more[2];
    double sum, greatest;    /* of the means' distances, where both have the window */
};

/* --- two replays --- */

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct side *s = ctx;
    if (s->run.in_range)
        replay_ledger_alert(&s->ledger, event);
}

static void on_result(void *ctx, const struct window_result *result)
{
    struct side *s = ctx;
    if (s->run.in_range)
        replay_ledger_window(&s->ledger, result);
}

static void on_stream(void *ctx, const struct stream_result *result)
{
    struct side *s = ctx;
    if (s->run.in_range)
        replay_ledger_stream(&s->ledger, result);
}

static int run_side(struct side *s, const struct replay_drift *wanted, struct journal_copy *copy,
                    enum time_policy time)
{
    static char text[CONFIG_FILE_BYTES_MAX];
    struct replay_then then = { .config = wanted->config };
    if (then.config.bytes == 0 &&
        replay_then_at(copy, copy->recovery.last_block, text, &then) != 0)
        return CLI_PROBLEM;
    replay_ledger_begin(&s->ledger);
    s->run = (struct replay_run){
        .copy = copy,
        .range = wanted->range,
        .config = then.config.bytes > 0 ? then.config : wanted->otherwise,
        .anew = true,
        .time_given = true,
        .time = time,
        .sink = { s, on_alert, on_result, NULL, on_stream, NULL },
    };
    int status = replay_run(&s->run);
    return status == CLI_OK ? replay_ledger_check(&s->ledger) : status;
}

/* --- how far they are apart --- */

static void note_alert(void *ctx, const struct alert_change *change)
{
    struct drift *d = ctx;
    d->alerts[change->change]++;
}

static void note_window(void *ctx, const struct window_change *change)
{
    struct drift *d = ctx;
    uint64_t then = change->then != NULL ? change->then->count : 0;
    uint64_t now = change->now != NULL ? change->now->count : 0;
    d->windows[change->change]++;
    d->readings[0] += then;
    d->readings[1] += now;
    d->more[0] += then > now ? then - now : 0;
    d->more[1] += now > then ? now - then : 0;
    if (change->then == NULL || change->now == NULL)
        return;
    double apart = fabs(change->now->mean - change->then->mean);
    d->sum += apart;
    d->greatest = apart > d->greatest ? apart : d->greatest;
}

static void note_stream(void *ctx, const struct stream_change *change)
{
    struct drift *d = ctx;
    d->streams[change->change]++;
}

static uint64_t sum_of(const uint64_t changes[CHANGES])
{
    uint64_t sum = 0;
    for (int i = 0; i < CHANGES; i++)
        sum += changes[i];
    return sum;
}

static uint64_t both(const struct drift *d)
{
    return d->windows[CHANGE_SAME] + d->windows[CHANGE_MOVES];
}

static const char *name_of(enum time_policy time)
{
    return time == TIME_POLICY_ARRIVAL ? "arrival" : "event";
}

/* The last windows of a recording may not have ended by one of the two, so the other knows more. */
static uint64_t greater(const uint64_t counts[2])
{
    return counts[0] > counts[1] ? counts[0] : counts[1];
}

static void print_text(const struct replay_drift *wanted, const struct drift *d)
{
    uint64_t pairs = both(d), more = greater(d->more), all = greater(d->readings);
    (void)printf("by %s time, beside the other\n", name_of(wanted->time));
    (void)printf("results: %" PRIu64 " the same, %" PRIu64 " others, %" PRIu64
                 " only so, %" PRIu64 " only otherwise\n", d->windows[CHANGE_SAME],
                 d->windows[CHANGE_MOVES], d->windows[CHANGE_APPEARS],
                 d->windows[CHANGE_VANISHES]);
    (void)printf("readings in another window: %" PRIu64 " of %" PRIu64 " (%.2f %%)\n", more, all,
                 all > 0 ? 100.0 * (double)more / (double)all : 0);
    (void)printf("means of windows that both have: %.6g apart on average, %.6g at most\n",
                 pairs > 0 ? d->sum / (double)pairs : 0, d->greatest);
    if (sum_of(d->streams) > 0)
        (void)printf("results of streams: %" PRIu64 " the same, %" PRIu64 " others, %" PRIu64
                     " only so, %" PRIu64 " only otherwise\n", d->streams[CHANGE_SAME],
                     d->streams[CHANGE_MOVES], d->streams[CHANGE_APPEARS],
                     d->streams[CHANGE_VANISHES]);
    (void)printf("alerts: %" PRIu64 " the same, %" PRIu64 " moved, %" PRIu64 " only so, %" PRIu64
                 " only otherwise\n", d->alerts[CHANGE_SAME], d->alerts[CHANGE_MOVES],
                 d->alerts[CHANGE_APPEARS], d->alerts[CHANGE_VANISHES]);
}

static void print_changes(const char *name, const uint64_t changes[CHANGES])
{
    (void)printf(",\"%s\":{\"same\":%" PRIu64 ",\"moved\":%" PRIu64 ",\"only_so\":%" PRIu64
                 ",\"only_otherwise\":%" PRIu64 "}", name, changes[CHANGE_SAME],
                 changes[CHANGE_MOVES], changes[CHANGE_APPEARS], changes[CHANGE_VANISHES]);
}

static void print_json(const struct replay_drift *wanted, const struct drift *d)
{
    uint64_t pairs = both(d);
    (void)printf("{\"time\":\"%s\"", name_of(wanted->time));
    print_changes("results", d->windows);
    print_changes("stream_results", d->streams);
    print_changes("alerts", d->alerts);
    (void)printf(",\"readings\":%" PRIu64 ",\"readings_in_another_window\":%" PRIu64
                 ",\"mean_apart\":%.17g,\"mean_apart_max\":%.17g}\n", greater(d->readings),
                 greater(d->more),
                 pairs > 0 ? d->sum / (double)pairs : 0, d->greatest);
}

static int tell(const struct replay_drift *wanted, struct side *other, struct side *side)
{
    struct drift d = { .sum = 0 };
    if (side->run.first_block == 0) {
        (void)fprintf(stderr, "weir: there is nothing between --from and --to\n");
        return CLI_PROBLEM;
    }
    replay_compare_alerts(&other->ledger, &side->ledger, &d, note_alert);
    replay_compare_windows(&other->ledger, &side->ledger, &d, note_window);
    replay_compare_streams(&other->ledger, &side->ledger, &d, note_stream);
    if (wanted->json)
        print_json(wanted, &d);
    else
        print_text(wanted, &d);
    bool same = d.windows[CHANGE_SAME] == sum_of(d.windows) &&
                d.streams[CHANGE_SAME] == sum_of(d.streams) &&
                d.alerts[CHANGE_SAME] == sum_of(d.alerts);
    return same ? CLI_OK : CLI_DIFFERENT;
}

int replay_drift(const struct replay_drift *wanted)
{
    static struct side other, side;
    struct journal_copy copy;
    enum time_policy against = wanted->time == TIME_POLICY_ARRIVAL ? TIME_POLICY_DEVICE
                                                                   : TIME_POLICY_ARRIVAL;
    int status = journal_copy_open(&copy, wanted->store);
    if (status == CLI_OK)
        status = run_side(&other, wanted, &copy, against);
    if (status == CLI_OK)
        status = run_side(&side, wanted, &copy, wanted->time);
    if (status == CLI_OK)
        status = tell(wanted, &other, &side);
    replay_run_close(&other.run);
    replay_run_close(&side.run);
    replay_ledger_end(&other.ledger);
    replay_ledger_end(&side.ledger);
    journal_copy_close(&copy);
    return status;
}
