/* Goal: no more of an update is written than there is room for, whether its server says how long it is or sends without an
 * end; what does not fit is taken away again; a fetch that broke goes on where it was.
 * Method: a server of the test's own on the loopback, one answer a process; the real curl.
 * Links: firmware/update/bring.c firmware/update/version.c
 * Libs: */
#include "tests/lib/check.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/update/bring.h"
#include "pipeline/err.h"

enum { ROOM = 100000, CHUNK = 4096 };

struct bench {
    char folder[64], path[BRING_PATH_BYTES], why[BRING_WHY_BYTES], url[64];
    pid_t server;
};

/* --- servers: each is a process that answers one connection, or none that is over soon --- */

static void send_all(int to, const void *at, size_t bytes)
{
    if (send(to, at, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        _exit(0); /* curl had enough */
}

static void send_words(int to, const char *words)
{
    send_all(to, words, strlen(words));
}

static void answer_without_end(int to, const char *request)
{
    static char chunk[CHUNK];
    (void)request;
    send_words(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 10 * ROOM / CHUNK; i++) { /* bounded, should nobody stop it */
        send_words(to, "1000\r\n");
        send_all(to, chunk, sizeof chunk);
        send_words(to, "\r\n");
    }
    send_words(to, "0\r\n\r\n");
}

static void answer_in_two_chunks(int to, const char *request)
{
    (void)request;
    send_words(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nupd\r\n3\r\nate\r\n0\r\n\r\n");
}

static void answer_too_long(int to, const char *request)
{
    (void)request;
    send_words(to, "HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\nbegin");
}

static void answer_the_rest(int to, const char *request)
{
    if (strstr(request, "Range: bytes=3-") != NULL)
        send_words(to, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-5/6\r\nContent-Length: 3\r\n\r\nate");
    else
        send_words(to, "HTTP/1.1 500 Not So\r\nContent-Length: 0\r\n\r\n");
}

static void serve(struct bench *b, void (*answer)(int to, const char *request))
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &bytes), 0);
    snprintf(b->url, sizeof b->url, "http://127.0.0.1:%d/update.raucb", ntohs(at.sin_port));
    b->server = fork();
    if (b->server == 0) {
        char request[2048] = "";
        int to = accept(listener, NULL, NULL);
        ssize_t got = recv(to, request, sizeof request - 1, 0); /* a GET fits into one packet */
        if (got > 0)
            answer(to, request);
        _exit(0);
    }
    close(listener);
}

static int bring(struct bench *b)
{
    struct bring_source from = { b->url, "/nowhere", ROOM };
    int err = bring_url(&from, b->folder, b->path, b->why), status;
    kill(b->server, SIGKILL);
    assert_int_equal(waitpid(b->server, &status, 0), b->server);
    return err;
}

static int setup(void **state)
{
    static struct bench b;
    b = (struct bench){ .folder = "/tmp/weir-bring-XXXXXX" };
    *state = &b;
    return mkdtemp(b.folder) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    bring_forget(b->folder);
    return rmdir(b->folder);
}

static void there_is_curl(void)
{
    if (access("/usr/bin/curl", X_OK) != 0)
        skip();
}

static void holds(struct bench *b, const char *words)
{
    char got[32] = "";
    FILE *file = fopen(b->path, "re");
    assert_non_null(file);
    assert_int_equal(fread(got, 1, sizeof got - 1, file), strlen(words));
    fclose(file);
    assert_string_equal(got, words);
}

/* --- */

static void what_fits_is_brought(void **state)
{
    struct bench *b = *state;
    there_is_curl();
    serve(b, answer_in_two_chunks);
    assert_int_equal(bring(b), 0);
    holds(b, "update");
}

static void what_does_not_fit_is_refused(void **state)
{
    static void (*const answers[])(int, const char *) = { answer_too_long, answer_without_end };
    struct bench *b = *state;
    there_is_curl();
    for (int i = 0; i < 2; i++) {
        serve(b, answers[i]);
        assert_int_equal(bring(b), WEIR_EIO);
        assert_string_equal(b->why, "there is no room for it: 100000 bytes are left");
        assert_int_equal(access(b->path, F_OK), -1);
    }
    FILE *other = tmpfile(); /* the bound was the child's alone */
    assert_non_null(other);
    assert_int_equal(ftruncate(fileno(other), 2 * ROOM), 0);
    fclose(other);
}

static void a_fetch_goes_on(void **state)
{
    struct bench *b = *state;
    char note[BRING_PATH_BYTES];
    there_is_curl();
    serve(b, answer_the_rest);
    snprintf(note, sizeof note, "%s/update.url", b->folder);
    snprintf(b->path, sizeof b->path, "%s/update.raucb", b->folder);
    FILE *file = fopen(note, "we");
    assert_non_null(file);
    fputs(b->url, file);
    fclose(file);
    file = fopen(b->path, "we");
    assert_non_null(file);
    fputs("upd", file);
    fclose(file);
    assert_int_equal(bring(b), 0);
    holds(b, "update");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_fits_is_brought, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fetch_goes_on, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
