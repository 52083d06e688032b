/* flood: whether more incidents come than anybody can follow: more than `most` within `span_ms`.
 * Over when fewer than half of that were in the last span. Time is pipeline time. */
#ifndef PIPELINE_ALERTS_FLOOD_H
#define PIPELINE_ALERTS_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"

enum { FLOOD_INCIDENTS_MAX = 100 }; /* `most`, at most */

struct flood_config {
    uint32_t most; /* incidents that can be followed; 0: any number */
    int64_t span_ms;
};

struct flood {
    int64_t incidents_ms[FLOOD_INCIDENTS_MAX + 1]; /* a ring */
    uint32_t count; /* in it */
    uint32_t next;  /* place of the next one */
    bool on;
    int64_t since_ms; /* while `on` */
    uint32_t came;    /* incidents since then, with those that made it one */
};

/* One more at t. */
void flood_add(struct flood *f, const struct flood_config *config, int64_t t_ms);

/* t at which it is over; INT64_MAX: there is none. Later incidents make it later. */
int64_t flood_end_ms(const struct flood *f, const struct flood_config *config);
void flood_end(struct flood *f);

void flood_save(const struct flood *f, struct byte_writer *w);
void flood_load(struct flood *f, struct byte_reader *r);

#endif
