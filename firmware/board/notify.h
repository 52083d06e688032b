/* notify: tells the service manager how we are (sd_notify's datagram, without its library).
 * Nothing happens where NOTIFY_SOCKET is not set. */
#ifndef FIRMWARE_NOTIFY_H
#define FIRMWARE_NOTIFY_H

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=...". */
void notify(const char *state);

#endif
