#include "pipeline/dedup.h"

#include <assert.h>

/* A device can only fool itself with a collision, so the key need not be secret. */
static const struct hash_key HASH_KEY = { 0x7765697264656475u, 0x0000000000000001u };

void dedup_init(struct dedup *d, struct dedup_range *ranges, uint64_t *hashes)
{
    assert(ranges != NULL);
    *d = (struct dedup){ .ranges = ranges, .hashes = hashes };
}

/* --- runs of numbers --- */

static bool has_number(const struct dedup_range *run, uint64_t number)
{
    return run->first <= number && number <= run->last;
}

static bool has_point(const struct dedup_range *run, uint64_t number, int64_t time_ms)
{
    return has_number(run, number) && run->first_ms <= time_ms && time_ms <= run->last_ms;
}

static void widen(struct dedup_range *run, const struct dedup_range *by)
{
    run->first = by->first < run->first ? by->first : run->first;
    run->last = by->last > run->last ? by->last : run->last;
    run->first_ms = by->first_ms < run->first_ms ? by->first_ms : run->first_ms;
    run->last_ms = by->last_ms > run->last_ms ? by->last_ms : run->last_ms;
}

/* Whether `low` and `high`, whose numbers touch, may become one run: not when `high` lies wholly
 * before `low`, nor when a third run has a number that `low` has already passed, at a time between
 * the two. Either shows a restart, and a run over it would cover numbers of the later boot that
 * nobody has seen. */
static bool joinable(const struct dedup *d, const struct dedup_range *low,
                     const struct dedup_range *high)
{
    if (low->last == UINT64_MAX || low->last + 1 != high->first || high->last_ms < low->first_ms)
        return false;
    for (uint32_t i = 0; i < d->range_count; i++) {
        const struct dedup_range *other = &d->ranges[i];
        if (other != low && other != high && other->first <= low->last &&
            other->first_ms > low->last_ms && other->first_ms <= high->last_ms)
            return false;
    }
    return true;
}

enum side { BELOW, ABOVE };

/* Index of the run that touches `run` on that side and may join it, of several the one used last;
 * -1: none. */
static int neighbour(const struct dedup *d, const struct dedup_range *run, enum side side)
{
    for (uint32_t i = d->range_count; i-- > 0;) {
        const struct dedup_range *other = &d->ranges[i];
        if (side == BELOW ? joinable(d, other, run) : joinable(d, run, other))
            return (int)i;
    }
    return -1;
}

static void remove_run(struct dedup *d, uint32_t index)
{
    assert(index < d->range_count);
    d->range_count--;
    memmove(&d->ranges[index], &d->ranges[index + 1],
            (d->range_count - index) * sizeof d->ranges[0]);
}

static enum dedup_verdict check_runs(const struct dedup *d, uint64_t number, int64_t time_ms)
{
    bool known = false;
    for (uint32_t i = d->range_count; i-- > 0;) { /* newest first: most readings go on from it */
        if (has_point(&d->ranges[i], number, time_ms))
            return DEDUP_SEEN;
        known = known || has_number(&d->ranges[i], number);
    }
    if (!known)
        return DEDUP_NEW;
    struct dedup_range point = { number, number, time_ms, time_ms };
    bool touches = neighbour(d, &point, BELOW) >= 0 || neighbour(d, &point, ABOVE) >= 0;
    return touches ? DEDUP_NEW : DEDUP_RESTART;
}

/* Put `run` at the end, in order of last use, joined with what it touches. */
static uint32_t add_run(struct dedup *d, const struct dedup_config *config, struct dedup_range run)
{
    for (enum side side = BELOW; side <= ABOVE; side++) {
        int at = neighbour(d, &run, side);
        if (at < 0)
            continue;
        widen(&run, &d->ranges[at]);
        remove_run(d, (uint32_t)at);
    }
    uint32_t forgotten = 0;
    if (d->range_count == config->ranges) {
        remove_run(d, 0);
        forgotten = 1;
    }
    d->ranges[d->range_count++] = run;
    return forgotten;
}

/* The message marked last goes on with this reading. */
static bool goes_on(const struct dedup *d, const struct reading *reading)
{
    return d->range_count > 0 && reading->sequence == d->last_sequence &&
           reading->index > d->last_index;
}

static uint32_t mark_runs(struct dedup *d, const struct dedup_config *config,
                          const struct reading *reading)
{
    uint64_t number = reading->sequence;
    int64_t time_ms = reading->device_time_ms;
    struct dedup_range run = { number, number, time_ms, time_ms };
    bool same_message = goes_on(d, reading);
    d->last_sequence = number;
    d->last_index = reading->index;
    if (same_message) { /* a message's readings may have times of their own */
        widen(&d->ranges[d->range_count - 1], &run);
        return 0;
    }
    for (uint32_t i = d->range_count; i-- > 0;) {
        if (!has_point(&d->ranges[i], number, time_ms))
            continue;
        run = d->ranges[i];
        remove_run(d, i);
        d->ranges[d->range_count++] = run;
        return 0;
    }
    return add_run(d, config, run);
}

/* --- hashes --- */

static uint64_t reading_hash(const struct reading *reading)
{
    uint8_t room[1 + 8 + 4 + 8 + 1 + 8];
    struct byte_writer w = { .at = room, .bytes = sizeof room };
    put_u8(&w, (uint8_t)(reading->has_sequence | reading->has_device_time << 1));
    put_u64(&w, reading->has_sequence ? reading->sequence : 0);
    put_u32(&w, reading->index);
    put_i64(&w, reading->has_device_time ? reading->device_time_ms : 0);
    put_u8(&w, (uint8_t)reading->value.type);
    put_f64(&w, reading->value.number);
    assert(!w.failed);
    struct hash_state hash;
    hash_begin(&hash, HASH_KEY, 0);
    hash_add(&hash, room, w.used);
    hash_add(&hash, reading->metric.at, reading->metric.bytes);
    hash_add(&hash, "", 1); /* the two texts can't run into each other: names have no NUL */
    hash_add(&hash, reading->value.text.at, reading->value.text.bytes);
    return hash_end64(&hash);
}

static bool has_hash(const struct dedup *d, uint64_t hash)
{
    for (uint32_t i = 0; i < d->hash_count; i++)
        if (d->hashes[i] == hash)
            return true;
    return false;
}

static void add_hash(struct dedup *d, uint32_t keep, uint64_t hash)
{
    d->hashes[d->hash_next] = hash;
    d->hash_next = (d->hash_next + 1) % keep;
    if (d->hash_count < keep)
        d->hash_count++;
}

/* --- both --- */

enum dedup_verdict dedup_check(const struct dedup *d, const struct dedup_config *config,
                               const struct reading *reading)
{
    if (reading->has_sequence && reading->has_device_time && goes_on(d, reading))
        return DEDUP_NEW;
    if (reading->has_sequence && reading->has_device_time)
        return check_runs(d, reading->sequence, reading->device_time_ms);
    if (config->keep == 0 || !(reading->has_sequence || reading->has_device_time))
        return DEDUP_NEW;
    return has_hash(d, reading_hash(reading)) ? DEDUP_SEEN : DEDUP_NEW;
}

uint32_t dedup_mark(struct dedup *d, const struct dedup_config *config,
                    const struct reading *reading)
{
    assert(config->ranges >= 1 && config->ranges <= DEDUP_RANGES_MAX);
    assert(config->keep <= DEDUP_KEEP_MAX);
    if (reading->has_sequence && reading->has_device_time) {
        uint32_t forgotten = mark_runs(d, config, reading);
        assert(d->range_count <= config->ranges);
        return forgotten;
    }
    if (config->keep > 0 && (reading->has_sequence || reading->has_device_time))
        add_hash(d, config->keep, reading_hash(reading));
    return 0;
}

void dedup_save(const struct dedup *d, const struct dedup_config *config, struct byte_writer *w)
{
    assert(d->range_count <= config->ranges && d->hash_count <= config->keep);
    put_u32(w, d->range_count);
    for (uint32_t i = 0; i < d->range_count; i++) {
        put_u64(w, d->ranges[i].first);
        put_u64(w, d->ranges[i].last);
        put_i64(w, d->ranges[i].first_ms);
        put_i64(w, d->ranges[i].last_ms);
    }
    put_u64(w, d->last_sequence);
    put_u32(w, d->last_index);
    put_u32(w, d->hash_count);
    put_u32(w, d->hash_next);
    for (uint32_t i = 0; i < d->hash_count; i++)
        put_u64(w, d->hashes[i]);
}

void dedup_load(struct dedup *d, const struct dedup_config *config, struct byte_reader *r)
{
    dedup_init(d, d->ranges, d->hashes);
    uint32_t ranges = get_u32(r);
    if (ranges > config->ranges)
        r->failed = true;
    for (uint32_t i = 0; i < ranges && !r->failed; i++) {
        struct dedup_range run = { .first = get_u64(r), .last = get_u64(r) };
        run.first_ms = get_i64(r);
        run.last_ms = get_i64(r);
        if (run.first > run.last || run.first_ms > run.last_ms)
            r->failed = true;
        d->ranges[i] = run;
    }
    d->range_count = ranges;
    d->last_sequence = get_u64(r);
    d->last_index = get_u32(r);
    uint32_t hashes = get_u32(r);
    d->hash_next = get_u32(r);
    if (hashes > config->keep || (config->keep > 0 && d->hash_next >= config->keep))
        r->failed = true;
    for (uint32_t i = 0; i < hashes && !r->failed; i++)
        d->hashes[i] = get_u64(r);
    d->hash_count = hashes;
    if (r->failed)
        dedup_init(d, d->ranges, d->hashes);
}
