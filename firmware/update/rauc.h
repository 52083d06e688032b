/* rauc: the updater of a board's image, asked over D-Bus (de.pengutronix.rauc, RAUC 1.8). It
 * checks signatures, writes the slot that is not running, and keeps the boot state; this is only
 * how we talk to it. Every call may wait for it: for seconds, rauc_install for minutes. For
 * commands, not for the daemon's loop. */
#ifndef FIRMWARE_UPDATE_RAUC_H
#define FIRMWARE_UPDATE_RAUC_H

#include <stdbool.h>

enum { RAUC_TEXT_BYTES = 512, RAUC_SLOTS_MAX = 8 };

struct rauc; /* one connection */

struct rauc_bundle {
    char compatible[64]; /* which boards it is for */
    char version[64];
};

struct rauc_slot {
    char name[32];     /* "rootfs.0" */
    char bootname[8];  /* "A" */
    char state[16];    /* "booted", "inactive" */
    char good[16];     /* what the boot loader thinks of it: "good", "bad" */
    char version[64];  /* of the bundle that was written into it; empty: not known */
};

struct rauc_state {
    char compatible[64];
    char operation[32]; /* "idle", else "installing", and nothing of what follows is known */
    char primary[32];   /* the slot that starts next */
    struct rauc_slot slots[RAUC_SLOTS_MAX];
    int slot_count;
};

/* 0 or WEIR_ENOTFOUND: there is no bus; a machine that no image of ours runs. */
int rauc_open(struct rauc **rauc);
void rauc_close(struct rauc *rauc);

/* What went wrong last, in RAUC's own words. */
const char *rauc_why(const struct rauc *rauc);

/* All of these: WEIR_EIO and rauc_why when RAUC, or its answer, is not there. */
int rauc_state(struct rauc *rauc, struct rauc_state *state);
/* Checks the bundle's signature; nothing changes. `path` is a URL where RAUC streams: of a server
 * that gives ranges, it reads what it needs. */
int rauc_bundle(struct rauc *rauc, const char *path, struct rauc_bundle *bundle);
/* Until it is done; `progress` is told of percent and step as they change. */
int rauc_install(struct rauc *rauc, const char *path,
                 void (*progress)(int percent, const char *step));
/* state: "good", "bad" or "active"; slot: "booted", "other" or a slot's name. */
int rauc_mark(struct rauc *rauc, const char *state, const char *slot);

#endif
