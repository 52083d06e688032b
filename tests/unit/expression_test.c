/* Goal: an expression means what docs/configuration.md says, nulls included; a faulty one is refused with the column
 * of the fault; the logarithm is right to the last bits. Method: examples as tables, then 20,000 seeded random trees,
 * printed with random parentheses and spaces, compiled and evaluated on random readings, against an evaluator that
 * walks the tree.
 * Links: pipeline/streams/expression.c pipeline/streams/expression_parse.c pipeline/streams/logarithm.c */
#include "pipeline/streams/expression.h"

#include <math.h>
#include <string.h>

#include "pipeline/err.h"
#include "pipeline/streams/logarithm.h"
#include "tests/lib/check.h"

enum { SLOTS = 6 };
static const struct expression_name NAMES[SLOTS] = {
    { { "metric", 6 }, TYPE_TEXT }, { { "value", 5 }, TYPE_ANY },  { { "time", 4 }, TYPE_NUMBER },
    { { "zone.id", 7 }, TYPE_ANY }, { { "odd name", 8 }, TYPE_ANY }, { { "flag", 4 }, TYPE_BOOLEAN },
};
static const struct expression_scope SCOPE = { .names = NAMES, .count = SLOTS };

static struct datum number(double x)
{
    return (struct datum){ .kind = DATUM_NUMBER, .number = x };
}

static struct datum boolean(bool x)
{
    return (struct datum){ .kind = DATUM_BOOLEAN, .number = x };
}

static struct datum text(const char *x)
{
    return (struct datum){ .kind = DATUM_TEXT, .text = text_of(x) };
}

static bool same(struct datum a, struct datum b)
{
    if (a.kind != b.kind)
        return false;
    if (a.kind == DATUM_TEXT)
        return text_equal(a.text, b.text);
    return a.kind == DATUM_NULL || a.number == b.number;
}

static struct datum value_of(const char *source)
{
    const struct datum slots[SLOTS] = { text("temp"), number(21.5), number(1000), { 0 }, text("north"),
                                        boolean(true) };
    struct expression e;
    struct expression_fault fault;
    int err = expression_compile(&e, text_of(source), &SCOPE, TYPE_ANY, &fault);
    if (err != 0)
        printf("%s: %u: %s\n", source, fault.column, fault.why);
    assert_int_equal(err, 0);
    struct datum result = expression_evaluate(&e, slots);
    static char kept[64]; /* a text of the result may stand in the expression */
    if (result.kind == DATUM_TEXT) {
        memcpy(kept, result.text.at, result.text.bytes);
        result.text.at = kept;
    }
    return result;
}

static void means_what_it_says(void **state)
{
    (void)state;
    const struct datum nothing = { 0 };
    const struct {
        const char *source;
        struct datum is;
    } examples[] = {
        { "1 + 2 * 3", number(7) },
        { "(1 + 2) * 3", number(9) },
        { "8 / 2 / 2", number(2) },
        { "8 - 2 - 2", number(4) },
        { "-2 * -3", number(6) },
        { "- value", number(-21.5) },
        { "1.5e1 + .5", number(15.5) },
        { "metric == 'temp' and value > 20", boolean(true) },
        { "metric=='temp'&&value>20||false", boolean(true) },
        { "false and false or true", boolean(true) },
        { "true or false and false", boolean(true) },
        { "not false == true", boolean(true) },
        { "not (value > 20)", boolean(false) },
        { "metric != 'temp'", boolean(false) },
        { "'a' < 'ab' and 'ab' < 'b'", boolean(true) },
        { "'it''s' == \"it's\"", boolean(true) },
        { "`odd name` == 'north'", boolean(true) },
        { "abs(-2) + sqrt(16) + min(1, 2) + max(1, 2)", number(9) },
        { "log(1)", number(0) },
        { "flag + 1", number(2) },
        { "flag == 1", boolean(true) },
        /* nulls */
        { "zone.id", nothing },
        { "zone.id + 1", nothing },
        { "zone.id == 'x'", nothing },
        { "zone.id != 'x'", nothing },
        { "zone.id == zone.id", nothing },
        { "zone.id == 1 and false", boolean(false) },
        { "false and zone.id == 1", boolean(false) },
        { "zone.id == 1 or true", boolean(true) },
        { "zone.id == 1 and true", nothing },
        { "not (zone.id > 1)", nothing },
        { "present(zone.id)", boolean(false) },
        { "present(value)", boolean(true) },
        { "default(zone.id, 'x')", text("x") },
        { "default(value, 3)", number(21.5) },
        { "value / 0", nothing },
        { "0 / 0 == 0 / 0", nothing },
        { "sqrt(0 - 1)", nothing },
        { "log(0)", nothing },
        { "1e100 * 1e100", nothing },
        { "`odd name` * 2", nothing },
        { "value == 'x'", nothing },
        { "min(value, zone.id)", nothing },
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        if (!same(value_of(examples[i].source), examples[i].is))
            fail_msg("%s", examples[i].source);
    }
}

static void faults_have_a_column(void **state)
{
    (void)state;
    const struct {
        const char *source;
        enum expression_type wanted;
        uint32_t column;
        const char *why;
    } examples[] = {
        { "", TYPE_ANY, 1, "something is missing" },
        { "value >", TYPE_ANY, 8, "something is missing" },
        { "value > 20 20", TYPE_ANY, 12, "an operator is missing" },
        { "valeu > 20", TYPE_ANY, 1, "nothing called `valeu`" },
        { "metric > 20", TYPE_ANY, 10, "text can't be compared with a number" },
        { "1 + metric", TYPE_ANY, 5, "a number is needed" },
        { "1 and true", TYPE_ANY, 1, "a boolean is needed" },
        { "not 1", TYPE_ANY, 5, "a boolean is needed" },
        { "value + 1", TYPE_BOOLEAN, 1, "a boolean is needed" },
        { "'x'", TYPE_NUMBER, 1, "a number is needed" },
        { "1", TYPE_TEXT, 1, "text is needed" },
        { "1 < value < 3", TYPE_ANY, 11, "chained" },
        { "value == null", TYPE_ANY, 10, "present" },
        { "abs(1, 2)", TYPE_ANY, 6, "takes 1 argument" },
        { "min(1)", TYPE_ANY, 6, "takes 2 arguments" },
        { "sin(1)", TYPE_ANY, 1, "no such function" },
        { "(1 + 2", TYPE_ANY, 7, "`)` is missing" },
        { "1 + 2)", TYPE_ANY, 6, "an operator is missing" },
        { "'abc", TYPE_ANY, 1, "not closed" },
        { "1x", TYPE_ANY, 1, "no number" },
        { "1e999", TYPE_ANY, 1, "too large" },
        { "value # 1", TYPE_ANY, 7, "no meaning" },
        { "* 2", TYPE_ANY, 1, "a value is missing" },
        { "((((((((((((((((((((((((((1))))))))))))))))))))))))))", TYPE_ANY, 25, "too deeply" },
        { "1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1", TYPE_ANY, 64, "too long" },
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct expression e;
        struct expression_fault fault = { 0 };
        int err = expression_compile(&e, text_of(examples[i].source), &SCOPE, examples[i].wanted, &fault);
        if (err != WEIR_EINVAL || fault.column != examples[i].column || fault.width < 1 ||
            strstr(fault.why, examples[i].why) == NULL)
            fail_msg("%s: %d %u %s", examples[i].source, err, fault.column, fault.why);
    }
    char many[EXPRESSION_BYTES_MAX + 2];
    memset(many, '1', sizeof many);
    struct expression e;
    struct expression_fault fault;
    struct text long_one = { many, sizeof many };
    assert_int_equal(expression_compile(&e, long_one, &SCOPE, TYPE_ANY, &fault), WEIR_EINVAL);
}

/* --- the property: trees of words, evaluated by walking them --- */

struct node {
    const char *word;    /* an operator, a function, or a literal as it is written */
    struct datum is;     /* of a literal */
    int slot;            /* of a name, else -1 */
    struct node *of[2];
};

static struct node pool[128];
static size_t pool_used;

static struct node *leaf(uint64_t *chance, enum expression_type type)
{
    static const double numbers[] = { 0, 1, 2, 0.5, 1e139, 3.25 };
    static const char *const spelled[] = { "0", "1", "2", "0.5", "1e139", "3.25" };
    static const char *const texts[] = { "temp", "north", "", "n" };
    static const char *const quoted[] = { "'temp'", "\"north\"", "''", "'n'" };
    struct node *n = &pool[pool_used++];
    *n = (struct node){ .slot = -1 };
    bool name = rnd_below(chance, 2) == 0;
    size_t i = rnd_below(chance, 6);
    if (type == TYPE_NUMBER && !name)
        n->word = spelled[i], n->is = number(numbers[i]);
    else if (type == TYPE_TEXT && !name)
        n->word = quoted[i % 4], n->is = text(texts[i % 4]);
    else if (type == TYPE_BOOLEAN && !name)
        n->word = i % 2 != 0 ? "true" : "false", n->is = boolean(i % 2 != 0);
    else { /* fields that may be anything, and the one of the type */
        n->slot = i < 2 ? 1 : i < 4 ? 3 : type == TYPE_TEXT ? 0 : type == TYPE_NUMBER ? 2 : 5;
        n->word = n->slot == 4 ? "`odd name`" : NAMES[n->slot].name.at;
    }
    return n;
}

static struct node *grow(uint64_t *chance, enum expression_type type, int depth)
{
    static const char *const sums[] = { "+", "-", "*", "/", "min", "max", "neg", "abs", "sqrt", "log", "default" };
    static const char *const tests[] = { "and", "or", "not", "present", "default", "==", "!=", "<", "<=", ">", ">=" };
    if (depth == 0 || pool_used > 40 || rnd_below(chance, 5) == 0)
        return leaf(chance, type);
    struct node *n = &pool[pool_used++];
    *n = (struct node){ .slot = -1 };
    if (type == TYPE_TEXT) {
        n->word = "default";
        n->of[0] = grow(chance, TYPE_TEXT, depth - 1), n->of[1] = grow(chance, TYPE_TEXT, depth - 1);
        return n;
    }
    size_t i = rnd_below(chance, 11);
    n->word = type == TYPE_NUMBER ? sums[i] : tests[i];
    bool one = type == TYPE_NUMBER ? i >= 6 && i <= 9 : i == 2 || i == 3;
    enum expression_type of = type;
    if (type == TYPE_BOOLEAN && (i == 3 || i >= 5))
        of = rnd_below(chance, 3) == 0 ? TYPE_TEXT : TYPE_NUMBER;
    n->of[0] = grow(chance, of, depth - 1);
    n->of[1] = one ? NULL : grow(chance, of, depth - 1);
    return n;
}

static bool is_function(const char *word)
{
    return strcmp(word, "min") == 0 || strcmp(word, "max") == 0 || strcmp(word, "abs") == 0 ||
           strcmp(word, "sqrt") == 0 || strcmp(word, "log") == 0 || strcmp(word, "default") == 0 ||
           strcmp(word, "present") == 0;
}

static int rank(const char *word)
{
    static const char *const ranks[] = { "or", "and", "not", "== != < <= > >=", "+ -", "* /", "neg" };
    for (int i = 0; i < 7; i++)
        for (const char *at = strstr(ranks[i], word); at != NULL; at = strstr(at + 1, word)) {
            char before = at == ranks[i] ? ' ' : at[-1], after = at[strlen(word)];
            if (before == ' ' && (after == ' ' || after == '\0'))
                return i + 1;
        }
    return 8;
}

static void print(uint64_t *chance, const struct node *n, int outside, bool right, char *to, size_t bytes)
{
    char a[2048];
    int own = n->of[0] == NULL || is_function(n->word) ? 8 : rank(n->word);
    bool chained = own == 4 && outside == 4;
    bool wrap = own < outside || (own == outside && (right || chained)) || rnd_below(chance, 10) == 0;
    if (n->of[0] == NULL)
        (void)snprintf(a, sizeof a, "%.*s", (int)strlen(n->word), n->word);
    const char *space = rnd_below(chance, 2) == 0 ? " " : "  ";
    char x[2048], y[2048];
    if (n->of[0] != NULL && is_function(n->word)) {
        print(chance, n->of[0], 0, false, x, sizeof x);
        if (n->of[1] != NULL)
            print(chance, n->of[1], 0, false, y, sizeof y);
        (void)snprintf(a, sizeof a, "%s(%.900s%s%.900s)", n->word, x, n->of[1] != NULL ? "," : "",
                       n->of[1] != NULL ? y : "");
    } else if (n->of[0] != NULL && n->of[1] == NULL) {
        print(chance, n->of[0], own, false, x, sizeof x);
        (void)snprintf(a, sizeof a, "%s%.1900s", strcmp(n->word, "neg") == 0 ? "-" : "not ", x);
    } else if (n->of[0] != NULL) {
        print(chance, n->of[0], own, false, x, sizeof x);
        print(chance, n->of[1], own, true, y, sizeof y);
        (void)snprintf(a, sizeof a, "%.900s%s%s%s%.900s", x, space, n->word, space, y);
    }
    (void)snprintf(to, bytes, wrap ? "(%.2000s)" : "%.2000s", a);
}

static double as_number(struct datum d)
{
    return d.kind == DATUM_NUMBER || d.kind == DATUM_BOOLEAN ? d.number : (double)NAN;
}

static struct datum walk(const struct node *n, const struct datum *slots)
{
    if (n->of[0] == NULL)
        return n->slot >= 0 ? slots[n->slot] : n->is;
    const char *w = n->word;
    struct datum a = walk(n->of[0], slots), b = { 0 };
    if (n->of[1] != NULL)
        b = walk(n->of[1], slots);
    if (strcmp(w, "present") == 0)
        return boolean(a.kind != DATUM_NULL);
    if (strcmp(w, "default") == 0)
        return a.kind == DATUM_NULL ? b : a;
    if (strcmp(w, "not") == 0)
        return a.kind == DATUM_BOOLEAN ? boolean(a.number == 0) : (struct datum){ 0 };
    if (strcmp(w, "and") == 0 || strcmp(w, "or") == 0) { /* as -1, 0, 1 of null in the middle */
        int x = a.kind != DATUM_BOOLEAN ? 0 : a.number != 0 ? 1 : -1;
        int y = b.kind != DATUM_BOOLEAN ? 0 : b.number != 0 ? 1 : -1;
        int z = w[0] == 'a' ? (x < y ? x : y) : (x > y ? x : y);
        return z == 0 ? (struct datum){ 0 } : boolean(z > 0);
    }
    if (strchr("=!<>", w[0]) != NULL) {
        double d = as_number(a) - as_number(b);
        if (a.kind == DATUM_TEXT && b.kind == DATUM_TEXT) {
            char p[16] = "", q[16] = "";
            memcpy(p, a.text.at, a.text.bytes), memcpy(q, b.text.at, b.text.bytes);
            d = strcmp(p, q);
        }
        if (isnan(d))
            return (struct datum){ 0 };
        return boolean(w[0] == '=' ? d == 0 : w[0] == '!' ? d != 0 : (w[0] == '<' ? d < 0 : d > 0) ||
                                                                    (w[1] == '=' && d == 0));
    }
    double x = as_number(a), y = as_number(b), z = 0;
    switch (w[0] == 'm' ? w[1] : w[0]) {
    case '+': z = x + y; break;
    case '-': z = x - y; break;
    case '*': z = x * y; break;
    case '/': z = y == 0 ? (double)NAN : x / y; break;
    case 'i': z = isnan(x) || isnan(y) ? (double)NAN : fmin(x, y); break;
    case 'a': z = w[0] == 'a' ? fabs(x) : isnan(x) || isnan(y) ? (double)NAN : fmax(x, y); break;
    case 'n': z = -x; break;
    case 's': z = sqrt(x); break;
    case 'l': z = x > 0 ? logarithm(x) : (double)NAN; break;
    default: fail();
    }
    return isnan(z) || fabs(z) > 1e140 ? (struct datum){ 0 } : number(z);
}

static struct datum any_datum(uint64_t *chance)
{
    static const char *const texts[] = { "temp", "north", "", "n" };
    switch (rnd_below(chance, 4)) {
    case 0: return (struct datum){ 0 };
    case 1: return boolean(rnd_below(chance, 2) != 0);
    case 2: return text(texts[rnd_below(chance, 4)]);
    default: return number((double)rnd_below(chance, 9) / 2 - 2);
    }
}

static void random_trees_agree(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    unsigned compiled = 0, nulls = 0;
    for (int round = 0; round < 20000; round++) {
        static const enum expression_type types[] = { TYPE_NUMBER, TYPE_BOOLEAN, TYPE_BOOLEAN, TYPE_TEXT };
        char source[2048];
        pool_used = 0;
        const struct node *tree = grow(&chance, types[rnd_below(&chance, 4)], 5);
        print(&chance, tree, 0, false, source, sizeof source);
        struct expression e;
        struct expression_fault fault;
        int err = expression_compile(&e, text_of(source), &SCOPE, TYPE_ANY, &fault);
        if (err != 0 && strstr(fault.why, "too") == NULL && strstr(fault.why, "longer") == NULL)
            fail_msg("%s: %u: %s", source, fault.column, fault.why);
        for (int i = 0; err == 0 && i < 8; i++) {
            const struct datum slots[SLOTS] = { text("temp"), any_datum(&chance), number((double)(round % 5)),
                                                any_datum(&chance), any_datum(&chance), boolean(round % 2 != 0) };
            struct datum is = expression_evaluate(&e, slots), should = walk(tree, slots);
            if (!same(is, should))
                fail_msg("%s: %d %.17g, not %d %.17g", source, is.kind, is.number, should.kind, should.number);
            nulls += is.kind == DATUM_NULL;
        }
        compiled += err == 0;
    }
    printf("# %u of 20000 fit, %u nulls\n", compiled, nulls);
    assert_true(compiled > 15000 && nulls > 10000);
}

static void the_logarithm_is_right(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    double worst = 0;
    for (int i = 0; i < 1000000; i++) {
        double x = i % 3 == 0   ? 0.5 + rnd_unit(&chance) * 1.5
                   : i % 3 == 1 ? ldexp(1 + rnd_unit(&chance), (int)rnd_below(&chance, 2000) - 1040)
                                : 1 + (rnd_unit(&chance) - 0.5) * 1e-6;
        double is = logarithm(x);
        long double should = logl((long double)x);
        double off = should == 0 ? fabs(is) : (double)fabsl(((long double)is - should) / should);
        worst = off > worst ? off : worst;
    }
    printf("# worst %.3g\n", worst);
    assert_true(worst < 4e-16);
    assert_true(logarithm(1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_what_it_says),
        cmocka_unit_test(faults_have_a_column),
        cmocka_unit_test(random_trees_agree),
        cmocka_unit_test(the_logarithm_is_right),
    };
    return cmocka_run_group_tests_name("expression", tests, NULL, NULL);
}
