/* What a device is watched for as a whole: its clock, and that it says nothing at all. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

/* The clock is off when readings in a row are further off than CLOCK_OFF_MS: three that are ahead,
 * within an hour where they are refused for it; or ten over a minute that are late alike, give or
 * take CLOCK_STEADY_MS: what was kept back and comes now is not, it catches up. It is over with the
 * first reading whose time is good; a clock that goes to and fro is told of once an hour. */
enum {
    CLOCK_AHEAD_READINGS = 3,
    CLOCK_RUN_MS = 3600000,
    CLOCK_BEHIND_READINGS = 10,
    CLOCK_BEHIND_MS = 60000,
    CLOCK_STEADY_MS = 10000,
    CLOCK_OFF_MS = 60000
};

const struct detector_config engine_device_rules[ENGINE_DEVICE_RULES] = {
    [ENGINE_DEVICE_CLOCK] = { .name = "device_clock",
                              .kind = DETECTOR_LIMIT,
                              .device = "*",
                              .metric = "",
                              .has_high = true,
                              .high = CLOCK_AHEAD_READINGS - 1,
                              .severity = SEVERITY_WARNING,
                              .cooldown_ms = 3600000 },
    [ENGINE_DEVICE_SILENT] = { .name = "device_silent",
                               .kind = DETECTOR_SILENT,
                               .device = "*",
                               .metric = "",
                               .severity = SEVERITY_MAJOR },
};

/* --- its clock --- */

static void judge_clock(struct engine *e, uint32_t device, const struct verdict *verdict)
{
    const struct device_finding of = { device, ENGINE_DEVICE_CLOCK, ENGINE_NONE };
    /* the next reading tries again where there was no place */
    (void)engine_on_device_verdict(e, of, verdict, engine_wall_ms(e));
}

void engine_on_device_future(struct engine *e, uint32_t device)
{
    struct device *d = &e->devices[device];
    if (d->future_count == 0 || e->t_ms - d->future_since_ms > CLOCK_RUN_MS) {
        d->future_count = 0;
        d->future_since_ms = e->t_ms;
    }
    d->future_count++;
    if (d->future_count < CLOCK_AHEAD_READINGS || e->config->device_clocks_off)
        return;
    const struct verdict verdict = {
        .known = true,
        .anomalous = true,
        .reason = REASON_CLOCK_AHEAD,
        .observed = d->future_count,
        .high = CLOCK_AHEAD_READINGS - 1,
        .score = d->future_count,
        .threshold = CLOCK_AHEAD_READINGS,
    };
    judge_clock(e, device, &verdict);
}

/* Whether its reading goes on with the run. */
static bool is_alike(const struct clock_run *run, int64_t lead_ms)
{
    int64_t step_ms = lead_ms - run->lead_ms;
    return run->count > 0 && (lead_ms > 0) == (run->lead_ms > 0) &&
           (lead_ms > 0 || (step_ms <= CLOCK_STEADY_MS && step_ms >= -CLOCK_STEADY_MS));
}

static bool is_proved(const struct engine *e, const struct clock_run *run)
{
    return run->lead_ms > 0 ? run->count >= CLOCK_AHEAD_READINGS
                            : run->count >= CLOCK_BEHIND_READINGS &&
                                  e->t_ms - run->since_ms >= CLOCK_BEHIND_MS;
}

static void clock_is_off(struct engine *e, uint32_t device, int64_t lead_ms)
{
    struct clock_run *run = &e->devices[device].off;
    if (!is_alike(run, lead_ms))
        *run = (struct clock_run){ .since_ms = e->t_ms, .lead_ms = lead_ms };
    run->count += run->count < UINT32_MAX;
    if (!is_proved(e, run) || e->config->device_clocks_off)
        return;
    const double most_s = CLOCK_OFF_MS / 1000;
    double lead_s = (double)lead_ms / 1000;
    const struct verdict verdict = {
        .known = true,
        .anomalous = true,
        .reason = lead_ms > 0 ? REASON_CLOCK_AHEAD : REASON_CLOCK_BEHIND,
        .observed = lead_s,
        .low = -most_s,
        .high = most_s,
        .score = lead_ms > 0 ? lead_s : -lead_s,
        .threshold = most_s,
    };
    judge_clock(e, device, &verdict);
}

/* A late reading after early ones: whatever it is late for, the clock is not ahead any more. */
void engine_on_device_time(struct engine *e, uint32_t device, int64_t device_time_ms)
{
    static const struct verdict good = { .known = true, .high = CLOCK_AHEAD_READINGS - 1,
                                         .threshold = CLOCK_AHEAD_READINGS };
    struct device *d = &e->devices[device];
    int64_t lead_ms = e->clock.state == CLOCK_SYNCED ? device_time_ms - engine_wall_ms(e) : 0;
    bool late = lead_ms < -CLOCK_OFF_MS, early = lead_ms > CLOCK_OFF_MS;
    bool was_early = d->future_count > 0 || (d->off.count > 0 && d->off.lead_ms > 0);
    d->future_count = 0;
    if (late || early) {
        if (late && was_early)
            judge_clock(e, device, &good);
        clock_is_off(e, device, lead_ms);
        return;
    }
    d->off.count = 0;
    if (d->watches[ENGINE_DEVICE_CLOCK].open)
        judge_clock(e, device, &good);
}

/* --- whether it says anything --- */

bool engine_device_is_silent(const struct engine *e, uint32_t device)
{
    return e->devices[device].watches[ENGINE_DEVICE_SILENT].silence_told;
}

/* Of a device with one metric that metric's own silence says it all. */
bool engine_on_device_silence(struct engine *e, uint32_t series, int64_t allowed_ms)
{
    uint32_t device = e->series[series].device;
    struct device *d = &e->devices[device];
    const struct series *last = &e->series[d->last_series];
    int64_t silent_ms = e->t_ms - last->last_t_ms;
    if (d->series_count < 2 || silent_ms < allowed_ms)
        return false;
    const struct verdict verdict = {
        .known = true,
        .anomalous = true,
        .observed = (double)silent_ms,
        .high = (double)allowed_ms,
        .score = allowed_ms > 0 ? (double)silent_ms / (double)allowed_ms : 1.0,
        .threshold = 1.0,
    };
    const struct device_finding of = { device, ENGINE_DEVICE_SILENT, series };
    d->watches[ENGINE_DEVICE_SILENT].silence_told =
        engine_on_device_verdict(e, of, &verdict, last->last_event_ms + allowed_ms);
    return d->watches[ENGINE_DEVICE_SILENT].silence_told;
}

void engine_end_device_silence(struct engine *e, uint32_t series)
{
    static const struct verdict here = { .known = true };
    uint32_t device = e->series[series].device;
    struct watch *w = &e->devices[device].watches[ENGINE_DEVICE_SILENT];
    if (!w->silence_told)
        return;
    const struct device_finding of = { device, ENGINE_DEVICE_SILENT, series };
    w->silence_told = false;
    e->devices[device].back_ms = e->t_ms;
    (void)engine_on_device_verdict(e, of, &here, e->series[series].last_event_ms);
}
