/* gateway_redact: the one door through which a payload of a source with `pii` comes in. What stands
 * behind it, from the decoder to the dead letters, never saw the clear values. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/gateway/gateway_state.h"
#include "pipeline/codec/codec_json_check.h"

static const char WITHHELD[] = "withheld: ";

void redact_init(struct redacted *r, const struct config *config, struct arena *arena)
{
    uint32_t fields = 0;
    for (uint32_t i = 0; i < config->source_count; i++)
        fields += config->sources[i].pii_count;
    if (fields == 0)
        return;
    r->bytes = arena_take(arena, config->json.payload_bytes, 1);
    r->scratch = arena_take(arena, config->json.payload_bytes, 1);
}

bool redact_is_withheld(struct text payload)
{
    size_t bytes = sizeof WITHHELD - 1;
    return payload.bytes > bytes && memcmp(payload.at, WITHHELD, bytes) == 0;
}

/* Where its fields are nobody can say, so nothing of it is kept. */
static void withhold(struct gateway *g, struct message *message, enum reject_reason reason)
{
    int used = snprintf(g->redacted.bytes, g->config->json.payload_bytes, "%s%u bytes%s", WITHHELD,
                        message->payload.bytes,
                        reason == REJECT_PAYLOAD_TOO_LARGE ? " or more" : "");
    g->redacted.unreadable = reason;
    message->payload = (struct text){ g->redacted.bytes, (uint32_t)used };
}

void redact_message(struct gateway *g, struct message *message, bool again)
{
    const struct config_source *source = &g->config->sources[message->source];
    uint32_t limit = g->config->json.payload_bytes;
    g->redacted.unreadable = REJECT_NONE;
    if (source->pii_count == 0)
        return;
    struct json_fault fault = json_check(message->payload, g->decoder.limits.depth);
    if (fault.reason != REJECT_NONE) {
        withhold(g, message, fault.reason);
        return;
    }
    const struct redactor redactor = {
        .fields = source->pii, .field_count = source->pii_count, .hmac = g->ports.hmac,
        .ctx = g->ports.ctx, .scratch = g->redacted.scratch, .scratch_bytes = limit,
        .keep_pseudonyms = again,
    };
    size_t bytes = json_redact(&redactor, message->payload, g->redacted.bytes, limit);
    if (bytes == 0)
        withhold(g, message, REJECT_PAYLOAD_TOO_LARGE);
    else
        message->payload = (struct text){ g->redacted.bytes, (uint32_t)bytes };
}
