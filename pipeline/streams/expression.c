#include "pipeline/streams/expression.h"

#include <assert.h>
#include <math.h>

#include "pipeline/reading.h"
#include "pipeline/streams/expression_steps.h"
#include "pipeline/streams/logarithm.h"

static const struct datum NOTHING = { .kind = DATUM_NULL };

static struct datum number_of(double number) /* a NaN is in no range, and so nothing */
{
    if (!(number >= -READING_NUMBER_MAX && number <= READING_NUMBER_MAX))
        return NOTHING;
    return (struct datum){ .kind = DATUM_NUMBER, .number = number };
}

static struct datum boolean_of(bool holds)
{
    return (struct datum){ .kind = DATUM_BOOLEAN, .number = holds };
}

bool datum_number(const struct datum *datum, double *number)
{
    *number = datum->number;
    return datum->kind == DATUM_NUMBER || datum->kind == DATUM_BOOLEAN;
}

static struct datum negation_of(const struct datum *x)
{
    return x->kind == DATUM_BOOLEAN ? boolean_of(x->number == 0) : NOTHING;
}

static struct datum of_one(enum expression_op op, const struct datum *x)
{
    double number;
    if (op == OP_PRESENT)
        return boolean_of(x->kind != DATUM_NULL);
    if (op == OP_NOT)
        return negation_of(x);
    if (!datum_number(x, &number))
        return NOTHING;
    switch (op) {
    case OP_NEGATE:
        return number_of(-number);
    case OP_ABS:
        return number_of(number < 0 ? -number : number);
    case OP_SQRT:
        return number >= 0 ? number_of(sqrt(number)) : NOTHING;
    default:
        assert(op == OP_LOG);
        return number > 0 ? number_of(logarithm(number)) : NOTHING;
    }
}

static struct datum arithmetic(enum expression_op op, const struct datum *x, const struct datum *y)
{
    double a, b;
    if (!datum_number(x, &a) || !datum_number(y, &b))
        return NOTHING;
    switch (op) {
    case OP_ADD:
        return number_of(a + b);
    case OP_SUBTRACT:
        return number_of(a - b);
    case OP_MULTIPLY:
        return number_of(a * b);
    case OP_DIVIDE:
        return b != 0 ? number_of(a / b) : NOTHING;
    case OP_MIN:
        return number_of(b < a ? b : a);
    default:
        assert(op == OP_MAX);
        return number_of(b > a ? b : a);
    }
}

/* By bytes, as memcmp; of texts that begin alike the shorter is less. */
static int text_order(struct text a, struct text b)
{
    uint32_t bytes = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = bytes > 0 ? memcmp(a.at, b.at, bytes) : 0;
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static struct datum compare(enum expression_op op, const struct datum *x, const struct datum *y)
{
    double a, b;
    int order;
    if (x->kind == DATUM_TEXT && y->kind == DATUM_TEXT)
        order = text_order(x->text, y->text);
    else if (datum_number(x, &a) && datum_number(y, &b))
        order = (a > b) - (a < b);
    else
        return NOTHING;
    switch (op) {
    case OP_EQUAL:
        return boolean_of(order == 0);
    case OP_UNEQUAL:
        return boolean_of(order != 0);
    case OP_LESS:
        return boolean_of(order < 0);
    case OP_LESS_EQUAL:
        return boolean_of(order <= 0);
    case OP_GREATER:
        return boolean_of(order > 0);
    default:
        assert(op == OP_GREATER_EQUAL);
        return boolean_of(order >= 0);
    }
}

/* Kleene's: one that decides alone decides, else null where one is. */
static struct datum join(bool decisive, const struct datum *x, const struct datum *y)
{
    bool x_known = x->kind == DATUM_BOOLEAN, y_known = y->kind == DATUM_BOOLEAN;
    if ((x_known && (x->number != 0) == decisive) || (y_known && (y->number != 0) == decisive))
        return boolean_of(decisive);
    return x_known && y_known ? boolean_of(!decisive) : NOTHING;
}

static struct datum of_two(enum expression_op op, const struct datum *x, const struct datum *y)
{
    if (op >= OP_ADD && op <= OP_MAX)
        return arithmetic(op, x, y);
    if (op >= OP_EQUAL && op <= OP_GREATER_EQUAL)
        return compare(op, x, y);
    if (op == OP_DEFAULT)
        return x->kind != DATUM_NULL ? *x : *y;
    return join(op == OP_OR, x, y);
}

struct datum expression_evaluate(const struct expression *expression, const struct datum *slots)
{
    struct datum stack[EXPRESSION_STACK_MAX];
    uint32_t used = 0;
    for (uint32_t i = 0; i < expression->step_count; i++) {
        const struct expression_step *step = &expression->steps[i];
        enum expression_op op = (enum expression_op)step->op;
        if (op == OP_SLOT)
            stack[used++] = slots[step->slot];
        else if (op == OP_NUMBER)
            stack[used++] = (struct datum){ .kind = DATUM_NUMBER, .number = step->number };
        else if (op == OP_BOOLEAN)
            stack[used++] = boolean_of(step->number != 0);
        else if (op == OP_TEXT)
            stack[used++] = (struct datum){ .kind = DATUM_TEXT,
                                            .text = { expression->texts + step->at, step->bytes } };
        else if (op <= OP_PRESENT)
            stack[used - 1] = of_one(op, &stack[used - 1]);
        else {
            stack[used - 2] = of_two(op, &stack[used - 2], &stack[used - 1]);
            used--;
        }
    }
    assert(used == 1);
    return stack[0];
}
