#include "pipeline/mqtt/reason.h"

#include <stddef.h>

struct row {
    uint8_t code;
    uint16_t places;
    const char *text;
};

enum place_letter {
    C = MQTT_IN_CONNACK,
    P = MQTT_IN_PUBACK,
    R = MQTT_IN_PUBREL,
    S = MQTT_IN_SUBACK,
    U = MQTT_IN_UNSUBACK,
    D = MQTT_IN_DISCONNECT,
    p = MQTT_IN_PUBACK_FROM_CLIENT,
    d = MQTT_IN_DISCONNECT_FROM_CLIENT,
    a = MQTT_IN_AUTH_FROM_CLIENT
};

static const struct row rows[] = {
#define X(name, code, places, text) { code, places, text },
    MQTT_REASONS(X)
#undef X
};

static const struct row *find(uint8_t reason)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].code == reason)
            return &rows[i];
    return NULL;
}

bool mqtt_reason_allowed(uint8_t reason, enum mqtt_place place)
{
    const struct row *row = find(reason);
    return row != NULL && (row->places & place) != 0;
}

const char *mqtt_reason_text(uint8_t reason)
{
    const struct row *row = find(reason);
    return row != NULL ? row->text : "unknown reason";
}

int mqtt_reason_to_return_code(uint8_t reason)
{
    switch (reason) {
    case MQTT_SUCCESS:
        return 0;
    case MQTT_UNSUPPORTED_VERSION:
        return 1;
    case MQTT_CLIENT_ID_NOT_VALID:
        return 2;
    case MQTT_SERVER_UNAVAILABLE:
    case MQTT_SERVER_BUSY:
    case MQTT_QUOTA_EXCEEDED:
    case MQTT_CONNECTION_RATE_EXCEEDED:
        return 3;
    case MQTT_BAD_CREDENTIALS:
        return 4;
    case MQTT_NOT_AUTHORIZED:
    case MQTT_BANNED:
        return 5;
    default:
        return -1;
    }
}
