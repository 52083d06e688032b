/* Streams in the turn of a reading: what they are told of it, their timers, and the alerts of their
 * rules. A key that a rule is true of becomes a series, of the device that the key's values are
 * called, joined by "/", and of the metric "stream/" and the stream's name, which no reading has.
 * So its alerts have everything that others have. */
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/engine/engine_state.h"

/* So much of all devices, series and names stays free for readings. */
enum { ROOM_SHARE = 8 };

struct name {
    char at[READING_NAME_BYTES_MAX + 1];
    uint32_t bytes;
};

static void append(struct name *name, const char *at, uint32_t bytes)
{
    uint32_t room = READING_NAME_BYTES_MAX - name->bytes;
    bytes = bytes < room ? bytes : room;
    if (bytes > 0)
        memcpy(name->at + name->bytes, at, bytes);
    name->bytes += bytes;
}

/* A whole number as such, any other by its shortest digits that are enough to tell it apart. */
static void append_number(struct name *name, double number)
{
    char digits[32];
    int bytes = 0;
    for (int precision = 15; precision <= 17; precision++) {
        bytes = snprintf(digits, sizeof digits, "%.*g", precision, number);
        if (strtod(digits, NULL) == number)
            break;
    }
    append(name, digits, (uint32_t)bytes);
}

/* What no device may be called becomes '?'. False: there was some, or nothing. */
static bool is_plain(struct name *name)
{
    bool plain = name->bytes > 0;
    for (uint32_t i = 0; i < name->bytes; i++) {
        uint8_t c = (uint8_t)name->at[i];
        bool own = i == 0 && c == '$'; /* such names are the gateway's */
        if (c >= ' ' && c != 0x7f && !own)
            continue;
        name->at[i] = '?';
        plain = false;
    }
    return plain;
}

/* 32 bits of the key's hash behind as many whole characters as leave room for them. */
static void mark(struct name *name, const struct stream_verdict *verdict)
{
    static const struct hash_key plain = { 0x6b65795f6e616d65u, 0x73747265616d7321u };
    char digits[16];
    uint64_t hash = hash64(plain, verdict->key.at, verdict->key.bytes);
    if (name->bytes > READING_NAME_BYTES_MAX - 9) {
        name->bytes = READING_NAME_BYTES_MAX - 9;
        while (name->bytes > 0 && ((uint8_t)name->at[name->bytes] & 0xc0) == 0x80)
            name->bytes--;
    }
    (void)snprintf(digits, sizeof digits, "~%08x", (unsigned)(uint32_t)hash);
    append(name, digits, 9);
}

/* As if it had one already. */
static bool looks_marked(const struct name *name)
{
    if (name->bytes < 9 || name->at[name->bytes - 9] != '~')
        return false;
    for (uint32_t i = name->bytes - 8; i < name->bytes; i++)
        if (strchr("0123456789abcdef", name->at[i]) == NULL)
            return false;
    return true;
}

/* A key may be any text, and long; a device is called by none such. What can't be its name as it is
 * has a mark, so that it stays another than its like; so has what would not say where one value
 * ends. */
static struct name key_name(const struct stream_verdict *verdict)
{
    struct byte_reader r = { (const uint8_t *)verdict->key.at, verdict->key.bytes, 0, false };
    struct name name = { .bytes = 0 };
    uint32_t whole = 0;
    bool divided = false, several = verdict->plan->config->key_count > 1;
    while (r.used < r.bytes && !r.failed) {
        (void)get_u8(&r); /* its place */
        uint8_t type = get_u8(&r);
        if (whole > 0)
            append(&name, "/", 1);
        if (type == VALUE_TEXT) {
            struct text text = get_text(&r);
            append(&name, text.at, text.bytes);
            divided = divided || (text.bytes > 0 && memchr(text.at, '/', text.bytes) != NULL);
            whole += text.bytes + 1;
        } else {
            append_number(&name, get_f64(&r));
            whole += 1;
        }
    }
    bool plain = is_plain(&name) && !(several && divided) && !looks_marked(&name);
    if (!plain || name.bytes == READING_NAME_BYTES_MAX)
        mark(&name, verdict);
    return name;
}

static struct name metric_name(const struct stream_verdict *verdict)
{
    const char *stream = verdict->plan->config->name;
    struct name name = { .bytes = 0 };
    append(&name, STREAM_METRIC, (uint32_t)strlen(STREAM_METRIC));
    append(&name, stream, (uint32_t)strlen(stream));
    return name;
}

static bool has_room(const struct engine *e, uint32_t device, uint32_t bytes)
{
    const struct engine_config *c = e->config;
    bool place = device != ENGINE_NONE ||
                 e->device_count + c->devices_max / ROOM_SHARE < c->devices_max;
    return place && e->series_count + c->series_max / ROOM_SHARE < c->series_max &&
           engine_names_room(e, bytes + e->names_bytes / ROOM_SHARE);
}

/* A device that is known was heard last by another of its series, also after a restart, which goes
 * by when that was. */
static uint32_t make_series(struct engine *e, uint32_t device, struct text name, struct text metric,
                            int64_t event_ms)
{
    if (device == ENGINE_NONE)
        device = engine_device_make(e, name);
    uint32_t heard = e->devices[device].last_series;
    uint32_t series = engine_series_make(e, device, metric);
    if (heard != ENGINE_NONE)
        e->devices[device].last_series = heard;
    else
        e->series[series].last_t_ms = e->t_ms;
    e->series[series].last_event_ms = event_ms;
    return series;
}

static struct watch *watch_of(const struct engine *e, uint32_t series, const char *rule)
{
    for (uint32_t i = 0; i < e->series[series].watch_count; i++) {
        struct watch *w = &engine_watches(e, series)[i];
        if (strcmp(e->config->rules[w->rule].name, rule) == 0)
            return w;
    }
    return NULL;
}

static void on_verdict(void *ctx, const struct stream_verdict *told)
{
    struct engine *e = ctx;
    struct name device_name = key_name(told), metric = metric_name(told);
    struct text device_text = { device_name.at, device_name.bytes };
    struct text metric_text = { metric.at, metric.bytes };
    uint32_t device = engine_device_find(e, device_text);
    uint32_t series = device != ENGINE_NONE ? engine_series_find(e, device, metric_text)
                                            : ENGINE_NONE;
    if (series == ENGINE_NONE && !told->anomalous)
        return;
    if (series == ENGINE_NONE && !has_room(e, device, device_name.bytes + metric.bytes + 2)) {
        e->counts.alerts_suppressed++;
        return;
    }
    if (series == ENGINE_NONE)
        series = make_series(e, device, device_text, metric_text, told->event_ms);
    struct watch *w = watch_of(e, series, told->plan->rules[told->rule].config->name);
    if (w == NULL) /* engine_init's caller gave the stream's rules and not their alerts */
        return;
    const struct verdict verdict = {
        .known = true, .anomalous = told->anomalous, .observed = told->observed, .low = 1,
        .high = 0, .score = told->anomalous, .threshold = 1,
    };
    (void)engine_on_verdict(e, series, w, &verdict, told->event_ms); /* without a place: counted */
    engine_arm(e, series);
}

static struct stream_moment moment_of(struct engine *e, int64_t reached_ms)
{
    return (struct stream_moment){ .t_ms = e->t_ms, .reached_ms = reached_ms, .block = e->block,
                                   .ctx = e, .verdict = on_verdict };
}

static struct stream_out out_of(const struct engine_out *out)
{
    return (struct stream_out){ .ctx = out->ctx, .result = out->stream, .late = out->too_late };
}

void engine_feed_streams(struct engine *e, const struct record *record)
{
    if (e->config->streams.count == 0)
        return;
    struct stream_moment moment = moment_of(e, engine_reached_ms(e, record));
    struct stream_out out = e->out != NULL ? out_of(e->out) : (struct stream_out){ 0 };
    streams_take(e->streams, record, &moment, e->out != NULL ? &out : NULL);
}

void engine_fire_streams(struct engine *e)
{
    struct stream_moment moment = moment_of(e, INT64_MIN);
    struct stream_out out = e->out != NULL ? out_of(e->out) : (struct stream_out){ 0 };
    streams_fire(e->streams, &moment, e->out != NULL ? &out : NULL);
}

void engine_tell_streams_clock(struct engine *e)
{
    const struct stream_clock clock = { e->clock_t_ms > 0, e->clock.state == CLOCK_UNSET,
                                        e->clock.offset_ms, e->clock_t_ms,
                                        e->config->max_skew_ms };
    streams_set_clock(e->streams, &clock);
}

uint64_t engine_steps(const struct engine *engine)
{
    return streams_steps(engine->streams);
}

uint64_t engine_changed_streams(const struct engine *engine)
{
    return streams_changed(engine->streams);
}

struct stream_counts engine_stream_counts(const struct engine *engine, uint32_t stream)
{
    return streams_counts(engine->streams, stream);
}
