/* Goal: SipHash gives the authors' results, whole or in parts. Method: the reference vectors (key and input
 * 00 01 02 ...), then every split of an input against the whole.
 * Links: pipeline/hash.c */
#include "pipeline/hash.h"

#include "tests/lib/check.h"

static const struct hash_key KEY = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };

static void gives_the_reference_vectors(void **state)
{
    (void)state;
    uint8_t input[64];
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (uint8_t)i;
    assert_int_equal(hash64(KEY, input, 0), 0x726fdb47dd0e0e31u);
    assert_int_equal(hash64(KEY, input, 15), 0xa129ca6149be45e5u);
    struct hash_state h;
    hash_begin(&h, KEY, 1);
    struct hash128 empty = hash_end128(&h);
    assert_int_equal(empty.low, 0xe6a825ba047f81a3u);
    assert_int_equal(empty.high, 0x930255c71472f66du);
}

static uint64_t hash_by_bytes(const uint8_t *at, size_t bytes)
{
    struct hash_state h;
    hash_begin(&h, KEY, 0);
    for (size_t i = 0; i < bytes; i++)
        hash_add(&h, at + i, 1);
    return hash_end64(&h);
}

static void parts_make_the_whole(void **state)
{
    (void)state;
    uint8_t input[40];
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (uint8_t)(151 * i + 3);
    for (size_t bytes = 0; bytes <= sizeof input; bytes++) {
        assert_int_equal(hash64(KEY, input, bytes), hash_by_bytes(input, bytes));
        for (size_t cut = 0; cut <= bytes; cut++) {
            struct hash_state h;
            hash_begin(&h, KEY, 0);
            hash_add(&h, input, cut);
            hash_add(&h, input + cut, bytes - cut);
            assert_int_equal(hash_end64(&h), hash64(KEY, input, bytes));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_reference_vectors),
        cmocka_unit_test(parts_make_the_whole),
    };
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
