/* updater: asks the updater of a board's image, through a Unix socket of its service manager's:
 * each connection is a process of root's there (`weir update serve`), one line to it and one back.
 * One question at a time; never waits, no heap. */
#ifndef FIRMWARE_UPDATER_H
#define FIRMWARE_UPDATER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/update/source.h"

enum { UPDATER_PATIENCE_MS = 25000 };

struct loop;       /* firmware/loop.h */
struct loop_watch; /* likewise */

struct updater_answer {
    uint32_t status; /* of HTTP; 504: none came in time, 502: none that can be read */
    uint32_t bytes;  /* of JSON; with 502 and 504 none */
    char json[UPDATE_ANSWER_BYTES];
};

struct updater { /* its own */
    const char *path;
    struct loop *loop;
    struct loop_watch *watch;
    bool asks;
    int fd;
    int64_t until_ms; /* mono */
    size_t used;
    char came[UPDATE_ANSWER_BYTES];
};

/* `path` outlives it; empty: there is none. */
void updater_init(struct updater *u, const char *path, struct loop *loop);

/* `line` with its end, of at most UPDATE_LINE_BYTES. Not while one is asked.
 *   WEIR_ENOTFOUND  nobody listens there
 *   WEIR_EAGAIN     too many ask already
 *   WEIR_EIO        errno says why */
int updater_ask(struct updater *u, const char *line, int64_t mono_ms);

/* Once a turn: true when the question that was asked is over, and *answer is there. */
bool updater_turn(struct updater *u, int64_t mono_ms, struct updater_answer *answer);

#endif
