/* Goal: what a field with pii leads to is gone from the text wherever it is, however its name is written, and not one
 * other byte has changed. Method: a table; then random messages, written together with what must become of them, under
 * names that are escaped at random; and every message cut, so that only good ones are asked.
 * Links: pipeline/codec/codec_json_redact.c pipeline/codec/codec_json_pointer.c pipeline/codec/codec_json_check.c
 * Libs: -lm */
#include "pipeline/codec/codec_json_redact.h"

#include "pipeline/codec/codec_json_check.h"
#include "tests/lib/check.h"

/* Not one, but the same for the same and told apart below: the length and the bytes. */
static void weak_hmac(void *ctx, struct text value, uint8_t mac[32])
{
    (void)ctx;
    memset(mac, (int)value.bytes, 32);
    for (uint32_t i = 0; i < value.bytes; i++)
        mac[1 + i % 15] = (uint8_t)(mac[1 + i % 15] * 31 + (uint8_t)value.at[i]);
}

static struct pii_field field(const char *pointer, enum pii_by by)
{
    struct pii_field f = { .by = by };
    strcpy(f.pointer, pointer);
    assert_null(json_pointer_compile(&f.compiled, pointer));
    return f;
}

static const char *redact(const char *json, const struct pii_field *fields, uint32_t count, bool again)
{
    static char scratch[4096], to[4096];
    struct redactor r = { fields, count, weak_hmac, NULL, scratch, strlen(json), again };
    assert_int_equal(json_check(text_of(json), 32).reason, REJECT_NONE);
    size_t bytes = json_redact(&r, text_of(json), to, sizeof to - 1);
    assert_true(bytes > 0);
    to[bytes] = '\0';
    assert_int_equal(json_check(text_of(to), 32).reason, REJECT_NONE);
    return to;
}

static void fields_are_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *pointer, *json, *want;
    } table[] = {
        { "/card", "{\"card\":12,\"v\":1}", "{\"card\":null,\"v\":1}" },
        { "/card", "{ \"v\" : 1 , \"card\" : \"4711\" }", "{ \"v\" : 1 , \"card\" : null }" },
        { "/card", "{\"c\\u0061rd\":1,\"\\u0063ard\" :true}", "{\"c\\u0061rd\":null,\"\\u0063ard\" :null}" },
        { "/card", "{\"cards\":1,\"car\":2,\"Card\":3}", "{\"cards\":1,\"car\":2,\"Card\":3}" },
        { "/card", "{\"v\":\"card\",\"w\":[\"card\"]}", "{\"v\":\"card\",\"w\":[\"card\"]}" },
        { "/card", "[{\"card\":1},{\"a\":{\"card\":2}}]", "[{\"card\":null},{\"a\":{\"card\":null}}]" },
        { "/a/b", "{\"a\":{\"b\":1,\"c\":2},\"b\":3}", "{\"a\":{\"b\":null,\"c\":2},\"b\":3}" },
        { "/a/b", "{\"x\":{\"a\":[{\"b\":1}],\"a2\":{\"b\":1}}}", "{\"x\":{\"a\":[{\"b\":1}],\"a2\":{\"b\":1}}}" },
        { "/a/1", "{\"a\":[7,8,9],\"b\":{\"1\":2}}", "{\"a\":[7,null,9],\"b\":{\"1\":2}}" },
        { "/0", "[[1,2],{\"0\":3}]", "[null,{\"0\":null}]" },
        { "/a", "{\"a\":{\"s\":\"}\\\"]\",\"t\":[{}]},\"v\":1}", "{\"a\":null,\"v\":1}" },
        { "/a", "{\"a\":[\"\\\\\",[]],\"v\":1}", "{\"a\":null,\"v\":1}" },
        { "", "\"4711\"", "null" },
        { "", "[4711]", "null" },
        { "/a~1b", "{\"a/b\":1,\"a\\/b\":2}", "{\"a/b\":null,\"a\\/b\":null}" },
        { "/\xc3\xa4\xf0\x9f\x98\x80", "{\"\\u00e4\\ud83d\\ude00\":1}", "{\"\\u00e4\\ud83d\\ude00\":null}" },
        { "/", "{\"\":1,\"a\":2}", "{\"\":null,\"a\":2}" },
        { "/a", "{}", "{}" },
        { "/a", " [ ] ", " [ ] " },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pii_field f = field(table[i].pointer, PII_DROP);
        assert_string_equal(redact(table[i].json, &f, 1, false), table[i].want);
    }
}

static void pseudonyms_are_stable(void **state)
{
    (void)state;
    struct pii_field f[] = { field("/card", PII_HMAC), field("/who", PII_DROP), field("/who", PII_HMAC) };
    char once[256], other[256], again[256];
    strcpy(once, redact("{\"card\":\"ab\xc3\xa4\",\"who\":\"Jo\"}", f, 3, false));
    strcpy(other, redact("{\"card\":\"\\u0061b\\u00e4\",\"who\":{}}", f, 3, false)); /* the same characters */
    assert_string_equal(once, other);
    assert_non_null(strstr(once, "{\"card\":\"hmac:"));
    assert_non_null(strstr(once, "\",\"who\":null}")); /* the first that fits */
    assert_int_equal(strlen(once), strlen("{\"card\":\"hmac:\",\"who\":null}") + 32);
    strcpy(again, redact(once, f, 3, true));
    assert_string_equal(again, once);
    assert_true(strcmp(redact(once, f, 3, false), once) != 0); /* a device that says so itself */
    assert_true(strcmp(redact("{\"card\":\"hmac:0123456789abcdef0123456789abcdeF\"}", f, 3, true),
                       "{\"card\":\"hmac:0123456789abcdef0123456789abcdeF\"}") != 0);
    assert_string_equal(redact("{\"card\":null}", f, 1, false), "{\"card\":null}");
    assert_string_equal(redact("{\"card\":[1,\"ab\"]}", f, 1, false), "{\"card\":null}");
    strcpy(once, redact("{\"card\":12}", f, 1, false));
    assert_string_equal(redact("{\"card\":\"12\"}", f, 1, false), once);
    assert_true(strcmp(redact("{\"card\":13}", f, 1, false), once) != 0);
}

static void what_does_not_fit_is_told(void **state)
{
    (void)state;
    const char *json = "{\"card\":1}";
    char scratch[16], to[64];
    struct pii_field f = field("/card", PII_HMAC);
    struct redactor r = { &f, 1, weak_hmac, NULL, scratch, sizeof scratch, false };
    size_t whole = json_redact(&r, text_of(json), to, sizeof to);
    for (size_t bytes = 0; bytes < whole; bytes++)
        assert_int_equal(json_redact(&r, text_of(json), to, bytes), 0);
    assert_int_equal(json_redact(&r, text_of(json), to, whole), whole);
}

/* --- random messages --- */

struct pair {
    char in[4096], want[4096];
};

static void both(struct pair *p, const char *text)
{
    assert_true(strlen(p->in) + strlen(text) < sizeof p->in);
    strcat(p->in, text);
    strcat(p->want, text);
}

static void put_name(struct pair *p, const char *name, uint64_t *seed)
{
    char escaped[96] = "\"";
    for (; *name != '\0'; name++)
        (void)snprintf(escaped + strlen(escaped), 8, rnd(seed) % 3 == 0 ? "\\u%04x" : "%c", *name);
    strcat(escaped, "\"");
    both(p, escaped);
}

static void put_any(struct pair *p, uint64_t *seed, int depth, bool secret);

static void put_members(struct pair *p, uint64_t *seed, int depth)
{
    static const char *const names[] = { "card", "v", "cardx", "a", "ca" };
    uint64_t members = rnd(seed) % 4;
    for (uint64_t i = 0; i < members; i++) {
        const char *name = names[rnd(seed) % 5];
        both(p, i > 0 ? ", " : "");
        put_name(p, name, seed);
        both(p, rnd(seed) % 2 ? ":" : " : ");
        put_any(p, seed, depth, strcmp(name, "card") == 0);
    }
}

static void put_any(struct pair *p, uint64_t *seed, int depth, bool secret)
{
    static const char *const scalars[] = { "1", "-2.5e3", "true", "null", "\"x\"", "\"\"", "\"\\\"}]{[\\\\\"" };
    if (secret) { /* anything, and on the other side null */
        char kept[4096];
        strcpy(kept, p->want);
        both(p, "[\"SECRET\",");
        put_any(p, seed, depth, false);
        both(p, "]");
        strcat(kept, "null");
        strcpy(p->want, kept);
        return;
    }
    uint64_t kind = depth > 4 ? 2 : rnd(seed) % 4;
    if (kind >= 2) {
        both(p, scalars[rnd(seed) % 7]);
        return;
    }
    both(p, kind == 0 ? "{" : "[");
    if (kind == 0)
        put_members(p, seed, depth + 1);
    uint64_t items = kind == 1 ? rnd(seed) % 3 : 0;
    for (uint64_t i = 0; i < items; i++) {
        both(p, i > 0 ? "," : "");
        put_any(p, seed, depth + 1, false);
    }
    both(p, kind == 0 ? "}" : "]");
}

static void no_other_byte_changes(void **state)
{
    (void)state;
    static struct pair p;
    uint64_t seed = check_seed();
    uint32_t secrets = 0;
    struct pii_field f = field("/card", PII_DROP);
    for (int round = 0; round < 20000; round++) {
        p.in[0] = p.want[0] = '\0';
        put_any(&p, &seed, 0, false);
        assert_string_equal(redact(p.in, &f, 1, false), p.want);
        assert_null(strstr(p.want, "SECRET"));
        secrets += strstr(p.in, "SECRET") != NULL;
    }
    assert_true(secrets > 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_dropped),
        cmocka_unit_test(pseudonyms_are_stable),
        cmocka_unit_test(what_does_not_fit_is_told),
        cmocka_unit_test(no_other_byte_changes),
    };
    return cmocka_run_group_tests_name("codec_json_redact", tests, NULL, NULL);
}
