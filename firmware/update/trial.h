/* trial: what an installation leaves for the start that tries it: which slot, from which version to
 * which, and whether the uplink was connected then, so that the new slot is not kept when it can't
 * do that. A small text file on the data partition; written whole, or as it was. */
#ifndef FIRMWARE_UPDATE_TRIAL_H
#define FIRMWARE_UPDATE_TRIAL_H

#include <stdbool.h>

enum { TRIAL_TEXT_BYTES = 64 };

struct trial {
    char slot[8]; /* that was written: "B" */
    char from[TRIAL_TEXT_BYTES], to[TRIAL_TEXT_BYTES]; /* versions */
    bool uplink; /* it was connected */
};

/* WEIR_EIO: not written, and errno says why. */
int trial_write(const char *path, const struct trial *trial);
/* WEIR_ENOTFOUND: no update waits for its trial. */
int trial_read(const char *path, struct trial *trial);

/* The slot that runs, as the boot loader passed it on in the kernel's command line (/proc/cmdline);
 * empty: this machine has none. */
void trial_running_slot(const char *cmdline, char slot[8]);

#endif
