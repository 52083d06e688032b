#include "pipeline/made.h"

#include <assert.h>

#include "pipeline/bytes.h"
#include "pipeline/reading.h"

enum { /* of one item: names, a rule, some thirty numbers, the recent readings */
    RECENT_MAX = UINT8_MAX,
    ITEM_BYTES_MAX = 4 * (READING_NAME_BYTES_MAX + 2) + 512 + 16 * RECENT_MAX
};

static const struct hash_key PLAIN = { 0x7765697220697320u, 0x6d61646520736f21u };

void made_begin(struct made *m)
{
    *m = (struct made){ 0 };
    hash_begin(&m->alert_hash, PLAIN, 0);
    hash_begin(&m->result_hash, PLAIN, 0);
    hash_begin(&m->correction_hash, PLAIN, 0);
}

/* --- alerts --- */

static void put_finding(struct byte_writer *w, const struct alert *alert)
{
    put_u32(w, alert->revision);
    put_u8(w, (uint8_t)(alert->acknowledged | alert->learning << 1));
    put_u8(w, (uint8_t)alert->reason);
    put_u32(w, alert->count);
    put_u32(w, alert->suppressed);
    put_i64(w, alert->shelved_until_ms);
    put_i64(w, alert->onset_event_ms);
    put_i64(w, alert->last_event_ms);
    put_f64(w, alert->peak.observed);
    put_f64(w, alert->peak.low);
    put_f64(w, alert->peak.high);
    put_f64(w, alert->peak.score);
    put_f64(w, alert->peak.threshold);
}

static void put_usual(struct byte_writer *w, const struct alert_event *event)
{
    bool known = event->usual != NULL && event->usual->count > 0;
    put_bool(w, known);
    put_f64(w, known ? event->usual->ew_mean : 0.0);
    assert(event->recent_count <= RECENT_MAX);
    put_u8(w, (uint8_t)event->recent_count);
    for (uint32_t i = 0; i < event->recent_count; i++) {
        put_i64(w, event->recent[i].event_time_ms);
        put_f64(w, event->recent[i].value);
    }
}

void made_alert(struct made *m, const struct alert_event *event)
{
    uint8_t item[ITEM_BYTES_MAX];
    struct byte_writer w = { item, sizeof item, 0, false };
    put_u64(&w, event->key.low);
    put_u64(&w, event->key.high);
    put_u8(&w, (uint8_t)event->transition);
    put_u8(&w, (uint8_t)event->severity);
    put_text(&w, event->device);
    put_text(&w, event->metric);
    put_text(&w, event->unit);
    put_text(&w, text_of(event->rule->name));
    put_finding(&w, event->alert);
    put_i64(&w, event->event_time_ms);
    put_u64(&w, event->first_block);
    put_u64(&w, event->last_block);
    put_u32(&w, event->contract_version);
    put_usual(&w, event);
    assert(!w.failed);
    hash_add(&m->alert_hash, item, w.used);
    m->alerts++;
}

/* --- results --- */

static void put_aggregate(struct byte_writer *w, const struct aggregate *a)
{
    put_u64(w, a->count);
    put_f64(w, a->mean);
    put_f64(w, a->m2);
    put_f64(w, a->min);
    put_f64(w, a->max);
    put_f64(w, a->first);
    put_f64(w, a->last);
    put_i64(w, a->first_ms);
    put_i64(w, a->last_ms);
}

void made_result(struct made *m, const struct window_result *result)
{
    uint8_t item[ITEM_BYTES_MAX];
    struct byte_writer w = { item, sizeof item, 0, false };
    put_text(&w, result->device);
    put_text(&w, result->metric);
    put_text(&w, result->unit);
    put_i64(&w, result->start_ms);
    put_i64(&w, result->end_ms);
    put_u32(&w, result->revision);
    put_u8(&w, (uint8_t)(result->forced | result->alert_open << 1));
    put_aggregate(&w, &result->aggregate);
    put_u64(&w, result->first_block);
    put_u64(&w, result->last_block);
    put_u32(&w, result->contract_version);
    assert(!w.failed);
    hash_add(&m->result_hash, item, w.used);
    m->results++;
}

void made_stream(struct made *m, const struct stream_result *result)
{
    uint8_t item[ITEM_BYTES_MAX];
    struct byte_writer w = { item, sizeof item, 0, false };
    put_text(&w, result->stream);
    put_text(&w, result->key);
    put_i64(&w, result->start_ms);
    put_i64(&w, result->end_ms);
    put_u32(&w, result->revision);
    put_u8(&w, (uint8_t)((unsigned)result->kind | (unsigned)result->forced << 7));
    put_u64(&w, result->first_block);
    put_u64(&w, result->last_block);
    assert(!w.failed);
    hash_add(&m->result_hash, item, w.used);
    for (uint32_t i = 0; i < result->count; i++) {
        const struct stream_value *value = &result->values[i];
        w.used = 0;
        put_text(&w, value->name);
        put_u8(&w, (uint8_t)value->value.kind);
        put_f64(&w, value->value.number);
        put_varint(&w, value->value.text.bytes);
        assert(!w.failed);
        hash_add(&m->result_hash, item, w.used);
        hash_add(&m->result_hash, value->value.text.at, value->value.text.bytes);
    }
    m->results++;
}

/* --- corrections --- */

/* Which reading, and which windows; what it says is in the journal beside it. */
void made_late(struct made *m, const struct stream_late *late)
{
    uint8_t item[ITEM_BYTES_MAX];
    struct byte_writer w = { item, sizeof item, 0, false };
    const struct record *record = late->record;
    put_text(&w, late->plan != NULL ? text_of(late->plan->config->name) : (struct text){ "", 0 });
    put_text(&w, late->key);
    put_text(&w, record->reading.device);
    put_text(&w, record->reading.metric);
    put_i64(&w, record->event_time_ms);
    put_bool(&w, record->reading.has_sequence);
    put_u64(&w, record->reading.has_sequence ? record->reading.sequence : 0);
    put_u32(&w, record->reading.index);
    put_i64(&w, late->start_ms);
    put_i64(&w, late->end_ms);
    put_i64(&w, late->slide_ms);
    put_u32(&w, late->windows);
    put_i64(&w, late->lateness_ms);
    put_i64(&w, late->needed_ms);
    assert(!w.failed);
    hash_add(&m->correction_hash, item, w.used);
    m->corrections++;
}

/* --- sums --- */

bool made_nothing(const struct made *m)
{
    return m->alerts == 0 && m->results == 0 && m->corrections == 0;
}

struct made_sum made_sum(const struct made *m)
{
    struct hash_state alerts = m->alert_hash, results = m->result_hash;
    struct hash_state corrections = m->correction_hash;
    return (struct made_sum){
        .form = MADE_FORM,
        .alerts = m->alerts,
        .results = m->results,
        .corrections = m->corrections,
        .alert_digest = hash_end64(&alerts),
        .result_digest = hash_end64(&results),
        .correction_digest = hash_end64(&corrections),
    };
}

struct made_sum made_as(struct made_sum sum, uint64_t form)
{
    assert(form >= 1 && form <= sum.form);
    sum.form = form;
    if (form == 1)
        sum.corrections = sum.correction_digest = 0;
    return sum;
}

struct text made_pack(const struct made_sum *sum, uint8_t to[MADE_BYTES_MAX])
{
    struct byte_writer w = { to, MADE_BYTES_MAX, 0, false };
    put_varint(&w, sum->form);
    put_varint(&w, sum->alerts);
    put_varint(&w, sum->results);
    put_u64(&w, sum->alert_digest);
    put_u64(&w, sum->result_digest);
    if (sum->form > 1) {
        put_varint(&w, sum->corrections);
        put_u64(&w, sum->correction_digest);
    }
    assert(!w.failed);
    return (struct text){ (const char *)to, (uint32_t)w.used };
}

bool made_unpack(struct text bytes, struct made_sum *sum)
{
    struct byte_reader r = { (const uint8_t *)bytes.at, bytes.bytes, 0, false };
    *sum = (struct made_sum){ .form = get_varint(&r) };
    if (r.failed || sum->form == 0 || sum->form > MADE_FORM)
        return !r.failed && sum->form != 0;
    sum->alerts = get_varint(&r);
    sum->results = get_varint(&r);
    sum->alert_digest = get_u64(&r);
    sum->result_digest = get_u64(&r);
    if (sum->form > 1) {
        sum->corrections = get_varint(&r);
        sum->correction_digest = get_u64(&r);
    }
    return !r.failed && r.used == r.bytes;
}
