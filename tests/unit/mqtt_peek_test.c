/* Goal: a look at what begins at some byte says how long the packet is and on what topic, as the whole
 * reader does, and reads nothing that is not there. Method: examples cut everywhere; random bytes at a guard.
 * Links: pipeline/mqtt/peek.c pipeline/mqtt/wire.c pipeline/mqtt/fault.c pipeline/mqtt/reason.c */
#include "pipeline/mqtt/packet.h"
#include "tests/lib/check.h"
#include "tests/lib/mqtt_bytes.h"

static uint32_t peek(const uint8_t *from, size_t bytes, struct text *topic)
{
    static uint8_t *at; /* a byte read too far is seen; the topic stays until the next call */
    free(at);
    at = malloc(bytes > 0 ? bytes : 1);
    memcpy(at, from, bytes);
    uint32_t found = mqtt_peek(at, (uint32_t)bytes, topic);
    assert_true(topic->bytes == 0 || (topic->at >= (char *)at && topic->at + topic->bytes <= (char *)at + bytes));
    return found;
}

static void says_what_the_reader_says(void **state)
{
    static const struct {
        const char *packet, *topic;
        size_t topic_there; /* bytes of the packet by which the topic is there whole */
    } table[] = {
        { "30 ({'a/b'} 'xyz')", "a/b", 7 },
        { "32 ({'sensors/d1/t'} 0001 '{}')", "sensors/d1/t", 16 },
        { "30 ({} 'x')", "", 0 },
        { "c0 00", "", 0 },
        { "62 (0001)", "", 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t bytes;
        uint8_t *at = mqtt_noted(table[i].packet, &bytes);
        for (size_t cut = 0; cut <= bytes; cut++) {
            struct text topic;
            assert_int_equal(peek(at, cut, &topic), cut < 2 ? 0 : bytes);
            const char *want = cut >= 2 && cut >= table[i].topic_there ? table[i].topic : "";
            assert_true(text_equal(topic, text_of(want)));
        }
        free(at);
    }
    struct text topic;
    assert_int_equal(peek((const uint8_t *)"\x30\xff\xff\xff\xff\x01", 6, &topic), 0); /* no length */
}

static void random_bytes_harm_nobody(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    for (int i = 0; i < 100000; i++) {
        uint8_t bytes[12];
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)(rnd(&seed) % 4 == 0 ? rnd(&seed) : rnd(&seed) % 8);
        bytes[0] = (uint8_t)(rnd(&seed) % 2 == 0 ? 0x30 : rnd(&seed));
        struct text topic;
        (void)peek(bytes, rnd_below(&seed, sizeof bytes + 1), &topic);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_reader_says),
        cmocka_unit_test(random_bytes_harm_nobody),
    };
    return cmocka_run_group_tests_name("mqtt_peek", tests, NULL, NULL);
}
