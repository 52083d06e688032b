/* Deciding what becomes of the readings of one message. Changes nothing; what it decides is written
 * into records, and the fold looks at those alone. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

/* 2000-01-01 and 2200-01-01, in Unix milliseconds. */
static const int64_t TIME_LEAST_MS = 946684800000, TIME_MOST_MS = 7258118400000;

/* What the message takes that the state does not know yet. */
struct claims {
    uint32_t devices, series;
    size_t name_bytes;
};

static enum reject_reason check_value(const struct value *value)
{
    if (value->type == VALUE_TEXT)
        return value->text.bytes <= READING_TEXT_BYTES_MAX ? REJECT_NONE : REJECT_VALUE_TYPE;
    if (value->number != value->number)
        return REJECT_NUMBER_NOT_FINITE;
    if (value->number < -READING_NUMBER_MAX || value->number > READING_NUMBER_MAX)
        return REJECT_NUMBER_TOO_LARGE;
    return REJECT_NONE;
}

static bool is_name(struct text name)
{
    return name.bytes > 0 && name.bytes <= READING_NAME_BYTES_MAX;
}

static enum reject_reason check_shape(const struct reading *reading)
{
    if (!is_name(reading->device) || !is_name(reading->metric) || reading->device.at[0] == '$')
        return REJECT_NAME_INVALID; /* names in $ are the gateway's own */
    if (reading->unit.bytes > READING_NAME_BYTES_MAX)
        return REJECT_UNIT_INVALID;
    return check_value(&reading->value);
}

/* While the clock is not synced, arrival is only a lower bound: nothing is measured against it. */
static enum reject_reason choose_time(const struct engine *e, int64_t t_ms, struct record *record)
{
    const struct reading *reading = &record->reading;
    enum time_policy policy = e->config->sources[reading->source].time_policy;
    int64_t arrival_ms = t_ms + e->clock.offset_ms;
    bool synced = e->clock.state == CLOCK_SYNCED;
    record->event_time_ms = arrival_ms;
    record->time_source = synced ? TIME_ARRIVAL : TIME_COARSE;
    if (!reading->has_device_time || policy == TIME_POLICY_ARRIVAL)
        return REJECT_NONE;
    int64_t device_ms = reading->device_time_ms;
    if (device_ms < TIME_LEAST_MS || device_ms >= TIME_MOST_MS)
        return REJECT_TIME_RANGE;
    int64_t latest_ms = arrival_ms + e->config->max_skew_ms;
    bool ahead = synced && device_ms > latest_ms;
    if (ahead && policy != TIME_POLICY_CLAMP)
        return REJECT_TIME_FUTURE;
    record->event_time_ms = ahead ? latest_ms : device_ms;
    record->time_source = ahead ? TIME_CLAMPED : TIME_DEVICE;
    return REJECT_NONE;
}

/* Whether an earlier reading of this message already claims the device, or the series. */
static bool is_claimed(const struct admission *out, uint32_t before, const struct reading *reading,
                       bool series)
{
    for (uint32_t i = 0; i < before; i++) {
        const struct reading *other = &out[i].record.reading;
        if ((series ? out[i].new_series : out[i].new_device) &&
            text_equal(other->device, reading->device) &&
            (!series || text_equal(other->metric, reading->metric)))
            return true;
    }
    return false;
}

static bool has_device_room(const struct engine *e, const struct claims *c, size_t name_bytes)
{
    return c->devices < e->config->devices_max - e->device_count &&
           engine_names_room(e, c->name_bytes + name_bytes);
}

/* The reading's device and series, if they are new, against the limits, counting what the message
 * takes already. Names are counted as if none were shared. */
static enum reject_reason claim(const struct engine *e, uint32_t device, struct claims *claims,
                                struct admission *out, uint32_t index)
{
    struct admission *a = &out[index];
    const struct reading *reading = &a->record.reading;
    uint32_t series = device == ENGINE_NONE ? ENGINE_NONE
                                            : engine_series_find(e, device, reading->metric);
    size_t bytes = 0;
    if (series == ENGINE_NONE || (e->series[series].unit == 0 && reading->unit.bytes > 0))
        bytes += reading->unit.bytes + 1u;
    if (device == ENGINE_NONE && !is_claimed(out, index, reading, false)) {
        bytes += reading->device.bytes + 1u;
        if (!has_device_room(e, claims, bytes))
            return REJECT_DEVICE_LIMIT;
        a->new_device = true;
    }
    if (series == ENGINE_NONE && !is_claimed(out, index, reading, true)) {
        bytes += reading->metric.bytes + 1u;
        if (claims->series >= e->config->series_max - e->series_count ||
            !engine_names_room(e, claims->name_bytes + bytes)) {
            a->new_device = false;
            return REJECT_SERIES_LIMIT;
        }
        a->new_series = true;
    }
    claims->devices += a->new_device;
    claims->series += a->new_series;
    claims->name_bytes += bytes;
    return REJECT_NONE;
}

/* A device that is known by a wrong clock only takes its place too, where there is one. */
static void claim_for_reject(const struct engine *e, struct claims *claims, struct admission *out,
                             uint32_t index)
{
    struct admission *a = &out[index];
    size_t bytes = a->record.reading.device.bytes + 1u;
    if (engine_device_find(e, a->record.reading.device) != ENGINE_NONE ||
        is_claimed(out, index, &a->record.reading, false) || !has_device_room(e, claims, bytes))
        return;
    a->new_device = true;
    claims->devices++;
    claims->name_bytes += bytes;
}

static void reject(struct admission *a, enum reject_reason reason)
{
    a->verdict = ADMIT_REJECT;
    a->reason = reason;
    a->record.kind = RECORD_REJECT;
    a->record.reason = reason;
}

/* Whether a reading whose number and time the device's runs cover may be one that its series has
 * had. A series that has had nothing so late has not: its metric has numbers of its own. */
static bool series_may_have(const struct engine *e, uint32_t device, const struct reading *reading)
{
    uint32_t series = engine_series_find(e, device, reading->metric);
    return series != ENGINE_NONE && reading->device_time_ms <= e->series[series].device_time_max_ms;
}

/* Of the readings of a message in which a device counts from the start again, the first tells. */
static bool restart_told(const struct admission *out, uint32_t before,
                         const struct reading *reading)
{
    for (uint32_t i = 0; i < before; i++)
        if (out[i].sequence_restart && text_equal(out[i].record.reading.device, reading->device) &&
            out[i].record.reading.sequence == reading->sequence)
            return true;
    return false;
}

static void judge_repeat(const struct engine *e, uint32_t device, struct admission *out,
                         uint32_t index)
{
    struct admission *a = &out[index];
    const struct reading *reading = &a->record.reading;
    a->record.reading.repeat_hash = dedup_hash(reading);
    enum dedup_verdict seen = dedup_check(engine_dedup(e, device), &e->config->dedup, reading);
    bool by_number = reading->has_sequence && reading->has_device_time;
    if (seen == DEDUP_SEEN && (!by_number || series_may_have(e, device, reading)))
        a->verdict = ADMIT_DUPLICATE;
    a->sequence_restart = seen == DEDUP_RESTART && !restart_told(out, index, reading);
}

static void admit_one(const struct engine *e, int64_t t_ms, struct claims *claims,
                      struct admission *out, uint32_t index)
{
    struct admission *a = &out[index];
    const struct reading *reading = &a->record.reading;
    const struct contract *contract = e->config->sources[reading->source].contract;
    enum reject_reason reason = check_shape(reading);
    if (reason == REJECT_NONE && contract != NULL)
        reason = contract_check(contract, reading);
    if (reason == REJECT_NONE)
        reason = choose_time(e, t_ms, &a->record);
    if (reason != REJECT_NONE) {
        reject(a, reason);
        if (reason == REJECT_TIME_FUTURE)
            claim_for_reject(e, claims, out, index);
        return;
    }
    uint32_t device = engine_device_find(e, reading->device);
    if (device != ENGINE_NONE && !reading->surely_new)
        judge_repeat(e, device, out, index);
    if (a->verdict == ADMIT_DUPLICATE)
        return;
    reason = claim(e, device, claims, out, index);
    if (reason != REJECT_NONE) {
        a->sequence_restart = false;
        reject(a, reason);
    }
}

/* What a contract requires is asked only of messages that hold several metrics: one that holds a
 * single metric can't hold another. */
static bool lacks_required(const struct engine *e, const struct reading *readings, uint32_t count)
{
    const struct contract *contract = e->config->sources[readings[0].source].contract;
    if (contract == NULL)
        return false;
    for (uint32_t i = 1; i < count; i++)
        if (!text_equal(readings[i].metric, readings[0].metric))
            return contract_missing(contract, readings, count) != NULL;
    return false;
}

void engine_admit(const struct engine *engine, int64_t t_ms, const struct reading *readings,
                  uint32_t count, struct admission *out)
{
    assert(t_ms >= engine->t_ms && t_ms < TIME_MS_MAX);
    if (count == 0)
        return;
    struct claims claims = { 0 };
    bool lacks = lacks_required(engine, readings, count);
    for (uint32_t i = 0; i < count; i++) {
        assert(readings[i].source < engine->config->source_count);
        out[i] = (struct admission){
            .verdict = ADMIT_STORE,
            .record = { .kind = RECORD_READING, .t_ms = t_ms, .reading = readings[i] },
        };
        if (lacks)
            reject(&out[i], REJECT_CONTRACT_REQUIRED);
        else
            admit_one(engine, t_ms, &claims, out, i);
    }
}
