#include "pipeline/codec/codec_json_redact.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/codec/codec_json_check.h"

enum { MAC_BYTES_SHOWN = 16, PSEUDONYM_BYTES = 5 + 2 * MAC_BYTES_SHOWN };
static const char PSEUDONYM[] = "hmac:";

struct step { /* how a value is named in the container around it */
    bool object;
    struct text key; /* as written, between its quotes */
    uint32_t index;
};

struct walk {
    const struct redactor *redactor;
    const char *at, *end;
    char *to;
    size_t used, bytes;
    bool failed, want_key;
    uint32_t depth;
    struct step path[JSON_DEPTH_MAX + 1]; /* [1] to [depth] */
};

/* --- strings --- */

static uint32_t hex4(const char *at)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a') + 10;
        code = code * 16 + digit;
    }
    return code;
}

static uint32_t put_utf8(uint32_t code, char to[4])
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    uint32_t bytes = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (uint32_t i = bytes - 1; i > 0; i--, code >>= 6)
        to[i] = (char)(0x80 | (code & 0x3f));
    static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    to[0] = (char)(lead[bytes] | code);
    return bytes;
}

/* The next character of a good string, escapes resolved; *at moves behind it. */
static uint32_t next_character(const char **at, char to[4])
{
    static const char escapes[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *from = *at;
    if (*from != '\\') {
        to[0] = *from;
        *at = from + 1;
        return 1;
    }
    if (from[1] != 'u') {
        const char *known = strchr(escapes, from[1]);
        to[0] = known != NULL ? meant[known - escapes] : from[1];
        *at = from + 2;
        return 1;
    }
    uint32_t code = hex4(from + 2);
    *at = from + 6;
    if (code >= 0xd800 && code < 0xdc00) { /* json_check saw the other half */
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4(from + 8) - 0xdc00);
        *at = from + 12;
    }
    return put_utf8(code, to);
}

static bool key_is(struct text key, const char *token)
{
    const char *at = key.at, *end = key.at + key.bytes;
    while (at < end) {
        char c[4];
        uint32_t bytes = next_character(&at, c);
        if (strncmp(token, c, bytes) != 0) /* no character has a NUL in it */
            return false;
        token += bytes;
    }
    return *token == '\0';
}

/* From the opening quote to behind the closing one. */
static const char *string_end(const char *at)
{
    for (at++; *at != '"'; at++)
        at += *at == '\\';
    return at + 1;
}

/* --- which values --- */

static bool step_is(const struct step *step, const char *token)
{
    char index[12];
    if (step->object)
        return key_is(step->key, token);
    (void)snprintf(index, sizeof index, "%u", step->index);
    return strcmp(index, token) == 0;
}

static bool leads_here(const struct walk *w, const struct json_pointer *pointer)
{
    if (pointer->token_count == 0)
        return w->depth == 0;
    if (pointer->token_count > w->depth)
        return false;
    const char *token = pointer->tokens;
    for (uint32_t i = w->depth - pointer->token_count + 1; i <= w->depth; i++) {
        if (!step_is(&w->path[i], token))
            return false;
        token += strlen(token) + 1;
    }
    return true;
}

static const struct pii_field *field_here(const struct walk *w)
{
    for (uint32_t i = 0; i < w->redactor->field_count; i++)
        if (leads_here(w, &w->redactor->fields[i].compiled))
            return &w->redactor->fields[i];
    return NULL;
}

/* --- what stands in their place --- */

static void put(struct walk *w, const char *from, size_t bytes)
{
    if (bytes > w->bytes - w->used) {
        w->failed = true;
        return;
    }
    memcpy(w->to + w->used, from, bytes);
    w->used += bytes;
}

static const char *scalar_end(const char *at, const char *end)
{
    if (*at == '"')
        return string_end(at);
    while (at < end && strchr(",]} \t\r\n", *at) == NULL)
        at++;
    return at;
}

static const char *container_end(const char *at)
{
    uint32_t depth = 0;
    do {
        if (*at == '"') {
            at = string_end(at);
            continue;
        }
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at++;
    } while (depth > 0);
    return at;
}

static bool is_pseudonym(const char *at, const char *end)
{
    if (end - at != PSEUDONYM_BYTES + 2 || memcmp(at + 1, PSEUDONYM, 5) != 0)
        return false;
    for (const char *c = at + 6; c < end - 1; c++)
        if (strchr("0123456789abcdef", *c) == NULL)
            return false;
    return true;
}

static struct text plain(const struct redactor *r, const char *at, const char *end)
{
    if (*at != '"')
        return (struct text){ at, (uint32_t)(end - at) };
    uint32_t used = 0;
    for (at++; at < end - 1;)
        used += next_character(&at, r->scratch + used); /* never longer than it was written */
    return (struct text){ r->scratch, used };
}

static void put_pseudonym(struct walk *w, const char *end)
{
    const struct redactor *r = w->redactor;
    uint8_t mac[32];
    char shown[PSEUDONYM_BYTES + 3];
    r->hmac(r->ctx, plain(r, w->at, end), mac);
    int used = snprintf(shown, sizeof shown, "\"%s", PSEUDONYM);
    for (int i = 0; i < MAC_BYTES_SHOWN; i++)
        used += snprintf(shown + used, sizeof shown - (size_t)used, "%02x", mac[i]);
    shown[used++] = '"';
    put(w, shown, (size_t)used);
}

static void replace(struct walk *w, enum pii_by by)
{
    bool container = *w->at == '{' || *w->at == '[';
    const char *end = container ? container_end(w->at) : scalar_end(w->at, w->end);
    if (by == PII_DROP || container || *w->at == 'n')
        put(w, "null", 4);
    else if (w->redactor->keep_pseudonyms && is_pseudonym(w->at, end))
        put(w, w->at, (size_t)(end - w->at));
    else
        put_pseudonym(w, end);
    w->at = end;
}

/* --- the walk --- */

static void take_key(struct walk *w)
{
    const char *end = string_end(w->at);
    w->path[w->depth].key = (struct text){ w->at + 1, (uint32_t)(end - w->at - 2) };
    put(w, w->at, (size_t)(end - w->at));
    w->at = end;
    w->want_key = false;
}

static void open_container(struct walk *w)
{
    assert(w->depth < JSON_DEPTH_MAX);
    w->want_key = *w->at == '{';
    w->path[++w->depth] = (struct step){ .object = w->want_key };
    put(w, w->at++, 1);
}

static void take_value(struct walk *w)
{
    const struct pii_field *field = field_here(w);
    if (field != NULL) {
        replace(w, field->by);
    } else if (*w->at == '{' || *w->at == '[') {
        open_container(w);
    } else {
        const char *end = scalar_end(w->at, w->end);
        put(w, w->at, (size_t)(end - w->at));
        w->at = end;
    }
}

static void take_token(struct walk *w)
{
    switch (*w->at) {
    case ' ': case '\t': case '\n': case '\r': case ':':
        put(w, w->at++, 1);
        return;
    case ',':
        w->want_key = w->path[w->depth].object;
        w->path[w->depth].index++;
        put(w, w->at++, 1);
        return;
    case '}': case ']':
        w->depth--;
        w->want_key = false;
        put(w, w->at++, 1);
        return;
    default:
        w->want_key ? take_key(w) : take_value(w);
    }
}

size_t json_redact(const struct redactor *redactor, struct text json, char *to, size_t bytes)
{
    struct walk w = { .redactor = redactor, .at = json.at, .end = json.at + json.bytes,
                      .to = to, .bytes = bytes };
    assert(redactor->scratch_bytes >= json.bytes);
    while (w.at < w.end && !w.failed)
        take_token(&w);
    assert(w.failed || w.at == w.end);
    return w.failed ? 0 : w.used;
}
