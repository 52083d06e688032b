/* What an alert is called, and how it is kept. */
#include "pipeline/alerts/alert.h"

/* Lengths go in before the bytes, so that ("ab", "c") and ("a", "bc") are two triples. */
static void add_text(struct hash_state *h, struct text text)
{
    uint8_t bytes[4] = { (uint8_t)text.bytes, (uint8_t)(text.bytes >> 8),
                         (uint8_t)(text.bytes >> 16), (uint8_t)(text.bytes >> 24) };
    hash_add(h, bytes, sizeof bytes);
    hash_add(h, text.at, text.bytes);
}

struct hash128 alert_key(struct hash_key store, struct text device, struct text metric,
                         struct text rule, uint64_t number)
{
    struct hash_state h;
    hash_begin(&h, store, 1);
    add_text(&h, device);
    add_text(&h, metric);
    add_text(&h, rule);
    uint8_t bytes[8];
    struct byte_writer w = { bytes, sizeof bytes, 0, false };
    put_u64(&w, number);
    hash_add(&h, bytes, sizeof bytes);
    return hash_end128(&h);
}

void alert_id_of(struct hash128 key, char id[ALERT_ID_BYTES + 1])
{
    static const char DIGITS[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    for (int i = ALERT_ID_BYTES - 1; i >= 0; i--) { /* from the low end, 5 bits a digit */
        id[i] = DIGITS[key.low & 31];
        key.low = key.low >> 5 | key.high << 59;
        key.high >>= 5;
    }
    id[ALERT_ID_BYTES] = '\0';
}

static void figures_save(const struct alert_figures *f, struct byte_writer *w)
{
    put_f64(w, f->observed);
    put_f64(w, f->low);
    put_f64(w, f->high);
    put_f64(w, f->score);
    put_f64(w, f->threshold);
}

static void figures_load(struct alert_figures *f, struct byte_reader *r)
{
    f->observed = get_finite(r);
    f->low = get_finite(r);
    f->high = get_finite(r);
    f->score = get_finite(r);
    f->threshold = get_finite(r);
}

void alert_save(const struct alert *a, struct byte_writer *w)
{
    put_u8(w, (uint8_t)a->state);
    put_u8(w, (uint8_t)a->reason);
    put_bool(w, a->acknowledged);
    put_bool(w, a->learning);
    put_bool(w, a->alarmed);
    put_bool(w, a->far);
    put_bool(w, a->chattering);
    put_bool(w, a->over_budget);
    put_bool(w, a->in_storm);
    put_bool(w, a->owed);
    put_u8(w, a->quiet);
    put_u32(w, a->judged);
    put_u8(w, a->late_steps);
    put_u8(w, (uint8_t)(a->told_severity - SEVERITY_LEARNING));
    put_u16(w, a->member);
    put_u64(w, a->number);
    put_u32(w, a->revision);
    put_u32(w, a->count);
    put_u32(w, a->suppressed);
    put_i64(w, a->since_ms);
    put_i64(w, a->raised_ms);
    put_i64(w, a->incident_ms);
    put_i64(w, a->shelved_until_ms);
    put_i64(w, a->onset_event_ms);
    put_i64(w, a->last_event_ms);
    put_u64(w, a->onset_block);
    for (int i = 0; i < ALERT_CHANGES; i++)
        put_u32(w, a->changes_s[i]);
    figures_save(&a->peak, w);
    put_u32(w, a->about);
    for (int i = 0; i < REASON_TERMS; i++)
        put_u16(w, a->terms[i]);
}

void alert_load(struct alert *a, struct byte_reader *r)
{
    uint8_t state = get_u8(r), reason = get_u8(r);
    if (state > ALERT_COOLING || reason >= REASONS)
        r->failed = true;
    *a = (struct alert){ .state = r->failed ? ALERT_QUIET : (enum alert_state)state,
                         .reason = r->failed ? REASON_NONE : (enum reason)reason };
    a->acknowledged = get_bool(r);
    a->learning = get_bool(r);
    a->alarmed = get_bool(r);
    a->far = get_bool(r);
    a->chattering = get_bool(r);
    a->over_budget = get_bool(r);
    a->in_storm = get_bool(r);
    a->owed = get_bool(r);
    a->quiet = get_u8(r);
    a->judged = get_u32(r);
    a->late_steps = get_u8(r);
    uint8_t told = get_u8(r);
    if (a->late_steps > ALERT_STEPS_LATE_MAX || told > SEVERITIES)
        r->failed = true;
    a->told_severity = r->failed ? SEVERITY_INFO : (int8_t)(told + SEVERITY_LEARNING);
    a->member = get_u16(r);
    a->number = get_u64(r);
    a->revision = get_u32(r);
    a->count = get_u32(r);
    a->suppressed = get_u32(r);
    a->since_ms = get_time(r);
    a->raised_ms = get_time(r);
    a->incident_ms = get_time(r);
    a->shelved_until_ms = get_i64(r);
    a->onset_event_ms = get_time(r);
    a->last_event_ms = get_time(r);
    a->onset_block = get_u64(r);
    for (int i = 0; i < ALERT_CHANGES; i++)
        a->changes_s[i] = get_u32(r);
    figures_load(&a->peak, r);
    a->about = get_u32(r);
    for (int i = 0; i < REASON_TERMS; i++)
        a->terms[i] = get_u16(r);
}
