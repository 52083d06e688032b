/* numbering: by which numbers journal blocks mean sources and their further fields: those of the
 * configuration that was in force when they were written. A row of the store keeps each numbering
 * from the block on at which it began, so that older blocks are read as they were meant, whatever
 * the present configuration calls its third field. */
#ifndef FIRMWARE_CONFIG_NUMBERING_H
#define FIRMWARE_CONFIG_NUMBERING_H

#include "firmware/config/config.h"
#include "pipeline/record.h"

enum {
    NUMBERING_BYTES_MAX =
        1 + CONFIG_SOURCES_MAX * (READING_NAME_BYTES_MAX + 3 +
                                  READING_FIELDS_MAX * (READING_NAME_BYTES_MAX + 2)),
    NUMBERING_GONE = UINT8_MAX
};

struct numbering {
    uint32_t source_count;
    struct {
        char name[READING_NAME_BYTES_MAX + 1];
        uint32_t field_count;
        char fields[READING_FIELDS_MAX][READING_NAME_BYTES_MAX + 1];
    } sources[CONFIG_SOURCES_MAX];
};

void numbering_of(const struct config *config, struct numbering *numbering);
struct text numbering_pack(const struct numbering *numbering, uint8_t to[NUMBERING_BYTES_MAX]);
/* False: those bytes are none. */
bool numbering_unpack(struct text bytes, struct numbering *numbering);

/* From one numbering to another. */
struct renumbering {
    bool same;                   /* nothing has another number */
    uint32_t source_count;
    uint8_t sources[CONFIG_SOURCES_MAX]; /* NUMBERING_GONE: there is none of this name any more */
    uint8_t fields[CONFIG_SOURCES_MAX][READING_FIELDS_MAX]; /* likewise */
};

struct renumbering renumbering_from(const struct numbering *then, const struct numbering *now);
/* The record by the present numbers; fields that are no more are left out. Its further fields are
 * written into `room`; where they do not fit, those behind are left out too. */
void renumber(const struct renumbering *r, struct record *record, struct byte_writer *room);

#endif
