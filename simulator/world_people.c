/* world_people: those who acknowledge and shelve alerts, look at the store, and write the
 * inventory. */
#include <assert.h>
#include <stdio.h>

#include "pipeline/alerts/alert.h"
#include "simulator/world_state.h"

enum { COMMAND_BYTES = 96, INVENTORY_BYTES = 512, QUESTION_BYTES = 32 * 1024 };

/* One of the alerts that are open, drawn; false: there is none. */
static bool draw_alert(struct world *w, struct alert_view *view)
{
    const struct engine *engine = gateway_view(w->gateway).engine;
    uint64_t cursor = 0;
    uint32_t seen = 0;
    struct alert_view next;
    while (engine_alert(engine, &cursor, &next))
        if (alert_is_open(next.alert) && chance_below(&w->chance, ++seen) == 0)
            *view = next;
    return seen > 0;
}

static void command(struct world *w)
{
    struct alert_view view;
    char text[COMMAND_BYTES];
    if (!draw_alert(w, &view))
        return;
    uint32_t what = chance_below(&w->chance, 3);
    if (what == 0)
        (void)snprintf(text, sizeof text, "ack %s", view.id);
    else if (what == 1)
        (void)snprintf(text, sizeof text, "shelve %s %lld", view.id,
                       (long long)world_wall_ms(w) + chance_below(&w->chance, 8000));
    else
        (void)snprintf(text, sizeof text, "unshelve %s", view.id);
    int error = gateway_command(w->gateway, text_of(text));
    if (error != 0 && error != WEIR_EAGAIN)
        world_break(w, "A11: \"%s\" about an open alert: %s", text, weir_err_text(error));
    if (error == 0 && what == 0)
        WORLD_COUNT(w, ALERT_ACKNOWLEDGED);
    if (error == 0 && what == 1)
        WORLD_COUNT(w, ALERT_SHELVED);
}

/* A device, or all of them, worked on for a while, or no longer. */
static void maintain(struct world *w)
{
    char name[8] = "*";
    uint32_t device = chance_below(&w->maintenance_chance, WORLD_DEVICES + 1);
    if (device < WORLD_DEVICES)
        (void)snprintf(name, sizeof name, "d%u", device);
    int64_t until_ms = world_wall_ms(w) + chance_below(&w->maintenance_chance, 8000);
    const struct maintenance_order order = { text_of(name), text_of("new seals"), until_ms };
    bool begins = chance_below(&w->maintenance_chance, 3) != 0;
    int error = begins ? gateway_maintain(w->gateway, &order)
                       : gateway_resume(w->gateway, order.device);
    /* the gateway's clock may be ahead of ours, and few are maintained */
    bool may_refuse = error == WEIR_EAGAIN || error == (begins ? WEIR_EINVAL : WEIR_ENOTFOUND);
    if (error != 0 && !may_refuse)
        world_break(w, "A11: maintenance of %s: %s", name, weir_err_text(error));
    if (error == 0 && begins)
        WORLD_COUNT(w, DEVICE_MAINTAINED);
}

/* --- questions to the store, as the API asks them --- */

static void look(void *ctx, struct store *store)
{
    static uint8_t bytes[QUESTION_BYTES];
    struct dead_letter letters[4];
    uint32_t count;
    (void)ctx; /* the answer is compared elsewhere; here it only takes the worker's time */
    (void)store_letters_read(store, UINT64_MAX, bytes, sizeof bytes, letters, 4, &count);
}

static void on_answer(void *ctx)
{
    struct world *w = ctx;
    WORLD_COUNT(w, QUESTION_ANSWERED);
}

/* As the daemon does at its start, and when the file changes. */
void people_load_inventory(struct world *w)
{
    char text[INVENTORY_BYTES], why[256] = "";
    static const uint8_t digest[32] = { 1 }; /* journalled, and looked at by nobody here */
    int used = snprintf(text, sizeof text, "device,site,line\n");
    for (uint32_t d = 0; d < WORLD_DEVICES; d++)
        used += snprintf(text + used, sizeof text - (size_t)used, "d%u,site %u,line %u\n", d,
                         chance_below(&w->chance, 9), d);
    int error = gateway_on_inventory(w->gateway, digest, (struct text){ text, (uint32_t)used },
                                     false, why);
    if (error != 0 && error != WEIR_EAGAIN)
        world_break(w, "A1: a good inventory is refused: %s", why);
    if (error == 0)
        WORLD_COUNT(w, INVENTORY_RELOADED);
}

void people_step(struct world *w)
{
    if (w->healing)
        return;
    if (world_chance(w, 12))
        command(w);
    if (w->plan.alarms && chance_below(&w->maintenance_chance, 40) == 0)
        maintain(w);
    if (world_chance(w, 20))
        (void)gateway_query(w->gateway, look, on_answer, w); /* one at a time: or it was refused */
    if (world_chance(w, 50))
        people_load_inventory(w);
}
