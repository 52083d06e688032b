/* weir-sim scenario: draws the events of one, disturbs them as networks do, and publishes them. */
#include "simulator/scenario.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/chance.h"
#include "simulator/clock.h"
#include "simulator/fleet_link.h"
#include "simulator/settings.h"

enum { WAIT_MS = 10, PROGRESS_EVERY_MS = 1000, SEED_OF_FAULTS = 1, PENDING_MAX = 65536 };

struct options {
    const char *host;
    uint64_t port, seed, connections;
    double scale, late, too_late, repeated;
    int64_t duration_ms, drain_ms;
    bool print, list, quiet;
};

struct run {
    struct options options;
    const struct scenario *scenario;
    struct scenario_events events;
    struct fleet_link *link;
    char (*names)[FLEET_NAME_BYTES_MAX]; /* of its devices */
    int64_t begins_ms, ends_ms;          /* wall time */
    int64_t span_ms;                     /* from the first event to the last publication */
    int64_t base_ms;                     /* event time of its beginning */
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

/* --- what happens, and when it is published -------------------------------------------------- */

struct scenario_event *scenario_add(struct scenario_events *to)
{
    if (to->count == to->room) {
        to->room = to->room * 2 + 4096;
        to->all = realloc(to->all, to->room * sizeof *to->all);
        if (to->all == NULL) {
            fprintf(stderr, "weir-sim scenario: no memory for %zu events\n", to->room);
            exit(1);
        }
    }
    struct scenario_event *e = &to->all[to->count];
    *e = (struct scenario_event){ .order = (uint32_t)to->count };
    to->count++;
    return e;
}

static int by_happening(const void *a, const void *b)
{
    const struct scenario_event *x = a, *y = b;
    return x->t_ms != y->t_ms ? (x->t_ms > y->t_ms) - (x->t_ms < y->t_ms)
                              : (x->order > y->order) - (x->order < y->order);
}

static int by_publication(const void *a, const void *b)
{
    const struct scenario_event *x = a, *y = b;
    return x->sent_ms != y->sent_ms ? (x->sent_ms > y->sent_ms) - (x->sent_ms < y->sent_ms)
                                    : (x->order > y->order) - (x->order < y->order);
}

/* Devices number what they see as it happens. */
static void number_all(struct run *r)
{
    uint64_t *next = calloc(r->scenario->devices, sizeof *next);
    assert(next != NULL); /* some hundred bytes */
    qsort(r->events.all, r->events.count, sizeof *r->events.all, by_happening);
    for (size_t i = 0; i < r->events.count; i++) {
        r->events.all[i].sequence = next[r->events.all[i].device]++;
        r->events.all[i].order = (uint32_t)i;
    }
    free(next);
}

static void disturb(struct run *r, int64_t end_ms, uint64_t *chance)
{
    const struct options *o = &r->options;
    const struct scenario *s = r->scenario;
    size_t count = r->events.count;
    for (size_t i = 0; i < count; i++) {
        struct scenario_event *e = &r->events.all[i];
        double lot = chance_unit(chance), repeated = chance_unit(chance);
        e->sent_ms = e->t_ms;
        if (lot < o->too_late && e->t_ms + s->too_late_ms < end_ms)
            e->sent_ms += s->too_late_ms;
        else if (lot < o->too_late + o->late)
            e->sent_ms += (int64_t)(chance_unit(chance) * (double)s->late_ms);
        if (repeated >= o->repeated)
            continue;
        struct scenario_event again = *e;
        struct scenario_event *to = scenario_add(&r->events);
        again.order = to->order;
        again.repeat = true;
        again.sent_ms += (int64_t)(chance_unit(chance) * (double)s->late_ms);
        *to = again;
    }
    qsort(r->events.all, r->events.count, sizeof *r->events.all, by_publication);
    r->span_ms = r->events.count > 0 ? r->events.all[r->events.count - 1].sent_ms : 0;
}

static void draw(struct run *r)
{
    uint64_t events = chance_branch(r->options.seed, 0);
    uint64_t faults = chance_branch(r->options.seed, SEED_OF_FAULTS);
    r->scenario->draw(&r->events, r->options.scale, &events);
    number_all(r);
    size_t count = r->events.count;
    disturb(r, count > 0 ? r->events.all[count - 1].t_ms : 0, &faults);
}

/* --- publishing ------------------------------------------------------------------------------ */

static struct fleet_message message_of(const struct run *r, const struct scenario_event *e,
                                       int64_t now_ms)
{
    struct fleet_message m = { .device = e->device, .device_name = r->names[e->device],
                               .metric_name = e->metric, .published_ms = now_ms,
                               .sequence = e->sequence, .repeat = e->repeat };
    int bytes = snprintf(m.payload, sizeof m.payload,
                         "{\"ts\":%" PRId64 ",\"seq\":%" PRIu64 ",\"value\":%.15g%s}",
                         r->base_ms + e->t_ms, e->sequence, e->value, e->fields);
    assert(bytes > 0 && (size_t)bytes < sizeof m.payload);
    m.payload_bytes = (uint32_t)bytes;
    return m;
}

/* Publication is spread over the duration asked for, as its times are over the span. */
static int64_t due_ms(const struct run *r, const struct scenario_event *e)
{
    double part = r->span_ms > 0 ? (double)e->sent_ms / (double)r->span_ms : 0;
    return r->begins_ms + (int64_t)(part * (double)r->options.duration_ms);
}

static void progress(const struct run *r, size_t published, int64_t now_ms)
{
    struct fleet_link_counts n = fleet_link_counts(r->link);
    if (!r->options.quiet)
        fprintf(stderr, "%s %5.1f s: published %zu of %zu, acknowledged %" PRIu64 "\n",
                r->scenario->name, (double)(now_ms - r->begins_ms) * 1e-3, published,
                r->events.count, n.acked);
}

/* Whether all was acknowledged. */
static bool publish(struct run *r)
{
    size_t at = 0;
    int64_t progress_ms = 0, until_ms = 0;
    for (;;) {
        int64_t now_ms = clock_wall_ms();
        for (; at < r->events.count && due_ms(r, &r->events.all[at]) <= now_ms; at++) {
            struct fleet_message m = message_of(r, &r->events.all[at], now_ms);
            if (!fleet_link_room(r->link, m.device))
                break;
            fleet_link_put(r->link, &m);
        }
        if (now_ms >= progress_ms)
            progress(r, at, now_ms);
        progress_ms = now_ms >= progress_ms ? now_ms + PROGRESS_EVERY_MS : progress_ms;
        if (at < r->events.count)
            until_ms = now_ms + r->options.drain_ms;
        bool through = at == r->events.count && fleet_link_counts(r->link).pending == 0;
        if (through || stop_asked || (at == r->events.count && now_ms > until_ms)) {
            progress(r, at, now_ms);
            return through;
        }
        fleet_link_turn(r->link, now_ms, WAIT_MS);
    }
}

static void print_all(const struct run *r)
{
    for (size_t i = 0; i < r->events.count; i++) {
        const struct scenario_event *e = &r->events.all[i];
        struct fleet_message m = message_of(r, e, 0);
        printf("%" PRId64 " telemetry/%s/%s %s\n", r->base_ms + e->sent_ms, m.device_name,
               m.metric_name, m.payload);
    }
}

/* --- the command ----------------------------------------------------------------------------- */

static void on_acked(void *ctx, const struct fleet_message *message)
{
    (void)ctx; /* the link counts them */
    (void)message;
}

static int list_all(void)
{
    for (size_t i = 0; i < scenario_count; i++)
        printf("%-20s %s\n", scenarios[i].name, scenarios[i].about);
    return 0;
}

static int options_parse(struct options *o, int argc, char **argv)
{
    const struct setting table[] = {
        { "host", SETTING_TEXT, &o->host, "127.0.0.1", "the gateway" },
        { "port", SETTING_COUNT, &o->port, "1883", "its port" },
        { "seed", SETTING_COUNT, &o->seed, "1", "of everything that is drawn" },
        { "scale", SETTING_NUMBER, &o->scale, "1", "so many events, 1: as many as there are" },
        { "duration", SETTING_DURATION, &o->duration_ms, "10s", "publish it all within" },
        { "late", SETTING_SHARE, &o->late, "10%", "of events, in time for a revision" },
        { "too-late", SETTING_SHARE, &o->too_late, "1%", "of events" },
        { "repeated", SETTING_SHARE, &o->repeated, "5%", "of events, byte for byte" },
        { "connections", SETTING_COUNT, &o->connections, "4", "that devices share" },
        { "drain", SETTING_DURATION, &o->drain_ms, "60s", "wait at most for the last PUBACKs" },
        { "print", SETTING_FLAG, &o->print, NULL, "a line an event instead of publishing it" },
        { "list", SETTING_FLAG, &o->list, NULL, "the scenarios" },
        { "quiet", SETTING_FLAG, &o->quiet, NULL, "no line on stderr every second" },
        { 0 },
    };
    const struct command_text text = {
        "weir-sim scenario NAME [options]   or   weir-sim scenario --list",
        "Events of one of six systems, as QoS 1 messages on telemetry/{device}/{metric}. The last\n"
        "one happens when it is published, the first so much before as the scenario is long.\n"
        "Exit 0 when everything was acknowledged, else 1. `make scenarios` has it all judged.",
    };
    return settings_parse(table, text, argc, argv);
}

static const char *wrong_in(const struct options *o)
{
    return o->port < 1 || o->port > 65535 ? "--port is 1 to 65535"
           : o->connections < 1 || o->connections > 256 ? "--connections is 1 to 256"
           : o->scale < 0.001 || o->scale > 10 ? "--scale is 0.001 to 10"
           : o->late + o->too_late > 1 ? "--late and --too-late are over 100% together" : NULL;
}

static bool open_run(struct run *r)
{
    const struct options *o = &r->options;
    const struct fleet_link_config link = {
        .host = o->host, .port = (int)o->port, .connections = (uint32_t)o->connections,
        .pending_max = PENDING_MAX, .in_flight = 100, .seed = o->seed, .acked = on_acked,
    };
    draw(r);
    r->names = calloc(r->scenario->devices, sizeof *r->names);
    assert(r->names != NULL); /* some kilobytes */
    for (uint32_t i = 0; i < r->scenario->devices; i++)
        (void)snprintf(r->names[i], sizeof r->names[i], "d%02u", i); /* fits */
    r->begins_ms = clock_wall_ms();
    int64_t ends_ms = r->begins_ms + o->duration_ms;
    r->base_ms = ends_ms - (r->span_ms > o->duration_ms ? r->span_ms : o->duration_ms);
    r->link = o->print ? NULL : fleet_link_open(&link);
    return o->print || r->link != NULL;
}

int scenario_main(int argc, char **argv)
{
    static struct run r;
    const char *name = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    int parsed = options_parse(&r.options, argc - (name != NULL), argv + (name != NULL));
    if (parsed != 0)
        return parsed > 0 ? 0 : 2;
    if (r.options.list)
        return list_all();
    for (size_t i = 0; name != NULL && i < scenario_count; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            r.scenario = &scenarios[i];
    const char *wrong = r.scenario == NULL ? "want a scenario's name; --list tells them"
                                           : wrong_in(&r.options);
    if (wrong != NULL) {
        fprintf(stderr, "weir-sim scenario: %s\n", wrong);
        return 2;
    }
    struct sigaction action = { .sa_handler = on_signal };
    (void)sigaction(SIGINT, &action, NULL); /* cannot fail for these */
    (void)sigaction(SIGTERM, &action, NULL);
    bool good = open_run(&r);
    if (good && r.options.print)
        print_all(&r);
    else if (good)
        good = publish(&r);
    if (r.link != NULL)
        fleet_link_close(r.link);
    free(r.names);
    free(r.events.all);
    return good ? 0 : 1;
}
