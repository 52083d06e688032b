/* cli_alerts: what `weir alerts` has files of its own for. */
#ifndef FIRMWARE_CLI_CLI_ALERTS_H
#define FIRMWARE_CLI_CLI_ALERTS_H

#include "firmware/cli/client.h"

/* How often people are called; the exit status. */
int cli_alerts_report(const struct client_options *options);

#endif
