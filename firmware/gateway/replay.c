#include "firmware/gateway/replay.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/err.h"

static int fail(int err, char *why, const char *what)
{
    (void)snprintf(why, 256, "%s", what);
    return err;
}

/* --- what it says --- */

static void on_alert(void *ctx, const struct alert_event *event)
{
    struct replay *r = ctx;
    made_alert(&r->made, event);
    if (r->sink.alert != NULL)
        r->sink.alert(r->sink.ctx, event);
}

static void on_result(void *ctx, const struct window_result *result)
{
    struct replay *r = ctx;
    made_result(&r->made, result);
    if (r->sink.result != NULL)
        r->sink.result(r->sink.ctx, result);
}

static void on_stream(void *ctx, const struct stream_result *result)
{
    struct replay *r = ctx;
    made_stream(&r->made, result);
    if (r->sink.stream != NULL)
        r->sink.stream(r->sink.ctx, result);
}

static void on_late(void *ctx, const struct record *record)
{
    struct replay *r = ctx;
    (void)record;
    r->counts.late++;
}

static void on_too_late(void *ctx, const struct stream_late *late)
{
    struct replay *r = ctx;
    made_late(&r->made, late);
    if (r->sink.late != NULL)
        r->sink.late(r->sink.ctx, late, (uint32_t)r->made.corrections);
}

static struct engine_out out_of(struct replay *r)
{
    return (struct engine_out){
        .ctx = r, .again = true, .alert = on_alert, .result = on_result, .late = on_late,
        .stream = on_stream, .too_late = on_too_late
    };
}

/* --- configurations --- */

static int read_config(struct replay *r, struct text text, struct config **config, char *why)
{
    struct config **to = &r->configs[1 - r->config_at];
    if (*to == NULL)
        *to = calloc(1, sizeof **to);
    if (*to == NULL)
        return fail(WEIR_EFULL, why, "no memory for the configuration");
    if (text.bytes == 0)
        return fail(WEIR_EINVAL, why, "the journal does not say which configuration was in force; "
                                      "give the gateway's own with -c");
    if (config_read_text("the journal's configuration", text.at, text.bytes, *to, stderr) != 0)
        return fail(WEIR_EINVAL, why, "a configuration of the journal is not one to this version");
    (*to)->engine.store = r->store;
    for (uint32_t i = 0; i < (*to)->source_count && r->time_given; i++)
        (*to)->engine_sources[i].time_policy = r->time;
    *config = *to;
    return 0;
}

/* The state goes over as it does at a start: by way of its saved form. */
static int load_state(struct engine *engine, struct text state, char *why)
{
    struct byte_reader reader = { (const uint8_t *)state.at, state.bytes, 0, false };
    uint32_t reset = 0;
    int err = state.bytes > 0 ? engine_load(engine, &reader, &reset) : 0;
    if (err == WEIR_EFULL)
        return fail(err, why, "the state holds more devices or series than the configuration "
                              "allows: raise limits.devices and limits.series");
    return err == 0 ? 0 : fail(err, why, "the state can't be read");
}

static int make_engine(struct replay *r, const struct config *config, struct text state, char *why)
{
    struct arena measured = arena_measure();
    (void)engine_init(&config->engine, &measured);
    void *memory = calloc(1, measured.used + ARENA_ALIGN);
    if (memory == NULL)
        return fail(WEIR_EFULL, why, "no memory for the limits of the configuration");
    struct arena arena = arena_over(memory, measured.used);
    struct engine *engine = engine_init(&config->engine, &arena);
    int err = load_state(engine, state, why);
    if (err != 0) {
        free(memory);
        return err;
    }
    free(r->engine_memory);
    r->engine_memory = memory;
    r->engine = engine;
    r->config = config;
    r->config_at = r->configs[0] == config ? 0 : 1;
    return 0;
}

static int change_config(struct replay *r, const struct config *config, char *why)
{
    if (r->engine == NULL)
        return make_engine(r, config, (struct text){ 0 }, why);
    size_t bytes = engine_save_bytes_max(&r->config->engine);
    uint8_t *state = malloc(bytes);
    if (state == NULL)
        return fail(WEIR_EFULL, why, "no memory for the state");
    struct byte_writer w = { state, bytes, 0, false };
    engine_save(r->engine, &w);
    assert(!w.failed);
    int err = make_engine(r, config, (struct text){ (const char *)state, (uint32_t)w.used }, why);
    free(state);
    return err;
}

static bool in_force(const struct replay *r, const struct record *record)
{
    return r->config != NULL && record->digest.bytes == sizeof r->config->digest &&
           memcmp(record->digest.at, r->config->digest, record->digest.bytes) == 0;
}

/* As it was: what the journal says is in force from here on. */
static int follow_config(struct replay *r, const struct record *record, char *why)
{
    struct config *config;
    if (in_force(r, record))
        return 0;
    int err = read_config(r, record->content, &config, why);
    if (err == 0)
        err = change_config(r, config, why);
    r->reconfigured = err == 0;
    return err;
}

void replay_number(struct replay *r, const struct numbering *then)
{
    struct numbering now;
    assert(r->anew && r->config != NULL);
    numbering_of(r->config, &now);
    r->renumbering = renumbering_from(then, &now);
}

/* Anew: sources and fields keep their names, not their numbers. */
static int map_sources(struct replay *r, const struct record *record, char *why)
{
    struct config *then = NULL;
    struct numbering numbering;
    int at = r->config_at;
    int err = read_config(r, record->content, &then, why);
    if (err == WEIR_EINVAL)
        return 0; /* then by number */
    r->config_at = at;
    if (err != 0)
        return err;
    numbering_of(then, &numbering);
    replay_number(r, &numbering);
    return 0;
}

/* --- life --- */

int replay_begin(struct replay *r, const struct replay_start *start, char *why)
{
    struct config *config = NULL;
    *r = (struct replay){ .anew = start->anew, .store = start->store, .sink = start->sink,
                          .time_given = start->time_given, .time = start->time,
                          .clock_told = true, .says = start->says,
                          .renumbering = { .same = true } };
    if (start->config.bytes == 0)
        return 0;
    int err = read_config(r, start->config, &config, why);
    if (err == 0)
        err = make_engine(r, config, start->state, why);
    const struct record clock = { .kind = RECORD_CLOCK, .clock = start->clock };
    if (err == 0 && start->clock.offset_ms != 0)
        engine_apply(r->engine, &clock, NULL);
    return err;
}

void replay_end(struct replay *r)
{
    free(r->engine_memory);
    free(r->configs[0]);
    free(r->configs[1]);
    *r = (struct replay){ 0 };
}

int64_t replay_wall_ms(const struct replay *r)
{
    if (r->engine == NULL)
        return 0;
    struct clock_record clock = engine_clock(r->engine);
    return clock.offset_ms == 0 ? 0 : engine_t_ms(r->engine) + clock.offset_ms;
}

/* --- anew --- */

void replay_wait(struct replay *r, int64_t t_ms)
{
    struct engine_out out = out_of(r);
    while (engine_deadline(r->engine, t_ms) <= t_ms)
        engine_fire(r->engine, &out);
}

static void judge_reading(struct replay *r, struct record *record)
{
    struct admission admission;
    struct engine_out out = out_of(r);
    engine_admit(r->engine, record->t_ms, &record->reading, 1, &admission);
    switch (admission.verdict) {
    case ADMIT_STORE:
        break;
    case ADMIT_DUPLICATE:
        r->counts.duplicate++;
        return;
    case ADMIT_REJECT:
        r->counts.rejected[admission.reason]++;
        break;
    }
    admission.record.t_ms = record->t_ms;
    engine_apply(r->engine, &admission.record, &out);
}

static bool comes_by_a_source(const struct record *record)
{
    return record->kind == RECORD_READING || record->kind == RECORD_REJECT ||
           record->kind == RECORD_SOURCE || record->kind == RECORD_GONE;
}

void replay_record(struct replay *r, const struct record *record)
{
    struct engine_out out = out_of(r);
    struct record now = *record;
    assert(r->anew && r->engine != NULL);
    replay_wait(r, now.t_ms);
    if (comes_by_a_source(record)) {
        struct byte_writer room = { r->extra, sizeof r->extra, 0, false };
        renumber(&r->renumbering, &now, &room);
        bool gone = now.reading.source >= r->config->source_count;
        r->counts.sourceless += gone && now.kind == RECORD_READING;
        if (gone)
            return;
    }
    r->counts.readings += now.kind == RECORD_READING;
    if (now.kind == RECORD_READING) {
        judge_reading(r, &now);
        return;
    }
    now.count = now.kind == RECORD_TICK ? 0 : now.count; /* they have fired */
    if (now.kind == RECORD_CONFIG)
        now.digest = (struct text){ (const char *)r->config->digest, sizeof r->config->digest };
    engine_apply(r->engine, &now, &out);
}

/* --- blocks --- */

static bool is_time(int64_t ms)
{
    return ms > -TIME_MS_MAX && ms < TIME_MS_MAX;
}

bool replay_is_sound(const struct record *record, int64_t t_ms)
{
    double number = record->reading.value.number;
    return record->t_ms >= t_ms && is_time(record->t_ms) && is_time(record->event_time_ms) &&
           is_time(record->reading.device_time_ms) && is_time(record->clock.offset_ms) &&
           number <= READING_NUMBER_MAX && number >= -READING_NUMBER_MAX &&
           (record->kind != RECORD_SHED || record->count < SHED_LEVELS);
}

static int take_record(struct replay *r, const struct record *record, char *why)
{
    struct engine_out out = out_of(r);
    int err = 0;
    if (record->kind == RECORD_CONFIG)
        err = r->anew ? map_sources(r, record, why) : follow_config(r, record, why);
    if (err == 0 && r->engine == NULL)
        return fail(WEIR_EINVAL, why, "the journal begins before any configuration");
    if (err != 0)
        return err;
    if (!replay_is_sound(record, engine_t_ms(r->engine)))
        return fail(WEIR_ECORRUPT, why, "a record is out of order, or is none of a gateway's");
    r->clock_told = record->kind != RECORD_CONFIG &&
                    (r->clock_told || record->kind == RECORD_CLOCK);
    if (record->kind == RECORD_CONFIG) {
        r->says = false; /* until it says so in this block */
        engine_begin_block(r->engine, r->block);
    }
    if (record->kind == RECORD_MADE) {
        r->says = r->said = true;
        if (!made_unpack(record->content, &r->then))
            r->then = (struct made_sum){ 0 };
        r->form = r->then.form;
    }
    if (record->kind == RECORD_INVENTORY && r->sink.inventory != NULL)
        r->sink.inventory(r->sink.ctx, record->content);
    bool input = record->kind == RECORD_READING || record->kind == RECORD_REJECT;
    if (r->skims && input)
        return 0;
    r->counts.records++;
    if (r->anew) {
        replay_record(r, record);
    } else {
        r->counts.readings += record->kind == RECORD_READING;
        engine_apply(r->engine, record, &out);
    }
    if (r->wall_ms == 0)
        r->wall_ms = replay_wall_ms(r);
    return 0;
}

static enum replay_verdict judge_block(const struct replay *r)
{
    if (r->anew || !r->says || (r->said && (r->form == 0 || r->form > MADE_FORM)))
        return REPLAY_UNTOLD;
    struct made_sum now = made_as(r->now, r->form == 0 || r->form > MADE_FORM ? 1 : r->form);
    if (r->said)
        return memcmp(&r->then, &now, sizeof now) == 0 ? REPLAY_SAME : REPLAY_DIFFERENT;
    bool nothing = now.alerts == 0 && now.results == 0 && now.corrections == 0;
    return nothing ? REPLAY_SAME : REPLAY_DIFFERENT;
}

int replay_block(struct replay *r, struct block_reader *reader, uint64_t number, struct text bytes,
                 char *why)
{
    struct record record;
    r->block = number;
    r->then = (struct made_sum){ 0 };
    r->said = r->reconfigured = false;
    r->wall_ms = 0;
    made_begin(&r->made);
    int more = block_open(reader, bytes);
    if (r->engine != NULL)
        engine_begin_block(r->engine, number);
    if (more == 0)
        more = 1;
    while (more == 1 && (more = block_next(reader, &record)) == 1) {
        int err = take_record(r, &record, why);
        if (err != 0)
            return err;
    }
    if (more < 0) {
        (void)snprintf(why, 256, "journal block %llu: %s", (unsigned long long)number,
                       weir_err_text(more));
        return more;
    }
    r->counts.blocks++;
    r->now = made_sum(&r->made);
    r->verdict = judge_block(r);
    return 0;
}
