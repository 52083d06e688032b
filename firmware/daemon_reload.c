/* daemon_reload: the configuration's file once more, while the gateway runs: checked, compared with
 * the one in force, and taken over between two batches, all of it or nothing. */
#include <stdio.h>
#include <string.h>

#include "firmware/daemon_state.h"
#include "firmware/log.h"
#include "pipeline/err.h"

enum { WHY_BYTES = 256 }; /* the last line */

static void end(struct daemon *d, const char *outcome, const char *why)
{
    struct reload *r = &d->reload;
    size_t used = strlen(r->text);
    if (why[0] != '\0')
        (void)snprintf(r->text + used, sizeof r->text - used, "%s\n", why);
    r->report = (struct api_reload){ true, outcome, text_of(r->text) };
    r->waits = false;
    log_event("config_reload", "outcome=%s hot=%u restart=%u why=\"%s\"", outcome, r->diff.hot,
              r->diff.cold, why);
}

/* The adapters keep what they began with; of the others one is in force. */
static struct config *spare(struct daemon *d)
{
    return gateway_config(d->gateway) == &d->reload.configs[0] ? &d->reload.configs[1]
                                                               : &d->reload.configs[0];
}

/* Checks and compares; the faults, or the difference, are in the text. NULL: it can't be. */
static const char *read_and_compare(struct daemon *d, struct config *next)
{
    struct reload *r = &d->reload;
    const struct config *now = gateway_config(d->gateway);
    FILE *out = fmemopen(r->text, sizeof r->text - WHY_BYTES, "w"); /* on the C library's heap */
    if (out == NULL)
        return "refused";
    const char *outcome = NULL;
    if (config_read(d->config_path, next, out) != 0)
        outcome = "refused";
    else
        r->diff = config_print_diff(now, next, out);
    if (outcome == NULL && r->diff.cold > 0)
        outcome = "restart";
    if (outcome == NULL && config_check_successors(now, next, out) != 0)
        outcome = "refused";
    if (outcome == NULL && memcmp(now->digest, next->digest, sizeof now->digest) == 0)
        outcome = "unchanged";
    (void)fclose(out); /* what does not fit is cut */
    r->text[sizeof r->text - 1] = '\0';
    return outcome;
}

int daemon_reload_begin(void *ctx)
{
    struct daemon *d = ctx;
    struct reload *r = &d->reload;
    char why[WHY_BYTES] = "";
    if (r->waits)
        return WEIR_EAGAIN;
    struct config *next = spare(d);
    memset(r->text, 0, sizeof r->text);
    r->diff = (struct config_diff){ 0 };
    r->report = (struct api_reload){ 0 };
    const char *outcome = read_and_compare(d, next);
    if (outcome != NULL) {
        end(d, outcome, strcmp(outcome, "restart") == 0
                            ? "nothing was taken over: some of it needs a restart"
                        : strcmp(outcome, "refused") == 0
                            ? "nothing was taken over; as long as the file is so, a restart fails"
                            : "");
        return 0;
    }
    next->engine.store = d->config.engine.store;
    r->waits = gateway_reload(d->gateway, next, why) == 0;
    if (!r->waits)
        end(d, "restart", why);
    return 0;
}

const struct api_reload *daemon_reload_report(void *ctx)
{
    const struct daemon *d = ctx;
    return &d->reload.report;
}

void daemon_reload_turn(struct daemon *d)
{
    enum reload_state state = gateway_reload_state(d->gateway);
    if (!d->reload.waits || state == RELOAD_WANTED || state == RELOAD_COMMITTING)
        return;
    if (state == RELOAD_DONE)
        d->board.config = gateway_config(d->gateway);
    end(d, state == RELOAD_DONE ? "taken" : "refused",
        state == RELOAD_DONE ? "" : "the state can't be had under it; all is as it was");
}
