#include "firmware/daemon.h"

#include <stdio.h>

#include "firmware/board/notify.h"
#include "firmware/cli/cli.h"
#include "firmware/daemon_state.h"
#include "firmware/log.h"

enum {
    DAEMON_STOP_MS = 20000,  /* that an orderly stop may take */
    DAEMON_NOTIFY_MS = 5000  /* between two signs of life to the service manager */
};

static struct daemon the_daemon; /* large, and one; the system gives it zero and untouched */

/* --- the turn --- */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t wait_ms(const struct daemon *d)
{
    int64_t next_ms = gateway_next_turn_ms(d->gateway);
    for (uint32_t i = 0; i < d->config.source_count; i++)
        next_ms = sooner(next_ms, d->taps[i] != NULL ? tap_next_turn_ms(d->taps[i])
                                                     : listener_next_turn_ms(d->listeners[i]));
    if (d->uplink != NULL)
        next_ms = sooner(next_ms, uplink_next_turn_ms(d->uplink));
    next_ms = sooner(next_ms, http_next_turn_ms(d->http));
    next_ms = sooner(next_ms, d->notified_ms + DAEMON_NOTIFY_MS);
    return next_ms > d->now.mono_ms ? next_ms - d->now.mono_ms : 0;
}

static void tell_manager(struct daemon *d)
{
    if (d->now.mono_ms - d->notified_ms < DAEMON_NOTIFY_MS)
        return;
    d->notified_ms = d->now.mono_ms;
    if (board_moves(&d->board.judgement, d->now.mono_ms))
        notify("WATCHDOG=1");
}

static void take_messages(struct daemon *d)
{
    uint32_t sources = d->config.source_count;
    for (uint32_t n = 0; n < sources; n++) {
        uint32_t i = (d->first_source + n) % sources;
        uint32_t most = gateway_turn_messages(d->gateway, i);
        if (d->taps[i] != NULL)
            tap_turn(d->taps[i], d->now.mono_ms, most);
        else
            listener_turn(d->listeners[i], d->now.mono_ms, most);
    }
    d->first_source = sources > 0 ? (d->first_source + 1) % sources : 0;
}

static void reload(struct daemon *d)
{
    char why[256] = "";
    daemon_reload_again(d);
    int error = daemon_reload_inventory(d, why);
    log_event("inventory_reload", "ok=%d why=\"%s\"", error == 0, why);
    for (uint32_t i = 0; i < d->config.source_count; i++)
        if (d->listeners[i] != NULL)
            listener_reload(d->listeners[i]);
    why[0] = '\0';
    if (!d->config.http.given)
        return;
    error = http_reload(d->http, why);
    log_event("http_reload", "ok=%d why=\"%s\"", error == 0, why);
}

/* Who is revoked, or has a new password, is no longer connected with what it showed before. */
static void follow_credentials(struct daemon *d)
{
    const struct credentials_change *change = credentials_turn(d->credentials);
    if (change == NULL)
        return;
    bool ends = change->result == 0 && change->verb != CREDENTIALS_ADD;
    for (uint32_t i = 0; i < d->config.source_count && ends; i++)
        if (d->listeners[i] != NULL)
            listener_dismiss(d->listeners[i], text_of(change->name));
    api_on_change(d->api, change);
}

static void take_turn(struct daemon *d)
{
    load_begin_turn(&d->load);
    d->now = d->hal.time(d->hal.ctx);
    log_now(d->now.mono_ms);
    gateway_begin_turn(d->gateway, d->now);
    committer_turn(&d->committer, d->gateway);
    follow_credentials(d);
    take_messages(d);
    if (d->uplink != NULL)
        uplink_turn(d->uplink, d->now.mono_ms);
    inventory_file_turn(d->inventory, d->gateway, d->now.mono_ms);
    if (loop_told_to_reload(d->loop))
        reload(d);
    daemon_reload_turn(d);
    api_turn(d->api, d->now.mono_ms);
    http_turn(d->http, d->now.mono_ms);
    struct gateway_view view = gateway_view(d->gateway);
    if (board_turn(&d->board, &view, d->now.mono_ms))
        gateway_self_test(d->gateway);
    button_turn(&d->button, d->board.press, d->gateway, d->config.socket_path);
    daemon_reload_end_turn(d);
    load_end_turn(&d->load, &d->hal, config_memory_max(&d->config), d->now.mono_ms, d->gateway);
    tell_manager(d);
}

static int stop(struct daemon *d)
{
    int64_t began_ms = d->now.mono_ms;
    notify("STOPPING=1");
    log_event("stopping", "pending=%llu", (unsigned long long)gateway_view(d->gateway).pending);
    gateway_begin_stop(d->gateway);
    while (!gateway_failed(d->gateway) && d->now.mono_ms - began_ms < DAEMON_STOP_MS) {
        take_turn(d);
        if (gateway_idle(d->gateway))
            break;
        loop_wait(d->loop, sooner(wait_ms(d), 100));
    }
    bool in_order = gateway_idle(d->gateway);
    for (uint32_t i = 0; i < d->config.source_count; i++)
        if (d->taps[i] != NULL)
            tap_close(d->taps[i]);
        else
            listener_close(d->listeners[i]);
    if (d->uplink != NULL)
        uplink_close(d->uplink);
    http_close(d->http);
    board_stop(&d->board, in_order);
    hal_linux_close(&d->machine);
    if (!in_order)
        return CLI_PROBLEM; /* the worker may still be in the store: the kernel closes it */
    store_close(d->store);
    loop_close(d->loop);
    log_event("stopped", "t_ms=%lld", (long long)gateway_view(d->gateway).t_ms);
    return CLI_OK;
}

int daemon_run(const char *config_path)
{
    struct daemon *d = &the_daemon;
    int status = daemon_start(d, config_path);
    if (status != 0)
        return status;
    struct gateway_view view = gateway_view(d->gateway);
    (void)fprintf(stderr, "weir: recovered %llu blocks in %lld ms\n",
                  (unsigned long long)view.recovered_blocks, (long long)view.recovered_in_ms);
    (void)fprintf(stderr, "weir: ready gateway=%s version=%s socket=%s\n", d->config.gateway_name,
                  WEIR_VERSION, d->config.socket_path);
    notify("READY=1");
    while (!loop_told_to_stop(d->loop)) {
        take_turn(d);
        if (gateway_failed(d->gateway)) {
            log_event("giving_up",
                      "what=\"nothing of what waits was acknowledged; it comes again\"");
            board_stop(&d->board, false);
            return CLI_PROBLEM;
        }
        loop_wait(d->loop, wait_ms(d));
    }
    return stop(d);
}
