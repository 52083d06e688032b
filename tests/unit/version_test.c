/* Goal: an update's version is judged as people read it. Method: pairs as a table, each both ways.
 * Links: firmware/update/version.c */
#include "tests/lib/check.h"

#include "firmware/update/version.h"

static void versions_are_ordered(void **state)
{
    (void)state;
    static const struct {
        const char *older, *newer;
    } cases[] = {
        { "0.1.0", "0.1.1" },  { "0.1.9", "0.1.10" },   { "0.9", "0.10" },      { "1.2~rc1", "1.2" },
        { "1.2", "1.2.1" },    { "1.2-1", "1.2-2" },    { "", "0.1" },          { "1.2~rc1", "1.2~rc2" },
        { "1.2", "1.2+fix1" }, { "99", "100" },         { "1.0a", "1.0b" },     { "4294967296", "18446744073709551617" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(version_compare(cases[i].older, cases[i].newer) < 0);
        assert_true(version_compare(cases[i].newer, cases[i].older) > 0);
    }
    assert_int_equal(version_compare("0.1.0", "0.1.0"), 0);
    assert_int_equal(version_compare("01.002", "1.2"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(versions_are_ordered) };
    return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
