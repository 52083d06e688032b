#include "hal/board.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/err.h"

enum key_type { KEY_NAME, KEY_BOOLEAN, KEY_U32, KEY_U64 };

struct key {
    const char *name;
    enum key_type type;
    size_t offset, bytes;
};

#define KEY(field, type) \
    { #field, type, offsetof(struct hal_board, field), sizeof(((struct hal_board *)0)->field) }

static const struct key keys[] = {
    KEY(name, KEY_NAME),
    KEY(led, KEY_NAME),
    KEY(relay_chip, KEY_NAME),
    KEY(relay_line, KEY_U32),
    KEY(relay_active_low, KEY_BOOLEAN),
    KEY(button_chip, KEY_NAME),
    KEY(button_line, KEY_U32),
    KEY(button_active_low, KEY_BOOLEAN),
    KEY(watchdog, KEY_NAME),
    KEY(thermal, KEY_NAME),
    KEY(supply, KEY_NAME),
    KEY(storage, KEY_NAME),
    KEY(storage_endurance_bytes, KEY_U64),
    KEY(memory_bytes_max, KEY_U64),
    KEY(devices_max, KEY_U32),
};

enum { KEYS = sizeof keys / sizeof keys[0], LINE_BYTES = 256 };

/* Cut blanks off both ends, in place. */
static char *trimmed(char *text)
{
    text += strspn(text, " \t");
    size_t bytes = strlen(text);
    while (bytes > 0 && strchr(" \t\r\n", text[bytes - 1]) != NULL)
        text[--bytes] = '\0';
    return text;
}

static bool take_number(const char *value, uint64_t max, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(value, &end, 10);
    return value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0 && *number <= max;
}

/* Names are put into paths: they name an entry of one folder and lead nowhere else. */
static const char *take_name(const struct key *key, const char *value, char *to)
{
    if (strlen(value) >= key->bytes)
        return "is too long";
    if (strchr(value, '/') != NULL || strcmp(value, "..") == 0 || strcmp(value, ".") == 0)
        return "is the name of an entry, without its folder";
    memcpy(to, value, strlen(value) + 1);
    return NULL;
}

/* NULL, or what is wrong with the value. */
static const char *take_value(const struct key *key, const char *value, struct hal_board *board)
{
    char *to = (char *)board + key->offset;
    uint64_t number = 0;
    switch (key->type) {
    case KEY_NAME:
        return take_name(key, value, to);
    case KEY_BOOLEAN:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return "is true or false";
        *(bool *)to = value[0] == 't';
        return NULL;
    case KEY_U32:
        if (!take_number(value, UINT32_MAX, &number))
            return "is a whole number";
        memcpy(to, &(uint32_t){ (uint32_t)number }, sizeof(uint32_t));
        return NULL;
    case KEY_U64:
        if (!take_number(value, UINT64_MAX, &number))
            return "is a whole number";
        memcpy(to, &number, sizeof number);
        return NULL;
    }
    return "has no type";
}

struct parse {
    struct hal_board board;
    uint32_t seen; /* bit per key */
    uint32_t line;
    char *why;
};

static int refuse(const struct parse *p, const char *name, const char *what)
{
    (void)snprintf(p->why, HAL_WHY_BYTES, "line %u: `%.40s` %s", p->line, name, what);
    return WEIR_EINVAL;
}

static int take_line(struct parse *p, char *line)
{
    line[strcspn(line, "#")] = '\0';
    char *name = trimmed(line);
    if (name[0] == '\0')
        return 0;
    char *equals = strchr(name, '=');
    if (equals == NULL)
        return refuse(p, name, "is not `key = value`");
    *equals = '\0';
    const char *value = trimmed(equals + 1);
    name = trimmed(name);
    for (uint32_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].name, name) != 0)
            continue;
        if ((p->seen >> i & 1) != 0)
            return refuse(p, name, "is there twice");
        p->seen |= 1u << i;
        const char *wrong = take_value(&keys[i], value, &p->board);
        return wrong == NULL ? 0 : refuse(p, name, wrong);
    }
    return refuse(p, name, "is no key of a board");
}

int hal_board_read(const char *path, struct hal_board *board, char *why)
{
    char line[LINE_BYTES];
    struct parse p = { .why = why };
    int err = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)snprintf(why, HAL_WHY_BYTES, "it can't be read: %s", strerror(errno));
        return WEIR_EINVAL;
    }
    while (err == 0 && fgets(line, sizeof line, file) != NULL) {
        p.line++;
        bool cut = strchr(line, '\n') == NULL && strlen(line) == sizeof line - 1;
        err = cut ? refuse(&p, line, "is too long a line") : take_line(&p, line);
    }
    if (err == 0 && ferror(file)) {
        (void)snprintf(why, HAL_WHY_BYTES, "it can't be read");
        err = WEIR_EINVAL;
    }
    (void)fclose(file); /* read only */
    if (err == 0)
        *board = p.board;
    return err;
}
