/* update_gate: whether a slot that was started may be kept: the gateway answers and has not
 * failed, its store is open and commits, a reading goes from MQTT to disk, and the uplink is
 * connected where it was before the update. */
#ifndef FIRMWARE_CLI_UPDATE_GATE_H
#define FIRMWARE_CLI_UPDATE_GATE_H

#include "firmware/cli/client.h"

enum gate_part { GATE_DAEMON, GATE_STORE, GATE_READING, GATE_UPLINK, GATE_PARTS };
enum { GATE_WHAT_BYTES = 160 };

struct gate {
    struct {
        bool passed;
        char what[GATE_WHAT_BYTES]; /* how it is, for people */
    } parts[GATE_PARTS];
};

/* Of what `weir status --json` says; empty text: no gateway answers. All but GATE_READING. */
void gate_judge(struct gate *gate, struct text status, bool uplink_wanted);

/* Asks the gateway, judges, and lets a reading through (firmware/update/probe.h) in `folder` when
 * the rest is well. True: all passed. */
bool gate_pass(struct gate *gate, const struct client_options *options, bool uplink_wanted,
               const char *folder);

void gate_print(const struct gate *gate, bool json);

#endif
