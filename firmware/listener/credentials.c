#include "firmware/listener/credentials.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "firmware/config/config_parts.h"
#include "firmware/log.h"
#include "pipeline/codec/codec_json_check.h"
#include "pipeline/err.h"

enum {
    SALT_BYTES = 16,
    HASH_BYTES = 32,
    LINE_BYTES = 256,
    PIECE_BYTES = 16 * 1024,
    REVOKED_MORE = 256 /* who has only a certificate can be shut out of a full table too */
};

struct credential {
    char name[READING_NAME_BYTES_MAX + 1];
    bool revoked;
    int64_t since_ms;
    uint8_t salt[SALT_BYTES], hash[HASH_BYTES];
};

struct table { /* in order of name */
    struct credential *all;
    uint32_t count;
};

struct credentials {
    const struct config *config;
    char path[CONFIG_PATH_BYTES_MAX + 24], new_path[CONFIG_PATH_BYTES_MAX + 24];
    uint32_t max;       /* with a password; 0: no listener asks for any */
    uint32_t room;      /* of a table */
    bool keeps_revoked; /* a certificate may name them too */
    struct table tables[2];
    uint32_t half; /* the one that counts */
    struct loop *loop;
    struct loop_call call;
    struct credentials_change change; /* under way, or the last */
    bool changing;
    bool placed;             /* by its thread: the new file is the one that a start would read */
    int written;             /* what its thread came to */
    char piece[PIECE_BYTES]; /* of the file, on its way */
};

static bool asks(const struct config *config, bool *certificates)
{
    bool any = false;
    *certificates = false;
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        any = any || (source->kind == SOURCE_LISTENER && !source->anonymous);
        *certificates = *certificates || source->client_ca_file[0] != '\0';
    }
    return any;
}

struct credentials *credentials_init(const struct config *config, struct arena *arena)
{
    bool certificates;
    uint32_t max = asks(config, &certificates) ? config->engine.devices_max : 0;
    uint32_t room = max + (certificates ? REVOKED_MORE : 0);
    struct credentials *c = arena_take(arena, 1, sizeof *c);
    struct credential *all = arena_take(arena, 2 * (size_t)room + 1, sizeof *all);
    if (c == NULL)
        return NULL;
    c->config = config;
    c->max = max;
    c->room = room;
    c->keeps_revoked = certificates;
    c->tables[0].all = all;
    c->tables[1].all = all + room;
    (void)snprintf(c->path, sizeof c->path, "%s/credentials", config->data_dir); /* fits */
    (void)snprintf(c->new_path, sizeof c->new_path, "%s/credentials.new", config->data_dir);
    return c;
}

/* --- the table ----------------------------------------------------------------------------------
 */

static int compare(const struct credential *e, struct text name)
{
    size_t bytes = strlen(e->name);
    int order = memcmp(e->name, name.at, bytes < name.bytes ? bytes : name.bytes);
    return order != 0 ? order : (bytes > name.bytes) - (bytes < name.bytes);
}

/* Where it is, or would be. */
static uint32_t place_of(const struct table *t, struct text name)
{
    uint32_t first = 0, end = t->count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (compare(&t->all[middle], name) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static struct credential *find(const struct table *t, struct text name)
{
    uint32_t place = name.bytes > 0 ? place_of(t, name) : t->count;
    return place < t->count && compare(&t->all[place], name) == 0 ? &t->all[place] : NULL;
}

static struct credential *insert(struct table *t, struct text name)
{
    uint32_t place = place_of(t, name);
    struct credential *e = &t->all[place];
    memmove(e + 1, e, (t->count - place) * sizeof *e);
    t->count++;
    *e = (struct credential){ 0 };
    memcpy(e->name, name.at, name.bytes);
    return e;
}

static void hash_of(const uint8_t salt[SALT_BYTES], struct text password, uint8_t to[HASH_BYTES])
{
    mbedtls_sha256_context sha;
    mbedtls_sha256_init(&sha);
    int error = mbedtls_sha256_starts_ret(&sha, 0);
    error |= mbedtls_sha256_update_ret(&sha, salt, SALT_BYTES);
    error |= mbedtls_sha256_update_ret(&sha, (const uint8_t *)password.at, password.bytes);
    error |= mbedtls_sha256_finish_ret(&sha, to);
    assert(error == 0); /* fails for no input */
    mbedtls_sha256_free(&sha);
}

bool credentials_match(const struct credentials *c, struct text name, struct text password)
{
    static const struct credential nobody;
    const struct credential *e = find(&c->tables[c->half], name);
    uint8_t hash[HASH_BYTES], differ = 0;
    /* Also for nobody: the time tells nothing of who is there. Ours have one length. */
    if (password.bytes != CREDENTIALS_PASSWORD_BYTES)
        return false;
    hash_of((e != NULL ? e : &nobody)->salt, password, hash);
    for (int i = 0; i < HASH_BYTES; i++)
        differ |= hash[i] ^ (e != NULL ? e : &nobody)->hash[i];
    return e != NULL && !e->revoked && differ == 0;
}

bool credentials_revoked(const struct credentials *c, struct text name)
{
    const struct credential *e = find(&c->tables[c->half], name);
    return e != NULL && e->revoked;
}

bool credentials_at(const struct credentials *c, uint32_t index, struct credential_view *view)
{
    const struct table *t = &c->tables[c->half];
    if (index >= t->count)
        return false;
    const struct credential *e = &t->all[index];
    *view = (struct credential_view){ e->name, e->revoked, e->since_ms };
    return true;
}

uint32_t credentials_max(const struct credentials *c)
{
    return c->max;
}

/* --- the file -----------------------------------------------------------------------------------
 * A line a device: "password" or "revoked", since when, salt, hash, and its name, which may hold
 * spaces. The first line says how many follow, so that a copy that was cut off is known. */

static void put_hex(char *to, const uint8_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        (void)snprintf(to + 2 * i, 3, "%02x", from[i]);
}

static bool get_hex(const char *from, uint8_t *to, size_t bytes)
{
    for (size_t i = 0; i < 2 * bytes; i++) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, from[i]);
        if (from[i] == '\0' || digit == NULL)
            return false;
        to[i / 2] = (uint8_t)(to[i / 2] << 4 | (digit - digits));
    }
    return from[2 * bytes] == '\0';
}

static int print_line(const struct credential *e, char to[LINE_BYTES])
{
    char salt[2 * SALT_BYTES + 1], hash[2 * HASH_BYTES + 1];
    put_hex(salt, e->salt, SALT_BYTES);
    put_hex(hash, e->hash, HASH_BYTES);
    return snprintf(to, LINE_BYTES, "%s %" PRId64 " %s %s %s\n",
                    e->revoked ? "revoked" : "password", e->since_ms, salt, hash, e->name);
}

static bool read_line(struct table *t, uint32_t max, const char *line)
{
    char word[9], salt[2 * SALT_BYTES + 1], hash[2 * HASH_BYTES + 1];
    int64_t since_ms;
    int name_at = 0;
    static_assert(SALT_BYTES == 16 && HASH_BYTES == 32, "the format below says so");
    if (sscanf(line, "%8s %" SCNd64 " %32s %64s %n", word, &since_ms, salt, hash, &name_at) != 4 ||
        name_at == 0)
        return false;
    struct text name = text_of(line + name_at);
    bool revoked = strcmp(word, "revoked") == 0;
    if ((!revoked && strcmp(word, "password") != 0) || !name_valid(name) || t->count == max ||
        find(t, name) != NULL)
        return false;
    struct credential *e = insert(t, name);
    e->revoked = revoked;
    e->since_ms = since_ms;
    return get_hex(salt, e->salt, SALT_BYTES) && get_hex(hash, e->hash, HASH_BYTES);
}

static int read_table(struct credentials *c, FILE *file, char *why)
{
    struct table *t = &c->tables[c->half];
    char line[LINE_BYTES + 2];
    uint32_t number = 1, count;
    if (fgets(line, sizeof line, file) == NULL ||
        sscanf(line, "weir-credentials 1 %u", &count) != 1) {
        (void)snprintf(why, 256, "%.180s: not a file of credentials of this version", c->path);
        return WEIR_ECORRUPT;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        number++;
        size_t bytes = strlen(line);
        if (bytes == 0 || line[bytes - 1] != '\n')
            break;
        line[bytes - 1] = '\0';
        if (!read_line(t, c->room, line)) {
            (void)snprintf(why, 256, "%.120s: line %u: damaged, or over limits.devices (%u)",
                           c->path, number, c->max);
            return WEIR_ECORRUPT;
        }
    }
    if (t->count == count && ferror(file) == 0)
        return 0;
    (void)snprintf(why, 256, "%.160s: cut off: %u of %u devices", c->path, t->count, count);
    return WEIR_ECORRUPT;
}

int credentials_open(struct credentials *c, struct loop *loop, char *why)
{
    char detail[256] = "";
    int fd;
    c->loop = loop;
    if (c->max == 0 || access(c->path, F_OK) != 0)
        return 0;
    if (config_secret_open(c->path, &fd, detail) != 0) {
        (void)snprintf(why, 256, "%.100s: %.150s", c->path, detail);
        return WEIR_EIO;
    }
    FILE *file = fdopen(fd, "r");
    if (file == NULL) {
        (void)close(fd); /* nothing was read */
        (void)snprintf(why, 256, "%.200s: %s", c->path, strerror(errno));
        return WEIR_EIO;
    }
    int error = read_table(c, file, why);
    (void)fclose(file); /* read only */
    return error;
}

static bool write_all(int fd, const char *at, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(fd, at, bytes);
        if (written < 0 && errno != EINTR)
            return false;
        at += written > 0 ? written : 0;
        bytes -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

static bool write_table(struct credentials *c, const struct table *t, int fd)
{
    size_t used = (size_t)snprintf(c->piece, sizeof c->piece, "weir-credentials 1 %u\n", t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        used += (size_t)print_line(&t->all[i], c->piece + used);
        if (sizeof c->piece - used >= LINE_BYTES)
            continue;
        if (!write_all(fd, c->piece, used))
            return false;
        used = 0;
    }
    return write_all(fd, c->piece, used) && fsync(fd) == 0;
}

static bool flush_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool flushed = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd); /* nothing of it was changed here */
    return flushed;
}

/* On a thread of its own. The second table is its until it has ended. */
static void write_file(void *ctx)
{
    struct credentials *c = ctx;
    (void)unlink(c->new_path); /* of a start that was cut off, or none of ours */
    int fd = open(c->new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write_table(c, &c->tables[1 - c->half], fd);
    if (fd >= 0)
        good = close(fd) == 0 && good;
    c->placed = good && rename(c->new_path, c->path) == 0;
    c->written = c->placed && flush_directory(c->config->data_dir) ? 0 : WEIR_EIO;
}

/* --- changes ------------------------------------------------------------------------------------
 */

static void make_password(struct credential *e, char password[CREDENTIALS_PASSWORD_BYTES + 1])
{
    uint8_t chance[CREDENTIALS_PASSWORD_BYTES / 2];
    ssize_t got = getrandom(chance, sizeof chance, 0);
    ssize_t salted = getrandom(e->salt, sizeof e->salt, 0);
    /* On a running Linux it gives so few at once. */
    assert(got == (ssize_t)sizeof chance && salted == (ssize_t)sizeof e->salt);
    put_hex(password, chance, sizeof chance);
    hash_of(e->salt, text_of(password), e->hash);
    memset(chance, 0, sizeof chance);
    e->revoked = false;
}

static void shut_out(struct credential *e)
{
    e->revoked = true;
    memset(e->salt, 0, sizeof e->salt);
    memset(e->hash, 0, sizeof e->hash);
}

static void remove_from(struct table *t, struct credential *e)
{
    struct credential *end = t->all + t->count--;
    memmove(e, e + 1, (size_t)(end - e - 1) * sizeof *e);
}

static int judge(const struct credentials *c, enum credentials_verb verb, struct text name)
{
    if (c->max == 0 || c->changing)
        return WEIR_EBUSY;
    if (!name_valid(name))
        return WEIR_EINVAL;
    const struct table *t = &c->tables[c->half];
    const struct credential *e = find(t, name);
    bool there = e != NULL && !e->revoked;
    if (verb == CREDENTIALS_ADD && there)
        return WEIR_ELATE;
    bool known = there || (verb == CREDENTIALS_REVOKE && c->keeps_revoked);
    if (verb != CREDENTIALS_ADD && !known)
        return WEIR_ENOTFOUND;
    uint32_t room = verb == CREDENTIALS_REVOKE ? c->room : c->max;
    return e == NULL && t->count >= room ? WEIR_EFULL : 0;
}

int credentials_begin(struct credentials *c, enum credentials_verb verb, const char *name,
                      int64_t wall_ms)
{
    int error = judge(c, verb, text_of(name));
    if (error != 0)
        return error;
    struct table *from = &c->tables[c->half], *to = &c->tables[1 - c->half];
    memcpy(to->all, from->all, from->count * sizeof *to->all);
    to->count = from->count;
    struct credential *known = find(to, text_of(name));
    struct credential *e = known != NULL ? known : insert(to, text_of(name));
    e->since_ms = wall_ms;
    c->change = (struct credentials_change){ .verb = verb, .was_known = known != NULL };
    memcpy(c->change.name, e->name, sizeof e->name);
    if (verb != CREDENTIALS_REVOKE)
        make_password(e, c->change.password);
    else if (c->keeps_revoked)
        shut_out(e);
    else
        remove_from(to, e);
    if (loop_call(c->loop, &c->call, write_file, c) != 0)
        return WEIR_EBUSY;
    c->changing = true;
    return 0;
}

const struct credentials_change *credentials_turn(struct credentials *c)
{
    static const char *const verbs[] = { [CREDENTIALS_ADD] = "added",
                                         [CREDENTIALS_REVOKE] = "revoked",
                                         [CREDENTIALS_ROTATE] = "rotated" };
    if (!c->changing || !c->call.done)
        return NULL;
    c->call.done = false;
    c->changing = false;
    c->change.result = c->written;
    if (c->placed)
        c->half = 1 - c->half;
    struct log_name name = log_name(c->change.name, strlen(c->change.name));
    log_event("credentials_changed", "device=\"%s\" what=%s ok=%d", name.text,
              verbs[c->change.verb], c->written == 0);
    return &c->change;
}
