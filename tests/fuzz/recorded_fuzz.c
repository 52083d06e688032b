/* Goal: no recorded file harms its reader, and what it gives of one is a reading that the engine may be asked about.
 * Method: libFuzzer; the input's first byte says whether it is JSON Lines or CSV, the rest is the file, in memory; two sources
 * with further fields, some by the same name.
 * Links: firmware/replay/recorded.c firmware/replay/recorded_fields.c firmware/replay/journal_csv.c firmware/cli/detect_csv.c firmware/cli/json_view.c pipeline/codec/codec_json_check.c pipeline/codec/json_writer.c pipeline/bytes.c pipeline/timestamp.c pipeline/reject.c
 * Libs: */
#include <assert.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/cli/cli.h"
#include "firmware/replay/recorded.h"
#include "pipeline/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct config config; /* large */
static struct recorded file;

static void configure(void)
{
    static const char *const names[2][3] = { { "load" }, { "load", "zone", "ok" } };
    config.source_count = 2;
    config.stream_count = 1;
    config.stream_fields.count = STREAM_OWN_FIELDS + 3;
    for (uint32_t s = 0; s < 2; s++) {
        (void)snprintf(config.sources[s].name, sizeof config.sources[s].name, "source-%u", s);
        for (uint32_t i = 0; i < 3 && names[s][i] != NULL; i++) {
            config.sources[s].field_count = i + 1;
            (void)snprintf(config.sources[s].field_names[i], READING_NAME_BYTES_MAX + 1, "%s", names[s][i]);
            config.stream_fields.slots[s][i] = (uint8_t)(STREAM_OWN_FIELDS + i);
        }
    }
}

static bool is_number(double number)
{
    return fabs(number) <= READING_NUMBER_MAX;
}

static void check_fields(const struct reading *reading)
{
    struct byte_reader r = { (const uint8_t *)reading->extra.at, reading->extra.bytes, 0, false };
    int last = -1;
    while (r.used < r.bytes) {
        int field = get_u8(&r), type = get_u8(&r);
        assert(field > last && (uint32_t)field < config.sources[reading->source].field_count && type <= VALUE_TEXT);
        if (type == VALUE_TEXT)
            assert(get_text(&r).bytes <= READING_TEXT_BYTES_MAX);
        else
            assert(is_number(get_f64(&r)));
        last = field;
    }
    assert(!r.failed);
}

static void check(const struct record *record)
{
    const struct reading *reading = &record->reading;
    assert(record->t_ms >= 0 && record->t_ms < TIME_MS_MAX);
    if (record->kind == RECORD_CLOCK) {
        assert(record->clock.offset_ms > -TIME_MS_MAX && record->clock.offset_ms < TIME_MS_MAX);
        return;
    }
    assert(record->kind == RECORD_READING && reading->source < config.source_count);
    assert(record->event_time_ms > -TIME_MS_MAX && record->event_time_ms < TIME_MS_MAX);
    assert(reading->device.bytes > 0 && reading->device.bytes <= READING_NAME_BYTES_MAX);
    assert(reading->metric.bytes > 0 && reading->metric.bytes <= READING_NAME_BYTES_MAX);
    assert(reading->unit.bytes <= READING_NAME_BYTES_MAX && is_number(reading->value.number));
    assert(reading->value.text.bytes <= READING_TEXT_BYTES_MAX);
    assert(!file.heard || (file.heard_ms > -TIME_MS_MAX && file.heard_ms < TIME_MS_MAX));
    check_fields(reading);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char path[64];
    int got = 0, memory = memfd_create("recorded", 0);
    if (config.source_count == 0)
        configure();
    assert(memory >= 0);
    if (bytes > 1)
        assert(write(memory, data + 1, bytes - 1) == (ssize_t)(bytes - 1));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    assert(recorded_open(&file, path) == CLI_OK);
    if (bytes > 0 && data[0] % 2 == 0) {
        file.json = true;
        file.exported = false;
        rewind(file.file);
    }
    recorded_fields_init(&file.fields, &config);
    while ((got = recorded_next(&file)) == 1)
        check(&file.record);
    assert(got == 0 || file.fault[0] != '\0');
    recorded_close(&file);
    assert(close(memory) == 0);
    return 0;
}
