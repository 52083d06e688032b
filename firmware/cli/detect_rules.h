/* detect_rules: what rules other than the baseline say of a recorded device, at a desk: an engine
 * of its own takes the readings, as the gateway's would. */
#ifndef FIRMWARE_CLI_DETECT_RULES_H
#define FIRMWARE_CLI_DETECT_RULES_H

#include <stdbool.h>

/* Of "cycle", "siblings", or both with a comma; false: it names another. */
bool detect_rules_named(const char *names);

/* Prints the alarms of the file. An exit status; what is wrong stands on stderr. */
int detect_rules(const char *path, const char *names, bool json);

#endif
