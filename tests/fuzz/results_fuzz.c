/* Goal: no bytes harm the reader of batches. Method: libFuzzer; the input stands alone in its heap, every row is read.
 * Links: pipeline/codec/codec_results.c pipeline/codec/codec_results_rows.c pipeline/packing.c pipeline/hash.c pipeline/bytes.c */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "pipeline/codec/codec_results.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct results_reader reader;
    struct window_result window;
    struct record record;
    struct stream_row row;
    char *message = malloc(bytes + 1);
    assert(message != NULL);
    if (bytes > 0)
        memcpy(message, data, bytes);
    if (results_open(&reader, (struct text){ message, (uint32_t)bytes }) == 0) {
        if (reader.header.kind == RESULTS_WINDOWS)
            while (results_next_window(&reader, &window) == 1)
                assert(isfinite(window.aggregate.mean));
        else if (reader.header.kind == RESULTS_STREAMS)
            while (results_next_stream(&reader, &row) == 1)
                assert(isfinite(row.value.number));
        else
            while (results_next_reading(&reader, &record) == 1)
                assert(isfinite(record.reading.value.number));
    }
    free(message);
    return 0;
}
