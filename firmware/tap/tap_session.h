/* tap_session: whether a broker has had a session of ours, also before this start. Without knowing
 * that, a broker that forgot it while we were down looks like one that never had it. A file in the
 * data directory for each source names the client id and the broker. It is a hint for a log line
 * and nothing else: one that can't be read or written is as good as none. */
#ifndef FIRMWARE_TAP_SESSION_H
#define FIRMWARE_TAP_SESSION_H

#include "firmware/config/config.h"

bool tap_session_known(const char *data_dir, const struct config_source *source);
/* From now on it is. Blocks on the disk. */
void tap_session_note(const char *data_dir, const struct config_source *source);

#endif
