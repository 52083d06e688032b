/* world_exchanges: QoS 2 at the source that listens: each message there has a row, in the commit
 * that holds the last of it; once it is acknowledged the row ends with one of the next messages.
 * Draws nothing, so that a world is otherwise as it would be without. */
#include <assert.h>
#include <stdio.h>

#include "pipeline/bytes.h"
#include "simulator/world_state.h"

static const char ROW[] = "a session";

static uint16_t packet_id_of(const struct world *w, const struct world_message *m)
{
    return (uint16_t)(m - w->devices.messages + 1);
}

static uint32_t mark_of(uint16_t packet_id)
{
    return packet_id * 77u;
}

/* --- towards the gateway --- */

struct session_change exchange_of(const struct world *w, const struct world_message *m)
{
    uint16_t packet_id = packet_id_of(w, m);
    return (struct session_change){ .kind = EXCHANGE_PUT,
                                    .packet_id = packet_id,
                                    .mark = mark_of(packet_id) };
}

/* Before a message is given: the session's own row, once a life; then the end of an exchange. */
void exchanges_step(struct world *w)
{
    struct world_exchanges *e = &w->exchanges;
    struct session_change change = { .kind = SESSION_PUT, .row = text_of(ROW) };
    if (!e->begun) {
        e->begun = true;
        (void)gateway_on_session(w->gateway, WORLD_LISTENER, &change);
        return;
    }
    for (uint32_t i = 0; i < w->devices.count; i++) {
        const struct world_message *m = &w->devices.messages[i];
        if (m->source != WORLD_LISTENER || !m->acknowledged || e->released[i])
            continue;
        change = (struct session_change){ .kind = EXCHANGE_REMOVE,
                                          .packet_id = packet_id_of(w, m) };
        e->released[i] = true;
        (void)gateway_on_session(w->gateway, WORLD_LISTENER, &change);
        WORLD_COUNT(w, EXCHANGE_ENDED);
        return;
    }
}

void exchanges_delivered(struct world *w, const struct world_message *m)
{
    w->exchanges.released[m - w->devices.messages] = false;
}

/* --- what the commits say --- */

void exchanges_give(struct world *w, const struct batch *batch)
{
    struct world_exchanges *e = &w->exchanges;
    for (uint32_t i = 0; i < batch->session_count; i++) {
        const struct session_change *change = &batch->sessions[i];
        if (change->kind == SESSION_PUT)
            continue;
        assert(e->op_count < WORLD_EXCHANGE_OPS_MAX);
        e->ops[e->op_count++] = (struct exchange_op){ .block = batch->block,
                                                      .packet_id = change->packet_id,
                                                      .put = change->kind == EXCHANGE_PUT };
    }
}

/* Each message whose row a commit holds is whole by then. */
void exchanges_committed(struct world *w, uint64_t block)
{
    struct world_exchanges *e = &w->exchanges;
    for (; e->done < e->op_count && e->ops[e->done].block <= block; e->done++) {
        const struct exchange_op *op = &e->ops[e->done];
        const struct world_message *m = &w->devices.messages[op->packet_id - 1];
        e->open[op->packet_id - 1] = op->put;
        if (op->put && m->kind == MESSAGE_GOOD && !fold_has(w, m))
            world_break(w, "A15: block %llu has the row of message %u, and not all of it before",
                        (unsigned long long)op->block, op->packet_id - 1u);
        if (op->put)
            e->was_put[op->packet_id - 1] = true;
    }
}

void exchanges_acknowledged(struct world *w, const struct world_message *m)
{
    if (m->source == WORLD_LISTENER && !w->exchanges.was_put[m - w->devices.messages])
        world_break(w, "A15: message %u is acknowledged, and no commit has its row",
                    (unsigned)(m - w->devices.messages));
}

/* --- what a restart finds --- */

static void on_session(void *ctx, uint32_t session, struct text row)
{
    struct world *w = ctx;
    if (session != 0 || !text_equal(row, text_of(ROW)))
        world_break(w, "A15: session %u is not as it was given", session);
}

static void on_exchange(void *ctx, uint32_t session, uint16_t packet_id, uint32_t mark)
{
    struct world *w = ctx;
    bool known = session == 0 && packet_id > 0 && packet_id <= WORLD_MESSAGES_MAX &&
                 mark == mark_of(packet_id) && w->exchanges.open[packet_id - 1];
    if (!known)
        world_break(w, "A15: exchange %u is in the store, and is none that goes on", packet_id);
    w->exchanges.found++;
}

/* After the journal was looked at: what no commit brought to the disk is forgotten. */
void exchanges_check(struct world *w, uint64_t last)
{
    struct world_exchanges *e = &w->exchanges;
    const struct session_visitor visitor = { w, on_session, on_exchange };
    uint32_t open = 0;
    while (e->op_count > 0 && e->ops[e->op_count - 1].block > last)
        e->op_count--;
    e->begun = false;
    e->found = 0;
    if (store_sessions_each(w->store, &visitor) != 0)
        world_break(w, "A15: the exchanges do not read");
    for (uint32_t i = 0; i < WORLD_MESSAGES_MAX; i++) {
        open += e->open[i];
        e->released[i] = e->released[i] && !e->open[i];
    }
    if (e->found != open)
        world_break(w, "A15: %u exchanges go on, the store has %u", open, e->found);
    w->outcome.events[WORLD_EXCHANGE_OVER_A_RESTART] += open;
}
