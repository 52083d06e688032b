/* Goal: a question to the updater is over with its whole answer, in pieces or not, or after its time, or when it is none; and never waits.
 * Method: a socket of the test's own in place of the service manager's, a loop that watches nothing, a clock that the test moves.
 * Links: firmware/api/updater.c
 * Libs: */
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/api/updater.h"
#include "firmware/loop.h"
#include "pipeline/err.h"

static int watched;

struct loop_watch *loop_watch(struct loop *loop, int fd)
{
    (void)fd;
    watched++;
    return (struct loop_watch *)loop; /* opaque: anything that is not NULL */
}

void loop_unwatch(struct loop_watch *watch)
{
    (void)watch;
    watched--;
}

void loop_want(struct loop_watch *watch, int events)
{
    (void)watch, (void)events;
}

struct bench {
    struct updater updater;
    struct updater_answer answer;
    char folder[32], path[64];
    int door, other;
};

static int setup(void **state)
{
    static struct bench b;
    static char some_loop;
    b = (struct bench){ .folder = "/tmp/weir-updater-XXXXXX", .other = -1 };
    if (mkdtemp(b.folder) == NULL)
        return -1;
    snprintf(b.path, sizeof b.path, "%s/s", b.folder);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "%s", b.path);
    b.door = socket(AF_UNIX, SOCK_STREAM, 0);
    updater_init(&b.updater, b.path, (struct loop *)&some_loop);
    *state = &b;
    return bind(b.door, (struct sockaddr *)&at, sizeof at) != 0 || listen(b.door, 1) != 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    close(b->door);
    if (b->other >= 0)
        close(b->other);
    unlink(b->path);
    return rmdir(b->folder) != 0 || watched != 0;
}

static void ask(struct bench *b)
{
    char line[64];
    assert_int_equal(updater_ask(&b->updater, "status\n", 1000), 0);
    b->other = accept(b->door, NULL, NULL);
    assert_int_equal(recv(b->other, line, sizeof line, 0), 7);
    assert_memory_equal(line, "status\n", 7);
    assert_false(updater_turn(&b->updater, 1000, &b->answer));
}

static void say(struct bench *b, const char *words, size_t bytes)
{
    assert_int_equal(send(b->other, words, bytes, MSG_NOSIGNAL), bytes);
}

static void hang_up(struct bench *b)
{
    close(b->other);
    b->other = -1;
}

static void an_answer_comes_in_pieces(void **state)
{
    struct bench *b = *state;
    for (int round = 0; round < 2; round++) {
        ask(b);
        for (const char *at = "202 {\"accepted\":true}"; *at != '\0'; at++) {
            say(b, at, 1);
            assert_false(updater_turn(&b->updater, 1001, &b->answer));
        }
        say(b, "\n", 1);
        assert_true(updater_turn(&b->updater, 1002, &b->answer));
        assert_int_equal(b->answer.status, 202);
        assert_int_equal(b->answer.bytes, strlen("{\"accepted\":true}"));
        assert_memory_equal(b->answer.json, "{\"accepted\":true}", b->answer.bytes);
        assert_false(updater_turn(&b->updater, 1003, &b->answer));
        hang_up(b);
    }
}

static void its_time_ends(void **state)
{
    struct bench *b = *state;
    ask(b);
    say(b, "202 {", 5);
    assert_false(updater_turn(&b->updater, 1000 + UPDATER_PATIENCE_MS - 1, &b->answer));
    assert_true(updater_turn(&b->updater, 1000 + UPDATER_PATIENCE_MS, &b->answer));
    assert_int_equal(b->answer.status, 504);
    assert_int_equal(b->answer.bytes, 0);
}

static void what_is_none_is_told(void **state)
{
    static const char *const none[] = { "", "\n", "200\n", "200 \n", "20x {}\n", "999 {}\n", "100 {}\n", "200 {}", "{}\n", "2000 {}\n" };
    static char longest[2 * UPDATE_ANSWER_BYTES];
    struct bench *b = *state;
    memset(longest, '2', sizeof longest);
    for (size_t i = 0; i <= sizeof none / sizeof none[0]; i++) {
        bool last = i == sizeof none / sizeof none[0], over = false;
        ask(b);
        say(b, last ? longest : none[i], last ? sizeof longest : strlen(none[i]));
        if (!last)
            hang_up(b);
        for (int turn = 0; turn < 10 && !over; turn++)
            over = updater_turn(&b->updater, 1001, &b->answer);
        assert_true(over);
        assert_int_equal(b->answer.status, 502);
        if (last)
            hang_up(b);
    }
}

static void nobody_is_there(void **state)
{
    struct bench *b = *state;
    close(b->door);
    assert_int_equal(updater_ask(&b->updater, "status\n", 0), WEIR_ENOTFOUND); /* refused */
    assert_int_equal(unlink(b->path), 0);
    assert_int_equal(updater_ask(&b->updater, "status\n", 0), WEIR_ENOTFOUND);
    b->updater.path = "";
    assert_int_equal(updater_ask(&b->updater, "status\n", 0), WEIR_ENOTFOUND);
    assert_false(updater_turn(&b->updater, 0, &b->answer));
    FILE *file = fopen(b->path, "we"); /* for the teardown */
    assert_non_null(file);
    fclose(file);
}

static void a_full_queue_is_told(void **state)
{
    struct bench *b = *state;
    static struct updater more[8];
    int error = 0, asked = 0;
    for (int i = 0; i < 8 && error == 0; i++) {
        updater_init(&more[i], b->path, b->updater.loop);
        error = updater_ask(&more[i], "status\n", 0);
        asked += error == 0;
    }
    assert_int_equal(error, WEIR_EAGAIN);
    for (int i = 0; i < asked; i++)
        assert_true(updater_turn(&more[i], UPDATER_PATIENCE_MS, &b->answer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_comes_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(its_time_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_none_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_is_told, setup, teardown),
    };
    return cmocka_run_group_tests_name("updater", tests, NULL, NULL);
}
