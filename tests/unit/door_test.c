/* Goal: strangers have their share of the loop's time and no more; an address that fails again and
 * again is left alone for longer and longer, and nobody else is.
 * Method: examples as tables, and jobs of random length against the share.
 * Links: firmware/listener/door.c pipeline/hash.c
 */
#include "firmware/listener/door.h"

#include <string.h>

#include "tests/lib/check.h"

static struct door door;

static struct door_address address(uint32_t number)
{
    struct door_address a = { .bytes = { [10] = 0xff, [11] = 0xff } };
    memcpy(a.bytes + 12, &number, 4);
    return a;
}

static int begin(void **state)
{
    (void)state;
    door_init(&door, (struct hash_key){ 1, 2 });
    return 0;
}

static void failures_wait_longer_and_longer(void **state)
{
    (void)state;
    static const struct {
        uint32_t failures;
        int64_t wait_ms;
    } table[] = { { 1, 0 },     { 8, 0 },     { 9, 250 },    { 10, 500 },   { 11, 1000 },
                  { 13, 4000 }, { 15, 16000 }, { 16, 30000 }, { 17, 30000 }, { 500, 30000 } };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct door_address bad = address(7), other = address(8);
        door_init(&door, (struct hash_key){ 1, 2 });
        for (uint32_t n = 0; n < table[i].failures; n++)
            door_failed(&door, &bad, 1000);
        if (table[i].wait_ms > 0)
            assert_false(door_listens(&door, &bad, 1000 + table[i].wait_ms - 1));
        assert_true(door_listens(&door, &bad, 1000 + table[i].wait_ms));
        assert_true(door_listens(&door, &other, 1000));
    }
}

static void failures_are_forgotten(void **state)
{
    (void)state;
    const struct door_address a = address(7);
    /* A device with an old password that tries once in 4 s is never the reason that others of its
     * address wait. */
    for (int64_t now_ms = 0; now_ms < 1000 * DOOR_FORGET_MS; now_ms += DOOR_FORGET_MS) {
        assert_true(door_listens(&door, &a, now_ms));
        door_failed(&door, &a, now_ms);
    }
    assert_true(door_listens(&door, &a, 1000 * DOOR_FORGET_MS));
    /* One that tries every second is slowed to about one in 4 s, and shuts out no longer. */
    int64_t shut_ms = 0, attempts = 0;
    for (int64_t now_ms = 5000000; now_ms < 5000000 + 1000000; now_ms += 1000)
        if (door_listens(&door, &a, now_ms)) {
            door_failed(&door, &a, now_ms);
            attempts++;
        } else {
            shut_ms += 1000;
        }
    assert_in_range(attempts, 200, 300);
    assert_in_range(shut_ms, 500000, 800000);
}

static void who_is_let_in_clears_its_address(void **state)
{
    (void)state;
    const struct door_address a = address(7);
    for (int i = 0; i < 100; i++)
        door_failed(&door, &a, 1000);
    door_passed(&door, &a);
    assert_true(door_listens(&door, &a, 1000));
    door_failed(&door, &a, 1000);
    assert_true(door_listens(&door, &a, 1000));
}

static void the_table_is_full(void **state)
{
    (void)state;
    /* More addresses than places: the newest that failed often is still known. */
    for (uint32_t n = 0; n < 20 * DOOR_ADDRESSES; n++) {
        const struct door_address a = address(n);
        for (int i = 0; i < DOOR_FAILURES_FREE + 1; i++)
            door_failed(&door, &a, n);
        assert_false(door_listens(&door, &a, n));
    }
    uint32_t known = 0;
    for (uint32_t n = 0; n < 20 * DOOR_ADDRESSES; n++) {
        const struct door_address a = address(n);
        known += !door_listens(&door, &a, 0);
    }
    assert_in_range(known, DOOR_ADDRESSES / 2, DOOR_ADDRESSES);
}

static void strangers_have_their_share(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    int64_t now_ns = 0, spent_ns = 0;
    /* work of 0.1 to 6 ms for as long as there is time, then a wait as long as is said */
    while (now_ns < INT64_C(100000000000)) {
        if (!door_has_time(&door, now_ns)) {
            int64_t wait_ns = door_wait_ns(&door);
            assert_in_range(wait_ns, 0, 40000000);
            now_ns += wait_ns + 1000;
            continue;
        }
        int64_t work_ns = 100000 + (int64_t)rnd_below(&chance, 5900000);
        now_ns += work_ns;
        spent_ns += work_ns;
        door_spent(&door, work_ns);
    }
    double share = (double)spent_ns / (double)now_ns;
    if (share < 0.19 || share > 0.205)
        fail_msg("strangers had %.3f", share);
}

static void unused_time_is_kept_for_a_moment_only(void **state)
{
    (void)state;
    int64_t hour_ns = INT64_C(3600000000000);
    assert_false(door_has_time(&door, 0)); /* nothing has passed */
    assert_true(door_has_time(&door, hour_ns));
    door_spent(&door, DOOR_SAVED_NS);
    assert_false(door_has_time(&door, hour_ns));
    assert_true(door_has_time(&door, hour_ns + 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(failures_wait_longer_and_longer, begin),
        cmocka_unit_test_setup(failures_are_forgotten, begin),
        cmocka_unit_test_setup(who_is_let_in_clears_its_address, begin),
        cmocka_unit_test_setup(the_table_is_full, begin),
        cmocka_unit_test_setup(strangers_have_their_share, begin),
        cmocka_unit_test_setup(unused_time_is_kept_for_a_moment_only, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
