/* table: rows for people: columns as wide as their widest cell, numbers to the right. Colour only
 * on a terminal. */
#ifndef FIRMWARE_CLI_TABLE_H
#define FIRMWARE_CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 11, TABLE_CELL_BYTES = 80 };

struct table;

/* Headers, one a column; a leading '>' sets the column to the right. NULL: no memory. */
struct table *table_make(const char *const *headers, int columns);
void table_add(struct table *table, const char *cell); /* the next cell, row by row */
void table_print(struct table *table, FILE *out);      /* and forget */

/* Put `?` for what would steer a terminal: control characters, those of U+0080 to U+009F too. What
 * a device sends may hold them. `lines`: \n and \t stay. */
void table_tame(char *text, bool lines);

/* "\033[31m" and the like when `out` is a terminal and NO_COLOR is not set, else "". */
const char *table_colour(FILE *out, const char *code);

#endif
