#include "firmware/replay/journal_csv.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/codec/codec_json_check.h"
#include "pipeline/codec/json_writer.h"
#include "pipeline/reading.h"

enum column {
    BLOCK, POSITION, SOURCE, DEVICE, METRIC, VALUE, UNIT, EVENT_TIME, EVENT_TIME_MS, TIME_SOURCE,
    SEQUENCE, INDEX
};

static const char *const names[JOURNAL_CSV_COLUMNS] = {
    "block", "position",   "source",        "device",      "metric",   "value",
    "unit",  "event_time", "event_time_ms", "time_source", "sequence", "index"
};

static int fail(struct journal_csv *csv, const char *what, struct text text)
{
    (void)snprintf(csv->fault, sizeof csv->fault, "want %s, not \"%.*s\"", what,
                   (int)(text.bytes < 60 ? text.bytes : 60), text.bytes > 0 ? text.at : "");
    return -1;
}

/* --- rows, RFC 4180: a quoted cell may hold commas, line ends, and its quotes twice --- */

struct row {
    struct journal_csv *csv;
    char *to;
    size_t room, used, from; /* `from`: where the cell begins */
    uint32_t cells, cells_max;
};

static bool put(struct row *r, int c)
{
    if (r->used == r->room)
        return false;
    r->to[r->used++] = (char)c;
    return true;
}

static bool end_cell(struct row *r)
{
    if (r->cells == r->cells_max)
        return false;
    r->csv->cells[r->cells++] = (struct text){ r->to + r->from, (uint32_t)(r->used - r->from) };
    bool fits = put(r, '\0'); /* so that a number ends with its cell */
    r->from = r->used;
    return fits;
}

/* The character behind the closing quote; EOF: there is none. */
static int quoted(struct row *r)
{
    int c;
    while ((c = getc(r->csv->file)) != EOF) {
        if (c == '"' && (c = getc(r->csv->file)) != '"')
            return c == EOF ? '\n' : c;
        r->csv->lines += c == '\n';
        if (!put(r, c))
            return EOF;
    }
    return EOF;
}

/* Cells of the next line that is not empty into csv->cells. How many; 0: the end; -1: fault. */
static int read_row(struct journal_csv *csv, char *to, size_t room)
{
    struct row r = { csv, to, room, 0, 0, 0, JOURNAL_CSV_COLUMNS + JOURNAL_CSV_FIELDS_MAX };
    int c = getc(csv->file);
    while (c == '\n' || c == '\r') {
        csv->lines += c == '\n';
        c = getc(csv->file);
    }
    csv->line = csv->lines + 1;
    if (c == EOF)
        return 0;
    for (;; c = getc(csv->file)) {
        if (c == '"' && r.used == r.from && (c = quoted(&r)) == EOF)
            return fail(csv, "a closing quote, and rows of at most 128 KiB", csv->cells[0]);
        bool fits = true;
        if (c == ',' || c == '\n' || c == EOF)
            fits = end_cell(&r);
        else if (c != '\r')
            fits = put(&r, c);
        if (!fits)
            return fail(csv, "at most 76 columns, and rows of at most 128 KiB", csv->cells[0]);
        if (c == '\n' || c == EOF)
            break;
    }
    csv->lines++;
    return (int)r.cells;
}

int journal_csv_open(struct journal_csv *csv, FILE *file)
{
    *csv = (struct journal_csv){ .file = file };
    int cells = read_row(csv, csv->head, sizeof csv->head);
    if (cells < 0)
        return -1;
    for (int i = 0; i < JOURNAL_CSV_COLUMNS; i++)
        if (i >= cells || !text_equal(csv->cells[i], text_of(names[i])))
            return fail(csv, "the columns of `weir export --format csv`",
                        i < cells ? csv->cells[i] : (struct text){ 0 });
    for (int i = JOURNAL_CSV_COLUMNS; i < cells; i++) {
        struct text name = csv->cells[i];
        if (name.bytes <= 7 || memcmp(name.at, "fields.", 7) != 0)
            return fail(csv, "fields.NAME behind the other columns", name);
        csv->fields[i - JOURNAL_CSV_COLUMNS] = (struct text){ name.at + 7, name.bytes - 7 };
    }
    csv->columns = (uint32_t)cells;
    return 0;
}

/* --- cells --- */

/* A whole number as JSON has it, and as this type holds it. */
static bool whole(struct text cell, bool is_signed, int64_t *to)
{
    char digits[24];
    uint32_t sign = is_signed && cell.bytes > 0 && cell.at[0] == '-';
    if (cell.bytes <= sign || cell.bytes > 18)
        return false;
    for (uint32_t i = sign; i < cell.bytes; i++)
        if (cell.at[i] < '0' || cell.at[i] > '9')
            return false;
    (void)snprintf(digits, sizeof digits, "%.*s", (int)cell.bytes, cell.at);
    *to = strtoll(digits, NULL, 10);
    return true;
}

static void put_value(struct json_writer *w, struct text cell)
{
    bool truth = text_equal(cell, text_of("true")) || text_equal(cell, text_of("false"));
    bool number = cell.bytes > 0 && strchr("-0123456789", cell.at[0]) != NULL &&
                  json_check(cell, 1).reason == REJECT_NONE;
    if (truth)
        json_bool(w, cell.at[0] == 't');
    else if (number)
        json_number(w, strtod(cell.at, NULL));
    else
        json_text(w, cell);
}

static void put_fields(struct json_writer *w, const struct journal_csv *csv)
{
    json_key(w, "fields");
    json_object(w);
    for (uint32_t i = JOURNAL_CSV_COLUMNS; i < csv->columns; i++)
        if (csv->cells[i].bytes > 0) {
            json_text(w, csv->fields[i - JOURNAL_CSV_COLUMNS]);
            json_colon(w);
            put_value(w, csv->cells[i]);
        }
    json_object_end(w);
}

static struct text print_line(struct journal_csv *csv, int64_t event_ms, int64_t sequence,
                              int64_t index)
{
    const struct text *cells = csv->cells;
    struct json_writer w = json_writer_over(csv->json, sizeof csv->json);
    json_object(&w);
    json_put_unsigned(&w, "block", csv->block);
    json_put_string(&w, "kind", "reading");
    json_put_integer(&w, "t_ms", csv->t_ms);
    json_put_text(&w, "source", cells[SOURCE]);
    json_put_text(&w, "device", cells[DEVICE]);
    json_put_text(&w, "metric", cells[METRIC]);
    json_key(&w, "value");
    put_value(&w, cells[VALUE]);
    if (cells[UNIT].bytes > 0)
        json_put_text(&w, "unit", cells[UNIT]);
    json_put_integer(&w, "event_time_ms", event_ms);
    json_put_text(&w, "time_source", cells[TIME_SOURCE]);
    if (text_equal(cells[TIME_SOURCE], text_of("device")))
        json_put_integer(&w, "device_time_ms", event_ms);
    if (cells[SEQUENCE].bytes > 0)
        json_put_integer(&w, "sequence", sequence);
    json_put_integer(&w, "index", index);
    put_fields(&w, csv);
    json_object_end(&w);
    return json_done(&w);
}

int journal_csv_next(struct journal_csv *csv, struct text *line)
{
    const struct text *cells = csv->cells;
    int64_t block, event_ms, sequence = 0, index;
    int count = read_row(csv, csv->row, sizeof csv->row);
    if (count <= 0)
        return count;
    if ((uint32_t)count != csv->columns)
        return fail(csv, "as many cells as there are columns", cells[0]);
    if (!whole(cells[BLOCK], false, &block) || block < 1)
        return fail(csv, "a block's number", cells[BLOCK]);
    if (!whole(cells[EVENT_TIME_MS], true, &event_ms))
        return fail(csv, "event_time_ms in Unix milliseconds", cells[EVENT_TIME_MS]);
    if (cells[SEQUENCE].bytes > 0 && !whole(cells[SEQUENCE], false, &sequence))
        return fail(csv, "a sequence that is a whole number", cells[SEQUENCE]);
    if (!whole(cells[INDEX], false, &index) || index > UINT32_MAX)
        return fail(csv, "an index that is a whole number", cells[INDEX]);
    if (!name_valid(cells[DEVICE]) || !name_valid(cells[METRIC]) ||
        cells[UNIT].bytes > READING_NAME_BYTES_MAX)
        return fail(csv, "names of device and metric, and a unit, of at most 64 bytes",
                    cells[DEVICE]);
    if (cells[VALUE].bytes > READING_TEXT_BYTES_MAX)
        return fail(csv, "a value of at most 1 KiB", cells[VALUE]);
    if (!csv->begun)
        csv->offset_ms = event_ms;
    csv->begun = true;
    csv->block = (uint64_t)block;
    if (event_ms - csv->offset_ms > csv->t_ms)
        csv->t_ms = event_ms - csv->offset_ms;
    *line = print_line(csv, event_ms, sequence, index);
    return line->bytes > 0 ? 1 : fail(csv, "a shorter row", cells[DEVICE]);
}
