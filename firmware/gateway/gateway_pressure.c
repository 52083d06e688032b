/* gateway_pressure: how hard it goes, measured; the shed level that follows, journalled and told;
 * and how much a source may give. */
#include <assert.h>
#include <stdio.h>

#include "firmware/gateway/gateway_state.h"

enum {
    COMMIT_KEPT_MS = 10000, /* the longest commit of so long counts */
    LOOP_KEPT_MS = 1000,    /* likewise the longest turn */
    LOAD_LOOK_MS = 1000,
    LOAD_SPAN_MS = 60000
};

/* --- measuring ---------------------------------------------------------------------------------
 */

static void note_peak(struct peak *peak, int64_t value, int64_t keep_ms, int64_t t_ms)
{
    if (value >= peak->value || t_ms - peak->t_ms >= keep_ms)
        *peak = (struct peak){ value, t_ms };
}

static int64_t peak_of(const struct peak *peak, int64_t keep_ms, int64_t t_ms)
{
    return t_ms - peak->t_ms < keep_ms ? peak->value : 0;
}

void pressure_commit_begun(struct gateway *g)
{
    if (g->pressure.commit_begun_ms == INT64_MAX) /* one that is tried again goes on */
        g->pressure.commit_begun_ms = g->t_ms;
}

void pressure_commit_done(struct gateway *g)
{
    struct pressure_watch *p = &g->pressure;
    assert(p->commit_begun_ms <= g->t_ms);
    note_peak(&p->commit, g->t_ms - p->commit_begun_ms, COMMIT_KEPT_MS, g->t_ms);
    p->commit_begun_ms = INT64_MAX;
}

void gateway_on_load(struct gateway *g, int64_t turn_ms, uint32_t memory_percent)
{
    assert(turn_ms >= 0);
    note_peak(&g->pressure.loop, turn_ms, LOOP_KEPT_MS, g->t_ms);
    g->pressure.memory_percent = memory_percent;
}

/* A source that was read to its end in the turn before does not lag: nothing is known to wait. So
 * an idle gateway has no lag, however rare its turns. */
static int64_t lag_ms(const struct gateway *g)
{
    int64_t lag = 0;
    for (uint32_t source = 0; source < g->config->source_count; source++) {
        if ((g->source_connected >> source & 1) == 0)
            continue;
        int64_t since = g->pressure.turn_ms - g->drained_ms[source];
        lag = since > lag ? since : lag;
    }
    return lag;
}

static int64_t commit_ms(const struct gateway *g)
{
    const struct pressure_watch *p = &g->pressure;
    int64_t longest = peak_of(&p->commit, COMMIT_KEPT_MS, g->t_ms);
    int64_t so_far = p->commit_begun_ms == INT64_MAX ? 0 : g->t_ms - p->commit_begun_ms;
    return so_far > longest ? so_far : longest;
}

/* The store's figures are as of the last commit. What was covered since then stands in them, and
 * for long where no other commit comes. */
int64_t pressure_outbox_age_ms(const struct gateway *g, enum lane lane)
{
    const struct batch *last = &g->last_batch_out;
    bool waits = last->outbox_rows[lane] > 0 &&
                 last->first_sequence[lane] > g->lanes[lane].covered;
    return waits ? g->t_ms - last->first_t_ms[lane] : 0;
}

static int64_t outbox_percent(const struct gateway *g, enum lane lane)
{
    uint64_t share = g->config->store.outbox_bytes_max[lane];
    bool empty = g->lanes[lane].covered + 1 >= g->committed_lanes[lane].next_sequence;
    return empty || share == 0 ? 0 : (int64_t)(g->last_batch_out.outbox_bytes[lane] * 100 / share);
}

static void measure_outbox(const struct gateway *g, struct pressure *p)
{
    for (enum lane lane = LANE_ALERTS; lane < LANES; lane++) {
        int64_t percent = outbox_percent(g, lane), age = pressure_outbox_age_ms(g, lane);
        p->of[SHED_OUTBOX] = percent > p->of[SHED_OUTBOX] ? percent : p->of[SHED_OUTBOX];
        p->of[SHED_OUTBOX_AGE] = age > p->of[SHED_OUTBOX_AGE] ? age : p->of[SHED_OUTBOX_AGE];
    }
}

struct pressure pressure_measure(const struct gateway *g)
{
    struct pressure p = { .of = {
                              [SHED_LAG] = lag_ms(g),
                              [SHED_COMMIT] = commit_ms(g),
                              [SHED_MEMORY] = g->pressure.memory_percent,
                              [SHED_LOOP] = peak_of(&g->pressure.loop, LOOP_KEPT_MS, g->t_ms),
                          } };
    measure_outbox(g, &p);
    return p;
}

/* --- the load ----------------------------------------------------------------------------------
 */

void gateway_set_capacity(struct gateway *g, double readings_per_second)
{
    assert(readings_per_second > 0);
    g->pressure.capacity = readings_per_second;
}

/* A mean over about a minute; each look counts by the time that it looks back. */
static void measure_load(struct pressure_watch *p, uint64_t received, int64_t t_ms)
{
    int64_t span_ms = t_ms - p->load_ms;
    double now = (double)(received - p->load_readings) * 1000 / (double)span_ms;
    p->load += (now - p->load) * (double)span_ms / (double)(span_ms + LOAD_SPAN_MS);
    p->load_peak = p->load > p->load_peak ? p->load : p->load_peak;
    p->load_ms = t_ms;
    p->load_readings = received;
}

static void follow_load(struct gateway *g)
{
    struct pressure_watch *p = &g->pressure;
    if (p->capacity <= 0 || g->t_ms - p->load_ms < LOAD_LOOK_MS || !g->clock_known)
        return;
    measure_load(p, g->ledger.received, g->t_ms);
    uint32_t before = p->scale.wanted;
    if (!scale_update(&p->scale, &g->config->scale, p->load, p->capacity, g->t_ms))
        return;
    char message[160];
    (void)snprintf(message, sizeof message,
                   "the load wants %u gateway%s: %.0f readings a second, and one takes %.0f, of "
                   "which %u %% are to stay unused", p->scale.wanted,
                   p->scale.wanted == 1 ? "" : "s", p->load, p->capacity,
                   g->config->scale.headroom_percent);
    const struct envelope_fact facts[] = {
        { "gateways", p->scale.wanted },
        { "previous_gateways", before },
        { "readings_per_second", p->load },
        { "capacity_per_second", p->capacity },
        { "headroom_percent", g->config->scale.headroom_percent },
    };
    fill_notice(g, "gateways_wanted",
                &(struct notice){ message, NULL, facts, sizeof facts / sizeof facts[0] });
}

/* --- levels ------------------------------------------------------------------------------------
 */

static struct shed_amounts left_out(const struct gateway *g)
{
    return (struct shed_amounts){
        .enrichment = g->ledger.enrichment_left_out,
        .results = g->ledger.results_left_out,
        .raw = g->ledger.raw_left_out,
        .readings = g->ledger.shed[SHED_QOS0_OVERLOAD],
    };
}

static struct shed_amounts since(struct shed_amounts now, struct shed_amounts then)
{
    return (struct shed_amounts){
        .enrichment = now.enrichment - then.enrichment,
        .results = now.results - then.results,
        .raw = now.raw - then.raw,
        .readings = now.readings - then.readings,
    };
}

static void tell_change(struct gateway *g, const struct shed_change *c, const struct pressure *p)
{
    char message[256];
    const struct shed_amounts *out = &c->left_out;
    const char *cause = c->restarted ? "restart" : shed_cause_name(c->cause);
    if (c->restarted)
        (void)snprintf(message, sizeof message,
                       "shed level %d ended with the process that was at it", (int)c->from);
    else if (c->to > c->from)
        (void)snprintf(message, sizeof message, "shed level %d is entered, for %s", (int)c->to,
                       cause);
    else
        (void)snprintf(message, sizeof message,
                       "shed level %d is left after %.1f s (%s); left out meanwhile: the "
                       "enrichment of %llu alerts, %llu results, %llu raw readings to forward, "
                       "%llu readings of QoS 0",
                       (int)c->from, (double)c->lasted_ms / 1000.0, cause,
                       (unsigned long long)out->enrichment, (unsigned long long)out->results,
                       (unsigned long long)out->raw, (unsigned long long)out->readings);
    const struct envelope_fact facts[] = {
        { "level", c->to },
        { "previous_level", c->from },
        { "duration_ms", (double)c->lasted_ms },
        { "enrichment_left_out", (double)out->enrichment },
        { "results_left_out", (double)out->results },
        { "raw_left_out", (double)out->raw },
        { "qos0_readings_shed", (double)out->readings },
        { "lag_ms", (double)p->of[SHED_LAG] },
        { "commit_ms", (double)p->of[SHED_COMMIT] },
        { "outbox_percent", (double)p->of[SHED_OUTBOX] },
        { "outbox_age_ms", (double)p->of[SHED_OUTBOX_AGE] },
        { "memory_percent", (double)p->of[SHED_MEMORY] },
        { "loop_ms", (double)p->of[SHED_LOOP] },
    };
    fill_notice(g, "shed_level",
                &(struct notice){ message, cause, facts, sizeof facts / sizeof facts[0] });
}

static void keep_change(struct gateway *g, const struct shed_change *change)
{
    g->pressure.changes[g->pressure.change_count++ % GATEWAY_SHED_CHANGES] = *change;
}

/* Its notice first: what the engine says of the level may take the rest of the room. */
static void journal_level(struct gateway *g)
{
    struct record record = { .kind = RECORD_SHED, .t_ms = g->t_ms, .count = g->shed.level };
    fill_append(g, &record);
    engine_apply(g->engine, &record, &g->out);
}

static void change_level(struct gateway *g, enum shed_level from, const struct pressure *p)
{
    enum shed_level to = g->shed.level;
    struct shed_change change = {
        .wall_ms = gateway_wall_ms(g), .from = from, .to = to, .cause = g->shed.cause
    };
    if (to > from) {
        g->pressure.levels[to] = (struct shed_period){ g->t_ms, g->shed.cause, left_out(g) };
    } else {
        const struct shed_period *period = &g->pressure.levels[from];
        change.cause = period->cause;
        change.lasted_ms = g->t_ms - period->since_ms;
        change.left_out = since(left_out(g), period->before);
    }
    keep_change(g, &change);
    tell_change(g, &change, p);
    journal_level(g);
}

/* The process before this one ended while something was shed. */
void pressure_start(struct gateway *g)
{
    lag_init(&g->pressure.lag, g->t_ms);
    scale_init(&g->pressure.scale);
    g->pressure.load_ms = g->t_ms;
    g->pressure.load_readings = g->ledger.received;
    g->pressure.level_before = engine_shed_level(g->engine);
    if (g->pressure.level_before != SHED_NORMAL)
        journal_level(g);
}

/* Whether it grows for too long is an alert of the engine's, which hears of it by the journal. */
static void follow_lag(struct gateway *g, int64_t lag)
{
    int64_t for_ms = g->config->engine.lag_grows_for_ms;
    int64_t told_ms = engine_lag_told_ms(g->engine);
    enum lag_verdict verdict =
        for_ms > 0 ? lag_update(&g->pressure.lag, for_ms, lag, told_ms, g->t_ms)
                   : told_ms > 0 ? LAG_IS_OVER : LAG_AS_IT_WAS;
    if (verdict == LAG_AS_IT_WAS)
        return;
    struct record record = { .kind = RECORD_LAG,
                             .t_ms = g->t_ms,
                             .count = verdict == LAG_GROWS ? (uint64_t)lag : 0 };
    fill_append(g, &record);
    engine_apply(g->engine, &record, &g->out);
}

static void tell_restart(struct gateway *g, const struct pressure *p)
{
    struct shed_change change = {
        .wall_ms = gateway_wall_ms(g), .from = g->pressure.level_before, .restarted = true
    };
    g->pressure.level_before = SHED_NORMAL;
    keep_change(g, &change);
    tell_change(g, &change, p);
}

void pressure_update(struct gateway *g)
{
    enum shed_level before = g->shed.level;
    struct pressure p = pressure_measure(g);
    g->pressure.turn_ms = g->t_ms;
    if (!fill_has_step_room(g, g->filling))
        return;
    if (g->pressure.level_before != SHED_NORMAL && g->clock_known)
        tell_restart(g, &p);
    else if (shed_update(&g->shed, &g->config->shed, &p, g->t_ms))
        change_level(g, before, &p);
    if (fill_has_step_room(g, g->filling))
        follow_lag(g, p.of[SHED_LAG]);
    if (fill_has_step_room(g, g->filling))
        follow_load(g);
}

/* --- what follows from the level -----------------------------------------------------------------
 */

/* At level 3 a source gives less at once, so that what has a higher priority, and all else that a
 * turn does, comes first. Nothing waits for a time: where there is nothing else to do, the next
 * turn follows at once. */
static uint32_t capped(const struct gateway *g, uint32_t source, uint32_t usual)
{
    static const uint32_t parts[] = {
        [PRIORITY_LOW] = 32, [PRIORITY_NORMAL] = 8, [PRIORITY_HIGH] = 2
    };
    if (g->shed.level < SHED_SOURCES)
        return usual;
    uint32_t part = usual / parts[g->config->sources[source].priority];
    return part > 0 ? part : 1;
}

uint32_t gateway_turn_messages(const struct gateway *g, uint32_t source)
{
    assert(source < g->config->source_count);
    return capped(g, source, GATEWAY_TURN_MESSAGES);
}

uint32_t gateway_receive_maximum(const struct gateway *g, uint32_t source)
{
    return capped(g, source, g->config->sources[source].receive_maximum);
}

/* --- looking -----------------------------------------------------------------------------------
 */

void pressure_view(const struct gateway *g, struct gateway_view *view)
{
    view->shed = g->shed.level;
    view->pressure = pressure_measure(g);
    view->load = g->pressure.load;
    view->load_peak = g->pressure.load_peak;
    view->capacity = g->pressure.capacity;
    view->gateways_wanted = g->pressure.scale.wanted;
    if (g->shed.level == SHED_NORMAL)
        return;
    const struct shed_period *period = &g->pressure.levels[g->shed.level];
    view->shed_cause = period->cause;
    view->shed_for_ms = g->t_ms - period->since_ms;
    view->left_out = since(left_out(g), period->before);
}

uint32_t gateway_shed_changes(const struct gateway *g, struct shed_change *to, uint32_t max)
{
    uint64_t count = g->pressure.change_count;
    uint32_t n = 0;
    for (; n < max && n < count && n < GATEWAY_SHED_CHANGES; n++)
        to[n] = g->pressure.changes[(count - 1 - n) % GATEWAY_SHED_CHANGES];
    return n;
}
