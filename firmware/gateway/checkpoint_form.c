#include "firmware/gateway/checkpoint_form.h"

#include "pipeline/bytes.h"

enum { DIGEST_BYTES = 32, TAIL_BYTES = DIGEST_BYTES + 4 + 8 };

/* "weir cfg", at the end of all: from there it is read. */
static const uint64_t TAIL_MAGIC = 0x6766632072696577;

size_t checkpoint_bytes_max(const struct config *config)
{
    return engine_save_bytes_max(&config->engine) + (size_t)config->reload_bytes;
}

void checkpoint_put_config(struct byte_writer *w, const struct config *config, size_t bytes_max)
{
    size_t bytes = w->used + config->text_bytes + TAIL_BYTES;
    if (w->failed || bytes > bytes_max || bytes > w->bytes)
        return;
    put_raw(w, config->text, config->text_bytes);
    put_raw(w, config->digest, DIGEST_BYTES);
    put_u32(w, config->text_bytes);
    put_u64(w, TAIL_MAGIC);
}

struct checkpoint_parts checkpoint_parts(struct text bytes)
{
    struct checkpoint_parts parts = { .state = bytes };
    if (bytes.bytes < TAIL_BYTES)
        return parts;
    uint32_t before = bytes.bytes - TAIL_BYTES;
    struct byte_reader r = { (const uint8_t *)bytes.at + before, TAIL_BYTES, DIGEST_BYTES, false };
    uint32_t text = get_u32(&r);
    if (get_u64(&r) != TAIL_MAGIC || text > before)
        return parts;
    parts.state.bytes = before - text;
    parts.config = (struct text){ bytes.at + parts.state.bytes, text };
    parts.digest = (struct text){ bytes.at + before, DIGEST_BYTES };
    return parts;
}
