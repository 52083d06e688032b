#include "pipeline/streams/held.h"

static uint8_t whole_characters(struct text text)
{
    uint32_t bytes = text.bytes < HELD_TEXT_BYTES ? text.bytes : HELD_TEXT_BYTES;
    while (bytes < text.bytes && bytes > 0 && ((unsigned char)text.at[bytes] & 0xc0) == 0x80)
        bytes--;
    return (uint8_t)bytes;
}

void held_set(struct held *h, const struct datum *value)
{
    *h = (struct held){ .kind = DATUM_NUMBER };
    if (value->kind != DATUM_TEXT) {
        h->number = value->number;
        return;
    }
    h->kind = DATUM_TEXT;
    h->bytes = whole_characters(value->text);
    if (h->bytes > 0)
        memcpy(h->text, value->text.at, h->bytes);
}

struct datum held_datum(const struct held *h)
{
    if (h->kind == DATUM_TEXT)
        return (struct datum){ .kind = DATUM_TEXT, .text = { h->text, h->bytes } };
    return (struct datum){ .kind = (enum datum_kind)h->kind, .number = h->number };
}

void held_save(const struct held *h, struct byte_writer *w)
{
    put_u8(w, h->kind);
    if (h->kind == DATUM_TEXT)
        put_text(w, (struct text){ h->text, h->bytes });
    else if (h->kind == DATUM_NUMBER)
        put_f64(w, h->number);
}

void held_load(struct held *h, struct byte_reader *r)
{
    *h = (struct held){ .kind = get_u8(r) };
    if (h->kind == DATUM_NUMBER) {
        h->number = get_measure(r);
    } else if (h->kind == DATUM_TEXT) {
        struct text text = get_text(r);
        if (text.bytes > HELD_TEXT_BYTES)
            r->failed = true;
        if (r->failed || text.bytes == 0)
            return;
        h->bytes = (uint8_t)text.bytes;
        memcpy(h->text, text.at, text.bytes);
    } else if (h->kind != DATUM_NULL) {
        r->failed = true;
    }
}
