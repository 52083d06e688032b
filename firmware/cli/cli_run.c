#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "firmware/daemon.h"

static const char help[] =
    "usage: weir run [-c FILE]\n\n"
    "Run the gateway until SIGTERM or SIGINT. SIGHUP reads again what may change\n"
    "meanwhile: the configuration (as `weir reload`), inventory, certificates and keys of sources\n"
    "that listen and of http, tokens.\n\n"
    "  -c, --config FILE   the configuration; WEIR_CONFIG, else /etc/weir/weir.yaml\n\n"
    "Exit status: 0 stopped in order, 1 could not start or gave up, 2 not understood, 78 wrong\n"
    "configuration.\n";

int cli_run(int argc, char **argv)
{
    const char *config = cli_config_path();
    const struct flag flags[] = { { "--config", "-c", &config, NULL }, { 0 } };
    struct arguments a = { .help = help, .flags = flags };
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    return daemon_run(config);
}
