/* daemon_reload: the configuration's file once more, while the gateway runs: checked, compared with
 * the one in force, and taken over between two batches, all of it or nothing. It is read on the
 * store's worker, as questions are: so the loop goes on meanwhile, no question is under way that
 * still looks at the configuration before, and what was accepted of contracts can be looked up. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "firmware/budget.h"
#include "firmware/daemon_state.h"
#include "firmware/log.h"
#include "pipeline/err.h"

enum { WHY_BYTES = 256 }; /* the last line */

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* every Linux has it */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void end(struct daemon *d, const char *outcome, const char *why)
{
    struct reload *r = &d->reload;
    size_t used = strlen(r->text);
    if (why[0] != '\0')
        (void)snprintf(r->text + used, sizeof r->text - used, "%s\n", why);
    r->report = (struct api_reload){ true, outcome, text_of(r->text) };
    r->step = RELOADING_NOTHING;
    log_event("config_reload", "outcome=%s hot=%u restart=%u read_us=%lld swap_us=%lld why=\"%s\"",
              outcome, r->diff.hot, r->diff.cold, (long long)r->read_us,
              (long long)r->swap_us, why);
}

/* The adapters keep what they began with; of the others one is in force. */
static struct config *spare(struct daemon *d)
{
    return gateway_config(d->gateway) == &d->reload.configs[0] ? &d->reload.configs[1]
                                                               : &d->reload.configs[0];
}

static const char *compare(struct daemon *d, struct config *next, struct store *store, FILE *out)
{
    struct reload *r = &d->reload;
    const struct config *now = gateway_config(d->gateway);
    uint32_t changed;
    r->diff = config_print_diff(now, next, out);
    if (r->diff.cold > 0)
        return "restart";
    if (memcmp(now->digest, next->digest, sizeof now->digest) == 0)
        return "unchanged";
    int faults = config_check_contracts(next, store, out, &changed);
    if (faults < 0)
        (void)fprintf(out, "the store can't say which contracts were accepted: %s\n",
                      weir_err_text(faults));
    /* a start with this file would find no more memory than there may be */
    if (faults == 0) {
        const struct budget budget = budget_of(next);
        const struct config_costs costs = budget_most(&budget, next);
        faults = config_check_budget(next, &costs, out);
    }
    return faults != 0 ? "refused" : NULL;
}

/* Checks and compares; the faults, or the difference, are in the text. */
static void read_and_compare(void *ctx, struct store *store)
{
    struct daemon *d = ctx;
    struct reload *r = &d->reload;
    struct config *next = spare(d);
    int64_t begun_us = now_us();
    FILE *out = fmemopen(r->text, sizeof r->text - WHY_BYTES, "w"); /* on the C library's heap */
    r->outcome = "refused";
    if (out == NULL)
        return;
    if (config_read(d->config_path, next, out) == 0)
        r->outcome = compare(d, next, store, out);
    (void)fclose(out); /* what does not fit is cut */
    r->text[sizeof r->text - 1] = '\0';
    r->read_us = now_us() - begun_us;
}

static void on_read(void *ctx)
{
    struct daemon *d = ctx;
    struct reload *r = &d->reload;
    char why[WHY_BYTES] = "";
    if (r->outcome != NULL) {
        end(d, r->outcome,
            strcmp(r->outcome, "restart") == 0
                ? "nothing was taken over: some of it needs a restart"
            : strcmp(r->outcome, "refused") == 0
                ? "nothing was taken over; as long as the file is so, a restart fails"
                : "");
        return;
    }
    struct config *next = spare(d);
    next->engine.store = d->config.engine.store;
    r->step = RELOADING_GATEWAY;
    if (gateway_reload(d->gateway, next, why) != 0)
        end(d, "restart", why);
}

static void ask(struct daemon *d)
{
    if (gateway_query(d->gateway, read_and_compare, on_read, d))
        d->reload.step = RELOADING_FILE;
}

int daemon_reload_begin(void *ctx)
{
    struct daemon *d = ctx;
    struct reload *r = &d->reload;
    if (r->step != RELOADING_NOTHING)
        return WEIR_EAGAIN;
    memset(r->text, 0, sizeof r->text);
    r->diff = (struct config_diff){ 0 };
    r->report = (struct api_reload){ 0 };
    r->read_us = r->swap_us = 0;
    r->step = RELOADING_ASKED;
    ask(d);
    return 0;
}

const struct api_reload *daemon_reload_report(void *ctx)
{
    const struct daemon *d = ctx;
    return &d->reload.report;
}

static void follow(struct daemon *d, const struct config *config)
{
    d->board.config = config;
    for (uint32_t i = 0; i < config->source_count; i++)
        if (d->listeners[i] != NULL)
            listener_follow(d->listeners[i], &config->sources[i]);
}

void daemon_reload_again(struct daemon *d)
{
    d->reload.again = daemon_reload_begin(d) != 0;
}

void daemon_reload_end_turn(struct daemon *d)
{
    bool wanted = gateway_reload_state(d->gateway) == RELOAD_WANTED;
    int64_t begun_us = wanted ? now_us() : 0;
    gateway_end_turn(d->gateway);
    if (wanted && gateway_reload_state(d->gateway) != RELOAD_WANTED)
        d->reload.swap_us = now_us() - begun_us;
}

void daemon_reload_turn(struct daemon *d)
{
    enum reload_state state = gateway_reload_state(d->gateway);
    if (d->reload.step == RELOADING_ASKED)
        ask(d);
    if (d->reload.step == RELOADING_NOTHING && d->reload.again)
        daemon_reload_again(d);
    if (d->reload.step != RELOADING_GATEWAY || state == RELOAD_WANTED ||
        state == RELOAD_COMMITTING)
        return;
    if (state == RELOAD_DONE)
        follow(d, gateway_config(d->gateway));
    end(d, state == RELOAD_DONE ? "taken" : "refused",
        state == RELOAD_DONE ? "" : "the state can't be had under it; all is as it was");
}
