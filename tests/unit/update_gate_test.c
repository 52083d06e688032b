/* Goal: a slot is kept only when daemon, store and uplink are as they should be; what an installation noted is read back, and
 * what is not whole is no note. Method: statuses as a table; a file of the test's own.
 * Links: firmware/cli/update_gate.c firmware/cli/json_view.c firmware/update/trial.c pipeline/err.c
 * Libs: */
#include "tests/lib/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "firmware/cli/update_gate.h"
#include "firmware/update/probe.h"
#include "firmware/update/trial.h"
#include "pipeline/err.h"

/* Not asked here: tests/e2e/update_gate_test.py lets a reading through. */
int client_call(const char *socket_path, const char *method, const char *target, struct client_answer *answer, char *why)
{
    (void)socket_path, (void)method, (void)target, (void)answer, (void)why;
    return WEIR_EIO;
}

int probe_run(const char *folder, char what[PROBE_WHAT_BYTES])
{
    (void)folder, (void)what;
    return WEIR_EIO;
}

static void statuses_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *status;
        bool uplink_wanted, daemon, store, uplink;
    } cases[] = {
        { "", false, false, false, true },
        { "", true, false, false, false },
        { "{\"health\":\"good\",\"store\":{\"commits\":1}}", false, true, true, true },
        { "{\"health\":\"good\",\"store\":{\"commits\":1}}", true, true, true, false },
        { "{\"health\":\"degraded\",\"store\":{\"commits\":0}}", false, true, false, true },
        { "{\"health\":\"failed\",\"store\":{\"commits\":7}}", false, false, true, true },
        { "{\"health\":\"good\",\"uplink\":{\"configured\":true,\"connected\":false},\"store\":{\"commits\":1}}", false, true, true, true },
        { "{\"health\":\"good\",\"uplink\":{\"configured\":true,\"connected\":false},\"store\":{\"commits\":1}}", true, true, true, false },
        { "{\"health\":\"good\",\"uplink\":{\"configured\":true,\"connected\":true},\"store\":{\"commits\":1}}", true, true, true, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gate gate;
        struct text status = { cases[i].status, (uint32_t)strlen(cases[i].status) };
        gate_judge(&gate, status, cases[i].uplink_wanted);
        assert_int_equal(gate.parts[GATE_DAEMON].passed, cases[i].daemon);
        assert_int_equal(gate.parts[GATE_STORE].passed, cases[i].store);
        assert_int_equal(gate.parts[GATE_UPLINK].passed, cases[i].uplink);
        assert_false(gate.parts[GATE_READING].passed);
    }
}

static void a_note_is_read_back(void **state)
{
    (void)state;
    char path[] = "/tmp/weir-trial-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    const struct trial wrote = { "B", "0.1.0", "0.2.0~rc1", true };
    struct trial read;
    assert_int_equal(trial_read(path, &read), WEIR_ENOTFOUND); /* empty */
    assert_int_equal(trial_write(path, &wrote), 0);
    assert_int_equal(trial_read(path, &read), 0);
    assert_string_equal(read.slot, "B");
    assert_string_equal(read.from, "0.1.0");
    assert_string_equal(read.to, "0.2.0~rc1");
    assert_true(read.uplink);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(trial_read(path, &read), WEIR_ENOTFOUND);
    assert_int_equal(trial_write("/nowhere/at/all", &wrote), WEIR_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(statuses_are_judged), cmocka_unit_test(a_note_is_read_back) };
    return cmocka_run_group_tests_name("update_gate", tests, NULL, NULL);
}
