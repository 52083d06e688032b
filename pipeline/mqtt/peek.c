#include "pipeline/mqtt/packet_parts.h"

uint32_t mqtt_peek(const uint8_t *at, uint32_t bytes, struct text *topic)
{
    struct wire r = { .at = at, .bytes = bytes };
    uint8_t first = wire_u8(&r);
    uint32_t body_bytes = wire_varint(&r);
    uint32_t header_bytes = r.used;
    *topic = (struct text){ 0 };
    if (r.fault != MQTT_FAULT_NONE)
        return 0;
    if (first >> 4 == MQTT_PUBLISH)
        *topic = wire_binary(&r); /* empty where it is not there whole */
    return header_bytes + body_bytes;
}
