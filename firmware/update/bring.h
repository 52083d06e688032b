/* bring: an update's file from where it is to where the updater can read it: by HTTP or HTTPS into
 * a folder on the data partition, or off a USB stick. What it brings is not trusted: the updater
 * checks its signature. May wait for minutes; for commands, not for the daemon's loop. */
#ifndef FIRMWARE_UPDATE_BRING_H
#define FIRMWARE_UPDATE_BRING_H

#include <stdbool.h>

enum { BRING_PATH_BYTES = 512, BRING_WHY_BYTES = 256 };

bool bring_is_url(const char *word);

/* With the program curl, which goes on where an earlier try of the same URL ended. HTTPS trusts the
 * certificates of `authority` (PEM) where that file is there, else the system's. Into
 * `folder`/update.raucb; no more than the disk can hold. 0, or WEIR_EIO and `why`. */
int bring_url(const char *url, const char *folder, const char *authority,
              char path[BRING_PATH_BYTES], char why[BRING_WHY_BYTES]);
/* It was installed: the next one starts from nothing. */
void bring_forget(const char *folder);

/* The newest `weir-BOARD-*.raucb` at the top of the first USB disk that has one; the disk stays
 * mounted, read-only, on /run/weir-stick until bring_stick_done(). 0, or WEIR_ENOTFOUND and
 * `why`. */
int bring_stick(const char *board, char path[BRING_PATH_BYTES], char why[BRING_WHY_BYTES]);
void bring_stick_done(void);

#endif
