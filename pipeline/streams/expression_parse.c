/* From the text of an expression to its steps: tokens, Pratt's parser, types. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/err.h"
#include "pipeline/reading.h"
#include "pipeline/streams/expression.h"
#include "pipeline/streams/expression_steps.h"

enum token_kind {
    TOKEN_END, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_NAME, TOKEN_OPERATOR, TOKEN_OPEN, TOKEN_CLOSE,
    TOKEN_COMMA
};

enum { /* how tightly an operator holds what stands beside it */
    BIND_NONE, BIND_OR, BIND_AND, BIND_NOT, BIND_COMPARE, BIND_SUM, BIND_PRODUCT, BIND_SIGN
};

struct token {
    enum token_kind kind;
    uint32_t at, bytes;   /* in the text */
    bool quoted;          /* a NAME in backquotes: never a word of the language */
    double number;
};

struct parser {
    struct expression *to;
    struct text text;
    const struct expression_scope *scope;
    struct expression_fault *fault;
    struct token token;   /* the one to be looked at next */
    uint32_t used;        /* of the text, by it and what came before */
    uint32_t texts_used, stack, nest;
    bool failed;
};

static const struct operator {
    const char *word, *other; /* two ways to write it */
    uint8_t bind, op;
} OPERATORS[] = {
    { "or", "||", BIND_OR, OP_OR },
    { "and", "&&", BIND_AND, OP_AND },
    { "==", "=", BIND_COMPARE, OP_EQUAL },
    { "!=", "<>", BIND_COMPARE, OP_UNEQUAL },
    { "<=", NULL, BIND_COMPARE, OP_LESS_EQUAL },
    { ">=", NULL, BIND_COMPARE, OP_GREATER_EQUAL },
    { "<", NULL, BIND_COMPARE, OP_LESS },
    { ">", NULL, BIND_COMPARE, OP_GREATER },
    { "+", NULL, BIND_SUM, OP_ADD },
    { "-", NULL, BIND_SUM, OP_SUBTRACT },
    { "*", NULL, BIND_PRODUCT, OP_MULTIPLY },
    { "/", NULL, BIND_PRODUCT, OP_DIVIDE },
};

static const struct function {
    const char *name;
    uint8_t op, arguments;
} FUNCTIONS[] = {
    { "abs", OP_ABS, 1 }, { "sqrt", OP_SQRT, 1 }, { "log", OP_LOG, 1 },
    { "present", OP_PRESENT, 1 }, { "min", OP_MIN, 2 }, { "max", OP_MAX, 2 },
    { "default", OP_DEFAULT, 2 },
};

static const char *type_name(enum expression_type type)
{
    static const char *const names[] = { "anything", "a number", "a boolean", "text" };
    return names[type];
}

/* The first fault counts. */
__attribute__((format(printf, 3, 4))) static void fail(struct parser *p, const struct token *at,
                                                       const char *format, ...)
{
    if (p->failed)
        return;
    p->failed = true;
    p->fault->column = at->at + 1;
    p->fault->width = at->bytes > 0 ? at->bytes : 1;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(p->fault->why, sizeof p->fault->why, format, arguments);
    va_end(arguments);
}

/* --- tokens --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char char_at(const struct parser *p, uint32_t at)
{
    return at < p->text.bytes ? p->text.at[at] : '\0';
}

static uint32_t skip_digits(const struct parser *p, uint32_t at)
{
    while (is_digit(char_at(p, at)))
        at++;
    return at;
}

static void read_number(struct parser *p, struct token *token)
{
    uint32_t end = skip_digits(p, token->at);
    if (char_at(p, end) == '.')
        end = skip_digits(p, end + 1);
    if (char_at(p, end) == 'e' || char_at(p, end) == 'E') {
        uint32_t power = end + 1 + (char_at(p, end + 1) == '-' || char_at(p, end + 1) == '+');
        if (is_digit(char_at(p, power)))
            end = skip_digits(p, power);
    }
    char copy[64];
    token->kind = TOKEN_NUMBER;
    token->bytes = end - token->at;
    if (token->bytes >= sizeof copy || is_letter(char_at(p, end))) {
        fail(p, token, "this is no number");
        return;
    }
    memcpy(copy, p->text.at + token->at, token->bytes);
    copy[token->bytes] = '\0';
    token->number = strtod(copy, NULL);
    if (!(token->number <= READING_NUMBER_MAX))
        fail(p, token, "this number is too large");
}

/* Between quotes, in which the quote doubled stands for itself. */
static void read_quoted(struct parser *p, struct token *token, char quote)
{
    uint32_t at = token->at + 1;
    while (at < p->text.bytes && (p->text.at[at] != quote || char_at(p, at + 1) == quote))
        at += p->text.at[at] == quote ? 2 : 1;
    token->kind = quote == '`' ? TOKEN_NAME : TOKEN_TEXT;
    token->quoted = true;
    if (at >= p->text.bytes) {
        token->bytes = p->text.bytes - token->at;
        fail(p, token, "this quote is not closed");
        return;
    }
    token->bytes = at + 1 - token->at;
}

static void read_operator(struct parser *p, struct token *token)
{
    char c = char_at(p, token->at), next = char_at(p, token->at + 1);
    token->kind = c == '(' ? TOKEN_OPEN : c == ')' ? TOKEN_CLOSE : c == ',' ? TOKEN_COMMA
                                                                            : TOKEN_OPERATOR;
    bool two = ((c == '=' || c == '!' || c == '<' || c == '>') && next == '=') ||
               (c == '<' && next == '>') || ((c == '&' || c == '|') && next == c);
    token->bytes = two ? 2 : 1;
    if (token->kind == TOKEN_OPERATOR && !two && strchr("=!<>+-*/", c) == NULL)
        fail(p, token, "this character has no meaning here");
}

static void next_token(struct parser *p)
{
    while (char_at(p, p->used) == ' ' || char_at(p, p->used) == '\t' ||
           char_at(p, p->used) == '\n')
        p->used++;
    struct token token = { .kind = TOKEN_END, .at = p->used };
    char c = char_at(p, p->used);
    if (p->used == p->text.bytes)
        ;
    else if (is_digit(c) || (c == '.' && is_digit(char_at(p, p->used + 1))))
        read_number(p, &token);
    else if (c == '\'' || c == '"' || c == '`')
        read_quoted(p, &token, c);
    else if (is_letter(c)) {
        token.kind = TOKEN_NAME;
        while (is_letter(char_at(p, token.at + token.bytes)) ||
               is_digit(char_at(p, token.at + token.bytes)) ||
               char_at(p, token.at + token.bytes) == '.')
            token.bytes++;
    } else
        read_operator(p, &token);
    p->used = token.at + token.bytes;
    p->token = token;
}

static bool token_is(const struct parser *p, const struct token *token, const char *word)
{
    struct text is = { p->text.at + token->at, token->bytes };
    return (token->kind == TOKEN_NAME || token->kind == TOKEN_OPERATOR) && !token->quoted &&
           text_equal(is, text_of(word));
}

/* --- steps --- */

static void emit(struct parser *p, const struct token *at, struct expression_step step)
{
    bool pushes = step.op <= OP_TEXT, joins = step.op >= OP_ADD;
    if (p->to->step_count == EXPRESSION_STEPS_MAX || (pushes && p->stack == EXPRESSION_STACK_MAX))
        fail(p, at, "the expression is too long: at most %d steps, %d of them waiting",
             EXPRESSION_STEPS_MAX, EXPRESSION_STACK_MAX);
    if (p->failed)
        return;
    p->to->steps[p->to->step_count++] = step;
    p->stack += pushes;
    p->stack -= joins;
}

static void need_number(struct parser *p, const struct token *at, enum expression_type type)
{
    if (type == TYPE_TEXT)
        fail(p, at, "a number is needed here, and this is text");
}

static void need_boolean(struct parser *p, const struct token *at, enum expression_type type)
{
    if (type != TYPE_BOOLEAN && type != TYPE_ANY)
        fail(p, at, "a boolean is needed here, and this is %s", type_name(type));
}

/* What was parsed: its type, and the part of the text that it is. */
struct operand {
    enum expression_type type;
    struct token whole;
};

static struct operand operand_of(enum expression_type type, const struct token *from)
{
    return (struct operand){ type, *from };
}

static struct operand parse(struct parser *p, int bind);

/* The text between the quotes goes to `texts`, doubled quotes as one. */
static struct text unquoted(struct parser *p, const struct token *token)
{
    char *to = p->to->texts + p->texts_used;
    uint32_t bytes = 0;
    for (uint32_t at = token->at + 1; at + 1 < token->at + token->bytes; at++) {
        to[bytes++] = p->text.at[at];
        at += p->text.at[at] == p->text.at[token->at];
    }
    p->texts_used += bytes;
    assert(p->texts_used <= EXPRESSION_BYTES_MAX);
    return (struct text){ to, bytes };
}

static struct operand parse_text(struct parser *p, const struct token *token)
{
    struct text text = unquoted(p, token);
    emit(p, token, (struct expression_step){ .op = OP_TEXT,
                                             .at = (uint16_t)(text.at - p->to->texts),
                                             .bytes = (uint16_t)text.bytes });
    return operand_of(TYPE_TEXT, token);
}

/* Which of the scope's names; scope->count: none. */
static uint32_t name_of(const struct parser *p, struct text name)
{
    uint32_t i = 0;
    while (i < p->scope->count &&
           (name.bytes == 0 || !text_equal(p->scope->names[i].name, name)))
        i++;
    return i;
}

static void emit_slot(struct parser *p, const struct token *token, uint32_t slot)
{
    assert(slot < EXPRESSION_SLOTS_MAX);
    emit(p, token, (struct expression_step){ .op = OP_SLOT, .slot = (uint8_t)slot });
    if (slot < 64)
        p->to->slots |= (uint64_t)1 << slot;
}

static struct operand parse_name(struct parser *p, const struct token *token)
{
    struct text name = { p->text.at + token->at, token->bytes };
    if (token->quoted)
        name = unquoted(p, token);
    uint32_t i = name_of(p, name);
    if (i < p->scope->count) {
        emit_slot(p, token, i);
        return operand_of(p->scope->names[i].type, token);
    }
    int shown = name.bytes > 60 ? 60 : (int)name.bytes;
    if (token_is(p, token, "null"))
        fail(p, token, "nothing is equal to null: `present(x)` asks whether x is there");
    else
        fail(p, token, "there is nothing called `%.*s` here", shown, name.at);
    return operand_of(TYPE_ANY, token);
}

static const struct function *function_of(const struct parser *p, const struct token *token)
{
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof FUNCTIONS[0]; i++)
        if (token_is(p, token, FUNCTIONS[i].name))
            return &FUNCTIONS[i];
    return NULL;
}

static enum expression_type type_of_call(struct parser *p, uint8_t op, const struct operand *x,
                                         const struct operand *y)
{
    if (op == OP_PRESENT)
        return TYPE_BOOLEAN;
    if (op == OP_DEFAULT)
        return x->type == y->type ? x->type : TYPE_ANY;
    need_number(p, &x->whole, x->type);
    need_number(p, &y->whole, y->type);
    return TYPE_NUMBER;
}

/* previous(NAME), baseline(NAME) */
static struct operand parse_memory(struct parser *p, const struct token *call, bool previous)
{
    const struct expression_scope *scope = p->scope;
    next_token(p); /* ( */
    struct text name = { p->text.at + p->token.at, p->token.bytes };
    uint32_t i = p->token.kind == TOKEN_NAME && !p->token.quoted ? name_of(p, name) : scope->count;
    if (scope->previous_at == 0)
        fail(p, call, "only `derive` and `rules` of a stream remember what was before");
    else if (i >= scope->count || i < scope->remembered_from)
        fail(p, &p->token, "the name of an aggregate, or of what was derived before, is needed "
                           "here");
    next_token(p);
    if (p->token.kind != TOKEN_CLOSE)
        fail(p, &p->token, "`)` is missing");
    if (p->failed)
        return operand_of(TYPE_NUMBER, call);
    next_token(p);
    emit_slot(p, call, (previous ? scope->previous_at : scope->baseline_at) + i -
                           scope->remembered_from);
    return operand_of(TYPE_NUMBER, call);
}

static struct operand parse_call(struct parser *p, const struct token *name)
{
    const struct function *function = function_of(p, name);
    if (function == NULL)
        fail(p, name, "there is no such function");
    next_token(p); /* ( */
    struct operand arguments[2] = { 0 };
    for (uint32_t i = 0; !p->failed && i < function->arguments; i++) {
        if (i > 0 && p->token.kind != TOKEN_COMMA)
            fail(p, &p->token, "`%s` takes %u arguments", function->name, function->arguments);
        if (i > 0)
            next_token(p);
        arguments[i] = parse(p, BIND_NONE);
    }
    if (!p->failed && p->token.kind == TOKEN_COMMA)
        fail(p, &p->token, "`%s` takes %u argument%s", function->name, function->arguments,
             function->arguments > 1 ? "s" : "");
    if (p->token.kind != TOKEN_CLOSE)
        fail(p, &p->token, "`)` is missing");
    if (p->failed)
        return arguments[0];
    next_token(p);
    const struct operand *last = &arguments[function->arguments - 1];
    enum expression_type type = type_of_call(p, function->op, &arguments[0], last);
    emit(p, name, (struct expression_step){ .op = function->op });
    return operand_of(type, name);
}

static struct operand parse_sign(struct parser *p, const struct token *sign, bool not)
{
    struct operand x = parse(p, not ? BIND_NOT : BIND_SIGN);
    if (not)
        need_boolean(p, &x.whole, x.type);
    else
        need_number(p, &x.whole, x.type);
    emit(p, sign, (struct expression_step){ .op = not ? OP_NOT : OP_NEGATE });
    return operand_of(not ? TYPE_BOOLEAN : TYPE_NUMBER, &x.whole);
}

static struct operand parse_group(struct parser *p)
{
    struct operand inside = parse(p, BIND_NONE);
    if (p->token.kind != TOKEN_CLOSE)
        fail(p, &p->token, "`)` is missing");
    next_token(p);
    return inside;
}

static struct operand parse_operand(struct parser *p)
{
    struct token token = p->token;
    next_token(p);
    if (token.kind == TOKEN_NUMBER) {
        emit(p, &token, (struct expression_step){ .op = OP_NUMBER, .number = token.number });
        return operand_of(TYPE_NUMBER, &token);
    }
    if (token.kind == TOKEN_TEXT)
        return parse_text(p, &token);
    if (token.kind == TOKEN_OPEN)
        return parse_group(p);
    if (token_is(p, &token, "not") || token_is(p, &token, "!") || token_is(p, &token, "-"))
        return parse_sign(p, &token, !token_is(p, &token, "-"));
    if (token_is(p, &token, "true") || token_is(p, &token, "false")) {
        emit(p, &token, (struct expression_step){ .op = OP_BOOLEAN,
                                                  .number = token_is(p, &token, "true") });
        return operand_of(TYPE_BOOLEAN, &token);
    }
    bool call = token.kind == TOKEN_NAME && !token.quoted && p->token.kind == TOKEN_OPEN;
    if (call && (token_is(p, &token, "previous") || token_is(p, &token, "baseline")))
        return parse_memory(p, &token, token_is(p, &token, "previous"));
    if (call)
        return parse_call(p, &token);
    if (token.kind == TOKEN_NAME)
        return parse_name(p, &token);
    fail(p, &token, "%s", token.kind == TOKEN_END ? "something is missing at the end"
                                                  : "a value is missing before this");
    return operand_of(TYPE_ANY, &token);
}

static const struct operator *operator_of(const struct parser *p)
{
    for (size_t i = 0; i < sizeof OPERATORS / sizeof OPERATORS[0]; i++)
        if (token_is(p, &p->token, OPERATORS[i].word) ||
            (OPERATORS[i].other != NULL && token_is(p, &p->token, OPERATORS[i].other)))
            return &OPERATORS[i];
    return NULL;
}

static enum expression_type type_of_pair(struct parser *p, const struct operator *operator,
                                         const struct operand *x, const struct operand *y)
{
    if (operator->bind == BIND_OR || operator->bind == BIND_AND) {
        need_boolean(p, &x->whole, x->type);
        need_boolean(p, &y->whole, y->type);
        return TYPE_BOOLEAN;
    }
    if (operator->bind == BIND_COMPARE) {
        bool one_text = (x->type == TYPE_TEXT) != (y->type == TYPE_TEXT);
        if (one_text && x->type != TYPE_ANY && y->type != TYPE_ANY)
            fail(p, &y->whole, "%s can't be compared with %s", type_name(x->type),
                 type_name(y->type));
        return TYPE_BOOLEAN;
    }
    need_number(p, &x->whole, x->type);
    need_number(p, &y->whole, y->type);
    return TYPE_NUMBER;
}

static struct operand parse(struct parser *p, int bind)
{
    if (p->nest == EXPRESSION_NEST_MAX)
        fail(p, &p->token, "this is nested too deeply: at most %d", EXPRESSION_NEST_MAX);
    if (p->failed)
        return (struct operand){ 0 };
    p->nest++;
    struct operand left = parse_operand(p);
    while (!p->failed) {
        const struct operator *operator = operator_of(p);
        if (operator == NULL || operator->bind <= bind)
            break;
        struct token at = p->token;
        next_token(p);
        struct operand right = parse(p, operator->bind);
        enum expression_type type = type_of_pair(p, operator, &left, &right);
        emit(p, &at, (struct expression_step){ .op = operator->op });
        left = operand_of(type, &left.whole);
        const struct operator *next = operator_of(p);
        if (operator->bind == BIND_COMPARE && next != NULL && next->bind == BIND_COMPARE)
            fail(p, &p->token, "comparisons can't be chained: join two by `and`");
    }
    p->nest--;
    return left;
}

int expression_compile(struct expression *expression, struct text text,
                       const struct expression_scope *scope, enum expression_type wanted,
                       struct expression_fault *fault)
{
    assert(scope->count <= EXPRESSION_SLOTS_MAX);
    struct parser p = { .to = expression, .text = text, .scope = scope, .fault = fault };
    *expression = (struct expression){ 0 };
    if (text.bytes > EXPRESSION_BYTES_MAX) {
        struct token end = { .at = EXPRESSION_BYTES_MAX };
        fail(&p, &end, "the expression is longer than %d bytes", EXPRESSION_BYTES_MAX);
        return WEIR_EINVAL;
    }
    next_token(&p);
    struct token first = p.token;
    struct operand whole = parse(&p, BIND_NONE);
    if (p.token.kind != TOKEN_END)
        fail(&p, &p.token, "an operator is missing before this");
    if (wanted == TYPE_NUMBER)
        need_number(&p, &first, whole.type);
    if (wanted == TYPE_BOOLEAN)
        need_boolean(&p, &first, whole.type);
    if (wanted == TYPE_TEXT && whole.type != TYPE_TEXT && whole.type != TYPE_ANY)
        fail(&p, &first, "text is needed here, and this is %s", type_name(whole.type));
    expression->type = whole.type;
    expression->is_slot = expression->step_count == 1 && expression->steps[0].op == OP_SLOT;
    assert(p.failed || p.stack == 1);
    return p.failed ? WEIR_EINVAL : 0;
}
