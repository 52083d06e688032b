#include "firmware/replay/replay_out.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/cli.h"
#include "firmware/json_arena.h"
#include "pipeline/codec/envelope.h"
#include "pipeline/codec/json_writer.h"
#include "pipeline/codec/result_body.h"

enum { INVENTORY_MAX = 65536, JSON_BYTES = 16 * 1024 * 1024 };

int replay_out_open(struct replay_out *o, const char *path, const struct replay *replay)
{
    *o = (struct replay_out){ .path = path, .replay = replay };
    if (path == NULL)
        return CLI_OK;
    o->file = fopen(path, "w");
    if (o->file == NULL) {
        (void)fprintf(stderr, "weir: %s: %s\n", path, strerror(errno));
        return CLI_PROBLEM;
    }
    return CLI_OK;
}

/* --- the inventory --- */

void replay_out_start(struct replay_out *o)
{
    free(o->memory);
    o->memory = NULL;
    o->inventory = NULL;
}

static bool is_json(struct text content)
{
    for (uint32_t i = 0; i < content.bytes; i++)
        if (strchr(" \t\r\n", content.at[i]) == NULL)
            return content.at[i] == '[' || content.at[i] == '{';
    return false;
}

void replay_out_inventory(struct replay_out *o, struct text content)
{
    static _Alignas(16) uint8_t json[JSON_BYTES];
    char why[256] = "";
    if (o->file == NULL && !o->renders)
        return;
    replay_out_start(o);
    struct arena arena = arena_measure();
    (void)inventory_init(INVENTORY_MAX, &arena);
    o->memory = calloc(1, arena.used + ARENA_ALIGN);
    if (o->memory == NULL)
        return;
    arena = arena_over(o->memory, arena.used);
    o->inventory = inventory_init(INVENTORY_MAX, &arena);
    json_arena_start(json, sizeof json);
    if (inventory_load(o->inventory, content, is_json(content), why) != 0)
        (void)fprintf(stderr, "weir: an inventory of the journal: %s\n", why);
}

/* --- items --- */

static struct envelope envelope_of(const struct replay *r, char digest[65])
{
    struct clock_record clock = engine_clock(r->engine);
    for (int i = 0; i < 32; i++)
        (void)snprintf(digest + 2 * i, 3, "%02x", r->config->digest[i]);
    return (struct envelope){
        .gateway = text_of(r->config->gateway_name),
        .store_id = r->store,
        .config_digest = text_of(digest),
        .version = text_of(WEIR_VERSION),
        .offset_ms = clock.offset_ms,
        .clock = r->clock_told ? clock.state : CLOCK_UNSET,
    };
}

struct text replay_out_render(const struct replay_out *o, uint32_t lane,
                              const struct alert_event *event, char *to)
{
    char digest[65];
    struct envelope envelope = envelope_of(o->replay, digest);
    envelope.alerts_lane = lane;
    bool enriched = engine_shed_level(o->replay->engine) < SHED_ENRICHMENT;
    const struct inventory_entry *device = enriched && o->inventory != NULL
                                               ? inventory_find(o->inventory, event->device)
                                               : NULL;
    return envelope_alert(&envelope, 0, event, device, enriched, to, ENVELOPE_ALERT_BYTES_MAX);
}

struct text replay_out_render_late(const struct replay_out *o, uint32_t lane,
                                   const struct replay_late *what, char *to)
{
    char digest[65];
    const struct replay *r = o->replay;
    struct envelope envelope = envelope_of(r, digest);
    struct text names[READING_FIELDS_MAX];
    uint32_t source = what->late->record->reading.source, count = 0;
    for (; source < r->config->source_count && count < r->config->sources[source].field_count;
         count++)
        names[count] = text_of(r->config->sources[source].field_names[count]);
    const struct correction correction = { .late = what->late, .lane = lane, .block = r->block,
                                           .number = what->number, .field_names = names,
                                           .field_count = count };
    return envelope_correction(&envelope, 0, &correction, to, ENVELOPE_ALERT_BYTES_MAX);
}

/* An object. */
static void write_line(const struct replay_out *o, struct text line)
{
    (void)fprintf(o->file, "%.*s%s\n", (int)line.bytes - 1, line.at,
                  o->marks ? ",\"warmup\":true}" : "}"); /* the close tells of errors */
}

void replay_out_alert(struct replay_out *o, const struct alert_event *event)
{
    char text[ENVELOPE_ALERT_BYTES_MAX];
    if (o->file == NULL)
        return;
    write_line(o, replay_out_render(o, 0, event, text));
}

void replay_out_late(struct replay_out *o, const struct replay_late *what)
{
    char text[ENVELOPE_ALERT_BYTES_MAX];
    if (o->file != NULL)
        write_line(o, replay_out_render_late(o, LANE_RAW, what, text));
}

static void put_aggregate(struct json_writer *w, const struct aggregate *a)
{
    json_put_unsigned(w, "count", a->count);
    json_put_number(w, "mean", a->mean);
    json_put_number(w, "m2", a->m2);
    json_put_number(w, "min", a->min);
    json_put_number(w, "max", a->max);
    json_put_number(w, "first", a->first);
    json_put_number(w, "last", a->last);
    json_put_integer(w, "first_ms", a->first_ms);
    json_put_integer(w, "last_ms", a->last_ms);
}

void replay_out_result(struct replay_out *o, const struct window_result *result)
{
    char text[2048];
    if (o->file == NULL)
        return;
    struct json_writer w = json_writer_over(text, sizeof text);
    json_object(&w);
    json_put_string(&w, "type", "window");
    json_put_text(&w, "device", result->device);
    json_put_text(&w, "metric", result->metric);
    json_put_text(&w, "unit", result->unit);
    json_put_integer(&w, "start_ms", result->start_ms);
    json_put_integer(&w, "end_ms", result->end_ms);
    json_put_unsigned(&w, "revision", result->revision);
    json_put_bool(&w, "forced", result->forced);
    put_aggregate(&w, &result->aggregate);
    json_put_unsigned(&w, "first_block", result->first_block);
    json_put_unsigned(&w, "last_block", result->last_block);
    json_put_unsigned(&w, "contract_version", result->contract_version);
    json_object_end(&w);
    write_line(o, json_done(&w));
}

struct text replay_out_body(const struct stream_result *result, char to[REPLAY_BODY_BYTES])
{
    assert(result_body_bytes_max(result->plan) + 8 <= REPLAY_BODY_BYTES);
    struct text members = result_body(result, to + 1, REPLAY_BODY_BYTES - 2);
    memmove(to + 1, members.at, members.bytes);
    to[0] = '{';
    to[members.bytes + 1] = '}';
    return (struct text){ to, members.bytes + 2 };
}

void replay_out_stream(struct replay_out *o, const struct stream_result *result)
{
    static char body[REPLAY_BODY_BYTES], text[REPLAY_BODY_BYTES + 1024];
    if (o->file == NULL)
        return;
    struct json_writer w = json_writer_over(text, sizeof text);
    json_object(&w);
    json_put_string(&w, "type", "stream");
    json_put_text(&w, "stream", result->stream);
    json_put_integer(&w, "start_ms", result->start_ms);
    json_put_integer(&w, "end_ms", result->end_ms);
    json_put_unsigned(&w, "revision", result->revision);
    json_put_members(&w, result_body(result, body, sizeof body));
    json_put_unsigned(&w, "first_block", result->first_block);
    json_put_unsigned(&w, "last_block", result->last_block);
    json_object_end(&w);
    write_line(o, json_done(&w));
}

int replay_out_close(struct replay_out *o)
{
    replay_out_start(o);
    if (o->file == NULL)
        return CLI_OK;
    bool bad = ferror(o->file) != 0;
    if (fclose(o->file) == 0 && !bad)
        return CLI_OK;
    (void)fprintf(stderr, "weir: %s: it could not be written\n", o->path);
    return CLI_PROBLEM;
}
