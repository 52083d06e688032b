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

static void write_line(char *line, int bytes)
{
    assert(bytes >= 0);
    size_t used = (size_t)bytes < LOG_LINE_BYTES - 1 ? (size_t)bytes : LOG_LINE_BYTES - 2;
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)line[i] < ' ')
            line[i] = ' '; /* one event, one line, whatever a broker put into its reason text */
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
