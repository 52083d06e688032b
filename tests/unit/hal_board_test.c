/* Goal: a board's file fills struct hal_board as written, every wrong one is refused with its line, and the boards of this
 * repository are right.
 * Method: files under /tmp; examples as a table; then boards/ itself, which needs the root of the repository.
 * Links: hal/board.c */
#include "tests/lib/check.h"

#include <glob.h>
#include <string.h>
#include <unistd.h>

#include "hal/board.h"
#include "pipeline/err.h"

static char why[HAL_WHY_BYTES];

static int read_text(const char *text, struct hal_board *board)
{
    char path[] = "/tmp/weir-board-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    why[0] = '\0';
    int err = hal_board_read(path, board, why);
    unlink(path);
    return err;
}

static void every_key_is_taken(void **state)
{
    (void)state;
    struct hal_board b = { .devices_max = 7 };
    assert_int_equal(read_text("# a board\n"
                               "name = bench   # the one on the table\n"
                               "\n"
                               "  led=ACT\r\n"
                               "relay_chip = gpiochip2\n"
                               "relay_line = 17\n"
                               "relay_active_low = true\n"
                               "watchdog = watchdog1\n"
                               "thermal = thermal_zone3\n"
                               "storage = mmcblk1\n"
                               "storage_endurance_bytes = 6000000000000\n"
                               "memory_bytes_max = 5000000000\n"
                               "devices_max = 250",
                               &b),
                     0);
    assert_string_equal(b.name, "bench");
    assert_string_equal(b.led, "ACT");
    assert_string_equal(b.relay_chip, "gpiochip2");
    assert_int_equal(b.relay_line, 17);
    assert_true(b.relay_active_low);
    assert_string_equal(b.watchdog, "watchdog1");
    assert_string_equal(b.thermal, "thermal_zone3");
    assert_string_equal(b.storage, "mmcblk1");
    assert_true(b.storage_endurance_bytes == UINT64_C(6000000000000));
    assert_true(b.memory_bytes_max == UINT64_C(5000000000));
    assert_int_equal(b.devices_max, 250);
}

static void what_is_left_out_is_not_there(void **state)
{
    (void)state;
    struct hal_board b, none;
    memset(&b, 0xff, sizeof b);
    memset(&none, 0, sizeof none);
    assert_int_equal(read_text("# nothing\nled =\n", &b), 0);
    assert_memory_equal(b.led, "", 1);
    assert_memory_equal(b.watchdog, none.watchdog, sizeof b.watchdog);
    assert_true(b.memory_bytes_max == 0 && b.devices_max == 0 && !b.relay_active_low);
}

static void wrong_files_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "led\n", "line 1: `led` is not `key = value`" },
        { "\nlamp = x\n", "line 2: `lamp` is no key of a board" },
        { "led = a\nled = b\n", "line 2: `led` is there twice" },
        { "led = ../../etc\n", "line 1: `led` is the name of an entry, without its folder" },
        { "led = ..\n", "line 1: `led` is the name of an entry, without its folder" },
        { "name = 12345678901234567890123456789012\n", "line 1: `name` is too long" },
        { "relay_active_low = yes\n", "line 1: `relay_active_low` is true or false" },
        { "relay_line = -1\n", "line 1: `relay_line` is a whole number" },
        { "relay_line = 4294967296\n", "line 1: `relay_line` is a whole number" },
        { "devices_max = 10 000\n", "line 1: `devices_max` is a whole number" },
        { "memory_bytes_max = 64MiB\n", "line 1: `memory_bytes_max` is a whole number" },
        { "memory_bytes_max = 18446744073709551616\n",
          "line 1: `memory_bytes_max` is a whole number" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hal_board b = { .devices_max = 7 };
        assert_int_equal(read_text(cases[i].text, &b), WEIR_EINVAL);
        assert_string_equal(why, cases[i].why);
        assert_int_equal(b.devices_max, 7); /* nothing changed */
    }
    char line[400];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    struct hal_board b;
    assert_int_equal(read_text(line, &b), WEIR_EINVAL);
    assert_non_null(strstr(why, "too long a line"));
    assert_int_equal(hal_board_read("/nonexistent/hal.conf", &b, why), WEIR_EINVAL);
    assert_string_equal(why, "it can't be read: No such file or directory");
    assert_int_equal(hal_board_read("/", &b, why), WEIR_EINVAL);
}

static void boards_of_the_repository_are_right(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("boards/*/hal.conf", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 4);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct hal_board b;
        char folder[64];
        if (hal_board_read(found.gl_pathv[i], &b, why) != 0)
            fail_msg("%s: %s", found.gl_pathv[i], why);
        snprintf(folder, sizeof folder, "boards/%s/hal.conf", b.name);
        assert_string_equal(folder, found.gl_pathv[i]); /* each is named as its folder */
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_taken),
        cmocka_unit_test(what_is_left_out_is_not_there),
        cmocka_unit_test(wrong_files_are_refused_with_their_line),
        cmocka_unit_test(boards_of_the_repository_are_right),
    };
    return cmocka_run_group_tests_name("hal_board", tests, NULL, NULL);
}
