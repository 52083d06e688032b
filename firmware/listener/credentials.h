/* credentials: who may publish to our listeners: a name, which is the device's, and a password that
 * we made: 128 random bits. Kept is its salted SHA-256: a slow hash gains nothing at that strength,
 * and would be a way to stop the loop. Compared in constant time.
 *
 * They live in a file of their own beside the store, not in it: a damaged store is set aside and a
 * new one begins, and that must not lock every device out. The file is written whole, on a thread,
 * flushed, and put in place by rename: a kill or power cut leaves the old or the new one.
 *
 * Bounded by limits.devices, and 256 more that can only be revoked where certificates are taken.
 * Two tables: a change is made in the second, and counts when its file is in place. One change at a
 * time. */
#ifndef FIRMWARE_CREDENTIALS_H
#define FIRMWARE_CREDENTIALS_H

#include "firmware/config/config.h"
#include "firmware/loop.h"
#include "pipeline/arena.h"

enum { CREDENTIALS_PASSWORD_BYTES = 32 }; /* in hexadecimal digits */

struct credentials; /* opaque */

/* NULL while the arena only measures. Room only where a listener asks for passwords. */
struct credentials *credentials_init(const struct config *config, struct arena *arena);

/* Read the file; none there: nobody yet. WEIR_ECORRUPT, WEIR_EIO with a sentence in `why` (256
 * bytes). */
int credentials_open(struct credentials *c, struct loop *loop, char *why);

/* Whether this is the device's password now. */
bool credentials_match(const struct credentials *c, struct text name, struct text password);
/* Whether this device was told to stay away, whatever it shows. */
bool credentials_revoked(const struct credentials *c, struct text name);

/* --- changes ------------------------------------------------------------------------------------
 */

enum credentials_verb {
    CREDENTIALS_ADD,    /* a new device, or one that was revoked */
    /* Where certificates are taken it stays in the table as revoked, also one that never had a
     * password: its certificate is still good for the authority that signed it. Else it goes. */
    CREDENTIALS_REVOKE,
    CREDENTIALS_ROTATE  /* a new password; the old one is good no more */
};

struct credentials_change {
    enum credentials_verb verb;
    char name[READING_NAME_BYTES_MAX + 1];
    char password[CREDENTIALS_PASSWORD_BYTES + 1]; /* out: ADD, ROTATE */
    bool was_known; /* it had an entry; a certificate alone may name one that has none */
    /* 0, or WEIR_EIO: nothing changed, or the directory's flush failed, and it is in effect until a
     * power cut may undo it */
    int result;
};

/* Begin a change. WEIR_EBUSY: another is under way, or no
 * device is known here; WEIR_EINVAL: that is no device's name; WEIR_EFULL; WEIR_ENOTFOUND: there is
 * none to revoke or rotate; WEIR_ELATE: to add one that is there. On an error nothing changed. */
int credentials_begin(struct credentials *c, enum credentials_verb verb, const char *name,
                      int64_t wall_ms);

/* Within a turn: the change that has just ended, until the next begins; NULL: none.
 * The log tells of it. */
const struct credentials_change *credentials_turn(struct credentials *c);

/* --- looking ------------------------------------------------------------------------------------
 */

struct credential_view {
    const char *name;
    bool revoked;
    int64_t since_ms; /* wall time of the last change */
};
/* The n-th in order of name; false: there are no more. */
bool credentials_at(const struct credentials *c, uint32_t index, struct credential_view *view);
uint32_t credentials_max(const struct credentials *c);

#endif
