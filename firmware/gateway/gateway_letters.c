/* gateway_letters: dead letters tried again or dropped; and once an hour, what was rejected in it,
 * told upstream. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/gateway/gateway_state.h"

/* --- what of its message was taken when it came ----------------------------------------------- */

/* A u8, the form; of the named form the device that its payload named (text); and a u64 for each
 * reading that was not rejected, in the message's order: its identity, whose lowest bit says
 * whether it was stored, and no repeat. Not by its place in the message: what could not be read may
 * come to more or fewer readings by a mended mapping. The name stands here and not as the letter's
 * device, for that is whom a connection showed to be, and a payload may claim anything. */
enum {
    TAKEN_FORM = 1,
    TAKEN_FORM_NAMED = 2,
    TAKEN_NAME_BYTES = 4 + READING_NAME_BYTES_MAX,
    TAKEN_BYTES = 8
};
enum taken_mark { TAKEN_NOT, TAKEN_REPEAT, TAKEN_STORED };

size_t letters_taken_bytes(const struct config *config)
{
    return 1 + TAKEN_NAME_BYTES + (size_t)TAKEN_BYTES * config->json.readings;
}

void letters_init(struct letters *l, const struct config *config, struct arena *arena)
{
    l->taken = arena_take(arena, letters_taken_bytes(config), 1);
}

static uint64_t identity(const struct gateway *g, const struct reading *r)
{
    uint8_t room[40];
    struct byte_writer w = { room, sizeof room, 0, false };
    struct hash_state hash;
    put_u8(&w, (uint8_t)(r->has_sequence | r->has_device_time << 1));
    put_u64(&w, r->has_sequence ? r->sequence : 0);
    put_i64(&w, r->has_device_time ? r->device_time_ms : 0);
    put_u8(&w, (uint8_t)r->value.type);
    put_f64(&w, r->value.number);
    put_u32(&w, r->device.bytes);
    put_u32(&w, r->metric.bytes);
    assert(!w.failed);
    hash_begin(&hash, (struct hash_key){ g->store_id[0], g->store_id[1] }, 0);
    hash_add(&hash, room, w.used);
    hash_add(&hash, r->device.at, r->device.bytes);
    hash_add(&hash, r->metric.at, r->metric.bytes);
    if (r->value.text.bytes > 0)
        hash_add(&hash, r->value.text.at, r->value.text.bytes);
    return hash_end64(&hash) & ~UINT64_C(1);
}

struct text letters_taken(struct gateway *g, struct text named)
{
    struct byte_writer w = { g->letters.taken, letters_taken_bytes(g->config), 0, false };
    bool has_name = named.bytes > 0 && named.bytes <= READING_NAME_BYTES_MAX;
    put_u8(&w, has_name ? TAKEN_FORM_NAMED : TAKEN_FORM);
    if (has_name)
        put_text(&w, named);
    for (uint32_t i = 0; i < g->decoded.count; i++)
        if (g->admissions[i].verdict != ADMIT_REJECT)
            put_u64(&w, identity(g, &g->decoder.readings[i]) |
                            (g->admissions[i].verdict == ADMIT_STORE ? 1u : 0u));
    assert(!w.failed);
    return (struct text){ (const char *)w.at, (uint32_t)w.used };
}

struct text letters_nothing_taken(void)
{
    static const char nothing[] = { TAKEN_FORM };
    return (struct text){ nothing, sizeof nothing };
}

struct text gateway_letter_named(const struct dead_letter *letter)
{
    struct byte_reader r = { (const uint8_t *)letter->taken.at, letter->taken.bytes, 0, false };
    if (letter->taken.bytes == 0 || get_u8(&r) != TAKEN_FORM_NAMED)
        return (struct text){ 0 };
    struct text named = get_text(&r);
    return r.failed ? (struct text){ 0 } : named;
}

/* An older Weir kept the letter. These reasons are of whole messages only; others may be of one
 * reading among good ones. */
static bool was_refused_whole(const struct dead_letter *letter, uint32_t readings)
{
    bool unread = letter->reason <= REJECT_NUMBER_NOT_FINITE ||
                  letter->reason == REJECT_TOO_MANY_READINGS;
    return unread || letter->readings >= readings;
}

static bool is_numbered(const struct reading *r)
{
    return r->has_sequence && r->has_device_time;
}

/* A reading that was stored has its device and number. */
static bool is_of_stored(const struct gateway *g, const struct reading *reading)
{
    for (uint32_t i = 0; is_numbered(reading) && i < g->decoded.count; i++) {
        const struct reading *other = &g->decoder.readings[i];
        if (g->letters.taken[i] == TAKEN_STORED && other->sequence == reading->sequence &&
            is_numbered(other) && text_equal(other->device, reading->device))
            return true;
    }
    return false;
}

bool letters_mark(struct gateway *g, const struct dead_letter *letter, bool as_new)
{
    uint8_t *marks = g->letters.taken;
    uint32_t count = g->decoded.count, i = 0;
    struct byte_reader r = { (const uint8_t *)letter->taken.at, letter->taken.bytes, 0, false };
    memset(marks, TAKEN_NOT, count);
    if (letter->taken.bytes == 0)
        return was_refused_whole(letter, count);
    uint8_t form = get_u8(&r);
    if (form == TAKEN_FORM_NAMED)
        (void)get_text(&r);
    if (r.failed || (form != TAKEN_FORM_NAMED && form != TAKEN_FORM))
        return false;
    while (r.used < r.bytes) {
        uint64_t one = get_u64(&r);
        while (i < count && identity(g, &g->decoder.readings[i]) != (one & ~UINT64_C(1)))
            i++;
        if (r.failed || i == count)
            return false;
        marks[i++] = (uint8_t)((one & 1) != 0 ? TAKEN_STORED : TAKEN_REPEAT);
    }
    for (i = 0; i < count; i++)
        g->decoder.readings[i].surely_new =
            as_new && marks[i] == TAKEN_NOT && is_of_stored(g, &g->decoder.readings[i]);
    return true;
}

/* Its number is known, for the part that was stored bears it. That it is known says nothing of this
 * reading then, which may have come again since. */
static bool is_doubtful(const struct gateway *g, uint32_t index)
{
    return g->letters.taken[index] == TAKEN_NOT &&
           g->admissions[index].verdict == ADMIT_DUPLICATE &&
           is_of_stored(g, &g->decoder.readings[index]);
}

uint32_t letters_left(struct gateway *g, bool *doubtful)
{
    uint32_t left = 0;
    *doubtful = false;
    for (uint32_t i = 0; i < g->decoded.count; i++) {
        *doubtful = *doubtful || is_doubtful(g, i);
        if (g->letters.taken[i] == TAKEN_NOT && left++ != i)
            g->admissions[left - 1] = g->admissions[i];
    }
    return left;
}

/* --- one of them, once more ------------------------------------------------------------------- */

bool letters_room(const struct gateway *g)
{
    return g->filling->batch.letter_change_count + 1 < FILL_LETTER_CHANGES_MAX;
}

static void change(struct gateway *g, const struct letter_change *change)
{
    struct fill *f = g->filling;
    assert(f->batch.letter_change_count < FILL_LETTER_CHANGES_MAX);
    f->letter_changes[f->batch.letter_change_count++] = *change;
    fill_open(g);
}

void letters_removed(struct gateway *g, uint64_t id)
{
    struct letters *l = &g->letters;
    change(g, &(struct letter_change){ .id = id, .removed = true });
    l->gone[l->gone_next++ % (sizeof l->gone / sizeof l->gone[0])] = id;
}

static bool is_gone(const struct gateway *g, uint64_t id)
{
    for (size_t i = 0; i < sizeof g->letters.gone / sizeof g->letters.gone[0]; i++)
        if (g->letters.gone[i] == id)
            return true;
    return false;
}

/* CONFIG_SOURCES_MAX: there is none of that name. */
static uint32_t source_of(const struct gateway *g, struct text name)
{
    for (uint32_t i = 0; i < g->config->source_count; i++)
        if (text_equal(text_of(g->config->sources[i].name), name))
            return i;
    return CONFIG_SOURCES_MAX;
}

/* Whom a listener's device showed to be must be known, or its message could speak for another. */
static bool is_no_use(const struct gateway *g, const struct dead_letter *letter, uint32_t source)
{
    const struct config_source *s = &g->config->sources[source];
    bool nameless = s->kind == SOURCE_LISTENER && !s->anonymous && letter->device.bytes == 0;
    return nameless || redact_is_withheld(letter->payload) ||
           letter->reason == REJECT_PAYLOAD_TOO_LARGE ||
           letter->reason == REJECT_IDENTITY_MISMATCH ||
           letter->reason == REJECT_UPSTREAM_REFUSED;
}

int gateway_retry(struct gateway *g, const struct dead_letter *letter, struct retry_how how,
                  struct retried *to)
{
    *to = (struct retried){ .outcome = RETRY_NO_SOURCE };
    if (is_gone(g, letter->id))
        return WEIR_ENOTFOUND;
    uint32_t source = source_of(g, letter->source);
    if (source == CONFIG_SOURCES_MAX && letter->reason != REJECT_UPSTREAM_REFUSED)
        return 0;
    to->outcome = RETRY_NO_USE;
    if (source == CONFIG_SOURCES_MAX || is_no_use(g, letter, source))
        return 0;
    to->outcome = RETRY_POISONED;
    if (letter->tries >= GATEWAY_RETRIES_MAX && !how.poisoned)
        return 0;
    if (!gateway_may_take(g, source) || !letters_room(g))
        return WEIR_EAGAIN;
    const struct message message = { .source = source, .qos = 1, .topic = letter->topic,
                                     .payload = letter->payload, .device = letter->device };
    intake_letter(g, &message, &(struct letter_try){ letter, !how.dry, how.as_new }, to);
    if (to->outcome == RETRY_REJECTED && !how.dry)
        change(g, &(struct letter_change){ .id = letter->id, .reason = to->reason,
                                           .wall_ms = gateway_wall_ms(g) });
    return 0;
}

int gateway_drop_letter(struct gateway *g, const struct dead_letter *letter)
{
    if (is_gone(g, letter->id))
        return WEIR_ENOTFOUND;
    if (g->failed || !letters_room(g))
        return WEIR_EAGAIN;
    letters_removed(g, letter->id);
    return 0;
}

/* --- what was rejected within an hour --------------------------------------------------------- */

enum { TOLD_EVERY_MS = 3600 * 1000, TOLD_REASONS_MAX = 8 };

void letters_start(struct gateway *g)
{
    g->letters.told_ms = g->t_ms;
    memcpy(g->letters.told, g->ledger.rejected, sizeof g->letters.told);
}

/* Of those that are not in yet the one with the most; REJECT_NONE: no more. */
static enum reject_reason most_of(const uint64_t counts[REJECT_REASON_END])
{
    int most = REJECT_NONE;
    for (int i = REJECT_NONE + 1; i < REJECT_REASON_END; i++)
        if (counts[i] > 0 && (most == REJECT_NONE || counts[i] > counts[most]))
            most = i;
    return (enum reject_reason)most;
}

static void tell(struct gateway *g, uint64_t counts[REJECT_REASON_END], uint64_t sum)
{
    char message[512];
    struct envelope_fact facts[TOLD_REASONS_MAX + 1] = { { "rejected", (double)sum } };
    uint32_t count = 1;
    int used = snprintf(message, sizeof message,
                        "within an hour %llu readings were rejected (`weir dlq summary`):",
                        (unsigned long long)sum);
    enum reject_reason reason;
    while (count <= TOLD_REASONS_MAX && (reason = most_of(counts)) != REJECT_NONE) {
        used += snprintf(message + used, sizeof message - (size_t)used, "%s %s %llu",
                         count > 1 ? "," : "", reject_name(reason),
                         (unsigned long long)counts[reason]); /* 8 of at most 43 bytes fit */
        facts[count++] = (struct envelope_fact){ reject_name(reason), (double)counts[reason] };
        counts[reason] = 0;
    }
    fill_notice(g, "dead_letters", &(struct notice){ message, NULL, facts, count });
}

void letters_turn(struct gateway *g)
{
    uint64_t counts[REJECT_REASON_END] = { 0 }, sum = 0;
    if (g->t_ms - g->letters.told_ms < TOLD_EVERY_MS || !fill_has_step_room(g, g->filling))
        return;
    for (int i = REJECT_NONE + 1; i < REJECT_REASON_END; i++) {
        counts[i] = g->ledger.rejected[i] - g->letters.told[i];
        sum += counts[i];
    }
    letters_start(g);
    if (sum > 0)
        tell(g, counts, sum);
}
