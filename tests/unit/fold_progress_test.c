/* Goal: a long fold gives the service manager a sign at once and then every few seconds, each good for longer than it takes to
 * the next; and people a line every ten seconds. Method: a socket as the manager has it, a pipe as the log, time by hand.
 * Links: firmware/fold_progress.c firmware/board/notify.c firmware/log.c
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/fold_progress.h"
#include "firmware/log.h"
#include "tests/lib/check.h"

static uint32_t received(int manager)
{
    char message[256];
    uint32_t count = 0;
    ssize_t bytes;
    while ((bytes = recv(manager, message, sizeof message - 1, MSG_DONTWAIT)) > 0) {
        message[bytes] = '\0';
        assert_string_equal(message, "EXTEND_TIMEOUT_USEC=60000000");
        count++;
    }
    return count;
}

static void a_long_fold_says_so(void **state)
{
    (void)state;
    char dir[] = "/tmp/weir-notify-XXXXXX", said[4096];
    int out[2];
    struct fold_progress p;
    assert_non_null(mkdtemp(dir));
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", dir);
    int manager = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(manager, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    assert_int_equal(pipe(out), 0);
    log_to(out[1]);
    int64_t now_ms = 700000;
    fold_progress_begin(&p, 5000, now_ms);
    assert_int_equal(received(manager), 0);
    fold_progress_step(&p, 1, 10, now_ms + 1);
    assert_int_equal(received(manager), 1);
    uint32_t signs = 1;
    for (uint64_t block = 2; block <= 2501; block++) { /* 25 s, a hundred blocks a second */
        now_ms += 10;
        fold_progress_step(&p, block, block * 10, now_ms);
        signs += received(manager);
    }
    assert_int_equal(signs, 5);
    fold_progress_step(&p, 2502, 25020, now_ms + 3600000); /* the machine slept */
    assert_int_equal(received(manager), 1);
    ssize_t bytes = read(out[0], said, sizeof said - 1);
    assert_true(bytes > 0);
    said[bytes] = '\0';
    uint32_t lines = 0;
    for (const char *at = said; (at = strstr(at, "folding block=")) != NULL; at++)
        lines++;
    assert_int_equal(lines, 3);
    assert_non_null(strstr(said, "folding block=1001 last=5000 readings=10010\n"));
    log_to(2);
    assert_int_equal(unlink(address.sun_path), 0);
    assert_int_equal(rmdir(dir), 0);
    (void)close(manager);
    (void)close(out[0]);
    (void)close(out[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_long_fold_says_so) };
    return cmocka_run_group_tests_name("fold_progress", tests, NULL, NULL);
}
