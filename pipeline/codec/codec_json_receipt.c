#include "pipeline/codec/codec_json_receipt.h"

#include <assert.h>
#include <cjson/cJSON.h>

#include "pipeline/err.h"

static const char *const LANE_NAMES[RECEIPT_LANES] = { "alerts", "results", "raw" };

#define SEQUENCE_MAX 9007199254740992.0 /* 2^53: beyond it JSON numbers are not exact */

const char *receipt_lane_name(uint32_t lane)
{
    assert(lane < RECEIPT_LANES);
    return LANE_NAMES[lane];
}

static int read_sequence(const cJSON *item, uint64_t *to)
{
    if (!cJSON_IsNumber(item))
        return WEIR_EINVAL;
    double value = item->valuedouble;
    if (!(value >= 0 && value <= SEQUENCE_MAX) || (double)(uint64_t)value != value)
        return WEIR_EINVAL;
    *to = (uint64_t)value;
    return 0;
}

static int read_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int read_store(const cJSON *root, uint64_t store_id[2])
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "store");
    if (!cJSON_IsString(item) || strlen(item->valuestring) != 32)
        return WEIR_EINVAL;
    store_id[0] = store_id[1] = 0;
    for (int i = 0; i < 32; i++) {
        int digit = read_hex_digit(item->valuestring[i]);
        if (digit < 0)
            return WEIR_EINVAL;
        store_id[i / 16] = store_id[i / 16] << 4 | (uint64_t)digit;
    }
    return 0;
}

static int lane_of(const char *name, uint32_t *lane)
{
    for (uint32_t i = 0; i < RECEIPT_LANES; i++)
        if (strcmp(name, LANE_NAMES[i]) == 0) {
            *lane = i;
            return 0;
        }
    return WEIR_ENOTFOUND;
}

static const cJSON *parse(const struct json_memory *memory, struct text payload)
{
    if (payload.bytes == 0 || payload.bytes > RECEIPT_BYTES_MAX)
        return NULL;
    memory->reset();
    const cJSON *root = cJSON_ParseWithLength(payload.at, payload.bytes);
    return cJSON_IsObject(root) ? root : NULL;
}

int receipt_parse(const struct json_memory *memory, struct text payload, struct receipt *out)
{
    const cJSON *root = parse(memory, payload);
    struct receipt found = { 0 };
    if (root == NULL || read_store(root, found.store_id) != 0)
        return WEIR_EINVAL;
    const cJSON *lanes = cJSON_GetObjectItemCaseSensitive(root, "lanes");
    if (!cJSON_IsObject(lanes))
        return WEIR_EINVAL;
    for (const cJSON *item = lanes->child; item != NULL; item = item->next) {
        uint32_t lane;
        if (lane_of(item->string, &lane) != 0)
            continue; /* a lane that a later Weir has */
        if (read_sequence(item, &found.covered[lane]) != 0)
            return WEIR_EINVAL;
        found.has_lane[lane] = true;
    }
    *out = found;
    return 0;
}

int replay_parse(const struct json_memory *memory, struct text payload, struct replay_request *out)
{
    const cJSON *root = parse(memory, payload);
    struct replay_request found = { 0 };
    if (root == NULL || read_store(root, found.store_id) != 0)
        return WEIR_EINVAL;
    const cJSON *lane = cJSON_GetObjectItemCaseSensitive(root, "lane");
    if (!cJSON_IsString(lane) || lane_of(lane->valuestring, &found.lane) != 0)
        return WEIR_EINVAL;
    if (read_sequence(cJSON_GetObjectItemCaseSensitive(root, "from"), &found.from) != 0 ||
        read_sequence(cJSON_GetObjectItemCaseSensitive(root, "to"), &found.to) != 0)
        return WEIR_EINVAL;
    if (found.from < 1 || found.to < found.from)
        return WEIR_EINVAL;
    *out = found;
    return 0;
}
