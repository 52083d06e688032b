/* gateway_letters: dead letters tried again or dropped; and once an hour, what was rejected in it,
 * told upstream. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/gateway/gateway_state.h"

/* --- one of them, once more ------------------------------------------------------------------- */

bool letters_room(const struct gateway *g)
{
    return g->filling->batch.letter_change_count + 1 < FILL_LETTER_CHANGES_MAX;
}

static void change(struct gateway *g, const struct letter_change *change)
{
    struct fill *f = g->filling;
    assert(f->batch.letter_change_count < FILL_LETTER_CHANGES_MAX);
    f->letter_changes[f->batch.letter_change_count++] = *change;
    fill_open(g);
}

void letters_removed(struct gateway *g, uint64_t id)
{
    struct letters *l = &g->letters;
    change(g, &(struct letter_change){ .id = id, .removed = true });
    l->gone[l->gone_next++ % (sizeof l->gone / sizeof l->gone[0])] = id;
}

static bool is_gone(const struct gateway *g, uint64_t id)
{
    for (size_t i = 0; i < sizeof g->letters.gone / sizeof g->letters.gone[0]; i++)
        if (g->letters.gone[i] == id)
            return true;
    return false;
}

/* CONFIG_SOURCES_MAX: there is none of that name. */
static uint32_t source_of(const struct gateway *g, struct text name)
{
    for (uint32_t i = 0; i < g->config->source_count; i++)
        if (text_equal(text_of(g->config->sources[i].name), name))
            return i;
    return CONFIG_SOURCES_MAX;
}

/* Whom a listener's device showed to be must be known, or its message could speak for another. */
static bool is_no_use(const struct gateway *g, const struct dead_letter *letter, uint32_t source)
{
    const struct config_source *s = &g->config->sources[source];
    bool nameless = s->kind == SOURCE_LISTENER && !s->anonymous && letter->device.bytes == 0;
    return nameless || redact_is_withheld(letter->payload) ||
           letter->reason == REJECT_PAYLOAD_TOO_LARGE ||
           letter->reason == REJECT_IDENTITY_MISMATCH ||
           letter->reason == REJECT_UPSTREAM_REFUSED;
}

int gateway_retry(struct gateway *g, const struct dead_letter *letter, bool dry, bool force,
                  struct retried *to)
{
    *to = (struct retried){ .outcome = RETRY_NO_SOURCE };
    if (is_gone(g, letter->id))
        return WEIR_ENOTFOUND;
    uint32_t source = source_of(g, letter->source);
    if (source == CONFIG_SOURCES_MAX && letter->reason != REJECT_UPSTREAM_REFUSED)
        return 0;
    to->outcome = RETRY_NO_USE;
    if (source == CONFIG_SOURCES_MAX || is_no_use(g, letter, source))
        return 0;
    to->outcome = RETRY_POISONED;
    if (letter->tries >= GATEWAY_RETRIES_MAX && !force)
        return 0;
    if (!gateway_may_take(g, source) || !letters_room(g))
        return WEIR_EAGAIN;
    const struct message message = { .source = source, .qos = 1, .topic = letter->topic,
                                     .payload = letter->payload, .device = letter->device };
    intake_letter(g, &message, letter, !dry, to);
    if (to->outcome == RETRY_REJECTED && !dry)
        change(g, &(struct letter_change){ .id = letter->id, .reason = to->reason,
                                           .wall_ms = gateway_wall_ms(g) });
    return 0;
}

int gateway_drop_letter(struct gateway *g, uint64_t id)
{
    if (is_gone(g, id))
        return WEIR_ENOTFOUND;
    if (g->failed || !letters_room(g))
        return WEIR_EAGAIN;
    letters_removed(g, id);
    return 0;
}

/* --- what was rejected within an hour --------------------------------------------------------- */

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
