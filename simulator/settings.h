/* settings: a subcommand's options as one table, from which come parsing, defaults and --help.
 * "--name value" and "--name=value" are the same; a flag takes no value. */
#ifndef SIMULATOR_SETTINGS_H
#define SIMULATOR_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_kind {
    SETTING_FLAG,     /* bool */
    SETTING_TEXT,     /* const char *; NULL by default when `initial` is NULL */
    SETTING_LIST,     /* struct setting_list: the option may be repeated */
    SETTING_COUNT,    /* uint64_t */
    SETTING_NUMBER,   /* double >= 0 */
    SETTING_DURATION, /* int64_t milliseconds: 250ms, 30s, 5m, 2h */
    SETTING_SHARE     /* double in [0, 1]: 1% or 0.01 */
};

enum { SETTING_LIST_MAX = 64 };

struct setting_list {
    const char *items[SETTING_LIST_MAX];
    size_t count;
};

struct setting {
    const char *name;    /* without the dashes; NULL ends the table */
    enum setting_kind kind;
    void *to;            /* of the kind's type */
    const char *initial; /* the default, as one would type it; NULL: none */
    const char *help;
};

struct command_text {
    const char *usage;   /* "weir-sim fleet [options]" */
    const char *about;   /* a few sentences */
};

/* Set all defaults, then what argv says (argv[0] is the subcommand).
 *   0            go on
 *   1            --help or --version was printed: leave with 0
 *   WEIR_EINVAL  said on stderr: leave with 2 */
int settings_parse(const struct setting *table, struct command_text text, int argc, char **argv);

#endif
