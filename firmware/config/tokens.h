/* tokens: who may ask over HTTP with TLS. A file has a line for each token: role, name, and the
 * SHA-256 of the token in hex; # begins a comment. The token itself is kept nowhere: `weir token`
 * makes 160 random bits, so a slow hash would gain nothing. */
#ifndef FIRMWARE_CONFIG_TOKENS_H
#define FIRMWARE_CONFIG_TOKENS_H

#include <stdint.h>

#include "pipeline/text.h"

/* Each may do what the one before may. */
enum token_role { TOKEN_NONE, TOKEN_VIEWER, TOKEN_ENGINEER };

enum {
    TOKENS_MAX = 32,
    TOKEN_NAME_BYTES_MAX = 63,
    TOKEN_RANDOM_BYTES = 20,
    TOKEN_TEXT_BYTES = 5 + 2 * TOKEN_RANDOM_BYTES + 1 /* "weir_", hex, terminated */
};

struct token {
    enum token_role role;
    char name[TOKEN_NAME_BYTES_MAX + 1];
    uint8_t digest[32];
};

struct tokens {
    uint32_t count;
    struct token list[TOKENS_MAX];
};

/* WEIR_EINVAL with a sentence in `why` (256 bytes), and *tokens is of no use: others may read the
 * file, a line can't be read, a name stands twice, or a role has none. */
int tokens_read(const char *path, struct tokens *tokens, char *why);

/* The token that was shown; NULL: it is none of them. Takes the same time for any. */
const struct token *tokens_find(const struct tokens *tokens, struct text shown);

enum token_role token_role(const char *word); /* NONE: it is no role */
const char *token_role_name(enum token_role role);
/* A token's text of random bytes, and the line that the file gets for it. */
void token_make(const uint8_t random[TOKEN_RANDOM_BYTES], enum token_role role, const char *name,
                char text[TOKEN_TEXT_BYTES], char *line, size_t line_bytes);

#endif
