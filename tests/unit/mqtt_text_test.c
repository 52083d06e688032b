/* Goal: text is called well-formed UTF-8, and wildcards and U+0000 are seen in it, as the standard says.
 * Method: random bytes against a slow decoder; then every code point there is.
 * Links: pipeline/mqtt/wire.c */
#include "pipeline/mqtt/wire.h"
#include "tests/lib/check.h"

/* The model: decode to a code point, encode it again, and see the same bytes. */
static unsigned slow_scan(const uint8_t *at, size_t bytes)
{
    unsigned found = 0;
    for (size_t i = 0; i < bytes;) {
        size_t more = at[i] < 0x80 ? 0 : at[i] < 0xe0 ? 1 : at[i] < 0xf0 ? 2 : 3;
        uint32_t code = more == 0 ? at[i] : at[i] & (0x3fu >> more);
        if (at[i] >= 0xf8 || (at[i] >= 0x80 && at[i] < 0xc0) || i + more >= bytes)
            return TEXT_ILL_FORMED;
        for (size_t k = 1; k <= more; k++) {
            if ((at[i + k] & 0xc0) != 0x80)
                return TEXT_ILL_FORMED;
            code = code << 6 | (at[i + k] & 0x3f);
        }
        size_t needs = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        if (needs != more || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return TEXT_ILL_FORMED;
        found |= code == 0 ? TEXT_HAS_NUL : code == '+' || code == '#' ? TEXT_HAS_WILDCARD : 0u;
        i += more + 1;
    }
    return found;
}

static void texts_are_checked_as_a_slow_model_does(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 0,    '+',  '#',  '$',  '*',  ',',  '"',  '/',  'a',  0x7f,
                                     0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                     0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff };
    uint64_t seed = check_seed();
    uint32_t well_formed = 0;
    for (int i = 0; i < 400000; i++) {
        uint8_t text[24];
        size_t count = rnd_below(&seed, sizeof text), plain = rnd_below(&seed, sizeof text);
        for (size_t k = 0; k < count; k++)
            text[k] = k < plain ? (uint8_t)('a' + k) : bytes[rnd(&seed) % sizeof bytes];
        unsigned want = slow_scan(text, count);
        unsigned got = text_scan((struct text){ (const char *)text, (uint32_t)count });
        if ((want & TEXT_ILL_FORMED) != 0)
            assert_true((got & TEXT_ILL_FORMED) != 0);
        else
            assert_int_equal(got, want);
        well_formed += (want & TEXT_ILL_FORMED) == 0;
    }
    assert_true(well_formed > 20000);
}

/* v5 MQTT-1.5.4-1, v3.1.1 MQTT-1.5.3-1: all but the surrogates */
static void every_character_is_known(void **state)
{
    (void)state;
    for (uint32_t code = 1; code < 0x110000; code++) {
        uint8_t t[4] = { (uint8_t)code };
        uint32_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        for (uint32_t k = 1; n > 1 && k < n; k++)
            t[k] = (uint8_t)(0x80 | (code >> (6 * (n - 1 - k)) & 0x3f));
        if (n > 1)
            t[0] = (uint8_t)((0xf00u >> n) | (code >> (6 * (n - 1))));
        bool is_ill = (text_scan((struct text){ (const char *)t, n }) & TEXT_ILL_FORMED) != 0;
        assert_int_equal(is_ill, code >= 0xd800 && code <= 0xdfff);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_checked_as_a_slow_model_does),
        cmocka_unit_test(every_character_is_known),
    };
    return cmocka_run_group_tests_name("mqtt_text", tests, NULL, NULL);
}
