/* Late, reordered and repeated messages are held in queues whose delay is the same for all of
 * them, so a queue is always in order of time. A full queue holds nothing back. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/err.h"
#include "simulator/chance.h"
#include "simulator/fleet.h"

enum { DELAY_LINE_SLOTS = 8192, REPEATED_AFTER_MS = 700 };

struct delay_line {
    int64_t delay_ms;
    uint32_t first, count;
    struct {
        int64_t due_ms;
        struct fleet_message message;
    } slots[DELAY_LINE_SLOTS];
};

static struct delay_line *delay_line_new(int64_t delay_ms)
{
    struct delay_line *line = calloc(1, sizeof *line);
    if (line != NULL)
        line->delay_ms = delay_ms;
    return line;
}

static bool delay_line_hold(struct delay_line *line, const struct fleet_message *m,
                            int64_t now_ms)
{
    if (line->count == DELAY_LINE_SLOTS)
        return false;
    uint32_t at = (line->first + line->count++) % DELAY_LINE_SLOTS;
    line->slots[at].due_ms = now_ms + line->delay_ms;
    line->slots[at].message = *m;
    return true;
}

static void delay_line_release(struct delay_line *line, struct fleet_link *link, int64_t until_ms)
{
    while (line->count > 0 && line->slots[line->first].due_ms <= until_ms &&
           fleet_link_room(link, line->slots[line->first].message.device)) {
        fleet_link_put(link, &line->slots[line->first].message);
        line->first = (line->first + 1) % DELAY_LINE_SLOTS;
        line->count--;
    }
}

int outlet_open(struct fleet_outlet *o, const struct fleet_config *config,
                struct fleet_link *link)
{
    *o = (struct fleet_outlet){ .config = config, .link = link };
    o->chance = chance_branch(config->seed, 0x6f75746c6574u);
    int64_t period_ms = (int64_t)(1000 / config->rate);
    o->late = delay_line_new(config->late_by_ms);
    o->reordered = delay_line_new(period_ms * 3 / 2); /* behind the next one, but that alone */
    o->repeated = delay_line_new(REPEATED_AFTER_MS);
    return o->late != NULL && o->reordered != NULL && o->repeated != NULL ? 0 : WEIR_ENOSPC;
}

void outlet_close(struct fleet_outlet *o)
{
    free(o->late);
    free(o->reordered);
    free(o->repeated);
}

bool outlet_room(const struct fleet_outlet *o, uint32_t device)
{
    return fleet_link_room(o->link, device);
}

/* Ways in which real devices get it wrong; each leaves a payload that can't become a reading. */
static void payload_spoil(struct fleet_message *m, uint32_t way)
{
    static const char *const whole[] = {
        "", "[]", "\xff\xfe", "{\"value\":{}}", "{\"value\":NaN,\"ts\":1}",
        "{\"ts\":1700000000000,\"seq\":1}", "{\"device\":\"somebody-else\",\"value\":1}",
    };
    enum { WHOLE = sizeof whole / sizeof whole[0] };
    way %= WHOLE + 2;
    if (way < WHOLE) {
        m->payload_bytes = (uint32_t)strlen(whole[way]);
        memcpy(m->payload, whole[way], m->payload_bytes);
    } else if (way == WHOLE) {
        m->payload_bytes /= 2;
    } else {
        assert(m->payload_bytes + 1 < sizeof m->payload);
        m->payload[m->payload_bytes++] = '}';
    }
    m->expect = EXPECT_REJECTED;
}

static void malformed_put(struct fleet_outlet *o, struct fleet_message m)
{
    if (!fleet_link_room(o->link, m.device))
        return;
    payload_spoil(&m, chance_below(&o->chance, 1000));
    m.repeat = true; /* an extra message: it stands for no reading of the device */
    fleet_link_put(o->link, &m);
    o->totals.malformed++;
}

static struct fleet_message message_make(const struct fleet_outlet *o,
                                         const struct fleet_reading *r, int64_t now_ms)
{
    struct fleet_message m = { .device = r->device_index, .device_name = r->device->name,
                               .metric_name = r->metric, .published_ms = now_ms };
    m.sequence = r->device->sequence++;
    m.expect = r->time_ms > now_ms + o->config->max_skew_ms ? EXPECT_REJECTED : EXPECT_STORED;
    char value[40];
    (void)(r->digits >= 0 ? snprintf(value, sizeof value, "%.*f", r->digits, r->value)
                          : snprintf(value, sizeof value, "%.15g", r->value)); /* fits */
    int bytes = snprintf(m.payload, sizeof m.payload,
                         "{\"device\":\"%s\",\"ts\":%" PRId64 ",\"seq\":%" PRIu64
                         ",\"value\":%s,\"unit\":\"%s\"}",
                         m.device_name, r->time_ms, m.sequence, value, r->unit);
    assert(bytes > 0 && (size_t)bytes < sizeof m.payload);
    m.payload_bytes = (uint32_t)bytes;
    return m;
}

void outlet_publish(struct fleet_outlet *o, const struct fleet_reading *reading, int64_t now_ms)
{
    const struct fleet_config *c = o->config;
    struct fleet_message m = message_make(o, reading, now_ms);
    o->totals.published++;
    double lot = reading->faulty ? 1 : chance_unit(&o->chance);
    if (lot < c->late && delay_line_hold(o->late, &m, now_ms)) {
        o->totals.late++;
        return;
    }
    lot -= c->late;
    if (lot >= 0 && lot < c->reordered && delay_line_hold(o->reordered, &m, now_ms)) {
        o->totals.reordered++;
        return;
    }
    fleet_link_put(o->link, &m);
    if (chance_unit(&o->chance) < c->malformed)
        malformed_put(o, m);
    m.repeat = true;
    if (chance_unit(&o->chance) < c->repeated && delay_line_hold(o->repeated, &m, now_ms))
        o->totals.repeated++;
}

void outlet_turn(struct fleet_outlet *o, int64_t now_ms, bool all)
{
    int64_t until_ms = all ? INT64_MAX : now_ms;
    delay_line_release(o->late, o->link, until_ms);
    delay_line_release(o->reordered, o->link, until_ms);
    delay_line_release(o->repeated, o->link, until_ms);
}

bool outlet_empty(const struct fleet_outlet *o)
{
    return o->late->count + o->reordered->count + o->repeated->count == 0;
}
