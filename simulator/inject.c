#include "simulator/inject.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/chance.h"
#include "simulator/signal.h"

const char *inject_name(enum inject_kind kind)
{
    static const char *const names[INJECT_KINDS] = { "spike", "shift", "drift", "noise",
                                                     "drop",  "gain",  "high",  "stuck",
                                                     "quiet", "code" };
    assert(kind < INJECT_KINDS);
    return names[kind];
}

static int compare(const void *left, const void *right)
{
    double a, b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

static double standard_deviation(const double *values, size_t count)
{
    double mean = 0, m2 = 0;
    for (size_t i = 0; i < count; i++) {
        double off = values[i] - mean;
        mean += off / (double)(i + 1);
        m2 += off * (values[i] - mean);
    }
    return sqrt(m2 / (double)count);
}

double inject_deviation(const double *values, size_t count, double *scratch)
{
    assert(count > 0);
    memcpy(scratch, values, count * sizeof *values);
    double middle = median(scratch, count);
    for (size_t i = 0; i < count; i++)
        scratch[i] = fabs(values[i] - middle);
    double deviation = 1.4826 * median(scratch, count);
    return deviation > 0 ? deviation : standard_deviation(values, count);
}

static double highest(const double *values, size_t count)
{
    double most = values[0];
    for (size_t i = 1; i < count; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

/* What becomes of reading `i` of the fault. */
static double changed(const struct injection *in, double value, size_t i, double by,
                      uint64_t *chance)
{
    switch (in->kind) {
    case INJECT_SPIKE:
        return i == 0 ? value + by : value;
    case INJECT_SHIFT:
        return value + by;
    case INJECT_DRIFT:
        return value + by * (double)(i + 1) / (double)in->count;
    case INJECT_NOISE:
        return value + by * signal_normal(chance);
    case INJECT_DROP:
        return 0;
    case INJECT_GAIN:
        return value * in->size;
    case INJECT_CODE:
        return -127;
    case INJECT_QUIET:
    case INJECT_HIGH:
    case INJECT_STUCK:
    case INJECT_KINDS:
        break;
    }
    return value;
}

void inject(double *values, const struct injection *in, double deviation)
{
    assert(in->start > 0 && in->kind < INJECT_KINDS);
    uint64_t chance = chance_branch(in->seed, in->start);
    double by = (chance_next(&chance) % 2 == 0 ? 1 : -1) * in->size * deviation;
    double held = in->kind == INJECT_HIGH ? highest(values, in->start) : values[in->start - 1];
    bool holds = in->kind == INJECT_HIGH || in->kind == INJECT_STUCK;
    for (size_t i = 0; i < in->count; i++) {
        double *value = &values[in->start + i];
        *value = holds                       ? held
                 : in->kind == INJECT_QUIET ? held + (*value - held) / 20
                                            : changed(in, *value, i, by, &chance);
    }
}
