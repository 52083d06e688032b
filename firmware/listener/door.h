/* door: what strangers may cost before they have shown who they are. Two bounds:
 *
 * Time: all work for clients that are not connected yet (to accept, handshakes, passwords) has
 * DOOR_PERCENT of the loop's time, on average over about a second; the rest belongs to those that
 * are connected. A flood of handshakes makes newcomers wait, nobody else.
 *
 * Attempts: each address (IPv6: each /64) may fail DOOR_FAILURES_FREE times; then it is not
 * listened to for 250 ms, 500 ms, and so on up to 30 s. A failure is forgotten after
 * DOOR_FORGET_MS, and all when somebody from there is let in: many devices may share an
 * address, and one of them with an old password is not to shut out the rest. The table is fixed;
 * where it is full, the address that failed longest ago is forgotten.
 *
 * Pure: time is a parameter, in one clock that never goes back. */
#ifndef FIRMWARE_DOOR_H
#define FIRMWARE_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/hash.h"

enum {
    DOOR_PERCENT = 20,
    DOOR_SAVED_NS = 50 * 1000 * 1000, /* at most this much unused time is kept for later */
    DOOR_FAILURES_FREE = 8,
    DOOR_FORGET_MS = 4000,
    DOOR_WAIT_MS = 250,
    DOOR_WAIT_MAX_MS = 30000,
    DOOR_WAYS = 4,
    DOOR_ADDRESSES = 1024 /* a multiple of DOOR_WAYS */
};

struct door_address {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d; of IPv6 the last 8 are 0 */
};

struct door_entry {
    struct door_address address;
    uint32_t failures;  /* 0: free */
    int64_t counted_ms; /* from when on they are forgotten */
    int64_t until_ms;   /* not listened to before */
};

struct door {
    struct hash_key key; /* so that nobody chooses whose entry he displaces */
    struct door_entry entries[DOOR_ADDRESSES];
    int64_t saved_ns, counted_ns;
};

void door_init(struct door *door, struct hash_key key);

bool door_listens(const struct door *door, const struct door_address *from, int64_t now_ms);
void door_failed(struct door *door, const struct door_address *from, int64_t now_ms);
void door_passed(struct door *door, const struct door_address *from);

/* Whether there is time for strangers; and what some of it was spent. */
bool door_has_time(struct door *door, int64_t now_ns);
void door_spent(struct door *door, int64_t ns);
/* How long until there is some again. */
int64_t door_wait_ns(const struct door *door);

#endif
