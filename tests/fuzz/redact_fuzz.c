/* Goal: no JSON text harms the redactor; what it makes of a good one is a good one, in which the fields that are dropped are null
 * wherever cJSON finds them, under a key however it is written; and to do it twice changes nothing more.
 * Method: libFuzzer; the input is the text. The seeds are those of the decoder.
 * Links: pipeline/codec/codec_json_redact.c pipeline/codec/codec_json_pointer.c pipeline/codec/codec_json_check.c
 * Libs: -lcjson */
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/codec/codec_json_check.h"
#include "pipeline/codec/codec_json_redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void hmac(void *ctx, struct text value, uint8_t mac[32])
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < value.bytes; i++)
        sum = sum * 31 + (uint8_t)value.at[i]; /* reads each of them */
    (void)ctx;
    memset(mac, (int)(sum & 0xff), 32);
}

static void look(const cJSON *value)
{
    for (const cJSON *member = value->child; member != NULL; member = member->next) {
        if (member->string != NULL && strcmp(member->string, "value") == 0)
            assert(cJSON_IsNull(member));
        if (member->string != NULL && strcmp(member->string, "time") == 0)
            assert(cJSON_IsNull(member) || strncmp(member->valuestring, "hmac:", 5) == 0);
        look(member);
    }
}

/* In a block of just its size, so that a byte too far is found. */
static char *redacted(const char *from, size_t bytes, size_t *made)
{
    static struct pii_field fields[3] = { { .pointer = "/value" }, { .pointer = "/time", .by = PII_HMAC },
                                          { .pointer = "/1/a~1b" } };
    for (int i = 0; i < 3; i++)
        (void)json_pointer_compile(&fields[i].compiled, fields[i].pointer);
    size_t most = bytes * 20 + 64;
    char *exact = malloc(bytes > 0 ? bytes : 1), *scratch = malloc(bytes > 0 ? bytes : 1), *to = malloc(most);
    memcpy(exact, from, bytes);
    struct redactor r = { fields, 3, hmac, NULL, scratch, bytes, true };
    struct text json = { exact, (uint32_t)bytes };
    *made = 0;
    if (json_check(json, JSON_DEPTH_MAX).reason == REJECT_NONE)
        *made = json_redact(&r, json, to, most);
    free(exact);
    free(scratch);
    return to;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    size_t once_bytes, twice_bytes;
    if (bytes > 64 * 1024)
        return 0;
    char *once = redacted((const char *)data, bytes, &once_bytes);
    if (once_bytes > 0) {
        char *twice = redacted(once, once_bytes, &twice_bytes); /* a good one, or nothing would be made */
        assert(twice_bytes == once_bytes && memcmp(once, twice, once_bytes) == 0);
        cJSON *tree = cJSON_ParseWithLength(once, once_bytes);
        assert(tree != NULL);
        look(tree);
        cJSON_Delete(tree);
        free(twice);
    }
    free(once);
    return 0;
}
