/* load: what the daemon itself knows of pressure: how long its turns take, and how much memory it
 * has taken. Both are told to the gateway each turn. */
#ifndef FIRMWARE_LOAD_H
#define FIRMWARE_LOAD_H

#include "firmware/gateway/gateway.h"

struct load {
    int64_t begun_ns;        /* of the turn, by the kernel's monotonic clock */
    int64_t memory_ms;       /* hal_time.mono_ms when it was looked at */
    uint32_t memory_percent; /* anonymous, of what may be taken */
};

void load_begin_turn(struct load *load);
void load_end_turn(struct load *load, const struct hal *hal, uint64_t memory_bytes_max,
                   int64_t mono_ms, struct gateway *gateway);

#endif
