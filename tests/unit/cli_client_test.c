/* Goal: the command line reads any answer of the gateway's HTTP server, and says so when one is cut
 * off; and finds its way in the JSON inside.
 * Method: tables of answers as bytes; every prefix of a good answer must be refused or be shorter;
 * one real exchange over a Unix socket; JSON by example and with every prefix.
 * Links: firmware/cli/client.c firmware/cli/json_view.c
 */
#include "tests/lib/check.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/cli/cli.h"
#include "firmware/cli/client.h"
#include "firmware/cli/json_view.h"
#include "firmware/config/config.h"
#include "pipeline/err.h"

/* What client_find would ask; not the subject here. */
const char *cli_config_path(void)
{
    return "/nonexistent";
}

int config_read_socket(const char *path, struct config *config, FILE *errors)
{
    (void)path, (void)config, (void)errors;
    return 1;
}

static int parse(const char *bytes, struct client_answer *answer)
{
    static char copy[4096];
    size_t length = strlen(bytes);
    memcpy(copy, bytes, length + 1);
    return client_parse(copy, length, answer);
}

static void answers(void **state)
{
    static const struct {
        const char *bytes, *body, *next;
        uint32_t status;
        int result;
    } table[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", "", 200, 0 },
        { "HTTP/1.1 200 OK\r\ncontent-length:2\r\nWeir-Next: 7.40\r\n\r\n{}", "{}", "7.40", 200, 0 },
        { "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nno", "no", "", 404, 0 },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
          "abc0123456789", "", 200, 0 },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "", "", 200, WEIR_EINVAL },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nabc", "", "", 200,
          WEIR_EINVAL },
        { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "", "", 200, WEIR_EINVAL },
        { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", "", "", 0, WEIR_EINVAL },
        { "SMTP ready\r\n\r\n", "", "", 0, WEIR_EINVAL },
        { "", "", "", 0, WEIR_EINVAL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct client_answer answer;
        assert_int_equal(parse(table[i].bytes, &answer), table[i].result);
        if (table[i].result != 0)
            continue;
        assert_int_equal(answer.status, table[i].status);
        assert_int_equal(answer.body.bytes, strlen(table[i].body));
        assert_memory_equal(answer.body.at, table[i].body, answer.body.bytes);
        assert_string_equal(answer.next, table[i].next);
    }
}

static void every_cut_is_seen(void **state)
{
    static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    char cut[sizeof whole];
    (void)state;
    for (size_t bytes = 0; bytes + 1 < sizeof whole; bytes++) {
        struct client_answer answer;
        memcpy(cut, whole, bytes);
        cut[bytes] = '\0';
        assert_int_equal(client_parse(cut, bytes, &answer), WEIR_EINVAL);
    }
}

enum { LONG = 3000 };

static void over_a_socket(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct client_answer answer;
    char why[256] = "";
    (void)state;
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/weir-client-%d.sock", (int)getpid());
    assert_int_equal(client_call(address.sun_path, "GET", "/x", &answer, why), WEIR_EIO);
    assert_non_null(strstr(why, "no gateway answers"));
    char target[5000] = "/api?a=1";
    memset(target + 8, 'x', sizeof target - 9);
    assert_int_equal(client_call(address.sun_path, "POST", target, &answer, why), WEIR_EINVAL);
    assert_non_null(strstr(why, "the request is too long"));
    target[LONG] = '\0'; /* of two long keys, and where the page before ended */
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    pid_t child = fork();
    if (child == 0) {
        char request[4096] = "";
        int fd = accept(listener, NULL, NULL);
        static const char reply[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\ndone";
        bool good = read(fd, request, sizeof request - 1) > 0 &&
                    strncmp(request, "POST /api?a=1xxx", 16) == 0 &&
                    strncmp(request + 5 + LONG, " HTTP/1.1\r\n", 11) == 0 &&
                    write(fd, reply, sizeof reply - 1) > 0;
        _exit(good ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(client_call(address.sun_path, "POST", target, &answer, why), 0);
    assert_int_equal(answer.status, 202);
    assert_memory_equal(answer.body.at, "done", 4);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(listener);
    unlink(address.sun_path);
}

static void escaping(void **state)
{
    char to[32];
    (void)state;
    client_escape(to, sizeof to, "pump-1/a b&\xc3\xa9");
    assert_string_equal(to, "pump-1%2Fa%20b%26%C3%A9");
    client_escape(to, 8, "////////");
    assert_true(strlen(to) < 8);
}

/* --- the JSON inside --- */

static const char sample[] = "{ \"a\" : {\"b\":[1, -2.5e3 ,\"x\\\"y\\n\\u0041\",{\"c\":true}],\"n\":null},"
                             "\"count\":18446744073709551615,\"empty\":[],\"text\":\"\"}";

static void members(void **state)
{
    char to[64];
    struct text json = text_of(sample);
    (void)state;
    assert_int_equal(json_view_unsigned(json, "count"), UINT64_MAX);
    assert_int_equal(json_view_at(json, "a.b").at[0], '[');
    assert_int_equal(json_view_at(json, "a.missing").bytes, 0);
    assert_int_equal(json_view_at(json, "text.deeper").bytes, 0);
    json_view_text(json, "a.n", to, sizeof to);
    assert_string_equal(to, "");
    json_view_text(json, "text", to, sizeof to);
    assert_string_equal(to, "");
}

static void items(void **state)
{
    char to[64];
    size_t cursor = 0;
    struct text value, list = json_view_at(text_of(sample), "a.b");
    static const char *const expected[] = { "1", "-2.5e3", "x\"y\nA", "{\"c\":true}" };
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_true(json_view_next(list, &cursor, NULL, &value));
        json_view_print(value, to, sizeof to);
        assert_string_equal(to, expected[i]);
    }
    assert_true(json_view_bool(value, "c"));
    assert_false(json_view_next(list, &cursor, NULL, &value));
    cursor = 0;
    assert_false(json_view_next(json_view_at(text_of(sample), "empty"), &cursor, NULL, &value));
}

/* Characters of every length, whole or not at all; half of a pair is no character. */
static void escaped_characters(void **state)
{
    char to[64];
    static const char escaped[] = "\"\\u00e9\\u20ac\\ud83d\\ude00\\ud83dx\\ude00\"";
    (void)state;
    json_view_print(text_of(escaped), to, sizeof to);
    assert_string_equal(to, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbdx\xef\xbf\xbd");
    json_view_print(text_of(escaped), to, 5);
    assert_string_equal(to, "\xc3\xa9");
    for (uint32_t bytes = 1; bytes < sizeof escaped; bytes++) {
        char *copy = malloc(bytes);
        memcpy(copy, escaped, bytes);
        copy[bytes - 1] = '"';
        json_view_print((struct text){ copy, bytes }, to, sizeof to);
        free(copy);
    }
}

/* Any prefix ends: the copies are exact, so that the sanitizer sees a step too far. */
static void prefixes_are_safe(void **state)
{
    (void)state;
    for (uint32_t bytes = 0; bytes < sizeof sample; bytes++) {
        char *copy = malloc(bytes + 1u), to[8];
        memcpy(copy, sample, bytes);
        struct text json = { bytes > 0 ? copy : NULL, bytes }, value, key;
        size_t cursor = 0;
        for (int i = 0; i < 20 && json_view_next(json, &cursor, &key, &value); i++)
            json_view_print(value, to, sizeof to);
        (void)json_view_number(json, "a.b");
        (void)json_view_bool(json, "text");
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),       cmocka_unit_test(every_cut_is_seen),
        cmocka_unit_test(over_a_socket), cmocka_unit_test(escaping),
        cmocka_unit_test(members),       cmocka_unit_test(items),
        cmocka_unit_test(escaped_characters),
        cmocka_unit_test(prefixes_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
