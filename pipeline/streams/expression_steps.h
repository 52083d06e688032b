/* expression_steps: what a compiled expression is made of. For expression*.c alone. */
#ifndef PIPELINE_STREAMS_EXPRESSION_STEPS_H
#define PIPELINE_STREAMS_EXPRESSION_STEPS_H

enum expression_op { /* each takes its operands from the stack and leaves its result there */
    OP_SLOT, OP_NUMBER, OP_BOOLEAN, OP_TEXT,
    OP_NEGATE, OP_NOT, OP_ABS, OP_SQRT, OP_LOG, OP_PRESENT, /* of one */
    OP_ADD, OP_SUBTRACT, OP_MULTIPLY, OP_DIVIDE, OP_MIN, OP_MAX, /* of two */
    OP_EQUAL, OP_UNEQUAL, OP_LESS, OP_LESS_EQUAL, OP_GREATER, OP_GREATER_EQUAL,
    OP_AND, OP_OR, OP_DEFAULT
};

#endif
