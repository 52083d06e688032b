#include "firmware/cli/table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
    int columns;
    int widths[TABLE_COLUMNS_MAX];
    bool right[TABLE_COLUMNS_MAX];
    size_t cells, room;
    char (*cell)[TABLE_CELL_BYTES];
};

struct table *table_make(const char *const *headers, int columns)
{
    struct table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->columns = columns < TABLE_COLUMNS_MAX ? columns : TABLE_COLUMNS_MAX;
    for (int i = 0; i < table->columns; i++) {
        table->right[i] = headers[i][0] == '>';
        table_add(table, headers[i] + (table->right[i] ? 1 : 0));
    }
    return table;
}

/* As a terminal shows it: UTF-8's continuation bytes take no place. */
static int width_of(const char *cell)
{
    int width = 0;
    for (; *cell != '\0'; cell++)
        width += ((unsigned char)*cell & 0xC0) != 0x80;
    return width;
}

void table_tame(char *text, bool lines)
{
    for (unsigned char *c = (unsigned char *)text; *c != '\0'; c++) {
        bool stays = *c >= ' ' || (lines && (*c == '\n' || *c == '\t'));
        if (*c == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0)
            c[0] = c[1] = '?';
        else if (!stays || *c == 0x7F)
            *c = '?';
    }
}

void table_add(struct table *table, const char *cell)
{
    if (table->cells == table->room) {
        size_t room = table->room == 0 ? 64 : table->room * 2;
        void *grown = realloc(table->cell, room * sizeof *table->cell);
        if (grown == NULL)
            return; /* the rest is not shown */
        table->cell = grown;
        table->room = room;
    }
    char *to = table->cell[table->cells];
    (void)snprintf(to, TABLE_CELL_BYTES, "%s", cell); /* cut */
    table_tame(to, false);
    int column = (int)(table->cells % (size_t)table->columns);
    int width = width_of(to);
    if (width > table->widths[column])
        table->widths[column] = width;
    table->cells++;
}

void table_print(struct table *table, FILE *out)
{
    for (size_t i = 0; i < table->cells; i++) {
        int column = (int)(i % (size_t)table->columns);
        bool last = column == table->columns - 1;
        const char *cell = table->cell[i];
        int pad = table->widths[column] - width_of(cell);
        const char *begin = i < (size_t)table->columns ? table_colour(out, "1") : "";
        const char *end = begin[0] != '\0' ? table_colour(out, "0") : "";
        if (table->right[column])
            (void)fprintf(out, "%*s%s%s%s%s", pad, "", begin, cell, end, last ? "\n" : "  ");
        else
            (void)fprintf(out, "%s%s%s%*s%s", begin, cell, end, last ? 0 : pad, "",
                          last ? "\n" : "  ");
    }
    free(table->cell);
    free(table);
}

const char *table_colour(FILE *out, const char *code)
{
    static char sequences[4][16];
    static unsigned next;
    if (!isatty(fileno(out)) || getenv("NO_COLOR") != NULL)
        return "";
    char *to = sequences[next++ % 4];
    (void)snprintf(to, sizeof sequences[0], "\033[%sm", code);
    return to;
}
