/* recorded_fields: the further fields of a line of a recorded file, by the names that the
 * configuration's payload mapping gives them, as fields of the reading; and which of those that its
 * streams look at no line had. `fields.NAME` is NAME, and goes before it. */
#ifndef FIRMWARE_REPLAY_RECORDED_FIELDS_H
#define FIRMWARE_REPLAY_RECORDED_FIELDS_H

#include "firmware/config/config.h"
#include "pipeline/record.h"

enum { RECORDED_CELLS_MAX = 512 };

struct recorded_fields {
    const struct config *config; /* NULL: none, nothing is taken */
    uint64_t seen;               /* a bit for each of the configuration's stream_fields */
    uint32_t wanted_count;       /* names of further fields, over all sources */
    struct text wanted[STREAM_FIELDS_MAX];
    uint16_t source;             /* by which the last reading came */
    /* of the line: */
    uint32_t count;
    struct recorded_cell {
        struct text name, at;    /* as they stand there */
        bool json;               /* else a cell of CSV */
    } cells[RECORDED_CELLS_MAX];
    uint8_t extra[READING_FIELDS_MAX * (READING_TEXT_BYTES_MAX + 16)];
};

/* By whose names it goes; outlives it. */
void recorded_fields_init(struct recorded_fields *f, const struct config *config);
/* A new line. */
void recorded_fields_begin(struct recorded_fields *f);
/* A column or a member, unless it means something else of a reading. Of several by one name the
 * first counts; more than RECORDED_CELLS_MAX are passed over. */
void recorded_fields_add(struct recorded_fields *f, const struct recorded_cell *cell);
/* The members of the object `fields`. */
void recorded_fields_add_json(struct recorded_fields *f, struct text fields);
/* The source and the further fields of the reading: the source of this name, where there is one,
 * else the one that names most of the fields; of several that do, the last. `reading` holds them
 * until the next line. NULL, or what is wrong. */
const char *recorded_fields_take(struct recorded_fields *f, struct text source,
                                 struct reading *reading);
/* Bits of the names that this stream looks at, and no reading had. */
uint64_t recorded_fields_missing(const struct recorded_fields *f, uint32_t stream);

#endif
