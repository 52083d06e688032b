#include "firmware/replay/replay_run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "firmware/cli/cli.h"
#include "firmware/gateway/checkpoint_form.h"
#include "pipeline/err.h"
#include "pipeline/timestamp.h"

enum { PROGRESS_US = 1000000 };

static int complain(const char *what)
{
    (void)fprintf(stderr, "weir: %s\n", what);
    return CLI_PROBLEM;
}

static int64_t read_us(clockid_t clock)
{
    struct timespec now = { 0 };
    (void)clock_gettime(clock, &now); /* fails for no known clock */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t now_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

/* --- where to start --- */

/* The last that the block holds, if any; and whether its process says what its blocks make. */
static int note_config(struct journal_copy *copy, struct text bytes, char *to,
                       struct replay_then *then)
{
    const struct replay_sink *sink = then->sink;
    struct record record;
    int more = block_open(copy->reader, bytes);
    more = more == 0 ? 1 : more;
    while (more == 1 && (more = block_next(copy->reader, &record)) == 1) {
        then->says = record.kind != RECORD_CONFIG && (then->says || record.kind == RECORD_MADE);
        if (record.kind == RECORD_INVENTORY && sink != NULL && sink->inventory != NULL)
            sink->inventory(sink->ctx, record.content);
        if (record.kind == RECORD_CONFIG && record.content.bytes <= CONFIG_FILE_BYTES_MAX) {
            memcpy(to, record.content.at, record.content.bytes);
            then->config = (struct text){ to, record.content.bytes };
        }
    }
    return more;
}

int replay_then_at(struct journal_copy *copy, uint64_t block, char *to, struct replay_then *then)
{
    uint64_t number = 0;
    struct text bytes;
    int more;
    *then = (struct replay_then){ .sink = then->sink };
    while ((more = journal_copy_block(copy, number + 1, &number, &bytes)) == 1 && number <= block) {
        int err = note_config(copy, bytes, to, then);
        if (err < 0) {
            (void)complain(weir_err_text(err));
            return -1;
        }
    }
    return more < 0 ? -1 : 0;
}

/* 1: the state of that checkpoint is there, and not later than wanted; 0: it is no use. */
static int try_checkpoint(struct replay_run *run, const struct checkpoint_place *place, bool last)
{
    char why[256] = "";
    struct replay_then then = { .sink = &run->sink };
    if (replay_then_at(run->copy, place->block, run->was, &then) != 0)
        return -1;
    uint8_t *state = realloc(run->state, place->bytes);
    if (state == NULL)
        return complain("no memory for the state") == 0 ? 0 : -1;
    run->state = state;
    if (store_checkpoint_read_at(run->copy->store, place, state, place->bytes) != 0)
        return 0;
    const struct checkpoint_parts parts =
        checkpoint_parts((struct text){ (const char *)state, place->bytes });
    if (parts.config.bytes > 0)
        then.config = parts.config;
    if (then.config.bytes == 0)
        then.config = run->config;
    if (then.config.bytes == 0) {
        (void)complain("neither the checkpoint nor the journal holds the configuration that was in "
                       "force at its start; WEIR_CONFIG can name the gateway's own");
        return 0;
    }
    const struct replay_start start = {
        .store = { run->copy->recovery.store_id[0], run->copy->recovery.store_id[1] },
        .config = then.config,
        .says = then.says,
        .state = parts.state,
        .sink = run->sink,
    };
    replay_end(&run->replay);
    int err = replay_begin(&run->replay, &start, why);
    if (err == 0 && (last || replay_wall_ms(&run->replay) <= run->range.from_ms)) {
        run->start_block = place->block;
        return 1;
    }
    if (err != 0)
        (void)fprintf(stderr, "weir: the checkpoint of block %" PRIu64 ": %s\n", place->block, why);
    replay_end(&run->replay);
    return 0;
}

/* Anew: what the first block's numbers of sources and fields mean, where the store still says so
 * and the block itself does not. */
static int learn_numbering(struct replay_run *run)
{
    uint8_t packed[NUMBERING_BYTES_MAX];
    struct numbering then;
    uint64_t from = 0;
    size_t bytes = 0;
    int err = store_numbering_read(run->copy->store, run->copy->recovery.first_block, packed,
                                   sizeof packed, &from, &bytes);
    if (err != 0)
        return complain(store_why(run->copy->store));
    if (bytes > 0 && numbering_unpack((struct text){ (char *)packed, (uint32_t)bytes }, &then))
        replay_number(&run->replay, &then);
    return CLI_OK;
}

static int begin_anew(struct replay_run *run, const struct replay_start *start)
{
    char why[256] = "";
    return replay_begin(&run->replay, start, why) == 0 ? learn_numbering(run) : complain(why);
}

/* By the configuration that the journal names last. */
static int warm_up(struct replay_run *run)
{
    struct replay_then then = { 0 };
    if (replay_then_at(run->copy, run->copy->recovery.last_block, run->was, &then) != 0)
        return CLI_PROBLEM;
    run->anew = run->warmed_up = true;
    const struct replay_start start = {
        .store = { run->copy->recovery.store_id[0], run->copy->recovery.store_id[1] },
        .config = then.config.bytes > 0 ? then.config : run->config,
        .anew = true,
        .sink = run->sink,
    };
    if (start.config.bytes == 0)
        return complain("the journal no longer holds the configuration that was in force; "
                        "WEIR_CONFIG can name the gateway's own");
    return begin_anew(run, &start);
}

/* What the journal says of how things were when its first block that is left began. */
struct left {
    struct text config;         /* the first that it holds: in force later, and mostly before too */
    int64_t t_ms;               /* of the first record */
    int64_t offset_ms;          /* wall time less t; 0: not known */
    bool exact, clock_told;     /* a reading tells it by its arrival; a later clock was told */
};

/* Wall time went on evenly until a clock is told: so what arrived before that tells it, and what
 * devices say of their readings, which lie behind it, nearly. */
static void note_left(struct left *left, const struct record *record, char *to)
{
    bool arrived = record->kind == RECORD_READING && record->time_source == TIME_ARRIVAL;
    bool device = record->kind == RECORD_READING && record->time_source == TIME_DEVICE;
    if (!replay_is_sound(record, 0)) /* the replay will say so */
        return;
    int64_t offset_ms = record->event_time_ms - record->t_ms;
    left->t_ms = left->t_ms == 0 ? record->t_ms : left->t_ms;
    if (record->kind == RECORD_CONFIG && left->config.bytes == 0 &&
        record->content.bytes <= CONFIG_FILE_BYTES_MAX) {
        memcpy(to, record->content.at, record->content.bytes);
        left->config = (struct text){ to, record->content.bytes };
    }
    if (left->exact || left->clock_told)
        return;
    left->exact = arrived;
    left->clock_told = record->kind == RECORD_CLOCK;
    if (left->clock_told && left->offset_ms == 0)
        left->offset_ms = record->clock.offset_ms;
    if (arrived || (device && (left->offset_ms == 0 || offset_ms > left->offset_ms)))
        left->offset_ms = offset_ms;
}

static int read_left(struct journal_copy *copy, char *to, struct left *left)
{
    uint64_t number = 0;
    struct text bytes;
    struct record record;
    int more = 1;
    while (more == 1 && !(left->config.bytes > 0 && (left->exact || left->clock_told))) {
        more = journal_copy_block(copy, number + 1, &number, &bytes);
        int next = more == 1 ? block_open(copy->reader, bytes) : -1;
        next = next == 0 ? 1 : next;
        while (next == 1 && (next = block_next(copy->reader, &record)) == 1)
            note_left(left, &record, to);
    }
    return more < 0 ? -1 : 0;
}

/* What was known then is gone: from the first block that is left, without a state. */
static int start_from_what_is_left(struct replay_run *run)
{
    char why[256] = "";
    const struct store_recovery *recovery = &run->copy->recovery;
    struct left left = { 0 };
    if (read_left(run->copy, run->was, &left) != 0)
        return CLI_PROBLEM;
    if (left.config.bytes == 0)
        left.config = run->config;
    if (left.config.bytes == 0)
        return complain("the journal no longer holds the configuration that was in force at its "
                        "start; WEIR_CONFIG can name the gateway's own");
    if (left.offset_ms <= -TIME_MS_MAX || left.offset_ms >= TIME_MS_MAX || left.offset_ms == 0)
        left.offset_ms = recovery->wall_ms - recovery->t_ms;
    const struct replay_start start = {
        .store = { recovery->store_id[0], recovery->store_id[1] },
        .config = left.config,
        .sink = run->sink,
        .clock = { .offset_ms = left.offset_ms, .state = CLOCK_SYNCED },
    };
    run->warm_ms = left.t_ms + left.offset_ms + run->range.warmup_ms;
    return replay_begin(&run->replay, &start, why) == 0 ? CLI_OK : complain(why);
}

/* As it was: the newest checkpoint at or before the range, else the first block that there is.
 * Where no range was given and the first blocks are gone, the oldest checkpoint. */
static int start_as_it_was(struct replay_run *run)
{
    struct checkpoint_place places[STORE_CHECKPOINTS_MAX];
    uint32_t count = 0;
    if (store_checkpoints(run->copy->store, places, &count) != 0)
        return complain(store_why(run->copy->store));
    bool whole = run->copy->recovery.first_block == 1, given = run->range.from_ms != INT64_MIN;
    for (uint32_t i = 0; i < count && (given || !whole); i++) {
        if (given && places[i].wall_ms > run->range.from_ms)
            continue;
        int tried = try_checkpoint(run, &places[i], !given && i + 1 == count);
        if (tried != 0)
            return tried > 0 ? CLI_OK : CLI_PROBLEM;
    }
    if (!whole && run->may_warm_up)
        return warm_up(run);
    return whole ? -1 : start_from_what_is_left(run);
}

static int start(struct replay_run *run)
{
    char why[256] = "";
    const struct replay_start fresh = {
        .store = { run->copy->recovery.store_id[0], run->copy->recovery.store_id[1] },
        .config = run->anew ? run->config : (struct text){ 0 },
        .anew = run->anew,
        .time_given = run->time_given,
        .time = run->time,
        .sink = run->sink,
    };
    if (run->copy->recovery.first_block == 0)
        return complain("the journal is empty");
    run->was = malloc(CONFIG_FILE_BYTES_MAX);
    if (run->was == NULL)
        return complain("no memory");
    int status = run->anew ? -1 : start_as_it_was(run);
    if (status != -1)
        return status;
    if (run->anew)
        return begin_anew(run, &fresh);
    return replay_begin(&run->replay, &fresh, why) == 0 ? CLI_OK : complain(why);
}

/* --- how far, how fast --- */

static void tell_progress(const struct replay_run *run, int64_t began_us, int64_t us)
{
    char time[TIMESTAMP_BYTES];
    const struct replay_counts *c = &run->replay.counts;
    double seconds = (double)(us - began_us) / 1e6;
    timestamp_print(run->replay.wall_ms, time);
    (void)fprintf(stderr, "weir: at %s, block %" PRIu64 " of %" PRIu64 ", %" PRIu64
                  " readings, %.0f a second%s\n", time, run->replay.block,
                  run->copy->recovery.last_block, c->readings,
                  (double)c->readings / (seconds > 0 ? seconds : 1),
                  run->in_range ? "" : ", warming up");
}

/* Until so much time has passed as the journal says, divided by the speed. */
static void pace(const struct replay_run *run, int64_t began_us, int64_t began_t_ms)
{
    if (run->range.speed <= 0 || !run->in_range)
        return;
    int64_t passed_ms = engine_t_ms(run->replay.engine) - began_t_ms;
    int64_t due_us = began_us + (int64_t)((double)passed_ms * 1000 / run->range.speed);
    int64_t wait_us = due_us - now_us();
    if (wait_us <= 0)
        return;
    struct timespec rest = { .tv_sec = (time_t)(wait_us / 1000000),
                             .tv_nsec = (long)(wait_us % 1000000) * 1000 };
    (void)nanosleep(&rest, NULL); /* a signal ends it: then it is a little ahead */
}

/* --- the blocks --- */

/* Wall time at which the block's first readings arrived; it may begin with a new clock. */
static int64_t wall_of(const struct replay_run *run, struct text bytes)
{
    struct record record;
    struct clock_record clock = { 0 };
    int64_t t_ms = 0;
    if (run->replay.engine != NULL)
        clock = engine_clock(run->replay.engine);
    int more = block_open(run->copy->reader, bytes) == 0;
    while (more == 1 && (more = block_next(run->copy->reader, &record)) == 1) {
        t_ms = record.t_ms;
        if (record.kind == RECORD_CLOCK)
            clock = record.clock;
        if (record.kind == RECORD_READING)
            break;
    }
    return t_ms + clock.offset_ms;
}

static void enter(struct replay_run *run, int64_t wall_ms)
{
    const struct replay_range *range = &run->range;
    run->marks = wall_ms >= range->from_ms && wall_ms < run->warm_ms;
    run->in_range = wall_ms >= range->from_ms && !run->marks;
    run->replay.skims = run->anew && !run->in_range && range->from_ms != INT64_MIN &&
                        wall_ms < range->from_ms - range->warmup_ms;
}

static void note_before(struct replay_run *run)
{
    struct replay_sum *sum = run->marks ? &run->marked : &run->before;
    sum->blocks++;
    sum->alerts += run->replay.now.alerts;
    sum->results += run->replay.now.results;
}

static void note_block(struct replay_run *run)
{
    if (run->first_block == 0) {
        run->first_block = run->replay.block;
        run->first_ms = run->replay.wall_ms;
    }
    run->last_block = run->replay.block;
    run->last_ms = replay_wall_ms(&run->replay);
    if (run->on_block != NULL)
        run->on_block(run->ctx, run);
}

static int take_blocks(struct replay_run *run)
{
    char why[256] = "";
    uint64_t number = run->start_block;
    struct text bytes;
    int more;
    bool tells = run->range.progress || isatty(STDERR_FILENO) != 0;
    int64_t began_us = now_us(), told_us = began_us, paced_us = 0, paced_t_ms = 0;
    int64_t core_us = read_us(CLOCK_PROCESS_CPUTIME_ID);
    while ((more = journal_copy_block(run->copy, number + 1, &number, &bytes)) == 1) {
        int64_t wall_ms = wall_of(run, bytes);
        if (wall_ms >= run->range.to_ms)
            break;
        enter(run, wall_ms);
        if (replay_block(&run->replay, run->copy->reader, number, bytes, why) != 0)
            return complain(why);
        if (run->in_range)
            note_block(run);
        else
            note_before(run);
        if (run->in_range && paced_us == 0) {
            paced_us = now_us();
            paced_t_ms = engine_t_ms(run->replay.engine);
        }
        pace(run, paced_us, paced_t_ms);
        int64_t us = tells ? now_us() : 0;
        if (tells && us - told_us >= PROGRESS_US) {
            tell_progress(run, began_us, us);
            told_us = us;
        }
    }
    run->took_us = now_us() - began_us;
    run->core_us = read_us(CLOCK_PROCESS_CPUTIME_ID) - core_us;
    return more < 0 ? CLI_PROBLEM : CLI_OK;
}

int replay_run(struct replay_run *run)
{
    int status = start(run);
    return status == CLI_OK ? take_blocks(run) : status;
}

void replay_run_close(struct replay_run *run)
{
    replay_end(&run->replay);
    free(run->was);
    free(run->state);
    run->was = NULL;
    run->state = NULL;
}
