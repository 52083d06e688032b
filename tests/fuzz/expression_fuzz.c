/* Goal: no text harms the expression's parser; what it refuses has a place inside the text and a reason; what it takes
 * keeps its limits, and evaluates to a datum that is allowed, on any reading. Method: libFuzzer; the first byte draws
 * the reading, the rest is the text, alone in its heap.
 * Links: pipeline/streams/expression.c pipeline/streams/expression_parse.c pipeline/streams/logarithm.c */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "pipeline/reading.h"
#include "pipeline/streams/expression.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { SLOTS = 4 };

static struct datum drawn(uint8_t chance)
{
    switch (chance & 3) {
    case 0: return (struct datum){ 0 };
    case 1: return (struct datum){ .kind = DATUM_BOOLEAN, .number = chance >> 2 & 1 };
    case 2: return (struct datum){ .kind = DATUM_TEXT, .text = { "north", chance >> 2 & 3 } };
    default: return (struct datum){ .kind = DATUM_NUMBER, .number = (chance - 128) * 1e137 };
    }
}

static void check(const struct datum *is)
{
    if (is->kind == DATUM_NUMBER)
        assert(is->number >= -READING_NUMBER_MAX && is->number <= READING_NUMBER_MAX);
    if (is->kind == DATUM_BOOLEAN)
        assert(is->number == 0 || is->number == 1);
    for (uint32_t i = 0; is->kind == DATUM_TEXT && i < is->text.bytes; i++)
        (void)*(volatile const char *)&is->text.at[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct expression_name names[SLOTS] = {
        { { "metric", 6 }, TYPE_TEXT }, { { "value", 5 }, TYPE_ANY },
        { { "time", 4 }, TYPE_NUMBER }, { { "x", 1 }, TYPE_ANY },
    };
    const struct expression_scope scope = { .names = names, .count = SLOTS };
    if (bytes == 0)
        return 0;
    char *text = malloc(bytes);
    assert(text != NULL);
    memcpy(text, data + 1, bytes - 1);
    struct expression e;
    struct expression_fault fault = { 0 };
    enum expression_type wanted = (enum expression_type)(data[0] & 3);
    int err = expression_compile(&e, (struct text){ text, (uint32_t)bytes - 1 }, &scope, wanted, &fault);
    if (err != 0) {
        assert(fault.column >= 1 && fault.column <= bytes && fault.width >= 1);
        assert(fault.why[0] != '\0' && memchr(fault.why, '\0', sizeof fault.why) != NULL);
    } else {
        assert(e.step_count >= 1 && e.step_count <= EXPRESSION_STEPS_MAX);
        const struct datum slots[SLOTS] = { drawn(2), drawn(data[0]), drawn(3), drawn(data[0] >> 1) };
        struct datum is = expression_evaluate(&e, slots);
        check(&is);
    }
    free(text);
    return 0;
}
