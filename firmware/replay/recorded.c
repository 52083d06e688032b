#include "firmware/replay/recorded.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"
#include "pipeline/codec/codec_json_check.h"

static bool ends_with(const char *path, const char *end)
{
    size_t bytes = strlen(path), tail = strlen(end);
    return bytes >= tail && strcmp(path + bytes - tail, end) == 0;
}

/* The file's name without its ending, if a device can have it. */
static void name_device(struct recorded *r)
{
    const char *slash = strrchr(r->path, '/'), *from = slash != NULL ? slash + 1 : r->path;
    size_t bytes = strcspn(from, ".");
    struct text name = { from, (uint32_t)bytes };
    (void)snprintf(r->device, sizeof r->device, "recorded");
    if (name_valid(name))
        (void)snprintf(r->device, sizeof r->device, "%.*s", (int)bytes, from);
}

int recorded_open(struct recorded *r, const char *path)
{
    struct stat status;
    *r = (struct recorded){ .path = path, .file = fopen(path, "r") };
    if (r->file == NULL) {
        (void)fprintf(stderr, "weir: %s: %s\n", path, strerror(errno));
        return CLI_PROBLEM;
    }
    if (fstat(fileno(r->file), &status) == 0 && status.st_size > 0)
        r->bytes = (uint64_t)status.st_size;
    r->json = ends_with(path, ".jsonl") || ends_with(path, ".ndjson") || ends_with(path, ".json");
    detect_csv_init(&r->csv, r->file);
    r->csv.texts = true;
    name_device(r);
    return CLI_OK;
}

void recorded_close(struct recorded *r)
{
    if (r->file != NULL)
        (void)fclose(r->file); /* it was read only */
    r->file = NULL;
}

static int fail(struct recorded *r, const char *what)
{
    (void)snprintf(r->fault, sizeof r->fault, "%s", what);
    return -1;
}

/* --- what both come to --- */

static struct text named(const char *name, const char *otherwise)
{
    return text_of(name[0] != '\0' ? name : otherwise);
}

/* r->names hold device, metric and unit. */
static int finish(struct recorded *r, int64_t time_ms)
{
    struct reading *reading = &r->record.reading;
    reading->device = named(r->names[0], r->device);
    reading->metric = named(r->names[1], "value");
    reading->unit = text_of(r->names[2]);
    reading->has_device_time = true;
    reading->device_time_ms = time_ms;
    r->record.kind = RECORD_READING;
    r->record.event_time_ms = time_ms;
    if (reading->value.type != VALUE_TEXT && fabs(reading->value.number) > READING_NUMBER_MAX)
        return fail(r, "want a number within 1e140");
    return 1;
}

static void copy_text(char *to, size_t bytes, struct text from)
{
    (void)snprintf(to, bytes, "%.*s", (int)from.bytes, from.bytes > 0 ? from.at : "");
}

static void take_sequence(struct recorded *r, const char *digits)
{
    char *end;
    if (digits[0] < '0' || digits[0] > '9')
        return;
    r->record.reading.sequence = strtoull(digits, &end, 10);
    r->record.reading.has_sequence = *end == '\0';
}

/* --- CSV --- */

static int next_csv(struct recorded *r)
{
    char digits[32];
    int got = detect_csv_next(&r->csv);
    r->line = r->csv.line;
    r->read += strlen(r->csv.bytes);
    if (got < 0)
        return fail(r, r->csv.fault);
    if (got == 0)
        return 0;
    r->record = (struct record){ 0 };
    copy_text(r->names[0], sizeof r->names[0], r->csv.device);
    copy_text(r->names[1], sizeof r->names[1], r->csv.metric);
    copy_text(r->names[2], sizeof r->names[2], r->csv.unit);
    copy_text(digits, sizeof digits, r->csv.sequence);
    take_sequence(r, digits);
    r->record.reading.value.number = r->csv.is_number ? r->csv.number : 0;
    if (!r->csv.is_number) {
        copy_text(r->value, sizeof r->value, r->csv.value);
        r->record.reading.value = (struct value){ .type = VALUE_TEXT, .text = text_of(r->value) };
    }
    return finish(r, r->csv.time_ms);
}

/* --- JSON Lines --- */

static bool json_time(struct text line, int64_t *time_ms)
{
    static const char *const in_ms[] = { "event_time_ms", "time_ms" };
    static const char *const others[] = { "event_time", "time", "timestamp", "ts" };
    char word[64];
    for (size_t i = 0; i < sizeof in_ms / sizeof in_ms[0]; i++) {
        json_view_text(line, in_ms[i], word, sizeof word);
        double ms = strtod(word, NULL);
        if (word[0] != '\0' && fabs(ms) < (double)TIME_MS_MAX) {
            *time_ms = (int64_t)llround(ms);
            return true;
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        json_view_text(line, others[i], word, sizeof word);
        if (word[0] != '\0')
            return detect_csv_time(text_of(word), time_ms);
    }
    return false;
}

/* False: there is none, or it is an object or an array. */
static bool json_value(struct recorded *r, struct text line)
{
    struct text value = json_view_at(line, "value");
    struct value *to = &r->record.reading.value;
    if (value.bytes == 0 || memchr("{[n", value.at[0], 3) != NULL)
        return false;
    if (value.at[0] == '"') {
        json_view_print(value, r->value, sizeof r->value);
        *to = (struct value){ .type = VALUE_TEXT, .text = text_of(r->value) };
    } else if (value.at[0] == 't' || value.at[0] == 'f') {
        *to = (struct value){ .type = VALUE_BOOLEAN, .number = value.at[0] == 't' };
    } else {
        to->number = json_view_number(line, "value");
    }
    return true;
}

static int take_json(struct recorded *r, struct text line)
{
    char digits[32], word[32];
    int64_t time_ms;
    r->record = (struct record){ 0 };
    json_view_text(line, "kind", word, sizeof word);
    if (word[0] != '\0' && strcmp(word, "reading") != 0) {
        r->passed_over++;
        return 0;
    }
    if (!json_time(line, &time_ms))
        return fail(r, "want a time: event_time_ms, or time as RFC 3339 or Unix seconds");
    if (!json_value(r, line))
        return fail(r, "want a value: a number, a text, true or false");
    json_view_text(line, "device", r->names[0], sizeof r->names[0]);
    json_view_text(line, "metric", r->names[1], sizeof r->names[1]);
    json_view_text(line, "unit", r->names[2], sizeof r->names[2]);
    json_view_text(line, "sequence", digits, sizeof digits);
    take_sequence(r, digits);
    r->record.reading.index = (uint32_t)json_view_unsigned(line, "index");
    r->arrives = json_view_at(line, "t_ms").bytes > 0;
    r->record.t_ms = (int64_t)(json_view_unsigned(line, "t_ms") % (uint64_t)TIME_MS_MAX);
    return finish(r, time_ms);
}

static int next_json(struct recorded *r)
{
    for (;;) {
        errno = 0;
        if (fgets(r->text, sizeof r->text, r->file) == NULL)
            return ferror(r->file) == 0 ? 0 : fail(r, strerror(errno));
        r->line++;
        struct text line = text_of(r->text);
        r->read += line.bytes;
        if (line.bytes + 1 == sizeof r->text && r->text[line.bytes - 1] != '\n')
            return fail(r, "want a line of at most 64 KiB");
        while (line.bytes > 0 && strchr(" \t\r\n", line.at[line.bytes - 1]) != NULL)
            line.bytes--;
        if (line.bytes == 0)
            continue;
        if (line.at[0] != '{' || json_check(line, JSON_DEPTH_MAX).reason != REJECT_NONE)
            return fail(r, "want a JSON object");
        int took = take_json(r, line);
        if (took != 0)
            return took;
    }
}

int recorded_next(struct recorded *r)
{
    return r->json ? next_json(r) : next_csv(r);
}
