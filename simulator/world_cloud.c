/* world_cloud: the cloud's broker, which may forget what it acknowledged, and a receiver that
 * applies the written rule. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "pipeline/codec/envelope.h"
#include "simulator/world_state.h"

enum { AWAY_TURNS = 60 };

static const struct hash_key PLAIN = { 1, 2 };

/* Rows of results and raw readings are zlib; what does not fit an event's size is none. */
static struct text plain_event(const struct outbox_row *row, char room[ENVELOPE_EVENT_BYTES_MAX])
{
    uLongf bytes = ENVELOPE_EVENT_BYTES_MAX;
    if (row->payload.bytes == 0 || row->payload.at[0] == '{')
        return row->payload;
    int code = uncompress((Bytef *)room, &bytes, (const Bytef *)row->payload.at,
                          row->payload.bytes);
    return (struct text){ room, code == Z_OK ? (uint32_t)bytes : 0 };
}

uint64_t cloud_gap_from(const struct outbox_row *row)
{
    static const char type[] = "weir.gap", mark[] = "\"from\":";
    char room[ENVELOPE_EVENT_BYTES_MAX];
    if (row->key.low != 0 || row->key.high != 0)
        return 0;
    struct text event = plain_event(row, room);
    if (memmem(event.at, event.bytes, type, sizeof type - 1) == NULL)
        return 0;
    const char *at = memmem(event.at, event.bytes, mark, sizeof mark - 1);
    return at == NULL ? 0 : strtoull(at + sizeof mark - 1, NULL, 10);
}

/* --- what leaves the gateway --- */

static void check_single_meaning(struct world *w, const struct outbox_row *row)
{
    uint64_t hash = hash64(PLAIN, row->payload.at, row->payload.bytes) | 1;
    uint64_t *known = &w->cloud.payload_hash[row->lane][row->sequence];
    const struct given_row *given = &w->journal.alerts[row->sequence];
    if (*known != 0 && *known != hash)
        world_break(w, "A5: lane %d sequence %llu was given to two payloads", (int)row->lane,
                    (unsigned long long)row->sequence);
    if (row->lane == LANE_ALERTS && given->payload_hash != hash)
        world_break(w, "A5: alerts' sequence %llu is not what its commit held",
                    (unsigned long long)row->sequence);
    *known = hash;
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

static void trace(const struct world *w, const char *what, const struct wire_row *row)
{
    if (w->trace)
        printf("    %s lane %d sequence %llu%s\n", what, (int)row->lane,
               (unsigned long long)row->sequence, row->gap_from != 0 ? ", a gap" : "");
}

int cloud_send(struct world *w, const struct outbox_row *row)
{
    struct world_cloud *c = &w->cloud;
    if (!c->connected || c->wire_count == WORLD_WIRE_MAX)
        return WEIR_EAGAIN;
    assert(row->sequence < WORLD_ROWS_MAX);
    uint64_t gap = cloud_gap_from(row);
    if (row->sequence >= w->journal.blocks[w->journal.committed].lanes[row->lane].next_sequence)
        world_break(w, "A7: lane %d sequence %llu left before its commit", (int)row->lane,
                    (unsigned long long)row->sequence);
    check_alone_in_flight(w, row);
    if (gap == 0)
        check_single_meaning(w, row);
    c->wire[c->wire_count++] = (struct wire_row){
        .lane = row->lane,
        .sequence = row->sequence,
        .key = row->key,
        .revision = row->revision,
        .cleared = row->cleared,
        .gap_from = gap,
    };
    trace(w, "sent", &c->wire[c->wire_count - 1]);
    return 0;
}

/* --- the receiver --- */

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

static void receive_gap(struct world *w, const struct wire_row *row)
{
    struct world_cloud *c = &w->cloud;
    WORLD_COUNT(w, GAP_RECEIVED);
    for (uint64_t s = row->gap_from; s <= row->sequence; s++) {
        c->lacks[row->lane][s] = c->lacks[row->lane][s] || !c->seen[row->lane][s];
        c->seen[row->lane][s] = true;
    }
}

static void receive(struct world *w, const struct wire_row *row)
{
    struct world_cloud *c = &w->cloud;
    if (row->gap_from != 0)
        receive_gap(w, row);
    c->seen[row->lane][row->sequence] = true;
    if (row->sequence > c->seen_high[row->lane])
        c->seen_high[row->lane] = row->sequence;
    while (c->contiguous[row->lane] + 1 < WORLD_ROWS_MAX &&
           c->seen[row->lane][c->contiguous[row->lane] + 1])
        c->contiguous[row->lane]++;
    if (row->key.low != 0 || row->key.high != 0)
        apply_alert(w, row);
    else if (row->lane == LANE_RESULTS)
        WORLD_COUNT(w, RESULTS_RECEIVED);
    else if (row->lane == LANE_RAW)
        WORLD_COUNT(w, RAW_RECEIVED);
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

static void send_receipts(struct world *w)
{
    struct world_cloud *c = &w->cloud;
    if (!w->plan.receipts)
        return;
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

/* --- its broker --- */

static bool refuses(struct world *w, const struct wire_row *row)
{
    struct world_cloud *c = &w->cloud;
    if (row->gap_from != 0 || row->lane != c->refuse_lane || row->sequence != c->refuse_sequence ||
        c->refusals_left == 0)
        return false;
    c->refusals_left--;
    WORLD_COUNT(w, CLOUD_REFUSED);
    if (++c->refusals[row->lane][row->sequence] >= w->plan.refusals_max)
        WORLD_COUNT(w, ROW_REFUSED_TOO_OFTEN);
    return true;
}

static void note_puback(struct world *w, const struct wire_row *row)
{
    struct world_cloud *c = &w->cloud;
    uint64_t from = row->gap_from != 0 ? row->gap_from : row->sequence;
    for (uint64_t s = from; s <= row->sequence; s++)
        c->puback[row->lane][s] = true;
    uint64_t *contiguous = &c->puback_contiguous[row->lane];
    while (*contiguous + 1 < WORLD_ROWS_MAX && c->puback[row->lane][*contiguous + 1])
        (*contiguous)++;
    if (!w->plan.receipts)
        WORLD_COUNT(w, COVERED_BY_PUBACK);
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
            trace(w, "refused", &row);
            gateway_on_send_failed(w->gateway, row.lane, row.sequence, true);
            continue;
        }
        assert(c->queue_count < WORLD_ROWS_MAX);
        c->queue[c->queue_count++] = row;
        note_puback(w, &row);
        trace(w, "puback", &row);
        gateway_on_sent(w->gateway, row.lane, row.sequence);
    }
}

/* The connection breaks: of what was under way some arrived, and nobody told the gateway. */
static void disconnect(struct world *w, bool broker_crashed)
{
    struct world_cloud *c = &w->cloud;
    struct wire_row lost[WORLD_WIRE_MAX];
    uint32_t count = c->wire_count, arrived = chance_below(&w->chance, count + 1);
    memcpy(lost, c->wire, sizeof lost);
    if (count == 1) /* alone in flight when it broke: it may be the one that breaks it */
        c->refusals[lost[0].lane][lost[0].sequence]++;
    assert(c->queue_count + arrived < WORLD_ROWS_MAX);
    for (uint32_t i = 0; i < arrived; i++)
        c->queue[c->queue_count++] = c->wire[i];
    c->wire_count = 0;
    c->connected = false;
    if (broker_crashed)
        c->queue_count = 0;
    for (uint32_t i = 0; i < count; i++)
        gateway_on_send_failed(w->gateway, lost[i].lane, lost[i].sequence, false);
    gateway_on_uplink(w->gateway, false);
}

void cloud_forget_wire(struct world *w)
{
    w->cloud.wire_count = 0;
    w->cloud.connected = false;
}

static void refuse_one(struct world *w)
{
    struct world_cloud *c = &w->cloud;
    c->refuse_lane = (enum lane)chance_below(&w->chance, LANES);
    c->refuse_sequence = c->seen_high[c->refuse_lane] + 1 + chance_below(&w->chance, 3);
    c->refusals_left = 1 + chance_below(&w->chance, 5);
}

static void break_sometimes(struct world *w)
{
    struct world_cloud *c = &w->cloud;
    if (world_chance(w, 60)) {
        WORLD_COUNT(w, CLOUD_LOST);
        disconnect(w, false);
    } else if (world_chance(w, 300)) {
        WORLD_COUNT(w, CLOUD_AWAY_FOR_LONG);
        disconnect(w, false);
        c->away = AWAY_TURNS;
    } else if (w->plan.receipts && world_chance(w, 120)) {
        WORLD_COUNT(w, CLOUD_BROKER_CRASHED); /* without receipts that loses rows: `weir check` */
        disconnect(w, true);
    } else if (c->refusals_left == 0 && world_chance(w, 60)) {
        refuse_one(w);
    }
}

void cloud_step(struct world *w)
{
    struct world_cloud *c = &w->cloud;
    if (w->healing)
        c->away = c->refusals_left = 0;
    c->away -= c->away > 0;
    if (!c->connected) {
        if (c->away == 0 && (w->healing || world_chance(w, 6))) {
            c->connected = true;
            gateway_on_uplink(w->gateway, true);
        }
        return;
    }
    acknowledge_some(w);
    drain_queue(w);
    if (w->healing || world_chance(w, 3))
        send_receipts(w);
    if (!w->healing)
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
