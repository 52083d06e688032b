/* series_files: every real series that stands beside the repository, in an order that no locale changes. */
#ifndef TESTS_LIB_SERIES_FILES_H
#define TESTS_LIB_SERIES_FILES_H

#include <dirent.h>
#include <sys/stat.h>

#include "tests/lib/series.h"

enum { SERIES_DEPTH_MAX = 5 };

static inline int series_by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* alphasort goes by the locale */
}

/* Call `with` for every CSV under `path`, by name, at most `depth` folders down. */
static inline void series_each(const char *path, int depth,
                               void (*with)(void *ctx, const char *path, const char *name),
                               void *ctx)
{
    struct dirent **entries;
    int count = depth > 0 ? scandir(path, &entries, NULL, series_by_name) : -1;
    for (int i = 0; i < count; i++) {
        char inner[2 * SERIES_PATH_BYTES];
        struct stat stat_of;
        const char *name = entries[i]->d_name, *dot = strrchr(name, '.');
        int bytes = snprintf(inner, sizeof inner, "%s/%s", path, name);
        if (bytes < (int)sizeof inner && name[0] != '.' && stat(inner, &stat_of) == 0) {
            if (S_ISDIR(stat_of.st_mode))
                series_each(inner, depth - 1, with, ctx);
            else if (dot != NULL && strcmp(dot, ".csv") == 0)
                with(ctx, inner, name);
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

#endif
