/* journal_copy: a store's file as it is at one moment, opened as a store of its own, so that it can
 * be read while a gateway runs on the original, or starts: that is locked by nobody, and not
 * written to.
 *
 * The file is copied first and its WAL after it. Pages that move from the WAL into the file
 * meanwhile stand in the WAL's copy too, as long as the WAL does not begin anew; its header tells,
 * and then the copy is made again. The copy is in a directory of its own under TMPDIR, else
 * /var/tmp, and goes with it. */
#ifndef FIRMWARE_REPLAY_JOURNAL_COPY_H
#define FIRMWARE_REPLAY_JOURNAL_COPY_H

#include "storage/block.h"
#include "storage/store.h"

struct journal_copy {
    char dir[256];
    struct store *store;
    struct store_recovery recovery;
    struct block_reader *reader;  /* for any block of this version */
    uint8_t *block;
    size_t block_bytes;
    void *memory;
};

/* CLI_OK, or CLI_PROBLEM with what is wrong on stderr. journal_copy_close either way. */
int journal_copy_open(struct journal_copy *c, const char *path);
void journal_copy_close(struct journal_copy *c);

/* The first block numbered `from` or more: 1, 0 when there is none, -1 told on stderr. Its bytes
 * stand until the next call. */
int journal_copy_block(struct journal_copy *c, uint64_t from, uint64_t *number,
                       struct text *bytes);

#endif
