#include "firmware/heap_seal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

static bool sealed; /* set once, before any thread of ours runs */

void heap_seal(void)
{
    sealed = true;
}

/* The linker's --wrap gives these names. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *at, size_t bytes);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *at, size_t bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t bytes);
int __wrap_asprintf(char **to, const char *format, ...) __attribute__((format(printf, 2, 3)));

void *__wrap_malloc(size_t bytes)
{
    assert(!sealed);
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    assert(!sealed);
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *at, size_t bytes)
{
    assert(!sealed);
    return __real_realloc(at, bytes);
}

char *__wrap_strdup(const char *text)
{
    assert(!sealed);
    return __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t bytes)
{
    assert(!sealed);
    return __real_strndup(text, bytes);
}

int __wrap_asprintf(char **to, const char *format, ...)
{
    assert(!sealed);
    va_list arguments;
    va_start(arguments, format);
    int bytes = vasprintf(to, format, arguments);
    va_end(arguments);
    return bytes;
}
