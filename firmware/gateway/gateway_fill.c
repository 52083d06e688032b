/* gateway_fill: the batch that fills: journal block, outbox rows, dead letters, and the room that
 * is left.
 * Room is asked for before a step, never found missing within one. */
#include <assert.h>
#include <string.h>

#include "firmware/gateway/gateway_state.h"
#include "pipeline/codec/result_body.h"

struct outbox_row *fill_add_row(struct gateway *g, enum lane lane)
{
    struct fill *f = g->filling;
    assert(f->batch.row_count < g->limits.rows_max);
    struct outbox_row *row = &f->rows[f->batch.row_count++];
    *row = (struct outbox_row){
        .lane = lane,
        .sequence = g->lanes[lane].next_sequence++,
        .t_ms = g->t_ms,
    };
    fill_open(g);
    return row;
}

/* Payloads are laid one behind the other; rendering gets all that is left. */
void fill_take_payload(struct gateway *g, struct outbox_row *row, struct text rendered)
{
    struct fill *f = g->filling;
    assert(rendered.bytes > 0);
    assert((const uint8_t *)rendered.at == f->row_bytes + f->row_bytes_used);
    row->payload = rendered;
    f->row_bytes_used += rendered.bytes;
    assert(f->row_bytes_used <= g->limits.row_bytes_max);
}

void *fill_payload_room(struct gateway *g, size_t *bytes)
{
    *bytes = g->limits.row_bytes_max - g->filling->row_bytes_used;
    return g->filling->row_bytes + g->filling->row_bytes_used;
}

struct envelope fill_envelope(const struct gateway *g)
{
    return (struct envelope){
        .gateway = text_of(g->config->gateway_name),
        .store_id = { g->store_id[0], g->store_id[1] },
        .config_digest = text_of(g->config_digest_hex[g->digest_at]),
        .version = text_of(WEIR_VERSION),
        .offset_ms = g->clock.offset_ms,
        .clock = g->clock.state,
    };
}

static void flush_results(struct gateway *g, struct results_builder *builder, enum lane lane)
{
    if (results_count(builder) == 0)
        return;
    struct fill *f = g->filling;
    struct outbox_row *row = fill_add_row(g, lane);
    struct results_header header = {
        .store_id = { g->store_id[0], g->store_id[1] },
        .sequence = row->sequence,
        .first_block = f->batch.block,
        .last_block = f->batch.block,
    };
    memcpy(header.config_digest, g->config->digest, sizeof header.config_digest);
    struct byte_writer w = { 0 };
    w.at = fill_payload_room(g, &w.bytes);
    results_finish(builder, &header, &w);
    assert(!w.failed);
    fill_take_payload(g, row, (struct text){ (const char *)w.at, (uint32_t)w.used });
    results_builder_reset(builder);
}

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct gateway *g = ctx;
    fill_open(g);
    if (event->severity != SEVERITY_LEARNING) /* which calls nobody: young series have many */
        g->filling->urgent = true;
    made_alert(&g->filling->made, event);
    if (!g->config->uplink.given)
        return;
    bool enriched = g->shed.level < SHED_ENRICHMENT;
    if (!enriched)
        g->ledger.enrichment_left_out++;
    struct envelope envelope = fill_envelope(g);
    struct outbox_row *row = fill_add_row(g, LANE_ALERTS);
    row->key = event->key;
    row->revision = event->alert->revision;
    row->cleared = event->transition == ALERT_CLEAR;
    size_t bytes;
    void *to = fill_payload_room(g, &bytes);
    const struct inventory_entry *device =
        enriched ? inventory_find(g->inventory, event->device) : NULL;
    fill_take_payload(g, row,
                      envelope_alert(&envelope, row->sequence, event, device, enriched, to, bytes));
}

static void on_result(void *ctx, const struct window_result *result)
{
    struct gateway *g = ctx;
    made_result(&g->filling->made, result);
    if (!g->config->uplink.given)
        return;
    if (g->shed.level >= SHED_OPTIONAL && !result->alert_open) {
        g->ledger.results_left_out++;
        return;
    }
    if (results_add_window(g->filling->results, result) == WEIR_EFULL) {
        flush_results(g, g->filling->results, LANE_RESULTS);
        int added = results_add_window(g->filling->results, result);
        assert(added == 0);
        (void)added; /* an empty builder takes one result: asserted above */
    }
    fill_open(g);
}

/* In the store's own table, where it may be asked for. */
static void keep_result(struct gateway *g, const struct stream_result *result)
{
    struct fill *f = g->filling;
    if (f->kept == NULL)
        return;
    uint8_t *to = f->kept_bytes + f->kept_bytes_used;
    size_t room = g->limits.kept_bytes_max - f->kept_bytes_used;
    assert(f->batch.kept_count < g->limits.kept_max);
    assert(room >= result->key.bytes + result_body_bytes_max(result->plan));
    memcpy(to, result->key.at, result->key.bytes);
    struct text body = result_body(result, to + result->key.bytes, room - result->key.bytes);
    f->kept_bytes_used += result->key.bytes + 1 + body.bytes;
    f->kept[f->batch.kept_count++] = (struct kept_result){
        .stream = result->stream,
        .key = { (const char *)to, result->key.bytes },
        .start_ms = result->start_ms,
        .end_ms = result->end_ms,
        .revision = result->revision,
        .retracted = result->kind == STREAM_RETRACTION,
        .body = body,
    };
    fill_open(g);
}

static void on_stream(void *ctx, const struct stream_result *result)
{
    struct gateway *g = ctx;
    made_stream(&g->filling->made, result);
    keep_result(g, result);
    if (!g->config->uplink.given)
        return;
    if (g->shed.level >= SHED_OPTIONAL) {
        g->ledger.results_left_out++;
        return;
    }
    if (results_add_stream(g->filling->streams, result) == WEIR_EFULL) {
        flush_results(g, g->filling->streams, LANE_RESULTS);
        int added = results_add_stream(g->filling->streams, result);
        assert(added == 0);
        (void)added; /* an empty builder takes any */
    }
    fill_open(g);
}

static void on_late(void *ctx, const struct record *record)
{
    struct gateway *g = ctx;
    (void)record; /* stored like any other; only counted here */
    g->ledger.late++;
}

struct engine_out fill_engine_out(struct gateway *g)
{
    return (struct engine_out){ .ctx = g, .alert = on_alert, .result = on_result,
                                .stream = on_stream, .late = on_late,
                                .too_late = corrections_on_late,
                                .maintenance = people_on_maintenance };
}

void fill_notice(struct gateway *g, const char *kind, const struct notice *notice)
{
    g->ports.log(g->ports.ctx, kind, notice->message);
    if (!g->config->uplink.given || !fill_has_step_room(g, g->filling))
        return;
    struct envelope envelope = fill_envelope(g);
    struct outbox_row *row = fill_add_row(g, LANE_ALERTS);
    size_t bytes;
    void *to = fill_payload_room(g, &bytes);
    fill_take_payload(g, row,
                      envelope_notice(&envelope, row->sequence, kind, notice, gateway_wall_ms(g),
                                      to, bytes));
}

/* What was told once before, in the lane of results: a copy, at its place in it. It is no output of
 * this block's fold: `made` does not count it. Room was asked for before. */
void fill_told_before(struct gateway *g, struct text payload)
{
    size_t bytes;
    void *to = fill_payload_room(g, &bytes);
    assert(payload.bytes > 0 && payload.bytes <= bytes);
    struct outbox_row *row = fill_add_row(g, LANE_RESULTS);
    memcpy(to, payload.at, payload.bytes);
    int err = backfill_number(g, to, payload.bytes, row->sequence);
    assert(err == 0); /* it was looked at before */
    (void)err;
    fill_take_payload(g, row, (struct text){ to, payload.bytes });
}

/* --- limits and room -----------------------------------------------------------------------------
 * */

struct block_limits gateway_block_limits_max(void)
{
    return (struct block_limits){ .records_max = 65534, .bytes_max = 4u << 20, .names_max = 65534 };
}

/* Of the largest message, all of whose readings may be rejected: they are written at once. */
static size_t message_bytes(const struct json_limits *json)
{
    return (size_t)json->payload_bytes * 2 + (size_t)json->readings * FILL_REJECT_BYTES;
}

/* Of one step: results of every stream, each at its largest. */
static void limit_kept(struct fill_limits *limits, const struct config *config)
{
    const struct stream_set *set = &config->engine.streams;
    if (config->shares.table == 0 || (set->count == 0 && config->reload_bytes == 0))
        return;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct stream_plan *plan = &set->plans[i];
        uint32_t bytes = plan->config->key_bytes + result_body_bytes_max(plan);
        limits->step_kept += plan->results_max;
        limits->step_kept_bytes += (size_t)plan->results_max * bytes;
    }
    limits->kept_max = limits->step_kept + FILL_KEPT_ROWS;
    limits->kept_bytes_max = limits->step_kept_bytes + FILL_KEPT_BYTES;
}

static size_t letter_bytes(const struct config *config)
{
    return (size_t)config->json.payload_bytes + TOPIC_BYTES_MAX + READING_NAME_BYTES_MAX +
           letters_taken_bytes(config);
}

struct fill_limits fill_limits_of(const struct config *config)
{
    uint32_t records = config->commit_max_readings + config->json.readings + FILL_RECORDS_SLACK;
    uint32_t step = engine_out_max(&config->engine) + 4 + config_corrections_max(config);
    uint32_t values = streams_values_max(&config->engine.streams);
    uint32_t streams = values > 0 ? values / FILL_STREAM_VALUES_LEAST + 2 : 0; /* messages */
    size_t message = message_bytes(&config->json);
    struct fill_limits limits = {
        .block = {
            .records_max = records < 65534 ? records : 65534,
            .bytes_max = (uint32_t)((size_t)records * 48 + message + CONFIG_FILE_BYTES_MAX +
                                    config->inventory_bytes),
            .names_max = records * 3 < 65534 ? records * 3 : 65534,
        },
        .rows_max = FILL_ROWS_BASE + 2 * (step + streams),
        .step_rows = step + streams,
        .step_row_bytes = (size_t)step * ENVELOPE_ALERT_BYTES_MAX +
                          (2 + (size_t)streams) * FILL_RESULTS_BYTES_MAX,
        .letter_bytes_max = letter_bytes(config) + 64 * 1024,
    };
    limits.row_bytes_max = 2 * limits.step_row_bytes + FILL_ROW_BYTES_BASE;
    if (limits.block.bytes_max > gateway_block_limits_max().bytes_max)
        limits.block.bytes_max = gateway_block_limits_max().bytes_max;
    limit_kept(&limits, config);
    return limits;
}

static void take_sessions(struct fill *f, const struct config *config, struct arena *arena)
{
    f->receipts = arena_take(arena, config->sessions_max, sizeof *f->receipts);
    f->sessions = arena_take(arena, FILL_SESSIONS_MAX, sizeof *f->sessions);
    f->session_bytes = arena_take(arena, FILL_SESSION_BYTES_MAX, 1);
}

void fill_init(struct fill *f, const struct config *config, const struct fill_limits *limits,
               struct arena *arena)
{
    bool raw = config->uplink.given && config->uplink.raw;
    bool streams = config->uplink.given &&
                   (config->engine.streams.count > 0 || config->reload_bytes > 0);
    struct fill made = {
        .block = block_builder_init(&limits->block, arena),
        .journal = arena_take(arena, limits->block.bytes_max, 1),
        .rows = arena_take(arena, limits->rows_max, sizeof *made.rows),
        .row_bytes = arena_take(arena, limits->row_bytes_max, 1),
        .letters = arena_take(arena, FILL_LETTERS_MAX, sizeof *made.letters),
        .letter_bytes = arena_take(arena, limits->letter_bytes_max, 1),
        .letter_changes =
            arena_take(arena, FILL_LETTER_CHANGES_MAX, sizeof *made.letter_changes),
        .results =
            results_builder_init(RESULTS_WINDOWS, FILL_RESULTS_MAX, FILL_RESULTS_BYTES_MAX, arena),
        .raw = raw ? results_builder_init(RESULTS_READINGS, FILL_RAW_MAX, FILL_RESULTS_BYTES_MAX,
                                          arena)
                   : NULL,
        .streams = streams ? results_builder_init(RESULTS_STREAMS, FILL_STREAM_VALUES_MAX,
                                                  FILL_RESULTS_BYTES_MAX, arena)
                           : NULL,
    };
    if (config_listens(config))
        take_sessions(&made, config, arena);
    if (limits->kept_max > 0) {
        made.kept = arena_take(arena, limits->kept_max, sizeof *made.kept);
        made.kept_bytes = arena_take(arena, limits->kept_bytes_max, 1);
    }
    *f = made;
}

void fill_reset(struct gateway *g, struct fill *f)
{
    *f = (struct fill){
        .block = f->block,
        .journal = f->journal,
        .rows = f->rows,
        .row_bytes = f->row_bytes,
        .letters = f->letters,
        .letter_bytes = f->letter_bytes,
        .letter_changes = f->letter_changes,
        .sessions = f->sessions,
        .session_bytes = f->session_bytes,
        .receipts = f->receipts,
        .results = f->results,
        .raw = f->raw,
        .streams = f->streams,
        .kept = f->kept,
        .kept_bytes = f->kept_bytes,
        .batch = { .block = ++g->last_block, .raw_whole = true },
    };
    block_builder_reset(f->block);
    results_builder_reset(f->results);
    if (f->raw != NULL)
        results_builder_reset(f->raw);
    if (f->streams != NULL)
        results_builder_reset(f->streams);
    made_begin(&f->made);
    engine_begin_block(g->engine, f->batch.block);
}

/* Room for whatever one record or one timer may make the engine say. */
bool fill_has_step_room(const struct gateway *g, const struct fill *f)
{
    return f->batch.row_count + g->limits.step_rows <= g->limits.rows_max &&
           f->row_bytes_used + g->limits.step_row_bytes <= g->limits.row_bytes_max &&
           f->batch.kept_count + g->limits.step_kept <= g->limits.kept_max &&
           f->kept_bytes_used + g->limits.step_kept_bytes <= g->limits.kept_bytes_max &&
           block_records(f->block) + 8 <= g->limits.block.records_max &&
           block_bytes(f->block) + 4096 <= g->limits.block.bytes_max;
}

/* Room for what one packet may change of sessions: the row, an exchange or two. */
static bool has_session_room(const struct fill *f)
{
    return f->batch.session_count + 4 <= FILL_SESSIONS_MAX &&
           f->session_bytes_used + 2 * STORE_SESSION_BYTES_MAX <= FILL_SESSION_BYTES_MAX;
}

/* Room for the largest message that the limits allow. Not for every alert that its readings may
 * raise: intake_continue
 * asks for each reading's own step, and what does not fit waits for the next batch. */
bool fill_has_message_room(const struct gateway *g, const struct fill *f)
{
    const struct json_limits *json = &g->config->json;
    return fill_has_step_room(g, f) && has_session_room(f) &&
           f->batch.letter_count < FILL_LETTERS_MAX &&
           f->letter_bytes_used + letter_bytes(g->config) <= g->limits.letter_bytes_max &&
           block_records(f->block) + json->readings + 8 <= g->limits.block.records_max &&
           block_bytes(f->block) + message_bytes(json) + 4096 <= g->limits.block.bytes_max;
}

/* --- filling -------------------------------------------------------------------------------------
 * */

void fill_open(struct gateway *g)
{
    if (g->filling->content)
        return;
    g->filling->content = true;
    g->filling->opened_ms = g->t_ms;
}

/* False: the reading is in no row of the raw lane. */
static bool forward_raw(struct gateway *g, const struct record *record)
{
    struct fill *f = g->filling;
    if (f->raw == NULL)
        return false;
    if (g->shed.level < SHED_OPTIONAL && results_add_reading(f->raw, record) == 0)
        return true;
    if (g->shed.level >= SHED_OPTIONAL || !fill_has_step_room(g, f)) {
        g->ledger.raw_left_out++;
        return false;
    }
    flush_results(g, f->raw, LANE_RAW);
    return results_add_reading(f->raw, record) == 0;
}

void fill_append(struct gateway *g, const struct record *record)
{
    struct fill *f = g->filling;
    int appended = block_append(f->block, record);
    assert(appended == 0); /* room was asked for before */
    (void)appended;
    fill_open(g);
    if (record->kind == RECORD_READING && !forward_raw(g, record))
        f->batch.raw_whole = false;
}

static struct text copy_to_letters(struct fill *f, size_t room, struct text from)
{
    if (from.bytes > room - f->letter_bytes_used)
        from.bytes = (uint32_t)(room - f->letter_bytes_used);
    uint8_t *to = f->letter_bytes + f->letter_bytes_used;
    if (from.bytes > 0)
        memcpy(to, from.at, from.bytes);
    f->letter_bytes_used += from.bytes;
    return (struct text){ (const char *)to, from.bytes };
}

void fill_add_letter(struct gateway *g, const struct dead_letter *letter)
{
    struct fill *f = g->filling;
    assert(f->batch.letter_count < FILL_LETTERS_MAX);
    struct dead_letter *kept = &f->letters[f->batch.letter_count++];
    *kept = *letter;
    kept->topic = copy_to_letters(f, g->limits.letter_bytes_max, letter->topic);
    kept->payload = copy_to_letters(f, g->limits.letter_bytes_max, letter->payload);
    kept->device = copy_to_letters(f, g->limits.letter_bytes_max, letter->device);
    kept->taken = copy_to_letters(f, g->limits.letter_bytes_max, letter->taken);
    fill_open(g);
}

void fill_add_session(struct gateway *g, const struct session_change *change)
{
    struct fill *f = g->filling;
    assert(f->sessions != NULL && f->batch.session_count < FILL_SESSIONS_MAX);
    assert(change->row.bytes <= FILL_SESSION_BYTES_MAX - f->session_bytes_used);
    struct session_change *kept = &f->sessions[f->batch.session_count++];
    *kept = *change;
    if (change->row.bytes > 0) {
        kept->row.at = (const char *)f->session_bytes + f->session_bytes_used;
        memcpy(f->session_bytes + f->session_bytes_used, change->row.at, change->row.bytes);
        f->session_bytes_used += change->row.bytes;
    }
    fill_open(g);
}

/* A start journals it in any case, with its configuration: so whoever reads the journal knows that
 * from there on a block without it made nothing. */
static void journal_made(struct gateway *g)
{
    uint8_t packed[MADE_BYTES_MAX];
    const struct made *made = &g->filling->made;
    if (!g->filling->made_wanted && made_nothing(made))
        return;
    struct made_sum sum = made_sum(made);
    struct record record = {
        .kind = RECORD_MADE, .t_ms = g->t_ms, .content = made_pack(&sum, packed)
    };
    fill_append(g, &record);
    engine_apply(g->engine, &record, &g->out);
}

void fill_seal(struct gateway *g)
{
    struct fill *f = g->filling;
    assert(g->committing == NULL);
    journal_made(g);
    flush_results(g, f->results, LANE_RESULTS);
    if (f->streams != NULL)
        flush_results(g, f->streams, LANE_RESULTS);
    if (f->raw != NULL)
        flush_results(g, f->raw, LANE_RAW);
    struct batch *b = &f->batch;
    f->envelope = fill_envelope(g);
    b->envelope = &f->envelope;
    b->t_ms = g->t_ms;
    b->wall_ms = gateway_wall_ms(g);
    b->readings = block_readings(f->block);
    if (block_records(f->block) > 0) {
        struct byte_writer w = { .at = f->journal, .bytes = g->limits.block.bytes_max };
        block_finish(f->block, &w);
        assert(!w.failed);
        b->journal = (struct text){ (const char *)f->journal, (uint32_t)w.used };
    }
    b->rows = f->rows;
    b->letters = f->letters;
    b->letter_changes = f->letter_changes;
    b->numbering = g->numbering_told;
    g->numbering_told = (struct text){ NULL, 0 };
    b->kept = f->kept;
    b->sessions = f->sessions;
    receipts_seal(g, f);
    memcpy(b->lanes, g->lanes, sizeof b->lanes);
    b->ledger = g->ledger;
    checkpoint_at_seal(g, b);
    g->committing = f;
    g->filling = f == &g->fills[0] ? &g->fills[1] : &g->fills[0];
    fill_reset(g, g->filling);
}
