/* faulty_vfs: a disk in memory on which SQLite's files lie, and which fails on purpose.
 *
 * It tells apart what programs see and what the medium holds. A write is seen at once and durable
 * with the next sync of its file; a power cut decides for each write since then whether it was
 * kept, lost or torn (each sector of 512 bytes by itself), and for each file made or deleted since
 * the directory was synced (with the first sync of a journal or WAL) whether that happened. A sync
 * that fails decides the same way at once, and the kernel then takes the bytes for written, as
 * real ones do. The disk promises no more than that: no write of many sectors is atomic, and none
 * spares the rest of a sector that it touches.
 *
 * Deterministic: all chance comes from the seeds, also what SQLite draws (it is the default VFS
 * while it is in use). One disk at a time and one thread; locks always succeed, so it is no place
 * to try two processes. Not for files beyond some MiB: everything is held twice. */
#ifndef SIMULATOR_FAULTY_VFS_H
#define SIMULATOR_FAULTY_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define FAULTY_VFS_NAME "faulty"

enum faulty_error {
    FAULTY_EIO,    /* of a write: a part of it may have happened */
    FAULTY_ENOSPC
};

/* An empty disk, power on, nothing armed; what an earlier one held is given back. Every connection
 * to that was closed. */
void faulty_vfs_begin(uint64_t seed);
void faulty_vfs_end(void);

/* Operations are writes, syncs, truncations and deletions. The n-th from now (1: the next) ... */
void faulty_vfs_cut_at(uint64_t n);  /* ... finds the power gone, and so does everything after it */
/* ... is never reached: the process is gone, what it wrote is seen and still not synced */
void faulty_vfs_kill_at(uint64_t n);
/* ... fails, and so do those after it, `count` of them. */
void faulty_vfs_fail_at(uint64_t n, uint64_t count, enum faulty_error error);
/* The next sync fails, whatever comes before it. */
void faulty_vfs_fail_sync(void);
void faulty_vfs_disarm(void);        /* none of them any more */

/* The power is gone: what was not synced is kept, lost or torn, drawn from `seed`. After cut_at it
 * settles that cut. Every call fails until power_on, and handles from before fail for ever; the
 * connections that hold them are closed before power_on. */
void faulty_vfs_cut(uint64_t seed);
/* kill -9: everything written is still seen (and still not synced). Handles fail as above. */
void faulty_vfs_kill(void);
void faulty_vfs_power_on(void);

bool faulty_vfs_is_cut(void);            /* by cut_at or cut, until power_on */
bool faulty_vfs_is_off(void);            /* that, or killed by kill_at or kill */
enum faulty_error faulty_vfs_last_error(void); /* that fail_at was armed with last */
uint64_t faulty_vfs_faults(void);        /* errors given by fail_at since it was armed */
uint64_t faulty_vfs_operations(void);    /* since begin */
uint64_t faulty_vfs_bytes_written(void); /* since begin */
void faulty_vfs_room(uint64_t bytes);    /* the disk's size; 0: no limit, as at first */

#endif
