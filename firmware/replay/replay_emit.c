#include "firmware/replay/replay_emit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "firmware/api/api.h"
#include "firmware/cli/cli.h"
#include "firmware/cli/client.h"
#include "firmware/cli/json_view.h"
#include "pipeline/codec/envelope.h"
#include "pipeline/err.h"

enum {
    BATCH_BYTES = 32 * 1024, /* as the gateway makes them */
    BATCH_WINDOWS = 512,
    BATCH_VALUES = 1024,
    LENGTH_BYTES = 4,        /* before an item */
    PAUSE_MS = 100,
    PROGRESS_MS = 1000,
    PATIENCE_MS = 600000     /* while nothing is taken */
};

static int64_t now_ms(void)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* every Linux has this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- to the gateway --- */

static void give_up(struct replay_emit *e, const char *why)
{
    e->failed = true;
    (void)fprintf(stderr, "weir: %s\nweir: %" PRIu64 " alerts and %" PRIu64 " results were told "
                  "again; repeat it, those change nothing then\n", why, e->alerts, e->results);
}

static void tell_progress(struct replay_emit *e, bool waits)
{
    int64_t ms = now_ms();
    if (!e->progress || ms < e->told_ms + PROGRESS_MS)
        return;
    e->told_ms = ms;
    (void)fprintf(stderr, "weir: %" PRIu64 " alerts and %" PRIu64 " results told again%s\n",
                  e->alerts, e->results, waits ? "; waits for the uplink" : "");
}

static void rest(void)
{
    struct timespec rest = { .tv_nsec = PAUSE_MS * 1000000L };
    (void)nanosleep(&rest, NULL); /* a signal ends it: then it asks a little earlier */
}

static void send_body(struct replay_emit *e)
{
    struct client_answer answer;
    char why[256] = "";
    struct text body = { (const char *)e->body, (uint32_t)e->used };
    int64_t until_ms = now_ms() + PATIENCE_MS;
    if (e->items == 0 || e->failed)
        return;
    for (;;) {
        int err = client_send(e->socket, API_BACKFILL_PATH, body, &answer, why);
        if (err == 0 && answer.status < 300)
            break;
        if (err == 0)
            json_view_text(answer.body, "error", why, sizeof why);
        bool waits = err == 0 && answer.status == 503;
        if (!waits || now_ms() > until_ms) {
            give_up(e, why);
            return;
        }
        tell_progress(e, true);
        rest();
    }
    e->messages += e->items;
    e->alerts += e->alerts_in;
    e->corrections += e->corrections_in;
    e->results += e->results_in;
    e->used = e->items = 0;
    e->alerts_in = e->corrections_in = e->results_in = 0;
    tell_progress(e, false);
}

/* Where an item of so many bytes may be written; it is added by add_item. */
static uint8_t *room_for(struct replay_emit *e, size_t bytes)
{
    if (e->items == GATEWAY_BACKFILL_ROWS || e->used + LENGTH_BYTES + bytes > sizeof e->body)
        send_body(e);
    return e->body + e->used + LENGTH_BYTES;
}

static void add_item(struct replay_emit *e, size_t bytes)
{
    struct byte_writer w = { e->body, sizeof e->body, e->used, false };
    assert(bytes > 0);
    put_u32(&w, (uint32_t)bytes);
    e->used += LENGTH_BYTES + bytes;
    e->items++;
}

/* --- batches of results --- */

static void flush(struct replay_emit *e, struct results_builder *builder)
{
    uint32_t count = results_count(builder);
    if (count == 0 || e->failed)
        return;
    struct results_header header = {
        .store_id = { e->run->replay.store.k0, e->run->replay.store.k1 },
        .first_block = e->first_block,
        .last_block = e->last_block,
    };
    memcpy(header.config_digest, e->digest, sizeof header.config_digest);
    uint8_t *at = room_for(e, BATCH_BYTES);
    if (e->failed)
        return;
    struct byte_writer w = { at, BATCH_BYTES, 0, false };
    results_finish(builder, &header, &w);
    assert(!w.failed);
    add_item(e, w.used);
    results_builder_reset(builder);
}

static void flush_all(struct replay_emit *e)
{
    flush(e, e->windows);
    flush(e, e->streams);
}

/* A batch is of one configuration. */
static void before_result(struct replay_emit *e)
{
    const struct replay *r = &e->run->replay;
    if (memcmp(e->digest, r->config->digest, sizeof e->digest) != 0)
        flush_all(e);
    memcpy(e->digest, r->config->digest, sizeof e->digest);
    if (results_count(e->windows) == 0 && results_count(e->streams) == 0)
        e->first_block = r->block;
    e->last_block = r->block;
}

/* --- what is made --- */

static bool is_wanted(const struct replay_emit *e)
{
    return e->run->in_range && !e->failed;
}

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct replay_emit *e = ctx;
    if (!is_wanted(e))
        return;
    char *to = (char *)room_for(e, ENVELOPE_ALERT_BYTES_MAX);
    if (e->failed)
        return;
    struct text text = replay_out_render(&e->out, LANE_RESULTS, event, to);
    add_item(e, text.bytes);
    e->alerts_in++;
}

/* What an older Weir's blocks say of what they made leaves these out: not proved, and not told. */
static void on_late(void *ctx, const struct stream_late *late, uint32_t number)
{
    struct replay_emit *e = ctx;
    const struct replay_late what = { late, number };
    if (!is_wanted(e) || e->run->replay.form == 1)
        return;
    char *to = (char *)room_for(e, ENVELOPE_ALERT_BYTES_MAX);
    if (e->failed)
        return;
    struct text text = replay_out_render_late(&e->out, LANE_RESULTS, &what, to);
    add_item(e, text.bytes);
    e->corrections_in++;
}

static void on_result(void *ctx, const struct window_result *result)
{
    struct replay_emit *e = ctx;
    if (!is_wanted(e))
        return;
    before_result(e);
    if (results_add_window(e->windows, result) == WEIR_EFULL) {
        flush(e, e->windows);
        (void)results_add_window(e->windows, result); /* an empty builder takes any */
    }
    e->results_in++;
}

static void on_stream(void *ctx, const struct stream_result *result)
{
    struct replay_emit *e = ctx;
    if (!is_wanted(e))
        return;
    before_result(e);
    if (results_add_stream(e->streams, result) == WEIR_EFULL) {
        flush(e, e->streams);
        (void)results_add_stream(e->streams, result); /* likewise */
    }
    e->results_in++;
}

static void on_inventory(void *ctx, struct text content)
{
    struct replay_emit *e = ctx;
    replay_out_inventory(&e->out, content);
}

/* --- life --- */

static void take_builders(struct replay_emit *e, struct arena *arena)
{
    e->windows = results_builder_init(RESULTS_WINDOWS, BATCH_WINDOWS, BATCH_BYTES, arena);
    e->streams = results_builder_init(RESULTS_STREAMS, BATCH_VALUES, BATCH_BYTES, arena);
}

int replay_emit_begin(struct replay_emit *e, struct replay_run *run)
{
    struct arena arena = arena_measure();
    e->run = run;
    (void)replay_out_open(&e->out, NULL, &run->replay); /* no file: it can't fail */
    e->out.renders = true;
    run->sink = (struct replay_sink){ e, on_alert, on_result, on_inventory, on_stream,
                                      on_late };
    take_builders(e, &arena);
    e->memory = calloc(1, arena.used + ARENA_ALIGN);
    if (e->memory == NULL) {
        (void)fprintf(stderr, "weir: no memory\n");
        return CLI_PROBLEM;
    }
    arena = arena_over(e->memory, arena.used);
    take_builders(e, &arena);
    results_builder_reset(e->windows);
    results_builder_reset(e->streams);
    return CLI_OK;
}

int replay_emit_end(struct replay_emit *e)
{
    if (e->memory != NULL) {
        flush_all(e);
        send_body(e);
    }
    (void)replay_out_close(&e->out); /* no file */
    free(e->memory);
    e->memory = NULL;
    return e->failed ? CLI_PROBLEM : CLI_OK;
}
