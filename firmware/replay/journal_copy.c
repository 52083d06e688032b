#include "firmware/replay/journal_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/cli/cli.h"
#include "firmware/gateway/gateway.h"
#include "pipeline/err.h"

enum { COPY_BYTES = 1024 * 1024, WAL_HEADER_BYTES = 32, TRIES = 5 };

/* --- copying --- */

static int complain(const char *path, const char *what)
{
    (void)fprintf(stderr, "weir: %s: %s\n", path, what);
    return CLI_PROBLEM;
}

static int write_all(int to, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t wrote = write(to, bytes, count);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return -1;
        bytes += wrote;
        count -= (size_t)wrote;
    }
    return 0;
}

/* By the file system itself where it can. */
static int copy_bytes(int from, int to)
{
    static char buffer[COPY_BYTES];
    ssize_t got;
    while ((got = copy_file_range(from, NULL, to, NULL, 64 * COPY_BYTES, 0)) > 0)
        ;
    if (got == 0)
        return 0;
    while ((got = read(from, buffer, sizeof buffer)) != 0) {
        if (got < 0 && errno != EINTR)
            return -1;
        if (got > 0 && write_all(to, buffer, (size_t)got) != 0)
            return -1;
    }
    return 0;
}

/* 0, or -1 with errno; one that is not there is copied as none. */
static int copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return errno == ENOENT ? 0 : -1;
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int result = out < 0 ? -1 : copy_bytes(in, out);
    int error = errno;
    (void)close(in); /* it was read only */
    if (out >= 0 && close(out) != 0)
        result = -1;
    errno = error;
    return result;
}

/* Zero where there is no WAL. */
static void read_header(const char *path, char header[WAL_HEADER_BYTES])
{
    int in = open(path, O_RDONLY | O_CLOEXEC);
    memset(header, 0, WAL_HEADER_BYTES);
    if (in < 0)
        return;
    if (read(in, header, WAL_HEADER_BYTES) != WAL_HEADER_BYTES)
        memset(header, 0, WAL_HEADER_BYTES);
    (void)close(in);
}

static int copy_store(const char *path, const char *to)
{
    char wal[512], wal_to[512], before[WAL_HEADER_BYTES], after[WAL_HEADER_BYTES];
    (void)snprintf(wal, sizeof wal, "%s-wal", path);
    (void)snprintf(wal_to, sizeof wal_to, "%s-wal", to);
    if (access(path, R_OK) != 0)
        return complain(path, strerror(errno));
    for (int i = 0; i < TRIES; i++) {
        (void)unlink(wal_to); /* of the try before */
        read_header(wal, before);
        if (copy_file(path, to) != 0 || copy_file(wal, wal_to) != 0)
            return complain(to, strerror(errno));
        read_header(wal, after);
        if (memcmp(before, after, sizeof before) == 0)
            return CLI_OK;
    }
    return complain(path, "its gateway writes faster than it can be copied; try again, or copy it "
                          "while the gateway is stopped");
}

/* --- the store --- */

static int open_copy(struct journal_copy *c, const char *path, const char *copy)
{
    char why[256] = "";
    uint64_t entropy[2] = { 0 };
    const struct store_config config = {
        .path = copy,
        .disk_bytes_max = UINT64_C(1) << 42,
        .wal_bytes_max = 64 * 1024 * 1024,
        .journal_bytes_max = UINT64_MAX,
        .letters_bytes_max = UINT64_MAX,
    };
    int err = store_open(&config, entropy, &c->store, &c->recovery, why);
    if (err != 0)
        return complain(path, why[0] != '\0' ? why : weir_err_text(err));
    if (c->recovery.created)
        return complain(path, "it is damaged, or no store of Weir");
    return CLI_OK;
}

static int take_memory(struct journal_copy *c)
{
    struct block_limits limits = gateway_block_limits_max();
    struct arena arena = arena_measure();
    (void)block_reader_init(&limits, &arena);
    c->memory = calloc(1, arena.used + ARENA_ALIGN);
    c->block = malloc(limits.bytes_max);
    c->block_bytes = limits.bytes_max;
    if (c->memory == NULL || c->block == NULL)
        return complain("replay", "no memory");
    arena = arena_over(c->memory, arena.used);
    c->reader = block_reader_init(&limits, &arena);
    return CLI_OK;
}

int journal_copy_open(struct journal_copy *c, const char *path)
{
    const char *temporary = getenv("TMPDIR");
    char copy[300];
    *c = (struct journal_copy){ 0 };
    (void)snprintf(c->dir, sizeof c->dir, "%.200s/weir-replay-" "XX" "XX" "XX",
                   temporary != NULL && temporary[0] != '\0' ? temporary : "/var/tmp");
    if (mkdtemp(c->dir) == NULL) {
        int status = complain(c->dir, strerror(errno));
        c->dir[0] = '\0';
        return status;
    }
    (void)snprintf(copy, sizeof copy, "%s/weir.db", c->dir);
    int status = copy_store(path, copy);
    if (status == CLI_OK)
        status = open_copy(c, path, copy);
    return status == CLI_OK ? take_memory(c) : status;
}

void journal_copy_close(struct journal_copy *c)
{
    static const char *const files[] = { "weir.db", "weir.db-wal", "weir.db-shm",
                                         "weir.db.ballast", "weir.db.damaged",
                                         "weir.db.damaged-1", "weir.db-wal.damaged-1",
                                         "weir.db.damaged-1-wal" };
    char path[300];
    if (c->store != NULL)
        store_close(c->store);
    for (size_t i = 0; c->dir[0] != '\0' && i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", c->dir, files[i]);
        (void)unlink(path); /* most are not there */
    }
    if (c->dir[0] != '\0' && rmdir(c->dir) != 0)
        (void)complain(c->dir, strerror(errno));
    free(c->memory);
    free(c->block);
    *c = (struct journal_copy){ 0 };
}

int journal_copy_block(struct journal_copy *c, uint64_t from, uint64_t *number, struct text *bytes)
{
    size_t used = 0;
    *number = 0;
    int err = store_block_read(c->store, from, c->block, c->block_bytes, number, &used);
    if (err != 0) {
        (void)complain("the journal", err == WEIR_EFULL ? weir_err_text(err)
                                                        : store_why(c->store));
        return -1;
    }
    *bytes = (struct text){ (const char *)c->block, (uint32_t)used };
    return *number != 0;
}
