/* The machine, as /api/v1/status tells of it: asked of the hal at that moment. What is not there is
 * null. */
#include "firmware/api/api_state.h"
#include "firmware/board/board.h"

static void put(struct json_writer *w, const char *key, bool known, uint64_t value)
{
    json_key(w, key);
    if (known)
        json_unsigned(w, value);
    else
        json_null(w);
}

static void put_name(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    if (value[0] != '\0')
        json_string(w, value);
    else
        json_null(w);
}

static void put_temperature(const struct hal *hal, struct json_writer *w)
{
    int32_t milli_celsius = 0;
    json_key(w, "temperature_c");
    if (hal->temperature(hal->ctx, &milli_celsius) == 0)
        json_number(w, milli_celsius / 1000.0);
    else
        json_null(w);
}

static void put_supply(const struct hal *hal, struct json_writer *w)
{
    bool low = false;
    bool there = hal->supply_low(hal->ctx, &low) == 0;
    put_name(w, "supply", !there ? "" : low ? "low" : "good");
}

static void put_storage(const struct board *b, struct json_writer *w)
{
    static const char *const levels[] = { "", "normal", "warning", "urgent" };
    struct hal_storage s = { -1, -1, 0 };
    bool there = b->hal.storage(b->hal.ctx, &s) == 0;
    json_key(w, "storage");
    json_object(w);
    put_name(w, "device", there ? b->config->board.storage : "");
    put(w, "life_used_percent", s.life_used_percent >= 0, (uint64_t)s.life_used_percent);
    put_name(w, "reserve", s.pre_eol > 0 ? levels[s.pre_eol] : "");
    put(w, "written_bytes", there, s.sectors_written * 512);
    json_object_end(w);
}

static void put_watchdog(const struct board *b, const struct hal_time *now, struct json_writer *w)
{
    const struct board_judgement *j = &b->judgement;
    json_key(w, "watchdog");
    json_object(w);
    json_put_bool(w, "running", b->running);
    put(w, "timeout_s", b->running, b->timeout_s);
    put(w, "feeds", true, b->feeds);
    put(w, "progress_age_ms", j->proved, (uint64_t)(now->mono_ms - j->progress_ms));
    json_object_end(w);
}

static void put_missing(const struct board *b, struct json_writer *w)
{
    json_key(w, "missing");
    json_array(w);
    for (int part = 0; part < HAL_PARTS; part++)
        if ((b->missing >> part & 1) != 0)
            json_string(w, hal_part_name((enum hal_part)part));
    json_array_end(w);
}

void api_write_machine(const struct board *b, struct json_writer *w)
{
    struct hal_memory m = { 0 };
    struct hal_time now = b->hal.time(b->hal.ctx);
    bool known = b->hal.memory(b->hal.ctx, &m) == 0;
    json_key(w, "memory");
    json_object(w);
    put(w, "rss_bytes", known, m.rss_bytes);
    put(w, "anon_bytes", known, m.anonymous_bytes);
    put(w, "peak_bytes", known, m.peak_bytes);
    put(w, "machine_bytes", known, m.total_bytes);
    put(w, "machine_available_bytes", known, m.available_bytes);
    json_object_end(w);
    json_key(w, "machine");
    json_object(w);
    put_name(w, "board", b->config->board.name);
    put_name(w, "unique_id", b->id);
    put_name(w, "last_reset", b->has_reset ? reset_reason_name(b->reset) : "");
    put_temperature(&b->hal, w);
    put_supply(&b->hal, w);
    put_storage(b, w);
    put_watchdog(b, &now, w);
    put_name(w, "led", led_pattern_name(b->led));
    json_put_bool(w, "relay", b->relay);
    put_missing(b, w);
    json_object_end(w);
}
