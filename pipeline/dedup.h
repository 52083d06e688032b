/* dedup: whether a reading has been seen, for one device, in fixed size.
 *
 * With a sequence and a device time: a device's numbers are kept as at most `ranges` runs, each
 * with the span of event times that it covers, so a repeat is known however long ago it was, and a
 * late backlog (numbers never seen) is not mistaken for one. Neighbouring numbers become one run,
 * unless another run shows that the device restarted between them. A number that is known, but at
 * another time, is a device that counts from the start again: the reading that opens its new run is
 * a RESTART, those that go on from it are NEW. When there are more runs than room, the one unused
 * for longest is forgotten (counted), and repeats of its numbers are taken for new.
 * Without one of the two: the last `keep` hashes of (metric, sequence, index, device time, value,
 * further fields), of 64 bits, so that no reading is lost to a chance collision.
 * A device numbers its messages or it does not, so runs and hashes share one room; a device that
 * does both has half of the runs from then on, and hashes in the rest of the room.
 * With neither sequence nor device time the hash of the value alone would call every steady device
 * a repeater: such readings are always new, and `weir check` says that a redelivery of them can't
 * be told.
 *
 * What a run can't tell: a device whose clock returns to an earlier span while its numbers restart
 * (no battery, no network time); and a restart whose first number heard lies beyond all known ones,
 * which looks like a gap. In both, a number inside the run is then taken for a repeat. The same can
 * happen to a late reading of a device that restarted, once the run that showed the restart was
 * forgotten.
 *
 * The readings of one message share its number: all of them are judged before any of them is
 * marked, and they are marked one after the other, in order of index. A later index than the last
 * one marked, under the same number, is the rest of a message that was cut off, and is NEW.
 *
 * Numbers are the device's, so this can't tell two metrics with counters of their own from one
 * another; the engine, which knows each metric's newest time, stores what that shows to be new. */
#ifndef PIPELINE_DEDUP_H
#define PIPELINE_DEDUP_H

#include "pipeline/bytes.h"
#include "pipeline/hash.h"
#include "pipeline/reading.h"

enum { DEDUP_RANGES_MAX = 16, DEDUP_KEEP_MAX = 1024 };

struct dedup_config {
    uint32_t ranges; /* a device, 1..DEDUP_RANGES_MAX, 24 bytes each */
    uint32_t keep;   /* hashes a device, 0..DEDUP_KEEP_MAX, 8 bytes each, in the same bytes */
};

struct dedup_range { /* a run. One longer than 2^32 numbers or 49 days goes on as another */
    uint64_t first;
    uint64_t last;
    int64_t first_ms; /* least and greatest event time of the numbers in it */
    int64_t last_ms;
};

struct dedup { /* of one device */
    uint64_t last_sequence;     /* of the message marked last; while range_count > 0, as is */
    uint16_t last_index;        /* of the reading marked last, in that message */
    uint16_t hash_count;        /* in use */
    uint16_t hash_next;         /* slot to write next */
    uint8_t range_count;        /* in use */
    bool mixed;                 /* the device sends readings of both kinds */
    /* from the front the runs, in order of last use, oldest first; at the end a ring of hashes */
    uint64_t room[];
};

enum dedup_verdict { DEDUP_NEW, DEDUP_SEEN, DEDUP_RESTART };

size_t dedup_bytes(const struct dedup_config *config);
void dedup_init(struct dedup *d); /* its room need not be clear */

/* The index-th of range_count runs, the one unused for longest first. */
struct dedup_range dedup_run(const struct dedup *d, uint32_t index);

/* How many runs and hashes a device has that sends readings of both kinds. */
struct dedup_config dedup_mixed(const struct dedup_config *config);

/* For reading.repeat_hash, so that judging and marking don't each reckon it; 0: it has none. */
uint64_t dedup_hash(const struct reading *reading);

/* Changes nothing. O(ranges) or O(keep). */
enum dedup_verdict dedup_check(const struct dedup *d, const struct dedup_config *config,
                               const struct reading *reading);

/* Remember a reading that is stored. Returns how many runs were forgotten for it: 0 or 1, or half
 * of them where it made the device a mixed one.
 * O(ranges^2) at most, with ranges <= 16. */
uint32_t dedup_mark(struct dedup *d, const struct dedup_config *config,
                    const struct reading *reading);

/* A state that breaks an invariant, or is larger than the configuration, fails the reader. */
void dedup_save(const struct dedup *d, const struct dedup_config *config, struct byte_writer *w);
void dedup_load(struct dedup *d, const struct dedup_config *config, struct byte_reader *r);

#endif
