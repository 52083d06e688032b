/* `weir token`: a token for HTTP with TLS. It needs no running gateway, only the file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/config/config.h"
#include "firmware/config/tokens.h"

static const char help[] =
    "usage: weir token viewer|engineer NAME [--to FILE] [--json]\n\n"
    "Make a token for http.listen: a viewer may read all, an engineer may also acknowledge and\n"
    "shelve alerts, reload the inventory and send commands to devices. It is printed once and\n"
    "kept nowhere; the file of tokens (http.tokens) gets a line with the role, the name and a\n"
    "SHA-256.\n"
    "To revoke one, remove its line. SIGHUP makes the running gateway read the file again.\n\n"
    "  --to FILE   append the line to it (made with mode 0600 where it is not there); without it\n"
    "              the line is printed behind the token\n"
    "  --json      one JSON object\n\n"
    "Exit status: 0 done, 1 the file can't be written, 2 not understood.\n";

static bool is_name(const char *name)
{
    size_t bytes = strlen(name);
    return bytes > 0 && bytes <= TOKEN_NAME_BYTES_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
               bytes;
}

/* Whether a line of the file has this name: only the file's reader knows all its rules, and it
 * wants both roles, which come one after the other. */
static bool has_name(FILE *file, const char *name)
{
    char role[16], other[TOKEN_NAME_BYTES_MAX + 1], line[256];
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "%15s %63s", role, other) == 2 && role[0] != '#' &&
            strcmp(other, name) == 0)
            return true;
    return false;
}

/* Whether its last line, if there is any, is ended: editors may leave it open. */
static bool is_ended(FILE *file)
{
    bool ended = fseek(file, -1, SEEK_END) != 0 || fgetc(file) == '\n';
    return fseek(file, 0, SEEK_END) == 0 && ended; /* what was read is written to next */
}

static int append(const char *path, const char *name, const char *line)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "a+") : NULL;
    struct stat st;
    if (file == NULL || fstat(fd, &st) != 0) {
        (void)fprintf(stderr, "weir: %s: %s\n", path, strerror(errno));
        if (file != NULL)
            (void)fclose(file); /* nothing was written */
        return CLI_PROBLEM;
    }
    const char *wrong = (st.st_mode & 077) != 0 ? "others may read it; chmod 0600"
                        : has_name(file, name)  ? "the name stands in it already"
                                                : NULL;
    bool written = wrong == NULL && fprintf(file, is_ended(file) ? "%s\n" : "\n%s\n", line) > 0;
    bool closed = fclose(file) == 0;
    if (written && closed)
        return CLI_OK;
    (void)fprintf(stderr, "weir: %s: %s\n", path, wrong != NULL ? wrong : "it can't be written");
    return CLI_PROBLEM;
}

static void print(const struct arguments *a, const char *token, const char *line, bool in_file,
                  bool json)
{
    if (json) /* nothing in it wants an escape */
        (void)printf("{\"role\":\"%s\",\"name\":\"%s\",\"token\":\"%s\",\"line\":\"%s\"}\n",
                     a->words[0], a->words[1], token, line);
    else if (in_file)
        (void)printf("%s\n", token);
    else
        (void)printf("%s\n%s\n", token, line);
}

int cli_token(int argc, char **argv)
{
    const char *to = NULL;
    bool json = false;
    const struct flag flags[] = { { "--to", NULL, &to, NULL },
                                  { "--json", NULL, NULL, &json },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags, .words_max = 2 };
    uint8_t random[TOKEN_RANDOM_BYTES];
    char text[TOKEN_TEXT_BYTES], line[256];
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    enum token_role role = a.word_count > 0 ? token_role(a.words[0]) : TOKEN_NONE;
    if (role == TOKEN_NONE)
        return arguments_usage(&a, "want viewer or engineer, not",
                               a.word_count > 0 ? a.words[0] : "");
    if (a.word_count != 2 || !is_name(a.words[1]))
        return arguments_usage(&a, "want a name of letters, digits, dot, dash and underscore, not",
                               a.word_count == 2 ? a.words[1] : "");
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        (void)fprintf(stderr, "weir: no random bytes: %s\n", strerror(errno));
        return CLI_PROBLEM;
    }
    token_make(random, role, a.words[1], text, line, sizeof line);
    status = to != NULL ? append(to, a.words[1], line) : CLI_OK;
    if (status == CLI_OK)
        print(&a, text, line, to != NULL, json);
    return status;
}
