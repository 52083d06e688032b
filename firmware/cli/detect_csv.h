/* detect_csv: a recorded series, a reading a line: a time and a number.
 *
 * The first line may name the columns; then those called timestamp, time or event_time, and value
 * are taken, else the first two. Times are RFC 3339, also with a space for the T and without an
 * offset (UTC), or Unix seconds. Blank lines are passed over. Quotes have no meaning. Columns
 * called device, metric, unit and sequence are given too. In a wide file (`wide`) each column but
 * the time's is a metric, called as the first line calls it; a cell without anything is none. */
#ifndef FIRMWARE_CLI_DETECT_CSV_H
#define FIRMWARE_CLI_DETECT_CSV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "pipeline/reading.h"

enum { DETECT_CSV_LINE_BYTES = 4096, DETECT_CSV_COLUMNS_MAX = 64 };

struct detect_csv {
    FILE *file;
    bool texts;        /* the caller's: a value that is no number is a text, and none is a fault */
    /* the caller's: without a column called value, or with one column alone behind the time, it is
     * a file as any other */
    bool wide;
    int columns;       /* of a wide file; 0: it is none */
    int next_column;   /* of its line; `columns`: a new line */
    int named;         /* columns that the first line names; 0: it is a row */
    char names[DETECT_CSV_COLUMNS_MAX][READING_NAME_BYTES_MAX + 1];
    int time_column, value_column;
    int device_column, metric_column, unit_column, sequence_column; /* -1: there is none */
    uint32_t line;     /* of the last row, from 1 */
    struct text time;  /* as it stands there, until the next row */
    struct text value;
    struct text device, metric, unit, sequence; /* empty: not given */
    int64_t time_ms;
    bool is_number;    /* where `texts` allows others */
    double number;
    char fault[160];   /* a sentence, when a row is not one */
    char bytes[DETECT_CSV_LINE_BYTES];
};

/* A time as it may stand there; false: it is none. */
bool detect_csv_time(struct text text, int64_t *time_ms);

void detect_csv_init(struct detect_csv *csv, FILE *file);

/* What the last row has in that column; empty past the last. */
struct text detect_csv_cell(const struct detect_csv *csv, int column);

/* 1: a row; 0: the end; -1: `fault` says what is wrong with `line`. */
int detect_csv_next(struct detect_csv *csv);

#endif
