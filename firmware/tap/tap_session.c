#include "firmware/tap/tap_session.h"

#include <stdio.h>
#include <string.h>

enum {
    PATH_BYTES = CONFIG_PATH_BYTES_MAX + READING_NAME_BYTES_MAX + 16,
    LINE_BYTES = CONFIG_PATH_BYTES_MAX + 160
};

static void print_path(const char *data_dir, const struct config_source *source,
                       char to[PATH_BYTES])
{
    (void)snprintf(to, PATH_BYTES, "%s/session-%s", data_dir, source->name); /* it fits */
}

static void print_line(const struct config_source *source, char to[LINE_BYTES])
{
    const struct config_broker *broker = &source->broker;
    (void)snprintf(to, LINE_BYTES, "%s %s:%u\n", broker->client_id, broker->host,
                   broker->port); /* it fits */
}

bool tap_session_known(const char *data_dir, const struct config_source *source)
{
    char path[PATH_BYTES], wanted[LINE_BYTES], line[LINE_BYTES];
    print_path(data_dir, source, path);
    print_line(source, wanted);
    FILE *file = fopen(path, "re");
    bool known =
        file != NULL && fgets(line, sizeof line, file) != NULL && strcmp(line, wanted) == 0;
    if (file != NULL)
        (void)fclose(file); /* only read */
    return known;
}

void tap_session_note(const char *data_dir, const struct config_source *source)
{
    char path[PATH_BYTES], line[LINE_BYTES];
    print_path(data_dir, source, path);
    print_line(source, line);
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return;
    (void)fputs(line, file);
    (void)fclose(file); /* a line that is cut off is another session's */
}
