/* The engine's memory by part, from the layout itself: what one more device with one metric takes. */
#include <stdio.h>

#include "pipeline/engine_state.h"
#include "tests/bench/pipeline_bench.h"

static size_t engine_bytes(struct engine_config config, uint32_t devices, uint32_t series)
{
    struct arena arena = arena_measure();
    config.devices_max = devices;
    config.series_max = series;
    (void)engine_init(&config, &arena);
    return arena.used;
}

void print_memory(const struct config *config)
{
    enum { FEW = 4096, MANY = 8192 }; /* tables are powers of two: both are full */
    const struct engine_config *c = &config->engine;
    size_t few = engine_bytes(*c, FEW, FEW), many = engine_bytes(*c, MANY, MANY);
    printf("{\"bench\":\"memory\",\"bytes_a_device\":%.1f}\n", (double)(many - few) / (MANY - FEW));
}
