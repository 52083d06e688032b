/* What people ask the gateway for: alerts that they have seen, or want to hear nothing of, and
 * devices that they are working on. */
#include <stdio.h>
#include <string.h>

#include "firmware/gateway/gateway_state.h"
#include "pipeline/timestamp.h"

enum { COMMAND_BYTES = 256 };

int gateway_command(struct gateway *g, struct text command)
{
    struct record record = { .kind = RECORD_COMMAND, .t_ms = g->t_ms, .content = command };
    struct alert_view view;
    uint64_t cursor = 0;
    while (engine_alert(g->engine, &cursor, &view))
        for (uint32_t at = 0; at + ALERT_ID_BYTES <= command.bytes; at++)
            if (alert_is_open(view.alert) && memcmp(command.at + at, view.id, ALERT_ID_BYTES) == 0)
                return gateway_take(g, &record);
    return WEIR_ENOTFOUND;
}

/* Tried on a copy of the list first: what is journalled is what is done. */
int gateway_maintain(struct gateway *g, const struct maintenance_order *order)
{
    char text[COMMAND_BYTES];
    struct maintenance_list trial = { .count = 0 };
    const struct maintenance *list;
    trial.count = engine_maintenance(g->engine, &list);
    memcpy(trial.of, list, trial.count * sizeof *list);
    int error = maintenance_begin(&trial, order, gateway_wall_ms(g));
    if (error != 0)
        return error;
    int bytes = snprintf(text, sizeof text, "maintain %lld %u %.*s%s%.*s",
                         (long long)order->until_ms, (unsigned)order->device.bytes,
                         (int)order->device.bytes, order->device.at,
                         order->reason.bytes > 0 ? " " : "", (int)order->reason.bytes,
                         order->reason.bytes > 0 ? order->reason.at : "");
    assert(bytes > 0 && bytes < (int)sizeof text);
    return gateway_take(g, &(struct record){ .kind = RECORD_COMMAND,
                                             .t_ms = g->t_ms,
                                             .content = { text, (uint32_t)bytes } });
}

int gateway_resume(struct gateway *g, struct text device)
{
    char text[COMMAND_BYTES];
    const struct maintenance *list;
    uint32_t count = engine_maintenance(g->engine, &list);
    for (uint32_t i = 0; i < count; i++) {
        if (!text_equal(device, text_of(list[i].device)))
            continue;
        (void)snprintf(text, sizeof text, "resume %s", list[i].device); /* it fits */
        return gateway_take(g, &(struct record){ .kind = RECORD_COMMAND,
                                                 .t_ms = g->t_ms,
                                                 .content = text_of(text) });
    }
    return WEIR_ENOTFOUND;
}

void people_on_maintenance(void *ctx, const struct maintenance *m, enum maintenance_change change)
{
    static const char *const causes[] = { "begun", "changed", "ended", "expired" };
    struct gateway *g = ctx;
    char message[COMMAND_BYTES], until[TIMESTAMP_BYTES];
    timestamp_print(m->until_ms, until);
    (void)snprintf(message, sizeof message, "device=\"%s\" until=%s %s reason=\"%s\"", m->device,
                   until, causes[change], m->reason); /* it fits */
    const struct envelope_fact facts[] = {
        { "since_ms", (double)m->since_ms },
        { "until_ms", (double)m->until_ms },
        { "alerts_kept", (double)engine_counts(g->engine).alerts_maintained },
    };
    fill_notice(g, "maintenance",
                &(struct notice){ message, causes[change], facts, sizeof facts / sizeof facts[0] });
}
