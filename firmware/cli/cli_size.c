#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "firmware/budget.h"
#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/config/config_parts.h"
#include "firmware/sizing/sizing.h"
#include "hal/board.h"
#include "pipeline/err.h"
#include "pipeline/pressure/scale.h"

static const char help[] =
    "usage: weir size --devices N --rate R --payload B [--board NAME] [--headroom P]\n"
    "       weir size --peak-eps N --per-consumer-eps M [--headroom P]\n\n"
    "What a load needs: processor, memory, disk, flash, uplink, gateways and partitions, and how\n"
    "that is worked out. Or, the second form, partitions and parallelism alone.\n\n"
    "  --devices N           devices, each with one metric\n"
    "  --rate R              readings a second of each\n"
    "  --payload B           bytes of a message, which holds one reading\n"
    "  --board NAME          boards/NAME/hal.conf, or the path of such a file: its limits, and\n"
    "                        what its storage endures\n"
    "  --data-dir DIR        where calibration.conf is (`weir bench --calibrate`);\n"
    "                        /var/lib/weir. Without one the figures are built in\n"
    "  --headroom P          percent of a gateway's capacity that stay unused; 30\n"
    "  --peak-eps N          readings, or events, a second at the peak\n"
    "  --per-consumer-eps M  that one consumer takes\n"
    "  --json                one JSON object\n\n"
    "Exit status: 0 done, 1 a file can't be used, 2 not understood.\n";

static struct config config; /* large; untouched pages of it cost nothing */

struct wishes {
    const char *devices, *rate, *payload, *board, *data_dir, *headroom, *peak, *per_consumer;
    bool json;
};

/* A number above 0, at most so much; false: it is none. */
static bool number(const char *word, double most, double *to)
{
    char *end;
    *to = strtod(word, &end);
    return end != word && *end == '\0' && *to > 0 && *to <= most;
}

static bool headroom_of(const struct wishes *w, uint32_t *percent)
{
    char *end;
    unsigned long value = w->headroom != NULL ? strtoul(w->headroom, &end, 10) : 30;
    *percent = (uint32_t)value;
    return w->headroom == NULL || (end != w->headroom && *end == '\0' && value < 100);
}

/* --- partitions alone --- */

static int print_partitions(const struct wishes *w, double peak, double each, uint32_t headroom)
{
    uint32_t count = scale_need(peak, each, headroom);
    double usable = each * (100 - headroom) / 100;
    if (w->json)
        (void)printf("{\"peak_eps\":%.10g,\"per_consumer_eps\":%.10g,\"headroom_percent\":%u,"
                     "\"usable_eps\":%.10g,\"partitions\":%u,\"parallelism\":%u}\n",
                     peak, each, headroom, usable, count, count);
    else
        (void)printf("a consumer may be loaded with %.10g x (100 - %u) %% = %.10g a second\n"
                     "partitions   %u = %.10g / %.10g, rounded up\n"
                     "parallelism  %u: a consumer for each partition\n",
                     each, headroom, usable, count, peak, usable, count);
    return CLI_OK;
}

/* --- a load --- */

/* By its path, or by its name in the sources' tree or where they are installed. */
static int read_board(const char *name, struct hal_board *board)
{
    static const char *const before[] = { "", "boards/", "/usr/share/weir/boards/" };
    char path[256], why[HAL_WHY_BYTES];
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%.150s%s", before[i], name, i > 0 ? "/hal.conf" : "");
        struct stat file;
        if (stat(path, &file) != 0 || !S_ISREG(file.st_mode))
            continue;
        int error = hal_board_read(path, board, why);
        if (error != 0)
            (void)fprintf(stderr, "weir: %s: %s\n", path, why);
        return error;
    }
    (void)fprintf(stderr, "weir: there is no board %s in boards/ or /usr/share/weir/boards, and no "
                          "such file\n", name);
    return WEIR_ENOTFOUND;
}

/* What memory is taken for, as a gateway with everything by default takes it. */
static struct sizing_board board_of(const struct hal_board *board)
{
    static const char yaml[] = "sources: [{name: s, listen: \"mqtt://127.0.0.1:1\", "
                               "anonymous: true, topics: [\"t/{device}/{metric}\"]}]\n"
                               "uplink: {url: \"mqtt://127.0.0.1:1\"}\n";
    (void)config_read_text("size", yaml, sizeof yaml - 1, &config, NULL); /* it is good */
    struct budget budget = budget_of(&config);
    struct engine_cost cost = engine_cost(&config.engine);
    double all = (double)cost.total * config.engine.devices_max;
    return (struct sizing_board){
        .device_bytes = (double)cost.total,
        .base_bytes = (double)budget.total_bytes > all ? (double)budget.total_bytes - all : 0,
        .memory_bytes_max = (double)board->memory_bytes_max,
        .devices_max = board->devices_max,
        .endurance_bytes = (double)board->storage_endurance_bytes,
    };
}

static void print_json(const struct sizing *s, const struct calibration *c,
                       const struct sizing_load *load)
{
    (void)printf("{\"devices\":%.10g,\"rate\":%.10g,\"payload_bytes\":%.10g,"
                 "\"headroom_percent\":%u,\"calibration\":",
                 load->devices, load->per_second, load->payload_bytes, load->headroom_percent);
    config_print_quoted(text_of(c->origin), stdout);
    (void)printf(",\"readings_per_second\":%.10g,\"reading_us\":%.6g,\"capacity\":%.0f,"
                 "\"usable\":%.0f,\"gateways\":%u,\"partitions\":%u,\"each\":{"
                 "\"cores\":%.6g,\"memory_bytes\":%.0f,\"commits_per_second\":%.6g,"
                 "\"journal_bytes_per_day\":%.0f,\"flash_bytes_per_day\":%.0f,\"flash_years\":",
                 s->readings, s->reading_us, s->capacity, s->usable, s->gateways, s->gateways,
                 s->cores, s->memory_bytes, s->commits, s->journal_bytes_day, s->flash_bytes_day);
    if (s->flash_years > 0)
        (void)printf("%.4g", s->flash_years);
    else
        (void)printf("null");
    (void)printf(",\"uplink_bytes_per_day\":%.0f}}\n", s->uplink_bytes_day);
}

static void print_gateways(const struct sizing *s, const struct sizing_load *load,
                           const struct sizing_board *b)
{
    (void)printf("gateways     %u, and as many partitions, by device: the most of\n", s->gateways);
    (void)printf("             %u by the processor: %.10g / %.0f readings/s, which is %.0f less "
                 "%u %%\n", s->by_processor, s->readings, s->usable, s->capacity,
                 load->headroom_percent);
    if (b->memory_bytes_max > 0)
        (void)printf("             %u by memory: %.10g devices x %.0f bytes in %.1f MiB less "
                     "%.1f MiB\n", s->by_memory, load->devices, b->device_bytes,
                     b->memory_bytes_max / 1048576, b->base_bytes / 1048576);
    if (b->devices_max > 0)
        (void)printf("             %u by devices: at most %.0f on this board\n", s->by_devices,
                     b->devices_max);
}

static void print_each(const struct sizing *s, const struct sizing_load *load,
                       const struct sizing_board *b, const struct calibration *c)
{
    double readings = s->readings / s->gateways, devices = load->devices / s->gateways;
    (void)printf("%s\n", s->gateways > 1 ? "\nEach of them" : "");
    (void)printf("processor    %.2f %% of a core: %.10g readings/s x %.2f us (%.0f ns + %.10g "
                 "bytes x %.2f ns, + %.0f ns), and %.2f commits/s x %.0f us\n",
                 s->cores * 100, readings, s->reading_us, c->decode_ns, load->payload_bytes,
                 c->decode_byte_ns, c->pipeline_ns, s->commits, c->commit_cpu_us);
    (void)printf("memory       %.1f MiB: %.1f MiB, and %.10g devices x %.0f bytes\n",
                 s->memory_bytes / 1048576, b->base_bytes / 1048576, devices, b->device_bytes);
    (void)printf("journal      %.1f MB a day: %.10g readings/s x %d bytes\n",
                 s->journal_bytes_day * 1e-6, readings, SIZING_JOURNAL_BYTES);
    (void)printf("flash        %.1f MB written a day: %.10g readings/s x %.1f bytes, and %.2f "
                 "commits/s x %.0f bytes\n", s->flash_bytes_day * 1e-6, readings,
                 c->reading_bytes, s->commits, c->commit_bytes);
    if (s->flash_years > 0)
        (void)printf("             %.1f years: it endures %.1f TB\n", s->flash_years,
                     b->endurance_bytes * 1e-12);
    else
        (void)printf("             how many years: not without a board that states "
                     "storage_endurance_bytes\n");
    (void)printf("uplink       %.1f MB a day: a result of %d bytes for each window of %d s; alerts "
                 "apart, 1 to 3 KB each\n", s->uplink_bytes_day * 1e-6, SIZING_RESULT_BYTES,
                 SIZING_WINDOW_S);
    (void)printf("\nFigures of the board: %s.\n", c->origin);
}

static int print_load(const struct wishes *w, const struct sizing_load *load)
{
    struct hal_board hal = { .name = "" };
    struct calibration c = calibration_default();
    char why[256] = "";
    const char *data_dir = w->data_dir != NULL ? w->data_dir : "/var/lib/weir";
    int error = calibration_read(data_dir, &c, why);
    if (error == WEIR_EINVAL || (error != 0 && w->data_dir != NULL)) {
        (void)fprintf(stderr, "weir: %s/calibration.conf: %s\n", data_dir,
                      why[0] != '\0' ? why : "not there; `weir bench --calibrate` makes it");
        return CLI_PROBLEM;
    }
    if (w->board != NULL && read_board(w->board, &hal) != 0)
        return CLI_PROBLEM;
    struct sizing_board board = board_of(&hal);
    struct sizing s = sizing_of(load, &board, &c);
    if (w->json) {
        print_json(&s, &c, load);
        return CLI_OK;
    }
    (void)printf("load         %.10g readings/s: %.10g devices x %.10g a second\n", s.readings,
                 load->devices, load->per_second);
    print_gateways(&s, load, &board);
    print_each(&s, load, &board, &c);
    return CLI_OK;
}

int cli_size(int argc, char **argv)
{
    struct wishes w = { .json = false };
    struct sizing_load load = { .devices = 0 };
    double peak, each;
    const struct flag flags[] = { { "--devices", NULL, &w.devices, NULL },
                                  { "--rate", NULL, &w.rate, NULL },
                                  { "--payload", NULL, &w.payload, NULL },
                                  { "--board", NULL, &w.board, NULL },
                                  { "--data-dir", NULL, &w.data_dir, NULL },
                                  { "--headroom", NULL, &w.headroom, NULL },
                                  { "--peak-eps", NULL, &w.peak, NULL },
                                  { "--per-consumer-eps", NULL, &w.per_consumer, NULL },
                                  { "--json", NULL, NULL, &w.json },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags };
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    if (!headroom_of(&w, &load.headroom_percent))
        return arguments_usage(&a, "from 0 to 99 percent can be left unused, not", w.headroom);
    if (w.peak != NULL && w.per_consumer != NULL && w.devices == NULL) {
        if (!number(w.peak, 1e15, &peak) || !number(w.per_consumer, 1e15, &each))
            return arguments_usage(&a, "both rates are numbers above 0:", w.peak);
        return print_partitions(&w, peak, each, load.headroom_percent);
    }
    if (w.peak != NULL || w.per_consumer != NULL || w.devices == NULL || w.rate == NULL ||
        w.payload == NULL)
        return arguments_usage(&a, "all of one form are needed, and none of the other:",
                               "--devices --rate --payload");
    if (!number(w.devices, 1e9, &load.devices) || !number(w.rate, 1e6, &load.per_second) ||
        !number(w.payload, 262144, &load.payload_bytes))
        return arguments_usage(&a, "numbers above 0 are wanted, not", w.devices);
    return print_load(&w, &load);
}
