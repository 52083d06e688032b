/* recorded: a file of readings, one a line, as CSV (detect_csv.h) or as JSON Lines, where an object
 * has device, metric, value, unit, sequence and a time: event_time_ms or time_ms (Unix
 * milliseconds), else event_time, time, timestamp or ts (RFC 3339, or Unix seconds). Where there
 * is an arrival_time_ms, arrival_time or recordedtime, it says when the reading arrived. Other
 * members and columns, and those of the object `fields`, are further fields (recorded_fields.h).
 * What `weir export` writes is both, CSV with its quotes; of its lines those are taken that hold
 * readings, with t_ms when each arrived, and those that hold clocks. A reading that names no
 * device or metric has those of the file. */
#ifndef FIRMWARE_REPLAY_RECORDED_H
#define FIRMWARE_REPLAY_RECORDED_H

#include "firmware/cli/detect_csv.h"
#include "firmware/replay/journal_csv.h"
#include "firmware/replay/recorded_fields.h"

enum { RECORDED_LINE_BYTES = 64 * 1024 };

struct recorded {
    const char *path;
    FILE *file;
    bool json, exported;    /* CSV as `weir export` writes it */
    bool arrives;           /* record.t_ms is as it stands there */
    bool heard;             /* there is a wall time of arrival: */
    int64_t heard_ms;
    uint64_t bytes, read;   /* of the file, and so far */
    uint64_t passed_over;   /* lines that hold something else than a reading */
    uint32_t line;
    /* READING: device, metric, value, unit, event time and where that is from, sequence, fields; or
     * CLOCK, with its t_ms */
    struct record record;
    char fault[256];
    struct recorded_fields fields; /* the caller's, to be initialised */
    uint32_t member_count;  /* of the line's object */
    struct recorded_cell members[RECORDED_CELLS_MAX];
    struct detect_csv csv;
    struct journal_csv rows; /* exported */
    char text[RECORDED_LINE_BYTES];
    char device[READING_NAME_BYTES_MAX + 1]; /* for readings that name none: the file's name */
    char names[3][READING_NAME_BYTES_MAX + 1];
    char value[READING_TEXT_BYTES_MAX + 1];
    char source[READING_NAME_BYTES_MAX + 1];
};

/* CLI_OK, or CLI_PROBLEM told on stderr. JSON Lines by the name's end (.jsonl, .ndjson, .json). */
int recorded_open(struct recorded *r, const char *path);
/* 1: `record`, until the next call; 0: the end; -1: `fault` says what is wrong with `line`. */
int recorded_next(struct recorded *r);
void recorded_close(struct recorded *r);

#endif
