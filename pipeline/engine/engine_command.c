/* What people ask for, as the journal has it: "ack ID", "shelve ID until_ms", "unshelve ID",
 * "maintain until_ms BYTES DEVICE REASON", "resume DEVICE". A name may have spaces, so BYTES are
 * the device's. */
#include "pipeline/engine/engine_state.h"

static struct text word(struct text *rest)
{
    while (rest->bytes > 0 && *rest->at == ' ') {
        rest->at++;
        rest->bytes--;
    }
    struct text found = { rest->at, 0 };
    while (rest->bytes > 0 && *rest->at != ' ') {
        rest->at++;
        rest->bytes--;
        found.bytes++;
    }
    return found;
}

static bool parse_time(struct text text, int64_t *ms)
{
    *ms = 0;
    for (uint32_t i = 0; i < text.bytes; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || *ms > (TIME_MS_MAX - 9) / 10)
            return false;
        *ms = *ms * 10 + (text.at[i] - '0');
    }
    return text.bytes > 0;
}

static struct text after_space(struct text rest)
{
    return rest.bytes > 0 ? (struct text){ rest.at + 1, rest.bytes - 1 } : rest;
}

static bool parse_maintain(struct text rest, struct engine_command *command)
{
    struct maintenance_order *order = &command->order;
    int64_t bytes;
    command->verb = COMMAND_MAINTAIN;
    if (!parse_time(word(&rest), &order->until_ms) || !parse_time(word(&rest), &bytes))
        return false;
    rest = after_space(rest);
    if (bytes > rest.bytes)
        return false;
    order->device = (struct text){ rest.at, (uint32_t)bytes };
    order->reason = after_space(
        (struct text){ rest.at + bytes, rest.bytes - (uint32_t)bytes });
    return true;
}

bool engine_parse_command(struct text text, struct engine_command *command)
{
    struct text verb = word(&text);
    *command = (struct engine_command){ .verb = COMMAND_ACK };
    if (text_equal(verb, text_of("maintain")))
        return parse_maintain(text, command);
    if (text_equal(verb, text_of("resume"))) {
        command->verb = COMMAND_RESUME;
        command->order.device = after_space(text);
        return true;
    }
    command->id = word(&text);
    if (command->id.bytes != ALERT_ID_BYTES)
        return false;
    if (text_equal(verb, text_of("ack")))
        return true;
    command->verb = COMMAND_UNSHELVE;
    if (text_equal(verb, text_of("unshelve")))
        return true;
    command->verb = COMMAND_SHELVE;
    return text_equal(verb, text_of("shelve")) && parse_time(word(&text), &command->until_ms);
}
