/* press: what a person meant by a button: a short press, a long one, or nothing. Bounces are
 * shorter than any finger; a press that is neither short nor long was thought better of. Time comes
 * with each edge, on any one clock. */
#ifndef HAL_PRESS_H
#define HAL_PRESS_H

#include "hal/hal.h"

enum { PRESS_BOUNCE_MS = 30, PRESS_SHORT_MS = 2000, PRESS_LONG_MS = 10000 };

struct press { /* zero is a button that nobody touches */
    bool down;
    bool told;      /* that it is long */
    int64_t down_ms;
};

/* The button went down or up. */
enum hal_press press_edge(struct press *press, bool down, int64_t at_ms);
/* Time passed. */
enum hal_press press_look(struct press *press, int64_t now_ms);

#endif
