#include "firmware/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct log_limit {
    char event[48];
    int64_t since_ms;
    uint32_t lines; /* written in this span */
    uint32_t left_out;
};

static struct {
    int fd;
    int64_t now_ms;
    uint32_t count;
    struct log_limit limits[LOG_EVENTS_MAX];
} the_log = { .fd = STDERR_FILENO };

void log_to(int fd)
{
    the_log.fd = fd;
}

/* A control character of ASCII, or in UTF-8 one of U+0080 to U+009F. */
static size_t control_bytes(const char *at)
{
    unsigned char first = (unsigned char)at[0], second = (unsigned char)at[1];
    if (first < ' ' || first == 0x7f)
        return 1;
    return first == 0xc2 && second >= 0x80 && second < 0xa0 ? 2 : 0;
}

static void write_line(char *line, int bytes)
{
    assert(bytes >= 0);
    size_t used = (size_t)bytes < LOG_LINE_BYTES - 1 ? (size_t)bytes : LOG_LINE_BYTES - 2;
    for (size_t i = 0; i < used; i++) /* one event, one line, and nothing that a terminal obeys */
        memset(line + i, ' ', control_bytes(line + i));
    line[used] = '\n';
    ssize_t written = write(the_log.fd, line, used + 1);
    (void)written; /* nobody to tell */
}

static void close_span(struct log_limit *limit)
{
    char line[LOG_LINE_BYTES];
    if (limit->left_out > 0)
        write_line(line, snprintf(line, sizeof line, "%s left_out=%u span_s=%d", limit->event,
                                  limit->left_out, LOG_SPAN_MS / 1000));
    limit->since_ms = the_log.now_ms;
    limit->lines = 0;
    limit->left_out = 0;
}

void log_now(int64_t mono_ms)
{
    the_log.now_ms = mono_ms;
    for (uint32_t i = 0; i < the_log.count; i++)
        if (mono_ms - the_log.limits[i].since_ms >= LOG_SPAN_MS && the_log.limits[i].lines > 0)
            close_span(&the_log.limits[i]);
}

/* The names of events are constants of ours, so the table is big enough; the last slot takes what
 * would not fit. */
static struct log_limit *limit_of(const char *event)
{
    uint32_t i = 0;
    while (i < the_log.count && strcmp(the_log.limits[i].event, event) != 0)
        i++;
    if (i == LOG_EVENTS_MAX)
        return &the_log.limits[LOG_EVENTS_MAX - 1];
    struct log_limit *limit = &the_log.limits[i];
    if (i == the_log.count) {
        the_log.count++;
        (void)snprintf(limit->event, sizeof limit->event, "%s", event); /* names are shorter */
        limit->since_ms = the_log.now_ms;
    }
    return limit;
}

void log_event(const char *event, const char *format, ...)
{
    struct log_limit *limit = limit_of(event);
    if (limit->lines >= LOG_BURST) {
        limit->left_out++;
        return;
    }
    limit->lines++;
    char line[LOG_LINE_BYTES];
    int used = snprintf(line, sizeof line, "%s ", event);
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
    va_end(arguments);
    write_line(line, used + (more > 0 ? more : 0));
}

struct log_name log_name(const char *at, size_t bytes)
{
    struct log_name name = { "" };
    bytes = bytes < sizeof name.text ? bytes : sizeof name.text - 1;
    for (size_t i = 0; i < bytes; i++)
        name.text[i] = at[i] == '"' ? '\'' : at[i];
    return name;
}
