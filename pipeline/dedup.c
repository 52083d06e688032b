#include "pipeline/dedup.h"

#include <assert.h>

/* A device can only fool itself with a collision, so the key need not be secret. */
static const struct hash_key HASH_KEY = { 0x7765697264656475u, 0x0000000000000001u };

/* --- the room --- */

struct run { /* a dedup_range as it is kept */
    uint64_t first;
    int64_t first_ms;
    uint32_t more;    /* numbers behind the first */
    uint32_t span_ms;
};

enum { RANGE_WORDS = sizeof(struct run) / sizeof(uint64_t) };

static uint32_t room_words(const struct dedup_config *config)
{
    uint32_t runs = config->ranges * RANGE_WORDS;
    return runs > config->keep ? runs : config->keep;
}

static uint32_t ranges_max(const struct dedup_config *config, bool mixed)
{
    return mixed ? (config->ranges + 1) / 2 : config->ranges;
}

static uint32_t keep_max(const struct dedup_config *config, bool mixed)
{
    uint32_t runs = mixed ? ranges_max(config, true) : 0;
    uint32_t rest = room_words(config) - runs * RANGE_WORDS;
    return rest < config->keep ? rest : config->keep;
}

size_t dedup_bytes(const struct dedup_config *config)
{
    return sizeof(struct dedup) + room_words(config) * sizeof(uint64_t);
}

void dedup_init(struct dedup *d)
{
    *d = (struct dedup){ .last_sequence = 0 };
}

struct dedup_config dedup_mixed(const struct dedup_config *config)
{
    return (struct dedup_config){ ranges_max(config, true), keep_max(config, true) };
}

static bool is_numbered(const struct reading *reading)
{
    return reading->has_sequence && reading->has_device_time;
}

static bool is_hashed(const struct reading *reading)
{
    return reading->has_sequence != reading->has_device_time;
}

static uint64_t *hashes_of(const struct dedup *d, const struct dedup_config *config)
{
    return (uint64_t *)d->room + room_words(config) - keep_max(config, d->mixed);
}

/* --- runs of numbers --- */

static struct run *runs_of(const struct dedup *d)
{
    return (struct run *)d->room;
}

struct dedup_range dedup_run(const struct dedup *d, uint32_t index)
{
    assert(index < d->range_count);
    const struct run *run = &runs_of(d)[index];
    return (struct dedup_range){ run->first, run->first + run->more, run->first_ms,
                                 run->first_ms + run->span_ms };
}

static bool fits(const struct dedup_range *run)
{
    return run->last - run->first <= UINT32_MAX &&
           (uint64_t)run->last_ms - (uint64_t)run->first_ms <= UINT32_MAX;
}

static void keep_run(struct dedup *d, uint32_t index, const struct dedup_range *run)
{
    assert(fits(run));
    runs_of(d)[index] = (struct run){ run->first, run->first_ms, (uint32_t)(run->last - run->first),
                                      (uint32_t)(run->last_ms - run->first_ms) };
}

static bool has_number(const struct dedup_range *run, uint64_t number)
{
    return run->first <= number && number <= run->last;
}

static bool has_point(const struct dedup_range *run, uint64_t number, int64_t time_ms)
{
    return has_number(run, number) && run->first_ms <= time_ms && time_ms <= run->last_ms;
}

static struct dedup_range widened(const struct dedup_range *run, const struct dedup_range *by)
{
    return (struct dedup_range){ by->first < run->first ? by->first : run->first,
                                 by->last > run->last ? by->last : run->last,
                                 by->first_ms < run->first_ms ? by->first_ms : run->first_ms,
                                 by->last_ms > run->last_ms ? by->last_ms : run->last_ms };
}

/* Whether `low` and `high`, whose numbers touch, may become one run: not when `high` lies wholly
 * before `low`, nor when a third run has a number that `low` has already passed, at a time between
 * the two. Either shows a restart, and a run over it would cover numbers of the later boot that
 * nobody has seen. One of the two is the run at `index`, the other is new. */
static bool joinable(const struct dedup *d, uint32_t index, const struct dedup_range *low,
                     const struct dedup_range *high)
{
    struct dedup_range joined = widened(low, high);
    if (low->last == UINT64_MAX || low->last + 1 != high->first || high->last_ms < low->first_ms ||
        !fits(&joined))
        return false;
    for (uint32_t i = 0; i < d->range_count; i++) {
        struct dedup_range other = dedup_run(d, i);
        if (i != index && other.first <= low->last && other.first_ms > low->last_ms &&
            other.first_ms <= high->last_ms)
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
        struct dedup_range other = dedup_run(d, i);
        if (side == BELOW ? joinable(d, i, &other, run) : joinable(d, i, run, &other))
            return (int)i;
    }
    return -1;
}

static void remove_run(struct dedup *d, uint32_t index)
{
    struct run *runs = runs_of(d);
    assert(index < d->range_count);
    d->range_count--;
    memmove(&runs[index], &runs[index + 1], (d->range_count - index) * sizeof runs[0]);
}

static enum dedup_verdict check_runs(const struct dedup *d, uint64_t number, int64_t time_ms)
{
    bool known = false;
    for (uint32_t i = d->range_count; i-- > 0;) { /* newest first: most readings go on from it */
        struct dedup_range run = dedup_run(d, i);
        if (has_point(&run, number, time_ms))
            return DEDUP_SEEN;
        known = known || has_number(&run, number);
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
        struct dedup_range other = dedup_run(d, (uint32_t)at);
        run = widened(&run, &other);
        remove_run(d, (uint32_t)at);
    }
    uint32_t forgotten = 0;
    if (d->range_count == ranges_max(config, d->mixed)) {
        remove_run(d, 0);
        forgotten = 1;
    }
    keep_run(d, d->range_count++, &run);
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
    d->last_index = reading->index < UINT16_MAX ? (uint16_t)reading->index : UINT16_MAX;
    if (same_message) { /* a message's readings may have times of their own, within reason */
        struct dedup_range last = dedup_run(d, d->range_count - 1u);
        last = widened(&last, &run);
        if (fits(&last))
            keep_run(d, d->range_count - 1u, &last);
        return 0;
    }
    for (uint32_t i = d->range_count; i-- > 0;) {
        struct dedup_range known = dedup_run(d, i);
        if (!has_point(&known, number, time_ms))
            continue;
        remove_run(d, i);
        keep_run(d, d->range_count++, &known);
        return 0;
    }
    return add_run(d, config, run);
}

/* --- hashes --- */

/* The texts can't run into each other: names have no NUL. */
static uint64_t hash_of(const struct reading *reading)
{
    uint8_t room[1 + 8 + 4 + 8 + 1 + 8 + READING_NAME_BYTES_MAX + 1];
    struct byte_writer w = { .at = room, .bytes = sizeof room };
    put_u8(&w, (uint8_t)(reading->has_sequence | reading->has_device_time << 1));
    put_u64(&w, reading->has_sequence ? reading->sequence : 0);
    put_u32(&w, reading->index);
    put_i64(&w, reading->has_device_time ? reading->device_time_ms : 0);
    put_u8(&w, (uint8_t)reading->value.type);
    put_f64(&w, reading->value.number);
    put_raw(&w, reading->metric.at, reading->metric.bytes);
    put_u8(&w, 0);
    assert(!w.failed);
    if (reading->value.text.bytes == 0 && reading->extra.bytes == 0)
        return hash64(HASH_KEY, room, w.used);
    struct hash_state hash;
    hash_begin(&hash, HASH_KEY, 0);
    hash_add(&hash, room, w.used);
    if (reading->value.text.bytes > 0)
        hash_add(&hash, reading->value.text.at, reading->value.text.bytes);
    if (reading->extra.bytes > 0) {
        hash_add(&hash, "", 1); /* a text has no NUL either */
        hash_add(&hash, reading->extra.at, reading->extra.bytes);
    }
    return hash_end64(&hash);
}

static uint64_t reading_hash(const struct reading *reading)
{
    return reading->repeat_hash != 0 ? reading->repeat_hash : hash_of(reading);
}

uint64_t dedup_hash(const struct reading *reading)
{
    return is_hashed(reading) ? hash_of(reading) : 0;
}

static bool has_hash(const struct dedup *d, const struct dedup_config *config, uint64_t hash)
{
    const uint64_t *hashes = hashes_of(d, config);
    for (uint32_t i = 0; i < d->hash_count; i++)
        if (hashes[i] == hash)
            return true;
    return false;
}

static void add_hash(struct dedup *d, const struct dedup_config *config, uint64_t hash)
{
    uint32_t keep = keep_max(config, d->mixed);
    if (keep == 0)
        return;
    hashes_of(d, config)[d->hash_next] = hash;
    d->hash_next = (uint16_t)((d->hash_next + 1u) % keep);
    if (d->hash_count < keep)
        d->hash_count++;
}

/* --- both --- */

enum dedup_verdict dedup_check(const struct dedup *d, const struct dedup_config *config,
                               const struct reading *reading)
{
    if (is_numbered(reading) && goes_on(d, reading))
        return DEDUP_NEW;
    if (is_numbered(reading))
        return check_runs(d, reading->sequence, reading->device_time_ms);
    if (d->hash_count == 0 || !is_hashed(reading))
        return DEDUP_NEW;
    return has_hash(d, config, reading_hash(reading)) ? DEDUP_SEEN : DEDUP_NEW;
}

/* Half of the runs from here on, the newest, and hashes in the rest. Returns how many runs had to
 * go. */
static uint32_t mix(struct dedup *d, const struct dedup_config *config)
{
    uint64_t kept[DEDUP_KEEP_MAX];
    uint32_t forgotten = 0, count = keep_max(config, true);
    const uint64_t *ring = hashes_of(d, config);
    count = d->hash_count < count ? d->hash_count : count;
    for (uint32_t i = 0; i < count; i++)
        kept[i] = ring[(d->hash_next + config->keep - count + i) % config->keep];
    for (; d->range_count > ranges_max(config, true); forgotten++)
        remove_run(d, 0);
    d->mixed = true;
    d->hash_count = d->hash_next = 0;
    for (uint32_t i = 0; i < count; i++)
        add_hash(d, config, kept[i]);
    return forgotten;
}

uint32_t dedup_mark(struct dedup *d, const struct dedup_config *config,
                    const struct reading *reading)
{
    assert(config->ranges >= 1 && config->ranges <= DEDUP_RANGES_MAX);
    assert(config->keep <= DEDUP_KEEP_MAX);
    uint32_t forgotten = 0;
    bool numbered = is_numbered(reading);
    if (config->keep == 0 ? !numbered : !numbered && !is_hashed(reading))
        return 0;
    if (!d->mixed && (numbered ? d->hash_count : d->range_count) > 0)
        forgotten = mix(d, config);
    if (numbered)
        forgotten += mark_runs(d, config, reading);
    else
        add_hash(d, config, reading_hash(reading));
    assert(d->range_count <= ranges_max(config, d->mixed));
    assert(d->hash_count <= keep_max(config, d->mixed));
    return forgotten;
}

void dedup_save(const struct dedup *d, const struct dedup_config *config, struct byte_writer *w)
{
    put_bool(w, d->mixed);
    put_u32(w, d->range_count);
    for (uint32_t i = 0; i < d->range_count; i++) {
        struct dedup_range run = dedup_run(d, i);
        put_u64(w, run.first);
        put_u64(w, run.last);
        put_i64(w, run.first_ms);
        put_i64(w, run.last_ms);
    }
    put_u64(w, d->last_sequence);
    put_u16(w, d->last_index);
    put_u32(w, d->hash_count);
    put_u32(w, d->hash_next);
    for (uint32_t i = 0; i < d->hash_count; i++)
        put_u64(w, hashes_of(d, config)[i]);
}

static void load_runs(struct dedup *d, const struct dedup_config *config, struct byte_reader *r)
{
    uint32_t count = get_u32(r);
    if (count > ranges_max(config, d->mixed))
        r->failed = true;
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        struct dedup_range run;
        run.first = get_u64(r);
        run.last = get_u64(r);
        run.first_ms = get_i64(r);
        run.last_ms = get_i64(r);
        if (run.first > run.last || run.first_ms > run.last_ms || !fits(&run))
            r->failed = true;
        else
            keep_run(d, i, &run);
    }
    d->range_count = r->failed ? 0 : (uint8_t)count;
    d->last_sequence = get_u64(r);
    d->last_index = get_u16(r);
}

static void load_hashes(struct dedup *d, const struct dedup_config *config, struct byte_reader *r)
{
    uint32_t keep = keep_max(config, d->mixed);
    uint32_t count = get_u32(r), next = get_u32(r);
    bool alone = d->mixed || count == 0 || d->range_count == 0;
    if (count > keep || next >= (keep > 0 ? keep : 1) || !alone)
        r->failed = true;
    for (uint32_t i = 0; i < count && !r->failed; i++)
        hashes_of(d, config)[i] = get_u64(r);
    d->hash_count = r->failed ? 0 : (uint16_t)count;
    d->hash_next = r->failed ? 0 : (uint16_t)next;
}

void dedup_load(struct dedup *d, const struct dedup_config *config, struct byte_reader *r)
{
    dedup_init(d);
    d->mixed = get_bool(r);
    load_runs(d, config, r);
    load_hashes(d, config, r);
    if (r->failed)
        dedup_init(d);
}
