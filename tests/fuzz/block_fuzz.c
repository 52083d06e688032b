/* Goal: no bytes harm the reader of journal blocks. Method: libFuzzer; the input stands alone in its heap (ASan ends the
 * run at a stray read) and its checksum is put right, so that the structure behind it is reached.
 * Links: storage/block_decode.c pipeline/packing.c storage/crc32c.c pipeline/bytes.c */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "storage/block.h"
#include "storage/crc32c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct block_reader *reader_made(void)
{
    static const struct block_limits limits = { .records_max = 500, .bytes_max = 1 << 20, .names_max = 500 };
    struct arena counting = arena_measure();
    block_reader_init(&limits, &counting);
    void *at = aligned_alloc(ARENA_ALIGN, counting.used);
    assert(at != NULL);
    memset(at, 0, counting.used);
    struct arena arena = arena_over(at, counting.used);
    return block_reader_init(&limits, &arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct block_reader *reader;
    static struct crc32c crc;
    if (reader == NULL) {
        reader = reader_made();
        crc32c_init(&crc);
    }
    uint8_t *block = malloc(bytes + 4);
    assert(block != NULL);
    if (bytes > 0)
        memcpy(block, data, bytes);
    struct byte_writer w = { .at = block + bytes, .bytes = 4 };
    put_u32(&w, crc32c_of(&crc, block, bytes));
    struct record record;
    volatile uint8_t touched = 0;
    int result = block_open(reader, (struct text){ (char *)block, (uint32_t)bytes + 4 });
    while (result == 0 && block_next(reader, &record) == 1) {
        assert(isfinite(record.reading.value.number));
        if (record.content.bytes > 0)
            touched ^= (uint8_t)record.content.at[record.content.bytes - 1];
        if (record.reading.extra.bytes > 0)
            touched ^= (uint8_t)record.reading.extra.at[record.reading.extra.bytes - 1];
    }
    (void)touched; /* read, so that a stray slice is seen */
    free(block);
    return 0;
}
