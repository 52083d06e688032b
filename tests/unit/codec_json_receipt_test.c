/* Goal: receipts and replay requests are read exactly; what is not one changes nothing.
 * Method: tables; every prefix and every single changed byte of a good message is either refused or
 * read without harm (under the sanitizers).
 * Links: pipeline/codec/codec_json_receipt.c firmware/json_arena.c
 * Libs: -lcjson
 */
#include "tests/lib/check.h"

#include <string.h>

#include "firmware/json_arena.h"
#include "pipeline/codec/codec_json_receipt.h"
#include "pipeline/err.h"

static const struct json_memory memory = { json_arena_reset, json_arena_exhausted };

#define STORE "\"store\":\"0123456789abcdefFEDCBA9876543210\""

static void good_receipt(void **state)
{
    struct receipt r;
    (void)state;
    const char *text = "{" STORE ",\"lanes\":{\"alerts\":41,\"raw\":0,\"later\":\"x\"},\"more\":[]}";
    assert_int_equal(receipt_parse(&memory, text_of(text), &r), 0);
    assert_int_equal(r.store_id[0], 0x0123456789abcdefu);
    assert_int_equal(r.store_id[1], 0xfedcba9876543210u);
    assert_true(r.has_lane[0] && !r.has_lane[1] && r.has_lane[2]);
    assert_int_equal(r.covered[0], 41);
    assert_int_equal(r.covered[2], 0);
}

static void good_replay(void **state)
{
    struct replay_request r;
    (void)state;
    const char *text = "{" STORE ",\"lane\":\"results\",\"from\":17,\"to\":9007199254740992}";
    assert_int_equal(replay_parse(&memory, text_of(text), &r), 0);
    assert_int_equal(r.lane, 1);
    assert_int_equal(r.from, 17);
    assert_int_equal(r.to, 9007199254740992u);
}

static void bad_receipts(void **state)
{
    static const char *const table[] = {
        "", "null", "[]", "{}", "{" STORE "}", "{" STORE ",\"lanes\":[]}",
        "{" STORE ",\"lanes\":{\"alerts\":-1}}", "{" STORE ",\"lanes\":{\"alerts\":1.5}}",
        "{" STORE ",\"lanes\":{\"alerts\":\"1\"}}", "{" STORE ",\"lanes\":{\"alerts\":1e300}}",
        "{" STORE ",\"lanes\":{\"alerts\":1e999}}", "{\"store\":\"12\",\"lanes\":{}}",
        "{\"store\":\"0123456789abcdefFEDCBA987654321g\",\"lanes\":{}}",
        "{\"store\":1,\"lanes\":{}}", "{" STORE ",\"lanes\":{\"alerts\":1}",
    };
    struct receipt r, before;
    (void)state;
    memset(&r, 0x5a, sizeof r);
    before = r;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(receipt_parse(&memory, text_of(table[i]), &r), WEIR_EINVAL);
        assert_memory_equal(&r, &before, sizeof r);
    }
}

static void bad_replays(void **state)
{
    static const char *const table[] = {
        "{" STORE ",\"lane\":\"alerts\",\"from\":0,\"to\":1}",
        "{" STORE ",\"lane\":\"alerts\",\"from\":3,\"to\":2}",
        "{" STORE ",\"lane\":\"other\",\"from\":1,\"to\":2}",
        "{" STORE ",\"lane\":0,\"from\":1,\"to\":2}",
        "{" STORE ",\"lane\":\"alerts\",\"from\":1}",
        "{\"lane\":\"alerts\",\"from\":1,\"to\":2}",
    };
    struct replay_request r;
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(replay_parse(&memory, text_of(table[i]), &r), WEIR_EINVAL);
}

static void too_long(void **state)
{
    static char text[RECEIPT_BYTES_MAX + 100];
    struct receipt r;
    (void)state;
    int used = snprintf(text, sizeof text, "{" STORE ",\"lanes\":{\"alerts\":1}}");
    memset(text + used, ' ', RECEIPT_BYTES_MAX - (size_t)used);
    assert_int_equal(receipt_parse(&memory, (struct text){ text, RECEIPT_BYTES_MAX }, &r), 0);
    text[RECEIPT_BYTES_MAX] = ' ';
    assert_int_equal(receipt_parse(&memory, (struct text){ text, RECEIPT_BYTES_MAX + 1 }, &r),
                     WEIR_EINVAL);
}

/* Copies of exact size, so that a byte read too far is seen. */
static void damaged(void **state)
{
    static const char whole[] = "{" STORE ",\"lanes\":{\"alerts\":41,\"results\":7},\"lane\":\"raw\","
                                "\"from\":1,\"to\":2}";
    uint64_t chance = check_seed();
    struct receipt receipt;
    struct replay_request replay;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint32_t bytes = (uint32_t)(rnd(&chance) % sizeof whole);
        char *copy = malloc(bytes + 1u);
        memcpy(copy, whole, bytes);
        if (bytes > 0 && rnd(&chance) % 4 != 0)
            copy[rnd(&chance) % bytes] = (char)rnd(&chance);
        struct text text = { copy, bytes };
        (void)receipt_parse(&memory, text, &receipt);
        (void)replay_parse(&memory, text, &replay);
        free(copy);
    }
}

int main(void)
{
    static _Alignas(16) uint8_t arena[64 * 1024];
    json_arena_start(arena, sizeof arena);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_receipt), cmocka_unit_test(good_replay), cmocka_unit_test(bad_receipts),
        cmocka_unit_test(bad_replays),  cmocka_unit_test(too_long),    cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
