/* Goal: the scanner and cJSON agree: whatever json_scan takes, json_check calls good, json_duplicate
 * finds no key twice in, and cJSON makes the same tree of, every bit of every number; and it takes
 * every flat object without escapes, not only some. Method: a table of what is taken and what is
 * not; 1,000,000 inputs from a seed, made by a grammar (numbers of every length and shape, UTF-8,
 * white space, repeated keys), every other one then mutated byte by byte.
 * Links: pipeline/codec/codec_json_scan.c pipeline/codec/codec_json_check.c pipeline/codec/codec_json_tree.c firmware/json_arena.c
 * Libs: -lcjson */
#include "pipeline/codec/codec_json_scan.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "firmware/json_arena.h"
#include "pipeline/codec/codec_json_check.h"
#include "pipeline/codec/codec_json_tree.h"
#include "pipeline/reading.h"
#include "tests/lib/check.h"
#include "tests/lib/json_trees.h"

enum { INPUTS = 1000000, INPUT_MAX = 4096, ARENA_BYTES = 1 << 17 };

static _Alignas(16) uint8_t region[ARENA_BYTES];

struct input {
    char at[INPUT_MAX];
    uint32_t bytes;
};

/* --- both ways --- */

enum outcome { TAKEN, GOOD_NOT_TAKEN, NOT_FLAT };

/* What a JSON text is that the scanner must take: said in terms of cJSON's tree and of the bytes. */
static bool must_be_taken(const cJSON *root, struct text json)
{
    uint32_t members = 0;
    if (root == NULL || !cJSON_IsObject(root) || memchr(json.at, '\\', json.bytes) != NULL)
        return false;
    for (const cJSON *member = root->child; member != NULL; member = member->next, members++)
        if (cJSON_IsObject(member) || cJSON_IsArray(member))
            return false;
    return members <= JSON_SCAN_MEMBERS_MAX;
}

/* Where to look for a key: at the last member whose key has its hash, which stands that far behind
 * the root; or nowhere. */
static void check_keys(const cJSON *root, const struct json_keys *keys)
{
    struct json_keys want = { { 0 } };
    uint8_t member = 0;
    for (const cJSON *at = root->child; at != NULL; at = at->next) {
        want.member[json_key_hash(at->string, strlen(at->string))] = ++member;
        assert_ptr_equal(at, root + member);
    }
    assert_memory_equal(&want, keys, sizeof want);
}

static enum outcome compare(struct text payload)
{
    bool exhausted;
    char *exact = malloc(payload.bytes > 0 ? payload.bytes : 1); /* a byte read too far is seen */
    memcpy(exact, payload.at, payload.bytes);
    struct text json = { exact, payload.bytes };
    json_arena_reset();
    struct json_keys keys;
    cJSON *scanned = json_scan(json, &keys);
    cJSON *parsed = NULL;
    if (json_check(json, JSON_DEPTH_MAX).reason == REJECT_NONE)
        parsed = cJSON_ParseWithLengthOpts(json.at, json.bytes, NULL, 0);
    if (parsed != NULL && json_duplicate(parsed, &exhausted) != NULL)
        parsed = NULL;
    bool must = must_be_taken(parsed, json);
    bool same = scanned == NULL || (parsed != NULL && trees_equal(scanned, parsed));
    if (!same || must != (scanned != NULL))
        fail_msg("%s: %.*s", same ? "not taken" : "taken for another", (int)json.bytes, json.at);
    if (scanned != NULL)
        check_keys(scanned, &keys);
    free(exact);
    assert_false(json_arena_exhausted());
    return scanned != NULL ? TAKEN : parsed != NULL ? GOOD_NOT_TAKEN : NOT_FLAT;
}

/* --- the table --- */

static void takes_flat_objects_alone(void **state)
{
    static const struct {
        const char *json;
        enum outcome want;
    } table[] = {
        { "{}", TAKEN },
        { " {\t}\r\n", TAKEN },
        { "{\"value\":21.5,\"time\":1766400000123,\"sequence\":7}", TAKEN },
        { "{ \"a\" : true , \"b\" : false,\"c\":null,\"\":\"\" }", TAKEN },
        { "{\"unit\":\"\xc2\xb0" "C\",\"\xe6\xb8\xa9\":-0}", TAKEN },
        { "{\"a\":1e308,\"b\":1E-400,\"c\":-1.5e+3}", TAKEN },
        { "{\"a\":9007199254740993,\"b\":0.30000000000000004}", TAKEN },
        { "{\"a\":123456789012345678901234567890.000000000000000000000000000000}", TAKEN },
        { "{\"a\":\"\x7f\"}", TAKEN },
        { "{\"a\":\"\\u0041\"}", GOOD_NOT_TAKEN },
        { "{\"a\":{}}", GOOD_NOT_TAKEN },
        { "{\"a\":[]}", GOOD_NOT_TAKEN },
        { "[]", GOOD_NOT_TAKEN },
        { "21.5", GOOD_NOT_TAKEN },
        { "", NOT_FLAT },
        { "{", NOT_FLAT },
        { "{\"a\"", NOT_FLAT },
        { "{\"a\":", NOT_FLAT },
        { "{\"a\":1", NOT_FLAT },
        { "{\"a\":1}}", NOT_FLAT },
        { "{\"a\":1} 2", NOT_FLAT },
        { "{\"a\":1,}", NOT_FLAT },
        { "{,\"a\":1}", NOT_FLAT },
        { "{\"a\":1,\"a\":1}", NOT_FLAT },
        { "{\"\":1,\"\":1}", NOT_FLAT },
        { "{\"a\":01}", NOT_FLAT },
        { "{\"a\":1.}", NOT_FLAT },
        { "{\"a\":.5}", NOT_FLAT },
        { "{\"a\":+1}", NOT_FLAT },
        { "{\"a\":-}", NOT_FLAT },
        { "{\"a\":1e}", NOT_FLAT },
        { "{\"a\":1e400}", NOT_FLAT },
        { "{\"a\":NaN}", NOT_FLAT },
        { "{\"a\":tru}", NOT_FLAT },
        { "{\"a\":\"\x01\"}", NOT_FLAT },
        { "{\"a\":\"\x1f\"}", NOT_FLAT },
        { "{\"a\":\"\xc0\xaf\"}", NOT_FLAT },
        { "{\"a\":\"\xff\"}", NOT_FLAT },
        { "{\"a\":1 \"b\":2}", NOT_FLAT },
        { "\xef\xbb\xbf{}", NOT_FLAT },
    };
    (void)state;
    json_arena_start(region, sizeof region);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (compare(text_of(table[i].json)) != table[i].want)
            fail_msg("%s", table[i].json);
}

static uint32_t object_of(char *to, uint32_t members)
{
    uint32_t used = (uint32_t)sprintf(to, "{");
    for (uint32_t i = 0; i < members; i++)
        used += (uint32_t)sprintf(to + used, "%s\"k%u\":%u", i > 0 ? "," : "", i, i);
    return used + (uint32_t)sprintf(to + used, "}");
}

static void stops_at_its_limits(void **state)
{
    char json[1024], digits[80];
    struct json_keys keys;
    (void)state;
    json_arena_start(region, sizeof region);
    assert_int_equal(compare((struct text){ json, object_of(json, JSON_SCAN_MEMBERS_MAX) }), TAKEN);
    assert_int_equal(compare((struct text){ json, object_of(json, JSON_SCAN_MEMBERS_MAX + 1) }),
                     GOOD_NOT_TAKEN);
    memset(digits, '7', sizeof digits);
    (void)sprintf(json, "{\"a\":%.*s}", JSON_NUMBER_BYTES_MAX, digits);
    assert_int_equal(compare(text_of(json)), TAKEN);
    (void)sprintf(json, "{\"a\":%.*s}", JSON_NUMBER_BYTES_MAX + 1, digits);
    assert_int_equal(compare(text_of(json)), NOT_FLAT);
    json_arena_start(region, 1024); /* too small for its block, not for cJSON */
    assert_null(json_scan(text_of("{\"a\":1}"), &keys));
    json_arena_reset();
    assert_non_null(cJSON_Parse("{\"a\":1}"));
}

/* --- names --- */

/* Of ASCII alone; what a name may not hold, said byte by byte. */
static bool may_be_name(const char *at, uint32_t bytes)
{
    bool good = bytes > 0 && bytes <= READING_NAME_BYTES_MAX && at[0] != ' ' && at[bytes - 1] != ' ';
    for (uint32_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)at[i];
        good = good && byte >= 0x20 && byte < 0x7f && memchr("/+#", byte, 3) == NULL;
    }
    return good;
}

/* Names are judged eight bytes at a time: every byte at every place of every length. */
static void judges_every_byte_of_a_name(void **state)
{
    (void)state;
    for (uint32_t bytes = 1; bytes <= READING_NAME_BYTES_MAX + 1; bytes++) {
        char *name = malloc(bytes); /* a byte read too far is seen */
        memset(name, 'n', bytes);
        for (uint32_t i = 0; i < bytes; i++) {
            for (int byte = 0; byte < 256; byte++) {
                name[i] = (char)byte;
                if (name_valid((struct text){ name, bytes }) != may_be_name(name, bytes))
                    fail_msg("byte 0x%02x at %u of %u", (unsigned)byte, i, bytes);
            }
            name[i] = 'n';
        }
        free(name);
    }
}

/* --- inputs by the million --- */

static void put(struct input *in, const char *text)
{
    size_t bytes = strlen(text);
    assert_true(bytes <= sizeof in->at - in->bytes);
    memcpy(in->at + in->bytes, text, bytes);
    in->bytes += (uint32_t)bytes;
}

static void print(struct input *in, const char *format, ...)
{
    va_list arguments;
    size_t room = sizeof in->at - in->bytes;
    va_start(arguments, format);
    int used = vsnprintf(in->at + in->bytes, room, format, arguments);
    va_end(arguments);
    assert_true(used >= 0 && (size_t)used < room);
    in->bytes += (uint32_t)used;
}

static void put_digits(struct input *in, uint64_t *chance, uint64_t count)
{
    assert_true(count <= sizeof in->at - in->bytes);
    for (; count > 0; count--)
        in->at[in->bytes++] = (char)('0' + rnd(chance) % 10);
}

/* Of every shape; some are none, some lie halfway between two doubles. */
static void put_number(struct input *in, uint64_t *chance)
{
    uint64_t bits = rnd(chance);
    double number;
    memcpy(&number, &bits, sizeof number);
    switch (rnd(chance) % 8) {
    case 0:
        print(in, "%.*f", (int)(rnd(chance) % 4), rnd_unit(chance) * 1000 - 500);
        return;
    case 1:
        print(in, "%" PRId64, INT64_C(1766400000000) + (int64_t)(rnd(chance) % 100000000));
        return;
    case 2:
        print(in, "%.*g", (int)(rnd(chance) % 18 + 1), number == number ? number : 0);
        return;
    case 3: /* whole numbers around 2^53, and half of them between two doubles */
        print(in, "%" PRIu64 "%s", (UINT64_C(1) << 53) - 4 + rnd(chance) % 8,
            rnd(chance) % 2 ? ".5" : "");
        return;
    case 4:
        print(in, "%.17g", rnd_unit(chance));
        return;
    case 5:
        put(in, rnd(chance) % 2 ? "-0" : "0");
        put(in, rnd(chance) % 2 ? ".0" : "");
        return;
    default:
        put(in, rnd(chance) % 3 ? "" : "-");
        put_digits(in, chance, rnd(chance) % 22);
        put(in, rnd(chance) % 2 ? "." : "");
        put_digits(in, chance, rnd(chance) % 22);
        if (rnd(chance) % 3 == 0)
            print(in, "%s%d", rnd(chance) % 2 ? "e" : "E+", (int)(rnd(chance) % 340));
        return;
    }
}

static void put_space(struct input *in, uint64_t *chance)
{
    static const char *const spaces[] = { "", "", "", "", " ", "\t", "\r\n", "  " };
    put(in, spaces[rnd(chance) % 8]);
}

static void put_string(struct input *in, uint64_t *chance)
{
    static const char *const parts[] = { "a", "b", "temp", "\xc2\xb0", "\xe2\x82\xac", "value",
                                         "/", "\x7f", " ", "\xf0\x9f\x94\xa5", "x1", "\\n" };
    put(in, "\"");
    for (uint64_t count = rnd(chance) % 4; count > 0; count--) {
        uint64_t part = rnd(chance) % 12;
        if (part == 11 && rnd(chance) % 8 > 0) /* escapes are rare: they end the scan */
            part = 0;
        put(in, parts[part]);
    }
    put(in, "\"");
}

static void put_key(struct input *in, uint64_t *chance, uint64_t member)
{
    if (rnd(chance) % 16 == 0)
        put_string(in, chance);
    else
        print(in, "\"%s%" PRIu64 "\"", rnd(chance) % 2 ? "k" : "device", member);
}

static void put_value(struct input *in, uint64_t *chance)
{
    static const char *const words[] = { "true", "false", "null", "{}", "[1]", "NaN", "tru" };
    uint64_t kind = rnd(chance) % 16;
    if (kind < 9)
        put_number(in, chance);
    else if (kind < 13)
        put_string(in, chance);
    else
        put(in, words[rnd(chance) % (kind < 15 ? 3 : 7)]);
}

static void make(struct input *in, uint64_t *chance)
{
    uint64_t members = rnd(chance) % 64 == 0 ? 30 + rnd(chance) % 5 : rnd(chance) % 6;
    in->bytes = 0;
    put_space(in, chance);
    put(in, "{");
    for (uint64_t i = 0; i < members; i++) {
        put(in, i > 0 ? "," : "");
        put_space(in, chance);
        put_key(in, chance, i);
        put_space(in, chance);
        put(in, ":");
        put_space(in, chance);
        put_value(in, chance);
        put_space(in, chance);
    }
    put(in, "}");
    put_space(in, chance);
}

/* Change, insert, remove or repeat something. */
static void mutate(struct input *in, uint64_t *chance)
{
    static const char bytes[] = "\"\\{}[],:0123456789+-.eEtn \t\x01\x1f\x7f\x80\xc2\xff";
    uint32_t at = (uint32_t)(rnd(chance) % (in->bytes + 1u));
    uint32_t span = (uint32_t)(rnd(chance) % 6 + 1);
    char byte = bytes[rnd(chance) % (sizeof bytes - 1)];
    switch (rnd(chance) % 4) {
    case 0:
        if (at < in->bytes)
            in->at[at] = byte;
        return;
    case 1:
        memmove(in->at + at + 1, in->at + at, in->bytes - at);
        in->at[at] = byte;
        in->bytes++;
        return;
    case 2:
        span = span < in->bytes - at ? span : in->bytes - at;
        memmove(in->at + at, in->at + at + span, in->bytes - at - span);
        in->bytes -= span;
        return;
    default:
        span = span < in->bytes - at ? span : in->bytes - at;
        memmove(in->at + at + span, in->at + at, in->bytes - at);
        in->bytes += span;
        return;
    }
}

static void agrees_with_cjson(void **state)
{
    static struct input in;
    uint64_t chance = check_seed();
    uint32_t counts[3] = { 0 };
    (void)state;
    json_arena_start(region, sizeof region);
    for (uint32_t i = 0; i < INPUTS; i++) {
        make(&in, &chance);
        for (uint64_t changes = i % 2 ? rnd(&chance) % 3 : 0; changes > 0; changes--)
            mutate(&in, &chance);
        counts[compare((struct text){ in.at, in.bytes })]++;
    }
    printf("# %u inputs: %u taken, %u good but not flat, %u not good\n", INPUTS, counts[TAKEN],
           counts[GOOD_NOT_TAKEN], counts[NOT_FLAT]);
    for (int outcome = TAKEN; outcome <= NOT_FLAT; outcome++)
        assert_in_range(counts[outcome], INPUTS / 50, INPUTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_flat_objects_alone),
        cmocka_unit_test(stops_at_its_limits),
        cmocka_unit_test(judges_every_byte_of_a_name),
        cmocka_unit_test(agrees_with_cjson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
