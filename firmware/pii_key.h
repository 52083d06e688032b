/* pii_key: HMAC-SHA256 under the key of `gateway.pii_key`, for pseudonyms. The key itself is kept
 * in mbedTLS's context alone. */
#ifndef FIRMWARE_PII_KEY_H
#define FIRMWARE_PII_KEY_H

#include <stdint.h>

#include "pipeline/text.h"

struct pii_key {
    struct pii_key_context *context; /* NULL: there is no key */
};

/* Read the file; an empty path: none. Before the heap is sealed. WEIR_EINVAL with a sentence in
 * `why` (256 bytes): it can't be used. */
int pii_key_read(struct pii_key *key, const char *path, char *why);
/* There is a key. O(value). */
void pii_key_hmac(struct pii_key *key, struct text value, uint8_t mac[32]);

#endif
