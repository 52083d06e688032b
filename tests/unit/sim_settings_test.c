/* Goal: a subcommand's table gives the right values, defaults included, and refuses everything else. Method: command
 * lines as a table, each parsed into the same struct.
 * Links: simulator/settings.c */
#include <string.h>

#include "pipeline/err.h"
#include "simulator/settings.h"
#include "tests/lib/check.h"

struct values {
    bool flag;
    const char *text;
    struct setting_list list;
    uint64_t count;
    double number, share;
    int64_t duration_ms;
};

static int parse(struct values *v, const char *line)
{
    static char words[256];
    char *argv[16] = { (char[]){ "test" } };
    int argc = 1;
    const struct setting table[] = {
        { "flag", SETTING_FLAG, &v->flag, NULL, "" },
        { "text", SETTING_TEXT, &v->text, "given", "" },
        { "list", SETTING_LIST, &v->list, NULL, "" },
        { "count", SETTING_COUNT, &v->count, "7", "" },
        { "number", SETTING_NUMBER, &v->number, "2.5", "" },
        { "duration", SETTING_DURATION, &v->duration_ms, "10s", "" },
        { "share", SETTING_SHARE, &v->share, "5%", "" },
        { 0 },
    };
    (void)snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL && argc < 15; word = strtok(NULL, " "))
        argv[argc++] = word;
    return settings_parse(table, (struct command_text){ "test", "" }, argc, argv);
}

static void defaults_are_as_typed(void **state)
{
    (void)state;
    struct values v;
    assert_int_equal(parse(&v, ""), 0);
    assert_false(v.flag);
    assert_string_equal(v.text, "given");
    assert_int_equal(v.list.count, 0);
    assert_int_equal(v.count, 7);
    assert_true(v.number == 2.5 && v.share == 0.05);
    assert_int_equal(v.duration_ms, 10000);
}

static void both_forms_are_read(void **state)
{
    (void)state;
    struct values v;
    assert_int_equal(parse(&v, "--flag --text=x --list a --list=b --count 12 --share=0.25"), 0);
    assert_true(v.flag);
    assert_string_equal(v.text, "x");
    assert_int_equal(v.list.count, 2);
    assert_string_equal(v.list.items[1], "b");
    assert_int_equal(v.count, 12);
    assert_true(v.share == 0.25);
}

static void durations_have_units(void **state)
{
    (void)state;
    static const struct { const char *line; int64_t want_ms; } table[] = {
        { "--duration 250ms", 250 },   { "--duration 1.5s", 1500 }, { "--duration 2m", 120000 },
        { "--duration 1h", 3600000 },  { "--duration 1d", 86400000 },
        { "--duration 0s", 0 },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct values v;
        assert_int_equal(parse(&v, table[i].line), 0);
        assert_int_equal(v.duration_ms, table[i].want_ms);
    }
}

static void what_is_wrong_is_refused(void **state)
{
    (void)state;
    static const char *const table[] = {
        "--unknown", "flag", "--flag=1", "--text", "--count x", "--count -1", "--count 1x",
        "--count", "--number nan", "--number -1", "--number 1e99", "--duration 10",
        "--duration 10y", "--duration -1s", "--share 101%", "--share 1.5", "--share 5p", "--coun 1",
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct values v;
        if (parse(&v, table[i]) != WEIR_EINVAL)
            fail_msg("%s was accepted", table[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_as_typed),
        cmocka_unit_test(both_forms_are_read),
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(what_is_wrong_is_refused),
    };
    return cmocka_run_group_tests_name("sim_settings", tests, NULL, NULL);
}
