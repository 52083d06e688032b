/* button: what a press of the board's button does: a short one acknowledges every open alert, a
 * long one asks for the factory reset. That is not the gateway's to do: it leaves a file named
 * `factory-reset` beside its socket, which an image's own service looks for (docs/boards.md). */
#ifndef FIRMWARE_BOARD_BUTTON_H
#define FIRMWARE_BOARD_BUTTON_H

#include "firmware/gateway/gateway.h"
#include "hal/hal.h"

enum { BUTTON_ALERTS_A_TURN = 8 }; /* acknowledged; the rest in the next turns */

struct button { /* zero at first */
    bool acknowledging;
    uint32_t acknowledged; /* by this press */
};

/* Once a turn, with what board_turn saw. */
void button_turn(struct button *button, enum hal_press press, struct gateway *gateway,
                 const char *socket_path);

#endif
