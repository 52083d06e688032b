#include "firmware/replay/journal_line.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/json_view.h"
#include "firmware/cli/triage.h"
#include "pipeline/codec/codec_json_check.h"

static int64_t number(struct text line, const char *path)
{
    char digits[32];
    json_view_text(line, path, digits, sizeof digits);
    return strtoll(digits, NULL, 10);
}

static struct text name(struct journal_line *l, int at, struct text line, const char *path)
{
    json_view_text(line, path, l->names[at], sizeof l->names[at]);
    return text_of(l->names[at]);
}

static struct text content(struct journal_line *l, struct text line, const char *path)
{
    json_view_text(line, path, l->content, sizeof l->content);
    return text_of(l->content);
}

static int index_of(const char *const *names, int count, const char *word)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], word) == 0)
            return i;
    return -1;
}

static bool find_source(const struct config *config, const char *word, uint16_t *source)
{
    for (uint32_t i = 0; config != NULL && i < config->source_count; i++)
        if (strcmp(config->sources[i].name, word) == 0) {
            *source = (uint16_t)i;
            return true;
        }
    return false;
}

static void read_hex(struct text hex, uint8_t *to, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes && 2 * i + 2 < hex.bytes; i++) {
        const char two[3] = { hex.at[1 + 2 * i], hex.at[2 + 2 * i], '\0' };
        to[i] = (uint8_t)strtoul(two, NULL, 16);
    }
}

static void read_store(struct journal_line *l, struct text line)
{
    char id[40], high[17];
    json_view_text(line, "store_id", id, sizeof id);
    l->has_store = strlen(id) == 32;
    (void)snprintf(high, sizeof high, "%.16s", id);
    l->store_id[0] = strtoull(high, NULL, 16);
    l->store_id[1] = l->has_store ? strtoull(id + 16, NULL, 16) : 0;
}

/* --- readings --- */

static void read_value(struct text from, struct value *to, char *text, size_t bytes)
{
    char digits[64];
    *to = (struct value){ .type = VALUE_NUMBER };
    if (from.bytes > 0 && from.at[0] == '"') {
        json_view_print(from, text, bytes);
        *to = (struct value){ .type = VALUE_TEXT, .text = text_of(text) };
        return;
    }
    json_view_print(from, digits, sizeof digits);
    if (digits[0] == 't' || digits[0] == 'f')
        *to = (struct value){ .type = VALUE_BOOLEAN, .number = digits[0] == 't' };
    else
        to->number = strtod(digits, NULL);
}

static uint8_t field_of(const struct config_source *source, struct text key)
{
    for (uint32_t i = 0; i < source->field_count; i++)
        if (text_equal(key, text_of(source->field_names[i])))
            return (uint8_t)i;
    return READING_FIELDS_MAX;
}

static const char *read_fields(struct journal_line *l, struct text line,
                               const struct config_source *source)
{
    struct byte_writer w = { l->extra, sizeof l->extra, 0, false };
    struct text key = { 0 }, from, fields = json_view_at(line, "fields");
    size_t cursor = 0;
    while (json_view_next(fields, &cursor, &key, &from)) {
        struct value value;
        uint8_t field = field_of(source, key);
        read_value(from, &value, l->value, sizeof l->value);
        put_u8(&w, field);
        put_u8(&w, (uint8_t)value.type);
        if (value.type == VALUE_TEXT)
            put_text(&w, value.text);
        else
            put_f64(&w, value.number);
        if (field == READING_FIELDS_MAX || w.failed)
            return "a further field is not in the configuration in force";
    }
    l->record.reading.extra = (struct text){ (const char *)l->extra, (uint32_t)w.used };
    return NULL;
}

static const char *read_reading(struct journal_line *l, struct text line,
                                const struct config *config)
{
    static const char *const sources[] = { "device", "arrival", "clamped", "coarse" };
    struct reading *r = &l->record.reading;
    char word[32];
    const char *why = read_fields(l, line, &config->sources[r->source]);
    if (why != NULL)
        return why;
    r->device = name(l, 0, line, "device");
    r->metric = name(l, 1, line, "metric");
    r->unit = name(l, 2, line, "unit");
    read_value(json_view_at(line, "value"), &r->value, l->value, sizeof l->value);
    l->record.event_time_ms = number(line, "event_time_ms");
    json_view_text(line, "time_source", word, sizeof word);
    int source = index_of(sources, 4, word);
    if (source < 0 || r->device.bytes == 0 || r->metric.bytes == 0)
        return "a reading lacks its device, metric or time_source";
    l->record.time_source = (enum time_source)source;
    r->has_device_time = json_view_at(line, "device_time_ms").bytes > 0;
    r->device_time_ms = number(line, "device_time_ms");
    r->has_sequence = json_view_at(line, "sequence").bytes > 0;
    r->sequence = json_view_unsigned(line, "sequence");
    r->index = (uint32_t)json_view_unsigned(line, "index");
    return NULL;
}

/* --- others --- */

static const char *read_clock(struct journal_line *l, struct text line)
{
    static const char *const states[] = { "unset", "coarse", "synced" };
    char word[16];
    json_view_text(line, "state", word, sizeof word);
    int state = index_of(states, 3, word);
    if (state < 0 || json_view_at(line, "boot").bytes == 0)
        return "a clock lacks its state or boot: an older Weir exported it";
    l->record.clock = (struct clock_record){ .offset_ms = number(line, "offset_ms"),
                                             .state = (enum clock_state)state,
                                             .boot = json_view_unsigned(line, "boot") };
    return NULL;
}

static const char *read_file(struct journal_line *l, struct text line)
{
    if (json_view_at(line, "content").bytes == 0)
        return "a configuration lacks its content: an older Weir exported it";
    read_hex(json_view_at(line, "digest"), l->digest, sizeof l->digest);
    l->record.digest = (struct text){ (const char *)l->digest, sizeof l->digest };
    l->record.content = content(l, line, "content");
    if (l->record.kind == RECORD_CONFIG)
        read_store(l, line);
    return NULL;
}

static void read_made(struct journal_line *l, struct text line)
{
    char digest[40], half[17], late[40];
    json_view_text(line, "digest", digest, sizeof digest);
    json_view_text(line, "correction_digest", late, sizeof late);
    (void)snprintf(half, sizeof half, "%.16s", digest);
    const struct made_sum sum = {
        .form = json_view_unsigned(line, "form"),
        .alerts = json_view_unsigned(line, "alerts"),
        .results = json_view_unsigned(line, "results"),
        .corrections = json_view_unsigned(line, "corrections"),
        .correction_digest = strtoull(late, NULL, 16),
        .alert_digest = strtoull(half, NULL, 16),
        .result_digest = strlen(digest) == 32 ? strtoull(digest + 16, NULL, 16) : 0,
    };
    l->record.content = made_pack(&sum, l->made);
}

static const char *read_other(struct journal_line *l, struct text line)
{
    char word[32];
    switch (l->record.kind) {
    case RECORD_REJECT:
        json_view_text(line, "reason", word, sizeof word);
        l->record.reason = triage_reason(word);
        l->record.reading.device = name(l, 0, line, "device");
        l->record.reading.metric = name(l, 1, line, "metric");
        l->record.reading.index = (uint32_t)json_view_unsigned(line, "index");
        return l->record.reason == REJECT_NONE ? "a reject has no known reason" : NULL;
    case RECORD_CLOCK:
        return read_clock(l, line);
    case RECORD_CONFIG:
    case RECORD_INVENTORY:
        return read_file(l, line);
    case RECORD_COMMAND:
        l->record.content = content(l, line, "command");
        return NULL;
    case RECORD_GONE:
        l->record.reading.device = name(l, 0, line, "device");
        l->record.content = content(l, line, "will");
        return NULL;
    case RECORD_MADE:
        read_made(l, line);
        return NULL;
    case RECORD_TICK:
    case RECORD_SOURCE:
    case RECORD_SHED:
    case RECORD_LAG:
        l->record.count = json_view_unsigned(line, "count");
        return NULL;
    case RECORD_READING:
        break;
    }
    return NULL;
}

const char *journal_line_read(struct journal_line *l, struct text line,
                              const struct config *config)
{
    static const char *const kinds[] = { "reading", "reject", "tick", "clock", "source", "config",
                                         "inventory", "shed", "command", "lag", "gone", "made" };
    static_assert(sizeof kinds / sizeof kinds[0] == RECORD_KIND_LAST, "a name for each");
    char word[READING_NAME_BYTES_MAX + 1];
    if (line.bytes == 0 || line.at[0] != '{' ||
        json_check(line, JSON_DEPTH_MAX).reason != REJECT_NONE)
        return "want a JSON object";
    json_view_text(line, "kind", word, sizeof word);
    int kind = index_of(kinds, RECORD_KIND_LAST, word);
    l->block = json_view_unsigned(line, "block");
    l->has_store = false;
    if (kind < 0 || l->block == 0 || json_view_at(line, "t_ms").bytes == 0)
        return "want a line of `weir export`: block, kind and t_ms";
    l->record = (struct record){ .kind = (enum record_kind)(kind + 1),
                                 .t_ms = number(line, "t_ms") };
    if (json_view_at(line, "source").bytes > 0) {
        json_view_text(line, "source", word, sizeof word);
        if (!find_source(config, word, &l->record.reading.source))
            return "its source is not in the configuration in force";
    }
    return l->record.kind == RECORD_READING ? read_reading(l, line, config) : read_other(l, line);
}
