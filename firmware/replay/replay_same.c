#include "firmware/replay/replay_same.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/cli.h"
#include "firmware/replay/replay_emit.h"
#include "firmware/replay/replay_out.h"
#include "firmware/config/config_parts.h"
#include "pipeline/timestamp.h"

enum { ITEMS_MAX = 8 };

struct item { /* something that a block makes, for people */
    char text[200];
};

struct first { /* the first block that makes something else now */
    uint64_t block;
    int64_t wall_ms;
    struct made_sum now, then;
    uint32_t item_count;
    struct item items[ITEMS_MAX];
};

struct same {
    const struct replay_same *wanted;
    struct replay_run run;
    struct replay_out out;
    uint64_t blocks[REPLAY_UNTOLD + 1];
    uint64_t alerts, results, corrections; /* compared, and the same */
    uint64_t silent_alerts, silent_results; /* in blocks that do not say */
    struct first first;
    bool emitted;                  /* it came to that, and was done */
    /* of the block that is being taken */
    uint32_t item_count;
    struct item items[ITEMS_MAX];
};

/* --- what is made --- */

static struct item *next_item(struct same *s)
{
    return s->item_count < ITEMS_MAX ? &s->items[s->item_count++] : NULL;
}

static const char *transition_name(enum alert_transition transition)
{
    return transition == ALERT_RAISE ? "raised" : transition == ALERT_CLEAR ? "cleared" : "updated";
}

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct same *s = ctx;
    struct item *item = s->run.in_range ? next_item(s) : NULL;
    if (item != NULL)
        (void)snprintf(item->text, sizeof item->text,
                       "alert %s of %.*s/%.*s %s, revision %u %s, observed %.9g", event->id,
                       (int)event->device.bytes, event->device.at, (int)event->metric.bytes,
                       event->metric.at, event->rule->name, event->alert->revision,
                       transition_name(event->transition), event->alert->peak.observed);
    s->out.marks = s->run.marks;
    if (s->run.in_range || s->run.marks)
        replay_out_alert(&s->out, event);
}

static void on_result(void *ctx, const struct window_result *result)
{
    struct same *s = ctx;
    s->out.marks = s->run.marks;
    if (s->run.marks)
        replay_out_result(&s->out, result);
    if (!s->run.in_range)
        return;
    if (s->first.block == 0 && s->item_count < ITEMS_MAX) {
        char time[TIMESTAMP_BYTES];
        timestamp_print(result->start_ms, time);
        (void)snprintf(next_item(s)->text, sizeof s->items[0].text,
                       "window of %.*s/%.*s from %s, revision %u, count %" PRIu64 ", mean %.17g",
                       (int)result->device.bytes, result->device.at, (int)result->metric.bytes,
                       result->metric.at, time, result->revision, result->aggregate.count,
                       result->aggregate.mean);
    }
    replay_out_result(&s->out, result);
}

/* Whole characters, where it did not fit. */
static void cut_off(char *text, size_t bytes, int wanted)
{
    if (wanted < 0 || (size_t)wanted < bytes)
        return;
    size_t end = bytes - 1;
    while (end > 0 && ((unsigned char)text[end - 1] & 0xC0) == 0x80)
        end--;
    text[end > 0 && (unsigned char)text[end - 1] >= 0xC0 ? end - 1 : end] = '\0';
}

static void on_stream(void *ctx, const struct stream_result *result)
{
    static char to[REPLAY_BODY_BYTES];
    struct same *s = ctx;
    bool shown = s->run.in_range && s->first.block == 0;
    struct item *item = shown ? next_item(s) : NULL;
    s->out.marks = s->run.marks;
    if (s->run.in_range || s->run.marks)
        replay_out_stream(&s->out, result);
    if (item == NULL)
        return;
    char time[TIMESTAMP_BYTES];
    timestamp_print(result->start_ms, time);
    struct text body = replay_out_body(result, to);
    cut_off(item->text, sizeof item->text,
            snprintf(item->text, sizeof item->text, "result of %.*s from %s, revision %u: %.*s",
                     (int)result->stream.bytes, result->stream.at, time, result->revision,
                     (int)body.bytes, body.at));
}

static void on_late(void *ctx, const struct stream_late *late, uint32_t number)
{
    struct same *s = ctx;
    struct item *item = s->run.in_range ? next_item(s) : NULL;
    const struct reading *reading = &late->record->reading;
    if (item != NULL)
        (void)snprintf(item->text, sizeof item->text,
                       "correction %" PRIu64 ".%u of %.*s/%.*s, %u windows of %s",
                       s->run.replay.block, number, (int)reading->device.bytes, reading->device.at,
                       (int)reading->metric.bytes, reading->metric.at, late->windows,
                       late->plan != NULL ? late->plan->config->name : "its series");
    s->out.marks = s->run.marks;
    if (s->run.in_range || s->run.marks)
        replay_out_late(&s->out, &(struct replay_late){ late, number });
}

static void on_inventory(void *ctx, struct text content)
{
    struct same *s = ctx;
    replay_out_inventory(&s->out, content);
}

static void on_block(void *ctx, const struct replay_run *run)
{
    struct same *s = ctx;
    const struct replay *r = &run->replay;
    s->blocks[r->verdict]++;
    bool told = r->verdict != REPLAY_UNTOLD;
    s->alerts += r->verdict == REPLAY_SAME ? r->now.alerts : 0;
    s->results += r->verdict == REPLAY_SAME ? r->now.results : 0;
    s->corrections += r->verdict == REPLAY_SAME && r->form > 1 ? r->now.corrections : 0;
    s->silent_alerts += told ? 0 : r->now.alerts;
    s->silent_results += told ? 0 : r->now.results;
    if (r->verdict == REPLAY_DIFFERENT && s->first.block == 0) {
        s->first = (struct first){ .block = r->block, .wall_ms = r->wall_ms, .now = r->now,
                                   .then = r->then, .item_count = s->item_count };
        memcpy(s->first.items, s->items, sizeof s->items);
    }
    s->item_count = 0;
}

/* --- telling --- */

static const char *verdict_of(const struct same *s)
{
    if (s->blocks[REPLAY_DIFFERENT] > 0)
        return "different";
    return s->blocks[REPLAY_SAME] > 0 ? "identical" : "nothing to compare";
}

static double rate_of(const struct same *s)
{
    double seconds = (double)s->run.core_us / 1e6;
    return seconds > 0 ? (double)s->run.replay.counts.readings / seconds : 0;
}

static void print_first(const struct first *f)
{
    char time[TIMESTAMP_BYTES];
    timestamp_print(f->wall_ms, time);
    (void)printf("\nThe first difference is in block %" PRIu64 " (%s): it made %" PRIu64
                 " alerts and %" PRIu64 " results then,\n%" PRIu64 " and %" PRIu64 " now; the "
                 "alerts are %s, the results %s. Now it makes\n", f->block, time, f->then.alerts,
                 f->then.results, f->now.alerts, f->now.results,
                 f->then.alert_digest == f->now.alert_digest ? "the same" : "others",
                 f->then.result_digest == f->now.result_digest ? "the same" : "others");
    if (f->then.form > 1 && (f->then.corrections > 0 || f->now.corrections > 0))
        (void)printf("of readings that are too late for windows: %" PRIu64 " then, %" PRIu64
                     " now, %s\n", f->then.corrections, f->now.corrections,
                     f->then.correction_digest == f->now.correction_digest ? "the same" : "others");
    for (uint32_t i = 0; i < f->item_count; i++)
        (void)printf("  %s\n", f->items[i].text);
    if (f->item_count == 0)
        (void)printf("  nothing\n");
    if (f->now.alerts + f->now.results + f->now.corrections > f->item_count)
        (void)printf("  ...\n");
}

static struct replay_emit emit; /* large */

/* Without a state: what stands behind the warm-up may go by more than that. */
static void print_warm_up(const struct same *s)
{
    char until[TIMESTAMP_BYTES];
    const struct replay_run *run = &s->run;
    timestamp_print(run->warm_ms, until);
    (void)printf("started from block %" PRIu64 ", the first that is left: no checkpoint at or "
                 "before --from is held, so what was\nknown then is gone. It warms up until %s: %"
                 PRIu64 " blocks, %" PRIu64 " alerts and %" PRIu64 " results of the range are "
                 "marked, and\nnot compared%s\n", run->copy->recovery.first_block, until,
                 run->marked.blocks, run->marked.alerts, run->marked.results,
                 s->blocks[REPLAY_DIFFERENT] > 0
                     ? "; a difference behind it may be of what is remembered for longer"
                 : run->first_block == 0 ? "; a shorter --warmup leaves something to compare" : "");
}

static void print_start(const struct same *s)
{
    const struct replay_run *run = &s->run;
    if (run->warm_ms != 0)
        print_warm_up(s);
    else if (run->start_block > 0)
        (void)printf("started from the checkpoint of block %" PRIu64 "\n", run->start_block);
    else
        (void)printf("started from the first block\n");
    if (run->before.blocks > 0)
        (void)printf("on the way to --from: %" PRIu64 " blocks, %" PRIu64 " alerts and %" PRIu64
                     " results, compared with nothing\n", run->before.blocks, run->before.alerts,
                     run->before.results);
}

static void print_text(const struct same *s)
{
    char from[TIMESTAMP_BYTES], to[TIMESTAMP_BYTES];
    const struct replay_run *run = &s->run;
    timestamp_print(run->first_ms, from);
    timestamp_print(run->last_ms, to);
    if (run->first_block == 0) {
        (void)printf("%s\n", verdict_of(s));
        print_start(s);
        return;
    }
    (void)printf("%s: %" PRIu64 " alerts and %" PRIu64 " results, made again from the journal\n",
                 verdict_of(s), s->alerts, s->results);
    if (s->corrections > 0)
        (void)printf("and %" PRIu64 " corrections of readings that were too late\n",
                     s->corrections);
    (void)printf("blocks %" PRIu64 " to %" PRIu64 " (%s to %s): %" PRIu64 " the same, %" PRIu64
                 " different, %" PRIu64 " that do not say what they made\n", run->first_block,
                 run->last_block, from, to, s->blocks[REPLAY_SAME], s->blocks[REPLAY_DIFFERENT],
                 s->blocks[REPLAY_UNTOLD]);
    print_start(s);
    (void)printf("%" PRIu64 " readings in %.2f s, of which %.2f s of a core: %.0f a second\n",
                 run->replay.counts.readings, (double)run->took_us / 1e6,
                 (double)run->core_us / 1e6, rate_of(s));
    if (s->emitted)
        (void)printf("told again: %" PRIu64 " alerts and %" PRIu64 " results, in %" PRIu64
                     " messages of the lane results\n", emit.alerts, emit.results, emit.messages);
    if (s->emitted && emit.corrections > 0)
        (void)printf("among them %" PRIu64 " corrections\n", emit.corrections);
    if (s->first.block > 0)
        print_first(&s->first);
}

static void print_first_json(const struct first *f)
{
    (void)printf(",\"first_difference\":{\"block\":%" PRIu64 ",\"wall_ms\":%" PRId64
                 ",\"then\":{\"alerts\":%" PRIu64 ",\"results\":%" PRIu64
                 "},\"now\":{\"alerts\":%" PRIu64 ",\"results\":%" PRIu64
                 "},\"alerts_differ\":%s,\"results_differ\":%s,\"made_now\":[",
                 f->block, f->wall_ms, f->then.alerts, f->then.results, f->now.alerts,
                 f->now.results, f->then.alert_digest != f->now.alert_digest ? "true" : "false",
                 f->then.result_digest != f->now.result_digest ? "true" : "false");
    for (uint32_t i = 0; i < f->item_count; i++) {
        (void)printf(i > 0 ? "," : "");
        config_print_quoted(text_of(f->items[i].text), stdout);
    }
    (void)printf("]}");
}

static void print_json(const struct same *s)
{
    const struct replay_run *run = &s->run;
    (void)printf("{\"verdict\":\"%s\",\"alerts\":%" PRIu64 ",\"results\":%" PRIu64
                 ",\"corrections\":%" PRIu64
                 ",\"blocks\":{\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"same\":%" PRIu64
                 ",\"different\":%" PRIu64 ",\"untold\":%" PRIu64 "}",
                 verdict_of(s), s->alerts, s->results, s->corrections, run->first_block,
                 run->last_block,
                 s->blocks[REPLAY_SAME], s->blocks[REPLAY_DIFFERENT], s->blocks[REPLAY_UNTOLD]);
    (void)printf(",\"untold\":{\"alerts\":%" PRIu64 ",\"results\":%" PRIu64
                 "},\"before\":{\"blocks\":%" PRIu64 ",\"alerts\":%" PRIu64
                 ",\"results\":%" PRIu64 "},\"checkpoint_block\":%" PRIu64
                 ",\"first_ms\":%" PRId64 ",\"last_ms\":%" PRId64
                 ",\"readings\":%" PRIu64 ",\"seconds\":%.6f,\"core_seconds\":%.6f"
                 ",\"readings_per_second\":%.0f",
                 s->silent_alerts, s->silent_results, run->before.blocks, run->before.alerts,
                 run->before.results, run->start_block, run->first_ms, run->last_ms,
                 run->replay.counts.readings, (double)run->took_us / 1e6,
                 (double)run->core_us / 1e6, rate_of(s));
    if (run->warm_ms != 0)
        (void)printf(",\"warmup\":{\"first_block\":%" PRIu64 ",\"until_ms\":%" PRId64
                     ",\"blocks\":%" PRIu64 ",\"alerts\":%" PRIu64 ",\"results\":%" PRIu64 "}",
                     run->copy->recovery.first_block, run->warm_ms, run->marked.blocks,
                     run->marked.alerts, run->marked.results);
    if (s->emitted)
        (void)printf(",\"emitted\":{\"alerts\":%" PRIu64 ",\"results\":%" PRIu64
                     ",\"corrections\":%" PRIu64
                     ",\"messages\":%" PRIu64 "}", emit.alerts, emit.results,
                     emit.corrections, emit.messages);
    if (s->first.block > 0)
        print_first_json(&s->first);
    (void)printf("}\n");
}

static int tell(const struct same *s)
{
    if (s->wanted->json)
        print_json(s);
    else
        print_text(s);
    if (s->blocks[REPLAY_DIFFERENT] > 0)
        return CLI_DIFFERENT;
    return s->blocks[REPLAY_SAME] > 0 ? CLI_OK : CLI_PROBLEM;
}

/* Once more over the same stretch, now that all of it is proved: nothing is told that is not what
 * was made then. */
static int emit_again(struct same *s)
{
    static struct replay_run run;
    if (s->wanted->socket == NULL || s->blocks[REPLAY_DIFFERENT] > 0 || s->blocks[REPLAY_SAME] == 0)
        return CLI_OK; /* that is told and shown */
    if (s->silent_alerts + s->silent_results > 0) {
        (void)fprintf(stderr, "weir: %" PRIu64 " alerts and %" PRIu64 " results are of blocks "
                      "that do not say what they made, so that it can't be proved; leave them out "
                      "with --from and --to\n", s->silent_alerts, s->silent_results);
        return CLI_PROBLEM;
    }
    run = (struct replay_run){ .copy = s->run.copy, .range = s->run.range,
                               .config = s->wanted->config };
    run.range.speed = 0;
    emit = (struct replay_emit){ .socket = s->wanted->socket, .progress = s->run.range.progress };
    int status = replay_emit_begin(&emit, &run);
    if (status == CLI_OK)
        status = replay_run(&run);
    int ended = replay_emit_end(&emit);
    replay_run_close(&run);
    s->emitted = status == CLI_OK && ended == CLI_OK;
    return s->emitted ? CLI_OK : CLI_PROBLEM;
}

int replay_same(const struct replay_same *wanted)
{
    static struct same s; /* large */
    struct journal_copy copy;
    s = (struct same){ .wanted = wanted };
    s.run = (struct replay_run){
        .copy = &copy,
        .range = wanted->range,
        .config = wanted->config,
        .sink = { &s, on_alert, on_result, on_inventory, on_stream, on_late },
        .on_block = on_block,
        .ctx = &s,
    };
    int status = journal_copy_open(&copy, wanted->store);
    if (status == CLI_OK)
        status = replay_out_open(&s.out, wanted->out, &s.run.replay);
    if (status == CLI_OK)
        status = replay_run(&s.run);
    if (status == CLI_OK)
        status = emit_again(&s);
    if (status == CLI_OK)
        status = tell(&s);
    int closed = replay_out_close(&s.out);
    replay_run_close(&s.run);
    journal_copy_close(&copy);
    return status == CLI_OK ? closed : status;
}
