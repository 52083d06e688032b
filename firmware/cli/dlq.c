#include "firmware/cli/dlq.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "firmware/cli/table.h"

enum { BEFORE_BYTES = 60, AFTER_BYTES = 18 }; /* of the fault, in its line */

static bool fits(struct text letter, const char *member, const char *wanted)
{
    char value[80];
    if (wanted == NULL)
        return true;
    json_view_text(letter, member, value, sizeof value);
    return strcmp(value, wanted) == 0;
}

int dlq_each(const struct client_options *options, const struct dlq_filter *filter, void *ctx,
             int (*on_letter)(void *ctx, struct text letter))
{
    static char page[CLIENT_ANSWER_BYTES]; /* a call within ends the client's own answer */
    struct client_answer answer;
    char target[96], next[32] = "0";
    while (next[0] != '\0') {
        (void)snprintf(target, sizeof target, "/api/v1/dlq?max=64&after=%s", next);
        int status = client_get(options, target, &answer);
        if (status != CLI_OK)
            return status;
        memcpy(page, answer.body.at, answer.body.bytes);
        struct text body = { page, answer.body.bytes }, letter;
        size_t cursor = 0;
        while (json_view_next(json_view_at(body, "letters"), &cursor, NULL, &letter)) {
            bool wanted = fits(letter, "reason", filter->reason) &&
                          fits(letter, "source", filter->source);
            status = wanted ? on_letter(ctx, letter) : CLI_OK;
            if (status != CLI_OK)
                return status;
        }
        json_view_text(body, "next", next, sizeof next);
    }
    return CLI_OK;
}

static int base64_of(char c)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static uint32_t decode(struct text from, char *to)
{
    uint32_t used = 0, bits = 0, held = 0;
    for (uint32_t i = 0; i < from.bytes; i++) {
        int digit = base64_of(from.at[i]);
        if (digit < 0)
            continue;
        held = held << 6 | (uint32_t)digit;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        to[used++] = (char)(held >> bits & 0xFF);
    }
    return used;
}

struct text dlq_payload(struct text letter)
{
    static char payload[CLIENT_ANSWER_BYTES];
    struct text packed = json_view_at(letter, "payload_base64");
    if (packed.bytes > 0)
        return (struct text){ payload, decode(packed, payload) };
    json_view_text(letter, "payload", payload, sizeof payload);
    return text_of(payload);
}

/* The part of its line that stands around the fault, and a caret below. */
static void mark_fault(struct text payload, uint32_t offset)
{
    char shown[BEFORE_BYTES + AFTER_BYTES + 2];
    uint32_t from = offset > BEFORE_BYTES ? offset - BEFORE_BYTES : 0, used = 0;
    for (uint32_t i = offset; i > from; i--)
        if (payload.at[i - 1] == '\n')
            from = i;
    for (uint32_t i = from; i < payload.bytes && i < offset + AFTER_BYTES; i++) {
        unsigned char c = (unsigned char)payload.at[i];
        if (c == '\n' && i >= offset)
            break;
        shown[used++] = c >= ' ' && c < 0x7F ? (char)c : '.'; /* a byte, a column */
    }
    shown[used] = '\0';
    (void)printf("\nfault at byte %u:\n  %s\n  %*s^\n", offset, shown, (int)(offset - from), "");
}

void dlq_print_payload(struct text letter)
{
    static char shown[CLIENT_ANSWER_BYTES];
    struct text payload = dlq_payload(letter);
    struct text offset = json_view_at(letter, "offset");
    size_t bytes = payload.bytes < sizeof shown - 1 ? payload.bytes : sizeof shown - 1;
    memcpy(shown, payload.at, bytes);
    shown[bytes] = '\0';
    if (isatty(STDOUT_FILENO)) /* a file gets it as it is */
        table_tame(shown, true);
    (void)printf("\n%s\n", shown);
    uint64_t at = json_view_unsigned(letter, "offset");
    if (offset.bytes > 0 && offset.at[0] != 'n' && at <= payload.bytes)
        mark_fault(payload, (uint32_t)at);
}
