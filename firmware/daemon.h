/* daemon: the running gateway: start, turns, stop. One in the process. */
#ifndef FIRMWARE_DAEMON_H
#define FIRMWARE_DAEMON_H

/* Run by this configuration until told to stop. Returns the exit status: 0 stopped in order, 1 it
 * could not start or had to give up (what was not committed is not acknowledged), 78 the
 * configuration is wrong. */
int daemon_run(const char *config_path);

#endif
