#include "firmware/listener/tls.h"

#include <errno.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "pipeline/err.h"

enum { TICKET_LIFE_S = 12 * 3600 };

struct tls_session {
    mbedtls_ssl_context ssl;
    int fd;
    bool open, wants_write;
    uint32_t idle_bytes; /* heard since its last byte of MQTT, or its beginning */
    uint32_t unsent; /* bytes that a record holds which the socket did not take; 0: none */
    int error;       /* mbedTLS's last */
    uint32_t flaws;  /* of the client's certificate, in mbedTLS's bits */
};

struct tls_files { /* what stands in them */
    mbedtls_x509_crt cert, client_ca;
    mbedtls_pk_context key;
};

struct tls {
    struct tls_config config;
    mbedtls_ssl_config ssl;
    struct tls_files files;
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

/* The cheapest for us first: by itself mbedTLS would take the largest that both know, P-521, which
 * costs a handshake twice as much. */
static const mbedtls_ecp_group_id curves[] = { MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_CURVE25519,
                                               MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_NONE };

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

static void files_init(struct tls_files *files)
{
    mbedtls_x509_crt_init(&files->cert);
    mbedtls_x509_crt_init(&files->client_ca);
    mbedtls_pk_init(&files->key);
}

static void files_free(struct tls_files *files)
{
    mbedtls_x509_crt_free(&files->cert);
    mbedtls_x509_crt_free(&files->client_ca);
    mbedtls_pk_free(&files->key);
}

struct tls *tls_init(const struct tls_config *config, uint32_t sessions, struct arena *arena)
{
    struct tls *tls = arena_take(arena, 1, sizeof *tls);
    struct tls_session *all = arena_take(arena, sessions, sizeof *all);
    if (tls == NULL)
        return NULL;
    *tls = (struct tls){ .config = *config, .sessions = all };
    mbedtls_ssl_config_init(&tls->ssl);
    files_init(&tls->files);
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
        error = mbedtls_ssl_conf_own_cert(ssl, &tls->files.cert, &tls->files.key);
    if (error != 0)
        return fail(why, "TLS", error);
    mbedtls_ssl_conf_ca_chain(ssl, &tls->files.client_ca, NULL);
    mbedtls_ssl_conf_authmode(ssl, tls->config.client_ca_file[0] != '\0'
                                       ? MBEDTLS_SSL_VERIFY_OPTIONAL
                                       : MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_min_version(ssl, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_ciphersuites(ssl, ciphers);
    mbedtls_ssl_conf_curves(ssl, curves);
    mbedtls_ssl_conf_renegotiation(ssl, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_rng(ssl, random_bytes, NULL);
    return 0;
}

static int read_certificates(const char *path, mbedtls_x509_crt *to, char *why)
{
    int error = mbedtls_x509_crt_parse_file(to, path);
    if (error == 0)
        return 0;
    /* positive: so many of its certificates could not be read */
    return fail(why, path, error < 0 ? error : MBEDTLS_ERR_X509_INVALID_FORMAT);
}

static int read_files(const struct tls_config *config, struct tls_files *files, char *why)
{
    int error = read_certificates(config->cert_file, &files->cert, why);
    if (error == 0 && config->client_ca_file[0] != '\0')
        error = read_certificates(config->client_ca_file, &files->client_ca, why);
    if (error != 0)
        return error;
    error = mbedtls_pk_parse_keyfile(&files->key, config->key_file, NULL);
    if (error != 0)
        return fail(why, config->key_file, error);
    if (mbedtls_pk_check_pair(&files->cert.pk, &files->key) == 0)
        return 0;
    (void)snprintf(why, 256, "%.100s is not the key of %.100s", config->key_file,
                   config->cert_file);
    return WEIR_EINVAL;
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
    struct tls_files files;
    bool first = tls->ssl.endpoint != MBEDTLS_SSL_IS_SERVER;
    files_init(&files);
    int error = read_files(&tls->config, &files, why);
    if (error == 0 && first)
        error = set_up(tls, why);
    if (error == 0)
        error = change_tickets(tls, why);
    if (error == 0) {
        /* mbedTLS knows these structs by their place; what is in them may move. */
        struct tls_files old = tls->files;
        tls->files = files;
        files = old;
    }
    files_free(&files);
    return error;
}

int64_t tls_valid_until_ms(const struct tls *tls)
{
    const mbedtls_x509_time *until = &tls->files.cert.valid_to;
    struct tm parts = { .tm_year = until->year - 1900,
                        .tm_mon = until->mon - 1,
                        .tm_mday = until->day,
                        .tm_hour = until->hour,
                        .tm_min = until->min,
                        .tm_sec = until->sec };
    return (int64_t)timegm(&parts) * 1000;
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

static bool is_idle(const struct tls_session *s)
{
    return s->idle_bytes >= TLS_IDLE_BYTES;
}

/* mbedTLS reads on and on over what says nothing (warnings, wishes to renegotiate), within one call
 * of ours: a peer that sends it faster than that is read would have the loop for itself. */
static int receive_bytes(void *ctx, unsigned char *to, size_t bytes)
{
    struct tls_session *s = ctx;
    if (is_idle(s))
        return MBEDTLS_ERR_SSL_CONN_EOF;
    ssize_t got = recv(s->fd, to, bytes, 0);
    if (got > 0) {
        s->idle_bytes += (uint32_t)got;
        return (int)got;
    }
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

/* A resumed session brings what was found when it began; meanwhile the certificate may have
 * expired. */
static uint32_t flaws_of(const mbedtls_ssl_context *ssl)
{
    const mbedtls_x509_crt *cert = mbedtls_ssl_get_peer_cert(ssl);
    if (cert == NULL)
        return 0;
    uint32_t flaws = mbedtls_ssl_get_verify_result(ssl);
    return mbedtls_x509_time_is_past(&cert->valid_to) ? flaws | MBEDTLS_X509_BADCERT_EXPIRED
                                                      : flaws;
}

static uint8_t alert_of(uint32_t flaws)
{
    if ((flaws & MBEDTLS_X509_BADCERT_EXPIRED) != 0)
        return MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED;
    return (flaws & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0 ? MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA
                                                           : MBEDTLS_SSL_ALERT_MSG_BAD_CERT;
}

enum tls_progress tls_shake(struct tls_session *s)
{
    int error = mbedtls_ssl_handshake(&s->ssl);
    if (error != 0 && is_wait(s, error))
        return TLS_WAITS;
    s->wants_write = false;
    s->idle_bytes = error == 0 ? 0 : s->idle_bytes;
    s->error = error;
    s->flaws = error == 0 ? flaws_of(&s->ssl) : 0;
    if (s->flaws != 0) /* as far as the socket takes it now */
        (void)mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                             alert_of(s->flaws));
    return error == 0 && s->flaws == 0 ? TLS_DONE : TLS_FAILED;
}

const char *tls_why(const struct tls_session *s)
{
    if ((s->flaws & MBEDTLS_X509_BADCERT_EXPIRED) != 0)
        return "its certificate has expired";
    if ((s->flaws & MBEDTLS_X509_BADCERT_FUTURE) != 0)
        return "its certificate is not valid yet, by our clock";
    if ((s->flaws & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0)
        return "its certificate is not signed by client_ca";
    if (s->flaws != 0)
        return "its certificate is not one for clients, or uses an old algorithm";
    if (is_idle(s))
        return "it sends on and on, and nothing of a handshake";
    if (s->error == MBEDTLS_ERR_SSL_CONN_EOF)
        return "it hung up during the handshake";
    if (s->error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        return "it refused us: does it know who signed our certificate?";
    const char *text = mbedtls_high_level_strerr(s->error);
    return text != NULL ? text : "the handshake failed";
}

bool tls_has_certificate(const struct tls_session *s)
{
    return mbedtls_ssl_get_peer_cert(&s->ssl) != NULL;
}

static struct text text_at(const mbedtls_asn1_buf *buf)
{
    return (struct text){ (const char *)buf->p, (uint32_t)buf->len };
}

struct text tls_certificate_name(const struct tls_session *s, enum tls_name kind, uint32_t n)
{
    enum { TAG_DNS = 2, TAG_URI = 6 }; /* RFC 5280, GeneralName */
    const mbedtls_x509_crt *cert = mbedtls_ssl_get_peer_cert(&s->ssl);
    if (kind == TLS_NAME_CN) {
        for (const mbedtls_x509_name *part = &cert->subject; part != NULL; part = part->next)
            if (part->oid.p != NULL && MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) == 0 &&
                n-- == 0)
                return text_at(&part->val);
        return (struct text){ 0 };
    }
    int tag = kind == TLS_NAME_DNS ? TAG_DNS : TAG_URI;
    for (const mbedtls_x509_sequence *name = &cert->subject_alt_names; name != NULL;
         name = name->next)
        if (name->buf.p != NULL && (name->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == tag &&
            n-- == 0)
            return text_at(&name->buf);
    return (struct text){ 0 };
}

int32_t tls_read(struct tls_session *s, uint8_t *to, uint32_t bytes)
{
    int got = mbedtls_ssl_read(&s->ssl, to, bytes);
    if (got > 0) {
        s->idle_bytes = 0;
        return got;
    }
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
