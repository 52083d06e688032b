/* json_view: looks into JSON text that our own gateway wrote: finds members, walks arrays, copies
 * texts. It does not check; what is not there reads as empty, zero or false. */
#ifndef FIRMWARE_CLI_JSON_VIEW_H
#define FIRMWARE_CLI_JSON_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/text.h"

/* The value at a dotted path of members, as it stands in the text; empty: not there. */
struct text json_view_at(struct text json, const char *path);

/* Walk an array or object: false at its end. *cursor is 0 at first. `key` may be NULL. */
bool json_view_next(struct text json, size_t *cursor, struct text *key, struct text *value);

/* A value for people: a text without its quotes and escapes, anything else as it stands, null as
 * empty. Cut to fit. */
void json_view_print(struct text value, char *to, size_t bytes);

void json_view_text(struct text json, const char *path, char *to, size_t bytes);
uint64_t json_view_unsigned(struct text json, const char *path);
double json_view_number(struct text json, const char *path);
bool json_view_bool(struct text json, const char *path);

#endif
