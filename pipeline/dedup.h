/* dedup: whether a reading has been seen, for one device, in fixed size.
 *
 * With a sequence and a device time: a device's numbers are kept as at most `ranges` runs, each
 * with the span of event
 * times that it covers, so a repeat is known however long ago it was, and a late backlog (numbers
 * never seen) is not
 * mistaken for one. A number that is known but whose time lies outside the run's span is a device
 * that counts from the
 * start again: stored, counted as sequence_restart. When there are more runs than room, the oldest
 * is forgotten (counted).
 * Without one of the two: the last `keep` hashes of (metric, sequence, index, device time, value).
 * With neither sequence nor device time the hash of the value alone would call every steady device
 * a repeater: such
 * readings are always new, and `weir check` says that a redelivery of them can't be told.
 *
 * The readings of one message share its number: all of them are judged before any of them is
 * marked. */
#ifndef PIPELINE_DEDUP_H
#define PIPELINE_DEDUP_H

#include "pipeline/bytes.h"
#include "pipeline/hash.h"
#include "pipeline/reading.h"

struct dedup_config {
    uint32_t ranges; /* a device, 1..16 */
    uint32_t keep;   /* hashes a device, 0..1024 */
};

struct dedup_range {
    uint64_t first;
    uint64_t last;
    int64_t first_ms; /* least and greatest event time of the numbers in it */
    int64_t last_ms;
};

struct dedup { /* of one device; arrays are the caller's, sized by dedup_config */
    /* [ranges], in use: range_count, in order of last use, oldest first */
    struct dedup_range *ranges;
    uint32_t *hashes;           /* [keep], a ring */
    uint32_t range_count;
    uint32_t hash_count;        /* in use */
    uint32_t hash_next;         /* slot to write next */
};

enum dedup_verdict { DEDUP_NEW, DEDUP_SEEN, DEDUP_RESTART };

void dedup_init(struct dedup *d, struct dedup_range *ranges, uint32_t *hashes);

/* Changes nothing. */
enum dedup_verdict dedup_check(const struct dedup *d, const struct dedup_config *config,
                               const struct reading *reading);

/* Remember a reading that is stored. Returns how many ranges were forgotten for it (0 or 1). */
uint32_t dedup_mark(struct dedup *d, const struct dedup_config *config, const struct reading *reading);

void dedup_save(const struct dedup *d, const struct dedup_config *config, struct byte_writer *w);
void dedup_load(struct dedup *d, const struct dedup_config *config, struct byte_reader *r);

#endif
