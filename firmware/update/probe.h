/* probe: a reading's whole way, tried with the program that asks: a gateway with an empty store of
 * its own starts on the disk of `folder`, a reading is published to it over MQTT at QoS 1, and is
 * acknowledged, which it is when it is on disk. What the site's own gateway holds is not touched.
 * Takes seconds, at most two minutes; for commands, not for the daemon's loop. */
#ifndef FIRMWARE_UPDATE_PROBE_H
#define FIRMWARE_UPDATE_PROBE_H

enum { PROBE_WHAT_BYTES = 160 };

/* Works in `folder`/probe, which it makes and removes; as root its gateway runs as the user
 * `weir`, where there is one. 0, or WEIR_EIO; `what` says how it went either way. */
int probe_run(const char *folder, char what[PROBE_WHAT_BYTES]);

#endif
