/* tap: reads one existing MQTT broker for one source, on libmosquitto's external loop, and sends
 * no PUBACK before the gateway says that the messages are committed.
 *
 * libmosquitto queues the PUBACK before it shows a message, and any write sends the whole queue.
 * So nothing is written while a message of this connection waits for its commit: there is one
 * flush function, and it is called only when none does. A connection that breaks drops the queue,
 * and the broker delivers again.
 *
 * The session on the broker outlives us (clean start off, expiry never). How many messages may
 * wait is the configured receive maximum: at that point the broker sends no more. */
#ifndef FIRMWARE_TAP_H
#define FIRMWARE_TAP_H

#include "firmware/gateway/gateway.h"
#include "firmware/loop.h"

struct tap; /* opaque */

struct tap_config {
    const struct config_source *source; /* outlives the tap */
    uint32_t index;                     /* of the source */
    uint32_t payload_bytes_max;
    const char *data_dir;
};

/* NULL while the arena only measures. */
struct tap *tap_init(const struct tap_config *config, struct arena *arena);

/* Make the client; before the heap is sealed. `seed` is for the back-off. WEIR_EIO, WEIR_EINVAL:
 * the library refused the settings (certificates, password), logged. */
int tap_open(struct tap *tap, struct loop *loop, struct gateway *gateway, uint64_t seed);

/* Within a turn: connect, take messages, keep the connection alive. At most `messages_max`. */
void tap_turn(struct tap *tap, int64_t mono_ms, uint32_t messages_max);

/* When the next turn is due, in hal_time.mono_ms. */
int64_t tap_next_turn_ms(const struct tap *tap);

/* As gateway_ports.source_acknowledge wants it. */
void tap_acknowledge(struct tap *tap);

/* Say goodbye to the broker, which keeps the session. Messages not yet committed stay with it. */
void tap_close(struct tap *tap);

#endif
