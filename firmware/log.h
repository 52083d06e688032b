/* log: one line on stderr for each event: its name first, then key=value. No secrets.
 * An event that repeats is limited to LOG_BURST lines in LOG_SPAN_MS, counted by its name; when
 * the span ends one line says how many were left out. Lines over LOG_LINE_BYTES are cut. One
 * thread: the loop's. Time is what log_now was last told. */
#ifndef FIRMWARE_LOG_H
#define FIRMWARE_LOG_H

#include <stddef.h>
#include <stdint.h>

enum { LOG_LINE_BYTES = 1024, LOG_BURST = 20, LOG_SPAN_MS = 60000, LOG_EVENTS_MAX = 64 };

/* stderr's place, for tests; 2 at start. */
void log_to(int fd);
/* Once a turn; closes spans that have ended. */
void log_now(int64_t mono_ms);
void log_event(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What somebody outside chose, as it may stand between quotes: they end at their end. */
struct log_name {
    char text[160];
};
struct log_name log_name(const char *at, size_t bytes);

#endif
