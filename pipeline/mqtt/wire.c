#include "pipeline/mqtt/wire.h"

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Not zero when one of the eight bytes is 0 (Mycroft 1987). */
static uint64_t has_zero(uint64_t word)
{
    return (word - EACH_BYTE(0x01)) & ~word & EACH_BYTE(0x80);
}

static bool is_plain(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return ((word & EACH_BYTE(0x80)) | has_zero(word) | has_zero(word ^ EACH_BYTE('+')) |
            has_zero(word ^ EACH_BYTE('#'))) == 0;
}

static bool is_between(uint8_t byte, uint8_t low, uint8_t high)
{
    return low <= byte && byte <= high;
}

/* Bytes of the character of several bytes at `at`, of which `bytes` are there; 0: it is none. The
 * table is that of RFC 3629, section 4. */
static uint32_t character_bytes(const uint8_t *at, uint32_t bytes)
{
    uint8_t first = at[0], low = 0x80, high = 0xbf;
    uint32_t wants = is_between(first, 0xc2, 0xdf)   ? 2
                     : is_between(first, 0xe0, 0xef) ? 3
                     : is_between(first, 0xf0, 0xf4) ? 4
                                                     : 0;
    if (wants == 0 || bytes < wants)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (!is_between(at[1], low, high))
        return 0;
    for (uint32_t i = 2; i < wants; i++)
        if (!is_between(at[i], 0x80, 0xbf))
            return 0;
    return wants;
}

unsigned text_scan(struct text text)
{
    unsigned found = 0;
    for (uint32_t i = 0; i < text.bytes;) {
        uint32_t step = text.bytes - i < 8 ? text.bytes - i : 8;
        if (text.bytes >= 8 && is_plain(text.at + i + step - 8)) { /* at the end, some again */
            i += step;
            continue;
        }
        uint8_t byte = (uint8_t)text.at[i];
        if (byte < 0x80) {
            found |= byte == 0 ? TEXT_HAS_NUL : byte == '+' || byte == '#' ? TEXT_HAS_WILDCARD : 0;
            i++;
            continue;
        }
        uint32_t wants = character_bytes((const uint8_t *)text.at + i, text.bytes - i);
        if (wants == 0)
            return found | TEXT_ILL_FORMED;
        i += wants;
    }
    return found;
}

uint32_t wire_varint(struct wire *r)
{
    uint32_t value = 0;
    for (int shift = 0; shift < 28; shift += 7) {
        uint8_t byte = wire_u8(r);
        value |= (uint32_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) != 0)
            continue;
        if (byte == 0 && shift > 0)
            wire_fail(r, MQTT_FAULT_LENGTH_WASTEFUL);
        return r->fault == MQTT_FAULT_NONE ? value : 0;
    }
    wire_fail(r, MQTT_FAULT_LENGTH_ENDLESS);
    return 0;
}

/* Fail for what no text may hold; what else is in it. */
static unsigned check(struct wire *r, struct text text)
{
    unsigned found = text_scan(text);
    if ((found & TEXT_ILL_FORMED) != 0)
        wire_fail(r, MQTT_FAULT_UTF8);
    else if ((found & TEXT_HAS_NUL) != 0)
        wire_fail(r, MQTT_FAULT_UTF8_NUL);
    return found;
}

struct text wire_text(struct wire *r)
{
    struct text text = wire_binary(r);
    (void)check(r, text); /* a wildcard is an ordinary character here */
    return text;
}

struct text wire_topic(struct wire *r, enum mqtt_fault wildcard, bool may_be_empty)
{
    struct text text = wire_binary(r);
    if ((check(r, text) & TEXT_HAS_WILDCARD) != 0)
        wire_fail(r, wildcard);
    if (text.bytes == 0 && !may_be_empty)
        wire_fail(r, MQTT_FAULT_TOPIC_EMPTY);
    return text;
}
