/* wire: MQTT's numbers, texts and binary data, read out of one packet (section 1.5 of both
 * specifications). For the files of this folder.
 *
 * A reader remembers its first fault and then only yields zeros and empty slices, so a decoder
 * reads field after field and looks once at the end. Slices point into the packet. */
#ifndef PIPELINE_MQTT_WIRE_H
#define PIPELINE_MQTT_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/mqtt/fault.h"
#include "pipeline/text.h"

struct wire {
    const uint8_t *at; /* the packet's */
    uint32_t bytes;    /* behind `at` that may be read */
    uint32_t used;
    enum mqtt_fault fault;
};

static inline void wire_fail(struct wire *r, enum mqtt_fault fault)
{
    if (r->fault == MQTT_FAULT_NONE)
        r->fault = fault;
}

static inline bool wire_has(struct wire *r, uint32_t bytes)
{
    if (r->fault == MQTT_FAULT_NONE && r->bytes - r->used >= bytes)
        return true;
    wire_fail(r, MQTT_FAULT_SHORT);
    return false;
}

static inline uint8_t wire_u8(struct wire *r)
{
    return wire_has(r, 1) ? r->at[r->used++] : 0;
}

static inline uint16_t wire_u16(struct wire *r)
{
    if (!wire_has(r, 2))
        return 0;
    const uint8_t *at = r->at + r->used;
    r->used += 2;
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t wire_u32(struct wire *r)
{
    uint32_t high = wire_u16(r);
    return high << 16 | wire_u16(r);
}

/* A number of 1 to 4 bytes; longer, or in more bytes than it needs, is a fault. */
uint32_t wire_varint(struct wire *r);

/* A length and that many bytes, whatever they are. */
static inline struct text wire_binary(struct wire *r)
{
    uint16_t bytes = wire_u16(r);
    if (!wire_has(r, bytes))
        return (struct text){ 0 };
    struct text data = { (const char *)r->at + r->used, bytes };
    r->used += bytes;
    return data;
}

/* What is in a text besides ordinary characters; bits. */
enum { TEXT_ILL_FORMED = 1, TEXT_HAS_NUL = 2, TEXT_HAS_WILDCARD = 4 };

/* O(bytes), eight at a time where they are plain ASCII. Well-formed as RFC 3629 has it: nothing
 * overlong, no surrogates, nothing above U+10FFFF. Control characters pass: the specifications
 * only allow a server to refuse them. */
unsigned text_scan(struct text text);

/* A UTF-8 string; ill-formed or holding U+0000 is a fault. */
struct text wire_text(struct wire *r);

/* As wire_text, for a name that is published to: `wildcard` is the fault of one, and an empty
 * one, unless it may be, is MQTT_FAULT_TOPIC_EMPTY. */
struct text wire_topic(struct wire *r, enum mqtt_fault wildcard, bool may_be_empty);

#endif
