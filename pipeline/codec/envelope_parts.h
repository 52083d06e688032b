/* envelope_parts: the CloudEvents attributes that every event has. For envelope*.c alone. */
#ifndef PIPELINE_CODEC_ENVELOPE_PARTS_H
#define PIPELINE_CODEC_ENVELOPE_PARTS_H

#include "pipeline/codec/envelope.h"
#include "pipeline/codec/json_writer.h"

struct envelope_attributes {
    const char *kind;         /* "alert": type dev.weir.alert.v1 */
    const char *id;           /* unique in its source */
    uint32_t lane;
    uint64_t sequence;
    int64_t time_ms;          /* when it happened */
    int64_t recorded_ms;      /* when Weir said so */
    struct text subject[2];   /* joined by a slash when there are two */
};

/* Opens the event's object and writes its attributes. */
void envelope_attributes(struct json_writer *w, const struct envelope *e,
                         const struct envelope_attributes *attributes);

/* In the object `data`: whose word this is, under which configuration and clock. */
void envelope_gateway(struct json_writer *w, const struct envelope *e);

#endif
