/* maintenance: which devices are being worked on, why, and until when: what is found there calls
 * nobody. A short list that people keep; times are wall times, as people set them. */
#ifndef PIPELINE_ALERTS_MAINTENANCE_H
#define PIPELINE_ALERTS_MAINTENANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"
#include "pipeline/reading.h"

enum {
    MAINTENANCE_MAX = 32, /* at a time; one may stand for many devices */
    MAINTENANCE_REASON_BYTES_MAX = 80,
    /* of one, as it is kept */
    MAINTENANCE_BYTES_MAX = READING_NAME_BYTES_MAX + MAINTENANCE_REASON_BYTES_MAX + 20
};

struct maintenance {
    char device[READING_NAME_BYTES_MAX + 1]; /* or, with one '*', several; "*": the whole gateway */
    char reason[MAINTENANCE_REASON_BYTES_MAX + 1]; /* a person's words; empty: none */
    int64_t since_ms, until_ms;
};

struct maintenance_list {
    struct maintenance of[MAINTENANCE_MAX]; /* in the order in which they began */
    uint32_t count;
};

/* The device is worked on from now on; where it is already, until then instead, and since then as
 * before. WEIR_EINVAL: a name or reason is too long, or it would be over already; WEIR_EFULL. */
struct maintenance_order {
    struct text device, reason;
    int64_t until_ms;
};
int maintenance_begin(struct maintenance_list *list, const struct maintenance_order *order,
                      int64_t wall_ms);

/* Over before its time: true, and *ended is what it was. */
bool maintenance_end(struct maintenance_list *list, struct text device,
                     struct maintenance *ended);

/* One that is over by now; true, and *ended is what it was. */
bool maintenance_expire(struct maintenance_list *list, int64_t wall_ms,
                        struct maintenance *ended);

/* The earliest end; INT64_MAX: there is none. */
int64_t maintenance_next_ms(const struct maintenance_list *list);

bool maintenance_covers(const struct maintenance_list *list, struct text device, int64_t wall_ms);

void maintenance_save(const struct maintenance_list *list, struct byte_writer *w);
void maintenance_load(struct maintenance_list *list, struct byte_reader *r);

#endif
