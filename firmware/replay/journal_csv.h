/* journal_csv: rows of `weir export --format csv` as lines of `weir export`, for journal_line_read.
 * What CSV has not is put in its place: a reading arrived when it was made or with the one before
 * it, whichever is later, and a device's time is the event's unless the gateway gave that. A value
 * is a number or a truth where it reads as one in JSON, else a text; an empty field is none. */
#ifndef FIRMWARE_REPLAY_JOURNAL_CSV_H
#define FIRMWARE_REPLAY_JOURNAL_CSV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "pipeline/text.h"

enum {
    JOURNAL_CSV_BYTES = 128 * 1024, /* of a row, and of its line */
    JOURNAL_CSV_FIELDS_MAX = 64,
    JOURNAL_CSV_COLUMNS = 12        /* before the fields */
};

struct journal_csv {
    FILE *file;                /* the caller's */
    uint32_t line;             /* at which the row began, from 1 */
    uint32_t lines;            /* read so far */
    uint32_t columns;          /* with the fields */
    bool begun;                /* a row was read: offset_ms is known */
    int64_t offset_ms;         /* wall time - t: the event time of the first row */
    int64_t t_ms;              /* of the last row */
    uint64_t block;            /* likewise */
    char fault[160];           /* a sentence, when a row is not one */
    struct text cells[JOURNAL_CSV_COLUMNS + JOURNAL_CSV_FIELDS_MAX]; /* into row */
    struct text fields[JOURNAL_CSV_FIELDS_MAX];                      /* their names, into head */
    char head[16 * 1024];
    char row[JOURNAL_CSV_BYTES];
    char json[JOURNAL_CSV_BYTES];
};

/* 0, or -1: `fault` says why the first line is not that of an export. */
int journal_csv_open(struct journal_csv *csv, FILE *file);

/* 1: *line, until the next call; 0: the end; -1: `fault` says what is wrong with `csv->line`. */
int journal_csv_next(struct journal_csv *csv, struct text *line);

#endif
