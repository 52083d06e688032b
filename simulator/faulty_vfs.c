#include "simulator/faulty_vfs.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "simulator/chance.h"
#include "simulator/faulty_medium.h"

enum { FILES_MAX = 12, NAME_BYTES_MAX = 120 };

struct file {
    char name[NAME_BYTES_MAX];
    bool seen_there, kept_there; /* in the directory as seen, and on the medium */
    struct medium medium;
};

struct handle {
    sqlite3_file base;
    struct file *file;
    uint64_t era;
    bool delete_on_close;
    bool sync_directory; /* with the first sync, as SQLite does for its journals */
};

static struct {
    struct file files[FILES_MAX];
    uint64_t era;              /* handles of an earlier one are dead */
    uint64_t chance;
    bool registered, off, cut;
    uint64_t operations, bytes_written, bytes_max;
    uint64_t cut_at, kill_at;  /* operation number; 0: none */
    uint64_t fail_from, fail_until, faults;
    bool fail_sync;
    enum faulty_error error;
} disk;

/* --- operations that may fail ---------------------------------------------------------------- */

enum outcome { GOES_ON, FAILS, NO_POWER };

static enum outcome operation(const struct handle *handle)
{
    if (disk.off || (handle != NULL && handle->era != disk.era))
        return NO_POWER;
    disk.operations++;
    if (disk.operations == disk.cut_at) {
        disk.off = true;
        disk.cut = true;
        return NO_POWER;
    }
    if (disk.operations == disk.kill_at) {
        disk.off = true;
        return NO_POWER;
    }
    if (disk.operations < disk.fail_from || disk.operations >= disk.fail_until)
        return GOES_ON;
    disk.faults++;
    return FAILS;
}

static bool dead(const struct handle *handle)
{
    return disk.off || handle->era != disk.era;
}

static uint64_t bytes_seen(void)
{
    uint64_t bytes = 0;
    for (int i = 0; i < FILES_MAX; i++)
        bytes += disk.files[i].seen_there ? disk.files[i].medium.seen.bytes : 0;
    return bytes;
}

static void write_now(struct file *file, const void *at, size_t offset, size_t bytes)
{
    medium_write(&file->medium, at, offset, bytes);
    disk.bytes_written += bytes;
}

static int on_write(sqlite3_file *base, const void *at, int count, sqlite3_int64 offset)
{
    struct handle *handle = (struct handle *)base;
    struct file *file = handle->file;
    size_t bytes = (size_t)count, end = (size_t)offset + bytes;
    bool was_off = dead(handle);
    enum outcome outcome = operation(handle);

    if (outcome == NO_POWER) {
        if (!was_off && disk.cut) /* under way when the power went */
            medium_promise(&file->medium, at, (size_t)offset, bytes);
        return SQLITE_IOERR_WRITE;
    }
    if (outcome == FAILS && disk.error == FAULTY_ENOSPC)
        return SQLITE_FULL;
    if (outcome == FAILS) {
        bytes = chance_below(&disk.chance, (uint32_t)bytes / MEDIUM_SECTOR_BYTES + 1) *
                MEDIUM_SECTOR_BYTES;
        write_now(file, at, (size_t)offset, bytes);
        return SQLITE_IOERR_WRITE;
    }
    if (disk.bytes_max > 0 && end > file->medium.seen.bytes &&
        bytes_seen() + (end - file->medium.seen.bytes) > disk.bytes_max)
        return SQLITE_FULL;
    write_now(file, at, (size_t)offset, bytes);
    return SQLITE_OK;
}

static void directory_sync(void)
{
    for (int i = 0; i < FILES_MAX; i++)
        disk.files[i].kept_there = disk.files[i].seen_there;
}

static int on_sync(sqlite3_file *base, int flags)
{
    struct handle *handle = (struct handle *)base;
    enum outcome outcome = operation(handle);

    (void)flags;
    if (outcome == NO_POWER)
        return SQLITE_IOERR_FSYNC;
    if (outcome == GOES_ON && disk.fail_sync) {
        disk.faults++;
        outcome = FAILS;
    }
    disk.fail_sync = false;
    if (handle->sync_directory)
        directory_sync();
    handle->sync_directory = false;
    medium_settle(&handle->file->medium, outcome == FAILS ? &disk.chance : NULL);
    return outcome == FAILS ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 bytes)
{
    struct handle *handle = (struct handle *)base;

    if (operation(handle) != GOES_ON)
        return SQLITE_IOERR_TRUNCATE;
    medium_truncate(&handle->file->medium, (size_t)bytes);
    return SQLITE_OK;
}

/* --- operations that do not ------------------------------------------------------------------ */

static int on_read(sqlite3_file *base, void *to, int count, sqlite3_int64 offset)
{
    struct handle *handle = (struct handle *)base;
    const struct image *seen = &handle->file->medium.seen;
    size_t from = (size_t)offset, bytes = (size_t)count;

    if (dead(handle))
        return SQLITE_IOERR_READ;
    size_t there = from < seen->bytes ? seen->bytes - from : 0;
    there = there < bytes ? there : bytes;
    if (there > 0)
        memcpy(to, seen->at + from, there);
    memset((uint8_t *)to + there, 0, bytes - there);
    return there == bytes ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int on_size(sqlite3_file *base, sqlite3_int64 *bytes)
{
    struct handle *handle = (struct handle *)base;
    *bytes = (sqlite3_int64)handle->file->medium.seen.bytes;
    return dead(handle) ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static int on_lock(sqlite3_file *base, int level)
{
    (void)base;
    (void)level;
    return SQLITE_OK;
}

static int on_check_lock(sqlite3_file *base, int *reserved)
{
    (void)base;
    *reserved = 0;
    return SQLITE_OK;
}

static int on_control(sqlite3_file *base, int code, void *argument)
{
    (void)base;
    (void)code;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int on_sector(sqlite3_file *base)
{
    (void)base;
    return MEDIUM_SECTOR_BYTES;
}

static int on_character(sqlite3_file *base)
{
    (void)base;
    return 0;
}

/* --- the directory --------------------------------------------------------------------------- */

static struct file *file_find(const char *name)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (strcmp(disk.files[i].name, name) == 0)
            return &disk.files[i];
    return NULL;
}

static struct file *file_make(const char *name)
{
    struct file *file = file_find(name);
    if (file == NULL)
        file = file_find(""); /* never used */
    assert(file != NULL);
    assert(strlen(name) < NAME_BYTES_MAX);
    memcpy(file->name, name, strlen(name) + 1);
    if (!file->seen_there) {
        medium_empty(&file->medium);
        file->seen_there = true;
    }
    return file;
}

static void file_delete(struct file *file)
{
    file->seen_there = false;
    medium_forget(&file->medium);
}

static int on_close(sqlite3_file *base)
{
    struct handle *handle = (struct handle *)base;
    if (handle->delete_on_close && !dead(handle))
        file_delete(handle->file);
    return SQLITE_OK;
}

static const sqlite3_io_methods METHODS = {
    .iVersion = 1, /* no shared memory: the store holds its file for itself */
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_lock,
    .xCheckReservedLock = on_check_lock,
    .xFileControl = on_control,
    .xSectorSize = on_sector,
    .xDeviceCharacteristics = on_character,
};

enum { JOURNALS = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL | SQLITE_OPEN_SUPER_JOURNAL };

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *given)
{
    struct handle *handle = (struct handle *)base;
    struct file *file = name == NULL ? NULL : file_find(name);

    (void)vfs;
    memset(handle, 0, sizeof *handle);
    bool there = file != NULL && file->seen_there;
    if (disk.off || (!there && (flags & SQLITE_OPEN_CREATE) == 0))
        return SQLITE_CANTOPEN;
    handle->file = file_make(name == NULL ? "(unnamed)" : name);
    handle->era = disk.era;
    handle->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    handle->sync_directory = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & JOURNALS) != 0;
    handle->base.pMethods = &METHODS;
    if (given != NULL)
        *given = flags;
    return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    struct file *file = file_find(name);

    (void)vfs;
    if (disk.off)
        return SQLITE_IOERR_DELETE;
    if (file == NULL || !file->seen_there)
        return SQLITE_IOERR_DELETE_NOENT;
    if (operation(NULL) != GOES_ON)
        return SQLITE_IOERR_DELETE;
    file_delete(file);
    if (sync_directory)
        directory_sync();
    return SQLITE_OK;
}

static int on_access(sqlite3_vfs *vfs, const char *name, int flags, int *there)
{
    const struct file *file = file_find(name);

    (void)vfs;
    (void)flags;
    *there = file != NULL && file->seen_there && file->medium.seen.bytes > 0; /* as unix */
    return disk.off ? SQLITE_IOERR_ACCESS : SQLITE_OK;
}

static int on_full_name(sqlite3_vfs *vfs, const char *name, int bytes, char *to)
{
    (void)vfs;
    return snprintf(to, (size_t)bytes, "%s", name) < bytes ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int on_randomness(sqlite3_vfs *vfs, int bytes, char *to)
{
    (void)vfs;
    for (int i = 0; i < bytes; i++)
        to[i] = (char)(chance_next(&disk.chance) & 0x7f);
    return bytes;
}

static int on_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int on_time(sqlite3_vfs *vfs, double *days)
{
    (void)vfs;
    *days = 2460000.5;
    return SQLITE_OK;
}

static sqlite3_vfs VFS = {
    .iVersion = 1,
    .szOsFile = sizeof(struct handle),
    .mxPathname = NAME_BYTES_MAX - 1,
    .zName = FAULTY_VFS_NAME,
    .xOpen = on_open,
    .xDelete = on_delete,
    .xAccess = on_access,
    .xFullPathname = on_full_name,
    .xRandomness = on_randomness,
    .xSleep = on_sleep,
    .xCurrentTime = on_time,
};

/* --- life, death and return ------------------------------------------------------------------ */

static void disk_clear(void)
{
    for (int i = 0; i < FILES_MAX; i++) {
        struct file *file = &disk.files[i];
        file->name[0] = '\0';
        file->seen_there = file->kept_there = false;
        medium_empty(&file->medium);
    }
}

void faulty_vfs_begin(uint64_t seed)
{
    disk_clear();
    disk.chance = seed;
    disk.era++;
    disk.off = false;
    disk.cut = false;
    disk.operations = 0;
    disk.bytes_written = 0;
    disk.bytes_max = 0;
    faulty_vfs_disarm();
    if (!disk.registered) {
        int code = sqlite3_vfs_register(&VFS, 1);
        assert(code == SQLITE_OK);
        (void)code;
        disk.registered = true;
    }
    sqlite3_randomness(0, NULL); /* it begins again, from our seed */
}

void faulty_vfs_end(void)
{
    disk_clear();
    for (int i = 0; i < FILES_MAX; i++) {
        medium_free(&disk.files[i].medium);
        disk.files[i] = (struct file){ 0 };
    }
    if (disk.registered)
        (void)sqlite3_vfs_unregister(&VFS); /* it was registered, so this can't fail */
    disk.registered = false;
}

void faulty_vfs_cut_at(uint64_t n)
{
    assert(n > 0);
    disk.cut_at = disk.operations + n;
}

void faulty_vfs_kill_at(uint64_t n)
{
    assert(n > 0);
    disk.kill_at = disk.operations + n;
}

void faulty_vfs_fail_at(uint64_t n, uint64_t count, enum faulty_error error)
{
    assert(n > 0);
    disk.fail_from = disk.operations + n;
    disk.fail_until = disk.fail_from + count;
    disk.error = error;
    disk.faults = 0;
}

void faulty_vfs_fail_sync(void)
{
    disk.fail_sync = true;
    disk.error = FAULTY_EIO;
    disk.faults = 0;
}

void faulty_vfs_disarm(void)
{
    disk.fail_sync = false;
    disk.cut_at = 0;
    disk.kill_at = 0;
    disk.fail_from = 0;
    disk.fail_until = 0;
    disk.faults = 0;
}

void faulty_vfs_cut(uint64_t seed)
{
    uint64_t chance = seed;

    for (int i = 0; i < FILES_MAX; i++) {
        struct file *file = &disk.files[i];
        medium_settle(&file->medium, &chance);
        if (file->seen_there != file->kept_there) /* made or deleted, and not yet synced */
            file->kept_there = chance_below(&chance, 2) == 0;
        file->seen_there = file->kept_there;
        medium_reread(&file->medium, file->kept_there);
    }
    disk.off = true;
    disk.cut = true;
    disk.era++;
}

void faulty_vfs_kill(void)
{
    disk.off = true;
    disk.era++;
}

void faulty_vfs_power_on(void)
{
    assert(disk.off);
    disk.off = false;
    disk.cut = false;
    disk.era++;
    faulty_vfs_disarm();
}

bool faulty_vfs_is_cut(void)
{
    return disk.cut;
}

bool faulty_vfs_is_off(void)
{
    return disk.off;
}

enum faulty_error faulty_vfs_last_error(void)
{
    return disk.error;
}

uint64_t faulty_vfs_faults(void)
{
    return disk.faults;
}

uint64_t faulty_vfs_operations(void)
{
    return disk.operations;
}

uint64_t faulty_vfs_bytes_written(void)
{
    return disk.bytes_written;
}

void faulty_vfs_room(uint64_t bytes)
{
    disk.bytes_max = bytes;
}
