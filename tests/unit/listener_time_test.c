/* Goal: a device is ended for what it leaves out, and never for what we did: time in which we do not
 *   read does not count against it.
 * Method: the stage of tests/lib/listener_stage.h, and a client whose packets come in parts.
 * Links: firmware/listener/device.c firmware/listener/device_packets.c firmware/listener/device_topics.c firmware/listener/device_pace.c firmware/listener/device_commands.c firmware/listener/sessions.c firmware/listener/sessions_store.c pipeline/mqtt/%.c pipeline/bytes.c pipeline/hash.c pipeline/err.c pipeline/reject.c
 */
#include "tests/lib/check.h"

#include "tests/lib/listener_stage.h"

static const uint8_t CONNECT[] = { 0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 100, 0, 2, 'c', '0' };
static const uint8_t PUBLISH[] = { 0x32, 9, 0, 1, 't', 0, 1, '0', '0', '0', '1' };

static int place;

static void say(const uint8_t *at, uint32_t bytes)
{
    struct stage_pipe *in = &stage->in[place];
    memcpy(in->bytes + in->used, at, bytes);
    in->used += bytes;
}

static void pass(int64_t ms)
{
    stage->t_ms += ms;
    stage_turn();
}

static bool is_there(void)
{
    return stage->devices[place].state == DEVICE_SERVED;
}

static void begin(void)
{
    stage_begin();
    place = stage_connect();
    say(CONNECT, sizeof CONNECT);
    pass(0);
    assert_true(stage->devices[place].connected);
}

/* It is read as soon as it comes. */
static void half_a_packet_is_ended(void **state)
{
    (void)state;
    begin();
    for (uint32_t i = 0; i + 1 < sizeof PUBLISH; i++) { /* a dribble */
        say(PUBLISH + i, 1);
        pass(2900);
    }
    assert_true(is_there());
    pass(4000);
    assert_false(is_there());
    stage_end();
}

static void what_we_do_not_read_is_not_late(void **state)
{
    (void)state;
    begin();
    say(PUBLISH, 5);
    pass(250);
    stage->is_busy = true;
    say(PUBLISH + 5, sizeof PUBLISH - 5);
    for (int i = 0; i < 640; i++) /* 160 s: neither half a packet nor the keep alive is over */
        pass(250);
    assert_true(is_there());
    stage->is_busy = false;
    pass(250);
    stage_commit();
    assert_true(is_there());
    assert_int_equal(stage->stored[1], 1);
    assert_int_equal(stage->out[place].used, 4 + 4);
    stage_end();
}

/* The process stood still; what the kernel has of it is read after the tick. */
static void nor_is_it_after_a_stop(void **state)
{
    (void)state;
    begin();
    say(PUBLISH, 5);
    pass(250);
    stage->is_busy = true;
    say(PUBLISH + 5, sizeof PUBLISH - 5);
    pass(90000);
    assert_true(is_there());
    stage->is_busy = false;
    pass(0);
    assert_true(stage->devices[place].in_used == 0);
    stage_end();
}

/* Only the time in which we did not listen is left out. */
static void what_was_silent_before_counts(void **state)
{
    (void)state;
    begin();
    say(PUBLISH, 5);
    pass(250);
    for (int i = 0; i < 15; i++)
        pass(1000);
    stage->is_busy = true;
    say(PUBLISH + 5, 1);
    for (int i = 0; i < 60; i++)
        pass(1000);
    stage->is_busy = false;
    pass(1000); /* the byte is read, and is no packet */
    assert_true(is_there());
    for (int i = 0; i < 16; i++)
        pass(1000);
    assert_false(is_there());
    stage_end();
}

static void acknowledgements_nobody_reads(void **state)
{
    (void)state;
    begin();
    stage->out[place].used = STAGE_PIPE_BYTES;
    say(PUBLISH, sizeof PUBLISH);
    pass(0);
    stage_commit();
    stage->is_busy = true; /* so that its keep alive is not what ends it */
    say(PUBLISH, 1);
    pass(29000);
    assert_true(is_there());
    stage->out[place].used = 0; /* it has read, and we have not looked */
    pass(2000);
    assert_true(is_there());
    assert_int_equal(stage->out[place].used, 4);
    stage->out[place].used = STAGE_PIPE_BYTES;
    stage->is_busy = false;
    say(PUBLISH + 1, sizeof PUBLISH - 1);
    pass(0);
    stage_commit();
    stage->is_busy = true;
    say(PUBLISH, 1);
    pass(31000);
    assert_false(is_there());
    stage_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_a_packet_is_ended),
        cmocka_unit_test(what_we_do_not_read_is_not_late),
        cmocka_unit_test(nor_is_it_after_a_stop),
        cmocka_unit_test(what_was_silent_before_counts),
        cmocka_unit_test(acknowledgements_nobody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
