#include "firmware/pii_key.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/md.h>
#include <mbedtls/platform_util.h>

#include "firmware/config/config.h"
#include "pipeline/err.h"

struct pii_key_context {
    mbedtls_md_context_t md;
};

static struct pii_key_context the_context;

int pii_key_read(struct pii_key *key, const char *path, char *why)
{
    char text[CONFIG_PII_KEY_BYTES];
    *key = (struct pii_key){ 0 };
    if (path[0] == '\0')
        return 0;
    if (config_secret(path, text, sizeof text, why) != 0)
        return WEIR_EINVAL;
    mbedtls_md_context_t *md = &the_context.md;
    mbedtls_md_init(md);
    int error = mbedtls_md_setup(md, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 1);
    if (error == 0)
        error = mbedtls_md_hmac_starts(md, (const uint8_t *)text, strlen(text));
    mbedtls_platform_zeroize(text, sizeof text);
    if (error != 0) {
        (void)snprintf(why, 256, "HMAC-SHA256 can't be set up: %d", error);
        return WEIR_EINVAL;
    }
    key->context = &the_context;
    return 0;
}

void pii_key_hmac(struct pii_key *key, struct text value, uint8_t mac[32])
{
    assert(key->context != NULL);
    mbedtls_md_context_t *md = &key->context->md;
    int error = mbedtls_md_hmac_update(md, (const uint8_t *)value.at, value.bytes);
    error = error != 0 ? error : mbedtls_md_hmac_finish(md, mac);
    error = error != 0 ? error : mbedtls_md_hmac_reset(md);
    assert(error == 0); /* in software it fails for wrong arguments alone */
}
