/* gateway_backfill: what is told once more. Only so much of it waits at any time that what is new
 * in the lane is not kept behind it for long. */
#include <assert.h>

#include "firmware/gateway/gateway_state.h"

enum { WAITING_ROWS_MAX = 4 * GATEWAY_BACKFILL_ROWS };

int backfill_number(const struct gateway *g, void *at, size_t bytes, uint64_t sequence)
{
    struct envelope_place place = { "alert", { g->store_id[0], g->store_id[1] }, LANE_RESULTS,
                                    sequence };
    bool good = false;
    if (bytes > 0 && bytes <= ENVELOPE_ALERT_BYTES_MAX && *(const char *)at == '{') {
        good = envelope_renumber(at, bytes, &place);
        place.kind = "correction";
        good = good || envelope_renumber(at, bytes, &place);
    } else if (bytes > 0)
        good = *(const char *)at != '{' && bytes <= FILL_RESULTS_BYTES_MAX &&
               results_renumber(at, bytes, g->store_id, sequence) == 0 &&
               ((const uint8_t *)at)[RESULTS_KIND_AT] != RESULTS_READINGS;
    return good ? 0 : WEIR_EINVAL;
}

static bool has_room(const struct gateway *g, uint32_t count, size_t bytes)
{
    const struct fill *f = g->filling;
    return fill_has_step_room(g, f) &&
           f->batch.row_count + count + g->limits.step_rows <= g->limits.rows_max &&
           f->row_bytes_used + bytes + g->limits.step_row_bytes <= g->limits.row_bytes_max;
}

/* Rows of the lane that have not arrived, those of the batch that fills included. */
static uint64_t waiting(const struct gateway *g)
{
    const struct lane_state *lane = &g->lanes[LANE_RESULTS];
    return lane->next_sequence - 1 - lane->covered;
}

int gateway_backfill(struct gateway *g, struct text *items, uint32_t count, uint64_t *block)
{
    size_t bytes = 0;
    assert(count >= 1 && count <= GATEWAY_BACKFILL_ROWS);
    if (!g->config->uplink.given)
        return WEIR_ENOTFOUND;
    for (uint32_t i = 0; i < count; i++) {
        bytes += items[i].bytes;
        if (backfill_number(g, (void *)items[i].at, items[i].bytes, 0) != 0)
            return WEIR_EINVAL;
    }
    bool behind = g->shed.level >= SHED_OPTIONAL || waiting(g) + count > WAITING_ROWS_MAX;
    if (g->failed || g->stopping || behind || !clock_usable(g))
        return WEIR_EAGAIN;
    if (!has_room(g, count, bytes)) {
        g->filling->urgent = g->filling->content;
        return WEIR_EAGAIN;
    }
    for (uint32_t i = 0; i < count; i++)
        fill_told_before(g, items[i]);
    g->filling->urgent = true;
    *block = g->filling->batch.block;
    return 0;
}
