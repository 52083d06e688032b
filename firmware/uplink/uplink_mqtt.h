/* uplink_mqtt: carries outbox rows to the cloud's MQTT 5 broker, on Paho's MQTTAsync.
 *
 * Paho holds the in-flight window and nothing else: clean start, session expiry 0, no persistence,
 * no buffer while offline, no reconnecting of its own (a session kept over a cut connection sends
 * a freed message and wedges for good; measured). Every failure comes back to the gateway, whose
 * outbox sends the row again. Paho's two threads hand over through one bounded queue and an
 * eventfd; everything else runs on the loop.
 *
 * A row counts as sent when the broker's PUBACK for it came. When a connection ends, every row in
 * flight is reported as failed first, then the uplink as lost. When a certificate's file changes,
 * sending pauses, the window drains, and the next connection reads the new files. */
#ifndef FIRMWARE_UPLINK_MQTT_H
#define FIRMWARE_UPLINK_MQTT_H

#include "firmware/gateway/gateway.h"
#include "firmware/loop.h"

struct uplink; /* opaque */

/* NULL while the arena only measures. `config` outlives the uplink. */
struct uplink *uplink_init(const struct config *config, struct arena *arena);

struct uplink_start {
    struct loop *loop;
    struct gateway *gateway;
    const struct json_memory *json;
    uint64_t store_id[2]; /* receipts for another store are not ours */
    uint64_t seed;        /* for the back-off */
};

/* Before the heap is sealed. WEIR_EIO, WEIR_EINVAL: the library refused the settings, logged. */
int uplink_open(struct uplink *u, const struct uplink_start *start);

/* Within a turn. */
void uplink_turn(struct uplink *u, int64_t mono_ms);
int64_t uplink_next_turn_ms(const struct uplink *u);

/* As gateway_ports.uplink_send wants it. Paho copies the row. */
int uplink_send(struct uplink *u, const struct outbox_row *row);

void uplink_close(struct uplink *u);

#endif
