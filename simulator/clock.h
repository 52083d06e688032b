/* clock: what time it is, for programs that talk to the real world. */
#ifndef SIMULATOR_CLOCK_H
#define SIMULATOR_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
