/* codec_results_rows: one window result, reading or value of a stream's result as a row of numbers,
 * most of them zero, and back. For codec_results.c alone; docs/formats.md specifies each column. */
#ifndef PIPELINE_CODEC_CODEC_RESULTS_ROWS_H
#define PIPELINE_CODEC_CODEC_RESULTS_ROWS_H

#include "pipeline/codec/codec_results.h"

enum window_column { /* in the order in which they stand in a message */
    WINDOW_DEVICE, WINDOW_METRIC, WINDOW_UNIT, WINDOW_START, WINDOW_LENGTH, WINDOW_REVISION,
    WINDOW_FORCED, WINDOW_COUNT, WINDOW_FIRST_TIME, WINDOW_LAST_TIME, WINDOW_SCALE, WINDOW_MIN,
    WINDOW_MAX, WINDOW_FIRST, WINDOW_LAST, WINDOW_MEAN, WINDOW_M2, WINDOW_FIRST_BLOCK,
    WINDOW_LAST_BLOCK, WINDOW_CONTRACT, WINDOW_COLUMNS
};

enum reading_column {
    READING_DEVICE, READING_METRIC, READING_UNIT, READING_T, READING_FLAGS, READING_SOURCE,
    READING_EVENT_TIME, READING_DEVICE_TIME, READING_SEQUENCE, READING_INDEX, READING_SCALE,
    READING_VALUE, READING_ULPS, READING_EXTRA, READING_COLUMNS
};

enum value_column {
    VALUE_ROW_STREAM, VALUE_ROW_KEY, VALUE_ROW_START, VALUE_ROW_LENGTH, VALUE_ROW_REVISION,
    VALUE_ROW_FLAGS, VALUE_ROW_FIELD, VALUE_ROW_TYPE, VALUE_ROW_SCALE, VALUE_ROW_VALUE,
    VALUE_ROW_ULPS, VALUE_ROW_FIRST_BLOCK, VALUE_ROW_LAST_BLOCK, VALUE_ROW_COLUMNS
};

static inline uint32_t results_columns(enum results_kind kind)
{
    return kind == RESULTS_WINDOWS ? WINDOW_COLUMNS
           : kind == RESULTS_READINGS ? READING_COLUMNS : VALUE_ROW_COLUMNS;
}

struct row_names { /* numbers of the texts of a row; 0 is the empty text */
    uint64_t device, metric, unit, text, extra;
    uint64_t stream, key, field;
};

void window_to_row(struct results_place *place, const struct row_names *names,
                   const struct window_result *result, uint64_t row[RESULTS_COLUMNS_MAX]);
void reading_to_row(struct results_place *place, const struct row_names *names,
                    const struct record *record, uint64_t row[RESULTS_COLUMNS_MAX]);

void stream_to_row(struct results_place *place, const struct row_names *names,
                   const struct stream_row *value, uint64_t row[RESULTS_COLUMNS_MAX]);

/* Everything but the texts, whose numbers go to *names. WEIR_ECORRUPT: no row that we wrote. */
int window_of_row(struct results_place *place, const uint64_t row[RESULTS_COLUMNS_MAX],
                  struct row_names *names, struct window_result *result);
int reading_of_row(struct results_place *place, const uint64_t row[RESULTS_COLUMNS_MAX],
                   struct row_names *names, struct record *record);
int stream_of_row(struct results_place *place, const uint64_t row[RESULTS_COLUMNS_MAX],
                  struct row_names *names, struct stream_row *value);

#endif
