/* uplink_queue: hands what a client library's threads learn over to the loop: one bounded queue
 * under one lock, and an eventfd that wakes the loop. Nothing here waits.
 *
 * The queue has room for the answers of two connections. Should it overflow all the same, that is
 * remembered, and the loop gives up the connection: then every row in flight is sent again, so a
 * lost answer costs a repetition and no row. Messages from the receiver beyond UPLINK_MESSAGES are
 * dropped and counted: receipts repeat. */
#ifndef FIRMWARE_UPLINK_QUEUE_H
#define FIRMWARE_UPLINK_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/arena.h"
#include "pipeline/codec/codec_json_receipt.h"

enum { UPLINK_MESSAGES = 8, UPLINK_REASON_BYTES = 160 };

enum uplink_event_kind {
    UPLINK_EVENT_CONNECTED,
    UPLINK_EVENT_ENDED, /* or never was: the library has closed it */
    UPLINK_EVENT_UNFIT, /* there is a connection, but it is of no use: ours to close */
    UPLINK_EVENT_SENT,
    UPLINK_EVENT_FAILED, /* connection trouble */
    UPLINK_EVENT_REFUSED /* by a reason code */
};

struct uplink_event {
    enum uplink_event_kind kind;
    uintptr_t token; /* SENT, FAILED, REFUSED: the publish's own */
};

struct uplink_message {
    bool replay; /* else a receipt */
    uint32_t bytes;
    char payload[RECEIPT_BYTES_MAX];
};

struct uplink_queue { /* everything but `fd` under the lock */
    pthread_mutex_t lock;
    int fd; /* eventfd: readable when something is in the queue */
    struct uplink_event *events;
    uint32_t capacity, count;
    bool overrun;
    char reason[UPLINK_REASON_BYTES]; /* of the last end or refusal, for the log */
    struct uplink_message messages[UPLINK_MESSAGES];
    uint32_t message_count;
    uint64_t messages_dropped;
};

/* Takes its room; with a measuring arena nothing else. */
void uplink_queue_init(struct uplink_queue *q, uint32_t capacity, struct arena *arena);
int uplink_queue_open(struct uplink_queue *q); /* 0, WEIR_EIO */
void uplink_queue_close(struct uplink_queue *q);

/* From any thread. `reason` may be NULL; it is copied and cut. */
void uplink_queue_note(struct uplink_queue *q, enum uplink_event_kind kind, uintptr_t token,
                       const char *reason);
void uplink_queue_reason(struct uplink_queue *q, const char *reason, size_t bytes);
void uplink_queue_message(struct uplink_queue *q, bool replay, const void *payload, size_t bytes);

struct uplink_taken {
    uint32_t count;
    bool overrun;
    char reason[UPLINK_REASON_BYTES];
};

/* On the loop: all events in order, into `to` ([capacity]). */
struct uplink_taken uplink_queue_take(struct uplink_queue *q, struct uplink_event *to);
/* The oldest message; false: none. */
bool uplink_queue_take_message(struct uplink_queue *q, struct uplink_message *to);

#endif
