/* arguments: what follows a subcommand. Every command has -h, --help and --version; those that ask
 * a gateway have -s, --socket PATH, -c, --config FILE and --json too. */
#ifndef FIRMWARE_CLI_ARGUMENTS_H
#define FIRMWARE_CLI_ARGUMENTS_H

#include "firmware/cli/client.h"

enum { ARGUMENTS_WORDS_MAX = 6, ARGUMENTS_FLAGS_MAX = 14 };

struct flag {           /* of one command; ended by a NULL name */
    const char *name;   /* "--from" */
    const char *letter; /* "-n", or NULL */
    const char **value; /* where its value goes; NULL: it has none, and */
    bool *given;        /* this becomes true */
};

struct arguments {
    const char *help;         /* printed whole by --help; behind it what all that ask share */
    const struct flag *flags; /* may be NULL */
    bool asks_gateway;
    int words_max;  /* that it takes beside flags; <= ARGUMENTS_WORDS_MAX */
    int word_count; /* out */
    const char *words[ARGUMENTS_WORDS_MAX];
    const char *config, *socket;
    bool json;
};

/* -1: go on; else the exit status: help or version was printed, or it was not understood. */
int arguments_parse(struct arguments *a, int argc, char **argv);

/* arguments_parse, then client_find. */
int arguments_for_gateway(struct arguments *a, int argc, char **argv,
                          struct client_options *options);

int arguments_usage(const struct arguments *a, const char *what, const char *word);

#endif
