/* Goal: where an update may come from when somebody elsewhere says so; and what is known of the one that is under way: one at a
 * time, written whole, read as it was, told as interrupted when its process is gone, and nothing of the request in it.
 * Method: tables; a folder of the test's own, and a child that holds the lock.
 * Links: firmware/update/source.c firmware/cli/update_job.c firmware/cli/json_view.c pipeline/codec/json_writer.c pipeline/timestamp.c pipeline/bytes.c
 * Libs: */
#include "tests/lib/check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/cli/update_job.h"
#include "firmware/update/source.h"
#include "pipeline/err.h"

static void sources_are_told_apart(void **state)
{
    (void)state;
    static const char *const sound[] = {
        "stick", "http://h", "HTTPS://h:8443/a/b.raucb?x=1&y=$(id)#f", "http://[fe80::1]:80/x", "http://10.0.0.2/%20", "https://a-b.c_d~/",
    };
    static const char *const not[] = {
        "", "sticks", "stick ", "/data/x.raucb", "file:///x", "ftp://h/x", "http:/h", "http://", "http:///x", "http://?x", "http://:80/x", "http://-o/x",
        "http://u@h/x", "http://u:p@h/x", "http://h/ x", "http://h/\n", "http://h/\x7f", "http://h/\xc3\xa4", "http://h/\"", "http://h/`id`", "http://h/{a,b}",
        "http://h/[1-9]", "http://[x]/", "http://[]/", "http://[::1/", "http://h/\\", "http://h/|x", "http://h/<x>",
    };
    char longest[UPDATE_URL_BYTES + 2] = "http://h/";
    for (size_t i = 0; i < sizeof sound / sizeof sound[0]; i++)
        assert_true(update_source_is_sound(sound[i]));
    for (size_t i = 0; i < sizeof not / sizeof not[0]; i++)
        assert_false(update_source_is_sound(not[i]));
    memset(longest + 9, 'a', UPDATE_URL_BYTES - 9);
    assert_true(update_source_is_sound(longest));
    longest[UPDATE_URL_BYTES] = 'a';
    assert_false(update_source_is_sound(longest));
}

static void lines_are_heard(void **state)
{
    (void)state;
    struct job job = { .state = JOB_RUNNING, .percent = -1 };
    const char *url = "http://h/x?token=sesame";
    assert_true(job_hear(&job, "found    /data/rauc/update.raucb", url));
    assert_string_equal(job.message, "checking");
    assert_false(job_hear(&job, "running  0.1.0", url));
    assert_true(job_hear(&job, "bundle   0.2.0", url));
    assert_string_equal(job.bundle, "0.2.0");
    assert_true(job_hear(&job, "  0 %    Installing", url));
    assert_int_equal(job.percent, 0);
    assert_true(job_hear(&job, " 40 %    Copying image to rootfs.1", url));
    assert_int_equal(job.percent, 40);
    assert_string_equal(job.message, "Copying image to rootfs.1");
    assert_false(job_hear(&job, "", url));
    assert_false(job_hear(&job, "slot A   booted, good, starts next", url));
    assert_true(job_hear(&job, "curl: (22) The requested URL returned error: 404", url));
    assert_true(job_hear(&job, "weir: http://h/x?token=sesame: it can't be fetched (curl: 22)", url));
    assert_string_equal(job.error, "it can't be fetched (curl: 22): curl: (22) The requested URL returned error: 404");
    job.error[0] = '\0';
    assert_true(job_hear(&job, "reading  NO   no PUBACK", ""));
    assert_string_equal(job.error, "the gate: reading  NO   no PUBACK");
    char longest[1200] = "weir: ";
    memset(longest + 6, 'x', sizeof longest - 7);
    assert_true(job_hear(&job, longest, url)); /* cut */
    assert_int_equal(strlen(job.error), sizeof job.error - 1);
}

static void one_at_a_time_and_told_as_it_was(void **state)
{
    (void)state;
    char folder[64] = "/tmp/weir-job-XXXXXX", path[96];
    int ready[2], status;
    struct job job = { JOB_RUNNING, "install", "0.2.0", "at \"40\"", "", 40, 1790000000123, 0 }, seen;
    assert_non_null(mkdtemp(folder));
    strcat(folder, "/job");
    job_read(folder, &seen);
    assert_int_equal(seen.state, JOB_NONE);
    assert_int_equal(seen.percent, -1);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        bool locked = job_lock(folder) >= 0 && job_write(folder, &job) == 0;
        if (!locked || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(job_lock(folder), WEIR_EBUSY);
    job_read(folder, &seen);
    assert_int_equal(seen.state, JOB_RUNNING);
    assert_string_equal(seen.verb, "install");
    assert_string_equal(seen.bundle, "0.2.0");
    assert_string_equal(seen.message, "at \"40\"");
    assert_string_equal(seen.error, "");
    assert_int_equal(seen.percent, 40);
    assert_int_equal(seen.began_ms, job.began_ms);
    assert_int_equal(seen.ended_ms, 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    job_read(folder, &seen);
    assert_int_equal(seen.state, JOB_FAILED);
    assert_string_equal(seen.error, "it was interrupted; ask for it again");
    int lock = job_lock(folder);
    assert_true(lock >= 0);
    job = (struct job){ JOB_DONE, "rollback", "", "done", "", -1, 1790000000000, 1790000001000 };
    assert_int_equal(job_write(folder, &job), 0);
    job_read(folder, &seen);
    assert_int_equal(seen.state, JOB_DONE);
    assert_int_equal(seen.percent, -1);
    assert_int_equal(seen.ended_ms, job.ended_ms);
    close(lock);
    static const char *const names[] = { "job", "lock", "" };
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    *strrchr(folder, '/') = '\0';
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_are_told_apart),
        cmocka_unit_test(lines_are_heard),
        cmocka_unit_test(one_at_a_time_and_told_as_it_was),
    };
    return cmocka_run_group_tests_name("update_job", tests, NULL, NULL);
}
