#include "hal/press.h"

enum hal_press press_edge(struct press *p, bool down, int64_t at_ms)
{
    int64_t held_ms = at_ms - p->down_ms;
    bool was_down = p->down;
    p->down = down;
    if (down) {
        if (!was_down)
            p->down_ms = at_ms, p->told = false;
        return PRESS_NONE;
    }
    if (!was_down || p->told || held_ms < PRESS_BOUNCE_MS)
        return PRESS_NONE;
    if (held_ms >= PRESS_LONG_MS)
        return PRESS_LONG;
    return held_ms <= PRESS_SHORT_MS ? PRESS_SHORT : PRESS_NONE;
}

enum hal_press press_look(struct press *p, int64_t now_ms)
{
    if (!p->down || p->told || now_ms - p->down_ms < PRESS_LONG_MS)
        return PRESS_NONE;
    p->told = true;
    return PRESS_LONG;
}
