/* bring: an update's file from where it is to where the updater can read it: by HTTP or HTTPS into
 * a folder on the data partition, or off a USB stick. What it brings is not trusted: the updater
 * checks its signature. May wait for minutes; for commands, not for the daemon's loop. */
#ifndef FIRMWARE_UPDATE_BRING_H
#define FIRMWARE_UPDATE_BRING_H

#include <stdbool.h>
#include <stdint.h>

enum { BRING_PATH_BYTES = 512, BRING_WHY_BYTES = 256 };

bool bring_is_url(const char *word);

struct bring_source {
    const char *url;
    const char *authority;       /* PEM that HTTPS trusts, where it is there */
    uint64_t room_bytes;         /* the most that is written, whatever the server says or sends */
};

/* What the disk of `folder` has left, less what the store keeps free; 0 also where that can't be
 * told. */
uint64_t bring_room_bytes(const char *folder);

/* What an earlier try left counts only for the URL that it was of: of another one it goes, before
 * the room is looked at. */
void bring_begin(const char *url, const char *folder);

/* With the program curl, which goes on where an earlier try of the same URL ended. Into
 * `folder`/update.raucb. What does not fit is taken away again. 0, or WEIR_EIO and `why`. */
int bring_url(const struct bring_source *from, const char *folder, char path[BRING_PATH_BYTES],
              char why[BRING_WHY_BYTES]);
/* It was installed: the next one starts from nothing. */
void bring_forget(const char *folder);

/* The newest `weir-BOARD-*.raucb` at the top of the first USB disk that has one; the disk stays
 * mounted, read-only, on /run/weir-stick until bring_stick_done(). 0, or WEIR_ENOTFOUND and
 * `why`. */
int bring_stick(const char *board, char path[BRING_PATH_BYTES], char why[BRING_WHY_BYTES]);
void bring_stick_done(void);

#endif
