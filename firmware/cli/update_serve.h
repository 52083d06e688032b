/* update_serve: `weir update` for the gateway, which is nobody on this machine and may neither
 * write slots nor mount sticks: one request on the standard input, its answer on the standard
 * output, which a socket of the image's service manager gives to a process of root's. What takes
 * long is answered when it began, and goes on; the next request may ask how far it is.
 *
 *   status\n | check SOURCE\n | install SOURCE\n | confirm\n | rollback\n
 *
 * SOURCE as firmware/update/source.h has it. Nothing is forced here: an older version is what
 * somebody on the machine itself may ask for. Not even the gateway is trusted with more. */
#ifndef FIRMWARE_CLI_UPDATE_SERVE_H
#define FIRMWARE_CLI_UPDATE_SERVE_H

#include "firmware/update/rauc.h"
#include "firmware/update/source.h"
#include "pipeline/codec/json_writer.h"

struct update_service {
    const char *folder;       /* of the job */
    const char *fetches_into; /* where what is fetched grows */
    char version[64];         /* that runs */
    /* Does it, with words for people on the standard output and error; an exit status. In a child
     * of its own. */
    int (*act)(void *ctx, const char *verb, const char *bundle);
    void *ctx;
};

/* An exit status. */
int update_serve(const struct update_service *service);

/* Board, versions and slots, as members of an object. */
void update_put_machine(struct json_writer *w, const struct rauc_state *state, const char *version);

#endif
