/* A file is `timestamp,value` lines: timestamps "2013-12-02 21:15:00" (UTC) or RFC 3339; a
 * header and lines that hold no number are passed over. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/timestamp.h"
#include "simulator/fleet.h"

enum { PATH_BYTES = 1024 };

struct row {
    int64_t time_ms;
    double value;
};

struct tape { /* one file */
    struct fleet_device device;
    struct row *rows;
    size_t count, next;
};

struct fleet_replay {
    const struct fleet_config *config;
    int64_t start_ms;
    uint32_t first_device;
    size_t tape_count;
    struct tape tapes[SETTING_LIST_MAX];
};

static bool row_read(char *line, struct row *row)
{
    char *comma = strchr(line, ',');
    if (comma == NULL || comma - line < 19 || comma - line > 40)
        return false;
    char stamp[48];
    size_t bytes = (size_t)(comma - line);
    memcpy(stamp, line, bytes);
    stamp[10] = 'T';
    if (bytes == 19)
        stamp[bytes++] = 'Z';
    char *end;
    row->value = strtod(comma + 1, &end);
    if (end == comma + 1 || !isfinite(row->value))
        return false;
    return timestamp_parse((struct text){ stamp, (uint32_t)bytes }, &row->time_ms) == 0;
}

static bool tape_grow(struct tape *t, size_t *room)
{
    if (t->count < *room)
        return true;
    *room = *room * 2 + 1024;
    struct row *rows = realloc(t->rows, *room * sizeof *rows);
    if (rows != NULL)
        t->rows = rows;
    return rows != NULL;
}

static bool tape_read(struct tape *t, FILE *file)
{
    char line[256];
    size_t room = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        struct row row;
        if (!row_read(line, &row))
            continue;
        if (!tape_grow(t, &room))
            return false;
        t->rows[t->count++] = row;
    }
    return t->count > 0;
}

/* "path/to/pump.csv:name" is the device "name"; without one it is called by its file, "pump". */
static bool path_split(const char *given, char path[PATH_BYTES], char name[FLEET_NAME_BYTES_MAX])
{
    const char *colon = strrchr(given, ':');
    const char *slash = strrchr(given, '/');
    bool named = colon != NULL && (slash == NULL || colon > slash);
    size_t length = named ? (size_t)(colon - given) : strlen(given);
    if (length >= PATH_BYTES)
        return false;
    memcpy(path, given, length);
    path[length] = '\0';
    const char *base = named ? colon + 1 : slash != NULL ? slash + 1 : given;
    size_t base_length = named ? strlen(base) : strcspn(base, ".");
    if (base_length == 0 || base_length >= FLEET_NAME_BYTES_MAX)
        return false;
    memcpy(name, base, base_length);
    name[base_length] = '\0';
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
           base_length;
}

static bool tape_open(struct tape *t, const char *given)
{
    char path[PATH_BYTES];
    if (!path_split(given, path, t->device.name)) {
        fprintf(stderr, "weir-sim fleet: --csv %s: no usable name for a device; "
                        "say FILE.csv:device (letters, digits, - _ .)\n", given);
        return false;
    }
    FILE *file = fopen(path, "r");
    bool good = file != NULL && tape_read(t, file);
    if (!good)
        fprintf(stderr, "weir-sim fleet: --csv %s: %s\n", path,
                file == NULL ? strerror(errno) : "no line of timestamp,value in it");
    if (file != NULL)
        (void)fclose(file); /* only read */
    t->device.sequence = 1;
    return good;
}

struct fleet_replay *replay_open(const struct fleet_config *config, int64_t start_ms,
                                 uint32_t first_device)
{
    struct fleet_replay *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    *r = (struct fleet_replay){ .config = config, .start_ms = start_ms,
                                .first_device = first_device };
    for (; r->tape_count < config->csv.count; r->tape_count++)
        if (!tape_open(&r->tapes[r->tape_count], config->csv.items[r->tape_count])) {
            r->tape_count++;
            replay_close(r);
            return NULL;
        }
    return r;
}

void replay_close(struct fleet_replay *r)
{
    for (size_t i = 0; i < r->tape_count; i++)
        free(r->tapes[i].rows);
    free(r);
}

static int64_t since_first_ms(const struct tape *t, size_t index)
{
    return t->rows[index].time_ms - t->rows[0].time_ms;
}

static int64_t due_ms(const struct fleet_replay *r, const struct tape *t)
{
    if (t->next == t->count)
        return INT64_MAX;
    return r->start_ms + (int64_t)((double)since_first_ms(t, t->next) / r->config->speed);
}

/* The series keeps its own spacing. Unless its times are kept as they are, it is moved so that
 * the last reading is published at its own time and all others are in the past: a device may not
 * speak from the future. */
static int64_t device_time_ms(const struct fleet_replay *r, const struct tape *t)
{
    if (r->config->keep_times)
        return t->rows[t->next].time_ms;
    int64_t span_ms = since_first_ms(t, t->count - 1);
    int64_t end_ms = r->start_ms + (int64_t)((double)span_ms / r->config->speed);
    return end_ms - span_ms + since_first_ms(t, t->next);
}

static bool tape_turn(struct fleet_replay *r, uint32_t which, struct fleet_outlet *outlet,
                      int64_t now_ms)
{
    struct tape *t = &r->tapes[which];
    while (due_ms(r, t) <= now_ms) {
        if (!outlet_room(outlet, r->first_device + which))
            return false;
        struct fleet_reading reading = { .device_index = r->first_device + which,
                                         .device = &t->device, .metric = "value", .unit = "1",
                                         .time_ms = device_time_ms(r, t),
                                         .value = t->rows[t->next].value, .digits = -1 };
        outlet_publish(outlet, &reading, now_ms);
        t->next++;
    }
    return true;
}

int64_t replay_turn(struct fleet_replay *r, struct fleet_outlet *outlet, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    for (uint32_t i = 0; i < r->tape_count; i++) {
        int64_t due = tape_turn(r, i, outlet, now_ms) ? due_ms(r, &r->tapes[i]) : now_ms;
        next_ms = due < next_ms ? due : next_ms;
    }
    return next_ms;
}
