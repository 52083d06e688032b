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

/* What can't be read twice is not looked at before. */
static bool is_export(struct recorded *r)
{
    if (fseek(r->file, 0, SEEK_SET) != 0)
        return false;
    if (journal_csv_open(&r->rows, r->file) == 0)
        return true;
    rewind(r->file);
    return false;
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
    r->exported = !r->json && is_export(r);
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

static void copy_text(char *to, size_t bytes, struct text from)
{
    (void)snprintf(to, bytes, "%.*s", (int)from.bytes, from.bytes > 0 ? from.at : "");
}

static struct text named(const char *name, const char *otherwise)
{
    return text_of(name[0] != '\0' ? name : otherwise);
}

/* r->names hold device, metric and unit, r->source what it came by, r->fields what else it has. */
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
    const char *wrong = recorded_fields_take(&r->fields, text_of(r->source), reading);
    return wrong != NULL ? fail(r, wrong) : 1;
}

static int bad_arrival(struct recorded *r)
{
    return fail(r, "want an arrival_time_ms in Unix milliseconds, or an arrival_time as RFC 3339 "
                   "or Unix seconds");
}

static bool parse_ms(const char *word, int64_t *ms)
{
    char *end;
    double number = strtod(word, &end);
    *ms = fabs(number) < (double)TIME_MS_MAX ? llround(number) : 0;
    return end != word && *end == '\0' && fabs(number) < (double)TIME_MS_MAX;
}

/* A time of arrival as it stands there; false: it is none. */
static bool take_arrival(struct recorded *r, struct text name, struct text at)
{
    char word[64];
    copy_text(word, sizeof word, at);
    r->heard = text_equal(name, text_of("arrival_time_ms")) ? parse_ms(word, &r->heard_ms)
                                                            : detect_csv_time(at, &r->heard_ms);
    return r->heard;
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

/* What the first line names. False: `fault` says what is wrong. */
static bool take_columns(struct recorded *r)
{
    r->source[0] = '\0';
    r->heard = false;
    recorded_fields_begin(&r->fields);
    for (int i = 0; i < r->csv.named; i++) {
        const struct recorded_cell cell = { text_of(r->csv.names[i]),
                                            detect_csv_cell(&r->csv, i), false };
        if (text_equal(cell.name, text_of("source")))
            copy_text(r->source, sizeof r->source, cell.at);
        bool arrival = text_equal(cell.name, text_of("arrival_time_ms")) ||
                       text_equal(cell.name, text_of("arrival_time")) ||
                       text_equal(cell.name, text_of("recordedtime"));
        if (arrival && !r->heard && cell.at.bytes > 0 && !take_arrival(r, cell.name, cell.at))
            return false;
        bool value = i == r->csv.value_column || i == r->csv.time_column;
        if (!value)
            recorded_fields_add(&r->fields, &cell);
    }
    return true;
}

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
    return take_columns(r) ? finish(r, r->csv.time_ms) : bad_arrival(r);
}

/* --- JSON Lines --- */

/* What is beyond RECORDED_CELLS_MAX is passed over. */
static void read_members(struct recorded *r, struct text line)
{
    struct recorded_cell cell = { .json = true };
    size_t cursor = 0;
    r->member_count = 0;
    while (r->member_count < RECORDED_CELLS_MAX &&
           json_view_next(line, &cursor, &cell.name, &cell.at))
        r->members[r->member_count++] = cell;
}

/* As it stands there; empty: there is none. */
static struct text member(const struct recorded *r, const char *name)
{
    struct text wanted = text_of(name);
    for (uint32_t i = 0; i < r->member_count; i++)
        if (text_equal(r->members[i].name, wanted))
            return r->members[i].at;
    return (struct text){ 0 };
}

static void member_text(const struct recorded *r, const char *name, char *to, size_t bytes)
{
    json_view_print(member(r, name), to, bytes);
}

static uint64_t member_unsigned(const struct recorded *r, const char *name)
{
    char digits[32];
    member_text(r, name, digits, sizeof digits);
    return strtoull(digits, NULL, 10);
}

static bool json_time(const struct recorded *r, int64_t *time_ms)
{
    static const char *const in_ms[] = { "event_time_ms", "time_ms" };
    static const char *const others[] = { "event_time", "time", "timestamp", "ts" };
    char word[64];
    for (size_t i = 0; i < sizeof in_ms / sizeof in_ms[0]; i++) {
        member_text(r, in_ms[i], word, sizeof word);
        double ms = strtod(word, NULL);
        if (word[0] != '\0' && fabs(ms) < (double)TIME_MS_MAX) {
            *time_ms = (int64_t)llround(ms);
            return true;
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        member_text(r, others[i], word, sizeof word);
        if (word[0] != '\0')
            return detect_csv_time(text_of(word), time_ms);
    }
    return false;
}

/* False: there is none, or it is an object or an array. */
static bool json_value(struct recorded *r)
{
    struct text value = member(r, "value");
    struct value *to = &r->record.reading.value;
    if (value.bytes == 0 || memchr("{[n", value.at[0], 3) != NULL)
        return false;
    if (value.at[0] == '"') {
        json_view_print(value, r->value, sizeof r->value);
        *to = (struct value){ .type = VALUE_TEXT, .text = text_of(r->value) };
    } else if (value.at[0] == 't' || value.at[0] == 'f') {
        *to = (struct value){ .type = VALUE_BOOLEAN, .number = value.at[0] == 't' };
    } else {
        json_view_print(value, r->value, sizeof r->value);
        to->number = strtod(r->value, NULL);
    }
    return true;
}

static bool json_arrival(struct recorded *r)
{
    static const char *const names[] = { "arrival_time_ms", "arrival_time", "recordedtime" };
    char word[64];
    r->heard = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        member_text(r, names[i], word, sizeof word);
        if (word[0] != '\0')
            return take_arrival(r, text_of(names[i]), text_of(word));
    }
    return true;
}

/* False: it is none that a gateway has. */
static bool json_t(struct recorded *r)
{
    char word[64];
    member_text(r, "t_ms", word, sizeof word);
    r->record.t_ms = 0;
    r->arrives = word[0] != '\0' && !r->exported; /* there it is a guess */
    return word[0] == '\0' || (parse_ms(word, &r->record.t_ms) && r->record.t_ms >= 0);
}

static int take_clock(struct recorded *r)
{
    char word[64], state[16];
    int64_t offset_ms;
    member_text(r, "offset_ms", word, sizeof word);
    member_text(r, "state", state, sizeof state);
    if (!r->arrives || !parse_ms(word, &offset_ms))
        return fail(r, "want a clock's t_ms and offset_ms");
    r->record.kind = RECORD_CLOCK;
    r->record.clock = (struct clock_record){ .offset_ms = offset_ms,
                                             .boot = member_unsigned(r, "boot") };
    for (int i = CLOCK_UNSET; i <= CLOCK_SYNCED; i++)
        if (strcmp(state, clock_state_name((enum clock_state)i)) == 0)
            r->record.clock.state = (enum clock_state)i;
    return 1;
}

static int take_json(struct recorded *r, struct text line)
{
    char digits[32], word[32];
    int64_t time_ms;
    r->record = (struct record){ 0 };
    read_members(r, line);
    member_text(r, "kind", word, sizeof word);
    if (!json_t(r))
        return fail(r, "want a t_ms from 0 on");
    if (strcmp(word, "clock") == 0)
        return take_clock(r);
    if (word[0] != '\0' && strcmp(word, "reading") != 0) {
        r->passed_over++;
        return 0;
    }
    if (!json_time(r, &time_ms))
        return fail(r, "want a time: event_time_ms, or time as RFC 3339 or Unix seconds");
    if (r->arrives && llabs(time_ms - r->record.t_ms) >= TIME_MS_MAX)
        return fail(r, "want a time that is nearer to its t_ms");
    if (!json_value(r))
        return fail(r, "want a value: a number, a text, true or false");
    if (!json_arrival(r))
        return bad_arrival(r);
    member_text(r, "device", r->names[0], sizeof r->names[0]);
    member_text(r, "metric", r->names[1], sizeof r->names[1]);
    member_text(r, "unit", r->names[2], sizeof r->names[2]);
    member_text(r, "source", r->source, sizeof r->source);
    member_text(r, "sequence", digits, sizeof digits);
    take_sequence(r, digits);
    member_text(r, "time_source", word, sizeof word);
    r->record.time_source = strcmp(word, "arrival") == 0 ? TIME_ARRIVAL : TIME_DEVICE;
    r->record.reading.index = (uint32_t)member_unsigned(r, "index");
    recorded_fields_begin(&r->fields);
    recorded_fields_add_json(&r->fields, member(r, "fields"));
    for (uint32_t i = 0; i < r->member_count; i++)
        recorded_fields_add(&r->fields, &r->members[i]);
    return finish(r, time_ms);
}

static int next_exported(struct recorded *r)
{
    struct text line;
    int got = journal_csv_next(&r->rows, &line);
    long at = ftell(r->file);
    r->line = r->rows.line;
    r->read = at > 0 ? (uint64_t)at : r->read;
    if (got < 0)
        return fail(r, r->rows.fault);
    return got == 0 ? 0 : take_json(r, line);
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
    if (r->exported)
        return next_exported(r);
    return r->json ? next_json(r) : next_csv(r);
}
