/* manner: of what the baseline finds, whether it is one reading that is off, a level that moved and
 * stays, or noise that grew: told by what the readings around it do, against what was expected of
 * them. A shift is ten readings in a row off to the same side; noise, readings off to both sides,
 * so that they even out. Before that is known the baseline's own reason stands. O(1). */
#ifndef PIPELINE_DETECT_MANNER_H
#define PIPELINE_DETECT_MANNER_H

#include <stdint.h>

#include "pipeline/bytes.h"
#include "pipeline/reason.h"

enum { MANNER_SHIFT = 10 }; /* readings */

struct manner {
    float lean, size; /* of the last ten errors: mean, and mean size */
    int8_t aside;     /* readings in a row off by more than usual to one side, with its sign */
};

/* An error, in any unit, and how large they usually are in it. */
void manner_take(struct manner *m, float error, float usual);

enum reason manner_reason(const struct manner *m, enum reason reason);

void manner_save(const struct manner *m, struct byte_writer *w);
void manner_load(struct manner *m, struct byte_reader *r);

#endif
