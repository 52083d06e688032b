/* Goal: after the seal our own allocations assert, and libraries' do not.
 * Method: each call before the seal works; after it, in a child that must die of SIGABRT; fopen and
 * getline, which allocate inside the C library, go on.
 * Links: firmware/heap_seal.c
 * Libs: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup,--wrap=asprintf
 */
#include "tests/lib/check.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/heap_seal.h"

static void *volatile kept; /* so that no call is optimised away */
static volatile size_t five = 5;

static void call_malloc(void) { kept = malloc(five); }
static void call_calloc(void) { kept = calloc(five, five); }
static void call_realloc(void) { kept = realloc(NULL, five); }
static void call_strdup(void) { kept = strdup((const char *)"text"); }
static void call_strndup(void) { kept = strndup("text", five); }
static void call_asprintf(void)
{
    char *to = NULL;
    int bytes = asprintf(&to, "%d", (int)five);
    kept = bytes > 0 ? to : NULL;
}

static void call_library(void)
{
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL || getline(&line, &room, file) < 1)
        _exit(3);
    fclose(file);
    free(line);
}

static void (*const calls[])(void) = { call_malloc,  call_calloc,  call_realloc,
                                       call_strdup,  call_strndup, call_asprintf };

/* The signal that a child died of, or 0. */
static int run_sealed(void (*call)(void))
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        heap_seal();
        call();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void works_before_the_seal(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        calls[i]();
        assert_non_null(kept);
        free(kept);
    }
}

static void asserts_after_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        assert_int_equal(run_sealed(calls[i]), SIGABRT);
}

static void libraries_go_on(void **state)
{
    (void)state;
    assert_int_equal(run_sealed(call_library), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(works_before_the_seal),
        cmocka_unit_test(asserts_after_it),
        cmocka_unit_test(libraries_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
