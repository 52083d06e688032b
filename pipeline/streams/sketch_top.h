/* sketch_top: which values came most often, and about how often, in fixed size: Space-Saving
 * (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data
 * streams", 2005), merged as Cafaro, Pulimeno and Tempesta do ("A parallel Space Saving algorithm
 * for frequent items and the Hurwitz zeta distribution", 2016), which keeps the bound of Agarwal,
 * Cormode, Huang, Phillips, Wei and Yi ("Mergeable summaries", 2012).
 *
 * Of N values and m = TOP_COUNTERS counters a count is never too low, and too high by at most N/m;
 * every value that came more than N/m times has a counter; and up to m different values all counts
 * are exact. All that in any order, and merged in any way: the counts add up to N at most, so that
 * the least of m is N/m at most, and that is what a newcomer is given.
 *
 * A text is counted as it is told: spaces and percent signs as %20 and %25, at most
 * HELD_TEXT_BYTES, so that longer ones that begin alike are one. */
#ifndef PIPELINE_STREAMS_SKETCH_TOP_H
#define PIPELINE_STREAMS_SKETCH_TOP_H

#include "pipeline/streams/held.h"

enum {
    TOP_COUNTERS = 64,
    TOP_MOST = 8,                                      /* that are told */
    TOP_TEXT_BYTES = HELD_TEXT_BYTES + 1 + 20 + 1,     /* of one, told: "value:count " */
    TOP_SAVE_BYTES_MAX = 4 + TOP_COUNTERS * (8 + HELD_SAVE_BYTES_MAX)
};

struct top_counter {
    uint64_t count;
    uint32_t hash; /* of the value; follows from it */
    uint32_t unused;
    struct held value;
};

struct top_state { /* all zero: no value */
    uint64_t used;
    struct top_counter counters[TOP_COUNTERS];
};

/* O(counters): 0.1 us of few values, 0.3 of many texts. Null changes nothing. */
void top_push(struct top_state *s, const struct datum *value);
/* O(counters^2): up to 17 us. */
void top_merge(struct top_state *into, const struct top_state *from);

/* The `most` (at most TOP_MOST) greatest counts, "press:12 oven:7 21.5:3"; of equal ones numbers
 * first, by size, then texts by their bytes. `to` has room for most * TOP_TEXT_BYTES. About 1 us
 * each, of numbers. */
struct text top_tell(const struct top_state *s, uint32_t most, char *to);

void top_save(const struct top_state *s, struct byte_writer *w);
void top_load(struct top_state *s, struct byte_reader *r);

#endif
