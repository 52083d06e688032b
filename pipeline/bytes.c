#include "pipeline/bytes.h"

#include <assert.h>
#include <string.h>

#include "pipeline/reading.h"

void put_raw(struct byte_writer *w, const void *at, size_t bytes)
{
    if (w->failed)
        return;
    if (w->at != NULL) {
        if (bytes > w->bytes - w->used) {
            w->failed = true;
            return;
        }
        if (bytes > 0)
            memcpy(w->at + w->used, at, bytes);
    }
    w->used += bytes;
}

/* Eight stores that compilers make one of; a loop they leave as it is. */
static inline void put_little_endian(struct byte_writer *w, uint64_t value, size_t bytes)
{
    const uint8_t field[8] = {
        (uint8_t)value,         (uint8_t)(value >> 8),  (uint8_t)(value >> 16),
        (uint8_t)(value >> 24), (uint8_t)(value >> 32), (uint8_t)(value >> 40),
        (uint8_t)(value >> 48), (uint8_t)(value >> 56),
    };
    put_raw(w, field, bytes);
}

void put_u8(struct byte_writer *w, uint8_t value)
{
    put_little_endian(w, value, 1);
}

void put_u16(struct byte_writer *w, uint16_t value)
{
    put_little_endian(w, value, 2);
}

void put_u32(struct byte_writer *w, uint32_t value)
{
    put_little_endian(w, value, 4);
}

void put_u64(struct byte_writer *w, uint64_t value)
{
    put_little_endian(w, value, 8);
}

void put_i64(struct byte_writer *w, int64_t value)
{
    put_u64(w, (uint64_t)value);
}

void put_f32(struct byte_writer *w, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u32(w, bits);
}

void put_f64(struct byte_writer *w, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u64(w, bits);
}

void put_bool(struct byte_writer *w, bool value)
{
    put_u8(w, value);
}

void put_varint(struct byte_writer *w, uint64_t value)
{
    uint8_t field[10];
    size_t used = 0;
    while (value >= 0x80) {
        field[used++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    field[used++] = (uint8_t)value;
    put_raw(w, field, used);
}

void put_zigzag(struct byte_writer *w, int64_t value)
{
    uint64_t bits = (uint64_t)value << 1;
    put_varint(w, value < 0 ? ~bits : bits);
}

void put_text(struct byte_writer *w, struct text text)
{
    put_varint(w, text.bytes);
    put_raw(w, text.at, text.bytes);
}

static const uint8_t *take(struct byte_reader *r, size_t bytes)
{
    assert(r->used <= r->bytes);
    if (r->failed || bytes > r->bytes - r->used) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *field = r->at + r->used;
    r->used += bytes;
    return field;
}

static uint64_t get_little_endian(struct byte_reader *r, size_t bytes)
{
    const uint8_t *field = take(r, bytes);
    uint64_t value = 0;
    if (field != NULL)
        for (size_t i = 0; i < bytes; i++)
            value |= (uint64_t)field[i] << (8 * i);
    return value;
}

uint8_t get_u8(struct byte_reader *r)
{
    return (uint8_t)get_little_endian(r, 1);
}

uint16_t get_u16(struct byte_reader *r)
{
    return (uint16_t)get_little_endian(r, 2);
}

uint32_t get_u32(struct byte_reader *r)
{
    return (uint32_t)get_little_endian(r, 4);
}

uint64_t get_u64(struct byte_reader *r)
{
    return get_little_endian(r, 8);
}

int64_t get_i64(struct byte_reader *r)
{
    return (int64_t)get_u64(r);
}

float get_f32(struct byte_reader *r)
{
    uint32_t bits = get_u32(r);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float get_f32_within(struct byte_reader *r, float least, float most)
{
    float value = get_f32(r);
    if (value >= least && value <= most)
        return value;
    r->failed = true; /* also of a NaN */
    return 0;
}

double get_f64(struct byte_reader *r)
{
    uint64_t bits = get_u64(r);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double get_finite(struct byte_reader *r)
{
    double value = get_f64(r);
    if (value - value == 0)
        return value;
    r->failed = true;
    return 0;
}

double get_measure(struct byte_reader *r)
{
    double value = get_f64(r);
    if (value >= -READING_NUMBER_MAX && value <= READING_NUMBER_MAX)
        return value;
    r->failed = true;
    return 0;
}

int64_t get_time(struct byte_reader *r)
{
    int64_t value = get_i64(r);
    if (value > -TIME_MS_MAX && value < TIME_MS_MAX)
        return value;
    r->failed = true;
    return 0;
}

bool get_bool(struct byte_reader *r)
{
    uint8_t value = get_u8(r);
    if (value > 1)
        r->failed = true;
    return value == 1;
}

uint64_t get_varint(struct byte_reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = get_u8(r);
        if (r->failed)
            return 0;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    r->failed = true;
    return 0;
}

int64_t get_zigzag(struct byte_reader *r)
{
    uint64_t bits = get_varint(r);
    return (int64_t)((bits >> 1) ^ (0 - (bits & 1)));
}

void get_raw(struct byte_reader *r, void *to, size_t bytes)
{
    const uint8_t *field = take(r, bytes);
    if (bytes == 0)
        return;
    if (field != NULL)
        memcpy(to, field, bytes);
    else
        memset(to, 0, bytes);
}

struct text get_text(struct byte_reader *r)
{
    uint64_t bytes = get_varint(r);
    if (bytes > UINT32_MAX)
        r->failed = true;
    const uint8_t *field = r->failed ? NULL : take(r, (size_t)bytes);
    if (field == NULL)
        return (struct text){ 0 };
    return (struct text){ (const char *)field, (uint32_t)bytes };
}
