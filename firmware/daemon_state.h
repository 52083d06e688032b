/* daemon_state: what the daemon's own files share. Nobody else includes this. */
#ifndef FIRMWARE_DAEMON_STATE_H
#define FIRMWARE_DAEMON_STATE_H

#include "firmware/api/api.h"
#include "firmware/board/board.h"
#include "firmware/board/button.h"
#include "firmware/committer.h"
#include "firmware/listener/credentials.h"
#include "firmware/api/http.h"
#include "firmware/fold_progress.h"
#include "firmware/inventory_file.h"
#include "firmware/listener/listener.h"
#include "firmware/pii_key.h"
#include "firmware/sizing/load.h"
#include "firmware/listener/sessions.h"
#include "firmware/loop.h"
#include "firmware/tap/tap.h"
#include "firmware/uplink/uplink_mqtt.h"
#include "hal/linux/hal_linux.h"

struct reload { /* daemon_reload.c */
    struct config configs[2];
    enum {
        RELOADING_NOTHING,
        RELOADING_ASKED,   /* the worker has other questions first */
        RELOADING_FILE,    /* the worker reads it; configs, diff, text and outcome are its own */
        RELOADING_GATEWAY  /* takes it over */
    } step;
    struct config_diff diff;
    const char *outcome;   /* of reading and comparing; NULL: it can be taken over */
    int64_t read_us, swap_us; /* it was read and compared for so long; the loop was held */
    bool again;               /* SIGHUP came meanwhile: the file may be another by now */
    struct api_reload report;
    char text[API_RELOAD_TEXT_BYTES];
};

struct daemon {
    const char *config_path;
    struct config config; /* of the start: what adapters go by, in all that may not change */
    struct reload reload;
    struct hal_linux machine;
    struct hal hal;
    struct board board;
    struct button button;
    struct hal_time now;
    struct loop *loop;
    struct store *store;
    struct store_recovery recovery;
    struct fold_progress folding; /* of the start */
    size_t spare_bytes;   /* of the memory that there may be, beside the budget */
    struct committer committer;
    struct gateway *gateway;
    struct tap *taps[CONFIG_SOURCES_MAX];           /* NULL: the source is a listener */
    struct listener *listeners[CONFIG_SOURCES_MAX]; /* NULL: it is not */
    struct sessions *sessions;                      /* NULL: no source is a listener */
    struct uplink *uplink; /* NULL: none is configured */
    struct inventory_file *inventory;
    struct credentials *credentials;
    struct api *api;
    struct http *http;
    int64_t notified_ms;
    struct load load;
    struct pii_key pii_key;
    uint32_t first_source; /* of this turn: each in rotation */
};

/* daemon_start.c: everything up to the first turn, with the reason on stderr. 0, or the exit
 * status. Seals the heap. */
int daemon_start(struct daemon *d, const char *config_path);
/* The inventory's file again; `ctx` is the daemon. */
int daemon_reload_inventory(void *ctx, char *why);

/* daemon_reload.c: for the API and SIGHUP; `ctx` is the daemon. */
int daemon_reload_begin(void *ctx);
const struct api_reload *daemon_reload_report(void *ctx);
void daemon_reload_turn(struct daemon *d);
void daemon_reload_again(struct daemon *d); /* now, or after the one that is under way */
void daemon_reload_end_turn(struct daemon *d); /* gateway_end_turn, which may swap */

#endif
