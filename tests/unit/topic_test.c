/* Goal: a template matches the topics that an MQTT broker would deliver for its filter, names the
 * right parts, and a bad one is told by the byte. Method: tables; then random templates and topics
 * against a matcher that splits both into levels.
 * Links: pipeline/topic.c */
#include "pipeline/topic.h"

#include "pipeline/err.h"
#include "tests/lib/check.h"

static void good_templates_compile(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "telemetry/{device}/{metric}", "telemetry/+/+" },
        { "tele/{device}/SENSOR", "tele/+/SENSOR" },
        { "te/{device}///m/{metric}", "te/+///m/+" },
        { "{site}/{device}/#", "+/+/#" },
        { "#", "#" },
        { "/", "/" },
        { "+/a b/é", "+/a b/é" },
        { "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct topic_template template;
        const char *why;
        size_t at;
        char filter[TOPIC_BYTES_MAX + 1];
        assert_int_equal(topic_compile(&template, table[i][0], &why, &at), 0);
        topic_filter(&template, filter);
        assert_string_equal(filter, table[i][1]);
    }
}

static void bad_templates_say_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t at;
        const char *why;
    } table[] = {
        { "", 0, "at least one level" },
        { "a/#/b", 2, "# comes last" },
        { "a/b+", 3, "stand alone" },
        { "a/#b", 2, "stand alone" },
        { "a/{device}x", 2, "fills its whole level" },
        { "a/x{device}", 3, "fills its whole level" },
        { "a/{}", 2, "fills its whole level" },
        { "a/{b", 2, "fills its whole level" },
        { "a/{b{c}", 4, "fills its whole level" },
        { "a/{b+}", 4, "stand alone" },
        { "{device}/{device}", 9, "named once" },
        { "{metric}/{x}/{metric}", 13, "named once" },
        { "a/\t", 2, "control" },
        { "1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h", 32, "16 levels" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct topic_template template;
        const char *why;
        size_t at;
        assert_int_equal(topic_compile(&template, table[i].text, &why, &at), WEIR_EINVAL);
        if (at != table[i].at || strstr(why, table[i].why) == NULL)
            fail_msg("%s: %s at %zu", table[i].text, why, at);
    }
    char longest[TOPIC_BYTES_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[TOPIC_BYTES_MAX + 1] = '\0';
    struct topic_template template;
    const char *why;
    size_t at;
    assert_int_equal(topic_compile(&template, longest, &why, &at), WEIR_EINVAL);
    assert_int_equal(at, TOPIC_BYTES_MAX);
    longest[TOPIC_BYTES_MAX] = '\0';
    assert_int_equal(topic_compile(&template, longest, &why, &at), 0);
}

static void topics_match(void **state)
{
    (void)state;
    static const struct {
        const char *template, *topic;
        bool want;
        const char *device, *metric;
    } table[] = {
        { "telemetry/{device}/{metric}", "telemetry/pump7/temp", true, "pump7", "temp" },
        { "telemetry/{device}/{metric}", "telemetry/pump7", false, "", "" },
        { "telemetry/{device}/{metric}", "telemetry/pump7/temp/x", false, "", "" },
        { "telemetry/{device}/{metric}", "telemetry//temp", false, "", "" },
        { "telemetry/{device}/{metric}", "telemetry/pump7/", false, "", "" },
        { "telemetry/{device}/{metric}", "Telemetry/pump7/temp", false, "", "" },
        { "te/{device}///m/{metric}", "te/pump7///m/x", true, "pump7", "x" },
        { "te/{device}///m/{metric}", "te/pump7/a//m/x", false, "", "" },
        { "a/+", "a/", true, "", "" },
        { "a/+", "a", false, "", "" },
        { "a/#", "a", true, "", "" },
        { "a/#", "a/b/c", true, "", "" },
        { "a/#", "ab", false, "", "" },
        { "{device}/#", "d", true, "d", "" },
        { "{site}/{device}", "s/d", true, "d", "" },
        { "#", "x/y", true, "", "" },
        { "#", "$SYS/broker", false, "", "" },
        { "{device}/x", "$SYS/x", false, "", "" },
        { "$SYS/{device}", "$SYS/x", true, "x", "" },
        { "/", "/", true, "", "" },
        { "+", "", false, "", "" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct topic_template template;
        struct topic_match match;
        const char *why;
        size_t at;
        assert_int_equal(topic_compile(&template, table[i].template, &why, &at), 0);
        bool got = topic_match(&template, text_of(table[i].topic), &match);
        if (got != table[i].want)
            fail_msg("%s on %s: %d", table[i].template, table[i].topic, got);
        if (!got)
            continue;
        assert_true(text_equal(match.device, text_of(table[i].device)));
        assert_true(text_equal(match.metric, text_of(table[i].metric)));
    }
}

/* --- the model --- */

enum { LEVELS = 5 };

static uint32_t split(char *text, char *levels[LEVELS])
{
    uint32_t count = 0;
    for (char *level; (level = strsep(&text, "/")) != NULL;)
        levels[count++] = level;
    return count;
}

static bool model_match(char *template, char *topic)
{
    char *want[LEVELS], *have[LEVELS];
    bool hidden = topic[0] == '$';
    uint32_t wants = split(template, want), haves = split(topic, have);
    for (uint32_t i = 0; i < wants; i++) {
        if (i == 0 && hidden && strchr("+#{", want[0][0]) != NULL && want[0][0] != '\0')
            return false;
        if (strcmp(want[i], "#") == 0)
            return true;
        if (i >= haves || (want[i][0] == '{' && have[i][0] == '\0'))
            return false;
        if (strcmp(want[i], "+") != 0 && want[i][0] != '{' && strcmp(want[i], have[i]) != 0)
            return false;
    }
    return wants == haves;
}

static void join(char *to, uint64_t *seed, const char *const *pieces, size_t count)
{
    uint64_t levels = 1 + rnd(seed) % LEVELS;
    to[0] = '\0';
    for (uint64_t i = 0; i < levels; i++) {
        strcat(to, i > 0 ? "/" : "");
        strcat(to, pieces[rnd(seed) % count]);
    }
}

static void random_topics_agree_with_a_model(void **state)
{
    (void)state;
    static const char *const parts[] = { "a", "b", "", "+", "{x}", "{device}", "#", "$a" };
    static const char *const levels[] = { "a", "b", "", "$a" };
    uint64_t seed = check_seed();
    uint32_t matched = 0, compared = 0;
    for (int i = 0; i < 100000; i++) {
        char pattern[64], topic[64];
        struct topic_template template;
        struct topic_match match;
        const char *why;
        size_t at;
        join(pattern, &seed, parts, sizeof parts / sizeof parts[0]);
        join(topic, &seed, levels, sizeof levels / sizeof levels[0]);
        if (topic[0] == '\0' || topic_compile(&template, pattern, &why, &at) != 0)
            continue;
        bool got = topic_match(&template, text_of(topic), &match);
        compared++;
        matched += got;
        assert_int_equal(got, model_match(pattern, topic));
    }
    assert_true(compared > 30000 && matched > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_templates_compile),
        cmocka_unit_test(bad_templates_say_where),
        cmocka_unit_test(topics_match),
        cmocka_unit_test(random_topics_agree_with_a_model),
    };
    return cmocka_run_group_tests_name("topic", tests, NULL, NULL);
}
