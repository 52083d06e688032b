/* gateway_corrections: readings that are too late for their windows, forwarded: in the lane of raw
 * readings, behind everything else, whether these are forwarded or not. */
#include <assert.h>

#include "firmware/gateway/gateway_state.h"

/* A budget of so many a minute; a minute's may come at once. */
static bool may_correct(struct gateway *g)
{
    const int64_t minute_ms = 60000, most = g->config->uplink.corrections_per_minute;
    int64_t passed_ms = g->t_ms - g->corrections.t_ms;
    passed_ms = passed_ms < minute_ms ? passed_ms : minute_ms;
    g->corrections.t_ms = g->t_ms;
    g->corrections.credit += passed_ms * most;
    if (g->corrections.credit > minute_ms * most)
        g->corrections.credit = minute_ms * most;
    if (g->shed.level >= SHED_OPTIONAL || g->corrections.credit < minute_ms)
        return false;
    g->corrections.credit -= minute_ms;
    return true;
}

void corrections_on_late(void *ctx, const struct stream_late *late)
{
    struct gateway *g = ctx;
    const struct config_source *source = &g->config->sources[late->record->reading.source];
    struct text names[READING_FIELDS_MAX];
    assert(late->record->reading.source < g->config->source_count);
    made_late(&g->filling->made, late);
    if (!g->config->uplink.given)
        return;
    if (!may_correct(g)) {
        g->ledger.corrections_left_out++;
        return;
    }
    for (uint32_t i = 0; i < source->field_count; i++)
        names[i] = text_of(source->field_names[i]);
    const struct correction correction = {
        .late = late, .lane = LANE_RAW, .block = g->filling->batch.block,
        .number = (uint32_t)g->filling->made.corrections, /* of those left out too: a replay's */
        .field_names = names, .field_count = source->field_count,
    };
    struct envelope envelope = fill_envelope(g);
    struct outbox_row *row = fill_add_row(g, LANE_RAW);
    size_t bytes;
    void *to = fill_payload_room(g, &bytes);
    fill_take_payload(g, row,
                      envelope_correction(&envelope, row->sequence, &correction, to, bytes));
    g->ledger.corrections++;
}
