/* budget: what this configuration costs in memory, a line for each module, measured by the very
 * calls that will carve it (pipeline/arena.h). `weir check` and the start of `weir run` print it.
 */
#ifndef FIRMWARE_BUDGET_H
#define FIRMWARE_BUDGET_H

#include <stdio.h>

#include "firmware/config.h"

enum { BUDGET_LINES = 8 };

struct budget {
    struct {
        const char *module;
        size_t bytes;
    } lines[BUDGET_LINES];
    size_t total_bytes;
};

struct budget budget_of(const struct config *config);
void budget_print(const struct budget *budget, const struct config *config, FILE *out);

#endif
