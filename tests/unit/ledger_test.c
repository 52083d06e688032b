/* Goal: the ledger's two equations are told right, and a saved ledger comes back whole or not at all. Method: a balanced
 * ledger with one count changed at a time; save and load of random ledgers; every shorter and every newer form is refused.
 * Links: storage/ledger.c pipeline/bytes.c */
#include "storage/ledger.h"

#include "tests/lib/check.h"

static struct ledger balanced(void)
{
    struct ledger l = { .received = 100, .retried = 5, .stored = 80, .duplicate = 10, .held = 70 };
    l.rejected[REJECT_JSON_SYNTAX] = 8;
    l.rejected[REJECT_UPSTREAM_REFUSED] = 4;
    l.shed[SHED_QOS0_OVERLOAD] = 3;
    l.removed[REMOVED_AGE_FORWARDED] = 6;
    l.removed[REMOVED_SPACE_UNFORWARDED] = 4;
    return l;
}

static void one_count_off_is_seen(void **state)
{
    (void)state;
    struct ledger l = balanced();
    assert_true(ledger_balances(&l));
    assert_int_equal(ledger_rejected(&l), 12);
    assert_int_equal(ledger_removed(&l), 10);
    uint64_t *counts[] = { &l.received, &l.retried, &l.stored, &l.duplicate, &l.held,
                           &l.rejected[REJECT_NONE], &l.rejected[REJECT_REASON_END - 1],
                           &l.shed[SHED_QOS0_OVERLOAD], &l.removed[REMOVALS - 1] };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        ++*counts[i];
        assert_false(ledger_balances(&l));
        --*counts[i];
    }
    l.late = l.sequence_restart = l.enrichment_left_out = l.results_left_out = 7; /* in no equation */
    assert_true(ledger_balances(&l));
}

static uint64_t any_count(uint64_t *chance)
{
    return rnd(chance) >> (rnd(chance) % 64);
}

static struct ledger any_ledger(uint64_t *chance)
{
    struct ledger l = { .received = any_count(chance), .retried = any_count(chance) };
    l.stored = any_count(chance);
    l.duplicate = any_count(chance);
    for (int i = 0; i < REJECT_REASON_END; i++)
        l.rejected[i] = any_count(chance);
    for (int i = 0; i < SHED_REASONS; i++)
        l.shed[i] = any_count(chance);
    l.held = any_count(chance);
    for (int i = 0; i < REMOVALS; i++)
        l.removed[i] = any_count(chance);
    l.sequence_restart = any_count(chance);
    l.late = any_count(chance);
    l.enrichment_left_out = any_count(chance);
    l.results_left_out = any_count(chance);
    l.raw_left_out = any_count(chance);
    l.corrections = any_count(chance);
    l.corrections_left_out = any_count(chance);
    return l;
}

static void what_is_saved_comes_back(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    for (int round = 0; round < 200; round++) {
        uint8_t room[1024];
        struct ledger saved = any_ledger(&chance), loaded;
        struct byte_writer w = { .at = room, .bytes = sizeof room };
        ledger_save(&saved, &w);
        assert_int_equal(room[0], 2); /* another one is damage to the Weir before */
        size_t plain = w.used;
        ledger_save_more(&saved, &w);
        assert_false(w.failed);
        struct byte_reader r = { .at = room, .bytes = w.used };
        ledger_load(&loaded, &r);
        assert_int_equal(r.used, plain);
        ledger_load_more(&loaded, &r);
        assert_false(r.failed);
        assert_int_equal(r.used, w.used);
        assert_memory_equal(&saved, &loaded, sizeof saved); /* all of it is uint64_t: no padding */
        struct byte_reader cut = { .at = room, .bytes = rnd_below(&chance, (uint32_t)plain) };
        ledger_load(&loaded, &cut);
        assert_true(cut.failed);
        assert_int_equal(loaded.received, 0);
    }
}

static void a_newer_form_is_refused_and_an_older_one_read(void **state)
{
    (void)state;
    static const uint8_t older[] = { 1, 9, 0, 4, 0, 2, 0, 5, 0, 4, 0, 0, 0, 0, 0 };
    static const uint8_t newer_version[] = { 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    static const uint8_t more_removals[600] = { 1, 0, 0, 0, 0, 0, 0, 0, REMOVALS + 1, 0, 0, 0, 0, 9 };
    static uint8_t more_reasons[600] = { 1, 9, 0, 4, 0, REJECT_REASON_END + 2 };
    static const uint8_t without_corrections[] = { 2, 9, 0, 4, 0, 2, 0, 5, 0, 4, 0, 0, 0, 0, 0, 7 };
    struct ledger l;
    struct byte_reader r = { .at = older, .bytes = sizeof older };
    ledger_load(&l, &r);
    assert_false(r.failed);
    assert_true(ledger_balances(&l));
    assert_int_equal(l.rejected[1], 5);
    r = (struct byte_reader){ .at = without_corrections, .bytes = sizeof without_corrections };
    ledger_load(&l, &r);
    assert_false(r.failed);
    assert_true(l.raw_left_out == 7 && l.corrections == 0 && l.corrections_left_out == 0);
    ledger_load_more(&l, &r); /* nothing is behind it */
    assert_true(!r.failed && l.corrections == 0);
    struct byte_reader version = { .at = newer_version, .bytes = sizeof newer_version };
    ledger_load(&l, &version);
    assert_true(version.failed);
    struct byte_reader removals = { .at = more_removals, .bytes = sizeof more_removals };
    ledger_load(&l, &removals);
    assert_true(removals.failed);
    more_reasons[6 + REJECT_REASON_END] = 2; /* what a newer Weir rejected for reasons of its own is not lost */
    more_reasons[6 + REJECT_REASON_END + 1] = 3;
    more_reasons[6 + REJECT_REASON_END + 2 + 1] = 4; /* held, behind an empty list */
    struct byte_reader reasons = { .at = more_reasons, .bytes = sizeof more_reasons };
    ledger_load(&l, &reasons);
    assert_false(reasons.failed);
    assert_int_equal(l.rejected[REJECT_NONE], 5);
    assert_true(ledger_balances(&l));
}

static void every_count_has_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < REMOVALS; i++)
        for (int k = 0; k <= REMOVALS; k++)
            assert_true((strcmp(removal_name((enum removal)i), removal_name((enum removal)k)) == 0) == (i == k));
    assert_string_equal(shed_name(SHED_QOS0_OVERLOAD), "qos0_overload");
    assert_string_equal(shed_name(SHED_REASONS), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_count_off_is_seen),
        cmocka_unit_test(what_is_saved_comes_back),
        cmocka_unit_test(a_newer_form_is_refused_and_an_older_one_read),
        cmocka_unit_test(every_count_has_its_own_name),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
