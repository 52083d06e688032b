/* Goal: no template or topic harms the matcher, and it matches what a broker's matcher would deliver.
 * Method: libFuzzer; the input's first line is the template, the rest the topic, each alone in its heap;
 * libmosquitto's own matcher is asked with the template's filter.
 * Links: pipeline/topic.c
 * Libs: -lmosquitto */
#include <assert.h>
#include <mosquitto.h>
#include <stdint.h>
#include <stdlib.h>

#include "pipeline/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static char *terminated(const uint8_t *from, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    assert(copy != NULL);
    if (bytes > 0)
        memcpy(copy, from, bytes);
    copy[bytes] = '\0';
    return copy;
}

static bool is_inside(struct text part, const char *topic, size_t bytes)
{
    return part.bytes == 0 || (part.at >= topic && part.at + part.bytes <= topic + bytes &&
                               memchr(part.at, '/', part.bytes) == NULL);
}

/* A named part, unlike `+`, wants a byte. */
static bool has_empty_level(const char *topic)
{
    size_t bytes = strlen(topic);
    return topic[0] == '/' || strstr(topic, "//") != NULL || topic[bytes - 1] == '/';
}

static void compare(const struct topic_template *template, const uint8_t *from, size_t bytes)
{
    char filter[TOPIC_BYTES_MAX + 1];
    struct topic_match match;
    char *exact = malloc(bytes > 0 ? bytes : 1), *topic = terminated(from, bytes);
    assert(exact != NULL);
    if (bytes > 0)
        memcpy(exact, from, bytes);
    bool got = topic_match(template, (struct text){ exact, (uint32_t)bytes }, &match);
    assert(is_inside(match.device, exact, bytes) && is_inside(match.metric, exact, bytes));
    topic_filter(template, filter);
    bool theirs = false;
    if (bytes > 0 && memchr(from, 0, bytes) == NULL &&
        mosquitto_topic_matches_sub(filter, topic, &theirs) == MOSQ_ERR_SUCCESS) {
        assert(theirs || !got);
        assert(got || !theirs || has_empty_level(topic));
    }
    free(topic);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const uint8_t *newline = bytes > 0 ? memchr(data, '\n', bytes) : NULL;
    size_t first = newline != NULL ? (size_t)(newline - data) : bytes;
    struct topic_template template;
    const char *why;
    size_t at;
    char *text = terminated(data, first);
    int err = topic_compile(&template, text, &why, &at);
    assert(at <= strlen(text));
    assert((err == 0) == (why == NULL));
    if (err == 0 && newline != NULL)
        compare(&template, newline + 1, bytes - first - 1);
    free(text);
    return 0;
}
