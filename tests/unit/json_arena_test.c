/* Goal: cJSON takes all its memory from the region, refuses what does not fit, and a reset gives all of
 * it back. Method: trees of growing size in a region between two guards.
 * Links: firmware/json_arena.c
 * Libs: -lcjson */
#include "firmware/json_arena.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "tests/lib/check.h"

enum { REGION = 4096, GUARD = 64 };

static _Alignas(16) uint8_t memory[GUARD + REGION + GUARD];

static void check_guards(void)
{
    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(memory[i], 0xa5);
        assert_int_equal(memory[GUARD + REGION + i], 0xa5);
    }
}

static void trees_live_in_the_region(void **state)
{
    (void)state;
    memset(memory, 0xa5, sizeof memory);
    json_arena_start(memory + GUARD, REGION);
    bool refused = false;
    char json[1024] = "[1";
    for (int count = 1; count <= 100; count++, strcat(json, ",\"x\"")) {
        strcat(json, "]");
        json_arena_reset();
        assert_false(json_arena_exhausted());
        cJSON *tree = cJSON_Parse(json);
        assert_int_equal(tree == NULL, json_arena_exhausted());
        assert_true(tree == NULL || !refused); /* once too large, a larger one is too */
        refused = tree == NULL;
        if (tree != NULL) {
            assert_in_range((uint8_t *)tree - memory, GUARD, GUARD + REGION - 1);
            assert_int_equal(cJSON_GetArraySize(tree), count);
            cJSON_Delete(tree); /* gives nothing back, and harms nothing */
        }
        check_guards();
        json[strlen(json) - 1] = '\0';
    }
    assert_true(refused);
    json_arena_reset();
    assert_non_null(cJSON_Parse("[1,2,3]"));
    assert_false(json_arena_exhausted());
}

static void pieces_are_aligned_and_bounded(void **state)
{
    (void)state;
    memset(memory, 0xa5, sizeof memory);
    json_arena_start(memory + GUARD, REGION);
    for (size_t bytes = 0; bytes < 64; bytes++) {
        uint8_t *piece = cJSON_malloc(bytes);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
        memset(piece, 0, bytes);
    }
    json_arena_reset();
    assert_null(cJSON_malloc(SIZE_MAX));
    assert_true(json_arena_exhausted());
    json_arena_reset();
    assert_null(cJSON_malloc(REGION + 1));
    json_arena_reset();
    assert_non_null(cJSON_malloc(REGION));
    assert_null(cJSON_malloc(1));
    check_guards();
}

/* As the daemon does it. A piece so large stands 8 bytes into a page on armhf. */
static void memory_of_the_heap_will_do(void **state)
{
    (void)state;
    void *region = calloc(1, 1 << 20);
    json_arena_start(region, 1 << 20);
    assert_non_null(cJSON_Parse("{\"value\":21.5}"));
    free(region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_live_in_the_region),
        cmocka_unit_test(memory_of_the_heap_will_do),
        cmocka_unit_test(pieces_are_aligned_and_bounded),
    };
    return cmocka_run_group_tests_name("json_arena", tests, NULL, NULL);
}
