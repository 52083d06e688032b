/* Goal: how long the loop stands still while a checkpoint's copy is taken: engine_save of all devices
 * into the shadow, in one go. Method: devices with one metric and readings enough to fill what is
 * kept of them, the usual rules; the copy is taken COPIES times, of which the first touches the
 * shadow's memory. One JSON line a number of devices. Arguments: devices (1000 10000 100000).
 * Links: storage/%.c hal/board.c firmware/json_arena.c firmware/config/%.c
 * Libs: -lyaml -lmbedcrypto -lsqlite3 -lz */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "firmware/config/config.h"

enum { READINGS = 40, COPIES = 5, ENOUGH_MS = 5 /* more is to be sliced, where it can be */ };

static const int64_t EPOCH_MS = 1790000000000;

static void on_alert(void *ctx, const struct alert_event *event)
{
    (void)ctx, (void)event;
}

static void on_result(void *ctx, const struct window_result *result)
{
    (void)ctx, (void)result;
}

static void on_late(void *ctx, const struct record *record)
{
    (void)ctx, (void)record;
}

static const struct engine_out out = { .alert = on_alert, .result = on_result, .late = on_late };

static struct config *config_of(uint32_t devices)
{
    char text[512];
    int bytes = snprintf(text, sizeof text,
                         "gateway: {memory_max: 4GiB}\nlimits: {devices: %u, series: %u}\n"
                         "sources:\n  - {name: plant, url: \"mqtt://localhost\",\n"
                         "     topics: [\"t/{device}/{metric}\"]}\n",
                         devices, devices);
    struct config *config = calloc(1, sizeof *config);
    assert(config != NULL);
    if (config_read_text("bench", text, (size_t)bytes, config, stderr) != 0)
        abort();
    return config;
}

static void give(struct engine *engine, uint32_t device, int64_t t_ms, uint64_t n)
{
    char name[24];
    int bytes = snprintf(name, sizeof name, "device-%06u", device);
    const struct reading reading = {
        .device = { name, (uint32_t)bytes },
        .metric = text_of("temperature"),
        .unit = text_of("Cel"),
        .value = { .type = VALUE_NUMBER, .number = 20 + (double)((n * 7 + device) % 100) / 10 },
        .has_device_time = true,
        .has_sequence = true,
        .device_time_ms = EPOCH_MS + t_ms,
        .sequence = n,
    };
    struct admission admission;
    engine_admit(engine, t_ms, &reading, 1, &admission);
    admission.record.t_ms = t_ms;
    if (admission.verdict == ADMIT_STORE)
        engine_apply(engine, &admission.record, &out);
}

static void fill(struct engine *engine, uint32_t devices)
{
    const struct record clock = { .kind = RECORD_CLOCK, .clock = { EPOCH_MS, CLOCK_SYNCED, 1 } };
    engine_apply(engine, &clock, &out);
    for (uint64_t n = 1; n <= READINGS; n++)
        for (uint32_t device = 0; device < devices; device++) {
            int64_t t_ms = (int64_t)n * 10000;
            while (engine_deadline(engine, t_ms) <= t_ms)
                engine_fire(engine, &out);
            give(engine, device, t_ms, n);
        }
}

static double copy_ms(const struct engine *engine, struct byte_writer *w)
{
    struct timespec begin, end;
    w->used = 0;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin); /* Linux has it, as below */
    engine_save(engine, w);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    assert(!w->failed);
    return (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6;
}

static void measure(uint32_t devices)
{
    struct config *config = config_of(devices);
    struct arena arena = arena_measure();
    (void)engine_init(&config->engine, &arena);
    void *memory = calloc(1, arena.used);
    assert(memory != NULL);
    size_t engine_bytes = arena.used;
    arena = arena_over(memory, engine_bytes);
    struct engine *engine = engine_init(&config->engine, &arena);
    fill(engine, devices);
    struct byte_writer w = { .bytes = engine_save_bytes_max(&config->engine) };
    w.at = malloc(w.bytes);
    assert(w.at != NULL);
    double first_ms = copy_ms(engine, &w), best_ms = 1e9;
    for (int i = 1; i < COPIES; i++) {
        double ms = copy_ms(engine, &w);
        best_ms = ms < best_ms ? ms : best_ms;
    }
    printf("{\"bench\": \"checkpoint\", \"case\": \"%u_devices\", \"bytes\": %zu, \"first_ms\": %.1f, "
           "\"copy_ms\": %.1f, \"sliced_above_ms\": %d}\n",
           devices, w.used, first_ms, best_ms, ENOUGH_MS);
    free(w.at);
    free(memory);
    free(config);
}

int main(int argc, char **argv)
{
    static const uint32_t usual[] = { 1000, 10000, 100000 };
    for (int i = 1; i < argc; i++)
        measure((uint32_t)strtoul(argv[i], NULL, 10));
    for (size_t i = 0; argc == 1 && i < sizeof usual / sizeof usual[0]; i++)
        measure(usual[i]);
    return 0;
}
