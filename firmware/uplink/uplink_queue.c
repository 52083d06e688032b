#include "firmware/uplink/uplink_queue.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pipeline/err.h"

void uplink_queue_init(struct uplink_queue *q, uint32_t capacity, struct arena *arena)
{
    struct uplink_event *events = arena_take(arena, capacity, sizeof *events);
    if (events == NULL)
        return;
    *q = (struct uplink_queue){ .fd = -1, .events = events, .capacity = capacity };
}

int uplink_queue_open(struct uplink_queue *q)
{
    int err = pthread_mutex_init(&q->lock, NULL);
    assert(err == 0);
    q->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return q->fd >= 0 ? 0 : WEIR_EIO;
}

void uplink_queue_close(struct uplink_queue *q)
{
    (void)close(q->fd); /* nothing was written that matters */
    q->fd = -1;
}

static void ring(struct uplink_queue *q)
{
    uint64_t one = 1;
    ssize_t written = write(q->fd, &one, sizeof one);
    (void)written; /* it fails only when the counter is full, and then the loop is awake anyway */
}

static void set_reason(struct uplink_queue *q, const char *reason, size_t bytes)
{
    bytes = bytes < UPLINK_REASON_BYTES - 1 ? bytes : UPLINK_REASON_BYTES - 1;
    memcpy(q->reason, reason, bytes);
    q->reason[bytes] = '\0';
}

void uplink_queue_note(struct uplink_queue *q, enum uplink_event_kind kind, uintptr_t token,
                       const char *reason)
{
    pthread_mutex_lock(&q->lock);
    if (reason != NULL)
        set_reason(q, reason, strlen(reason));
    if (q->count == q->capacity)
        q->overrun = true;
    else
        q->events[q->count++] = (struct uplink_event){ kind, token };
    pthread_mutex_unlock(&q->lock);
    ring(q);
}

void uplink_queue_reason(struct uplink_queue *q, const char *reason, size_t bytes)
{
    pthread_mutex_lock(&q->lock);
    set_reason(q, reason, bytes);
    pthread_mutex_unlock(&q->lock);
}

void uplink_queue_message(struct uplink_queue *q, bool replay, const void *payload, size_t bytes)
{
    pthread_mutex_lock(&q->lock);
    if (bytes <= RECEIPT_BYTES_MAX && q->message_count < UPLINK_MESSAGES) {
        struct uplink_message *message = &q->messages[q->message_count++];
        message->replay = replay;
        message->bytes = (uint32_t)bytes;
        if (bytes > 0)
            memcpy(message->payload, payload, bytes);
    } else {
        q->messages_dropped++;
    }
    pthread_mutex_unlock(&q->lock);
    ring(q);
}

struct uplink_taken uplink_queue_take(struct uplink_queue *q, struct uplink_event *to)
{
    struct uplink_taken taken;
    uint64_t rings;
    ssize_t got = read(q->fd, &rings, sizeof rings);
    (void)got; /* whether it rang or not, the queue tells */
    pthread_mutex_lock(&q->lock);
    taken.count = q->count;
    memcpy(to, q->events, q->count * sizeof *to);
    q->count = 0;
    taken.overrun = q->overrun;
    q->overrun = false;
    memcpy(taken.reason, q->reason, sizeof taken.reason);
    pthread_mutex_unlock(&q->lock);
    return taken;
}

bool uplink_queue_take_message(struct uplink_queue *q, struct uplink_message *to)
{
    pthread_mutex_lock(&q->lock);
    bool any = q->message_count > 0;
    if (any) {
        *to = q->messages[0];
        q->message_count--;
        memmove(&q->messages[0], &q->messages[1], q->message_count * sizeof q->messages[0]);
    }
    pthread_mutex_unlock(&q->lock);
    return any;
}
