#include "pipeline/mqtt/fault.h"

#include <assert.h>

static const struct {
    uint8_t reason;
    const char *statement_3_1_1, *statement_5, *why;
} faults[MQTT_FAULTS] = {
    [MQTT_FAULT_NONE] = { 0, "", "", "" },
#define X(name, reason, v3, v5, why) [MQTT_FAULT_##name] = { MQTT_##reason, v3, v5, why },
    MQTT_PACKET_FAULTS(X) MQTT_STATE_FAULTS(X)
#undef X
};

struct mqtt_fault_view mqtt_fault_view(enum mqtt_fault fault, enum mqtt_version version)
{
    assert(fault < MQTT_FAULTS);
    bool is_old = version == MQTT_3_1_1;
    return (struct mqtt_fault_view){
        .reason = faults[fault].reason,
        .statement = is_old ? faults[fault].statement_3_1_1 : faults[fault].statement_5,
        .why = faults[fault].why,
    };
}
