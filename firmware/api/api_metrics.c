/* What /metrics says of readings and what was made of them. The machine's part stands in
 * api_metrics_machine.c. No series for each device: their number would be the fleet's. */
#include "firmware/api/api_state.h"
#include "firmware/board/board.h"

#define WITH(name, value) (const struct prometheus_label[2]){ { name, value } }
#define WITH_BOTH(a, b, c, d) (const struct prometheus_label[2]){ { a, b }, { c, d } }

struct figure { /* a family of one sample */
    const char *name, *help;
    uint64_t value;
};

static void put_counters(struct prometheus *p, const struct figure *figures, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        prometheus_counter(p, figures[i].name, figures[i].help, figures[i].value);
}

static void put_gauges(struct prometheus *p, const struct figure *figures, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        prometheus_gauge(p, figures[i].name, figures[i].help, (double)figures[i].value);
}

static void put_health(const struct api *api, const struct gateway_view *v, struct prometheus *p)
{
    struct health health = board_health(api->start.board, v);
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_build_info",
                      "Always 1; which program runs, and as which gateway.");
    prometheus_count(
        p, WITH_BOTH("version", WEIR_VERSION, "gateway", api->config->gateway_name), 1);
    prometheus_gauge(p, "weir_health", "0 good, 1 degraded, 2 failed.", health.state);
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_health_reason",
                      "1 for each reason why the health is not good; without one no sample.");
    for (uint32_t i = 0; i < health.count; i++)
        prometheus_count(p, WITH("reason", health.reasons[i]), 1);
}

/* --- readings --- */

static void put_rejects(const struct ledger *l, struct prometheus *p)
{
    prometheus_family(p, PROMETHEUS_COUNTER, "weir_readings_rejected_total",
                      "Readings that became dead letters, by reason.");
    for (int reason = REJECT_NONE; reason < REJECT_REASON_END; reason++)
        if (reason != REJECT_NONE || l->rejected[reason] > 0) /* none: for a newer Weir's reasons */
            prometheus_count(p, WITH("reason", reject_name((enum reject_reason)reason)),
                             l->rejected[reason]);
}

static uint64_t put_shed(const struct ledger *l, struct prometheus *p)
{
    uint64_t shed = 0;
    prometheus_family(p, PROMETHEUS_COUNTER, "weir_readings_shed_total",
                      "Readings left out under overload, by reason.");
    for (int reason = 0; reason < SHED_REASONS; reason++) {
        prometheus_count(p, WITH("reason", shed_name((enum shed_reason)reason)), l->shed[reason]);
        shed += l->shed[reason];
    }
    return shed;
}

static void put_removed(const struct ledger *l, struct prometheus *p)
{
    prometheus_family(p, PROMETHEUS_COUNTER, "weir_readings_removed_total",
                      "Stored readings that retention removed, by cause and whether they had been "
                      "forwarded.");
    for (int removal = 0; removal < REMOVALS; removal++)
        prometheus_count(p, WITH("cause", removal_name((enum removal)removal)),
                         l->removed[removal]);
}

static void put_ledger(const struct gateway_view *v, struct prometheus *p)
{
    const struct ledger *l = &v->ledger;
    const struct figure counters[] = {
        { "weir_readings_received_total", "Readings that came in, repeats included.", l->received },
        { "weir_readings_retried_total", "Readings that the gateway itself took again.",
          l->retried },
        { "weir_readings_late_total", "Stored readings that came too late for their window.",
          l->late },
        { "weir_sequence_restarts_total", "Devices that counted from the start again.",
          l->sequence_restart },
        { "weir_enrichment_shed_total", "Alerts told without enrichment, under pressure.",
          l->enrichment_left_out },
        { "weir_results_shed_total", "Results not sent, under pressure.", l->results_left_out },
        { "weir_raw_shed_total", "Readings not forwarded raw, under pressure.", l->raw_left_out },
        { "weir_corrections_total", "Readings forwarded because they were too late.",
          l->corrections },
        { "weir_corrections_left_out_total", "Not forwarded, beyond their budget or by shedding.",
          l->corrections_left_out },
    };
    const struct figure gauges[] = {
        { "weir_readings_pending", "Readings that wait for their commit.", v->pending },
        { "weir_readings_held", "Readings in the journal.", l->held },
        { "weir_ledger_balanced", "1 while every reading is accounted for.", ledger_balances(l) },
    };
    put_counters(p, counters, sizeof counters / sizeof counters[0]);
    put_gauges(p, gauges, sizeof gauges / sizeof gauges[0]);
    put_rejects(l, p);
    put_removed(l, p);
    uint64_t shed = put_shed(l, p);
    prometheus_family(p, PROMETHEUS_COUNTER, "weir_readings_total",
                      "Readings by what became of them; the sum is received and retried.");
    prometheus_count(p, WITH("outcome", "stored"), l->stored);
    prometheus_count(p, WITH("outcome", "duplicate"), l->duplicate);
    prometheus_count(p, WITH("outcome", "rejected"), ledger_rejected(l));
    prometheus_count(p, WITH("outcome", "shed"), shed);
}

/* --- what was made of them --- */

static void put_engine(const struct api *api, const struct gateway_view *v, struct prometheus *p)
{
    const struct engine_config *limits = &api->config->engine;
    struct engine_counts c = engine_counts(v->engine);
    const struct figure counters[] = {
        { "weir_readings_unordered_total", "Readings older than the last of their series.",
          c.unordered },
        { "weir_dedup_forgotten_total", "Runs of sequence numbers given up: a device had too many.",
          c.dedup_forgotten },
        { "weir_window_results_total", "Windows closed.", c.results },
        { "weir_window_revisions_total", "Results revised because of late readings.",
          c.revisions },
        { "weir_windows_forced_total", "Windows closed early because too many were open.",
          c.forced_windows },
        { "weir_alerts_raised_total", "Alerts raised.", c.alerts_raised },
        { "weir_alerts_learning_total", "Of them, those of series that were too new.",
          c.alerts_learning },
        { "weir_alerts_maintenance_total", "Of them, those of devices that were being worked on.",
          c.alerts_maintained },
        { "weir_alerts_notified_total", "Alerts told as worth calling somebody for.",
          c.alerts_notified },
        { "weir_alarm_storms_total", "Times more incidents came than can be followed.", c.storms },
        { "weir_alerts_updated_total", "Alerts told anew while they stood.", c.alerts_updated },
        { "weir_alerts_cleared_total", "Alerts cleared.", c.alerts_cleared },
        { "weir_alerts_suppressed_total", "Anomalies that found no room for an alert.",
          c.alerts_suppressed },
    };
    const struct figure gauges[] = {
        { "weir_alerts_open", "Alerts that stand.", c.alerts_open },
        { "weir_alarm_storm", "1 while more incidents come than can be followed.", c.storm },
        { "weir_devices", "Devices known.", c.devices },
        { "weir_devices_limit", "Devices that there is room for.", limits->devices_max },
        { "weir_series", "Pairs of device and metric known.", c.series },
        { "weir_series_limit", "Series that there is room for.", limits->series_max },
    };
    put_counters(p, counters, sizeof counters / sizeof counters[0]);
    put_gauges(p, gauges, sizeof gauges / sizeof gauges[0]);
}

/* A survey that found nobody says nothing of delays. */
static void put_survey(const struct survey_figures *f, struct prometheus *p)
{
    prometheus_gauge(p, "weir_series_heard",
                     "Series heard within window.idle; the watermark delay is theirs.", f->active);
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_watermark_delay_median_seconds",
                      "How far the median series' watermark is behind the wall clock.");
    if (f->active > 0)
        prometheus_value(p, NULL, (double)f->median_ms / 1000);
    prometheus_family(p, PROMETHEUS_GAUGE, "weir_watermark_delay_worst_seconds",
                      "How far the worst series' watermark is behind; weir status names it.");
    if (f->active > 0)
        prometheus_value(p, NULL, (double)f->worst_ms / 1000);
}

static void put_pressure(const struct gateway_view *v, struct prometheus *p)
{
    static const struct {
        enum shed_cause cause;
        const char *name, *help;
        double unit; /* of the measurement, in the metric's */
    } all[] = {
        { SHED_LAG, "weir_lag_seconds",
          "Since the source that is furthest behind was last read to its end.", 1e-3 },
        { SHED_COMMIT, "weir_commit_longest_seconds",
          "The longest commit of the last 10 s, the one under way included.", 1e-3 },
        { SHED_OUTBOX, "weir_outbox_fullest_ratio",
          "How much of its share of the disk the fullest lane takes.", 1e-2 },
        { SHED_MEMORY, "weir_memory_taken_ratio",
          "Anonymous memory, of what may be taken.", 1e-2 },
        { SHED_LOOP, "weir_turn_longest_seconds",
          "The longest turn of the loop in the last second.", 1e-3 },
    };
    prometheus_gauge(p, "weir_load_ratio", "Readings a second, of what this board can take.",
                     v->capacity > 0 ? v->load / v->capacity : 0);
    prometheus_gauge(p, "weir_gateways_wanted", "Gateways that would carry this one's load.",
                     v->gateways_wanted);
    prometheus_gauge(p, "weir_shed_level", "What is left out under pressure: 0 nothing, 4 most.",
                     v->shed);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        prometheus_gauge(p, all[i].name, all[i].help,
                         (double)v->pressure.of[all[i].cause] * all[i].unit);
}

void api_write_metrics(struct api *api, struct prometheus *p)
{
    struct gateway_view view = gateway_view(api->start.gateway);
    put_health(api, &view, p);
    put_ledger(&view, p);
    put_engine(api, &view, p);
    api_put_streams(api, view.engine, p);
    put_survey(&api->survey.last, p);
    put_pressure(&view, p);
    api_write_machine_metrics(api, &view, p);
}
