/* board: reads a board's hal.conf: `key = value` lines, # begins a comment. The keys are the fields
 * of struct hal_board; one that is left out is not there. No time, no heap of ours. */
#ifndef HAL_BOARD_H
#define HAL_BOARD_H

#include "hal/hal.h"

enum { HAL_WHY_BYTES = 256 };

/* WEIR_EINVAL with a sentence in `why` (HAL_WHY_BYTES), its line named: the file can't be read, a
 * key is unknown or twice there, a value does not fit. On error nothing changed. */
int hal_board_read(const char *path, struct hal_board *board, char *why);

#endif
