#include "firmware/config/numbering.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void numbering_of(const struct config *config, struct numbering *numbering)
{
    memset(numbering, 0, sizeof *numbering);
    numbering->source_count = config->source_count;
    for (uint32_t s = 0; s < config->source_count; s++) {
        const struct config_source *from = &config->sources[s];
        memcpy(numbering->sources[s].name, from->name, sizeof from->name);
        numbering->sources[s].field_count = from->field_count;
        memcpy(numbering->sources[s].fields, from->field_names, sizeof from->field_names);
    }
}

struct text numbering_pack(const struct numbering *numbering, uint8_t to[NUMBERING_BYTES_MAX])
{
    struct byte_writer w = { to, NUMBERING_BYTES_MAX, 0, false };
    put_u8(&w, (uint8_t)numbering->source_count);
    for (uint32_t s = 0; s < numbering->source_count; s++) {
        put_text(&w, text_of(numbering->sources[s].name));
        put_u8(&w, (uint8_t)numbering->sources[s].field_count);
        for (uint32_t f = 0; f < numbering->sources[s].field_count; f++)
            put_text(&w, text_of(numbering->sources[s].fields[f]));
    }
    assert(!w.failed);
    return (struct text){ (const char *)to, (uint32_t)w.used };
}

static void get_name(struct byte_reader *r, char to[READING_NAME_BYTES_MAX + 1])
{
    struct text name = get_text(r);
    r->failed |= name.bytes > READING_NAME_BYTES_MAX;
    if (!r->failed)
        (void)snprintf(to, READING_NAME_BYTES_MAX + 1, "%.*s", (int)name.bytes, name.at);
}

bool numbering_unpack(struct text bytes, struct numbering *numbering)
{
    struct byte_reader r = { (const uint8_t *)bytes.at, bytes.bytes, 0, false };
    memset(numbering, 0, sizeof *numbering);
    uint8_t sources = get_u8(&r);
    r.failed |= sources > CONFIG_SOURCES_MAX;
    for (uint32_t s = 0; s < sources && !r.failed; s++) {
        get_name(&r, numbering->sources[s].name);
        uint8_t fields = get_u8(&r);
        r.failed |= fields > READING_FIELDS_MAX;
        for (uint32_t f = 0; f < fields && !r.failed; f++)
            get_name(&r, numbering->sources[s].fields[f]);
        numbering->sources[s].field_count = fields;
    }
    numbering->source_count = sources;
    return !r.failed && r.used == r.bytes;
}

/* --- from one to another --- */

static uint8_t source_named(const struct numbering *numbering, const char *name)
{
    for (uint32_t s = 0; s < numbering->source_count; s++)
        if (strcmp(numbering->sources[s].name, name) == 0)
            return (uint8_t)s;
    return NUMBERING_GONE;
}

static uint8_t field_named(const struct numbering *numbering, uint8_t source, const char *name)
{
    for (uint32_t f = 0; f < numbering->sources[source].field_count; f++)
        if (strcmp(numbering->sources[source].fields[f], name) == 0)
            return (uint8_t)f;
    return NUMBERING_GONE;
}

struct renumbering renumbering_from(const struct numbering *then, const struct numbering *now)
{
    struct renumbering r = { .same = true, .source_count = then->source_count };
    memset(r.fields, NUMBERING_GONE, sizeof r.fields);
    for (uint32_t s = 0; s < then->source_count; s++) {
        uint8_t source = source_named(now, then->sources[s].name);
        r.sources[s] = source;
        r.same = r.same && source == s;
        for (uint32_t f = 0; f < then->sources[s].field_count; f++) {
            uint8_t field = source == NUMBERING_GONE
                                ? NUMBERING_GONE
                                : field_named(now, source, then->sources[s].fields[f]);
            r.fields[s][f] = field;
            r.same = r.same && field == f;
        }
    }
    return r;
}

/* Further fields: (u8 index, u8 type, f64 or text)... */
static struct text renumber_extra(const uint8_t fields[READING_FIELDS_MAX], struct text extra,
                                  struct byte_writer *room)
{
    struct byte_reader in = { (const uint8_t *)extra.at, extra.bytes, 0, false };
    size_t from = room->used;
    while (in.used < in.bytes) {
        uint8_t index = get_u8(&in);
        size_t begins = in.used;
        if (get_u8(&in) == VALUE_TEXT)
            (void)get_text(&in);
        else
            (void)get_f64(&in);
        if (in.failed || index >= READING_FIELDS_MAX)
            break;
        size_t bytes = in.used - begins;
        if (fields[index] == NUMBERING_GONE)
            continue;
        if (1 + bytes > room->bytes - room->used)
            break;
        put_u8(room, fields[index]);
        put_raw(room, in.at + begins, bytes);
    }
    return (struct text){ (const char *)room->at + from, (uint32_t)(room->used - from) };
}

void renumber(const struct renumbering *r, struct record *record, struct byte_writer *room)
{
    struct reading *reading = &record->reading;
    if (r->same || reading->source >= r->source_count)
        return;
    if (record->kind != RECORD_READING && record->kind != RECORD_REJECT &&
        record->kind != RECORD_SOURCE && record->kind != RECORD_GONE)
        return;
    room->used = 0;
    if (reading->extra.bytes > 0)
        reading->extra = renumber_extra(r->fields[reading->source], reading->extra, room);
    uint8_t source = r->sources[reading->source];
    reading->source = source == NUMBERING_GONE ? UINT16_MAX : source;
}
