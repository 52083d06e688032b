/* Goal: a password that was made opens for its device alone, until it is revoked or rotated; what was
 * answered is in the file, whole, and is read again; a file that is not whole is refused.
 * Method: examples; a seeded run of changes against a plain model, with a start anew after each; every
 * cut of a good file, and writes that fail. The thread runs at once.
 * Links: firmware/listener/credentials.c firmware/log.c pipeline/codec/codec_json_check.c
 * Libs: -lmbedcrypto
 */
#include "firmware/listener/credentials.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/config/config_parts.h"
#include "pipeline/err.h"
#include "tests/lib/check.h"

enum { DEVICES = 20, STEPS = 400 };

static struct config config;
static void *memory;
static struct credentials *c;
static char path[CONFIG_PATH_BYTES_MAX + 32];

int loop_call(struct loop *loop, struct loop_call *of, void (*call)(void *ctx), void *ctx)
{
    (void)loop;
    call(ctx);
    of->done = true;
    return 0;
}

/* The check of its mode is config_read.c's. */
int config_secret_open(const char *at, int *descriptor, char *why)
{
    *descriptor = open(at, O_RDONLY);
    (void)why;
    return *descriptor >= 0 ? 0 : WEIR_EINVAL;
}

static int start_anew(char *why)
{
    struct arena arena = arena_measure();
    (void)credentials_init(&config, &arena);
    free(memory);
    memory = calloc(1, arena.used);
    assert_non_null(memory);
    arena = arena_over(memory, arena.used);
    c = credentials_init(&config, &arena);
    return credentials_open(c, NULL, why);
}

static int begin(void **state)
{
    char why[256], template[] = "/tmp/weir-credentials-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(template));
    config = (struct config){ .source_count = 1, .engine.devices_max = DEVICES };
    config.sources[0].kind = SOURCE_LISTENER;
    (void)snprintf(config.sources[0].client_ca_file, 8, "ca.crt"); /* certificates are taken too */
    (void)snprintf(config.data_dir, sizeof config.data_dir, "%s", template);
    (void)snprintf(path, sizeof path, "%s/credentials", template);
    assert_int_equal(start_anew(why), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)rmdir(config.data_dir);
    free(memory);
    memory = NULL;
    return 0;
}

static bool match(const char *name, const char *password)
{
    return credentials_match(c, text_of(name), text_of(password));
}

/* The password, or "" for a revocation. */
static const char *change(enum credentials_verb verb, const char *name)
{
    assert_int_equal(credentials_begin(c, verb, name, 1234), 0);
    const struct credentials_change *done = credentials_turn(c);
    assert_non_null(done);
    assert_int_equal(done->result, 0);
    assert_string_equal(done->name, name);
    assert_null(credentials_turn(c));
    return done->password;
}

static void a_password_opens_for_its_device(void **state)
{
    (void)state;
    char first[64], second[64];
    struct credential_view view;
    (void)snprintf(first, sizeof first, "%s", change(CREDENTIALS_ADD, "boiler 1"));
    (void)snprintf(second, sizeof second, "%s", change(CREDENTIALS_ADD, "boiler 2"));
    assert_int_equal(strlen(first), CREDENTIALS_PASSWORD_BYTES);
    assert_string_not_equal(first, second);
    assert_true(match("boiler 1", first) && match("boiler 2", second));
    const char *wrong[][2] = { { "boiler 2", first }, { "boiler 3", first }, { "boiler 1", "" },
                               { "", first },         { "", "" },            { "boiler", first } };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(match(wrong[i][0], wrong[i][1]));
    for (size_t i = 0; i < CREDENTIALS_PASSWORD_BYTES; i++) {
        char almost[64];
        (void)snprintf(almost, sizeof almost, "%s", first);
        almost[i] ^= 1;
        assert_false(match("boiler 1", almost));
    }
    assert_true(credentials_at(c, 1, &view));
    assert_string_equal(view.name, "boiler 2");
    assert_int_equal(view.since_ms, 1234);
    assert_false(credentials_at(c, 2, &view));
}

static void what_can_not_be_done_changes_nothing(void **state)
{
    (void)state;
    char name[32];
    static const struct {
        enum credentials_verb verb;
        const char *name;
        int error;
    } table[] = {
        { CREDENTIALS_ADD, "d0", WEIR_ELATE },       { CREDENTIALS_ADD, "", WEIR_EINVAL },
        { CREDENTIALS_ADD, "a/b", WEIR_EINVAL },     { CREDENTIALS_ADD, "a\nb", WEIR_EINVAL },
        { CREDENTIALS_ROTATE, "e", WEIR_ENOTFOUND }, { CREDENTIALS_ADD, "e", WEIR_EFULL },
    };
    for (int i = 0; i < DEVICES; i++) {
        (void)snprintf(name, sizeof name, "d%d", i);
        (void)change(CREDENTIALS_ADD, name);
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(credentials_begin(c, table[i].verb, table[i].name, 0), table[i].error);
    (void)change(CREDENTIALS_REVOKE, "d3");
    assert_true(credentials_revoked(c, text_of("d3")));
    assert_false(credentials_revoked(c, text_of("d4")));
    (void)change(CREDENTIALS_ADD, "d3");
    assert_false(credentials_revoked(c, text_of("d3")));
    (void)change(CREDENTIALS_REVOKE, "d3");
    assert_int_equal(credentials_begin(c, CREDENTIALS_ROTATE, "d3", 0), WEIR_ENOTFOUND);
}

/* Who shows a certificate of a device that never had a password: 256 rows are kept for those. */
static void a_full_table_still_shuts_out(void **state)
{
    (void)state;
    char name[32], why[256];
    for (int i = 0; i < DEVICES; i++) {
        (void)snprintf(name, sizeof name, "d%d", i);
        (void)change(CREDENTIALS_ADD, name);
    }
    for (int i = 0; i < 256; i++) {
        (void)snprintf(name, sizeof name, "stolen %d", i);
        (void)change(CREDENTIALS_REVOKE, name);
        assert_true(credentials_revoked(c, text_of(name)));
    }
    assert_int_equal(credentials_begin(c, CREDENTIALS_REVOKE, "one more", 0), WEIR_EFULL);
    assert_int_equal(credentials_begin(c, CREDENTIALS_ADD, "another", 0), WEIR_EFULL);
    assert_int_equal(start_anew(why), 0);
    assert_true(credentials_revoked(c, text_of("stolen 255")));
}

/* Who has no certificate needs no row to be shut out. */
static void without_certificates_the_revoked_are_forgotten(void **state)
{
    (void)state;
    char name[32], why[256];
    struct credential_view view;
    config.sources[0].client_ca_file[0] = '\0';
    assert_int_equal(start_anew(why), 0);
    for (int i = 0; i < 10 * DEVICES; i++) {
        (void)snprintf(name, sizeof name, "d%d", i * 7919 % (10 * DEVICES));
        (void)change(CREDENTIALS_ADD, name);
        if (i >= 3) { /* three are there at a time; the rows between them close up */
            (void)snprintf(name, sizeof name, "d%d", (i - 3) * 7919 % (10 * DEVICES));
            (void)change(CREDENTIALS_REVOKE, name);
            assert_int_equal(credentials_begin(c, CREDENTIALS_REVOKE, name, 0), WEIR_ENOTFOUND);
        }
    }
    assert_true(credentials_at(c, 2, &view));
    assert_false(credentials_at(c, 3, &view));
    assert_int_equal(start_anew(why), 0);
}

static void nobody_is_known_where_nobody_is_asked(void **state)
{
    (void)state;
    char why[256];
    config.sources[0].anonymous = true;
    assert_int_equal(start_anew(why), 0);
    assert_int_equal(credentials_begin(c, CREDENTIALS_ADD, "d", 0), WEIR_EBUSY);
    assert_false(match("d", "00000000000000000000000000000000"));
}

static void a_file_that_can_not_be_written_changes_nothing(void **state)
{
    (void)state;
    char password[64], away[300];
    (void)snprintf(password, sizeof password, "%s", change(CREDENTIALS_ADD, "d"));
    (void)snprintf(away, sizeof away, "%s.away", config.data_dir);
    assert_int_equal(rename(config.data_dir, away), 0);
    assert_int_equal(credentials_begin(c, CREDENTIALS_REVOKE, "d", 0), 0);
    const struct credentials_change *done = credentials_turn(c);
    assert_int_equal(rename(away, config.data_dir), 0);
    assert_int_equal(done->result, WEIR_EIO);
    assert_true(match("d", password));
    (void)change(CREDENTIALS_REVOKE, "d");
    assert_false(match("d", password));
}

/* Whatever stands where the file is made: what it names, or its mode, are not used. */
static void the_file_is_made_anew(void **state)
{
    (void)state;
    char new_path[sizeof path + 8], other[sizeof path + 8];
    struct stat st;
    (void)snprintf(new_path, sizeof new_path, "%s.new", path);
    (void)snprintf(other, sizeof other, "%s.other", path);
    int fd = open(other, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0 && close(fd) == 0);
    assert_int_equal(symlink(other, new_path), 0);
    (void)change(CREDENTIALS_ADD, "d1");
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0600);
    assert_int_equal(stat(other, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(unlink(other), 0);
}

static void changes_are_there_after_a_start(void **state)
{
    (void)state;
    uint64_t chance = check_seed();
    struct {
        char password[64];
        bool there, revoked;
    } model[DEVICES] = { 0 };
    char why[256], name[32];
    for (int step = 0; step < STEPS; step++) {
        size_t i = rnd_below(&chance, DEVICES);
        /* Names whose order is not that of their numbers, and of different lengths. */
        (void)snprintf(name, sizeof name, "%.*s%zu \xc3\xa9", (int)(i % 3), "zzz", i * 7919);
        enum credentials_verb verb = !model[i].there          ? CREDENTIALS_ADD
                                     : rnd_below(&chance, 2) ? CREDENTIALS_REVOKE
                                                             : CREDENTIALS_ROTATE;
        (void)snprintf(model[i].password, sizeof model[i].password, "%s", change(verb, name));
        model[i].there = verb != CREDENTIALS_REVOKE;
        model[i].revoked = verb == CREDENTIALS_REVOKE;
        if (step % 4 == 0)
            assert_int_equal(start_anew(why), 0);
        for (i = 0; i < DEVICES; i++) {
            (void)snprintf(name, sizeof name, "%.*s%zu \xc3\xa9", (int)(i % 3), "zzz", i * 7919);
            assert_int_equal(model[i].there, match(name, model[i].password));
            assert_int_equal(model[i].revoked, credentials_revoked(c, text_of(name)));
        }
    }
}

static void a_file_that_is_not_whole_is_refused(void **state)
{
    (void)state;
    char bytes[4096], why[256];
    struct stat st;
    (void)change(CREDENTIALS_ADD, "one");
    (void)change(CREDENTIALS_ADD, "two");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    FILE *file = fopen(path, "r");
    size_t whole = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(fclose(file), 0);
    for (size_t cut = 0; cut <= whole; cut++) {
        file = fopen(path, "w");
        assert_int_equal(fwrite(bytes, 1, cut, file), cut);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(start_anew(why), cut == whole ? 0 : WEIR_ECORRUPT);
    }
    uint64_t chance = check_seed();
    for (int i = 0; i < 2000; i++) { /* whatever stands there: no crash, at most as many as fit */
        size_t at = rnd_below(&chance, whole);
        char was = bytes[at];
        struct credential_view view;
        bytes[at] = (char)rnd(&chance);
        file = fopen(path, "w");
        assert_int_equal(fwrite(bytes, 1, whole, file), whole);
        assert_int_equal(fclose(file), 0);
        assert_true(start_anew(why) != 0 || !credentials_at(c, 2, &view));
        bytes[at] = was;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_password_opens_for_its_device, begin, end),
        cmocka_unit_test_setup_teardown(what_can_not_be_done_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_full_table_still_shuts_out, begin, end),
        cmocka_unit_test_setup_teardown(without_certificates_the_revoked_are_forgotten, begin, end),
        cmocka_unit_test_setup_teardown(nobody_is_known_where_nobody_is_asked, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_can_not_be_written_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(the_file_is_made_anew, begin, end),
        cmocka_unit_test_setup_teardown(changes_are_there_after_a_start, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_whole_is_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
