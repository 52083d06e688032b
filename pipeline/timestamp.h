/* timestamp: Unix milliseconds to and from RFC 3339 text. Proleptic Gregorian, years 0001-9999. */
#ifndef PIPELINE_TIMESTAMP_H
#define PIPELINE_TIMESTAMP_H

#include <stdint.h>

#include "pipeline/text.h"

enum { TIMESTAMP_BYTES = 25 }; /* of a printed one, its NUL included */

/* RFC 3339 section 5.6 ("T" or a space between date and time, any case, an offset is required) to
 * Unix milliseconds, fractions cut to milliseconds, a leap second (23:59:60 UTC) as the next.
 *   WEIR_EINVAL  anything else; *unix_ms is unchanged */
int timestamp_parse(struct text text, int64_t *unix_ms);

/* "2026-09-21T14:13:20.250Z". Outside the years 0001-9999: the nearest instant inside. */
void timestamp_print(int64_t unix_ms, char to[TIMESTAMP_BYTES]);

#endif
