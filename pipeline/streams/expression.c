#include "pipeline/streams/expression.h"

#include <assert.h>
#include <math.h>

#include "pipeline/reading.h"
#include "pipeline/streams/expression_steps.h"
#include "pipeline/streams/logarithm.h"

/* Results are written field by field where they will be read, over an operand perhaps: a struct
 * that is returned is copied in wide pieces, and those wait for the narrow stores before them. */

static void be_nothing(struct datum *to)
{
    to->kind = DATUM_NULL;
}

static void be_number(struct datum *to, double number) /* a NaN is in no range, and so nothing */
{
    bool holds = number >= -READING_NUMBER_MAX && number <= READING_NUMBER_MAX;
    to->kind = holds ? DATUM_NUMBER : DATUM_NULL;
    to->number = holds ? number : 0;
}

static void be_boolean(struct datum *to, bool holds)
{
    to->kind = DATUM_BOOLEAN;
    to->number = holds;
}

static void be_same(struct datum *to, const struct datum *as)
{
    to->kind = as->kind;
    to->number = as->number;
    to->text.at = as->text.at;
    to->text.bytes = as->text.bytes;
}

bool datum_number(const struct datum *datum, double *number)
{
    *number = datum->number;
    return datum->kind == DATUM_NUMBER || datum->kind == DATUM_BOOLEAN;
}

static void negate(const struct datum *x, struct datum *to)
{
    if (x->kind == DATUM_BOOLEAN)
        be_boolean(to, x->number == 0);
    else
        be_nothing(to);
}

static void of_number(enum expression_op op, double number, struct datum *to)
{
    switch (op) {
    case OP_NEGATE:
        be_number(to, -number);
        return;
    case OP_ABS:
        be_number(to, number < 0 ? -number : number);
        return;
    case OP_SQRT:
        if (number >= 0)
            be_number(to, sqrt(number));
        else
            be_nothing(to);
        return;
    default:
        assert(op == OP_LOG);
        if (number > 0)
            be_number(to, logarithm(number));
        else
            be_nothing(to);
    }
}

static void of_one(enum expression_op op, const struct datum *x, struct datum *to)
{
    double number;
    if (op == OP_PRESENT)
        be_boolean(to, x->kind != DATUM_NULL);
    else if (op == OP_NOT)
        negate(x, to);
    else if (datum_number(x, &number))
        of_number(op, number, to);
    else
        be_nothing(to);
}

static void arithmetic(enum expression_op op, const struct datum *x, const struct datum *y,
                       struct datum *to)
{
    double a, b;
    if (!datum_number(x, &a) || !datum_number(y, &b) || (op == OP_DIVIDE && b == 0)) {
        be_nothing(to);
        return;
    }
    switch (op) {
    case OP_ADD:
        be_number(to, a + b);
        return;
    case OP_SUBTRACT:
        be_number(to, a - b);
        return;
    case OP_MULTIPLY:
        be_number(to, a * b);
        return;
    case OP_DIVIDE:
        be_number(to, a / b);
        return;
    case OP_MIN:
        be_number(to, b < a ? b : a);
        return;
    default:
        assert(op == OP_MAX);
        be_number(to, b > a ? b : a);
    }
}

/* By bytes, as memcmp; of texts that begin alike the shorter is less. */
static int text_order(struct text a, struct text b)
{
    uint32_t bytes = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = bytes > 0 ? memcmp(a.at, b.at, bytes) : 0;
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static bool order_holds(enum expression_op op, int order)
{
    switch (op) {
    case OP_EQUAL:
        return order == 0;
    case OP_UNEQUAL:
        return order != 0;
    case OP_LESS:
        return order < 0;
    case OP_LESS_EQUAL:
        return order <= 0;
    case OP_GREATER:
        return order > 0;
    default:
        assert(op == OP_GREATER_EQUAL);
        return order >= 0;
    }
}

static void compare(enum expression_op op, const struct datum *x, const struct datum *y,
                    struct datum *to)
{
    double a, b;
    if (x->kind == DATUM_TEXT && y->kind == DATUM_TEXT)
        be_boolean(to, order_holds(op, text_order(x->text, y->text)));
    else if (datum_number(x, &a) && datum_number(y, &b))
        be_boolean(to, order_holds(op, (a > b) - (a < b)));
    else
        be_nothing(to);
}

/* Kleene's: one that decides alone decides, else null where one is. */
static void join(bool decisive, const struct datum *x, const struct datum *y, struct datum *to)
{
    bool x_known = x->kind == DATUM_BOOLEAN, y_known = y->kind == DATUM_BOOLEAN;
    if ((x_known && (x->number != 0) == decisive) || (y_known && (y->number != 0) == decisive))
        be_boolean(to, decisive);
    else if (x_known && y_known)
        be_boolean(to, !decisive);
    else
        be_nothing(to);
}

static void of_two(enum expression_op op, const struct datum *x, const struct datum *y,
                   struct datum *to)
{
    if (op >= OP_ADD && op <= OP_MAX)
        arithmetic(op, x, y, to);
    else if (op >= OP_EQUAL && op <= OP_GREATER_EQUAL)
        compare(op, x, y, to);
    else if (op == OP_DEFAULT)
        be_same(to, x->kind != DATUM_NULL ? x : y);
    else
        join(op == OP_OR, x, y, to);
}

static void be_constant(struct datum *to, const struct expression *expression,
                        const struct expression_step *step)
{
    to->kind = step->op == OP_NUMBER ? DATUM_NUMBER
               : step->op == OP_BOOLEAN ? DATUM_BOOLEAN : DATUM_TEXT;
    to->number = step->number;
    to->text.at = expression->texts + step->at;
    to->text.bytes = step->bytes;
}

/* What stands on the stack is where it was, or in `made`. */
struct datum expression_evaluate(const struct expression *expression, const struct datum *slots)
{
    struct datum made[EXPRESSION_STACK_MAX];
    const struct datum *stack[EXPRESSION_STACK_MAX];
    uint32_t used = 0;
    for (uint32_t i = 0; i < expression->step_count; i++) {
        const struct expression_step *step = &expression->steps[i];
        enum expression_op op = (enum expression_op)step->op;
        if (op == OP_SLOT) {
            stack[used++] = &slots[step->slot];
            continue;
        }
        if (op <= OP_TEXT) {
            be_constant(&made[used], expression, step);
            stack[used] = &made[used];
            used++;
            continue;
        }
        used -= op >= OP_ADD;
        if (op <= OP_PRESENT)
            of_one(op, stack[used - 1], &made[used - 1]);
        else
            of_two(op, stack[used - 1], stack[used], &made[used - 1]);
        stack[used - 1] = &made[used - 1];
    }
    assert(used == 1);
    return *stack[0];
}
