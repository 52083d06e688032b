/* Goal: a file of tokens is read whole or not at all, and only a token of it is found. Method: files of a few lines, each
 * with what is wrong with it.
 * Links: pipeline/contract.c pipeline/engine/%.c pipeline/alerts/%.c pipeline/detect/%.c pipeline/dedup.c pipeline/statistics.c pipeline/timers.c pipeline/window.c pipeline/pressure/shed.c firmware/config/config_check.c firmware/config/config_check_contracts.c firmware/config/config_check_listener.c firmware/config/config_check_out.c firmware/config/config_check_shed.c firmware/config/config_check_streams.c firmware/config/config_streams.c pipeline/streams/%.c firmware/config/config_derive.c firmware/config/config_docs.c firmware/config/config_environment.c firmware/config/config_include.c firmware/config/config_parse.c firmware/config/config_promise.c firmware/config/config_read.c firmware/config/config_report.c firmware/config/config_schema.c firmware/config/config_keys.c firmware/config/config_check_http.c firmware/config/tokens.c firmware/config/config_show.c firmware/config/config_text.c firmware/config/config_units.c firmware/config/config_yaml.c hal/board.c pipeline/topic.c pipeline/dedup.c pipeline/hash.c pipeline/codec/codec_json_pointer.c pipeline/detect/detector%.c pipeline/detect/baseline%.c pipeline/reason.c pipeline/detect/counter.c pipeline/detect/cycle.c pipeline/detect/siblings.c pipeline/detect/manner.c pipeline/detect/trend.c pipeline/statistics.c pipeline/bytes.c
 * Libs: -lyaml -lmbedcrypto */
#include "firmware/config/tokens.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/err.h"
#include "tests/lib/check.h"

static const uint8_t RANDOM_A[TOKEN_RANDOM_BYTES] = { 1, 2, 3 };
static const uint8_t RANDOM_B[TOKEN_RANDOM_BYTES] = { 200, 201 };

static struct tokens tokens;
static char why[256];

static int read_text(const char *text, mode_t mode)
{
    char path[] = "/tmp/weir-tokens-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
    why[0] = '\0';
    int err = tokens_read(path, &tokens, why);
    assert_int_equal(unlink(path), 0);
    return err;
}

static void finds_who_holds_a_token(void **state)
{
    char viewer[TOKEN_TEXT_BYTES], engineer[TOKEN_TEXT_BYTES], lines[2][256], text[600];
    (void)state;
    token_make(RANDOM_A, TOKEN_VIEWER, "grafana", viewer, lines[0], sizeof lines[0]);
    token_make(RANDOM_B, TOKEN_ENGINEER, "jo", engineer, lines[1], sizeof lines[1]);
    assert_string_equal(viewer, "weir_0102030000000000000000000000000000000000");
    snprintf(text, sizeof text, "# who may\n\n%s\n  %s  \n", lines[0], lines[1]);
    assert_int_equal(read_text(text, 0600), 0);
    assert_int_equal(tokens.count, 2);
    assert_string_equal(tokens_find(&tokens, text_of(viewer))->name, "grafana");
    assert_int_equal(tokens_find(&tokens, text_of(viewer))->role, TOKEN_VIEWER);
    assert_int_equal(tokens_find(&tokens, text_of(engineer))->role, TOKEN_ENGINEER);
    assert_null(tokens_find(&tokens, text_of("")));
    assert_null(tokens_find(&tokens, (struct text){ viewer, (uint32_t)strlen(viewer) - 1 }));
    viewer[7] = 'f';
    assert_null(tokens_find(&tokens, text_of(viewer)));
}

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BOTH "viewer a " DIGEST "\nengineer b " DIGEST "\n"

static void says_what_is_wrong(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *why;
    } cases[] = {
        { BOTH, 0640, "others than its owner" },
        { "", 0600, "it is empty" },
        { "viewer a " DIGEST "\n", 0600, "no token for the role engineer" },
        { "engineer a " DIGEST "\n", 0600, "no token for the role viewer" },
        { BOTH "viewer a " DIGEST, 0600, "line 3: its name stands there already" },
        { BOTH "viewer c\n", 0600, "line 3: it is not a role" },
        { BOTH "viewer c " DIGEST " more\n", 0600, "line 3: it is not a role" },
        { BOTH "root c " DIGEST "\n", 0600, "line 3: the role is neither" },
        { BOTH "viewer c " DIGEST "0\n", 0600, "line 3: it is not a role" },
        { BOTH "viewer c 0123\n", 0600, "line 3: the digest is not" },
        { "viewer a 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF\n", 0600,
          "line 1: the digest is not" },
    };
    (void)state;
    assert_int_equal(read_text(BOTH, 0600), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(read_text(cases[i].text, cases[i].mode), WEIR_EINVAL);
        if (strstr(why, cases[i].why) == NULL)
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, why, cases[i].why);
    }
}

static void has_room_for_so_many(void **state)
{
    char text[8000];
    size_t used = 0;
    (void)state;
    for (int i = 0; i <= TOKENS_MAX; i++) {
        if (i >= 2)
            assert_int_equal(read_text(text, 0600), 0);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s t%d " DIGEST "\n",
                                 i % 2 == 0 ? "viewer" : "engineer", i);
    }
    assert_int_equal(read_text(text, 0600), WEIR_EINVAL);
    assert_non_null(strstr(why, "more than 32"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_who_holds_a_token),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(has_room_for_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
