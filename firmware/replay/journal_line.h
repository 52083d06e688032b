/* journal_line: a line of `weir export` as the record that it was made of, bit for bit: the inverse
 * of firmware/api/api_store.c. Lines of an older Weir lack what this one adds, and are refused. */
#ifndef FIRMWARE_REPLAY_JOURNAL_LINE_H
#define FIRMWARE_REPLAY_JOURNAL_LINE_H

#include "firmware/config/config.h"
#include "pipeline/made.h"
#include "pipeline/record.h"

enum { JOURNAL_LINE_BYTES = 512 * 1024 };

struct journal_line {
    uint64_t block;
    bool has_store;       /* a configuration's line says which store it was */
    uint64_t store_id[2];
    struct record record; /* slices point into what follows; until the next call */
    char names[4][READING_NAME_BYTES_MAX + 1];
    char value[READING_TEXT_BYTES_MAX + 1];
    uint8_t digest[32];
    uint8_t made[MADE_BYTES_MAX];
    uint8_t extra[READING_FIELDS_MAX * (READING_TEXT_BYTES_MAX + 16)];
    char content[JOURNAL_LINE_BYTES];
};

/* `config` is the one in force, for the numbers of sources and fields; NULL: none yet. NULL, or
 * what is wrong. */
const char *journal_line_read(struct journal_line *l, struct text line,
                              const struct config *config);

#endif
