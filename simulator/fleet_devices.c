/* Reading number n of the whole fleet is due at start + n * period / series: the load is even,
 * and one counter is the whole schedule. Series go round. */
#include <assert.h>
#include <stdlib.h>

#include "simulator/chance.h"
#include "simulator/fleet.h"

struct series {
    struct signal signal;
    struct fault_plan plan;
};

struct fleet_devices {
    const struct fleet_config *config;
    FILE *truth;
    struct fault_config faults;
    int64_t start_ms;
    uint64_t next;         /* number of the next reading */
    uint64_t total;        /* readings in the whole run; UINT64_MAX: no end */
    uint64_t series_count;
    struct fleet_device *devices;
    struct series *series; /* [devices * metrics] */
};

enum {
    CLOCK_WRONG_MIN_MS = 600000,
    CLOCK_WRONG_MAX_MS = 7200000,
    LAST_FAULT_READINGS = 110 /* before the end: the longest of most kinds, and time to be seen */
};

/* Half of the wrong clocks are behind, half ahead. */
static int64_t clock_offset_draw(uint64_t *chance, double share)
{
    if (chance_unit(chance) >= share)
        return 0;
    double far = chance_between(chance, CLOCK_WRONG_MIN_MS, CLOCK_WRONG_MAX_MS);
    return chance_below(chance, 2) == 0 ? -(int64_t)far : (int64_t)far;
}

static void device_init(struct fleet_devices *d, uint32_t index)
{
    struct fleet_device *device = &d->devices[index];
    uint64_t seed = chance_branch(d->config->seed, index + 1);
    (void)snprintf(device->name, sizeof device->name, "dev-%05u", index); /* fits */
    device->sequence = 1;
    device->clock_offset_ms = clock_offset_draw(&seed, d->config->wrong_clocks);
    if (device->clock_offset_ms != 0)
        truth_clock(d->truth, device->name, device->clock_offset_ms);
    struct fault_config none = { 0 };
    for (uint32_t m = 0; m < d->config->metrics; m++) {
        struct series *s = &d->series[(uint64_t)index * d->config->metrics + m];
        signal_init(&s->signal, m, chance_next(&seed), d->start_ms);
        bool healthy = device->clock_offset_ms != 0; /* its readings may all be refused */
        fault_plan_init(&s->plan, healthy ? &none : &d->faults, chance_next(&seed));
    }
}

static struct fault_config faults_of(const struct fleet_config *c, int64_t start_ms)
{
    struct fault_config faults = { .clean_until_ms = start_ms + c->clean_ms,
                                   .last_start_ms = INT64_MAX,
                                   .every_ms = c->fault_every_ms,
                                   .kinds = fault_kinds_of(c->faults) };
    int64_t last_ms = (int64_t)(LAST_FAULT_READINGS * 1000 / c->rate);
    if (c->duration_ms > 0)
        faults.last_start_ms = start_ms + c->duration_ms - last_ms;
    return faults;
}

struct fleet_devices *devices_open(const struct fleet_config *config, int64_t start_ms,
                                   FILE *truth)
{
    struct fleet_devices *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    *d = (struct fleet_devices){ .config = config, .truth = truth, .start_ms = start_ms };
    d->faults = faults_of(config, start_ms);
    d->series_count = config->devices * config->metrics;
    d->total = UINT64_MAX;
    if (config->duration_ms > 0)
        d->total =
            (uint64_t)((double)config->duration_ms * 1e-3 * config->rate) * d->series_count;
    d->devices = calloc((size_t)config->devices + 1, sizeof *d->devices);
    d->series = calloc((size_t)d->series_count + 1, sizeof *d->series);
    if (d->devices == NULL || d->series == NULL) {
        devices_close(d);
        return NULL;
    }
    for (uint32_t i = 0; i < config->devices; i++)
        device_init(d, i);
    return d;
}

void devices_close(struct fleet_devices *d)
{
    free(d->devices);
    free(d->series);
    free(d);
}

static int64_t due_ms(const struct fleet_devices *d, uint64_t number)
{
    if (d->series_count == 0 || number >= d->total)
        return INT64_MAX;
    double periods = (double)number / (double)d->series_count;
    return d->start_ms + (int64_t)(periods * 1000 / d->config->rate);
}

static void fault_tell(struct fleet_devices *d, const struct fleet_reading *r,
                       const struct fault *f, struct fleet_outlet *outlet)
{
    truth_fault(d->truth, r->device->name, r->metric, f, r->device->clock_offset_ms);
    outlet->totals.faults[f->kind]++;
}

static void reading_make(struct fleet_devices *d, uint64_t which, struct fleet_outlet *outlet,
                         int64_t now_ms)
{
    int64_t time_ms = due_ms(d, d->next);
    struct series *s = &d->series[which];
    uint32_t index = (uint32_t)(which / d->config->metrics);
    double healthy = signal_next(&s->signal, time_ms);
    struct fault_effect e = fault_apply(&s->plan, &d->faults, &s->signal, time_ms, healthy);
    if (e.first)
        s->plan.fault.published_ms = now_ms;
    struct fleet_reading r = { .device_index = index, .device = &d->devices[index],
                               .metric = s->signal.metric->name, .unit = s->signal.metric->unit,
                               .value = e.value, .digits = s->signal.metric->digits,
                               .faulty = e.faulty };
    r.time_ms = time_ms + r.device->clock_offset_ms;
    if (e.withheld)
        outlet->totals.withheld++;
    else
        outlet_publish(outlet, &r, now_ms);
    if (e.last)
        fault_tell(d, &r, &s->plan.fault, outlet);
}

int64_t devices_turn(struct fleet_devices *d, struct fleet_outlet *outlet, int64_t now_ms)
{
    while (due_ms(d, d->next) <= now_ms) {
        uint64_t which = d->next % d->series_count;
        if (!outlet_room(outlet, (uint32_t)(which / d->config->metrics)))
            return now_ms; /* the device waits; its reading keeps its time */
        reading_make(d, which, outlet, now_ms);
        d->next++;
    }
    return due_ms(d, d->next);
}

void devices_end(struct fleet_devices *d, struct fleet_outlet *outlet)
{
    for (uint64_t i = 0; i < d->series_count; i++) {
        struct series *s = &d->series[i];
        if (!s->plan.active)
            continue;
        struct fleet_reading r = { .device = &d->devices[i / d->config->metrics],
                                   .metric = s->signal.metric->name };
        fault_tell(d, &r, &s->plan.fault, outlet);
        s->plan.active = false;
    }
}
