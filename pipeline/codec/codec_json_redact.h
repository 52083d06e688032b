/* codec_json_redact: what of a JSON text is nobody's business, replaced before anything else looks
 * at the text: by null, or by a pseudonym, the same for the same value under one key. Every byte
 * that is not such a value stays as it is. Allocates nothing, recurses nowhere. */
#ifndef PIPELINE_CODEC_CODEC_JSON_REDACT_H
#define PIPELINE_CODEC_CODEC_JSON_REDACT_H

#include "pipeline/codec/codec_json.h"

enum { PII_FIELDS_MAX = 16 };

enum pii_by { PII_DROP, PII_HMAC };

struct pii_field {
    char pointer[POINTER_BYTES_MAX]; /* RFC 6901; "": the whole message */
    enum pii_by by;
    struct json_pointer compiled;    /* of it */
};

struct redactor {
    const struct pii_field *fields;  /* the first that fits counts */
    uint32_t field_count;
    /* HMAC-SHA256 (RFC 2104, FIPS 180-4) under the caller's key */
    void (*hmac)(void *ctx, struct text value, uint8_t mac[32]);
    void *ctx;
    char *scratch;                   /* [scratch_bytes], at least as many as the text has */
    size_t scratch_bytes;
    bool keep_pseudonyms;            /* the text may have been through this already */
};

/* A pseudonym is "hmac:" and the first 16 bytes of the HMAC in hex: of a string's characters
 * (escapes resolved), of a number, true or false as it is written. An object or an array under
 * PII_HMAC is dropped, for its bytes are no name; null stays null.
 *
 * A pointer leads on from any object or array of the message, not from its root alone: /card is
 * every member "card", however deep, and /0/card one of an array's first element. So that a copy
 * that nobody thought of is not kept either.
 *
 * `json` is what json_check calls good. Returns the bytes written to `to`; 0: they don't fit.
 * O(bytes times fields). */
size_t json_redact(const struct redactor *redactor, struct text json, char *to, size_t bytes);

#endif
