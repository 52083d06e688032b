/* gateway_reload: another configuration, taken over between two batches. The state goes over by way
 * of its saved form, as at a start, so what is defined as before keeps what it knows; and the
 * journal says from which block on, so that a rebuild and a replay go the same way. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/gateway/gateway_state.h"

size_t reload_engine_bytes(const struct config *config)
{
    struct arena measure = arena_measure();
    (void)engine_init(&config->engine, &measure);
    return measure.used;
}

static size_t over(size_t wanted, size_t there)
{
    return wanted > there ? wanted - there : 0;
}

/* All memory was set aside at the start. */
static size_t bytes_short(const struct gateway *g, const struct config *config)
{
    size_t engine = over(reload_engine_bytes(config), g->engine_bytes);
    size_t copy =
        over(engine_save_bytes_max(&config->engine), g->checkpoint.shadow_bytes_max);
    return engine > copy ? engine : copy;
}

/* A batch has room for two steps and some rows; one step and these are what it can't do without. */
static bool batches_have_room(const struct gateway *g, const struct config *config)
{
    const struct fill_limits limits = fill_limits_of(config), *there = &g->limits;
    bool streams = config->engine.streams.count > 0;
    return limits.step_rows + FILL_ROWS_BASE <= there->rows_max &&
           limits.step_row_bytes + FILL_ROW_BYTES_BASE <= there->row_bytes_max &&
           limits.step_kept <= there->kept_max && limits.step_kept_bytes <= there->kept_bytes_max &&
           (!streams || !config->uplink.given || g->filling->streams != NULL);
}

static bool has_room(const struct gateway *g, const struct config *config, char *why)
{
    size_t missing = bytes_short(g, config);
    if (missing > 0)
        (void)snprintf(why, 256, "it needs %zu KiB more than was set aside at the start: restart, "
                                 "with a greater `limits.reload` for such changes to come",
                       missing / 1024 + 1);
    else if (!batches_have_room(g, config))
        (void)snprintf(why, 256, "one reading can say more under it than the batches of the start "
                                 "have room for: restart");
    else
        return true;
    return false;
}

int gateway_reload(struct gateway *g, const struct config *config, char *why)
{
    if (gateway_reload_state(g) == RELOAD_WANTED ||
        gateway_reload_state(g) == RELOAD_COMMITTING || g->stopping || g->failed) {
        (void)snprintf(why, 256, "not now; try again");
        return WEIR_EAGAIN;
    }
    if (!has_room(g, config, why))
        return WEIR_EFULL;
    g->reload.wanted = config;
    g->reload.state = RELOAD_WANTED;
    return 0;
}

enum reload_state gateway_reload_state(const struct gateway *g)
{
    bool committed = g->committed_block >= g->reload.block;
    return g->reload.state == RELOAD_COMMITTING && committed ? RELOAD_DONE : g->reload.state;
}

const struct config *gateway_config(const struct gateway *g)
{
    return g->config;
}

size_t reload_save(struct gateway *g)
{
    struct byte_writer w = { .at = g->checkpoint.shadow, .bytes = g->checkpoint.shadow_bytes_max };
    assert(!g->checkpoint.active);
    engine_save(g->engine, &w);
    assert(!w.failed);
    return w.used;
}

int reload_load(struct gateway *g, const struct config *config, size_t bytes, uint32_t *reset)
{
    struct byte_reader r = { .at = g->checkpoint.shadow, .bytes = bytes };
    start_engine_anew(g, config);
    return engine_load(g->engine, &r, reset);
}

int reload_change_over(struct gateway *g, const struct config *from, const struct config *to,
                       uint32_t *reset)
{
    uint32_t ignored = 0;
    size_t bytes = reload_save(g);
    int error = reload_load(g, to, bytes, reset);
    if (error == 0)
        return 0;
    int back = reload_load(g, from, bytes, &ignored);
    assert(back == 0); /* it was saved under that a moment ago */
    return error;
}

static void go_by(struct gateway *g, const struct config *config)
{
    const struct fill_limits limits = fill_limits_of(config);
    g->config = config;
    g->limits.step_rows = limits.step_rows;
    g->limits.step_row_bytes = limits.step_row_bytes;
    g->limits.step_kept = limits.step_kept;
    g->limits.step_kept_bytes = limits.step_kept_bytes;
}

static void journal(struct gateway *g)
{
    struct record config = {
        .kind = RECORD_CONFIG,
        .t_ms = g->t_ms,
        .digest = { (const char *)g->config->digest, 32 },
        .content = { g->config->text, g->config->text_bytes },
    };
    struct record clock = { .kind = RECORD_CLOCK, .t_ms = g->t_ms, .clock = g->clock };
    engine_begin_block(g->engine, g->filling->batch.block);
    fill_append(g, &config);
    engine_apply(g->engine, &config, &g->out);
    if (g->clock_known) {
        fill_append(g, &clock);
        engine_apply(g->engine, &clock, &g->out);
    }
    g->filling->made_wanted = true;
    g->filling->urgent = true;
    g->filling->batch.shares = &g->config->store;
    gateway_accept_contracts(g);
}

void reload_after_seal(struct gateway *g)
{
    struct checkpointer *c = &g->checkpoint;
    if (g->reload.state != RELOAD_WANTED || c->active || g->carried.next < g->carried.count)
        return;
    assert(!g->filling->content);
    uint32_t reset = 0;
    if (reload_change_over(g, g->config, g->reload.wanted, &reset) != 0) {
        g->reload.state = RELOAD_FAILED;
        engine_begin_block(g->engine, g->filling->batch.block);
        return;
    }
    go_by(g, g->reload.wanted);
    start_print_digest(g);
    memset(g->versions, 0, sizeof g->versions); /* another contract may take them */
    g->unkept_told = false;
    journal(g);
    c->wanted = true; /* a fold from before it needs the old one, which a newer Weir may not read */
    g->reload.state = RELOAD_COMMITTING;
    g->reload.block = g->filling->batch.block;
    start_tell_reset(g, reset);
}

void reload_tell_unkept(struct gateway *g)
{
    char message[256];
    uint32_t count = engine_unkept(g->engine);
    if (g->unkept_told || !fill_has_step_room(g, g->filling))
        return;
    g->unkept_told = true;
    if (count == 0)
        return;
    (void)snprintf(message, sizeof message,
                   "open_alerts=%u there is no room for them under this configuration, so they "
                   "stay raised upstream and will not be cleared",
                   count);
    struct envelope_fact fact = { "open_alerts", (double)count };
    fill_notice(g, "alerts_unkept", &(struct notice){ message, NULL, &fact, 1 });
}
