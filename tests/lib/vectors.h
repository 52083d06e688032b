/* vectors: files in tests/vectors that other people's programs are tested with. A test makes each anew and compares;
 * with WRITE_VECTORS=1 in the environment it writes them instead. Paths are from the root of the repository. */
#ifndef TESTS_LIB_VECTORS_H
#define TESTS_LIB_VECTORS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

/* A whole file, terminated; NULL when it is not there. The caller frees it. */
static inline char *file_read(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    size_t room = 1 << 20;
    char *at = malloc(room + 1);
    *bytes = fread(at, 1, room, file);
    at[*bytes] = 0;
    (void)fclose(file);
    return at;
}

static inline void vector_check(const char *path, const void *at, size_t bytes)
{
    if (getenv("WRITE_VECTORS") != NULL) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(at, 1, bytes, file), bytes);
        assert_int_equal(fclose(file), 0);
        return;
    }
    size_t stored_bytes = 0;
    char *stored = file_read(path, &stored_bytes);
    if (stored == NULL)
        fail_msg("%s is not there: run from the root of the repository", path);
    if (stored_bytes != bytes || memcmp(stored, at, bytes) != 0)
        fail_msg("%s is stale: WRITE_VECTORS=1 writes it anew", path);
    free(stored);
}

#endif
