/* Goal: what is written reads back, and neither side ever leaves its buffer. Method: every field at its extremes, then the
 * same through buffers that are too short by every possible amount.
 * Links: pipeline/bytes.c */
#include "pipeline/bytes.h"

#include <math.h>

#include "tests/lib/check.h"

static void write_all(struct byte_writer *w)
{
    put_u8(w, 255);
    put_u16(w, 65535);
    put_u32(w, UINT32_MAX);
    put_u64(w, UINT64_MAX);
    put_i64(w, INT64_MIN);
    put_f32(w, -1.5f);
    put_f64(w, -0.0);
    put_bool(w, true);
    put_varint(w, UINT64_MAX);
    put_varint(w, 0);
    put_zigzag(w, INT64_MIN);
    put_zigzag(w, INT64_MAX);
    put_zigzag(w, -1);
    put_text(w, text_of("weir"));
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    uint8_t room[128];
    struct byte_writer w = { .at = room, .bytes = sizeof room };
    write_all(&w);
    assert_false(w.failed);
    struct byte_reader r = { .at = room, .bytes = w.used };
    assert_int_equal(get_u8(&r), 255);
    assert_int_equal(get_u16(&r), 65535);
    assert_int_equal(get_u32(&r), UINT32_MAX);
    assert_int_equal(get_u64(&r), UINT64_MAX);
    assert_int_equal(get_i64(&r), INT64_MIN);
    assert_true(get_f32(&r) == -1.5f);
    assert_true(signbit(get_f64(&r)));
    assert_true(get_bool(&r));
    assert_int_equal(get_varint(&r), UINT64_MAX);
    assert_int_equal(get_varint(&r), 0);
    assert_int_equal(get_zigzag(&r), INT64_MIN);
    assert_int_equal(get_zigzag(&r), INT64_MAX);
    assert_int_equal(get_zigzag(&r), -1);
    assert_true(text_equal(get_text(&r), text_of("weir")));
    assert_false(r.failed);
    assert_int_equal(r.used, w.used);
}

static void too_little_room_fails_and_stays_inside(void **state)
{
    (void)state;
    struct byte_writer counting = { 0 };
    write_all(&counting);
    for (size_t bytes = 0; bytes < counting.used; bytes++) {
        uint8_t *room = malloc(bytes + 1);
        struct byte_writer w = { .at = room, .bytes = bytes };
        write_all(&w);
        assert_true(w.failed);
        assert_true(w.used <= bytes);
        free(room);
    }
}

static void damaged_input_fails(void **state)
{
    (void)state;
    static const uint8_t endless[11] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    struct byte_reader varint = { .at = endless, .bytes = sizeof endless };
    assert_int_equal(get_varint(&varint), 0);
    assert_true(varint.failed);
    struct byte_reader text = { .at = endless, .bytes = 1 };
    assert_int_equal(get_text(&text).bytes, 0);
    assert_true(text.failed);
    static const uint8_t two = 2;
    struct byte_reader boolean = { .at = &two, .bytes = 1 };
    assert_false(get_bool(&boolean));
    assert_true(boolean.failed);
}

static uint8_t eight[8];

static struct byte_reader reader_of(double number)
{
    struct byte_writer w = { .at = eight, .bytes = sizeof eight };
    put_f64(&w, number);
    return (struct byte_reader){ .at = eight, .bytes = sizeof eight };
}

static struct byte_reader reader_of_time(int64_t ms)
{
    struct byte_writer w = { .at = eight, .bytes = sizeof eight };
    put_i64(&w, ms);
    return (struct byte_reader){ .at = eight, .bytes = sizeof eight };
}

static void measures_and_times_are_bounded(void **state)
{
    (void)state;
    static const struct { double number; bool finite, measure; } numbers[] = {
        { 1e140, true, true }, { -1e140, true, true }, { 1.0000001e140, true, false },
        { -INFINITY, false, false }, { NAN, false, false },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct byte_reader r = reader_of(numbers[i].number), again = r;
        double got = get_measure(&r);
        assert_true(r.failed ? got == 0 : got == numbers[i].number);
        assert_int_equal(!r.failed, numbers[i].measure);
        (void)get_finite(&again);
        assert_int_equal(!again.failed, numbers[i].finite);
    }
    static const struct { int64_t ms; bool good; } times[] = {
        { ((int64_t)1 << 53) - 1, true }, { 1 - ((int64_t)1 << 53), true },
        { (int64_t)1 << 53, false }, { -((int64_t)1 << 53), false }, { INT64_MIN, false },
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct byte_reader r = reader_of_time(times[i].ms);
        assert_int_equal(get_time(&r), times[i].good ? times[i].ms : 0);
        assert_int_equal(!r.failed, times[i].good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(too_little_room_fails_and_stays_inside),
        cmocka_unit_test(damaged_input_fails),
        cmocka_unit_test(measures_and_times_are_bounded),
    };
    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
