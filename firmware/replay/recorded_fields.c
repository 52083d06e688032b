#include "firmware/replay/recorded_fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/json_view.h"
#include "pipeline/bytes.h"
#include "pipeline/codec/codec_json_check.h"

static const char prefix[] = "fields.";
enum { PREFIX_BYTES = sizeof prefix - 1 };

/* Members and columns that mean something else; what `weir export` writes is among them. */
static bool is_own(struct text name)
{
    static const char *const own[] = {
        "block",      "position",        "kind",        "t_ms",        "source",         "device",
        "metric",     "value",           "unit",        "event_time",  "event_time_ms",  "time",
        "time_ms",    "timestamp",       "ts",          "time_source", "device_time_ms", "sequence",
        "index",      "arrival_time_ms", "arrival_time", "recordedtime", "fields"
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (text_equal(name, text_of(own[i])))
            return true;
    return false;
}

/* --- what stands in a line --- */

static bool is_wanted(const struct recorded_fields *f, struct text name)
{
    for (uint32_t i = 0; i < f->wanted_count; i++)
        if (text_equal(f->wanted[i], name))
            return true;
    return false;
}

void recorded_fields_init(struct recorded_fields *f, const struct config *config)
{
    *f = (struct recorded_fields){ .config = config };
    for (uint32_t s = 0; s < config->source_count; s++)
        for (uint32_t i = 0; i < config->sources[s].field_count; i++) {
            struct text name = text_of(config->sources[s].field_names[i]);
            if (!is_wanted(f, name) && f->wanted_count < sizeof f->wanted / sizeof f->wanted[0])
                f->wanted[f->wanted_count++] = name;
        }
}

void recorded_fields_begin(struct recorded_fields *f)
{
    f->count = 0;
}

static void add(struct recorded_fields *f, const struct recorded_cell *cell)
{
    bool is_nothing = cell->at.bytes == 0 ||
                      (cell->json && memchr("{[n", cell->at.at[0], 3) != NULL);
    if (is_nothing || f->count == RECORDED_CELLS_MAX || !is_wanted(f, cell->name))
        return;
    for (uint32_t i = 0; i < f->count; i++)
        if (text_equal(f->cells[i].name, cell->name))
            return;
    f->cells[f->count++] = *cell;
}

void recorded_fields_add(struct recorded_fields *f, const struct recorded_cell *cell)
{
    struct recorded_cell named = *cell;
    if (named.name.bytes > PREFIX_BYTES && memcmp(named.name.at, prefix, PREFIX_BYTES) == 0) {
        named.name.at += PREFIX_BYTES;
        named.name.bytes -= PREFIX_BYTES;
        if (named.at.bytes > 0 && is_wanted(f, named.name))
            for (uint32_t i = 0; i < f->count; i++) /* the bare name gives way */
                if (text_equal(f->cells[i].name, named.name))
                    f->cells[i].name.bytes = 0;
        add(f, &named);
    } else if (is_wanted(f, named.name) && !is_own(named.name)) {
        add(f, &named);
    }
}

void recorded_fields_add_json(struct recorded_fields *f, struct text fields)
{
    struct recorded_cell cell = { .json = true };
    size_t cursor = 0;
    while (f->wanted_count > 0 && json_view_next(fields, &cursor, &cell.name, &cell.at))
        add(f, &cell);
}

static const struct recorded_cell *cell_of(const struct recorded_fields *f, const char *name)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (text_equal(f->cells[i].name, text_of(name)))
            return &f->cells[i];
    return NULL;
}

/* --- the source --- */

static uint32_t named_by(const struct recorded_fields *f, uint32_t source)
{
    const struct config_source *s = &f->config->sources[source];
    uint32_t named = 0;
    for (uint32_t i = 0; i < s->field_count; i++)
        named += cell_of(f, s->field_names[i]) != NULL;
    return named;
}

static uint16_t source_of(const struct recorded_fields *f, struct text name)
{
    uint32_t best = f->source < f->config->source_count ? f->source : 0;
    for (uint32_t i = 0; i < f->config->source_count; i++)
        if (text_equal(text_of(f->config->sources[i].name), name))
            return (uint16_t)i;
    for (uint32_t i = 0; i < f->config->source_count && f->count > 0; i++)
        if (named_by(f, i) > named_by(f, best))
            best = i;
    return (uint16_t)best;
}

/* --- values --- */

/* In CSV a value is a number or a truth where it reads as one in JSON, else a text. */
static struct value value_of(const struct recorded_cell *cell, char *room, size_t bytes)
{
    struct text at = cell->at;
    bool truth = cell->json ? at.at[0] == 't' || at.at[0] == 'f'
                            : text_equal(at, text_of("true")) || text_equal(at, text_of("false"));
    bool number = strchr("-0123456789", at.at[0]) != NULL && at.at[0] != '\0' &&
                  (cell->json || json_check(at, 1).reason == REJECT_NONE);
    if (truth)
        return (struct value){ .type = VALUE_BOOLEAN, .number = at.at[0] == 't' };
    if (cell->json)
        json_view_print(at, room, bytes);
    else
        (void)snprintf(room, bytes, "%.*s", (int)at.bytes, at.at);
    if (number)
        return (struct value){ .number = strtod(room, NULL) };
    return (struct value){ .type = VALUE_TEXT, .text = text_of(room) };
}

static const char *pack(const struct recorded_fields *f, const struct config_source *source,
                        uint32_t field, struct byte_writer *w)
{
    char room[READING_TEXT_BYTES_MAX + 8];
    const struct recorded_cell *cell = cell_of(f, source->field_names[field]);
    if (cell == NULL)
        return NULL;
    struct value value = value_of(cell, room, sizeof room);
    if (value.type == VALUE_TEXT && value.text.bytes > READING_TEXT_BYTES_MAX)
        return "want further fields of at most 1 KiB";
    if (!(fabs(value.number) <= READING_NUMBER_MAX))
        return "want a number within 1e140";
    put_u8(w, (uint8_t)field);
    put_u8(w, (uint8_t)value.type);
    if (value.type == VALUE_TEXT)
        put_text(w, value.text);
    else
        put_f64(w, value.number);
    return NULL;
}

const char *recorded_fields_take(struct recorded_fields *f, struct text source,
                                 struct reading *reading)
{
    if (f->config == NULL)
        return NULL;
    struct byte_writer w = { f->extra, sizeof f->extra, 0, false };
    bool streams = f->config->stream_count > 0;
    f->source = reading->source = source_of(f, source);
    const struct config_source *of = &f->config->sources[reading->source];
    for (uint32_t i = 0; i < of->field_count; i++) {
        size_t before = w.used;
        const char *wrong = pack(f, of, i, &w);
        if (wrong != NULL)
            return wrong;
        if (streams && w.used > before)
            f->seen |= (uint64_t)1 << f->config->stream_fields.slots[reading->source][i];
    }
    f->seen |= (uint64_t)(reading->unit.bytes > 0) << FIELD_OF_UNIT;
    f->seen |= (uint64_t)reading->has_sequence << FIELD_OF_SEQUENCE;
    reading->extra = (struct text){ (const char *)f->extra, (uint32_t)w.used };
    return NULL;
}

uint64_t recorded_fields_missing(const struct recorded_fields *f, uint32_t stream)
{
    uint64_t own = (UINT64_C(1) << STREAM_OWN_FIELDS) - 1;
    uint64_t given = own & ~(UINT64_C(1) << FIELD_OF_UNIT) & ~(UINT64_C(1) << FIELD_OF_SEQUENCE);
    return f->config->stream_plans[stream].slots & ~given & ~f->seen;
}
