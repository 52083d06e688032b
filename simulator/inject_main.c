/* weir-sim inject: a recorded series with a fault in it, as `weir detect` reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/inject.h"
#include "simulator/settings.h"

enum { LINE_BYTES = 512 };

struct recording {
    char header[LINE_BYTES]; /* empty: none */
    char (*times)[64];
    double *values;
    size_t count, room;
};

static bool grow(struct recording *r)
{
    size_t room = r->room * 2 + 1024;
    void *times = realloc(r->times, room * sizeof *r->times);
    if (times != NULL)
        r->times = times;
    double *values = realloc(r->values, room * sizeof *values);
    if (values != NULL)
        r->values = values;
    if (times == NULL || values == NULL)
        return false;
    r->room = room;
    return true;
}

/* 0, or what is wrong with the line. */
static const char *take_line(struct recording *r, char *line, size_t number)
{
    line[strcspn(line, "\r\n")] = '\0';
    char *comma = strchr(line, ','), *end = NULL;
    double value = comma != NULL ? strtod(comma + 1, &end) : 0;
    bool good = comma != NULL && end != comma + 1 && (*end == '\0' || *end == ',') &&
                comma - line < (ptrdiff_t)sizeof r->times[0];
    if (!good && number == 1) {
        memcpy(r->header, line, LINE_BYTES);
        return NULL;
    }
    if (!good)
        return "want a time, a comma and a number";
    if (r->count == r->room && !grow(r))
        return "no memory for so many readings";
    *comma = '\0';
    memcpy(r->times[r->count], line, (size_t)(comma - line) + 1);
    r->values[r->count++] = value;
    return NULL;
}

static int read_all(struct recording *r, const char *path)
{
    char line[LINE_BYTES];
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    const char *wrong = NULL;
    for (size_t number = 1; wrong == NULL && fgets(line, sizeof line, file) != NULL; number++) {
        wrong = take_line(r, line, number);
        if (wrong != NULL)
            (void)fprintf(stderr, "weir-sim: %s:%zu: %s\n", path, number, wrong);
    }
    (void)fclose(file); /* it was read only */
    return wrong != NULL;
}

static int write_all(const struct recording *r, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    if (r->header[0] != '\0')
        (void)fprintf(file, "%s\n", r->header);
    for (size_t i = 0; i < r->count; i++)
        (void)fprintf(file, "%s,%.10g\n", r->times[i], r->values[i]);
    bool bad = ferror(file) != 0;
    if (fclose(file) == 0 && !bad)
        return 0;
    (void)fprintf(stderr, "weir-sim: %s: it could not be written\n", path);
    return 1;
}

static bool find_kind(const char *name, enum inject_kind *kind)
{
    for (int i = 0; i < INJECT_KINDS; i++)
        if (name != NULL && strcmp(name, inject_name((enum inject_kind)i)) == 0) {
            *kind = (enum inject_kind)i;
            return true;
        }
    return false;
}

static int usage(const char *what)
{
    (void)fprintf(stderr, "weir-sim: inject: %s; see --help\n", what);
    return 2;
}

static int change(struct recording *r, const struct injection *in)
{
    double *scratch = calloc(r->count + 1, sizeof *scratch);
    if (scratch == NULL || in->start < 1 || in->start + in->count > r->count) {
        (void)fprintf(stderr, "weir-sim: inject: %zu readings from reading %zu on are not there\n",
                      in->count, in->start);
        free(scratch);
        return 1;
    }
    double deviation = inject_deviation(r->values, r->count, scratch);
    inject(r->values, in, deviation);
    free(scratch);
    (void)printf("{\"fault\":\"%s\",\"first\":\"%s\",\"last\":\"%s\",\"deviation\":%.9g}\n",
                 inject_name(in->kind), r->times[in->start], r->times[in->start + in->count - 1],
                 deviation);
    return 0;
}

int inject_main(int argc, char **argv)
{
    const char *from, *to, *fault;
    uint64_t at, count, seed;
    double size;
    const struct setting table[] = {
        { "in", SETTING_TEXT, &from, NULL, "the recording: a time, a comma and a number a line" },
        { "out", SETTING_TEXT, &to, NULL, "where it goes with the fault in it" },
        { "fault", SETTING_TEXT, &fault, "shift",
          "spike, shift, drift, noise, drop, gain, high, stuck, quiet or code" },
        { "size", SETTING_NUMBER, &size, "5", "robust standard deviations; gain: a factor" },
        { "at", SETTING_COUNT, &at, "1000", "the reading that it begins with, from 0" },
        { "for", SETTING_COUNT, &count, "150", "readings that it lasts" },
        { "seed", SETTING_COUNT, &seed, "1", "of its sign and its noise" },
        { NULL, SETTING_FLAG, NULL, NULL, NULL },
    };
    const struct command_text text = {
        "weir-sim inject --in FILE --out FILE [options]",
        "A recorded series with a known fault in it; prints where it is. Exit status: 0 done, 1 a\n"
        "file can't be read or written or is too short, 2 not understood.",
    };
    struct injection in = { .kind = INJECT_SHIFT };
    int parsed = settings_parse(table, text, argc, argv);
    if (parsed != 0)
        return parsed > 0 ? 0 : 2;
    if (from == NULL || to == NULL)
        return usage("want --in and --out");
    if (!find_kind(fault, &in.kind))
        return usage("there is no such --fault");
    in = (struct injection){ in.kind, (size_t)at, (size_t)count, size, seed };
    struct recording r = { .count = 0 };
    int status = read_all(&r, from);
    if (status == 0)
        status = change(&r, &in);
    if (status == 0)
        status = write_all(&r, to);
    free(r.times);
    free(r.values);
    return status;
}
