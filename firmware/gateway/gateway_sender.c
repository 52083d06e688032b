/* gateway_sender: which row goes upstream next. Alerts before results before raw backlog, with a
 * least share for what is
 * behind; two revisions of one alert are never in flight together; a row leaves the store when the
 * receiver's receipt covers
 * it (or, for a destination without receipts, when the broker's PUBACK does).
 *
 * A cursor for each lane says what to send next. Whatever was sent and not covered is sent again
 * after a reconnection, after
 * a receipt that does not come, and when the receiver asks: it applies a revision once, so a repeat
 * is harmless and a hole is not. */
#include <assert.h>
#include <string.h>

#include "firmware/gateway/gateway_state.h"

enum { REFUSAL_PAUSE_MS = 1000 }; /* times the refusals of the entry so far */

/* Forget the rows at hand, and the answer to a fetch that is still under way. */
static void drop_fetched(struct sender *s)
{
    s->fetch_generation++;
    s->fetched_next = s->fetched_count = 0;
}

void sender_reset(struct gateway *g)
{
    struct sender *s = &g->sender;
    for (int lane = 0; lane < LANES; lane++) {
        uint64_t first = g->committed_lanes[lane].covered + 1;
        s->lanes[lane].next = first > s->lanes[lane].first ? first : s->lanes[lane].first;
        s->lanes[lane].progress_ms = g->t_ms;
    }
    s->in_flight_count = 0;
    drop_fetched(s);
}

static bool lane_has_rows(const struct gateway *g, enum lane lane)
{
    const struct lane_cursor *cursor = &g->sender.lanes[lane];
    return cursor->next < g->committed_lanes[lane].next_sequence &&
           g->t_ms >= cursor->paused_until_ms;
}

static enum lane best_lane(const struct gateway *g)
{
    bool behind = lane_has_rows(g, LANE_RESULTS) || lane_has_rows(g, LANE_RAW);
    if (behind && g->sender.backlog_credit >= 100)
        return lane_has_rows(g, LANE_RESULTS) ? LANE_RESULTS : LANE_RAW;
    for (int lane = 0; lane < LANES; lane++)
        if (lane_has_rows(g, (enum lane)lane))
            return (enum lane)lane;
    return LANES;
}

static bool fetched_left(const struct sender *s)
{
    return s->fetched_next < s->fetched_count;
}

/* Rows at hand of a lane that is no longer first are put back: fetching them again is cheap. */
static void put_back_for(struct gateway *g, enum lane lane)
{
    struct sender *s = &g->sender;
    if (fetched_left(s) && s->fetch.lane != lane && lane != LANES)
        s->fetched_next = s->fetched_count = 0;
}

bool sender_wants_fetch(struct gateway *g, enum lane *lane)
{
    struct sender *s = &g->sender;
    if (!s->connected || s->in_flight_count >= g->config->uplink.in_flight)
        return false;
    *lane = best_lane(g);
    put_back_for(g, *lane);
    return *lane != LANES && !fetched_left(s);
}

void sender_on_fetched(struct gateway *g)
{
    struct sender *s = &g->sender;
    if (s->fetch.result != 0 || s->fetch_asked != s->fetch_generation)
        return;
    s->fetched_next = 0;
    s->fetched_count = s->fetch.row_count;
    /* A commit that failed unclearly may be there to read and yet not be durable: its rows wait. */
    uint64_t committed = g->committed_lanes[s->fetch.lane].next_sequence;
    while (s->fetched_count > 0 && s->fetch.rows[s->fetched_count - 1].sequence >= committed)
        s->fetched_count--;
    /* Nothing from here on although the lane says so: rows were evicted behind the cursor. */
    if (s->fetched_count == 0)
        s->lanes[s->fetch.lane].next = g->committed_lanes[s->fetch.lane].next_sequence;
}

static bool other_revision_in_flight(const struct sender *s, const struct outbox_row *row)
{
    if (row->lane != LANE_ALERTS || (row->key.low == 0 && row->key.high == 0))
        return false;
    for (uint32_t i = 0; i < s->in_flight_count; i++)
        if (s->in_flight[i].key.low == row->key.low && s->in_flight[i].key.high == row->key.high)
            return true;
    return false;
}

static bool is_in_flight(const struct sender *s, enum lane lane, uint64_t sequence)
{
    for (uint32_t i = 0; i < s->in_flight_count; i++)
        if (s->in_flight[i].lane == lane && s->in_flight[i].sequence == sequence)
            return true;
    return false;
}

/* After a rewind: what is still under way need not go twice; its failure would rewind again. */
static void pass_over_in_flight(struct sender *s)
{
    while (fetched_left(s)) {
        const struct outbox_row *row = &s->fetch.rows[s->fetched_next];
        if (!is_in_flight(s, row->lane, row->sequence))
            return;
        s->lanes[row->lane].next = row->sequence + 1;
        s->fetched_next++;
    }
}

static uint32_t window_of(const struct gateway *g, enum lane lane)
{
    uint32_t window = g->config->uplink.in_flight;
    if (g->sender.probe)
        return 1;
    /* A quarter of the window is the alerts' own. */
    return lane == LANE_ALERTS || window < 4 ? window : window - window / 4;
}

static bool tokens_for(struct gateway *g, const struct outbox_row *row)
{
    uint64_t rate = g->config->uplink.bytes_per_second;
    struct sender *s = &g->sender;
    if (rate == 0)
        return true;
    s->tokens_bytes += (g->t_ms - s->tokens_ms) * (int64_t)rate / 1000;
    s->tokens_ms = g->t_ms;
    if (s->tokens_bytes > (int64_t)rate)
        s->tokens_bytes = (int64_t)rate;
    if (s->tokens_bytes <= 0)
        return false; /* a row may overdraw: otherwise one larger than the rate would never go */
    s->tokens_bytes -= row->payload.bytes;
    return true;
}

static bool send_one(struct gateway *g)
{
    struct sender *s = &g->sender;
    const struct outbox_row *row = &s->fetch.rows[s->fetched_next];
    if (g->t_ms < s->lanes[row->lane].paused_until_ms ||
        s->in_flight_count >= window_of(g, row->lane) || other_revision_in_flight(s, row) ||
        !tokens_for(g, row))
        return false;
    if (g->ports.uplink_send(g->ports.ctx, row) != 0)
        return false;
    s->in_flight[s->in_flight_count++] = (struct in_flight){
        .lane = row->lane, .sequence = row->sequence, .key = row->key, .probe = s->probe
    };
    s->handed_rows[row->lane]++;
    s->handed_bytes[row->lane] += row->payload.bytes;
    s->lanes[row->lane].next = row->sequence + 1;
    s->fetched_next++;
    uint32_t share = g->config->uplink.backlog_share_percent;
    if (row->lane == LANE_ALERTS)
        s->backlog_credit = s->backlog_credit + share < 200 ? s->backlog_credit + share : 200;
    else
        s->backlog_credit = s->backlog_credit >= 100 ? s->backlog_credit - 100 : 0;
    return true;
}

static void rewind_to(struct gateway *g, enum lane lane, uint64_t sequence)
{
    struct sender *s = &g->sender;
    struct lane_cursor *cursor = &s->lanes[lane];
    if (sequence < cursor->first)
        sequence = cursor->first;
    if (sequence >= cursor->next)
        return;
    cursor->next = sequence;
    cursor->progress_ms = g->t_ms;
    drop_fetched(s);
}

/* The lowest sequence of a lane that is in flight; UINT64_MAX: none. */
static uint64_t lowest_in_flight(const struct sender *s, enum lane lane)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t i = 0; i < s->in_flight_count; i++)
        if (s->in_flight[i].lane == lane && s->in_flight[i].sequence < lowest)
            lowest = s->in_flight[i].sequence;
    return lowest;
}

/* Sent, acknowledged by the broker, and yet no receipt: the broker may have lost it. */
static void check_receipts(struct gateway *g)
{
    struct sender *s = &g->sender;
    for (int lane = 0; g->config->uplink.receipts && lane < LANES; lane++) {
        struct lane_cursor *cursor = &s->lanes[lane];
        uint64_t covered = g->lanes[lane].covered;
        if (covered + 1 >= cursor->next || lowest_in_flight(s, (enum lane)lane) != UINT64_MAX) {
            cursor->progress_ms = g->t_ms;
            continue;
        }
        if (g->t_ms - cursor->progress_ms >= g->config->uplink.receipt_timeout_ms) {
            g->ports.log(g->ports.ctx, "receipt_missing", "sending again what no receipt covers");
            rewind_to(g, (enum lane)lane, covered + 1);
        }
    }
}

void sender_pump(struct gateway *g)
{
    struct sender *s = &g->sender;
    if (!s->connected)
        return;
    check_receipts(g);
    put_back_for(g, best_lane(g));
    do
        pass_over_in_flight(s);
    while (fetched_left(s) && send_one(g));
}

/* --- what became of rows -------------------------------------------------------------------------
 * */

static bool take_from_flight(struct sender *s, enum lane lane, uint64_t sequence, bool *probe)
{
    for (uint32_t i = 0; i < s->in_flight_count; i++)
        if (s->in_flight[i].lane == lane && s->in_flight[i].sequence == sequence) {
            *probe = s->in_flight[i].probe;
            s->in_flight[i] = s->in_flight[--s->in_flight_count];
            return true;
        }
    return false;
}

/* No further than what this life has sent: a receiver that has heard of more (from a store of which
 * this one is an older copy) has other rows under those numbers. */
static void cover(struct gateway *g, enum lane lane, uint64_t covered)
{
    if (covered >= g->sender.lanes[lane].next)
        covered = g->sender.lanes[lane].next - 1;
    if (covered <= g->lanes[lane].covered)
        return;
    g->lanes[lane].covered = covered;
    g->sender.lanes[lane].progress_ms = g->t_ms;
    fill_open(g); /* the rows go with the next commit */
}

void gateway_on_sent(struct gateway *g, enum lane lane, uint64_t sequence)
{
    struct sender *s = &g->sender;
    bool probe;
    if (!take_from_flight(s, lane, sequence, &probe))
        return; /* from a connection that is gone: it is sent again */
    s->probe = false;
    if (sequence > s->lanes[lane].sent)
        s->lanes[lane].sent = sequence;
    if (g->config->uplink.receipts) {
        cover(g, lane, s->lanes[lane].heard);
        return;
    }
    uint64_t lowest = lowest_in_flight(s, lane);
    uint64_t next = s->lanes[lane].next;
    cover(g, lane, (lowest < next ? lowest : next) - 1);
}

static uint32_t count_refusal(struct sender *s, enum lane lane, uint64_t sequence)
{
    uint32_t slot = 0;
    for (uint32_t i = 0; i < REFUSALS_SLOTS; i++) {
        if (s->refusals[i].count > 0 && s->refusals[i].lane == lane &&
            s->refusals[i].sequence == sequence)
            return ++s->refusals[i].count;
        if (s->refusals[i].count < s->refusals[slot].count)
            slot = i; /* the least often refused makes room */
    }
    s->refusals[slot].lane = lane;
    s->refusals[slot].sequence = sequence;
    return s->refusals[slot].count = 1;
}

static void want_poison(struct gateway *g, enum lane lane, uint64_t sequence)
{
    struct sender *s = &g->sender;
    if (s->poison_wanted)
        return; /* one at a time; this one will be refused again */
    s->poison = (struct store_job){
        .kind = STORE_JOB_POISON,
        .lane = lane,
        .sequence = sequence,
        .t_ms = g->t_ms,
        .wall_ms = gateway_wall_ms(g),
    };
    s->poison_wanted = true;
}

void gateway_on_send_failed(struct gateway *g, enum lane lane, uint64_t sequence, bool refused)
{
    struct sender *s = &g->sender;
    bool probe;
    if (!take_from_flight(s, lane, sequence, &probe))
        return;
    /* The row that breaks a connection is known only when it was sent alone. */
    if (refused || probe) {
        uint32_t refusals = count_refusal(s, lane, sequence);
        s->lanes[lane].paused_until_ms = g->t_ms + (int64_t)REFUSAL_PAUSE_MS * refusals;
        if (refusals >= g->config->uplink.refusals_max)
            want_poison(g, lane, sequence);
    }
    if (!refused)
        s->probe = true;
    rewind_to(g, lane, sequence);
}

void sender_on_poisoned(struct gateway *g)
{
    struct sender *s = &g->sender;
    s->poison_wanted = false;
    s->probe = false;
    if (s->poison.result != 0)
        return; /* it will be refused again, and tried again */
    for (uint32_t i = 0; i < REFUSALS_SLOTS; i++)
        if (s->refusals[i].lane == s->poison.lane && s->refusals[i].sequence == s->poison.sequence)
            s->refusals[i].count = 0;
    drop_fetched(s);
    g->ports.log(g->ports.ctx, "outbox_poison", "an entry that the cloud refuses is dead now");
}

void gateway_on_uplink(struct gateway *g, bool connected)
{
    struct sender *s = &g->sender;
    if (connected == s->connected)
        return;
    s->connected = connected;
    g->ports.log(g->ports.ctx, connected ? "uplink_connected" : "uplink_lost", "");
    if (connected)
        sender_reset(g);
}

void gateway_on_receipt(struct gateway *g, enum lane lane, uint64_t covered)
{
    assert(lane < LANES);
    if (!g->config->uplink.receipts)
        return;
    /* A retained receipt comes with the connection, before anything has been sent again: it is
     * remembered, for a receiver that has it all may have nothing new to say. */
    uint64_t newest = g->committed_lanes[lane].next_sequence - 1;
    uint64_t known = covered < newest ? covered : newest;
    if (known > g->sender.lanes[lane].heard)
        g->sender.lanes[lane].heard = known;
    cover(g, lane, covered);
}

void gateway_on_replay_request(struct gateway *g, enum lane lane, uint64_t from, uint64_t to)
{
    assert(lane < LANES);
    (void)to; /* what follows is sent again too: the receiver ignores what it has */
    if (!is_in_flight(&g->sender, lane, from)) /* else it is on its way */
        rewind_to(g, lane, from);
}
