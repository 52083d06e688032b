#include <stdio.h>
#include <string.h>

#include "firmware/cli/arguments.h"
#include "firmware/cli/cli.h"
#include "storage/store.h"

static const char help[] = "usage: weir version [--json]\n\nPrint the version.\n\n"
                           "Exit status: 0 done, 2 not understood.\n";

int cli_version(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = { { "--json", NULL, NULL, &json }, { 0 } };
    struct arguments a = { .help = help, .flags = flags };
    int status = arguments_parse(&a, argc, argv);
    if (status != -1)
        return status;
    if (json)
        (void)printf("{\"version\":\"%s\",\"store_schema\":%d}\n", WEIR_VERSION,
                     STORE_SCHEMA_VERSION);
    else
        (void)printf("weir %s\n", WEIR_VERSION);
    return CLI_OK;
}
