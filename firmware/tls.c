#include "firmware/tls.h"

#include <errno.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "pipeline/err.h"

enum { TICKET_LIFE_S = 12 * 3600 };

struct tls_session {
    mbedtls_ssl_context ssl;
    int fd;
    bool open, wants_write;
    uint32_t unsent; /* bytes that a record holds which the socket did not take; 0: none */
    int error;       /* mbedTLS's last */
};

struct tls {
    struct tls_config config;
    mbedtls_ssl_config ssl;
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
    mbedtls_ssl_ticket_context tickets[2]; /* those in use, and room for the next */
    uint32_t half;
    struct tls_session *sessions;
};

static const int ciphers[] = { MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                               MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                               MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                               MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                               MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                               MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                               0 };

/* The kernel's generator: nothing of ours to seed, and no state that a snapshot copies. */
static int random_bytes(void *unused, unsigned char *to, size_t bytes)
{
    (void)unused;
    while (bytes > 0) {
        ssize_t got = getrandom(to, bytes, 0);
        if (got < 0 && errno != EINTR)
            return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
        to += got > 0 ? got : 0;
        bytes -= got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* --- the server ---------------------------------------------------------------------------------
 */

struct tls *tls_init(const struct tls_config *config, uint32_t sessions, struct arena *arena)
{
    struct tls *tls = arena_take(arena, 1, sizeof *tls);
    struct tls_session *all = arena_take(arena, sessions, sizeof *all);
    if (tls == NULL)
        return NULL;
    *tls = (struct tls){ .config = *config, .sessions = all };
    mbedtls_ssl_config_init(&tls->ssl);
    mbedtls_x509_crt_init(&tls->cert);
    mbedtls_pk_init(&tls->key);
    mbedtls_ssl_ticket_init(&tls->tickets[0]);
    mbedtls_ssl_ticket_init(&tls->tickets[1]);
    return tls;
}

static int fail(char *why, const char *file, int error)
{
    char text[128];
    mbedtls_strerror(error, text, sizeof text);
    (void)snprintf(why, 256, "%.120s: %.120s", file, text);
    return WEIR_EINVAL;
}

/* Once: what does not depend on the files' content. */
static int set_up(struct tls *tls, char *why)
{
    mbedtls_ssl_config *ssl = &tls->ssl;
    int error = mbedtls_ssl_config_defaults(ssl, MBEDTLS_SSL_IS_SERVER,
                                            MBEDTLS_SSL_TRANSPORT_STREAM,
                                            MBEDTLS_SSL_PRESET_DEFAULT);
    if (error == 0)
        error = mbedtls_ssl_conf_own_cert(ssl, &tls->cert, &tls->key);
    if (error != 0)
        return fail(why, "TLS", error);
    mbedtls_ssl_conf_min_version(ssl, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_ciphersuites(ssl, ciphers);
    mbedtls_ssl_conf_renegotiation(ssl, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_rng(ssl, random_bytes, NULL);
    return 0;
}

static int read_files(const struct tls_config *config, mbedtls_x509_crt *cert,
                      mbedtls_pk_context *key, char *why)
{
    int error = mbedtls_x509_crt_parse_file(cert, config->cert_file);
    if (error != 0) /* positive: some of its certificates could not be read */
        return error < 0 ? fail(why, config->cert_file, error)
                         : fail(why, config->cert_file, MBEDTLS_ERR_X509_INVALID_FORMAT);
    error = mbedtls_pk_parse_keyfile(key, config->key_file, NULL);
    if (error != 0)
        return fail(why, config->key_file, error);
    if (mbedtls_pk_check_pair(&cert->pk, key) != 0) {
        (void)snprintf(why, 256, "%.100s is not the key of %.100s", config->key_file,
                       config->cert_file);
        return WEIR_EINVAL;
    }
    return 0;
}

/* From here on tickets have other keys: those of before are good for nothing. */
static int change_tickets(struct tls *tls, char *why)
{
    mbedtls_ssl_ticket_context *next = &tls->tickets[1 - tls->half];
    mbedtls_ssl_ticket_free(next);
    mbedtls_ssl_ticket_init(next);
    int error = mbedtls_ssl_ticket_setup(next, random_bytes, NULL, MBEDTLS_CIPHER_AES_128_GCM,
                                         TICKET_LIFE_S);
    if (error != 0)
        return fail(why, "TLS tickets", error);
    tls->half = 1 - tls->half;
    mbedtls_ssl_conf_session_tickets_cb(&tls->ssl, mbedtls_ssl_ticket_write,
                                        mbedtls_ssl_ticket_parse, next);
    return 0;
}

int tls_load(struct tls *tls, char *why)
{
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
    mbedtls_x509_crt_init(&cert);
    mbedtls_pk_init(&key);
    bool first = tls->ssl.endpoint != MBEDTLS_SSL_IS_SERVER;
    int error = read_files(&tls->config, &cert, &key, why);
    if (error == 0 && first)
        error = set_up(tls, why);
    if (error == 0)
        error = change_tickets(tls, why);
    if (error == 0) {
        /* mbedTLS knows these structs by their place; what is in them may move. */
        mbedtls_x509_crt old_cert = tls->cert;
        mbedtls_pk_context old_key = tls->key;
        tls->cert = cert, cert = old_cert;
        tls->key = key, key = old_key;
    }
    mbedtls_x509_crt_free(&cert);
    mbedtls_pk_free(&key);
    return error;
}

/* --- a session ----------------------------------------------------------------------------------
 */

struct tls_session *tls_session(struct tls *tls, uint32_t index)
{
    return tls != NULL ? &tls->sessions[index] : NULL;
}

static int send_bytes(void *ctx, const unsigned char *at, size_t bytes)
{
    struct tls_session *s = ctx;
    ssize_t sent = send(s->fd, at, bytes, MSG_NOSIGNAL);
    if (sent >= 0)
        return (int)sent;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE
                                             : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int receive_bytes(void *ctx, unsigned char *to, size_t bytes)
{
    struct tls_session *s = ctx;
    ssize_t got = recv(s->fd, to, bytes, 0);
    if (got > 0)
        return (int)got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? MBEDTLS_ERR_SSL_WANT_READ
                                                          : MBEDTLS_ERR_SSL_CONN_EOF;
}

int tls_open(struct tls *tls, struct tls_session *s, int fd)
{
    *s = (struct tls_session){ .fd = fd, .open = true };
    mbedtls_ssl_init(&s->ssl);
    if (mbedtls_ssl_setup(&s->ssl, &tls->ssl) != 0) {
        tls_close(s);
        return WEIR_EFULL;
    }
    mbedtls_ssl_set_bio(&s->ssl, s, send_bytes, receive_bytes, NULL);
    return 0;
}

void tls_close(struct tls_session *s)
{
    if (s->open)
        mbedtls_ssl_free(&s->ssl);
    *s = (struct tls_session){ .fd = -1 };
}

/* Whether an error only says that the socket is not ready. */
static bool is_wait(struct tls_session *s, int error)
{
    s->wants_write = error == MBEDTLS_ERR_SSL_WANT_WRITE;
    return s->wants_write || error == MBEDTLS_ERR_SSL_WANT_READ;
}

enum tls_progress tls_shake(struct tls_session *s)
{
    int error = mbedtls_ssl_handshake(&s->ssl);
    if (error != 0 && is_wait(s, error))
        return TLS_WAITS;
    s->wants_write = false;
    if (error == 0)
        return TLS_DONE;
    s->error = error;
    return TLS_FAILED;
}

const char *tls_why(const struct tls_session *s)
{
    if (s->error == MBEDTLS_ERR_SSL_CONN_EOF)
        return "it hung up during the handshake";
    if (s->error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        return "it refused us: does it know who signed our certificate?";
    const char *text = mbedtls_high_level_strerr(s->error);
    return text != NULL ? text : "the handshake failed";
}

int32_t tls_read(struct tls_session *s, uint8_t *to, uint32_t bytes)
{
    int got = mbedtls_ssl_read(&s->ssl, to, bytes);
    if (got > 0)
        return got;
    return got < 0 && is_wait(s, got) ? 0 : -1;
}

int32_t tls_write(struct tls_session *s, const uint8_t *at, uint32_t bytes)
{
    /* mbedTLS has made a record of them already, and says how many it was asked for. */
    uint32_t now = s->unsent > 0 ? s->unsent : bytes;
    int sent = mbedtls_ssl_write(&s->ssl, at, now);
    s->unsent = 0;
    if (sent >= 0) {
        s->wants_write = false;
        return sent;
    }
    if (!is_wait(s, sent))
        return -1;
    s->unsent = now;
    return 0;
}

bool tls_pending(const struct tls_session *s)
{
    return mbedtls_ssl_check_pending(&s->ssl) != 0;
}

bool tls_wants_write(const struct tls_session *s)
{
    return s->wants_write;
}

void tls_end(struct tls_session *s)
{
    (void)mbedtls_ssl_close_notify(&s->ssl); /* what the socket does not take now, nobody reads */
}
