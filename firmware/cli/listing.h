/* listing: asks for a list page by page and prints it as a table, or as JSON, an item a line. */
#ifndef FIRMWARE_CLI_LISTING_H
#define FIRMWARE_CLI_LISTING_H

#include "firmware/cli/client.h"
#include "firmware/cli/table.h"

struct listing {
    const char *target;         /* "/api/v1/devices?max=500" or without arguments */
    const char *member;         /* of the answer that holds the items */
    const char *empty;          /* said when there is none */
    const char *const *headers; /* as table_make wants them */
    const char *const *paths;   /* of each column in an item */
    int columns;
};

int listing_print(const struct listing *listing, const struct client_options *options);

#endif
