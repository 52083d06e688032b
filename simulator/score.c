#include "simulator/score.h"

#include <assert.h>
#include <stdlib.h>

static int64_t margin_ms(enum fault_kind kind)
{
    return kind == FAULT_SPIKE ? SCORE_SPIKE_MARGIN_MS : SCORE_MARGIN_MS;
}

static bool within(const struct score_alert *a, const struct score_fault *f, int64_t after_ms)
{
    return a->event_ms >= f->start_ms && a->event_ms <= f->end_ms + after_ms;
}

static void fault_match(struct score_fault *f, const struct score_alert *a)
{
    if (a->series != f->series || !within(a, f, margin_ms(f->kind)))
        return;
    if (!f->detected || a->arrived_ms < f->arrived_ms)
        f->arrived_ms = a->arrived_ms;
    f->detected = true;
}

void score_match(struct score_fault *faults, size_t fault_count, struct score_alert *alerts,
                 size_t alert_count)
{
    for (size_t i = 0; i < fault_count; i++)
        faults[i].detected = false;
    for (size_t n = 0; n < alert_count; n++) {
        struct score_alert *a = &alerts[n];
        a->false_alarm = !a->learning;
        for (size_t i = 0; i < fault_count && !a->learning; i++) {
            fault_match(&faults[i], a);
            if (faults[i].device == a->device && within(a, &faults[i], SCORE_AFTERMATH_MS))
                a->false_alarm = false;
        }
    }
}

int64_t score_delay_ms(const struct score_fault *fault, const struct score_outage *outages,
                       size_t outage_count)
{
    assert(fault->detected);
    int64_t from_ms = fault->published_ms;
    for (size_t i = 0; i < outage_count; i++) {
        bool between = outages[i].start_ms < fault->arrived_ms &&
                       outages[i].end_ms > fault->published_ms;
        if (between && outages[i].end_ms > from_ms)
            from_ms = outages[i].end_ms;
    }
    return fault->arrived_ms > from_ms ? fault->arrived_ms - from_ms : 0;
}

static int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

int64_t score_percentile(int64_t *values, size_t count, unsigned percent)
{
    assert(percent >= 1 && percent <= 100);
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, compare_times);
    size_t rank = (count * percent + 99) / 100;
    return values[rank - 1];
}

static int compare_keys(const void *left, const void *right)
{
    uint64_t a = ((const struct score_key *)left)->hash;
    uint64_t b = ((const struct score_key *)right)->hash;
    return (a > b) - (a < b);
}

struct score_loss score_compare(struct score_key *published, size_t published_count,
                                struct score_key *journal, size_t journal_count)
{
    struct score_loss loss = { 0 };
    if (published_count > 0)
        qsort(published, published_count, sizeof *published, compare_keys);
    if (journal_count > 0)
        qsort(journal, journal_count, sizeof *journal, compare_keys);
    size_t p = 0;
    for (size_t j = 0; j < journal_count; j++) {
        if (j > 0 && journal[j].hash == journal[j - 1].hash) {
            loss.duplicates++;
            continue;
        }
        for (; p < published_count && published[p].hash < journal[j].hash; p++)
            loss.lost += published[p].must;
        if (p < published_count && published[p].hash == journal[j].hash)
            p++;
        else
            loss.unknown++;
    }
    for (; p < published_count; p++)
        loss.lost += published[p].must;
    return loss;
}
