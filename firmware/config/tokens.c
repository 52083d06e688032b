#include "firmware/config/tokens.h"

#include <assert.h>
#include <mbedtls/sha256.h>
#include <stdio.h>

#include "firmware/config/config.h"
#include "pipeline/err.h"

enum { FILE_BYTES_MAX = 8192, DIGEST_BYTES = 32 };

static const char *const names[] = { "none", "viewer", "engineer" };

enum token_role token_role(const char *word)
{
    if (strcmp(word, names[TOKEN_VIEWER]) == 0)
        return TOKEN_VIEWER;
    return strcmp(word, names[TOKEN_ENGINEER]) == 0 ? TOKEN_ENGINEER : TOKEN_NONE;
}

const char *token_role_name(enum token_role role)
{
    return names[role];
}

static void digest_of(struct text shown, uint8_t digest[DIGEST_BYTES])
{
    int error = mbedtls_sha256_ret((const uint8_t *)shown.at, shown.bytes, digest, 0);
    assert(error == 0); /* without hardware there is nothing that could fail */
}

/* --- the file --- */

static bool read_digest(const char *hex, uint8_t digest[DIGEST_BYTES])
{
    if (strlen(hex) != (size_t)2 * DIGEST_BYTES ||
        strspn(hex, "0123456789abcdef") != (size_t)2 * DIGEST_BYTES)
        return false;
    for (int i = 0; i < DIGEST_BYTES; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            return false;
        digest[i] = (uint8_t)byte;
    }
    return true;
}

/* What is wrong with the line, or NULL. */
static const char *take_line(struct tokens *tokens, const char *line)
{
    char role[16], name[TOKEN_NAME_BYTES_MAX + 1], hex[2 * DIGEST_BYTES + 1], more[2];
    static_assert(TOKEN_NAME_BYTES_MAX == 63 && DIGEST_BYTES == 32, "the format below names them");
    int words = sscanf(line, "%15s %63s %64s %1s", role, name, hex, more);
    if (words <= 0 || role[0] == '#')
        return NULL;
    if (words != 3)
        return "it is not a role, a name and a digest";
    if (tokens->count == TOKENS_MAX)
        return "there are more than 32 tokens";
    struct token *token = &tokens->list[tokens->count];
    *token = (struct token){ .role = token_role(role) };
    if (token->role == TOKEN_NONE)
        return "the role is neither viewer nor engineer";
    if (!read_digest(hex, token->digest))
        return "the digest is not SHA-256 in small hex digits";
    memcpy(token->name, name, sizeof name);
    for (uint32_t i = 0; i < tokens->count; i++)
        if (strcmp(tokens->list[i].name, name) == 0)
            return "its name stands there already";
    tokens->count++;
    return NULL;
}

static bool has_role(const struct tokens *tokens, enum token_role role)
{
    for (uint32_t i = 0; i < tokens->count; i++)
        if (tokens->list[i].role == role)
            return true;
    return false;
}

static int take_lines(struct tokens *tokens, char *text, char *why)
{
    char *rest = text, *line;
    for (uint32_t number = 1; (line = strsep(&rest, "\n")) != NULL; number++) {
        const char *wrong = take_line(tokens, line);
        if (wrong == NULL)
            continue;
        (void)snprintf(why, 256, "line %u: %s", number, wrong);
        return WEIR_EINVAL;
    }
    for (enum token_role role = TOKEN_VIEWER; role <= TOKEN_ENGINEER; role++)
        if (!has_role(tokens, role)) {
            (void)snprintf(why, 256, "it has no token for the role %s", names[role]);
            return WEIR_EINVAL;
        }
    return 0;
}

int tokens_read(const char *path, struct tokens *tokens, char *why)
{
    char text[FILE_BYTES_MAX];
    *tokens = (struct tokens){ 0 };
    int err = config_secret(path, text, sizeof text, why);
    return err != 0 ? err : take_lines(tokens, text, why);
}

/* --- use --- */

const struct token *tokens_find(const struct tokens *tokens, struct text shown)
{
    uint8_t digest[DIGEST_BYTES];
    const struct token *found = NULL;
    digest_of(shown, digest);
    for (uint32_t i = 0; i < tokens->count; i++) {
        volatile uint8_t different = 0; /* or the compiler might stop at the first difference */
        for (int b = 0; b < DIGEST_BYTES; b++)
            different = different | (uint8_t)(digest[b] ^ tokens->list[i].digest[b]);
        if (different == 0)
            found = &tokens->list[i];
    }
    return found;
}

void token_make(const uint8_t random[TOKEN_RANDOM_BYTES], enum token_role role, const char *name,
                char text[TOKEN_TEXT_BYTES], char *line, size_t line_bytes)
{
    uint8_t digest[DIGEST_BYTES];
    size_t used = (size_t)snprintf(text, TOKEN_TEXT_BYTES, "weir_");
    for (int i = 0; i < TOKEN_RANDOM_BYTES; i++)
        used += (size_t)snprintf(text + used, TOKEN_TEXT_BYTES - used, "%02x", random[i]);
    digest_of(text_of(text), digest);
    used = (size_t)snprintf(line, line_bytes, "%s %s ", names[role], name);
    for (int i = 0; i < DIGEST_BYTES && used < line_bytes; i++)
        used += (size_t)snprintf(line + used, line_bytes - used, "%02x", digest[i]);
    assert(used < line_bytes);
}
