/* Devices that are being worked on. Their alerts are found, told and kept like any others, each
 * marked, but call nobody; when the work is over, those that stand still are told again, and call.
 * That is done one at a time, as timers are, so that a rebuild knows how many have been. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"
#include "pipeline/err.h"

bool engine_is_maintained(const struct engine *e, struct text device)
{
    const struct maintenance_list *list = &e->maintenance.list;
    return list->count > 0 && maintenance_covers(list, device, engine_wall_ms(e));
}

/* Not before the next millisecond: what is applied in this one has had its timers. */
void engine_arm_maintenance(struct engine *e)
{
    struct maintenance_state *m = &e->maintenance;
    int64_t next_ms = maintenance_next_ms(&m->list);
    m->due_ms = next_ms;
    if (next_ms < INT64_MAX) {
        m->due_ms = next_ms - e->clock.offset_ms;
        m->due_ms = m->due_ms > e->t_ms ? m->due_ms : e->t_ms + 1;
    }
    engine_arm_own(e);
}

/* Whoever waits for the end of a maintenance is looked for from the start. */
static void begin_release(struct engine *e, int64_t t_ms)
{
    e->maintenance.release_ms = t_ms;
    e->maintenance.release_at = 0;
}

static void tell(struct engine *e, const struct maintenance *m, enum maintenance_change change)
{
    if (e->out != NULL && e->out->maintenance != NULL)
        e->out->maintenance(e->out->ctx, m, change);
}

void engine_on_maintain(struct engine *e, const struct maintenance_order *order)
{
    struct maintenance_list *list = &e->maintenance.list;
    uint32_t before = list->count;
    if (maintenance_begin(list, order, engine_wall_ms(e)) != 0)
        return; /* of a journal that nobody wrote so */
    for (uint32_t i = 0; i < list->count; i++)
        if (text_equal(text_of(list->of[i].device), order->device))
            tell(e, &list->of[i],
                 list->count > before ? MAINTENANCE_BEGUN : MAINTENANCE_CHANGED);
    engine_arm_maintenance(e);
}

void engine_on_resume(struct engine *e, struct text device)
{
    struct maintenance ended;
    if (!maintenance_end(&e->maintenance.list, device, &ended))
        return;
    tell(e, &ended, MAINTENANCE_ENDED);
    begin_release(e, e->t_ms + 1);
    engine_arm_maintenance(e);
}

int64_t engine_maintenance_deadline(const struct engine *e)
{
    const struct maintenance_state *m = &e->maintenance;
    return m->due_ms < m->release_ms ? m->due_ms : m->release_ms;
}

/* One that is over, or one alert; what is over first, for its alerts are looked for again then. */
void engine_fire_maintenance(struct engine *e)
{
    struct maintenance_state *m = &e->maintenance;
    struct maintenance ended;
    if (maintenance_expire(&m->list, engine_wall_ms(e), &ended)) {
        tell(e, &ended, MAINTENANCE_EXPIRED);
        begin_release(e, e->t_ms);
    } else if (m->release_ms == INT64_MAX || !engine_release_alert(e, &m->release_at)) {
        m->release_ms = INT64_MAX;
    }
    int64_t next_ms = maintenance_next_ms(&m->list);
    if (next_ms < INT64_MAX)
        next_ms -= e->clock.offset_ms;
    m->due_ms = next_ms > e->t_ms ? next_ms : e->t_ms;
}

uint32_t engine_maintenance(const struct engine *engine, const struct maintenance **list)
{
    *list = engine->maintenance.list.of;
    return engine->maintenance.list.count;
}

uint32_t engine_devices_maintained(const struct engine *engine)
{
    uint32_t count = 0;
    if (engine->maintenance.list.count > 0)
        for (uint32_t i = 0; i < engine->device_count; i++)
            count += engine_is_maintained(engine, engine_name(engine, engine->devices[i].name));
    return count;
}

void engine_save_maintenance(const struct engine *e, struct byte_writer *w)
{
    maintenance_save(&e->maintenance.list, w);
    put_i64(w, e->maintenance.due_ms);
    put_i64(w, e->maintenance.release_ms);
    put_u64(w, e->maintenance.release_at);
}

void engine_load_maintenance(struct engine *e, struct byte_reader *r)
{
    struct maintenance_state *m = &e->maintenance;
    maintenance_load(&m->list, r);
    m->due_ms = get_i64(r);
    m->release_ms = get_i64(r);
    m->release_at = get_u64(r);
    if ((m->due_ms == INT64_MAX) != (m->list.count == 0) || m->due_ms < 0 || m->release_ms < 0)
        r->failed = true;
}
