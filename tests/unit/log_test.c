/* Goal: an event is one line with its name first; one that repeats cannot fill a disk, and what was
 * left out is told; nothing from outside breaks the line.
 * Method: log into a pipe and read it back; time is ours.
 * Links: firmware/log.c
 */
#include "tests/lib/check.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "firmware/log.h"

static int ends[2];
static char seen[256 * 1024];

static int begin(void **state)
{
    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    log_to(ends[1]);
    return 0;
}

static int end(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static const char *written(void)
{
    ssize_t bytes = read(ends[0], seen, sizeof seen - 1);
    seen[bytes > 0 ? bytes : 0] = '\0';
    return seen;
}

static int lines(const char *text)
{
    int count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

static void one_line(void **state)
{
    (void)state;
    log_now(1000);
    log_event("source_lost", "source=%s code=%d", "plant", 7);
    assert_string_equal(written(), "source_lost source=plant code=7\n");
}

static void outside_text_stays_in_its_line(void **state)
{
    (void)state;
    log_event("reason", "text=\"%s\"", "a\nfake_event x=1\r\x1b[31m");
    assert_string_equal(written(), "reason text=\"a fake_event x=1  [31m\"\n");
    log_event("reason", "text=\"%s\"", "a\xc2\x9b" "31m\x7f\xc3\xbc"); /* CSI in one character, DEL, u umlaut */
    assert_string_equal(written(), "reason text=\"a  31m \xc3\xbc\"\n");
    static const char id[] = "x\" code=0x00 why=\"let in";
    log_event("refused", "client=\"%s\" code=0x86", log_name(id, sizeof id - 1).text);
    assert_string_equal(written(), "refused client=\"x' code=0x00 why='let in\" code=0x86\n");
    char longer[400];
    memset(longer, '"', sizeof longer);
    assert_int_equal(strlen(log_name(longer, sizeof longer).text), sizeof(struct log_name) - 1);
}

static void a_long_line_is_cut(void **state)
{
    char long_text[3000];
    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    log_event("long", "%s", long_text);
    assert_int_equal(strlen(written()), LOG_LINE_BYTES - 1);
    assert_int_equal(lines(seen), 1);
}

static void repetition_is_limited_and_counted(void **state)
{
    (void)state;
    log_now(100000);
    for (int i = 0; i < 500; i++)
        log_event("flood", "i=%d", i);
    log_event("other", "is not held back");
    assert_int_equal(lines(written()), LOG_BURST + 1);
    log_now(100000 + LOG_SPAN_MS);
    assert_string_equal(written(), "flood left_out=480 span_s=60\n");
    log_event("flood", "again");
    assert_string_equal(written(), "flood again\n");
}

static void more_events_than_slots_do_no_harm(void **state)
{
    char name[24];
    (void)state;
    for (int i = 0; i < 3 * LOG_EVENTS_MAX; i++) {
        snprintf(name, sizeof name, "event%d", i);
        log_event(name, "i=%d", i);
    }
    assert_true(lines(written()) >= LOG_BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_line, begin, end),
        cmocka_unit_test_setup_teardown(outside_text_stays_in_its_line, begin, end),
        cmocka_unit_test_setup_teardown(a_long_line_is_cut, begin, end),
        cmocka_unit_test_setup_teardown(repetition_is_limited_and_counted, begin, end),
        cmocka_unit_test_setup_teardown(more_events_than_slots_do_no_harm, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
