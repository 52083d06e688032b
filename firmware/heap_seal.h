/* heap_seal: after start our own code allocates nothing. The Makefile links malloc, calloc,
 * realloc, strdup, strndup and asprintf through here; once sealed, a call of ours asserts. Shared
 * libraries call the C library directly and are not affected: each has its own measured ceiling.
 */
#ifndef FIRMWARE_HEAP_SEAL_H
#define FIRMWARE_HEAP_SEAL_H

void heap_seal(void);

#endif
