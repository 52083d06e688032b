/* Goal: what a block made is told apart from anything else it could have made. Method: each field that an alert or a
 * result says is changed by itself and must change the sum; what is not said must not.
 * Links: pipeline/made.c pipeline/hash.c pipeline/bytes.c
 */
#include "pipeline/made.h"
#include "tests/lib/check.h"

static const struct detector_config rule = { .name = "hot" };
static const struct sample recent[] = { { 1000, 20.5 }, { 2000, 99.0 } };
static const struct statistics usual = { .count = 3, .ew_mean = 21.0 };

struct said {
    struct alert alert;
    struct alert_event event;
    struct window_result result;
    struct record late_record;
    struct stream_plan plan;
    struct stream_late late;
};

static const struct stream_config stream = { .name = "sums" }, renamed = { .name = "sum" };

static struct said some(void)
{
    return (struct said){
        .alert = { .revision = 2, .count = 3, .reason = REASON_NONE, .shelved_until_ms = 5, .onset_event_ms = 1500,
                   .last_event_ms = 2000, .peak = { 99, 10, 30, 4, 3 } },
        .event = { .id = "X", .key = { 1, 2 }, .transition = ALERT_UPDATE, .rule = &rule, .severity = SEVERITY_MINOR,
                   .device = { "oven", 4 }, .metric = { "temp", 4 }, .unit = { "C", 1 }, .usual = &usual,
                   .recent = recent, .recent_count = 2, .t_ms = 7, .event_time_ms = 2000, .first_block = 3,
                   .last_block = 4, .contract_version = 1 },
        .result = { .device = { "oven", 4 }, .metric = { "temp", 4 }, .unit = { "C", 1 }, .end_ms = 10000,
                    .aggregate = { .count = 2, .mean = 1.5, .m2 = 0.5, .min = 1, .max = 2, .first = 1, .last = 2,
                                   .first_ms = 100, .last_ms = 200 }, .first_block = 1, .last_block = 2 },
        .late_record = { .reading = { .device = { "oven", 4 }, .metric = { "temp", 4 }, .has_sequence = true,
                                      .sequence = 7 }, .event_time_ms = 900 },
        .plan = { .config = &stream },
        .late = { .key = { "k1", 2 }, .end_ms = 1000, .slide_ms = 1000, .windows = 1, .lateness_ms = 5, .needed_ms = 6 },
    };
}

static struct made_sum sum_of(struct said *said)
{
    struct made made;
    said->event.alert = &said->alert;
    made_begin(&made);
    made_alert(&made, &said->event);
    made_result(&made, &said->result);
    said->late.record = &said->late_record;
    said->late.plan = &said->plan;
    made_late(&made, &said->late);
    return made_sum(&made);
}

#define CHANGED(statement)                                                     \
    do {                                                                       \
        struct said said = some(), before = some();                            \
        statement;                                                             \
        struct made_sum a = sum_of(&before), b = sum_of(&said);                \
        if (memcmp(&a, &b, sizeof a) == 0)                                     \
            fail_msg("not seen: %s", #statement);                              \
    } while (0)

static void what_an_alert_says_is_seen(void **state)
{
    (void)state;
    CHANGED(said.event.key.low = 9);
    CHANGED(said.event.key.high = 9);
    CHANGED(said.event.transition = ALERT_CLEAR);
    CHANGED(said.event.severity = SEVERITY_MAJOR);
    CHANGED(said.event.device.bytes = 3);
    CHANGED(said.event.metric.bytes = 3);
    CHANGED(said.event.unit.bytes = 0);
    CHANGED(said.event.recent_count = 1);
    CHANGED(said.event.usual = NULL);
    CHANGED(said.event.event_time_ms++);
    CHANGED(said.event.first_block++);
    CHANGED(said.event.last_block++);
    CHANGED(said.event.contract_version++);
    CHANGED(said.alert.revision++);
    CHANGED(said.alert.count++);
    CHANGED(said.alert.suppressed++);
    CHANGED(said.alert.acknowledged = true);
    CHANGED(said.alert.learning = true);
    CHANGED(said.alert.reason = (enum reason)1);
    CHANGED(said.alert.shelved_until_ms++);
    CHANGED(said.alert.onset_event_ms++);
    CHANGED(said.alert.last_event_ms++);
    CHANGED(said.alert.peak.observed = 98);
    CHANGED(said.alert.peak.low = 9);
    CHANGED(said.alert.peak.high = 31);
    CHANGED(said.alert.peak.score = 5);
    CHANGED(said.alert.peak.threshold = 2);
    CHANGED(said.alert.peak.observed = -0.0; before.alert.peak.observed = 0.0); /* bits, not values */
}

static void what_a_result_says_is_seen(void **state)
{
    (void)state;
    CHANGED(said.result.device.bytes = 3);
    CHANGED(said.result.metric.bytes = 3);
    CHANGED(said.result.unit.bytes = 0);
    CHANGED(said.result.start_ms++);
    CHANGED(said.result.end_ms++);
    CHANGED(said.result.revision++);
    CHANGED(said.result.forced = true);
    CHANGED(said.result.alert_open = true);
    CHANGED(said.result.aggregate.count++);
    CHANGED(said.result.aggregate.mean = 1.25);
    CHANGED(said.result.aggregate.m2 = 0.25);
    CHANGED(said.result.aggregate.min = 0.5);
    CHANGED(said.result.aggregate.max = 2.5);
    CHANGED(said.result.aggregate.first = 2);
    CHANGED(said.result.aggregate.last = 1);
    CHANGED(said.result.aggregate.first_ms++);
    CHANGED(said.result.aggregate.last_ms++);
    CHANGED(said.result.first_block++);
    CHANGED(said.result.last_block++);
    CHANGED(said.result.contract_version++);
}

static void what_is_too_late_is_seen(void **state)
{
    (void)state;
    CHANGED(said.plan.config = &renamed);
    CHANGED(said.late.key.bytes = 1);
    CHANGED(said.late.start_ms++);
    CHANGED(said.late.end_ms++);
    CHANGED(said.late.slide_ms++);
    CHANGED(said.late.windows++);
    CHANGED(said.late.lateness_ms++);
    CHANGED(said.late.needed_ms++);
    CHANGED(said.late_record.reading.device.bytes = 3);
    CHANGED(said.late_record.reading.metric.bytes = 3);
    CHANGED(said.late_record.reading.sequence++);
    CHANGED(said.late_record.reading.has_sequence = false);
    CHANGED(said.late_record.reading.index++);
    CHANGED(said.late_record.event_time_ms++);
}

/* As an older Weir told it: without what is too late. */
static void an_earlier_form_is_understood(void **state)
{
    (void)state;
    uint8_t bytes[MADE_BYTES_MAX];
    struct said said = some(), other = some();
    other.late.windows++;
    struct made_sum first = made_as(sum_of(&said), 1), second = made_as(sum_of(&other), 1), back;
    assert_memory_equal(&first, &second, sizeof first);
    assert_int_equal(first.corrections, 0);
    assert_int_equal(first.alerts, 1);
    struct text packed = made_pack(&first, bytes);
    assert_int_equal(packed.bytes, 3 + 16);
    assert_true(made_unpack(packed, &back));
    assert_memory_equal(&first, &back, sizeof first);
}

static void when_it_was_recorded_is_not_said(void **state)
{
    (void)state;
    struct said said = some(), later = some();
    later.event.t_ms++;
    later.alert.since_ms++;
    struct made_sum a = sum_of(&said), b = sum_of(&later);
    assert_memory_equal(&a, &b, sizeof a);
}

static void the_order_is_seen(void **state)
{
    (void)state;
    struct said one = some(), other = some();
    struct made there, back;
    other.result.start_ms = 1;
    made_begin(&there);
    made_begin(&back);
    made_result(&there, &one.result);
    made_result(&there, &other.result);
    made_result(&back, &other.result);
    made_result(&back, &one.result);
    assert_true(made_sum(&there).result_digest != made_sum(&back).result_digest);
    assert_int_equal(made_sum(&there).results, 2);
}

static void a_sum_is_packed_and_unpacked(void **state)
{
    (void)state;
    uint8_t bytes[MADE_BYTES_MAX];
    struct said said = some();
    struct made_sum sum = sum_of(&said), back;
    struct text packed = made_pack(&sum, bytes);
    assert_true(made_unpack(packed, &back));
    assert_memory_equal(&sum, &back, sizeof sum);
    for (uint32_t cut = 0; cut < packed.bytes; cut++)
        assert_false(made_unpack((struct text){ packed.at, cut }, &back));
    sum.form = MADE_FORM + 1; /* a later Weir's: known to be one, and no more */
    sum.alerts = UINT64_MAX;
    packed = made_pack(&sum, bytes);
    assert_true(made_unpack(packed, &back));
    assert_int_equal(back.form, MADE_FORM + 1);
    assert_int_equal(back.alerts, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_alert_says_is_seen),
        cmocka_unit_test(what_a_result_says_is_seen),
        cmocka_unit_test(what_is_too_late_is_seen),
        cmocka_unit_test(an_earlier_form_is_understood),
        cmocka_unit_test(when_it_was_recorded_is_not_said),
        cmocka_unit_test(the_order_is_seen),
        cmocka_unit_test(a_sum_is_packed_and_unpacked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
