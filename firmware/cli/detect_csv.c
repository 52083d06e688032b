#include "firmware/cli/detect_csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/timestamp.h"

void detect_csv_init(struct detect_csv *csv, FILE *file)
{
    *csv = (struct detect_csv){ .file = file, .value_column = 1, .device_column = -1,
                                .metric_column = -1, .unit_column = -1, .sequence_column = -1 };
}

static struct text trimmed(struct text t)
{
    while (t.bytes > 0 && (*t.at == ' ' || *t.at == '\t')) {
        t.at++;
        t.bytes--;
    }
    while (t.bytes > 0 && strchr(" \t\r\n", t.at[t.bytes - 1]) != NULL)
        t.bytes--;
    return t;
}

struct text detect_csv_cell(const struct detect_csv *csv, int column)
{
    const char *at = csv->bytes;
    if (column < 0)
        return (struct text){ 0 };
    for (; column > 0 && *at != '\0'; column--)
        at += strcspn(at, ",") + (strchr(at, ',') != NULL);
    return trimmed((struct text){ at, (uint32_t)strcspn(at, ",") });
}

static bool parse_number(struct text text, double *number)
{
    char copy[64], *end;
    if (text.bytes == 0 || text.bytes >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.bytes);
    copy[text.bytes] = '\0';
    *number = strtod(copy, &end);
    return *end == '\0' && isfinite(*number);
}

bool detect_csv_time(struct text text, int64_t *time_ms)
{
    char copy[64];
    double seconds;
    if (parse_number(text, &seconds) && fabs(seconds) < (double)TIME_MS_MAX / 1000) {
        *time_ms = (int64_t)llround(seconds * 1000);
        return true;
    }
    if (timestamp_parse(text, time_ms) == 0)
        return true;
    int bytes = snprintf(copy, sizeof copy, "%.*sZ", (int)text.bytes, text.at);
    return bytes > 0 && (size_t)bytes < sizeof copy && timestamp_parse(text_of(copy), time_ms) == 0;
}

static bool is_time_name(struct text name)
{
    return text_equal(name, text_of("timestamp")) || text_equal(name, text_of("time")) ||
           text_equal(name, text_of("event_time"));
}

static void take_name(struct detect_csv *csv, int column)
{
    static const char *const names[] = { "value", "device", "metric", "unit", "sequence" };
    int *const columns[] = { &csv->value_column, &csv->device_column, &csv->metric_column,
                             &csv->unit_column, &csv->sequence_column };
    struct text name = detect_csv_cell(csv, column);
    if (is_time_name(name))
        csv->time_column = column;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (text_equal(name, text_of(names[i])))
            *columns[i] = column;
}

static int columns_in(const char *line)
{
    int columns = 1;
    for (; (line = strchr(line, ',')) != NULL; line++)
        columns++;
    return columns < DETECT_CSV_COLUMNS_MAX ? columns : DETECT_CSV_COLUMNS_MAX;
}

static void keep_names(struct detect_csv *csv)
{
    csv->named = columns_in(csv->bytes);
    for (int i = 0; i < csv->named; i++) {
        struct text name = detect_csv_cell(csv, i);
        uint32_t bytes = name.bytes < READING_NAME_BYTES_MAX ? name.bytes : READING_NAME_BYTES_MAX;
        memcpy(csv->names[i], name.at, bytes);
        csv->names[i][bytes] = '\0';
    }
}

/* No column is called value: the second one is it, or all are. */
static void take_columns(struct detect_csv *csv)
{
    csv->value_column = 1;
    if (csv->wide && csv->metric_column < 0 && csv->named > 2)
        csv->columns = csv->next_column = csv->named;
}

/* The first line names columns unless it begins with a time. */
static bool take_header(struct detect_csv *csv)
{
    int64_t time_ms;
    if (detect_csv_time(detect_csv_cell(csv, 0), &time_ms))
        return false;
    csv->value_column = -1;
    for (int i = DETECT_CSV_COLUMNS_MAX; i >= 0; i--)
        take_name(csv, i);
    keep_names(csv);
    if (csv->value_column < 0)
        take_columns(csv);
    return true;
}

static int fail(struct detect_csv *csv, const char *what, struct text text)
{
    (void)snprintf(csv->fault, sizeof csv->fault, "%s, not \"%.*s\"", what,
                   (int)(text.bytes < 60 ? text.bytes : 60), text.bytes > 0 ? text.at : "");
    return -1;
}

static int take_row(struct detect_csv *csv)
{
    csv->time = detect_csv_cell(csv, csv->time_column);
    csv->value = detect_csv_cell(csv, csv->value_column);
    csv->device = detect_csv_cell(csv, csv->device_column);
    csv->metric = detect_csv_cell(csv, csv->metric_column);
    csv->unit = detect_csv_cell(csv, csv->unit_column);
    csv->sequence = detect_csv_cell(csv, csv->sequence_column);
    if (csv->columns > 0)
        csv->metric = text_of(csv->names[csv->value_column]);
    if (!detect_csv_time(csv->time, &csv->time_ms))
        return fail(csv, "want a time such as 2026-01-31 12:00:00 or Unix seconds", csv->time);
    csv->is_number = parse_number(csv->value, &csv->number);
    if (!csv->is_number && csv->texts)
        return 1;
    if (!csv->is_number)
        return fail(csv, "want a number", csv->value);
    if (fabs(csv->number) > READING_NUMBER_MAX)
        return fail(csv, "want a number within 1e140", csv->value);
    return 1;
}

/* The next cell of the line that holds something; false: there is none. */
static bool next_cell(struct detect_csv *csv)
{
    while (csv->next_column < csv->columns) {
        csv->value_column = csv->next_column++;
        bool holds = detect_csv_cell(csv, csv->value_column).bytes > 0;
        if (csv->value_column != csv->time_column && holds)
            return true;
    }
    return false;
}

int detect_csv_next(struct detect_csv *csv)
{
    for (;;) {
        errno = 0;
        if (next_cell(csv))
            return take_row(csv);
        if (fgets(csv->bytes, sizeof csv->bytes, csv->file) == NULL) {
            if (ferror(csv->file) == 0)
                return 0;
            (void)snprintf(csv->fault, sizeof csv->fault, "%s", strerror(errno));
            return -1;
        }
        csv->line++;
        if (strchr(csv->bytes, '\n') == NULL && feof(csv->file) == 0)
            return fail(csv, "want a line of at most 4094 bytes", (struct text){ csv->bytes, 20 });
        if (trimmed(text_of(csv->bytes)).bytes == 0 || (csv->line == 1 && take_header(csv)))
            continue;
        if (csv->columns == 0)
            return take_row(csv);
        csv->next_column = 0;
    }
}
