/* Goal: no payload harms the JSON codec, and what it lets through keeps its promises: bounded finite
 * numbers, valid names, equal to strtod where one number is the whole message; what the pass over the
 * bytes calls good, cJSON reads; what the scanner takes, both take, and the tree is the same.
 * Method: libFuzzer; the first byte chooses a mapping, the rest is the payload and ends at a page
 * that may not be touched, so that an overread within cJSON is seen too.
 * Links: pipeline/codec/codec_json.c pipeline/codec/codec_json_check.c pipeline/codec/codec_json_pointer.c pipeline/codec/codec_json_scan.c pipeline/codec/codec_json_tree.c pipeline/timestamp.c pipeline/bytes.c firmware/json_arena.c
 * Libs: -lcjson */
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/json_arena.h"
#include "pipeline/codec/codec_json.h"
#include "pipeline/codec/codec_json_check.h"
#include "pipeline/codec/codec_json_scan.h"
#include "pipeline/codec/codec_json_tree.h"
#include "tests/lib/json_trees.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { PAYLOAD_MAX = 16384, READINGS_MAX = 32, ARENA_BYTES = 1 << 16, DEPTH = 6 };

static struct json_mapping mappings[] = {
    { .time_format = TIME_FORMAT_AUTO },
    { .metrics_given = true, .time = "/time", .sequence = "/seq", .device = "/id", .unit = "/unit" },
    { .readings_given = true, .readings = "/data", .value = "/v", .metric = "/n", .time = "/t" },
    { .readings_given = true, .value = "/v", .device = "/d", .sequence = "/s", .unit = "/u",
      .time = "/t", .time_format = TIME_FORMAT_SECONDS },
    { .metrics_given = true, .readings_given = true, .metrics = "/m", .field_count = 2,
      .field_names = { "fw", "r" }, .field_pointers = { "/fw", "/r/0" } },
};

static struct reading readings[READINGS_MAX];
static uint8_t extra[1024];

static char *page_end(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *at = mmap(NULL, PAYLOAD_MAX + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
    assert(at != MAP_FAILED);
    int err = mprotect(at + PAYLOAD_MAX, page, PROT_NONE);
    assert(err == 0);
    return at + PAYLOAD_MAX;
}

static void check_readings(const struct decoded *out, size_t bytes)
{
    assert(out->count + out->bad_count <= READINGS_MAX);
    assert(out->fault_offset <= bytes);
    assert((out->reason == REJECT_NONE) == (out->count + out->bad_count > 0));
    for (uint32_t i = 0; i < out->count; i++) {
        const struct reading *r = &readings[i];
        assert(name_valid(r->device) && name_valid(r->metric));
        assert(r->unit.bytes <= READING_NAME_BYTES_MAX);
        assert(r->value.number >= -READING_NUMBER_MAX && r->value.number <= READING_NUMBER_MAX);
        assert(r->value.text.bytes <= READING_TEXT_BYTES_MAX);
        assert(r->value.text.bytes == 0 || memchr(r->value.text.at, 0, r->value.text.bytes) == NULL);
        assert(r->index < READINGS_MAX && (i == 0 || r->index > readings[i - 1].index));
    }
    for (uint32_t i = 0; i < out->bad_count; i++)
        assert(out->bad[i].reason != REJECT_NONE && out->bad[i].fault_offset < bytes);
}

static void check_against_strtod(const struct decoded *out, struct text payload)
{
    char copy[128];
    if (out->count != 1 || readings[0].value.type != VALUE_NUMBER || payload.bytes >= sizeof copy)
        return;
    memcpy(copy, payload.at, payload.bytes);
    copy[payload.bytes] = '\0';
    double want = strtod(copy, NULL);
    assert(memcmp(&want, &readings[0].value.number, sizeof want) == 0);
}

static void check_scanner(struct text payload)
{
    bool exhausted;
    struct json_keys keys;
    json_arena_reset();
    const cJSON *scanned = json_scan(payload, &keys);
    if (scanned == NULL)
        return;
    assert(json_check(payload, 1).reason == REJECT_NONE);
    cJSON *parsed = cJSON_ParseWithLengthOpts(payload.at, payload.bytes, NULL, 0);
    if (parsed == NULL) { /* the scanner's tree left too little of the arena */
        assert(json_arena_exhausted());
        return;
    }
    assert(trees_equal(scanned, parsed));
    assert(json_duplicate(parsed, &exhausted) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static _Alignas(16) uint8_t region[ARENA_BYTES];
    static char *end;
    static struct decoded out;
    size_t count = sizeof mappings / sizeof mappings[0];
    if (end == NULL) {
        const char *why;
        end = page_end();
        json_arena_start(region, sizeof region);
        for (size_t i = 0; i < count; i++)
            (void)json_mapping_compile(&mappings[i], &why); /* decode asserts that it was good */
    }
    if (bytes == 0 || bytes - 1 > PAYLOAD_MAX)
        return 0;
    struct text payload = { end - (bytes - 1), (uint32_t)bytes - 1 };
    memcpy(end - (bytes - 1), data + 1, bytes - 1);
    struct decoder decoder = {
        .memory = { json_arena_reset, json_arena_exhausted },
        .limits = { .payload_bytes = PAYLOAD_MAX, .depth = DEPTH, .readings = READINGS_MAX },
        .readings = readings, .extra = extra, .extra_bytes = sizeof extra,
    };
    size_t chosen = data[0] % count;
    decode_json(&decoder, &mappings[chosen], 0, text_of("pump7"), text_of("temp"), payload, &out);
    check_readings(&out, payload.bytes);
    if (json_check(payload, DEPTH).reason == REJECT_NONE)
        assert(out.reason != REJECT_JSON_SYNTAX);
    if (chosen == 0)
        check_against_strtod(&out, payload);
    check_scanner(payload);
    return 0;
}
