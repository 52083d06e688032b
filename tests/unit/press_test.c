/* Goal: a button's edges are told apart as a person meant them. Method: edges and looks as a table, with what each says.
 * Links: hal/press.c */
#include "tests/lib/check.h"

#include "hal/press.h"

enum what { DOWN, UP, LOOK };

static void presses_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct {
            enum what what;
            int64_t at_ms;
            enum hal_press says;
        } steps[6];
        int count;
    } cases[] = {
        { "short", { { DOWN, 100, PRESS_NONE }, { LOOK, 900, PRESS_NONE }, { UP, 1000, PRESS_SHORT }, { LOOK, 20000, PRESS_NONE } }, 4 },
        { "bounce", { { DOWN, 100, PRESS_NONE }, { UP, 110, PRESS_NONE }, { DOWN, 112, PRESS_NONE }, { UP, 120, PRESS_NONE } }, 4 },
        { "thought better of", { { DOWN, 0, PRESS_NONE }, { LOOK, 4000, PRESS_NONE }, { UP, 5000, PRESS_NONE } }, 3 },
        { "long, told while held", { { DOWN, 0, PRESS_NONE }, { LOOK, 9999, PRESS_NONE }, { LOOK, 10000, PRESS_LONG }, { LOOK, 11000, PRESS_NONE },
          { UP, 12000, PRESS_NONE }, { LOOK, 13000, PRESS_NONE } }, 6 },
        { "long, over before the look", { { DOWN, 0, PRESS_NONE }, { UP, 10500, PRESS_LONG }, { LOOK, 10600, PRESS_NONE } }, 3 },
        { "up without down", { { UP, 5000, PRESS_NONE }, { LOOK, 20000, PRESS_NONE } }, 2 },
        { "down twice", { { DOWN, 0, PRESS_NONE }, { DOWN, 9000, PRESS_NONE }, { LOOK, 10000, PRESS_LONG } }, 3 },
        { "two short ones", { { DOWN, 0, PRESS_NONE }, { UP, 100, PRESS_SHORT }, { DOWN, 300, PRESS_NONE }, { UP, 400, PRESS_SHORT } }, 4 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct press press = { 0 };
        for (int k = 0; k < cases[i].count; k++) {
            int64_t at_ms = cases[i].steps[k].at_ms;
            enum what what = cases[i].steps[k].what;
            enum hal_press says = what == LOOK ? press_look(&press, at_ms) : press_edge(&press, what == DOWN, at_ms);
            if (says != cases[i].steps[k].says)
                fail_msg("%s, step %d: %d", cases[i].name, k, says);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(presses_are_told_apart) };
    return cmocka_run_group_tests_name("press", tests, NULL, NULL);
}
