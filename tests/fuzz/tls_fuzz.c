/* Goal: no bytes of a client harm the TLS server or what reads through it, in whatever pieces they come; what is
 * delivered is what the client sent, from its beginning, whatever happened to the records on the way.
 * Method: libFuzzer; the server's end of a socket pair is a transport as the listener has it. The first byte
 * chooses: the rest are the client's raw bytes, in pieces; or a client that has shaken hands sends a pattern,
 * and the rest says how its records are cut, changed, repeated and left out on the way.
 * Links: firmware/listener/tls.c firmware/listener/transport.c
 * Libs: -lmbedtls -lmbedx509 -lmbedcrypto */
#include <assert.h>
#include <errno.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/listener/transport.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { GULP_BYTES = 700, WIRE_BYTES = 64 * 1024 };

static struct tls *tls;
static mbedtls_ssl_config client_config;
static mbedtls_ssl_session session; /* of the first that shook hands: the others go on with it */
static bool has_session;

/* --- a server and its certificate, once --- */

static int chance(void *unused, unsigned char *to, size_t bytes)
{
    (void)unused;
    return getrandom(to, bytes, 0) == (ssize_t)bytes ? 0 : -1;
}

static void write_file(const char *path, const unsigned char *at)
{
    FILE *file = fopen(path, "w");
    assert(file != NULL);
    int failed = fputs((const char *)at, file) < 0;
    failed |= fclose(file) != 0;
    assert(!failed);
}

static void make_certificate(const char *cert_path, const char *key_path)
{
    static unsigned char pem[4096];
    mbedtls_pk_context key;
    mbedtls_x509write_cert cert;
    mbedtls_mpi serial;
    mbedtls_pk_init(&key);
    mbedtls_x509write_crt_init(&cert);
    mbedtls_mpi_init(&serial);
    int err = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    err |= mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), chance, NULL);
    mbedtls_x509write_crt_set_subject_key(&cert, &key);
    mbedtls_x509write_crt_set_issuer_key(&cert, &key);
    err |= mbedtls_x509write_crt_set_subject_name(&cert, "CN=localhost");
    err |= mbedtls_x509write_crt_set_issuer_name(&cert, "CN=localhost");
    err |= mbedtls_mpi_lset(&serial, 1);
    err |= mbedtls_x509write_crt_set_serial(&cert, &serial);
    err |= mbedtls_x509write_crt_set_validity(&cert, "20200101000000", "20991231235959");
    mbedtls_x509write_crt_set_md_alg(&cert, MBEDTLS_MD_SHA256);
    err |= mbedtls_x509write_crt_pem(&cert, pem, sizeof pem, chance, NULL);
    assert(err == 0);
    write_file(cert_path, pem);
    err = mbedtls_pk_write_key_pem(&key, pem, sizeof pem);
    assert(err == 0);
    write_file(key_path, pem);
    mbedtls_x509write_crt_free(&cert);
    mbedtls_pk_free(&key);
    mbedtls_mpi_free(&serial);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char cert[64], key[64];
    static struct tls_config config = { cert, key, cert };
    char directory[] = "/tmp/weir-tls-fuzz-XXXXXX", why[256] = "";
    (void)argc, (void)argv;
    assert(mkdtemp(directory) != NULL);
    (void)snprintf(cert, sizeof cert, "%s/crt", directory); /* both are short */
    (void)snprintf(key, sizeof key, "%s/key", directory);
    make_certificate(cert, key);
    struct arena arena = arena_measure();
    (void)tls_init(&config, 1, &arena);
    arena = arena_over(calloc(1, arena.used), arena.used);
    tls = tls_init(&config, 1, &arena);
    int err = tls_load(tls, why);
    assert(err == 0);
    (void)unlink(cert);
    (void)unlink(key);
    (void)rmdir(directory);
    mbedtls_ssl_config_init(&client_config);
    mbedtls_ssl_session_init(&session);
    err = mbedtls_ssl_config_defaults(&client_config, MBEDTLS_SSL_IS_CLIENT,
                                      MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    assert(err == 0);
    mbedtls_ssl_conf_authmode(&client_config, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_rng(&client_config, chance, NULL);
    return 0;
}

/* --- the server's side, as device.c has it --- */

struct server {
    struct transport link;
    bool shaken, gone;
    uint64_t delivered; /* bytes */
    bool checks;        /* they are the pattern */
};

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 37 + at / 256);
}

static void serve(struct server *s)
{
    uint8_t gulp[GULP_BYTES];
    if (!s->gone && !s->shaken) {
        enum tls_progress progress = tls_shake(s->link.tls);
        s->shaken = progress == TLS_DONE;
        s->gone = progress == TLS_FAILED;
        if (s->gone)
            assert(tls_why(s->link.tls) != NULL);
    }
    int32_t got = 0;
    while (s->shaken && !s->gone && (got = transport_read(&s->link, gulp, sizeof gulp)) > 0) {
        assert(got <= GULP_BYTES);
        for (int32_t i = 0; i < got && s->checks; i++)
            assert(gulp[i] == pattern(s->delivered + (uint64_t)i));
        s->delivered += (uint64_t)got;
        int32_t sent = transport_write(&s->link, gulp, (uint32_t)got % 7 + 1);
        assert(sent <= (int32_t)((uint32_t)got % 7 + 1));
        s->gone = sent < 0;
    }
    s->gone = s->gone || got < 0;
    if (s->shaken && !s->gone)
        assert(!transport_pending(&s->link)); /* it was read to the end */
}

/* --- what the client does --- */

struct wire { /* towards the server, on the way */
    uint8_t at[WIRE_BYTES];
    size_t used;
    int fd; /* the client's end */
};

static int put_on_wire(void *ctx, const unsigned char *at, size_t bytes)
{
    struct wire *w = ctx;
    if (bytes > sizeof w->at - w->used)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    memcpy(w->at + w->used, at, bytes);
    w->used += bytes;
    return (int)bytes;
}

static int take_from_server(void *ctx, unsigned char *to, size_t bytes)
{
    struct wire *w = ctx;
    ssize_t got = recv(w->fd, to, bytes, 0);
    if (got > 0)
        return (int)got;
    return got < 0 && errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_SSL_CONN_EOF;
}

static void deliver(struct wire *w, size_t bytes, struct server *s)
{
    bytes = bytes < w->used ? bytes : w->used;
    ssize_t sent = send(w->fd, w->at, bytes, MSG_NOSIGNAL);
    if (sent > 0) {
        w->used -= (size_t)sent;
        memmove(w->at, w->at + sent, w->used);
    }
    serve(s);
}

static void raw(const uint8_t *data, size_t bytes, struct wire *w, struct server *s)
{
    uint8_t answer[4096];
    while (bytes > 1 && !s->gone) {
        size_t piece = data[0] < 128 ? data[0] + 1u : (data[0] - 127u) * 64;
        data++, bytes--;
        piece = piece < bytes ? piece : bytes;
        memcpy(w->at, data, piece);
        w->used = piece;
        deliver(w, piece, s);
        data += piece, bytes -= piece;
        while (recv(w->fd, answer, sizeof answer, 0) > 0)
            continue;
    }
}

/* Each two bytes are one thing done: what, and how much of it. */
static void disturbed(const uint8_t *data, size_t bytes, struct wire *w, struct server *s)
{
    uint8_t text[2048];
    uint64_t sent = 0;
    mbedtls_ssl_context client;
    mbedtls_ssl_init(&client);
    int err = mbedtls_ssl_setup(&client, &client_config);
    assert(err == 0);
    if (has_session)
        err = mbedtls_ssl_set_session(&client, &session);
    assert(err == 0);
    mbedtls_ssl_set_bio(&client, w, put_on_wire, take_from_server, NULL);
    for (int turns = 0; turns < 20 && (!s->shaken || client.state != MBEDTLS_SSL_HANDSHAKE_OVER);
         turns++) {
        (void)mbedtls_ssl_handshake(&client); /* it waits, mostly */
        deliver(w, w->used, s);
    }
    assert(s->shaken && !s->gone);
    s->checks = true;
    if (!has_session)
        has_session = mbedtls_ssl_get_session(&client, &session) == 0;
    for (; bytes >= 2; data += 2, bytes -= 2) {
        size_t much = data[1] * 8u + 1;
        size_t at = w->used > 0 ? much % w->used : 0;
        switch (data[0] % 6) {
        case 0: /* a record of so much */
        case 1:
            for (size_t i = 0; i < much; i++)
                text[i] = pattern(sent + i);
            if (sizeof w->at - w->used > much + 512 &&
                mbedtls_ssl_write(&client, text, much) == (int)much)
                sent += much;
            break;
        case 2: /* on with it, in pieces */
            deliver(w, much, s);
            break;
        case 3: /* a bit of what is on the way */
            if (w->used > 0)
                w->at[at] ^= (uint8_t)(1u << data[0] % 8);
            break;
        case 4: /* some of it again */
            if (w->used > at && sizeof w->at - w->used > w->used - at) {
                memmove(w->at + w->used, w->at + at, w->used - at);
                w->used += w->used - at;
            }
            break;
        case 5: /* some of it not at all */
            w->used = at;
            break;
        }
    }
    deliver(w, w->used, s);
    assert(s->delivered <= sent);
    mbedtls_ssl_free(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct wire wire;
    int pair[2];
    if (bytes < 1)
        return 0;
    int err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
    assert(err == 0);
    wire = (struct wire){ .fd = pair[1] };
    struct server server = { .link = { pair[0], tls_session(tls, 0) } };
    err = tls_open(tls, server.link.tls, pair[0]);
    assert(err == 0);
    if (data[0] % 2 == 0)
        raw(data + 1, bytes - 1, &wire, &server);
    else
        disturbed(data + 1, bytes - 1, &wire, &server);
    (void)transport_end(&server.link);
    transport_close(&server.link);
    (void)close(pair[1]);
    return 0;
}
