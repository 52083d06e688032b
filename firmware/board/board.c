#include "firmware/board/board.h"

#include <assert.h>
#include <stdio.h>

#include "firmware/log.h"
#include "pipeline/err.h"

/* What counts as standing still where no time-out is configured. */
enum { WITHOUT_WATCHDOG_MS = 120000 };

static const double YEAR_MS = 365.25 * 24 * 3600 * 1000;

/* A part that fails is logged once; what is not there was told at the start. */
static bool works(struct board *b, enum hal_part part, int error)
{
    bool known = (b->missing >> part & 1) != 0;
    if (error != 0 && !known) {
        b->missing |= 1u << part;
        log_event("hardware_failed", "part=%s error=\"%s\"", hal_part_name(part),
                  weir_err_text(error));
    } else if (error == 0 && known) {
        b->missing &= ~(1u << part);
        log_event("hardware_works", "part=%s", hal_part_name(part));
    }
    return error == 0;
}

/* What could not be shown is tried again at the next look: drivers may come late. */
static void show(struct board *b, enum led_pattern pattern)
{
    if (b->led_shown && b->led == pattern)
        return;
    b->led = pattern;
    int error = b->hal.led(b->hal.ctx, pattern);
    b->led_shown = error != WEIR_EAGAIN && works(b, HAL_LED, error);
}

static void switch_relay(struct board *b, bool on)
{
    if (b->relay_shown && b->relay == on)
        return;
    b->relay = on;
    b->relay_shown = works(b, HAL_RELAY, b->hal.relay(b->hal.ctx, on));
}

static void feed(struct board *b)
{
    if (b->config->watchdog_s == 0)
        return;
    int error;
    if (b->running) {
        error = b->hal.watchdog_feed(b->hal.ctx);
    } else {
        error = b->hal.watchdog_start(b->hal.ctx, b->config->watchdog_s, &b->timeout_s);
        b->running = error == 0;
        if (b->running)
            log_event("watchdog_started", "timeout_s=%u", b->timeout_s);
        b->judgement.granted_ms = b->running ? (int64_t)b->timeout_s * 1000 : 0;
    }
    b->feeds += works(b, HAL_WATCHDOG, error);
}

static void ask_storage(struct board *b, int64_t mono_ms)
{
    struct hal_storage storage;
    if (b->looked && mono_ms - b->storage_ms < BOARD_STORAGE_MS)
        return;
    b->storage_ms = mono_ms;
    if (b->hal.storage(b->hal.ctx, &storage) == 0)
        b->worn = storage.pre_eol >= 2 || storage.life_used_percent >= 100;
}

static void ask_supply(struct board *b)
{
    bool low = false;
    (void)b->hal.supply_low(b->hal.ctx, &low); /* not there: not low */
    if (low != b->supply_low)
        log_event(low ? "supply_low" : "supply_good", "board=%s", b->config->board.name);
    b->supply_low = low;
}

struct health board_health(const struct board *b, const struct gateway_view *view)
{
    struct health h = health_of(b->config, view);
    health_add(&h, board_stands_still(&b->judgement, b->looked_ms), HEALTH_FAILED, "no_progress");
    health_add(&h, b->worn, HEALTH_DEGRADED, "storage_worn");
    health_add(&h, b->supply_low, HEALTH_DEGRADED, "supply_low");
    return h;
}

double board_flash_years(const struct hal_board *board, const struct hal_storage *storage,
                         int64_t up_ms)
{
    double used = storage->life_used_percent < 0     ? 0
                  : storage->life_used_percent > 100 ? 1
                                                     : storage->life_used_percent / 100.0;
    if (board->storage_endurance_bytes == 0 || storage->sectors_written == 0 || up_ms <= 0)
        return 0;
    double written = (double)storage->sectors_written * 512;
    double lasts_ms = (double)board->storage_endurance_bytes * (1 - used) / written * (double)up_ms;
    return lasts_ms / YEAR_MS;
}

static struct board_sight look(const struct board *b, const struct gateway_view *view,
                               int64_t mono_ms)
{
    /* While the clock is unset, nothing is taken on purpose. */
    bool stuck = view->clock != CLOCK_UNSET &&
                 view->pressure.of[SHED_LAG] > b->judgement.limit_ms / BOARD_PARTS_OF_TIMEOUT;
    return (struct board_sight){
        .mono_ms = mono_ms,
        .commits = view->commits,
        .received = view->ledger.received,
        .waiting = view->pending > 0 || stuck,
        .failures = view->commit_failures,
        .disk_full = view->failing_with == WEIR_ENOSPC,
        .health = board_health(b, view).state,
        .alarm = health_alarm(view, b->config->signal_severity),
    };
}

static void describe(struct board *b)
{
    struct hal_presence parts[HAL_PARTS];
    b->hal.describe(b->hal.ctx, parts);
    for (int part = 0; part < HAL_PARTS; part++) {
        b->missing |= parts[part].there ? 0 : 1u << part;
        log_event("hardware", "part=%s there=%d what=\"%s\"", hal_part_name((enum hal_part)part),
                  parts[part].there, parts[part].what);
    }
}

void board_init(struct board *b, const struct hal *hal, const struct config *config)
{
    int64_t limit_ms = (int64_t)config->watchdog_s * 1000;
    *b = (struct board){
        .config = config,
        .hal = *hal,
        .judgement = { .limit_ms = limit_ms > 0 ? limit_ms : WITHOUT_WATCHDOG_MS },
    };
    describe(b);
    if (b->hal.unique_id(b->hal.ctx, b->id) != 0)
        b->id[0] = '\0';
    b->has_reset = b->hal.reset_reason(b->hal.ctx, &b->reset) == 0;
    show(b, LED_STARTING);
}

bool board_turn(struct board *b, const struct gateway_view *view, int64_t mono_ms)
{
    b->press = PRESS_NONE;
    if (b->looked && mono_ms - b->looked_ms < BOARD_LOOK_MS)
        return false;
    if (!works(b, HAL_BUTTON, b->hal.button(b->hal.ctx, &b->press)))
        b->press = PRESS_NONE;
    ask_storage(b, mono_ms);
    ask_supply(b);
    b->looked = true;
    b->looked_ms = mono_ms;
    struct board_sight sight = look(b, view, mono_ms);
    struct board_wish wish = board_judge(&b->judgement, &sight);
    if (wish.feed)
        feed(b);
    show(b, wish.led);
    switch_relay(b, wish.relay);
    return wish.self_test;
}

void board_stop(struct board *b, bool in_order)
{
    if (!in_order) {
        show(b, LED_FAILED);
        return;
    }
    if (b->running)
        (void)works(b, HAL_WATCHDOG, b->hal.watchdog_stop(b->hal.ctx));
    b->running = false;
    switch_relay(b, false);
    show(b, LED_OFF);
}
