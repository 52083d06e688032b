#include "firmware/cli/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/cli/cli.h"

const char *cli_config_path(void)
{
    const char *path = getenv("WEIR_CONFIG");
    return path != NULL && path[0] != '\0' ? path : "/etc/weir/weir.yaml";
}

static const char shared_help[] =
    "\n"
    "  -s, --socket PATH   where the gateway listens; else what its configuration says\n"
    "  -c, --config FILE   that configuration; WEIR_CONFIG, else /etc/weir/weir.yaml\n"
    "  --json              for programs\n\n"
    "Exit status: 0 done, 1 not there, refused, or no gateway answers, 2 not understood,\n"
    "78 wrong configuration.\n";

static void print_help(const struct arguments *a)
{
    (void)fputs(a->help, stdout);
    if (a->asks_gateway)
        (void)fputs(shared_help, stdout);
}

int arguments_usage(const struct arguments *a, const char *what, const char *word)
{
    (void)fprintf(stderr, "weir: %s \"%s\"\n%s", what, word, a->help);
    return CLI_USAGE;
}

static const struct flag *find(const struct flag *flags, const char *word)
{
    for (; flags != NULL && flags->name != NULL; flags++)
        if (strcmp(word, flags->name) == 0 ||
            (flags->letter != NULL && strcmp(word, flags->letter) == 0))
            return flags;
    return NULL;
}

int arguments_parse(struct arguments *a, int argc, char **argv)
{
    const struct flag common[] = {
        { "--config", "-c", &a->config, NULL },
        { "--socket", "-s", &a->socket, NULL },
        { "--json", NULL, NULL, &a->json },
        { NULL, NULL, NULL, NULL },
    };
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            print_help(a);
            return CLI_OK;
        }
        if (strcmp(word, "--version") == 0) {
            (void)puts("weir " WEIR_VERSION);
            return CLI_OK;
        }
        const struct flag *flag = find(a->flags, word);
        if (flag == NULL && a->asks_gateway)
            flag = find(common, word);
        if (flag == NULL && word[0] == '-' && word[1] != '\0')
            return arguments_usage(a, "unknown option", word);
        if (flag == NULL) {
            if (a->word_count == a->words_max)
                return arguments_usage(a, "what is", word);
            a->words[a->word_count++] = word;
        } else if (flag->value == NULL) {
            *flag->given = true;
        } else if (i + 1 < argc) {
            *flag->value = argv[++i];
        } else {
            return arguments_usage(a, "a value is missing after", word);
        }
    }
    return -1;
}

int arguments_for_gateway(struct arguments *a, int argc, char **argv,
                          struct client_options *options)
{
    a->asks_gateway = true;
    int status = arguments_parse(a, argc, argv);
    if (status != -1)
        return status;
    options->json = a->json;
    status = client_find(options, a->socket, a->config);
    return status == CLI_OK ? -1 : status;
}
