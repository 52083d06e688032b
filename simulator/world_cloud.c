/* world_cloud: the cloud's broker, which may forget what it acknowledged, and a receiver that
 * applies the written rule. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/world_state.h"

static const struct hash_key PLAIN = { 1, 2 };

static int64_t gap_from(const struct outbox_row *row)
{
    static const char mark[] = "\"from\":";
    static const char type[] = "weir.gap";
    if (row->lane != LANE_ALERTS && row->payload.bytes > 0 && row->payload.at[0] != '{')
        return -1;
    if (memmem(row->payload.at, row->payload.bytes, type, sizeof type - 1) == NULL)
        return -1;
    const char *at = memmem(row->payload.at, row->payload.bytes, mark, sizeof mark - 1);
    return at == NULL ? -1 : strtoll(at + sizeof mark - 1, NULL, 10);
}

static void check_single_meaning(struct world *w, const struct wire_row *row)
{
    struct world_cloud *c = &w->cloud;
    assert(row->sequence < WORLD_ROWS_MAX);
    uint64_t *known = &c->payload_hash[row->lane][row->sequence];
    if (*known != 0 && *known != row->payload_hash && row->gap_from < 0)
        world_break(w, "A5: lane %d sequence %llu was given to two payloads", (int)row->lane,
                    (unsigned long long)row->sequence);
    *known = row->payload_hash;
}

static void check_alone_in_flight(struct world *w, const struct outbox_row *row)
{
    if (row->key.low == 0 && row->key.high == 0)
        return;
    for (uint32_t i = 0; i < w->cloud.wire_count; i++)
        if (w->cloud.wire[i].key.low == row->key.low && w->cloud.wire[i].key.high == row->key.high)
            world_break(w, "A6: two revisions of one alert in flight, lane sequence %llu",
                        (unsigned long long)row->sequence);
}

int cloud_send(struct world *w, const struct outbox_row *row)
{
    struct world_cloud *c = &w->cloud;
    if (!c->connected || c->wire_count == WORLD_WIRE_MAX)
        return WEIR_EAGAIN;
    struct gateway_view view = gateway_view(w->gateway);
    if (row->sequence >= view.lanes[row->lane].next_sequence)
        world_break(w, "A7: lane %d sequence %llu left before its commit", (int)row->lane,
                    (unsigned long long)row->sequence);
    check_alone_in_flight(w, row);
    struct wire_row sent = {
        .lane = row->lane,
        .sequence = row->sequence,
        .key = row->key,
        .revision = row->revision,
        .cleared = row->cleared,
        .payload_hash = hash64(PLAIN, row->payload.at, row->payload.bytes) | 1,
        .gap_from = gap_from(row),
        .bulky = row->lane != LANE_ALERTS,
    };
    check_single_meaning(w, &sent);
    c->wire[c->wire_count++] = sent;
    return 0;
}

/* --- the receiver
 * -------------------------------------------------------------------------------- */

static void apply_alert(struct world *w, const struct wire_row *row)
{
    struct world_cloud *c = &w->cloud;
    uint32_t i = 0;
    while (i < c->alert_count &&
           (c->alerts[i].key.low != row->key.low || c->alerts[i].key.high != row->key.high))
        i++;
    if (i == c->alert_count) {
        assert(c->alert_count < WORLD_ALERTS_MAX);
        c->alerts[c->alert_count++] = (struct receiver_alert){ .key = row->key };
    }
    if (row->revision <= c->alerts[i].revision) {
        WORLD_COUNT(w, ALERT_REPEAT_IGNORED);
        return;
    }
    c->alerts[i].revision = row->revision;
    c->alerts[i].cleared = row->cleared;
    WORLD_COUNT(w, ALERT_APPLIED);
}

static void receive(struct world *w, const struct wire_row *row)
{
    struct world_cloud *c = &w->cloud;
    uint64_t from = row->gap_from >= 0 ? (uint64_t)row->gap_from : row->sequence;
    bool is_alert = row->lane == LANE_ALERTS && (row->key.low != 0 || row->key.high != 0);
    for (uint64_t s = from; s <= row->sequence; s++)
        c->seen[row->lane][s] = true;
    if (row->sequence > c->seen_high[row->lane])
        c->seen_high[row->lane] = row->sequence;
    while (c->contiguous[row->lane] + 1 < WORLD_ROWS_MAX &&
           c->seen[row->lane][c->contiguous[row->lane] + 1])
        c->contiguous[row->lane]++;
    if (is_alert && row->gap_from < 0)
        apply_alert(w, row);
    else if (row->bulky)
        WORLD_COUNT(w, RESULTS_RECEIVED);
}

static void drain_queue(struct world *w)
{
    struct world_cloud *c = &w->cloud;
    uint32_t take = w->healing ? c->queue_count : chance_below(&w->chance, c->queue_count + 1);
    for (uint32_t i = 0; i < take; i++)
        receive(w, &c->queue[i]);
    memmove(c->queue, c->queue + take, (c->queue_count - take) * sizeof c->queue[0]);
    c->queue_count -= take;
}

/* --- its broker
 * ---------------------------------------------------------------------------------- */

static bool refuses(struct world *w, const struct wire_row *row)
{
    struct world_cloud *c = &w->cloud;
    if (row->lane != LANE_ALERTS || row->sequence != c->refuse_sequence || c->refusals_left == 0)
        return false;
    c->refusals_left--;
    WORLD_COUNT(w, CLOUD_REFUSED);
    return true;
}

static void acknowledge_some(struct world *w)
{
    struct world_cloud *c = &w->cloud;
    uint32_t take = chance_below(&w->chance, c->wire_count + 1);
    for (uint32_t i = 0; i < take && !w->dead; i++) {
        struct wire_row row = c->wire[0];
        c->wire_count--;
        memmove(c->wire, c->wire + 1, c->wire_count * sizeof c->wire[0]);
        if (refuses(w, &row)) {
            gateway_on_send_failed(w->gateway, row.lane, row.sequence, true);
            continue;
        }
        if (c->queue_count < WORLD_ROWS_MAX)
            c->queue[c->queue_count++] = row;
        gateway_on_sent(w->gateway, row.lane, row.sequence);
    }
}

/* The connection breaks: of what was under way some arrived, and nobody told the gateway. */
void cloud_disconnect(struct world *w, bool broker_crashed)
{
    struct world_cloud *c = &w->cloud;
    struct wire_row lost[WORLD_WIRE_MAX];
    uint32_t count = c->wire_count, arrived = chance_below(&w->chance, count + 1);
    if (!c->connected)
        return;
    memcpy(lost, c->wire, sizeof lost);
    for (uint32_t i = 0; i < arrived; i++)
        c->queue[c->queue_count++] = c->wire[i];
    c->wire_count = 0;
    c->connected = false;
    if (broker_crashed)
        c->queue_count = 0;
    for (uint32_t i = 0; i < count && !w->dead; i++)
        gateway_on_send_failed(w->gateway, lost[i].lane, lost[i].sequence, false);
    if (!w->dead)
        gateway_on_uplink(w->gateway, false);
}

void cloud_forget_wire(struct world *w)
{
    w->cloud.wire_count = 0;
    w->cloud.connected = false;
}

static void send_receipts(struct world *w)
{
    struct world_cloud *c = &w->cloud;
    WORLD_COUNT(w, RECEIPT_SENT);
    for (int lane = 0; lane < LANES; lane++) {
        gateway_on_receipt(w->gateway, (enum lane)lane, c->contiguous[lane]);
        if (c->seen_high[lane] <= c->contiguous[lane])
            continue;
        WORLD_COUNT(w, HOLE_ASKED_FOR);
        gateway_on_replay_request(w->gateway, (enum lane)lane, c->contiguous[lane] + 1,
                                  c->seen_high[lane]);
    }
}

static void break_sometimes(struct world *w)
{
    struct world_cloud *c = &w->cloud;
    if (world_chance(w, 60)) {
        WORLD_COUNT(w, CLOUD_LOST);
        cloud_disconnect(w, false);
    } else if (world_chance(w, 120)) {
        WORLD_COUNT(w, CLOUD_BROKER_CRASHED);
        cloud_disconnect(w, true);
    } else if (c->refusals_left == 0 && world_chance(w, 100)) {
        c->refuse_sequence = c->seen_high[LANE_ALERTS] + 1 + chance_below(&w->chance, 3);
        c->refusals_left = 1 + chance_below(&w->chance, 2);
    }
}

void cloud_step(struct world *w)
{
    struct world_cloud *c = &w->cloud;
    if (!c->connected) {
        if (w->healing || world_chance(w, 6)) {
            c->connected = true;
            gateway_on_uplink(w->gateway, true);
        }
        return;
    }
    acknowledge_some(w);
    drain_queue(w);
    if (!w->dead && (w->healing || world_chance(w, 3)))
        send_receipts(w);
    if (!w->healing && !w->dead)
        break_sometimes(w);
}

bool cloud_has_all(const struct world *w)
{
    struct gateway_view view = gateway_view(w->gateway);
    for (int lane = 0; lane < LANES; lane++)
        if (w->cloud.contiguous[lane] + 1 < view.lanes[lane].next_sequence ||
            view.lanes[lane].covered + 1 < view.lanes[lane].next_sequence)
            return false;
    return true;
}
