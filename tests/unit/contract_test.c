/* Goal: a contract accepts what it describes and names the first thing that breaks it; a new version
 * is compatible only if no reading made for the old one would be refused. Method: tables; then random
 * pairs of contracts: what is called compatible is tried with readings that the old one accepts.
 * Links: pipeline/contract.c pipeline/bytes.c */
#include "pipeline/contract.h"

#include "tests/lib/check.h"

static struct reading number(const char *metric, double value, const char *unit)
{
    return (struct reading){ .metric = text_of(metric), .unit = text_of(unit),
                             .value = { .type = VALUE_NUMBER, .number = value } };
}

static void readings_are_checked(void **state)
{
    (void)state;
    static struct contract contract = {
        .name = "pumps", .version = 2, .metric_count = 3,
        .metrics = {
            { .name = "temp", .unit = "Cel", .required = true, .has_min = true, .min = -40,
              .has_max = true, .max = 120 },
            { .name = "flow", .has_min = true, .min = 0 },
            { .name = "state", .type = VALUE_TEXT },
        },
    };
    const struct {
        struct reading reading;
        enum reject_reason want;
    } table[] = {
        { number("temp", 21.5, "Cel"), REJECT_NONE },
        { number("temp", 21.5, ""), REJECT_NONE },
        { number("temp", -40, "Cel"), REJECT_NONE },
        { number("temp", 120, "Cel"), REJECT_NONE },
        { number("temp", -40.5, "Cel"), REJECT_CONTRACT_RANGE },
        { number("temp", 120.5, ""), REJECT_CONTRACT_RANGE },
        { number("temp", 21.5, "K"), REJECT_CONTRACT_UNIT },
        { number("flow", 1e100, "whatever"), REJECT_NONE },
        { number("flow", -1, ""), REJECT_CONTRACT_RANGE },
        { number("state", 1, ""), REJECT_CONTRACT_TYPE },
        { number("tem", 1, ""), REJECT_CONTRACT_UNKNOWN },
        { number("", 1, ""), REJECT_CONTRACT_UNKNOWN },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(contract_check(&contract, &table[i].reading), table[i].want);
    struct reading text = number("state", 0, "");
    text.value = (struct value){ .type = VALUE_TEXT, .text = text_of("ON") };
    assert_int_equal(contract_check(&contract, &text), REJECT_NONE);
    text.metric = text_of("temp");
    assert_int_equal(contract_check(&contract, &text), REJECT_CONTRACT_TYPE);
    contract.allow_unknown = true;
    assert_int_equal(contract_check(&contract, &table[10].reading), REJECT_NONE);

    /* What an older version made is good still; a newer one is not known here. */
    struct reading versioned = number("temp", 21.5, "");
    for (versioned.contract_version = 0; versioned.contract_version <= 3; versioned.contract_version++)
        assert_int_equal(contract_check(&contract, &versioned),
                         versioned.contract_version <= 2 ? REJECT_NONE : REJECT_CONTRACT_VERSION);

    struct reading message[] = { number("flow", 1, ""), number("temp", 1, "") };
    assert_null(contract_missing(&contract, message, 2));
    assert_ptr_equal(contract_missing(&contract, message, 1), &contract.metrics[0]);
    assert_ptr_equal(contract_missing(&contract, NULL, 0), &contract.metrics[0]);
}

#define NUMBER(...) { .name = "temp", __VA_ARGS__ }
#define ONE(...) { .metric_count = 1, .metrics = { __VA_ARGS__ } }

static void changes_are_judged(void **state)
{
    (void)state;
    static const struct {
        struct contract old, new_one;
        const char *why; /* NULL: compatible */
    } table[] = {
        { ONE(NUMBER(0)), ONE(NUMBER(0)), NULL },
        { ONE(NUMBER(.has_min = true, .min = 0)), ONE(NUMBER(.has_min = true, .min = -1)), NULL },
        { ONE(NUMBER(.has_min = true, .min = 0)), ONE(NUMBER(0)), NULL },
        { ONE(NUMBER(.has_min = true, .min = 0)), ONE(NUMBER(.has_min = true, .min = 1)),
          "metric temp: range narrowed from [0, any] to [1, any]" },
        { ONE(NUMBER(0)), ONE(NUMBER(.has_max = true, .max = 1)),
          "metric temp: range narrowed from [any, any] to [any, 1]" },
        { ONE(NUMBER(.has_max = true, .max = 2)), ONE(NUMBER(.has_max = true, .max = 1)),
          "metric temp: range narrowed from [any, 2] to [any, 1]" },
        { ONE(NUMBER(.unit = "Cel")), ONE(NUMBER(0)), NULL },
        { ONE(NUMBER(.unit = "Cel")), ONE(NUMBER(.unit = "K")), "metric temp: unit changed from Cel to K" },
        { ONE(NUMBER(0)), ONE(NUMBER(.unit = "K")), "metric temp: unit changed from any to K" },
        { ONE(NUMBER(0)), ONE(NUMBER(.type = VALUE_TEXT)), "metric temp: type changed from number to text" },
        { ONE(NUMBER(0)), ONE(NUMBER(.required = true)), "metric temp: became required" },
        { ONE(NUMBER(.required = true)), ONE(NUMBER(0)), NULL },
        { ONE(NUMBER(0)), { .metric_count = 0 },
          "metric temp: removed, and unknown metrics are refused" },
        { ONE(NUMBER(0)), { .allow_unknown = true }, NULL },
        { { .metric_count = 0 }, ONE(NUMBER(0)), NULL },
        { { .metric_count = 0 }, ONE(NUMBER(.required = true)), "metric temp: new and required" },
        { { .allow_unknown = true }, { .metric_count = 0 }, "unknown metrics are no longer allowed" },
        { { .metric_count = 0 }, { .allow_unknown = true }, NULL },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char why[128];
        bool got = contract_compatible(&table[i].old, &table[i].new_one, why, sizeof why);
        assert_string_equal(why, table[i].why != NULL ? table[i].why : "");
        assert_int_equal(got, table[i].why == NULL);
    }
    char cut[8];
    assert_false(contract_compatible(&table[3].old, &table[3].new_one, cut, sizeof cut));
    assert_string_equal(cut, "metric ");
}

/* Not only the first. */
static void every_reason_is_told(void **state)
{
    (void)state;
    static const struct contract old = { .allow_unknown = true, .metric_count = 3,
        .metrics = { NUMBER(.has_max = true, .max = 9), { .name = "flow", .unit = "l/s" },
                     { .name = "on", .type = VALUE_BOOLEAN } } };
    static const struct contract new_one = { .metric_count = 3,
        .metrics = { NUMBER(.unit = "K", .has_max = true, .max = 8, .required = true),
                     { .name = "on", .type = VALUE_TEXT }, { .name = "hum", .required = true } } };
    static const char *const want[] = {
        "metric temp: unit changed from any to K",
        "metric temp: range narrowed from [any, 9] to [any, 8]",
        "metric temp: became required",
        "metric flow: removed, and unknown metrics are refused",
        "metric on: type changed from boolean to text",
        "metric hum: new and required",
        "unknown metrics are no longer allowed",
    };
    char why[CONTRACT_WHY_BYTES];
    for (uint32_t n = 0; n < sizeof want / sizeof want[0]; n++) {
        assert_true(contract_reason(&old, &new_one, n, why, sizeof why));
        assert_string_equal(why, want[n]);
    }
    assert_false(contract_reason(&old, &new_one, 7, why, sizeof why));
    assert_string_equal(why, "");
    assert_false(contract_reason(&old, &old, 0, why, sizeof why));
}

static struct contract random_contract(uint64_t *seed)
{
    static const char *const names[] = { "a", "b", "c" }, *const units[] = { "", "V" };
    struct contract c = { .allow_unknown = rnd(seed) % 2 == 0 };
    for (size_t i = 0; i < 3; i++) {
        if (rnd(seed) % 4 == 0)
            continue;
        struct contract_metric *m = &c.metrics[c.metric_count++];
        strcpy(m->name, names[i]);
        strcpy(m->unit, units[rnd(seed) % 2]);
        m->type = rnd(seed) % 8 == 0 ? VALUE_BOOLEAN : VALUE_NUMBER;
        m->required = rnd(seed) % 4 == 0;
        m->has_min = rnd(seed) % 2 == 0;
        m->has_max = rnd(seed) % 2 == 0;
        m->min = (double)(rnd(seed) % 3);
        m->max = (double)(3 + rnd(seed) % 3);
    }
    return c;
}

static bool lists(const struct contract *c, const struct reading *r)
{
    for (uint32_t i = 0; i < c->metric_count; i++)
        if (text_equal(text_of(c->metrics[i].name), r->metric))
            return true;
    return false;
}

static void compatible_means_still_accepted(void **state)
{
    (void)state;
    static const char *const names[] = { "a", "b", "c", "z" }, *const units[] = { "", "V", "A" };
    uint64_t seed = check_seed();
    uint32_t compatible = 0, tried = 0;
    for (int round = 0; round < 20000; round++) {
        struct contract old = random_contract(&seed), new_one = random_contract(&seed);
        char why[128];
        if (!contract_compatible(&old, &new_one, why, sizeof why))
            continue;
        compatible++;
        for (int i = 0; i < 50; i++) {
            struct reading r = number(names[rnd(&seed) % 4], (double)(rnd(&seed) % 8) - 1,
                                      units[rnd(&seed) % 3]);
            r.value.type = rnd(&seed) % 4 == 0 ? VALUE_BOOLEAN : VALUE_NUMBER;
            /* what the old one let pass unlisted was not made for it */
            if (contract_check(&old, &r) != REJECT_NONE || (!lists(&old, &r) && lists(&new_one, &r)))
                continue;
            tried++;
            assert_int_equal(contract_check(&new_one, &r), REJECT_NONE);
        }
    }
    assert_true(compatible > 200 && tried > 1000);
}

static void through_bytes(const struct contract *contract, struct contract *to)
{
    static uint8_t bytes[CONTRACT_BYTES_MAX];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    contract_save(contract, &w);
    assert_false(w.failed);
    struct byte_reader r = { bytes, w.used, 0, false };
    contract_load(to, &r);
    assert_true(!r.failed && r.used == r.bytes);
}

static void what_is_kept_is_the_same(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    uint32_t differ = 0;
    for (int round = 0; round < 5000; round++) {
        struct contract a = random_contract(&seed), b = random_contract(&seed), kept;
        a.version = 1 + (uint32_t)(rnd(&seed) % 2);
        through_bytes(&a, &kept);
        assert_true(contract_same(&a, &kept));
        b.version = a.version;
        char why[CONTRACT_WHY_BYTES];
        if (contract_same(&a, &b))
            assert_true(contract_compatible(&a, &b, why, sizeof why) &&
                        contract_compatible(&b, &a, why, sizeof why));
        differ += !contract_same(&a, &b);
        kept.version++;
        assert_false(contract_same(&a, &kept));
    }
    assert_in_range(differ, 4000, 5000);
    static struct contract largest, kept;
    memset(largest.name, 'n', READING_NAME_BYTES_MAX);
    largest.metric_count = CONTRACT_METRICS_MAX;
    for (uint32_t i = 0; i < CONTRACT_METRICS_MAX; i++) {
        memset(largest.metrics[i].name, 'm', READING_NAME_BYTES_MAX);
        memset(largest.metrics[i].unit, 'u', READING_NAME_BYTES_MAX);
        largest.metrics[i].name[0] = (char)('0' + i); /* each its own */
    }
    through_bytes(&largest, &kept);
    assert_true(contract_same(&largest, &kept));
    struct contract turned = largest; /* the order is nothing */
    turned.metrics[0] = largest.metrics[63];
    turned.metrics[63] = largest.metrics[0];
    assert_true(contract_same(&largest, &turned));
}

static void damage_never_harms(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    uint32_t refused = 0;
    for (int round = 0; round < 5000; round++) {
        struct contract contract = random_contract(&seed), kept;
        uint8_t bytes[512];
        struct byte_writer w = { bytes, sizeof bytes, 0, false };
        contract_save(&contract, &w);
        assert_false(w.failed);
        size_t used = rnd(&seed) % 2 ? w.used : (size_t)(rnd(&seed) % w.used);
        uint8_t *exact = malloc(used + 1);
        memcpy(exact, bytes, used);
        if (used > 0)
            exact[rnd(&seed) % used] = (uint8_t)rnd(&seed);
        struct byte_reader r = { exact, used, 0, false };
        contract_load(&kept, &r);
        refused += r.failed;
        free(exact);
    }
    assert_in_range(refused, 2000, 4999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readings_are_checked),
        cmocka_unit_test(changes_are_judged),
        cmocka_unit_test(every_reason_is_told),
        cmocka_unit_test(compatible_means_still_accepted),
        cmocka_unit_test(what_is_kept_is_the_same),
        cmocka_unit_test(damage_never_harms),
    };
    return cmocka_run_group_tests_name("contract", tests, NULL, NULL);
}
