#include "pipeline/inventory.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/err.h"

enum { WHY_BYTES = 256, NUMBER_BYTES_MAX = 48 };

enum field {
    FIELD_DEVICE, FIELD_SITE, FIELD_LINE, FIELD_MODEL, FIELD_UNIT, FIELD_LOW, FIELD_HIGH, FIELDS
};

static const char field_names[FIELDS][8] = { "device", "site", "line", "model",
                                             "unit",   "low",  "high" };

struct half { /* one of the two */
    struct inventory_entry *entries; /* in the order of the file */
    uint32_t *order;                 /* indexes into entries, sorted by device */
    uint32_t *lines;                 /* of the file, where each entry stands */
    uint32_t *columns;
    uint32_t count;
};

struct inventory {
    uint32_t entries_max;
    uint32_t active;
    struct half halves[2];
};

struct place {
    uint32_t line, column; /* from 1, column in bytes */
};

struct inventory *inventory_init(uint32_t entries_max, struct arena *arena)
{
    struct inventory *inventory = arena_take(arena, 1, sizeof *inventory);
    struct half halves[2];
    for (int i = 0; i < 2; i++) {
        halves[i] = (struct half){ 0 };
        halves[i].entries = arena_take(arena, entries_max, sizeof halves[i].entries[0]);
        halves[i].order = arena_take(arena, entries_max, sizeof halves[i].order[0]);
        halves[i].lines = arena_take(arena, entries_max, sizeof halves[i].lines[0]);
        halves[i].columns = arena_take(arena, entries_max, sizeof halves[i].columns[0]);
    }
    if (inventory == NULL)
        return NULL;
    *inventory = (struct inventory){ .entries_max = entries_max };
    memcpy(inventory->halves, halves, sizeof halves);
    return inventory;
}

/* The sentence for people; what does not fit is cut. Returns `error`. */
static int fault(char *why, struct place place, const char *what, int error)
{
    (void)snprintf(why, WHY_BYTES, "line %u, column %u: %s", place.line, place.column, what);
    return error;
}

/* --- entries ------------------------------------------------------------------------------ */

static char *text_field(struct inventory_entry *entry, enum field field)
{
    switch (field) {
    case FIELD_DEVICE:
        return entry->device;
    case FIELD_SITE:
        return entry->site;
    case FIELD_LINE:
        return entry->line;
    case FIELD_MODEL:
        return entry->model;
    case FIELD_UNIT:
        return entry->unit;
    case FIELD_LOW:
    case FIELD_HIGH:
    case FIELDS:
        break;
    }
    return NULL;
}

static void set_number(struct inventory_entry *entry, enum field field, double number)
{
    assert(field == FIELD_LOW || field == FIELD_HIGH);
    if (field == FIELD_LOW) {
        entry->low = number;
        entry->has_low = true;
    } else {
        entry->high = number;
        entry->has_high = true;
    }
}

static bool in_range(double number)
{
    return number >= -READING_NUMBER_MAX && number <= READING_NUMBER_MAX;
}

/* strtod alone would take hexadecimal, "inf", "nan" and leading blanks. */
static bool number_parse(const char *text, double *number)
{
    char *end;
    size_t bytes = strlen(text);
    for (size_t i = 0; i < bytes; i++)
        if (strchr("0123456789+-.eE", text[i]) == NULL)
            return false;
    *number = strtod(text, &end);
    return bytes > 0 && *end == 0 && in_range(*number);
}

/* NULL, or what is wrong with a complete entry. */
static const char *entry_fault(const struct inventory_entry *entry)
{
    if (entry->device[0] == 0)
        return "the entry names no device";
    if (entry->has_low && entry->has_high && entry->low > entry->high)
        return "low is greater than high";
    return NULL;
}

static int entry_add(struct inventory *inventory, struct half *half,
                     const struct inventory_entry *entry, struct place place, char *why)
{
    const char *wrong = entry_fault(entry);
    if (wrong != NULL)
        return fault(why, place, wrong, WEIR_EINVAL);
    if (half->count == inventory->entries_max)
        return fault(why, place, "more entries than inventory.entries_max", WEIR_EFULL);
    half->entries[half->count] = *entry;
    half->lines[half->count] = place.line;
    half->columns[half->count] = place.column;
    half->order[half->count] = half->count;
    half->count++;
    return 0;
}

static int compare(const struct half *half, uint32_t a, uint32_t b)
{
    return strcmp(half->entries[half->order[a]].device, half->entries[half->order[b]].device);
}

static void swap(struct half *half, uint32_t a, uint32_t b)
{
    uint32_t kept = half->order[a];
    half->order[a] = half->order[b];
    half->order[b] = kept;
}

static void sift_down(struct half *half, uint32_t root, uint32_t end)
{
    for (uint32_t child = 2 * root + 1; child < end; child = 2 * root + 1) {
        if (child + 1 < end && compare(half, child, child + 1) < 0)
            child++;
        if (compare(half, root, child) >= 0)
            return;
        swap(half, root, child);
        root = child;
    }
}

/* Heapsort: no recursion, no worst case, and qsort is not pure (it may take heap). */
static void sort(struct half *half)
{
    for (uint32_t root = half->count / 2; root > 0; root--)
        sift_down(half, root - 1, half->count);
    for (uint32_t end = half->count; end > 1; end--) {
        swap(half, 0, end - 1);
        sift_down(half, 0, end - 1);
    }
}

static int refuse_twice(const struct half *half, char *why)
{
    for (uint32_t i = 1; i < half->count; i++) {
        if (compare(half, i - 1, i) != 0)
            continue;
        uint32_t a = half->order[i - 1], b = half->order[i];
        uint32_t first = a < b ? a : b, second = a < b ? b : a;
        (void)snprintf(why, WHY_BYTES, "line %u, column %u: device %s stands in line %u already",
                       half->lines[second], half->columns[second], half->entries[second].device,
                       half->lines[first]);
        return WEIR_EINVAL;
    }
    return 0;
}

/* --- CSV (RFC 4180) ----------------------------------------------------------------------- */

struct csv {
    struct text file;
    uint32_t at;
    struct place place; /* of the byte at `at` */
};

struct cell {
    struct place place;
    char text[READING_NAME_BYTES_MAX + 1];
    bool ends_row;
};

static int peek(const struct csv *csv)
{
    return csv->at < csv->file.bytes ? (uint8_t)csv->file.at[csv->at] : -1;
}

static int take(struct csv *csv)
{
    int byte = peek(csv);
    if (byte < 0)
        return byte;
    csv->at++;
    csv->place.column++;
    if (byte == '\n')
        csv->place = (struct place){ csv->place.line + 1, 1 };
    return byte;
}

/* One byte of a cell's text: -1 at its end, -2 where the quotes are wrong. */
static int cell_byte(struct csv *csv, bool quoted)
{
    int byte = peek(csv);
    if (!quoted && (byte < 0 || byte == ',' || byte == '\n' || byte == '\r'))
        return -1;
    if (byte < 0 || (!quoted && byte == '"'))
        return -2;
    (void)take(csv);
    if (!quoted || byte != '"')
        return byte;
    return peek(csv) == '"' ? take(csv) : -1;
}

static int cell_read(struct csv *csv, struct cell *cell, char *why)
{
    cell->place = csv->place;
    bool quoted = peek(csv) == '"';
    uint32_t bytes = 0;
    if (quoted)
        (void)take(csv);
    for (int byte = cell_byte(csv, quoted); byte != -1; byte = cell_byte(csv, quoted)) {
        if (byte == -2)
            return fault(why, csv->place, "a quote that does not belong here, or is not closed",
                         WEIR_EINVAL);
        if (byte == 0)
            return fault(why, csv->place, "a NUL byte", WEIR_EINVAL);
        if (bytes == READING_NAME_BYTES_MAX)
            return fault(why, cell->place, "longer than 64 bytes", WEIR_EINVAL);
        cell->text[bytes++] = (char)byte;
    }
    cell->text[bytes] = 0;
    struct place end = csv->place;
    int separator = take(csv);
    if (separator == '\r' && peek(csv) == '\n')
        separator = take(csv);
    cell->ends_row = separator != ',';
    if (separator >= 0 && separator != ',' && separator != '\n')
        return fault(why, end, "a comma or the end of the line belongs here", WEIR_EINVAL);
    return 0;
}

/* Which field each column of the file holds. */
struct header {
    uint32_t count;
    enum field fields[FIELDS];
};

static int header_read(struct csv *csv, struct header *header, char *why)
{
    struct cell cell;
    bool seen[FIELDS] = { false };
    do {
        int error = cell_read(csv, &cell, why);
        if (error != 0)
            return error;
        uint32_t field = 0;
        while (field < FIELDS && strcmp(cell.text, field_names[field]) != 0)
            field++;
        if (field == FIELDS)
            return fault(why, cell.place,
                         "the header line names a column other than device, site, line, model, "
                         "unit, low, high",
                         WEIR_EINVAL);
        if (seen[field])
            return fault(why, cell.place, "the header line names this column twice", WEIR_EINVAL);
        seen[field] = true;
        header->fields[header->count++] = (enum field)field;
    } while (!cell.ends_row);
    if (!seen[FIELD_DEVICE])
        return fault(why, (struct place){ 1, 1 }, "the header line names no column device",
                     WEIR_EINVAL);
    return 0;
}

static int cell_use(const struct cell *cell, enum field field, struct inventory_entry *entry,
                    char *why)
{
    char *to = text_field(entry, field);
    double number;
    if (to != NULL)
        memcpy(to, cell->text, strlen(cell->text) + 1);
    else if (cell->text[0] != 0) {
        if (!number_parse(cell->text, &number))
            return fault(why, cell->place, "low and high are numbers", WEIR_EINVAL);
        set_number(entry, field, number);
    }
    return 0;
}

static int row_read(struct csv *csv, const struct header *header, struct inventory_entry *entry,
                    char *why)
{
    struct place start = csv->place;
    struct cell cell;
    uint32_t count = 0;
    do {
        int error = cell_read(csv, &cell, why);
        if (error != 0)
            return error;
        if (count == header->count)
            return fault(why, cell.place, "more cells than the header line has", WEIR_EINVAL);
        error = cell_use(&cell, header->fields[count++], entry, why);
        if (error != 0)
            return error;
    } while (!cell.ends_row);
    if (count < header->count)
        return fault(why, start, "fewer cells than the header line has", WEIR_EINVAL);
    return 0;
}

static int csv_load(struct inventory *inventory, struct half *half, struct text file, char *why)
{
    struct csv csv = { .file = file, .place = { 1, 1 } };
    struct header header = { 0 };
    if (file.bytes >= 3 && memcmp(file.at, "\xef\xbb\xbf", 3) == 0) /* spreadsheets put it there */
        csv.at = 3;
    int error = header_read(&csv, &header, why);
    while (error == 0 && peek(&csv) >= 0) {
        struct place place = csv.place;
        struct inventory_entry entry = { 0 };
        if (peek(&csv) == '\n' || peek(&csv) == '\r') {
            (void)take(&csv);
            continue;
        }
        error = row_read(&csv, &header, &entry, why);
        if (error == 0)
            error = entry_add(inventory, half, &entry, place, why);
    }
    return error;
}

/* --- JSON --------------------------------------------------------------------------------- */

struct walk { /* over the text, for the places that cJSON does not keep */
    struct text file;
    uint32_t at;
    struct place place;
};

static void walk_to(struct walk *walk, size_t offset)
{
    for (; walk->at < offset && walk->at < walk->file.bytes; walk->at++)
        if (walk->file.at[walk->at] == '\n')
            walk->place = (struct place){ walk->place.line + 1, 1 };
        else
            walk->place.column++;
}

static struct place place_of(struct text file, const char *at)
{
    struct walk walk = { .file = file, .place = { 1, 1 } };
    walk_to(&walk, (size_t)(at - file.at));
    return walk.place;
}

/* To the next brace that opens an object, behind this one. The text is known to be JSON, and an
 * entry with an object in it has been refused. */
static void walk_to_entry(struct walk *walk)
{
    bool quoted = false;
    size_t at = walk->at + 1u;
    for (; at < walk->file.bytes && (quoted || walk->file.at[at] != '{'); at++) {
        if (quoted && walk->file.at[at] == '\\')
            at++;
        else if (walk->file.at[at] == '"')
            quoted = !quoted;
    }
    walk_to(walk, at);
}

static const char *member_use(const cJSON *member, struct inventory_entry *entry)
{
    uint32_t field = 0;
    while (field < FIELDS && strcmp(member->string, field_names[field]) != 0)
        field++;
    if (field == FIELDS)
        return "a member other than device, site, line, model, unit, low, high";
    char *to = text_field(entry, (enum field)field);
    if (cJSON_IsNull(member))
        return NULL;
    if (to == NULL) {
        if (!cJSON_IsNumber(member) || !in_range(member->valuedouble))
            return "low and high are numbers";
        set_number(entry, (enum field)field, member->valuedouble);
        return NULL;
    }
    if (!cJSON_IsString(member))
        return "device, site, line, model and unit are strings";
    if (strlen(member->valuestring) > READING_NAME_BYTES_MAX)
        return "a string longer than 64 bytes";
    memcpy(to, member->valuestring, strlen(member->valuestring) + 1);
    return NULL;
}

static int array_use(struct inventory *inventory, struct half *half, const cJSON *root,
                     struct text file, char *why)
{
    const cJSON *element, *member;
    struct walk walk = { .file = file, .place = { 1, 1 } };
    if (!cJSON_IsArray(root))
        return fault(why, (struct place){ 1, 1 }, "the file is no JSON array", WEIR_EINVAL);
    cJSON_ArrayForEach(element, root)
    {
        struct inventory_entry entry = { 0 };
        if (!cJSON_IsObject(element))
            return fault(why, walk.place, "the element behind this is no object", WEIR_EINVAL);
        walk_to_entry(&walk);
        cJSON_ArrayForEach(member, element)
        {
            const char *wrong = member_use(member, &entry);
            if (wrong != NULL)
                return fault(why, walk.place, wrong, WEIR_EINVAL);
        }
        int error = entry_add(inventory, half, &entry, walk.place, why);
        if (error != 0)
            return error;
    }
    return 0;
}

static int json_load(struct inventory *inventory, struct half *half, struct text file, char *why)
{
    const char *end = file.at;
    cJSON *root = cJSON_ParseWithLengthOpts(file.at, file.bytes, &end, 0);
    if (root == NULL)
        return fault(why, place_of(file, end),
                     "not JSON, or more of it than the decoder's memory holds", WEIR_EINVAL);
    int error = 0;
    for (; end < file.at + file.bytes && error == 0; end++)
        if (strchr(" \t\r\n", *end) == NULL || *end == 0)
            error = fault(why, place_of(file, end), "bytes follow the array",
                          WEIR_EINVAL);
    if (error == 0)
        error = array_use(inventory, half, root, file, why);
    cJSON_Delete(root);
    return error;
}

/* --- in use ------------------------------------------------------------------------------- */

int inventory_load(struct inventory *inventory, struct text file, bool json, char *why)
{
    struct half *half = &inventory->halves[1 - inventory->active];
    half->count = 0;
    why[0] = 0;
    if (file.bytes == 0)
        return fault(why, (struct place){ 1, 1 }, "the file is empty", WEIR_EINVAL);
    int error = json ? json_load(inventory, half, file, why) : csv_load(inventory, half, file, why);
    if (error != 0)
        return error;
    sort(half);
    error = refuse_twice(half, why);
    if (error == 0)
        inventory->active = 1 - inventory->active;
    return error;
}

const struct inventory_entry *inventory_find(const struct inventory *inventory, struct text device)
{
    const struct half *half = &inventory->halves[inventory->active];
    uint32_t low = 0, high = half->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct inventory_entry *entry = &half->entries[half->order[middle]];
        struct text name = text_of(entry->device);
        uint32_t common = name.bytes < device.bytes ? name.bytes : device.bytes;
        int order = common == 0 ? 0 : memcmp(name.at, device.at, common);
        if (order == 0 && name.bytes == device.bytes)
            return entry;
        if (order < 0 || (order == 0 && name.bytes < device.bytes))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
