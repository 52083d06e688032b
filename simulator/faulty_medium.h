/* faulty_medium: one file of a faulty disk, twice: as programs see it, and as the medium holds it.
 * What was written is only promised until it is settled: by a sync, which keeps it all, or by a
 * power cut or a failed sync, which keep, lose or tear each write as chance has it (faulty_vfs.h
 * says how). No limits and no errors of its own: those are faulty_vfs.c's. */
#ifndef SIMULATOR_FAULTY_MEDIUM_H
#define SIMULATOR_FAULTY_MEDIUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MEDIUM_SECTOR_BYTES = 512 };

struct image {
    uint8_t *at;
    size_t bytes, room;
};

struct change { /* not settled yet: a write, or (at NULL) a truncation to `offset` */
    uint8_t *at;
    size_t offset, bytes;
};

struct medium { /* zero at first */
    struct image seen, kept;
    struct change *changes;
    size_t change_count, change_room;
};

/* Seen at once, and promised. */
void medium_write(struct medium *m, const void *at, size_t offset, size_t bytes);
void medium_truncate(struct medium *m, size_t bytes);
/* Promised alone: a write that was under way when the power went. */
void medium_promise(struct medium *m, const void *at, size_t offset, size_t bytes);

/* What was promised reaches the medium: all of it (chance NULL), or what chance keeps. */
void medium_settle(struct medium *m, uint64_t *chance);
/* After a cut is settled: what is seen is what was kept; nothing, if the file is not `there`. */
void medium_reread(struct medium *m, bool there);

void medium_forget(struct medium *m); /* what was promised */
void medium_empty(struct medium *m);
void medium_free(struct medium *m);

#endif
