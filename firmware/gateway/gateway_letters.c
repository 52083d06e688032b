/* gateway_letters: once an hour, what was rejected in it, told upstream. */
#include <stdio.h>
#include <string.h>

#include "firmware/gateway/gateway_state.h"

enum { TOLD_EVERY_MS = 3600 * 1000, TOLD_REASONS_MAX = 8 };

void letters_start(struct gateway *g)
{
    g->letters.told_ms = g->t_ms;
    memcpy(g->letters.told, g->ledger.rejected, sizeof g->letters.told);
}

/* Of those that are not in yet the one with the most; REJECT_NONE: no more. */
static enum reject_reason most_of(const uint64_t counts[REJECT_REASON_END])
{
    int most = REJECT_NONE;
    for (int i = REJECT_NONE + 1; i < REJECT_REASON_END; i++)
        if (counts[i] > 0 && (most == REJECT_NONE || counts[i] > counts[most]))
            most = i;
    return (enum reject_reason)most;
}

static void tell(struct gateway *g, uint64_t counts[REJECT_REASON_END], uint64_t sum)
{
    char message[512];
    struct envelope_fact facts[TOLD_REASONS_MAX + 1] = { { "rejected", (double)sum } };
    uint32_t count = 1;
    int used = snprintf(message, sizeof message,
                        "within an hour %llu readings were rejected (`weir dlq summary`):",
                        (unsigned long long)sum);
    enum reject_reason reason;
    while (count <= TOLD_REASONS_MAX && (reason = most_of(counts)) != REJECT_NONE) {
        used += snprintf(message + used, sizeof message - (size_t)used, "%s %s %llu",
                         count > 1 ? "," : "", reject_name(reason),
                         (unsigned long long)counts[reason]); /* 8 of at most 43 bytes fit */
        facts[count++] = (struct envelope_fact){ reject_name(reason), (double)counts[reason] };
        counts[reason] = 0;
    }
    fill_notice(g, "dead_letters", &(struct notice){ message, NULL, facts, count });
}

void letters_turn(struct gateway *g)
{
    uint64_t counts[REJECT_REASON_END] = { 0 }, sum = 0;
    if (g->t_ms - g->letters.told_ms < TOLD_EVERY_MS || !fill_has_step_room(g, g->filling))
        return;
    for (int i = REJECT_NONE + 1; i < REJECT_REASON_END; i++) {
        counts[i] = g->ledger.rejected[i] - g->letters.told[i];
        sum += counts[i];
    }
    letters_start(g);
    if (sum > 0)
        tell(g, counts, sum);
}
