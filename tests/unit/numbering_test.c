/* Goal: a record that was written by other numbers means by the present ones what it meant: sources and further fields go by
 *   their names, what is no more is left out, and nothing else of a record is touched.
 * Method: two configurations that order, name and drop sources and fields otherwise; every prefix of a packed numbering.
 * Links: firmware/config/numbering.c pipeline/bytes.c */
#include "firmware/config/numbering.h"

#include <string.h>

#include "tests/lib/check.h"

static struct config configs[2];

static void source(struct config *config, const char *name, const char *const *fields)
{
    struct config_source *s = &config->sources[config->source_count++];
    strcpy(s->name, name);
    for (; *fields != NULL; fields++)
        strcpy(s->field_names[s->field_count++], *fields);
}

static void configure(struct numbering *then, struct numbering *now)
{
    static const char *const shop[] = { "card", "country", "amount", NULL }, *const plant[] = { "quality", NULL };
    static const char *const shop_now[] = { "amount", "when", "card", NULL }, *const none[] = { NULL };
    memset(configs, 0, sizeof configs);
    source(&configs[0], "shop", shop);
    source(&configs[0], "plant", plant);
    source(&configs[1], "other", none);
    source(&configs[1], "shop", shop_now);
    numbering_of(&configs[0], then);
    numbering_of(&configs[1], now);
}

static struct record record_of(uint8_t *extra, size_t room)
{
    struct byte_writer w = { extra, room, 0, false };
    put_u8(&w, 0), put_u8(&w, VALUE_TEXT), put_text(&w, text_of("1234"));
    put_u8(&w, 1), put_u8(&w, VALUE_TEXT), put_text(&w, text_of("DE"));
    put_u8(&w, 2), put_u8(&w, VALUE_NUMBER), put_f64(&w, 9.5);
    struct record record = { .kind = RECORD_READING, .t_ms = 7, .event_time_ms = 8 };
    record.reading.extra = (struct text){ (const char *)extra, (uint32_t)w.used };
    return record;
}

static void fields_go_by_their_names(void **state)
{
    struct numbering then, now;
    uint8_t extra[64], room_bytes[64];
    (void)state;
    configure(&then, &now);
    struct renumbering r = renumbering_from(&then, &now);
    assert_false(r.same);
    struct byte_writer room = { room_bytes, sizeof room_bytes, 0, false };
    for (int twice = 0; twice < 2; twice++) { /* what it is made of is as it was */
        struct record record = record_of(extra, sizeof extra);
        renumber(&r, &record, &room);
        assert_int_equal(record.reading.source, 1);
        struct byte_reader in = { (const uint8_t *)record.reading.extra.at, record.reading.extra.bytes, 0, false };
        assert_int_equal(get_u8(&in), 2);
        assert_int_equal(get_u8(&in), VALUE_TEXT);
        assert_true(text_equal(get_text(&in), text_of("1234")));
        assert_int_equal(get_u8(&in), 0);
        assert_int_equal(get_u8(&in), VALUE_NUMBER);
        assert_true(get_f64(&in) == 9.5);
        assert_true(in.used == in.bytes && !in.failed && record.t_ms == 7 && record.event_time_ms == 8);
    }
    struct record gone = record_of(extra, sizeof extra), tick = { .kind = RECORD_TICK, .count = 3 };
    gone.reading.source = 1;
    renumber(&r, &gone, &room);
    assert_true(gone.reading.source == UINT16_MAX && gone.reading.extra.bytes == 0);
    renumber(&r, &tick, &room);
    assert_int_equal(tick.reading.source, 0);
    assert_int_equal(tick.count, 3);
    struct record lost = { .kind = RECORD_SOURCE, .count = 1 };
    renumber(&r, &lost, &room);
    assert_int_equal(lost.reading.source, 1);
}

static void the_same_changes_nothing(void **state)
{
    struct numbering then, now;
    uint8_t extra[64], room_bytes[8];
    (void)state;
    configure(&then, &now);
    struct renumbering r = renumbering_from(&then, &then);
    assert_true(r.same);
    struct record record = record_of(extra, sizeof extra);
    struct byte_writer room = { room_bytes, sizeof room_bytes, 0, false };
    renumber(&r, &record, &room);
    assert_true(record.reading.source == 0 && record.reading.extra.at == (const char *)extra);
    r = renumbering_from(&then, &now); /* too little room: the first fits, the last does not */
    renumber(&r, &record, &room);
    assert_int_equal(record.reading.extra.bytes, 7);
}

static void what_is_packed_is_unpacked(void **state)
{
    struct numbering then, now, again;
    uint8_t bytes[NUMBERING_BYTES_MAX];
    (void)state;
    configure(&then, &now);
    struct text packed = numbering_pack(&then, bytes);
    assert_true(numbering_unpack(packed, &again));
    assert_memory_equal(&again, &then, sizeof then);
    for (uint32_t i = 0; i < packed.bytes; i++) {
        assert_false(numbering_unpack((struct text){ packed.at, i }, &again));
        uint8_t before = bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] = (uint8_t)(before ^ (1 << bit));
            (void)numbering_unpack(packed, &again);
        }
        bytes[i] = before;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_go_by_their_names),
        cmocka_unit_test(the_same_changes_nothing),
        cmocka_unit_test(what_is_packed_is_unpacked),
    };
    return cmocka_run_group_tests_name("numbering", tests, NULL, NULL);
}
