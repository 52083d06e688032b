#include "simulator/settings.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/err.h"

/* A number at the start of `text`, finite and not negative; *rest is what follows it. */
static bool number_read(const char *text, double *number, const char **rest)
{
    char *end;
    *number = strtod(text, &end);
    *rest = end;
    return end != text && *number >= 0 && *number <= 1e15;
}

static bool duration_read(const char *text, int64_t *to_ms)
{
    static const struct { const char *unit; double ms; } units[] = {
        { "ms", 1 }, { "s", 1e3 }, { "m", 6e4 }, { "h", 3.6e6 }, { "d", 8.64e7 },
    };
    double number;
    const char *rest;
    if (!number_read(text, &number, &rest) || number > 1e7)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(rest, units[i].unit) == 0) {
            *to_ms = (int64_t)(number * units[i].ms);
            return true;
        }
    return false;
}

static bool share_read(const char *text, double *to)
{
    double number;
    const char *rest;
    if (!number_read(text, &number, &rest))
        return false;
    if (strcmp(rest, "%") == 0)
        number /= 100;
    else if (*rest != '\0')
        return false;
    *to = number;
    return number <= 1;
}

static bool count_read(const char *text, uint64_t *to)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *to = strtoull(text, &end, 10);
    return *end == '\0';
}

static bool list_add(struct setting_list *list, const char *text)
{
    if (list->count == SETTING_LIST_MAX)
        return false;
    list->items[list->count++] = text;
    return true;
}

static bool value_set(const struct setting *s, const char *text)
{
    const char *rest;
    switch (s->kind) {
    case SETTING_FLAG: *(bool *)s->to = true; return true;
    case SETTING_TEXT: *(const char **)s->to = text; return true;
    case SETTING_LIST: return list_add(s->to, text);
    case SETTING_COUNT: return count_read(text, s->to);
    case SETTING_NUMBER: return number_read(text, s->to, &rest) && *rest == '\0';
    case SETTING_DURATION: return duration_read(text, s->to);
    case SETTING_SHARE: return share_read(text, s->to);
    }
    return false;
}

static void defaults_set(const struct setting *table)
{
    for (const struct setting *s = table; s->name != NULL; s++) {
        if (s->kind == SETTING_FLAG)
            *(bool *)s->to = false;
        if (s->kind == SETTING_TEXT)
            *(const char **)s->to = NULL;
        if (s->kind == SETTING_LIST)
            *(struct setting_list *)s->to = (struct setting_list){ .count = 0 };
        if (s->initial != NULL) {
            bool good = value_set(s, s->initial);
            assert(good);
        }
    }
}

static void help_print(const struct setting *table, struct command_text text)
{
    static const char *const hints[] = { "",   " TEXT",   " TEXT",     " N",
                                         " NUMBER", " DURATION", " SHARE" };
    printf("usage: %s\n\n%s\n\n", text.usage, text.about);
    for (const struct setting *s = table; s->name != NULL; s++) {
        char head[64];
        (void)snprintf(head, sizeof head, "--%s%s", s->name, hints[s->kind]); /* fits */
        printf("  %-24s %s", head, s->help);
        if (s->initial != NULL)
            printf(" [%s]", s->initial);
        putchar('\n');
    }
    printf("  %-24s %s\n  %-24s %s\n\nDURATION: 250ms, 30s, 5m, 2h. SHARE: 1%% or 0.01.\n",
           "--help", "this text", "--version", "the version");
    printf("Exit status: 0 good, 1 something failed, 2 not understood.\n");
}

static const struct setting *setting_find(const struct setting *table, const char *name,
                                          size_t bytes)
{
    for (const struct setting *s = table; s->name != NULL; s++)
        if (strlen(s->name) == bytes && memcmp(s->name, name, bytes) == 0)
            return s;
    return NULL;
}

/* Take argv[at]; returns how many words were used, or 0 when it is wrong. */
static int word_take(const struct setting *table, int argc, char **argv, int at)
{
    const char *word = argv[at];
    const char *name = word + 2, *equals = strchr(word, '=');
    const struct setting *s =
        strncmp(word, "--", 2) != 0 ? NULL
        : setting_find(table, name, equals != NULL ? (size_t)(equals - name) : strlen(name));
    if (s == NULL) {
        fprintf(stderr, "weir-sim %s: no such option: %s (see --help)\n", argv[0], word);
        return 0;
    }
    bool takes_value = s->kind != SETTING_FLAG;
    const char *value = equals != NULL ? equals + 1
                        : takes_value && at + 1 < argc ? argv[at + 1] : NULL;
    if (takes_value != (value != NULL) || !value_set(s, value)) {
        fprintf(stderr, "weir-sim %s: --%s: %s is no value for it (see --help)\n", argv[0],
                s->name, value != NULL ? value : "nothing");
        return 0;
    }
    return takes_value && equals == NULL ? 2 : 1;
}

int settings_parse(const struct setting *table, struct command_text text, int argc, char **argv)
{
    defaults_set(table);
    for (int at = 1; at < argc;) {
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            help_print(table, text);
            return 1;
        }
        if (strcmp(argv[at], "--version") == 0) {
            puts("weir-sim " WEIR_VERSION);
            return 1;
        }
        int used = word_take(table, argc, argv, at);
        if (used == 0)
            return WEIR_EINVAL;
        at += used;
    }
    return 0;
}
