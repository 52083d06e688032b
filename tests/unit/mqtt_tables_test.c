/* Goal: the table of packet identifiers and the table of topic aliases hold what was put into them.
 * Method: random steps against plain models; identifiers close together and such that share a slot.
 * Links: pipeline/mqtt/ids.c pipeline/mqtt/aliases.c */
#include "pipeline/err.h"
#include "pipeline/mqtt/aliases.h"
#include "pipeline/mqtt/ids.h"
#include "tests/lib/check.h"

static void *room_for(struct arena measured, struct arena *arena)
{
    void *room = calloc(1, measured.used);
    assert_non_null(room);
    *arena = arena_over(room, measured.used);
    return room;
}

static void check_ids(const struct mqtt_ids *ids, const uint8_t *model)
{
    uint32_t count = 0;
    for (uint32_t id = 1; id <= UINT16_MAX; id++) {
        const struct mqtt_id *entry = mqtt_ids_find(ids, (uint16_t)id);
        assert_int_equal(entry != NULL, model[id] != 0);
        assert_true(entry == NULL || entry->state == model[id]);
        count += entry != NULL;
    }
    assert_int_equal(count, ids->count);
}

static void ids_agree_with_a_model(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 1, 2, 5, 64, 100 };
    uint64_t seed = check_seed();
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        static uint8_t model[UINT16_MAX + 1];
        memset(model, 0, sizeof model);
        struct mqtt_ids ids;
        struct arena arena = arena_measure();
        mqtt_ids_init(&ids, sizes[s], &arena);
        void *room = room_for(arena, &arena);
        mqtt_ids_init(&ids, sizes[s], &arena);
        for (int i = 0; i < 20000; i++) {
            uint16_t id = (uint16_t)(rnd(&seed) % 2 == 0 ? 1 + rnd(&seed) % (2 * sizes[s])
                                                         : 256 * (1 + rnd(&seed) % 255));
            struct mqtt_id *entry = mqtt_ids_find(&ids, id);
            assert_int_equal(entry != NULL, model[id] != 0);
            if (entry != NULL) {
                mqtt_ids_remove(&ids, id);
                model[id] = 0;
            } else if ((entry = mqtt_ids_add(&ids, id)) != NULL) {
                assert_true(entry->state == 0 && entry->flags == 0 && entry->mark == 0);
                entry->state = model[id] = (uint8_t)(1 + rnd(&seed) % 255);
            } else {
                assert_int_equal(ids.count, sizes[s]);
            }
            if (i % 1000 == 0)
                check_ids(&ids, model);
        }
        mqtt_ids_clear(&ids);
        memset(model, 0, sizeof model);
        check_ids(&ids, model);
        free(room);
    }
}

enum { ALIASES = 7, BUFFER = 100, TOPIC_MAX = 40 };

static void aliases_agree_with_a_model(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    char model[ALIASES + 1][TOPIC_MAX + 1] = { "" };
    uint32_t refused = 0, taken = 0;
    struct mqtt_aliases a;
    struct arena arena = arena_measure();
    mqtt_aliases_init(&a, ALIASES, BUFFER, &arena);
    void *room = room_for(arena, &arena);
    mqtt_aliases_init(&a, ALIASES, BUFFER, &arena);
    for (int i = 0; i < 100000; i++) {
        uint16_t alias = (uint16_t)(1 + rnd(&seed) % ALIASES);
        char topic[TOPIC_MAX + 1] = "";
        size_t bytes = 1 + rnd_below(&seed, TOPIC_MAX), others = 0;
        for (size_t k = 0; k < bytes; k++)
            topic[k] = (char)('a' + rnd(&seed) % 26);
        for (int k = 1; k <= ALIASES; k++)
            others += k != alias ? strlen(model[k]) : 0;
        int err = mqtt_aliases_set(&a, alias, text_of(topic));
        assert_int_equal(err, others + bytes > BUFFER ? WEIR_EFULL : 0);
        if (err == 0)
            memcpy(model[alias], topic, sizeof topic);
        refused += err != 0;
        taken += err == 0;
        for (uint16_t k = 1; k <= ALIASES; k++)
            assert_true(text_equal(mqtt_aliases_get(&a, k), text_of(model[k])));
    }
    assert_true(refused > 1000 && taken > 1000);
    mqtt_aliases_clear(&a);
    for (uint16_t k = 1; k <= ALIASES; k++)
        assert_int_equal(mqtt_aliases_get(&a, k).bytes, 0);
    free(room);
}

/* v5 MQTT-3.3.2-12: with a buffer of the promised size every alias up to the maximum is accepted */
static void a_large_enough_buffer_never_runs_out(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    struct mqtt_aliases a;
    struct arena arena = arena_measure();
    mqtt_aliases_init(&a, ALIASES, ALIASES * TOPIC_MAX, &arena);
    void *room = room_for(arena, &arena);
    mqtt_aliases_init(&a, ALIASES, ALIASES * TOPIC_MAX, &arena);
    static const char longest[TOPIC_MAX] = "0123456789012345678901234567890123456789";
    for (int i = 0; i < 20000; i++)
        assert_int_equal(mqtt_aliases_set(&a, (uint16_t)(1 + rnd(&seed) % ALIASES),
                                          (struct text){ longest,
                                                         1 + (uint32_t)(rnd(&seed) % TOPIC_MAX) }),
                         0);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_agree_with_a_model),
        cmocka_unit_test(aliases_agree_with_a_model),
        cmocka_unit_test(a_large_enough_buffer_never_runs_out),
    };
    return cmocka_run_group_tests_name("mqtt_tables", tests, NULL, NULL);
}
