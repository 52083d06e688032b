/* golive: `weir check --go-live`: is this gateway ready for what hangs on it? Each question of the
 * list is answered by the running gateway's own figures, its configuration, and its board's. */
#ifndef FIRMWARE_CLI_GOLIVE_H
#define FIRMWARE_CLI_GOLIVE_H

#include "firmware/cli/client.h"
#include "firmware/config/config.h"

/* `config` is the file's. CLI_OK: all is well; CLI_PROBLEM: something is not, or is not known yet,
 * or no gateway answers. */
int golive(const struct config *config, const struct client_options *options);

#endif
