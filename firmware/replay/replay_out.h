/* replay_out: what a replay makes, as JSON Lines: alerts and corrections as they leave a gateway
 * (with a sequence of zero, since they stand in no lane), window results and results of streams as
 * objects; those of a warm-up with the member `warmup`: true. */
#ifndef FIRMWARE_REPLAY_OUT_H
#define FIRMWARE_REPLAY_OUT_H

#include <stdio.h>

#include "firmware/gateway/replay.h"

struct inventory;
struct replay_out {
    FILE *file;             /* NULL: nothing is written */
    bool renders;           /* for somebody else, then: it keeps what that needs */
    const char *path;
    bool marks;             /* the caller's: what comes is of a warm-up, and says so */
    const struct replay *replay;
    struct inventory *inventory; /* as the journal says; made when it first does */
    void *memory;
};

/* CLI_OK, or CLI_PROBLEM told on stderr. `path` NULL: nothing is to be written. */
int replay_out_open(struct replay_out *o, const char *path, const struct replay *replay);
/* As it leaves a gateway, in that lane; into `to` ([ENVELOPE_ALERT_BYTES_MAX]). */
struct text replay_out_render(const struct replay_out *o, uint32_t lane,
                              const struct alert_event *event, char *to);
/* Likewise a correction, the number-th of its block; into `to` ([ENVELOPE_ALERT_BYTES_MAX]). */
struct replay_late {
    const struct stream_late *late;
    uint32_t number;
};
struct text replay_out_render_late(const struct replay_out *o, uint32_t lane,
                                   const struct replay_late *what, char *to);
/* A stream's result as an object, as it is kept in the store (result_body.h); until the next. */
enum { REPLAY_BODY_BYTES = 64 * 1024 };
struct text replay_out_body(const struct stream_result *result, char to[REPLAY_BODY_BYTES]);
void replay_out_late(struct replay_out *o, const struct replay_late *what);
void replay_out_alert(struct replay_out *o, const struct alert_event *event);
void replay_out_result(struct replay_out *o, const struct window_result *result);
void replay_out_stream(struct replay_out *o, const struct stream_result *result);
void replay_out_inventory(struct replay_out *o, struct text content);
/* A configuration came into force: its gateway begins without an inventory. */
void replay_out_start(struct replay_out *o);
int replay_out_close(struct replay_out *o);

#endif
