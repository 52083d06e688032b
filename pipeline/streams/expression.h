/* expression: `metric == 'temperature' and value * 1.8 + 32 > 80`, compiled to a bounded program.
 *
 * Operators, loosest first: or, and, not; == != < <= > >= (not chained); + -; * /; unary -.
 * Functions: abs(x), sqrt(x), log(x) (natural), min(x, y), max(x, y), present(x), default(x, y);
 * and where the scope has a memory, previous(NAME) and baseline(NAME), slots of their own.
 * Literals: numbers, 'text' or "text" (the quote doubled stands for itself), true, false. A name
 * with other characters than letters, digits, _ and . stands in backquotes.
 *
 * Types are checked when it is compiled, as far as they are known by then: a field of a payload may
 * turn out to be anything. Null is what is not there or makes no sense, and what is computed of
 * null is null:
 *   a field that the reading lacks; text where a number is needed, or the other way round;
 *   a division by 0, the root or logarithm of what has none, a result beyond READING_NUMBER_MAX
 * but: false and null is false, true or null is true, present(x) is never null, default(x, y) is y
 * where x is null. A boolean is 0 or 1 where a number is needed. Texts compare by their bytes.
 *
 * Evaluating takes no memory, has no loop and no jump: each step of the program runs once, so the
 * worst cost is expression.step_count times that of a step (tests/bench/streams_bench.c), and
 * comparing texts. No time, no heap. The parser is Pratt's ("Top Down Operator Precedence", 1973).
 */
#ifndef PIPELINE_STREAMS_EXPRESSION_H
#define PIPELINE_STREAMS_EXPRESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/text.h"

enum {
    EXPRESSION_BYTES_MAX = 240, /* of its text */
    EXPRESSION_STEPS_MAX = 64,
    EXPRESSION_STACK_MAX = 16,
    EXPRESSION_NEST_MAX = 24,   /* of parentheses, calls and operators that wait for their right */
    EXPRESSION_SLOTS_MAX = 80,  /* of a scope */
    EXPRESSION_WHY_BYTES = 240
};

enum datum_kind { DATUM_NULL, DATUM_NUMBER, DATUM_BOOLEAN, DATUM_TEXT };

struct datum {
    enum datum_kind kind;
    double number;    /* NUMBER: finite, within READING_NUMBER_MAX; BOOLEAN: 0 or 1 */
    struct text text; /* TEXT */
};

/* What is known of a type when an expression is compiled. */
enum expression_type { TYPE_ANY, TYPE_NUMBER, TYPE_BOOLEAN, TYPE_TEXT };

struct expression_name { /* a name that may stand in an expression, and what it stands for */
    struct text name;
    enum expression_type type;
};

struct expression_scope { /* the i-th name is slots[i] of expression_evaluate */
    const struct expression_name *names;
    uint32_t count;
    /* names[remembered_from] and behind it may stand in previous(NAME) and baseline(NAME): of the
     * i-th of them slots[previous_at + i] and slots[baseline_at + i]. previous_at 0: none may */
    uint32_t remembered_from, previous_at, baseline_at;
};

struct expression_step {
    uint8_t op;       /* enum of expression_steps.h */
    uint8_t slot;     /* of a name */
    uint16_t at, bytes; /* of a text, in `texts` */
    uint16_t unused;    /* no bytes between the fields, so that equal programs have equal bytes */
    double number;
};

struct expression {
    enum expression_type type;
    uint16_t step_count;
    uint16_t is_slot; /* it is a name alone */
    uint64_t slots;   /* a bit for each of the first 64 slots that it reads */
    struct expression_step steps[EXPRESSION_STEPS_MAX];
    char texts[EXPRESSION_BYTES_MAX];
};

struct expression_fault {
    uint32_t column, width; /* characters of the text, from 1; width at least 1 */
    char why[EXPRESSION_WHY_BYTES];
};

/* Compile the whole of `text`. `wanted`: the type that it must have (a boolean is a number too);
 * ANY: whichever.
 *   WEIR_EINVAL  it is no such expression, and *fault says where and why; *expression is undefined
 */
int expression_compile(struct expression *expression, struct text text,
                       const struct expression_scope *scope, enum expression_type wanted,
                       struct expression_fault *fault);

/* `slots` has a datum for each name of the scope. Texts of the result point into those or into the
 * expression. */
struct datum expression_evaluate(const struct expression *expression, const struct datum *slots);

/* The same, in *room or where it stands already: cheaper where the expression is a name alone. */
static inline const struct datum *expression_value(const struct expression *expression,
                                                   const struct datum *slots, struct datum *room)
{
    if (expression->is_slot)
        return &slots[expression->steps[0].slot];
    *room = expression_evaluate(expression, slots);
    return room;
}

/* The same datum as a number: a boolean is 0 or 1; false: it is none. */
bool datum_number(const struct datum *datum, double *number);

#endif
