/* socket: a TCP socket that listens. */
#ifndef FIRMWARE_SOCKET_H
#define FIRMWARE_SOCKET_H

#include "firmware/config/config.h"

/* Non-blocking, at an address that the configuration has checked: IPv4, IPv6 or "localhost". -1:
 * see errno. */
int socket_listen(const struct config_broker *at, int backlog);

#endif
