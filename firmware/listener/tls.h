/* tls: TLS 1.2 towards devices, whose server we are, on mbedTLS. Non-blocking; a handshake
 * goes on when the caller says so, since it costs time.
 *
 * Pinned: TLS 1.2 (mbedTLS 2.28 has no newer one), ECDHE (P-256, X25519, P-384) with AES-GCM or
 * ChaCha20-Poly1305, no renegotiation. A session is resumed by ticket; the keys of tickets change
 * within a day, and with every new certificate. Tickets and not a cache: a cache would take memory
 * for each device.
 *
 * The certificate is read again while connections stay: the new one is complete beside the old one
 * before it takes its place. A handshake that is under way just then may fail, and is tried again.
 *
 * Memory: a session's struct is set aside at start; mbedTLS takes TLS_SESSION_BYTES from the
 * library's heap while it is open, and TLS_HANDSHAKE_BYTES more until its handshake is done. It
 * takes the wall time and chance from the system itself. */
#ifndef FIRMWARE_TLS_H
#define FIRMWARE_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/arena.h"
#include "pipeline/text.h"

struct tls;         /* opaque: one server */
struct tls_session; /* opaque: one connection */

/* Memory as measured with mbedTLS 2.28.3 of Debian 12 on amd64, rounded up: tests/e2e/tls_test.py.
 * And so much may come, of a handshake or between two bytes of MQTT, before the connection is taken
 * for gone: a handshake has its largest message, of 16 KiB, once or twice. */
enum {
    TLS_SESSION_BYTES = 40 * 1024,
    TLS_HANDSHAKE_BYTES = 24 * 1024,
    TLS_IDLE_BYTES = 48 * 1024
};

struct tls_config { /* files in PEM */
    const char *cert_file, *key_file;
    /* Who may sign clients' certificates; empty: none is asked for. A client may come without one
     * all the same; one that is not good ends the handshake. */
    const char *client_ca_file;
};

/* With so many sessions; NULL while the arena only measures. The config outlives it. */
struct tls *tls_init(const struct tls_config *config, uint32_t sessions, struct arena *arena);

/* Read the files, at first and again: WEIR_EINVAL with a sentence in `why` (256 bytes), and nothing
 * changed. */
int tls_load(struct tls *tls, char *why);

/* Until when our certificate is valid, Unix time. */
int64_t tls_valid_until_ms(const struct tls *tls);

/* The n-th, closed at first; NULL while measuring. */
struct tls_session *tls_session(struct tls *tls, uint32_t index);

/* Begin on a connected, non-blocking socket. WEIR_EFULL: no memory. */
int tls_open(struct tls *tls, struct tls_session *session, int fd);
/* Give its memory back; nothing is sent. May be closed already. */
void tls_close(struct tls_session *session);

/* The handshake, as far as what has come allows: up to three operations on the curve and one on the
 * certificate's key in a call, 2 to 5 ms on a PC. FAILED: the peer was told where it can be. */
enum tls_progress { TLS_FAILED, TLS_WAITS, TLS_DONE };
enum tls_progress tls_shake(struct tls_session *session);
/* What went wrong, for people. */
const char *tls_why(const struct tls_session *session);

/* Whether the client has shown a certificate, and it is good. After the handshake. */
bool tls_has_certificate(const struct tls_session *session);
/* The n-th name of a kind in it; empty: there are no more. Until the session is closed. */
enum tls_name { TLS_NAME_CN, TLS_NAME_DNS, TLS_NAME_URI };
struct text tls_certificate_name(const struct tls_session *session, enum tls_name kind, uint32_t n);

/* After the handshake. Bytes, 0: not now, negative: the connection is gone. */
int32_t tls_read(struct tls_session *session, uint8_t *to, uint32_t bytes);
/* Bytes, 0, negative likewise. After 0 the next call begins with the same bytes. */
int32_t tls_write(struct tls_session *session, const uint8_t *at, uint32_t bytes);
/* Whether it has bytes that are read from the socket already. */
bool tls_pending(const struct tls_session *session);
/* Whether it waits for the socket to take more. */
bool tls_wants_write(const struct tls_session *session);
/* Tell the peer that nothing more comes; as far as the socket takes it now. */
void tls_end(struct tls_session *session);

#endif
