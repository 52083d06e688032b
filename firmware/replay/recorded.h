/* recorded: a file of readings, one a line, as CSV (detect_csv.h) or as JSON Lines, where an object
 * has device, metric, value, unit, sequence and a time: event_time_ms or time_ms (Unix
 * milliseconds), else event_time, time, timestamp or ts (RFC 3339, or Unix seconds). What
 * `weir export` writes is both; of its lines those are taken that hold readings, and with t_ms
 * when each arrived. A reading that names no device or metric has those of the file. */
#ifndef FIRMWARE_REPLAY_RECORDED_H
#define FIRMWARE_REPLAY_RECORDED_H

#include "firmware/cli/detect_csv.h"
#include "pipeline/record.h"

enum { RECORDED_LINE_BYTES = 64 * 1024 };

struct recorded {
    const char *path;
    FILE *file;
    bool json;
    bool arrives;           /* record.t_ms is as it stands there */
    uint64_t bytes, read;   /* of the file, and so far */
    uint64_t passed_over;   /* lines that hold something else than a reading */
    uint32_t line;
    struct record record;   /* READING: device, metric, value, unit, event time, sequence */
    char fault[256];
    struct detect_csv csv;
    char text[RECORDED_LINE_BYTES];
    char device[READING_NAME_BYTES_MAX + 1]; /* for readings that name none: the file's name */
    char names[3][READING_NAME_BYTES_MAX + 1];
    char value[READING_TEXT_BYTES_MAX + 1];
};

/* CLI_OK, or CLI_PROBLEM told on stderr. JSON Lines by the name's end (.jsonl, .ndjson, .json). */
int recorded_open(struct recorded *r, const char *path);
/* 1: `record`, until the next call; 0: the end; -1: `fault` says what is wrong with `line`. */
int recorded_next(struct recorded *r);
void recorded_close(struct recorded *r);

#endif
