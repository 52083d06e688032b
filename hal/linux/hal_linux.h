/* hal_linux: the hal of a running Linux machine. */
#ifndef HAL_LINUX_HAL_LINUX_H
#define HAL_LINUX_HAL_LINUX_H

#include "hal/hal.h"

/* `board` outlives the hal. `trust_system_clock`: the wall clock counts as synced even where the
 * kernel can't tell (no NTP client of its own, a container). */
struct hal hal_linux(const struct hal_board *board, bool trust_system_clock);

#endif
