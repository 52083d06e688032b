/* uplink_client: everything that is Paho's. Its callbacks run on Paho's threads and only note what
 * happened in the queue; the functions are called on the loop, and none of them waits. What to do
 * about it all is uplink_mqtt.c's. */
#ifndef FIRMWARE_UPLINK_CLIENT_H
#define FIRMWARE_UPLINK_CLIENT_H

#include "firmware/config/config.h"
#include "firmware/uplink/uplink_queue.h"

struct uplink_client { /* one in the process; stands still */
    const struct config_uplink *config;
    struct uplink_queue *queue;
    void *paho;
    char uri[CONFIG_PATH_BYTES_MAX + 32];
    char password[512];
};

/* Before the heap is sealed. WEIR_EIO, WEIR_EINVAL: the library refused the settings, logged. */
int uplink_client_open(struct uplink_client *c, const struct config_uplink *config,
                       struct uplink_queue *queue);

/* Again, after a client that owed an answer was destroyed. WEIR_EIO, logged. */
int uplink_client_make(struct uplink_client *c);
void uplink_client_destroy(struct uplink_client *c);

/* Begin; CONNECTED or ENDED follows in the queue. NULL, or why nothing was begun. */
const char *uplink_client_connect(struct uplink_client *c);
/* To receipts and replay requests, if the configuration has them. UNFIT follows where it failed. */
void uplink_client_subscribe(struct uplink_client *c);
/* ENDED follows. */
void uplink_client_close(struct uplink_client *c);

/* Paho copies the payload; SENT, FAILED or REFUSED with the token follows. WEIR_EAGAIN */
int uplink_client_send(struct uplink_client *c, const char *topic, struct text payload,
                       uintptr_t token);

/* For good. */
void uplink_client_end(struct uplink_client *c);

#endif
