/* held: a value that is kept beyond the reading it came with, in fixed size: a number (a boolean is
 * 0 or 1), or a text, of which the first HELD_TEXT_BYTES are kept, in whole UTF-8 characters.
 * All-zero bytes hold nothing. No time, no heap. */
#ifndef PIPELINE_STREAMS_HELD_H
#define PIPELINE_STREAMS_HELD_H

#include "pipeline/bytes.h"
#include "pipeline/streams/expression.h"

enum { HELD_TEXT_BYTES = 64, HELD_SAVE_BYTES_MAX = 2 + HELD_TEXT_BYTES };

struct held {
    uint8_t kind;  /* enum datum_kind: NULL, NUMBER or TEXT */
    uint8_t bytes; /* of the text */
    uint8_t unused[6];
    union {
        double number;
        char text[HELD_TEXT_BYTES];
    };
};

/* Hold this, which is not null. */
void held_set(struct held *h, const struct datum *value);
/* The text points into *h. */
struct datum held_datum(const struct held *h);

void held_save(const struct held *h, struct byte_writer *w);
/* Fails the reader on what held_save does not write. */
void held_load(struct held *h, struct byte_reader *r);

#endif
