#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

#include "storage/store_internal.h"

/* A window of 16 KiB and level 6: on packed results a few per cent behind zlib's largest, at half
 * the memory. */
enum { WINDOW_BITS = 14, MEMORY_LEVEL = 7, ZIP_BYTES = 160 * 1024 };

static void *zip_take(void *ctx, uInt count, uInt bytes)
{
    struct store *s = ctx;
    size_t wanted = ((size_t)count * bytes + 15) / 16 * 16;

    if (wanted > s->zip_bytes - s->zip_used)
        return Z_NULL;
    void *at = s->zip_at + s->zip_used;
    s->zip_used += wanted;
    return at;
}

static void zip_give_back(void *ctx, void *at)
{
    (void)ctx; /* the memory is the store's and goes with it */
    (void)at;
}

int store_deflate_init(struct store *s)
{
    s->zip_bytes = ZIP_BYTES;
    s->packed_bytes = compressBound(STORE_PAYLOAD_BYTES_MAX) + 64;
    s->zip_at = malloc(s->zip_bytes);
    s->packed = malloc(s->packed_bytes);
    s->zip = calloc(1, sizeof *s->zip);
    if (s->zip_at == NULL || s->packed == NULL || s->zip == NULL)
        return WEIR_EFULL;
    s->zip->zalloc = zip_take;
    s->zip->zfree = zip_give_back;
    s->zip->opaque = s;
    int code = deflateInit2(s->zip, 6, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    return code == Z_OK ? 0 : WEIR_EFULL;
}

int store_deflate(struct store *s, struct text payload, struct text *packed)
{
    if (payload.bytes > STORE_PAYLOAD_BYTES_MAX)
        return WEIR_EINVAL;
    int code = deflateReset(s->zip);
    assert(code == Z_OK);
    s->zip->next_in = (z_const Bytef *)payload.at;
    s->zip->avail_in = payload.bytes;
    s->zip->next_out = s->packed;
    s->zip->avail_out = (uInt)s->packed_bytes;
    code = deflate(s->zip, Z_FINISH);
    assert(code == Z_STREAM_END); /* the room was reckoned for it */
    (void)code;
    *packed = (struct text){ (const char *)s->packed, (uint32_t)s->zip->total_out };
    return 0;
}
