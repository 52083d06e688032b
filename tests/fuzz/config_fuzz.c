/* Goal: no file harms the reader of configurations: what is wrong is told, with a place inside the
 * file; what is accepted reads back from what `weir config show` prints as the same. Method:
 * libFuzzer; the input is the file. The seeds are the examples and tests/unit/config_bad.
 * Links: pipeline/contract.c pipeline/engine/%.c pipeline/alerts/%.c pipeline/detect/%.c pipeline/dedup.c pipeline/statistics.c pipeline/timers.c pipeline/window.c pipeline/pressure/shed.c firmware/config/config_check.c firmware/config/config_check_contracts.c firmware/config/config_check_listener.c firmware/config/config_check_out.c firmware/config/config_check_shed.c firmware/config/config_check_streams.c firmware/config/config_streams.c pipeline/streams/%.c firmware/config/config_derive.c firmware/config/config_docs.c firmware/config/config_environment.c firmware/config/config_include.c firmware/config/config_parse.c firmware/config/config_promise.c firmware/config/config_read.c firmware/config/config_report.c firmware/config/config_schema.c firmware/config/config_keys.c firmware/config/config_check_http.c firmware/config/tokens.c firmware/config/config_show.c firmware/config/config_text.c firmware/config/config_units.c firmware/config/config_yaml.c hal/board.c pipeline/topic.c pipeline/dedup.c pipeline/hash.c pipeline/codec/codec_json_pointer.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/statistics.c pipeline/bytes.c
 * Libs: -lyaml -lmbedcrypto */
#include <assert.h>
#include <stdlib.h>

#include "firmware/config/config_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct config config;

static char *shown(void)
{
    char *text = NULL;
    size_t bytes;
    FILE *memory = open_memstream(&text, &bytes);
    assert(memory != NULL);
    config_print_effective(&config, false, memory);
    config_print_effective(&config, true, memory);
    config_print_warnings(&config, memory);
    config_print_disk(&config, memory);
    config_print_losses(&config, memory);
    (void)fclose(memory);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *said = NULL;
    size_t said_bytes;
    FILE *memory = open_memstream(&said, &said_bytes);
    assert(memory != NULL);
    int errors = config_read_text("fuzz.yaml", (const char *)data, bytes, &config, memory);
    (void)fclose(memory);
    assert((errors > 0) == (said_bytes > 0));
    free(said);
    if (errors > 0)
        return 0;
    char *first = shown();
    char *end = strstr(first, "\n{\""); /* the YAML ends where the JSON begins */
    assert(end != NULL);
    errors = config_read_text("shown.yaml", first, (size_t)(end + 1 - first), &config, stderr);
    assert(errors == 0);
    char *second = shown();
    assert(strcmp(first, second) == 0);
    free(first);
    free(second);
    return 0;
}
