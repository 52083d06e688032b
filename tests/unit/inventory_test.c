/* Goal: CSV and JSON files give the same entries, and each fault is told with its line and column and changes nothing.
 * Method: tables of files and sentences; then random inventories, written in both forms in random order, must be found
 * again entry by entry.
 * Links: pipeline/inventory.c
 * Libs: -lcjson */
#include "pipeline/inventory.h"

#include "pipeline/err.h"
#include "tests/lib/check.h"

enum { ENTRIES = 100 };

static struct inventory *inventory_made(uint32_t entries)
{
    struct arena counting = arena_measure();
    inventory_init(entries, &counting);
    void *at = aligned_alloc(ARENA_ALIGN, counting.used);
    memset(at, 0, counting.used);
    struct arena arena = arena_over(at, counting.used);
    struct inventory *inventory = inventory_init(entries, &arena);
    assert_ptr_equal(inventory, at);
    return inventory;
}

/* In a piece of heap of its own, so that reading past its end is seen. */
static int load(struct inventory *inventory, const char *file, char *why)
{
    size_t bytes = strlen(file);
    char *exact = malloc(bytes + (bytes == 0));
    memcpy(exact, file, bytes);
    int result = inventory_load(inventory, (struct text){ exact, (uint32_t)bytes }, file[0] == '[' || file[0] == '{', why);
    free(exact);
    return result;
}

static void both_forms_say_the_same(void **state)
{
    (void)state;
    static const char *const files[] = {
        "device,site,line,model,unit,low,high\npump7,Plant 1,L2,X-100,mm/s,0.5,7.1\nfan,,,,,,\n",
        "\xef\xbb\xbfhigh,low,unit,model,line,site,device\r\n7.1,.5,mm/s,\"X-100\",L2,\"Plant 1\",pump7\r\n\r\n,,,,,,fan",
        ("[{\"device\":\"pump7\",\"site\":\"Plant 1\",\"line\":\"L2\",\"model\":\"X-100\",\"unit\":\"mm/s\",\"low\":0.5,"
         "\"high\":7.1},\n {\"device\":\"fan\",\"site\":null}]\n"),
    };
    char why[256];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct inventory *inventory = inventory_made(4);
        assert_int_equal(load(inventory, files[i], why), 0);
        const struct inventory_entry *pump = inventory_find(inventory, text_of("pump7"));
        const struct inventory_entry *fan = inventory_find(inventory, text_of("fan"));
        assert_non_null(pump);
        assert_string_equal(pump->site, "Plant 1");
        assert_string_equal(pump->line, "L2");
        assert_string_equal(pump->model, "X-100");
        assert_string_equal(pump->unit, "mm/s");
        assert_true(pump->has_low && pump->low == 0.5 && pump->has_high && pump->high == 7.1);
        assert_non_null(fan);
        assert_true(!fan->has_low && !fan->has_high && fan->site[0] == 0);
        assert_null(inventory_find(inventory, text_of("pump")));
        assert_null(inventory_find(inventory, text_of("pump77")));
        assert_null(inventory_find(inventory, (struct text){ 0 }));
        free(inventory);
    }
}

static void quotes_hold_anything(void **state)
{
    (void)state;
    char why[256];
    struct inventory *inventory = inventory_made(4);
    assert_int_equal(load(inventory, "site,device\n\"a \"\"b\"\", c\r\nd\",x\n\"\",\"y\"", why), 0);
    assert_string_equal(inventory_find(inventory, text_of("x"))->site, "a \"b\", c\r\nd");
    assert_string_equal(inventory_find(inventory, text_of("y"))->site, "");
    free(inventory);
}

static void each_fault_names_its_place(void **state)
{
    (void)state;
    static const struct { const char *file, *why; int result; } table[] = {
        { "", "line 1, column 1: the file is empty", WEIR_EINVAL },
        { "name,site\n", "line 1, column 1: the header line names a column other than device, site, line, model, unit, "
                         "low, high", WEIR_EINVAL },
        { "device,site,site\n", "line 1, column 13: the header line names this column twice", WEIR_EINVAL },
        { "site\nx\n", "line 1, column 1: the header line names no column device", WEIR_EINVAL },
        { "device,low\nx,abc\n", "line 2, column 3: low and high are numbers", WEIR_EINVAL },
        { "device,low\nx,0x10\n", "line 2, column 3: low and high are numbers", WEIR_EINVAL },
        { "device,low\nx,nan\n", "line 2, column 3: low and high are numbers", WEIR_EINVAL },
        { "device,low\nx,1e999\n", "line 2, column 3: low and high are numbers", WEIR_EINVAL },
        { "device,low\nx,1-2\n", "line 2, column 3: low and high are numbers", WEIR_EINVAL },
        { "device,low,high\n\nx,2,1\n", "line 3, column 1: low is greater than high", WEIR_EINVAL },
        { "device,site\nx,a,b\n", "line 2, column 5: more cells than the header line has", WEIR_EINVAL },
        { "device,site\nx\ny,b\n", "line 2, column 1: fewer cells than the header line has", WEIR_EINVAL },
        { "device,site\n,a\n", "line 2, column 1: the entry names no device", WEIR_EINVAL },
        { "device,site\nx,a\"b\n", "line 2, column 4: a quote that does not belong here, or is not closed", WEIR_EINVAL },
        { "device,site\nx,\"ab\ny,c\n", "line 4, column 1: a quote that does not belong here, or is not closed",
          WEIR_EINVAL },
        { "device,site\nx,\"ab\"c\n", "line 2, column 7: a comma or the end of the line belongs here", WEIR_EINVAL },
        { "device\nx\ny\nx\n", "line 4, column 1: device x stands in line 2 already", WEIR_EINVAL },
        { "device\na\nb\nc\nd\ne\n", "line 6, column 1: more entries than inventory.entries_max", WEIR_EFULL },
        { "device\n0123456789012345678901234567890123456789012345678901234567890123x\n",
          "line 2, column 1: longer than 64 bytes", WEIR_EINVAL },
        { "[{\"device\":\"a\"},\n{\"device\":}]", "line 2, column 11: not JSON, or more of it than the decoder's memory holds",
          WEIR_EINVAL },
        { "[{\"device\":\"a\"}] x", "line 1, column 18: bytes follow the array", WEIR_EINVAL },
        { "{\"device\":\"a\"}", "line 1, column 1: the file is no JSON array", WEIR_EINVAL },
        { "[\n  {\"device\":\"{\\\"\"},\n  {\"site\":\"b\"}]", "line 3, column 3: the entry names no device", WEIR_EINVAL },
        { "[{\"device\":\"a\",\"color\":1}]",
          "line 1, column 2: a member other than device, site, line, model, unit, low, high", WEIR_EINVAL },
        { "[{\"device\":7}]", "line 1, column 2: device, site, line, model and unit are strings", WEIR_EINVAL },
        { "[{\"device\":\"a\",\"low\":\"1\"}]", "line 1, column 2: low and high are numbers", WEIR_EINVAL },
        { "[{\"device\":\"a\"},7]", "line 1, column 2: the element behind this is no object", WEIR_EINVAL },
        { "[{\"device\":\"a\"},\n {\"device\":\"a\"}]", "line 2, column 2: device a stands in line 1 already", WEIR_EINVAL },
    };
    struct inventory *inventory = inventory_made(4);
    char why[256];
    assert_int_equal(load(inventory, "device\nkept\n", why), 0);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int result = load(inventory, table[i].file, why);
        assert_string_equal(why, table[i].why);
        assert_int_equal(result, table[i].result);
        assert_non_null(inventory_find(inventory, text_of("kept")));
    }
    free(inventory);
}

static void what_is_written_is_found(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    struct inventory *inventory = inventory_made(ENTRIES);
    char why[256];
    for (int round = 0; round < 40; round++) {
        static char file[ENTRIES * 100];
        uint32_t order[ENTRIES], count = (uint32_t)(rnd(&chance) % ENTRIES);
        bool json = round % 2;
        size_t used = (size_t)snprintf(file, sizeof file, "%s", json ? "[" : "low,device\n");
        for (uint32_t i = 0; i < count; i++)
            order[i] = i;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t other = i + (uint32_t)(rnd(&chance) % (count - i)), kept = order[other];
            order[other] = order[i];
            order[i] = kept;
            used += (size_t)snprintf(file + used, sizeof file - used,
                                     json ? "%s{\"low\":%u.5,\"device\":\"d%u\"}" : "%s%u.5,d%u\n",
                                     json && i > 0 ? "," : "", kept, kept);
        }
        (void)snprintf(file + used, sizeof file - used, "%s", json ? "]" : "");
        assert_int_equal(load(inventory, file, why), 0);
        for (uint32_t i = 0; i < ENTRIES; i++) {
            char name[16];
            (void)snprintf(name, sizeof name, "d%u", i);
            const struct inventory_entry *entry = inventory_find(inventory, text_of(name));
            assert_int_equal(entry != NULL, i < count);
            if (entry != NULL)
                assert_true(entry->low == i + 0.5);
        }
    }
    free(inventory);
}

static void any_bytes_do_no_harm(void **state)
{
    (void)state;
    static const char alphabet[] = "device,site\n\r\"[]{}:1.\\x ";
    uint64_t chance = check_seed();
    struct inventory *inventory = inventory_made(4);
    for (int round = 0; round < 20000; round++) {
        char file[64], why[256];
        size_t bytes = rnd_below(&chance, sizeof file - 1);
        for (size_t i = 0; i < bytes; i++)
            file[i] = alphabet[rnd(&chance) % (sizeof alphabet - 1)];
        if (bytes > 7)
            memcpy(file, round % 2 ? "device\n" : "[{\"devic", 7);
        file[bytes] = 0;
        (void)load(inventory, file, why);
    }
    free(inventory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_say_the_same),
        cmocka_unit_test(quotes_hold_anything),
        cmocka_unit_test(each_fault_names_its_place),
        cmocka_unit_test(what_is_written_is_found),
        cmocka_unit_test(any_bytes_do_no_harm),
    };
    return cmocka_run_group_tests_name("inventory", tests, NULL, NULL);
}
