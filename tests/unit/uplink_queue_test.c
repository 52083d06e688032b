/* Goal: what a library's threads note reaches the loop once and in each thread's order; an overflow
 * is told; messages are bounded and dropped ones counted.
 * Method: by example, and two threads against a reader (a race is the thread sanitizer's to see, a
 * lost or doubled event ours).
 * Links: firmware/uplink/uplink_queue.c
 * Libs: -lpthread
 */
#include "tests/lib/check.h"

#include <poll.h>
#include <string.h>

#include "firmware/uplink/uplink_queue.h"

enum { CAPACITY = 64, EVENTS = 20000 };

static struct uplink_queue queue;
static struct uplink_event taken[CAPACITY];
static _Alignas(16) uint8_t room[CAPACITY * sizeof(struct uplink_event) + 16];

static int begin(void **state)
{
    (void)state;
    memset(room, 0, sizeof room);
    struct arena arena = arena_over(room, sizeof room);
    uplink_queue_init(&queue, CAPACITY, &arena);
    return uplink_queue_open(&queue);
}

static int end(void **state)
{
    (void)state;
    uplink_queue_close(&queue);
    return 0;
}

static void in_order_and_once(void **state)
{
    (void)state;
    uplink_queue_note(&queue, UPLINK_EVENT_CONNECTED, 0, NULL);
    uplink_queue_note(&queue, UPLINK_EVENT_SENT, 7, NULL);
    uplink_queue_note(&queue, UPLINK_EVENT_ENDED, 0, "cut");
    struct uplink_taken got = uplink_queue_take(&queue, taken);
    assert_int_equal(got.count, 3);
    assert_int_equal(taken[0].kind, UPLINK_EVENT_CONNECTED);
    assert_int_equal(taken[1].token, 7);
    assert_string_equal(got.reason, "cut");
    assert_int_equal(uplink_queue_take(&queue, taken).count, 0);
}

static void overflow_is_told(void **state)
{
    (void)state;
    for (uintptr_t i = 0; i < CAPACITY; i++)
        uplink_queue_note(&queue, UPLINK_EVENT_SENT, i, NULL);
    assert_false(queue.overrun);
    uplink_queue_note(&queue, UPLINK_EVENT_SENT, CAPACITY, NULL);
    struct uplink_taken got = uplink_queue_take(&queue, taken);
    assert_true(got.overrun);
    assert_int_equal(got.count, CAPACITY);
    assert_false(uplink_queue_take(&queue, taken).overrun);
}

static void messages_are_bounded(void **state)
{
    struct uplink_message message;
    static char long_one[RECEIPT_BYTES_MAX + 1];
    (void)state;
    uplink_queue_message(&queue, false, long_one, sizeof long_one);
    for (int i = 0; i < UPLINK_MESSAGES + 2; i++)
        uplink_queue_message(&queue, i % 2 == 1, &i, sizeof i);
    assert_int_equal(queue.messages_dropped, 3);
    for (int i = 0; i < UPLINK_MESSAGES; i++) {
        assert_true(uplink_queue_take_message(&queue, &message));
        assert_int_equal(message.replay, i % 2 == 1);
        assert_memory_equal(message.payload, &i, sizeof i);
    }
    assert_false(uplink_queue_take_message(&queue, &message));
}

static void a_long_reason_is_cut(void **state)
{
    char reason[1000];
    (void)state;
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    uplink_queue_note(&queue, UPLINK_EVENT_ENDED, 0, reason);
    assert_int_equal(strlen(uplink_queue_take(&queue, taken).reason), UPLINK_REASON_BYTES - 1);
}

static void *write_events(void *of)
{
    uintptr_t mark = (uintptr_t)of << 24;
    for (uintptr_t i = 0; i < EVENTS; i++) {
        bool full;
        do { /* the real writers are bounded by their window; these wait for room */
            pthread_mutex_lock(&queue.lock);
            full = queue.count >= CAPACITY - 2;
            pthread_mutex_unlock(&queue.lock);
        } while (full);
        uplink_queue_note(&queue, UPLINK_EVENT_SENT, mark | i, NULL);
    }
    return NULL;
}

static void from_two_threads(void **state)
{
    pthread_t writers[2];
    uintptr_t next[2] = { 0, 0 };
    (void)state;
    for (uintptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, write_events, (void *)i), 0);
    while (next[0] + next[1] < 2 * EVENTS) {
        struct pollfd wait = { .fd = queue.fd, .events = POLLIN };
        assert_int_equal(poll(&wait, 1, 5000), 1);
        struct uplink_taken got = uplink_queue_take(&queue, taken);
        assert_false(got.overrun);
        for (uint32_t i = 0; i < got.count; i++)
            assert_int_equal(taken[i].token & 0xFFFFFF, next[taken[i].token >> 24]++);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(writers[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_order_and_once, begin, end),
        cmocka_unit_test_setup_teardown(overflow_is_told, begin, end),
        cmocka_unit_test_setup_teardown(messages_are_bounded, begin, end),
        cmocka_unit_test_setup_teardown(a_long_reason_is_cut, begin, end),
        cmocka_unit_test_setup_teardown(from_two_threads, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
