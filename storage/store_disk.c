#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/store_internal.h"

/* Everything goes through the same VFS as the database, so that a simulated disk holds it too. */

enum { FILL_BYTES = 64 * 1024, DAMAGED_MAX = 3 };

struct side_file {
    sqlite3_file *file;
    char path[STORE_PATH_BYTES_MAX + 32];
};

static sqlite3_vfs *vfs_of(struct store *s)
{
    return sqlite3_vfs_find(s->config.vfs);
}

/* SQLite wants the name of a file that it opens to end in two zero bytes. */
static int side_open(struct store *s, const char *suffix, int flags, struct side_file *side)
{
    sqlite3_vfs *vfs = vfs_of(s);
    int given = 0;

    memset(side->path, 0, sizeof side->path);
    (void)snprintf(side->path, sizeof side->path - 2, "%s%s", s->path, suffix);
    side->file = sqlite3_malloc(vfs->szOsFile);
    if (side->file == NULL)
        return SQLITE_NOMEM;
    memset(side->file, 0, (size_t)vfs->szOsFile);
    return vfs->xOpen(vfs, side->path, side->file, flags | SQLITE_OPEN_SUPER_JOURNAL, &given);
}

static void side_close(struct side_file *side)
{
    if (side->file != NULL && side->file->pMethods != NULL)
        (void)side->file->pMethods->xClose(side->file); /* what matters was synced before */
    sqlite3_free(side->file);
    side->file = NULL;
}

static void side_delete(struct store *s, const char *suffix)
{
    sqlite3_vfs *vfs = vfs_of(s);
    char path[STORE_PATH_BYTES_MAX + 32];

    (void)snprintf(path, sizeof path, "%s%s", s->path, suffix);
    (void)vfs->xDelete(vfs, path, 1); /* absent is as good as deleted */
}

/* Noise, because some file systems do not allocate what compresses away. */
static int ballast_fill(struct store *s, sqlite3_file *file, uint64_t from)
{
    uint64_t x = s->state.store_id[0] | 1;
    int code = SQLITE_OK;

    assert(s->packed_bytes >= FILL_BYTES);
    for (size_t i = 0; i + sizeof x <= FILL_BYTES; i += sizeof x) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(s->packed + i, &x, sizeof x);
    }
    for (uint64_t at = from; code == SQLITE_OK && at < s->config.ballast_bytes; at += FILL_BYTES) {
        uint64_t left = s->config.ballast_bytes - at;
        code = file->pMethods->xWrite(file, s->packed, left < FILL_BYTES ? (int)left : FILL_BYTES,
                                      (sqlite3_int64)at);
    }
    return code == SQLITE_OK ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : code;
}

uint64_t disk_ballast_half(const struct store *s)
{
    return s->config.ballast_bytes / 2 / STORE_PAGE_BYTES * STORE_PAGE_BYTES;
}

/* As much of it as fits: the whole, half of it, or nothing. */
int disk_ballast_make(struct store *s)
{
    struct side_file side;
    uint64_t whole = s->config.ballast_bytes, half = disk_ballast_half(s);
    sqlite3_int64 bytes = 0;

    s->ballast_wait = STORE_BALLAST_WAIT;
    if (whole == 0)
        return 0;
    int code = side_open(s, ".ballast", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &side);
    if (code == SQLITE_OK)
        code = side.file->pMethods->xFileSize(side.file, &bytes);
    uint64_t from = (uint64_t)bytes == half ? half : 0;
    if (code == SQLITE_OK && (uint64_t)bytes != whole)
        code = side.file->pMethods->xTruncate(side.file, (sqlite3_int64)from);
    if (code == SQLITE_OK && (uint64_t)bytes != whole)
        code = ballast_fill(s, side.file, from);
    if (code != SQLITE_OK && from > 0)
        (void)side.file->pMethods->xTruncate(side.file, (sqlite3_int64)from); /* as it was */
    side_close(&side);
    s->ballast_bytes = code == SQLITE_OK ? whole : from;
    if (s->ballast_bytes == 0)
        side_delete(s, ".ballast");
    return code == SQLITE_OK ? 0 : WEIR_ENOSPC;
}

bool disk_ballast_halve(struct store *s)
{
    struct side_file side;
    uint64_t half = disk_ballast_half(s);

    if (s->ballast_bytes <= half)
        return false;
    int code = side_open(s, ".ballast", SQLITE_OPEN_READWRITE, &side);
    if (code == SQLITE_OK)
        code = side.file->pMethods->xTruncate(side.file, (sqlite3_int64)half);
    side_close(&side);
    s->ballast_bytes = half;
    if (code != SQLITE_OK || half == 0)
        disk_ballast_release(s);
    s->ballast_wait = STORE_BALLAST_WAIT;
    return true;
}

void disk_ballast_release(struct store *s)
{
    side_delete(s, ".ballast");
    s->ballast_bytes = 0;
    s->ballast_wait = STORE_BALLAST_WAIT;
}

/* After a failed flush the kernel may hold the WAL's newest bytes as clean although they never
 * reached the medium (Rebello et al., "Can Applications Recover from fsync Failures?", 2020).
 * Written again, they are dirty again, and the next flush tells the truth about them. */
int disk_scrub_wal(struct store *s)
{
    struct side_file side;
    sqlite3_int64 bytes = 0;
    int code = side_open(s, "-wal", SQLITE_OPEN_READWRITE, &side);

    if (code != SQLITE_OK) { /* no WAL: nothing to doubt */
        side_close(&side);
        return (code & 0xff) == SQLITE_CANTOPEN ? 0 : store_error(s, code);
    }
    code = side.file->pMethods->xFileSize(side.file, &bytes);
    for (sqlite3_int64 at = 0; code == SQLITE_OK && at < bytes; at += FILL_BYTES) {
        int part = bytes - at < FILL_BYTES ? (int)(bytes - at) : FILL_BYTES;
        code = side.file->pMethods->xRead(side.file, s->packed, part, at);
        if (code == SQLITE_OK)
            code = side.file->pMethods->xWrite(side.file, s->packed, part, at);
    }
    if (code == SQLITE_OK)
        code = side.file->pMethods->xSync(side.file, SQLITE_SYNC_FULL);
    side_close(&side);
    return code == SQLITE_OK ? 0 : store_error(s, code);
}

static bool side_exists(struct store *s, const char *suffix)
{
    sqlite3_vfs *vfs = vfs_of(s);
    char path[STORE_PATH_BYTES_MAX + 32];
    int there = 0;

    (void)snprintf(path, sizeof path, "%s%s", s->path, suffix);
    return vfs->xAccess(vfs, path, SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK && there != 0;
}

/* On a simulated disk nobody looks at a damaged file again, so there it is deleted. */
static void move_aside(struct store *s, const char *suffix, const char *to_suffix)
{
    char from[STORE_PATH_BYTES_MAX + 32], to[STORE_PATH_BYTES_MAX + 64];

    (void)snprintf(from, sizeof from, "%s%s", s->path, suffix);
    (void)snprintf(to, sizeof to, "%s%s%s", s->path, to_suffix, suffix);
    if (s->config.vfs != NULL || rename(from, to) != 0)
        side_delete(s, suffix); /* also when it can't be renamed: a new file must begin */
}

/* A line for each file that was set aside: a new store can't know what the damaged one knew. (Of a
 * single byte SQLite's xFileSize says 0.) */
static void count_set_aside(struct store *s)
{
    struct side_file side;
    sqlite3_int64 bytes = 0;
    int code = side_open(s, ".damaged", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &side);

    if (code == SQLITE_OK)
        code = side.file->pMethods->xFileSize(side.file, &bytes);
    if (code == SQLITE_OK)
        code = side.file->pMethods->xWrite(side.file, "+\n", 2, bytes);
    if (code == SQLITE_OK)
        (void)side.file->pMethods->xSync(side.file, SQLITE_SYNC_NORMAL);
    side_close(&side); /* a disk that does not even take this has worse to tell */
}

uint64_t disk_set_aside_count(struct store *s)
{
    struct side_file side;
    sqlite3_int64 bytes = 0;

    if (side_open(s, ".damaged", SQLITE_OPEN_READWRITE, &side) == SQLITE_OK)
        (void)side.file->pMethods->xFileSize(side.file, &bytes);
    side_close(&side);
    return (uint64_t)bytes / 2;
}

void disk_set_aside(struct store *s)
{
    char suffix[32];
    int n = 1;

    count_set_aside(s);
    (void)snprintf(suffix, sizeof suffix, ".damaged-%d", n);
    while (n < DAMAGED_MAX && side_exists(s, suffix))
        (void)snprintf(suffix, sizeof suffix, ".damaged-%d", ++n);
    /* the file first: a log without its file is deleted by SQLite, a file without its log would
     * be taken for a good one */
    move_aside(s, "", suffix);
    move_aside(s, "-wal", suffix);
    move_aside(s, "-journal", suffix);
    disk_doubt(s, DOUBT_NONE);
}

void disk_doubt(struct store *s, enum doubt doubt)
{
    struct side_file side;
    const char *mark = doubt == DOUBT_ALL ? "!" : "?";

    if (doubt == DOUBT_NONE) {
        side_delete(s, ".suspect");
        return;
    }
    /* if even this can't be written, the next start meets the damage again and tries again */
    int code = side_open(s, ".suspect", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &side);
    if (code == SQLITE_OK) /* SQLite's xAccess takes an empty file for none */
        (void)side.file->pMethods->xWrite(side.file, mark, 1, 0);
    side_close(&side);
}

enum doubt disk_doubted(struct store *s)
{
    struct side_file side;
    char mark = '?';

    if (!side_exists(s, ".suspect"))
        return DOUBT_NONE;
    if (side_open(s, ".suspect", SQLITE_OPEN_READWRITE, &side) == SQLITE_OK)
        (void)side.file->pMethods->xRead(side.file, &mark, 1, 0); /* unreadable: every page */
    side_close(&side);
    return mark == '!' ? DOUBT_ALL : DOUBT_PAGES;
}

static uint64_t file_bytes(struct store *s, int which)
{
    sqlite3_file *file = NULL;
    sqlite3_int64 bytes = 0;

    int code = sqlite3_file_control(s->db, "main", which, &file);
    if (code != SQLITE_OK || file == NULL || file->pMethods == NULL ||
        file->pMethods->xFileSize(file, &bytes) != SQLITE_OK)
        return 0; /* figures for people; the budget does not hang on them */
    return (uint64_t)bytes;
}

uint64_t disk_file_bytes(struct store *s)
{
    return file_bytes(s, SQLITE_FCNTL_FILE_POINTER);
}

uint64_t disk_wal_bytes(struct store *s)
{
    return file_bytes(s, SQLITE_FCNTL_JOURNAL_POINTER);
}
