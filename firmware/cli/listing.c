#include "firmware/cli/listing.h"

#include <stdio.h>
#include <string.h>

#include "firmware/cli/cli.h"
#include "firmware/cli/json_view.h"

/* Seventeen digits are for machines. */
static void shorten_number(char *cell)
{
    double value;
    int used = 0;
    if (strchr(cell, '.') != NULL && sscanf(cell, "%lf%n", &value, &used) == 1 &&
        cell[used] == '\0')
        (void)snprintf(cell, TABLE_CELL_BYTES, "%.6g", value);
}

static void add_row(struct table *table, const struct listing *listing, struct text item)
{
    char cell[TABLE_CELL_BYTES];
    for (int i = 0; i < listing->columns; i++) {
        struct text value = json_view_at(item, listing->paths[i]);
        json_view_print(value, cell, sizeof cell);
        if (value.bytes > 0 && value.at[0] != '"')
            shorten_number(cell);
        table_add(table, cell);
    }
}

int listing_print(const struct listing *listing, const struct client_options *options)
{
    struct client_answer answer;
    struct table *table = table_make(listing->headers, listing->columns);
    char target[512], next[32] = "";
    size_t count = 0;
    if (table == NULL)
        return CLI_PROBLEM;
    do {
        const char *sign = strchr(listing->target, '?') != NULL ? "&" : "?";
        (void)snprintf(target, sizeof target, next[0] != '\0' ? "%s%safter=%s" : "%s",
                       listing->target, sign, next);
        int status = client_get(options, target, &answer);
        if (status != CLI_OK)
            return status;
        size_t cursor = 0;
        struct text item;
        while (json_view_next(json_view_at(answer.body, listing->member), &cursor, NULL, &item)) {
            count++;
            if (options->json)
                (void)printf("%.*s\n", (int)item.bytes, item.at);
            else
                add_row(table, listing, item);
        }
        json_view_text(answer.body, "next", next, sizeof next);
    } while (next[0] != '\0');
    if (!options->json && count > 0)
        table_print(table, stdout);
    else if (!options->json)
        (void)printf("%s\n", listing->empty);
    return CLI_OK;
}
