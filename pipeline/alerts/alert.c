#include "pipeline/alerts/alert.h"

#include <assert.h>
#include <string.h>

void alert_init(struct alert *a)
{
    *a = (struct alert){ .state = ALERT_QUIET };
}

static bool is_legal(enum alert_state from, enum alert_state to)
{
    switch (from) {
    case ALERT_QUIET:
        return to == ALERT_PENDING;
    case ALERT_PENDING:
        return to == ALERT_QUIET || to == ALERT_RAISED;
    case ALERT_RAISED:
        return to == ALERT_QUIET || to == ALERT_COOLING || to == ALERT_CLEARING;
    case ALERT_CLEARING:
        return to == ALERT_QUIET || to == ALERT_COOLING || to == ALERT_RAISED;
    case ALERT_COOLING:
        return to == ALERT_PENDING;
    }
    return false;
}

static void set_state(struct alert *a, enum alert_state to, int64_t t_ms)
{
    assert(is_legal(a->state, to));
    a->state = to;
    a->since_ms = t_ms;
}

static enum alert_transition tell(struct alert *a, enum alert_transition what, int64_t t_ms)
{
    a->revision++;
    a->told_ms = t_ms;
    a->told_score = a->peak_score;
    a->last_told = true;
    return what;
}

static enum alert_transition raise(struct alert *a, int64_t t_ms)
{
    set_state(a, ALERT_RAISED, t_ms);
    a->number++;
    a->revision = 0;
    a->raised_ms = t_ms;
    a->acknowledged = a->alarmed = false;
    return tell(a, ALERT_RAISE, t_ms);
}

static enum alert_transition clear(struct alert *a, const struct detector_config *rule,
                                   int64_t t_ms)
{
    set_state(a, rule->cooldown_ms > 0 ? ALERT_COOLING : ALERT_QUIET, t_ms);
    return tell(a, ALERT_CLEAR, t_ms);
}

static void note(struct alert *a, const struct verdict *verdict, int64_t event_time_ms)
{
    a->count++;
    a->last_event_ms = event_time_ms;
    if (verdict->score > a->peak_score)
        a->peak_score = verdict->score;
    if (a->last_told || verdict->score > a->last.score) {
        a->last = (struct alert_figures){ verdict->observed, verdict->low, verdict->high,
                                          verdict->score, verdict->threshold };
        a->reason = verdict->reason;
    }
    a->last_told = false;
}

static void begin(struct alert *a, const struct verdict *verdict, int64_t event_time_ms,
                  int64_t t_ms)
{
    set_state(a, ALERT_PENDING, t_ms);
    a->count = 0;
    a->onset_event_ms = event_time_ms;
    a->peak_score = verdict->score;
    a->last_told = true;
    note(a, verdict, event_time_ms);
}

static enum alert_transition on_anomaly(struct alert *a, const struct detector_config *rule,
                                        int64_t t_ms, bool learning)
{
    switch (a->state) {
    case ALERT_QUIET:
    case ALERT_COOLING:
        assert(false);
        break;
    case ALERT_PENDING:
        a->learning = learning;
        return t_ms - a->since_ms >= rule->for_ms ? raise(a, t_ms) : ALERT_NO_CHANGE;
    case ALERT_CLEARING:
        set_state(a, ALERT_RAISED, t_ms);
        break;
    case ALERT_RAISED:
        break;
    }
    if (a->learning && !learning) {
        a->learning = false;
        return tell(a, ALERT_UPDATE, t_ms);
    }
    bool grew = a->peak_score > a->told_score && a->peak_score >= 1.5 * a->told_score;
    return grew && t_ms - a->told_ms >= ALERT_UPDATE_MS ? tell(a, ALERT_UPDATE, t_ms)
                                                        : ALERT_NO_CHANGE;
}

static enum alert_transition on_normal(struct alert *a, const struct detector_config *rule,
                                       int64_t t_ms)
{
    switch (a->state) {
    case ALERT_QUIET:
    case ALERT_COOLING:
        break;
    case ALERT_PENDING:
        set_state(a, ALERT_QUIET, t_ms);
        break;
    case ALERT_RAISED:
        if (rule->clear_after_ms <= 0)
            return clear(a, rule, t_ms);
        set_state(a, ALERT_CLEARING, t_ms);
        break;
    case ALERT_CLEARING:
        if (t_ms - a->since_ms >= rule->clear_after_ms)
            return clear(a, rule, t_ms);
        break;
    }
    return ALERT_NO_CHANGE;
}

bool alert_is_live(const struct alert *a)
{
    return a->state != ALERT_QUIET && a->state != ALERT_COOLING;
}

bool alert_is_open(const struct alert *a)
{
    return a->state == ALERT_RAISED || a->state == ALERT_CLEARING;
}

enum severity alert_severity(const struct alert *a, const struct detector_config *rule)
{
    return a->learning ? SEVERITY_LEARNING : rule->severity;
}

int64_t alert_cool_ms(const struct alert *a, const struct detector_config *rule)
{
    return a->state == ALERT_COOLING ? a->since_ms + rule->cooldown_ms : INT64_MIN;
}

static bool is_cooling(const struct alert *a, const struct detector_config *rule, int64_t t_ms)
{
    return t_ms < alert_cool_ms(a, rule);
}

enum alert_transition alert_on_verdict(struct alert *a, const struct detector_config *rule,
                                       const struct verdict *verdict, int64_t event_time_ms,
                                       int64_t t_ms, bool learning)
{
    if (!verdict->known)
        return ALERT_NO_CHANGE;
    if (!verdict->anomalous)
        return on_normal(a, rule, t_ms);
    if (is_cooling(a, rule, t_ms)) {
        a->suppressed++;
        return ALERT_NO_CHANGE;
    }
    if (alert_is_live(a))
        note(a, verdict, event_time_ms);
    else
        begin(a, verdict, event_time_ms, t_ms);
    return on_anomaly(a, rule, t_ms, learning);
}

enum alert_transition alert_withdraw(struct alert *a, int64_t t_ms)
{
    assert(alert_is_open(a));
    set_state(a, ALERT_QUIET, t_ms);
    return tell(a, ALERT_CLEAR, t_ms);
}

int64_t alert_deadline(const struct alert *a, const struct detector_config *rule)
{
    switch (a->state) {
    case ALERT_PENDING:
        return a->since_ms + rule->for_ms;
    case ALERT_CLEARING:
        return a->since_ms + rule->clear_after_ms;
    case ALERT_QUIET:
    case ALERT_RAISED:
    case ALERT_COOLING:
        break;
    }
    return INT64_MAX;
}

enum alert_transition alert_on_timer(struct alert *a, const struct detector_config *rule,
                                     int64_t t_ms)
{
    if (t_ms < alert_deadline(a, rule))
        return ALERT_NO_CHANGE;
    return a->state == ALERT_PENDING ? raise(a, t_ms) : clear(a, rule, t_ms);
}

bool alert_is_over(const struct alert *a, const struct detector_config *rule, int64_t t_ms,
                   int64_t wall_ms)
{
    return !alert_is_live(a) && !is_cooling(a, rule, t_ms) && a->shelved_until_ms <= wall_ms;
}

enum alert_transition alert_acknowledge(struct alert *a, int64_t t_ms)
{
    if (!alert_is_open(a) || a->acknowledged)
        return ALERT_NO_CHANGE;
    a->acknowledged = true;
    return tell(a, ALERT_UPDATE, t_ms);
}

enum alert_transition alert_shelve(struct alert *a, int64_t until_wall_ms, int64_t t_ms)
{
    if (!alert_is_open(a) || a->shelved_until_ms == until_wall_ms)
        return ALERT_NO_CHANGE;
    a->shelved_until_ms = until_wall_ms;
    return tell(a, ALERT_UPDATE, t_ms);
}

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
    put_bool(w, a->last_told);
    put_bool(w, a->alarmed);
    put_u64(w, a->number);
    put_u32(w, a->revision);
    put_u32(w, a->count);
    put_u32(w, a->suppressed);
    put_i64(w, a->since_ms);
    put_i64(w, a->raised_ms);
    put_i64(w, a->told_ms);
    put_i64(w, a->shelved_until_ms);
    put_i64(w, a->onset_event_ms);
    put_i64(w, a->last_event_ms);
    put_u64(w, a->onset_block);
    put_f64(w, a->peak_score);
    put_f64(w, a->told_score);
    figures_save(&a->last, w);
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
    a->last_told = get_bool(r);
    a->alarmed = get_bool(r);
    a->number = get_u64(r);
    a->revision = get_u32(r);
    a->count = get_u32(r);
    a->suppressed = get_u32(r);
    a->since_ms = get_time(r);
    a->raised_ms = get_time(r);
    a->told_ms = get_time(r);
    a->shelved_until_ms = get_i64(r);
    a->onset_event_ms = get_time(r);
    a->last_event_ms = get_time(r);
    a->onset_block = get_u64(r);
    a->peak_score = get_finite(r);
    a->told_score = get_finite(r);
    figures_load(&a->last, r);
}
