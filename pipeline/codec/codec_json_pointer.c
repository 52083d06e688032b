/* Compiling a mapping's pointers: apart, because the configuration needs this and no tree. */
#include <assert.h>

#include "pipeline/codec/codec_json.h"
#include "pipeline/codec/codec_json_scan.h"
#include "pipeline/err.h"

const char *json_pointer_compile(struct json_pointer *to, const char *from)
{
    size_t used = 0;
    *to = (struct json_pointer){ .token_count = 0 };
    if (*from != '\0' && *from != '/')
        return "a JSON pointer is empty or begins with /";
    for (; *from != '\0'; from++) {
        char byte = *from;
        if (byte == '/') { /* the NUL of the token before it */
            used += to->token_count > 0;
            to->token_count++;
            continue;
        }
        if (byte == '~') {
            from++;
            if (*from != '0' && *from != '1')
                return "in a JSON pointer ~ is written ~0, and / inside a name ~1";
            byte = *from == '0' ? '~' : '/';
        }
        assert(used < sizeof to->tokens - 1);
        to->tokens[used++] = byte;
    }
    to->key = json_key_hash(to->tokens, strlen(to->tokens));
    return NULL;
}

static bool is_terminated(const char *pointer)
{
    return memchr(pointer, '\0', POINTER_BYTES_MAX) != NULL;
}

int json_mapping_compile(struct json_mapping *m, const char **why)
{
    const struct {
        struct json_pointer *to;
        const char *from;
    } pointers[] = {
        { &m->compiled.readings, m->readings }, { &m->compiled.device, m->device },
        { &m->compiled.metric, m->metric },     { &m->compiled.value, m->value },
        { &m->compiled.time, m->time },         { &m->compiled.unit, m->unit },
        { &m->compiled.sequence, m->sequence }, { &m->compiled.metrics, m->metrics },
        { &m->compiled.version, m->version },
    };
    assert(m->field_count <= READING_FIELDS_MAX);
    m->compiled.done = false;
    *why = NULL;
    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0] && *why == NULL; i++) {
        assert(is_terminated(pointers[i].from));
        *why = json_pointer_compile(pointers[i].to, pointers[i].from);
    }
    for (uint32_t i = 0; i < m->field_count && *why == NULL; i++) {
        assert(is_terminated(m->field_pointers[i]));
        *why = json_pointer_compile(&m->compiled.fields[i], m->field_pointers[i]);
        m->field_numbers[i] = (uint8_t)i;
    }
    m->compiled.done = *why == NULL;
    return m->compiled.done ? 0 : WEIR_EINVAL;
}
