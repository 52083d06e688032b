#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "firmware/sizing/calibration.h"
#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/config/config.h"
#include "pipeline/err.h"

static const char help[] =
    "usage: weir bench --calibrate [-c FILE | --data-dir DIR] [--json]\n\n"
    "Measure what this board can do, for `weir size` and for the gateway's own count of how many\n"
    "gateways its load wants: decoding, the pipeline, and commits on the disk of the data\n"
    "directory. About five seconds on one core; the gateway may run meanwhile, only slower.\n"
    "What it finds goes to calibration.conf in the data directory.\n\n"
    "  -c, --config FILE  names the data directory; WEIR_CONFIG, else /etc/weir/weir.yaml\n"
    "  --data-dir DIR     the data directory itself\n"
    "  --json             one JSON object\n\n"
    "Exit status: 0 done, 1 not possible, 2 not understood, 78 wrong configuration.\n";

static struct config config; /* large; untouched pages of it cost nothing */

static void print(const struct calibration *c, bool json)
{
    double capacity = calibration_capacity(c, 80);
    if (json) {
        (void)printf("{\"decode_ns\":%.6g,\"decode_byte_ns\":%.6g,\"pipeline_ns\":%.6g,"
                     "\"commit_us\":%.6g,\"commit_cpu_us\":%.6g,\"commit_bytes\":%.6g,"
                     "\"reading_bytes\":%.6g,\"readings_per_second\":%.0f}\n",
                     c->decode_ns, c->decode_byte_ns, c->pipeline_ns, c->commit_us,
                     c->commit_cpu_us, c->commit_bytes, c->reading_bytes, capacity);
        return;
    }
    (void)printf("decoding a reading   %.0f ns, and %.2f ns a byte of its payload\n"
                 "pipeline, a reading  %.0f ns\n"
                 "a small commit       %.2f ms, of them %.2f ms in the processor\n"
                 "written to the disk  %.0f bytes a commit, and %.1f bytes a reading\n"
                 "a core takes         %.0f readings a second, of 80 bytes each\n",
                 c->decode_ns, c->decode_byte_ns, c->pipeline_ns, c->commit_us * 1e-3,
                 c->commit_cpu_us * 1e-3, c->commit_bytes, c->reading_bytes, capacity);
}

int cli_bench(int argc, char **argv)
{
    const char *path = cli_config_path(), *data_dir = NULL;
    bool json = false, wanted = false;
    char why[256] = "";
    const struct flag flags[] = { { "--calibrate", NULL, NULL, &wanted },
                                  { "--config", "-c", &path, NULL },
                                  { "--data-dir", NULL, &data_dir, NULL },
                                  { "--json", NULL, NULL, &json },
                                  { 0 } };
    struct arguments a = { .help = help, .flags = flags };
    struct calibration c;
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    if (!wanted)
        return arguments_usage(&a, "nothing else can be measured yet:", "--calibrate");
    if (data_dir == NULL && config_read(path, &config, stderr) != 0)
        return CLI_CONFIG;
    data_dir = data_dir != NULL ? data_dir : config.data_dir;
    if (calibrate(data_dir, &c, why) != 0) {
        (void)fprintf(stderr, "weir: %s\n", why);
        return CLI_PROBLEM;
    }
    if (calibration_write(data_dir, &c) != 0) {
        (void)fprintf(stderr, "weir: %s/calibration.conf: %s\n", data_dir, strerror(errno));
        return CLI_PROBLEM;
    }
    print(&c, json);
    return CLI_OK;
}
