#include "firmware/sizing/sizing.h"

#include "pipeline/pressure/scale.h"

enum { DAY_S = 86400 };

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Of what one gateway has, all may be used. */
static uint32_t share(double need, double of_one)
{
    return of_one > 0 ? scale_need(need, of_one, 0) : 1;
}

struct sizing sizing_of(const struct sizing_load *load, const struct sizing_board *board,
                        const struct calibration *c)
{
    struct sizing s = { .readings = load->devices * load->per_second };
    s.reading_us =
        (c->decode_ns + c->decode_byte_ns * load->payload_bytes + c->pipeline_ns) * 1e-3;
    s.capacity = calibration_capacity(c, load->payload_bytes);
    s.usable = s.capacity * (100 - load->headroom_percent) / 100;
    s.by_processor = scale_need(s.readings, s.capacity, load->headroom_percent);
    double memory = board->memory_bytes_max - board->base_bytes;
    s.by_memory = board->memory_bytes_max > 0
                      ? share(load->devices * board->device_bytes, memory > 0 ? memory : 1)
                      : 1;
    s.by_devices = share(load->devices, board->devices_max);
    s.gateways = most(s.by_processor, most(s.by_memory, s.by_devices));
    double readings = s.readings / s.gateways, devices = load->devices / s.gateways;
    double results = load->per_second * SIZING_WINDOW_S < 1 ? load->per_second
                                                            : 1.0 / SIZING_WINDOW_S;
    s.commits = (readings < 1 ? readings : 1) + readings / SIZING_COMMIT_READINGS;
    s.cores = readings * s.reading_us * 1e-6 + s.commits * c->commit_cpu_us * 1e-6;
    s.memory_bytes = board->base_bytes + devices * board->device_bytes;
    s.journal_bytes_day = readings * SIZING_JOURNAL_BYTES * DAY_S;
    s.flash_bytes_day = (readings * c->reading_bytes + s.commits * c->commit_bytes) * DAY_S;
    s.uplink_bytes_day = devices * results * SIZING_RESULT_BYTES * DAY_S;
    if (board->endurance_bytes > 0 && s.flash_bytes_day > 0)
        s.flash_years = board->endurance_bytes / s.flash_bytes_day / 365.25;
    return s;
}
