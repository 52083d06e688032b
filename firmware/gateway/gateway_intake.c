/* gateway_intake: one message, from bytes to records: decode, judge, apply, journal, count. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "firmware/gateway/gateway_state.h"

int64_t gateway_wall_ms(const struct gateway *g)
{
    return g->t_ms + g->clock.offset_ms;
}

/* Not inlined: where gcc knows that a copy is small it makes `rep movs` of it, which takes longer
 * to begin than the C library takes for all of it. */
__attribute__((noinline)) static void copy_text(void *to, struct text from)
{
    memcpy(to, from.at, from.bytes);
}

static void copy_name(char *to, struct text from)
{
    if (from.bytes > READING_NAME_BYTES_MAX)
        from.bytes = READING_NAME_BYTES_MAX;
    if (from.bytes > 0)
        copy_text(to, from);
    to[from.bytes] = '\0';
}

static void tail_add(struct gateway *g, const struct record *record, const char *outcome)
{
    struct tail_slot *slot = &g->tail[g->tail_count % TAIL_SLOTS];
    const struct reading *r = &record->reading;
    slot->entry.number = ++g->tail_count;
    slot->entry.wall_ms = gateway_wall_ms(g);
    slot->entry.event_time_ms = record->event_time_ms;
    slot->entry.time_source = record->time_source;
    copy_name(slot->entry.device, r->device);
    copy_name(slot->entry.metric, r->metric);
    copy_name(slot->entry.unit, r->unit);
    copy_name(slot->entry.value, r->value.text);
    slot->entry.outcome = outcome;
    slot->value = r->value;
}

static void print_value(const struct tail_slot *slot, char to[64])
{
    switch (slot->value.type) {
    case VALUE_NUMBER:
        (void)snprintf(to, 64, "%.10g", slot->value.number);
        break;
    case VALUE_BOOLEAN:
        (void)snprintf(to, 64, "%s", slot->value.number != 0 ? "true" : "false");
        break;
    case VALUE_TEXT:
        memcpy(to, slot->entry.value, 64);
        to[63] = '\0';
        break;
    }
}

uint32_t gateway_tail(const struct gateway *g, uint64_t after, struct tail_entry *to, uint32_t max)
{
    uint64_t oldest = g->tail_count > TAIL_SLOTS ? g->tail_count - TAIL_SLOTS : 0;
    uint64_t from = after > oldest ? after : oldest;
    uint32_t count = 0;
    for (uint64_t n = from; n < g->tail_count && count < max; n++) {
        const struct tail_slot *slot = &g->tail[n % TAIL_SLOTS];
        to[count] = slot->entry;
        print_value(slot, to[count].value);
        count++;
    }
    return count;
}

/* --- what is refused -----------------------------------------------------------------------------
 * */

static void journal_reject(struct gateway *g, const struct record *record)
{
    struct record kept = *record;
    kept.t_ms = g->t_ms;
    fill_append(g, &kept);
    engine_apply(g->engine, &kept, &g->out);
    g->ledger.received++;
    g->ledger.rejected[kept.reason]++;
    if (kept.reason == REJECT_CONTRACT_VERSION)
        versions_refused(g, kept.reading.source, kept.reading.contract_version);
    tail_add(g, &kept, reject_name(kept.reason));
}

/* `what`: reason, fault_offset, readings, taken. */
static void keep_letter(struct gateway *g, const struct message *message,
                        const struct dead_letter *what)
{
    uint32_t limit = g->config->json.payload_bytes;
    struct dead_letter letter = {
        .t_ms = g->t_ms,
        .wall_ms = gateway_wall_ms(g),
        .reason = what->reason,
        .fault_offset = what->fault_offset,
        .readings = what->readings,
        .source = text_of(g->config->sources[message->source].name),
        .topic = message->topic,
        .payload = message->payload,
        .device = message->device,
        .taken = what->taken,
    };
    if (letter.payload.bytes > limit)
        letter.payload.bytes = limit;
    if (letter.topic.bytes > TOPIC_BYTES_MAX)
        letter.topic.bytes = TOPIC_BYTES_MAX;
    fill_add_letter(g, &letter);
}

static void reject_message(struct gateway *g, const struct message *message,
                           enum reject_reason reason, uint32_t fault_offset, struct text device)
{
    struct record record = {
        .kind = RECORD_REJECT,
        .reason = reason,
        .reading = { .source = (uint16_t)message->source, .device = device },
    };
    if (record.reading.device.bytes > READING_NAME_BYTES_MAX)
        record.reading.device = (struct text){ 0 };
    journal_reject(g, &record);
    keep_letter(g, message,
                &(struct dead_letter){ .reason = reason,
                                       .fault_offset = fault_offset,
                                       .readings = 1,
                                       .taken = letters_nothing_taken() });
}

/* Whom the payload named with the first reading that was rejected, where nothing else says it. */
static struct text first_named(const struct gateway *g)
{
    const struct decoded *d = &g->decoded;
    if (d->bad_count > 0)
        return d->bad[0].device;
    for (uint32_t i = 0; i < d->count; i++)
        if (g->admissions[i].verdict == ADMIT_REJECT)
            return g->decoder.readings[i].device;
    return (struct text){ 0 };
}

/* Readings of a good message that could not be read, and those that were judged unfit: one letter
 * for the message, a record and a count for each. `named`: what brought it says whose it is. The
 * first reason, if none is left. */
static enum reject_reason reject_readings(struct gateway *g, const struct message *message,
                                          bool named)
{
    const struct decoded *d = &g->decoded;
    enum reject_reason first = REJECT_NONE;
    uint32_t rejected = d->bad_count;
    for (uint32_t i = 0; i < d->bad_count; i++) {
        uint32_t listed = (uint32_t)(sizeof d->bad / sizeof d->bad[0]);
        uint32_t k = i < listed ? i : listed - 1; /* beyond the list: the last one's reason */
        struct record record = {
            .kind = RECORD_REJECT,
            .reason = d->bad[k].reason,
            .reading = { .source = (uint16_t)message->source,
                         .index = d->bad[k].index,
                         .device = d->bad[k].device,
                         .metric = d->bad[k].metric },
        };
        journal_reject(g, &record);
        first = first == REJECT_NONE ? record.reason : first;
    }
    for (uint32_t i = 0; i < d->count; i++)
        if (g->admissions[i].verdict == ADMIT_REJECT) {
            rejected++;
            first = first == REJECT_NONE ? g->admissions[i].reason : first;
        }
    /* A reading that was judged unfit, by contract or time, is no longer a place in the payload. */
    uint32_t offset = d->bad_count > 0 ? d->fault_offset : LETTER_NO_OFFSET;
    if (rejected > 0)
        keep_letter(g, message,
                    &(struct dead_letter){ .reason = first,
                                           .fault_offset = offset,
                                           .readings = rejected,
                                           .taken = letters_taken(
                                               g, named ? (struct text){ 0 } : first_named(g)) });
    return rejected < d->count + d->bad_count ? REJECT_NONE : first;
}

/* --- what is taken -------------------------------------------------------------------------------
 * */

static void take_reading(struct gateway *g, struct admission *admission)
{
    uint64_t *came = g->carried.letter != 0 ? &g->ledger.retried : &g->ledger.received;
    admission->record.t_ms = g->t_ms;
    switch (admission->verdict) {
    case ADMIT_STORE:
        fill_append(g, &admission->record);
        engine_apply(g->engine, &admission->record, &g->out);
        ++*came;
        g->ledger.stored++;
        g->ledger.held++;
        g->ledger.sequence_restart += admission->sequence_restart;
        g->checkpoint.readings_since++;
        tail_add(g, &admission->record, "stored");
        break;
    case ADMIT_DUPLICATE:
        ++*came;
        g->ledger.duplicate++;
        tail_add(g, &admission->record, "duplicate");
        break;
    case ADMIT_REJECT:
        journal_reject(g, &admission->record);
        break;
    }
}

void intake_continue(struct gateway *g)
{
    struct carried *c = &g->carried;
    while (c->next < c->count && gateway_has_steps(g)) {
        if (!fill_has_step_room(g, g->filling)) {
            g->filling->urgent = true;
            break;
        }
        take_reading(g, &g->admissions[c->next++]);
    }
    /* The acknowledgement waits for the batch that holds the last of it. */
    if (c->next == c->count && c->letter != 0) {
        letters_removed(g, c->letter);
        c->letter = 0;
    } else if (c->next == c->count) {
        g->filling->last[c->source] = c->number;
        if (c->has_exchange)
            fill_add_session(g, &c->exchange);
        receipts_note_message(g);
    }
    fill_open(g);
}

static const struct config_topic *find_topic(const struct gateway *g, const struct message *message,
                                             struct topic_match *match)
{
    const struct config_source *source = &g->config->sources[message->source];
    for (uint32_t i = 0; i < source->topic_count; i++)
        if (topic_match(&source->topics[i].template, message->topic, match))
            return &source->topics[i];
    return NULL;
}

bool gateway_looks_ahead(const struct gateway *g)
{
    return engine_looks_ahead(g->engine);
}

void gateway_expect(const struct gateway *g, uint32_t source, struct text topic)
{
    const struct message message = { .source = source, .topic = topic };
    struct topic_match match = { { 0 }, { 0 } };
    if (topic.bytes > 0)
        (void)find_topic(g, &message, &match); /* in vain: its device is not known */
    engine_expect(g->engine, match.device);
}

static struct message own_copy(struct gateway *g, const struct message *message)
{
    struct message copy = *message;
    uint32_t limit = g->config->json.payload_bytes;
    if (copy.topic.bytes > TOPIC_BYTES_MAX)
        copy.topic.bytes = TOPIC_BYTES_MAX;
    if (copy.payload.bytes > limit)
        copy.payload.bytes = limit;
    uint8_t *to = g->carried.bytes;
    if (copy.topic.bytes > 0)
        copy_text(to, copy.topic);
    if (copy.payload.bytes > 0)
        copy_text(to + TOPIC_BYTES_MAX, copy.payload);
    copy.topic.at = (const char *)to;
    copy.payload.at = (const char *)to + TOPIC_BYTES_MAX;
    return copy;
}

/* As many readings as it would have been; one, where it can't be read. */
static void shed_message(struct gateway *g, const struct message *message)
{
    struct topic_match match = { { 0 }, { 0 } };
    const struct config_topic *topic = find_topic(g, message, &match);
    struct decoded *d = &g->decoded;
    uint64_t readings = 1;
    if (topic != NULL && message->payload.bytes <= g->config->json.payload_bytes) {
        decode_json(&g->decoder, &topic->mapping, (uint16_t)message->source, match.device,
                    match.metric, message->payload, d);
        readings = d->reason == REJECT_NONE ? d->count + d->bad_count : 1;
        d->bad_count = 0; /* no receipt may say that they are here */
    }
    g->ledger.received += readings;
    g->ledger.shed[SHED_QOS0_OVERLOAD] += readings;
}

static enum reject_reason decode_message(struct gateway *g, const struct message *message)
{
    struct topic_match match = { { 0 }, { 0 } };
    const struct config_topic *topic = find_topic(g, message, &match);
    if (topic == NULL) {
        reject_message(g, message, REJECT_TOPIC_MISMATCH, LETTER_NO_OFFSET, match.device);
        return REJECT_TOPIC_MISMATCH;
    }
    /* What it may not say is booked on the one that said it, not on whom it named. */
    if (message->device.bytes > 0) {
        if (match.device.bytes > 0 && !text_equal(match.device, message->device)) {
            reject_message(g, message, REJECT_IDENTITY_MISMATCH, LETTER_NO_OFFSET,
                           message->device);
            return REJECT_IDENTITY_MISMATCH;
        }
        match.device = message->device;
    }
    struct decoded *d = &g->decoded;
    if (g->redacted.unreadable != REJECT_NONE) {
        reject_message(g, message, g->redacted.unreadable, LETTER_NO_OFFSET, match.device);
        return g->redacted.unreadable;
    }
    decode_json(&g->decoder, &topic->mapping, (uint16_t)message->source, match.device, match.metric,
                message->payload, d);
    if (d->reason != REJECT_NONE) {
        reject_message(g, message, d->reason, d->fault_offset, match.device);
        return d->reason;
    }
    if (d->count > 0)
        engine_admit(g->engine, g->t_ms, g->decoder.readings, d->count, g->admissions);
    g->carried.count = d->count;
    return reject_readings(g, message, match.device.bytes > 0);
}

static enum reject_reason judge_message(struct gateway *g, const struct message *message)
{
    if (message->qos == 0 && g->shed.level == SHED_QOS0) {
        shed_message(g, message);
        return REJECT_NONE;
    }
    struct message copy = own_copy(g, message);
    uint32_t limit = g->config->json.payload_bytes;
    redact_message(g, &copy, false);
    if (message->topic.bytes > TOPIC_BYTES_MAX) { /* cut, it would name somebody else */
        reject_message(g, &copy, REJECT_TOPIC_MISMATCH, LETTER_NO_OFFSET, (struct text){ 0 });
        return REJECT_TOPIC_MISMATCH;
    }
    if (message->payload.bytes <= limit)
        return decode_message(g, &copy);
    reject_message(g, &copy, REJECT_PAYLOAD_TOO_LARGE, limit, (struct text){ 0 });
    return REJECT_PAYLOAD_TOO_LARGE;
}

/* --- dead letters once more ------------------------------------------------------------------ */

/* REJECT_NONE: all of it can be read, and is in g->decoded. */
static enum reject_reason decode_letter(struct gateway *g, const struct message *message)
{
    struct topic_match match = { { 0 }, { 0 } };
    struct decoded *d = &g->decoded;
    const struct config_topic *topic = find_topic(g, message, &match);
    if (topic == NULL)
        return REJECT_TOPIC_MISMATCH;
    if (message->payload.bytes > g->config->json.payload_bytes)
        return REJECT_PAYLOAD_TOO_LARGE;
    if (message->device.bytes > 0 && match.device.bytes > 0 &&
        !text_equal(match.device, message->device))
        return REJECT_IDENTITY_MISMATCH;
    decode_json(&g->decoder, &topic->mapping, (uint16_t)message->source,
                message->device.bytes > 0 ? message->device : match.device, match.metric,
                message->payload, d);
    return d->reason == REJECT_NONE && d->bad_count > 0 ? d->bad[0].reason : d->reason;
}

/* What is left of it is judged beside what was taken when it came, as a contract may want both;
 * then it stands first in g->admissions. */
static uint32_t judge_letter(struct gateway *g, const struct letter_try *how, struct retried *to)
{
    bool doubtful;
    to->outcome = RETRY_PARTIAL;
    if (!letters_mark(g, how->letter, how->as_new))
        return 0;
    engine_admit(g->engine, g->t_ms, g->decoder.readings, g->decoded.count, g->admissions);
    uint32_t left = letters_left(g, &doubtful);
    for (uint32_t i = 0; i < left && to->reason == REJECT_NONE; i++)
        if (g->admissions[i].verdict == ADMIT_REJECT)
            to->reason = g->admissions[i].reason;
    if (to->reason != REJECT_NONE)
        to->outcome = RETRY_REJECTED;
    else if (!doubtful && left > 0)
        to->outcome = RETRY_STORED;
    return left;
}

void intake_letter(struct gateway *g, const struct message *message, const struct letter_try *how,
                   struct retried *to)
{
    struct decoded *d = &g->decoded;
    uint32_t left = 0;
    assert(g->carried.next == g->carried.count);
    g->carried.next = g->carried.count = 0;
    struct message copy = own_copy(g, message);
    redact_message(g, &copy, true);
    to->outcome = RETRY_REJECTED;
    to->reason = g->redacted.unreadable;
    d->count = 0;
    if (to->reason == REJECT_NONE)
        to->reason = decode_letter(g, &copy);
    if (to->reason == REJECT_NONE)
        left = judge_letter(g, how, to);
    d->bad_count = 0; /* no receipt may say that they are here */
    if (to->outcome != RETRY_STORED)
        return;
    for (uint32_t i = 0; i < left; i++) {
        struct record *record = &g->admissions[i].record;
        if (record->time_source == TIME_ARRIVAL || record->time_source == TIME_COARSE)
            record->event_time_ms = how->letter->wall_ms; /* it arrived then, not now */
        to->duplicate += g->admissions[i].verdict == ADMIT_DUPLICATE;
    }
    to->stored = left - to->duplicate;
    if (!how->take)
        return;
    g->carried.source = message->source;
    g->carried.letter = how->letter->id;
    g->carried.has_exchange = false;
    g->carried.count = left;
    intake_continue(g);
}

/* What waits may be all that comes before an acknowledgement. */
static void count_message(struct gateway *g, uint32_t source)
{
    struct fill *f = g->filling;
    uint32_t waiting = ++f->source_messages[source];
    if (g->config->sources[source].kind == SOURCE_BROKER &&
        waiting >= gateway_receive_maximum(g, source))
        f->urgent = true;
}

/* A message that is refused leaves no row, also not that of an earlier one with its identifier. */
static void carry_exchange(struct gateway *g, const struct message *message,
                           enum reject_reason reason)
{
    struct carried *c = &g->carried;
    c->has_exchange = message->exchange != NULL;
    if (!c->has_exchange)
        return;
    c->exchange = *message->exchange;
    if (reason != REJECT_NONE && !message->exchange_if_rejected)
        c->exchange.kind = EXCHANGE_REMOVE;
}

struct taken gateway_on_message(struct gateway *g, const struct message *message)
{
    assert(g->carried.next == g->carried.count && !g->failed); /* the dearer rest: the caller's */
    struct taken taken = { .number = ++g->taken[message->source] };
    g->carried.source = message->source;
    g->carried.number = taken.number;
    g->carried.letter = 0;
    g->carried.next = g->carried.count = 0;
    g->decoded.bad_count = 0;
    taken.reason = judge_message(g, message);
    carry_exchange(g, message, taken.reason);
    intake_continue(g);
    count_message(g, message->source);
    return taken;
}

uint64_t gateway_block(const struct gateway *g)
{
    return g->filling->batch.block;
}

uint64_t gateway_committed(const struct gateway *g)
{
    return g->committed_block;
}

uint64_t gateway_on_session(struct gateway *g, uint32_t source, const struct session_change *change)
{
    assert(g->carried.next == g->carried.count);
    fill_add_session(g, change);
    g->filling->last[source] = ++g->taken[source];
    return g->taken[source];
}
