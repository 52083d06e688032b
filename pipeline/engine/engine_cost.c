/* What a device with one metric costs in memory: measured by laying out many and twice as many. */
#include "pipeline/engine/engine_state.h"

enum { MANY = 8192 }; /* tables are powers of two: both are as full as they get */

static size_t bytes_of(struct engine_config config, uint32_t count)
{
    struct arena arena = arena_measure();
    config.devices_max = config.series_max = count;
    (void)engine_init(&config, &arena); /* NULL: it only measures */
    return arena.used;
}

static size_t bytes_each(const struct engine_config *config)
{
    return (bytes_of(*config, 2 * MANY) - bytes_of(*config, MANY)) / MANY;
}

struct engine_cost engine_cost(const struct engine_config *config)
{
    struct engine_config bare = *config;
    bare.rule_count = bare.rules_per_series = 0;
    uint32_t held = config->reorder_ms > 0 ? config->reorder_slots : 0;
    struct engine_cost cost = {
        .total = bytes_each(config),
        .statistics = sizeof(struct series),
        .windows = windows_bytes(&config->window),
        .recent = (config->recent + held) * sizeof(struct sample),
        .rules = bytes_each(config) - bytes_each(&bare),
        .duplicates = dedup_bytes(&config->dedup),
        .alert = sizeof(union open_alert),
    };
    cost.rest = cost.total - cost.statistics - cost.windows - cost.recent - cost.rules -
                cost.duplicates - cost.alert;
    return cost;
}
