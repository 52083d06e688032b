#include "firmware/api/explain.h"

#include <stdio.h>

struct unless { /* a sentence being put together; cut where it does not fit, which it does */
    char at[EXPLAIN_BYTES];
    size_t used;
};

static void say(struct unless *u, const char *words)
{
    size_t room = sizeof u->at - u->used;
    int bytes = snprintf(u->at + u->used, room, "%s", words);
    u->used += bytes >= 0 && (size_t)bytes < room ? (size_t)bytes : room - 1;
}

static void say_number(struct unless *u, const char *before, double number, const char *after)
{
    char words[224];
    (void)snprintf(words, sizeof words, "%s%.6g%s", before, number, after);
    say(u, words);
}

static void say_band(struct unless *u, const struct alert_figures *f)
{
    bool low = f->low > -READING_NUMBER_MAX, high = f->high < READING_NUMBER_MAX;
    if (low && high && f->low <= f->high) {
        say_number(u, "a value from ", f->low, "");
        say_number(u, " to ", f->high, "");
    } else if (high) {
        say_number(u, "a value of at most ", f->high, "");
    } else {
        say_number(u, "a value of at least ", f->low, "");
    }
}

/* The score is the largest term but drift's, and drift's beside it: a term that reaches the bar
 * with drift's would have raised the alert alone. */
bool explain_fires(const struct alert *a, int reason)
{
    double term = a->terms[reason] / 1000.0, drift = a->terms[REASON_DRIFT] / 1000.0;
    if (reason == REASON_DRIFT)
        return false;
    return term > 0 && term + drift >= a->peak.threshold - 0.001; /* as they are kept */
}

static void say_terms(struct unless *u, const struct alert *a)
{
    double drift = a->terms[REASON_DRIFT] / 1000.0;
    bool value = false, any = false;
    for (int reason = 1; reason < REASON_TERMS; reason++) {
        if (!explain_fires(a, reason))
            continue;
        value |= reason == REASON_SPIKE || reason == REASON_HIGH || reason == REASON_LOW ||
                 reason == REASON_CODE;
        say(u, any ? " and " : "");
        say(u, reason_name((enum reason)reason));
        say_number(u, " below ", a->peak.threshold - drift, "");
        any = true;
    }
    say(u, any ? "" : "a score below the bar");
    if (drift > 0)
        say_number(u, " (", drift, " of the bar is drift's part)");
    if (value) {
        say(u, "; for a single reading: ");
        say_band(u, &a->peak);
    }
}

static void say_unless(struct unless *u, const struct alert_view *view)
{
    const struct alert *a = view->alert;
    const struct alert_figures *f = &a->peak;
    char words[128];
    switch (view->rule->kind) {
    case DETECTOR_LIMIT:
        say_band(u, f);
        break;
    case DETECTOR_RANGE:
        if (a->reason == REASON_CODE)
            say_number(u, "a value that is no error code, as ", f->observed, " is");
        else
            say_band(u, f);
        break;
    case DETECTOR_COUNTER:
        say_number(u, "a value of at least ", f->low, ", the one before it");
        break;
    case DETECTOR_RATE:
        say_number(u, "a change of at most ", f->threshold, " a second: ");
        say_band(u, f);
        break;
    case DETECTOR_SPIKE:
        say_number(u, "less than ", f->threshold, " spreads: ");
        say_band(u, f);
        break;
    case DETECTOR_SHIFT:
        say_number(u, "a sum of deviations below ", f->threshold, "; nothing adds to it that is ");
        say_band(u, f);
        break;
    case DETECTOR_STUCK:
        say_number(u, "another value within ", f->threshold, " readings");
        break;
    case DETECTOR_NOISE:
        say_number(u, "a change of the usual size within ", f->threshold, " changes");
        break;
    case DETECTOR_SILENT:
        say_number(u, "a reading within ", f->high / 1000, " s of the one before");
        break;
    case DETECTOR_MISSING:
        say_number(u, "at least ", f->low, " readings in that hour");
        break;
    case DETECTOR_CYCLE:
        (void)snprintf(words, sizeof words, ": readings like those %u before, its period",
                       (unsigned)a->about);
        say_number(u, "a score below ", f->threshold, words);
        break;
    case DETECTOR_SIBLINGS:
        (void)snprintf(words, sizeof words, ": readings that go with %.*s, as they did",
                       (int)view->partner.bytes, view->partner.at);
        say_number(u, "a score below ", f->threshold, words);
        break;
    case DETECTOR_BASELINE:
        say_terms(u, a);
        break;
    case DETECTOR_KINDS:
        break;
    }
}

void explain_unless(const struct alert_view *view, char to[EXPLAIN_BYTES])
{
    struct unless unless = { .used = 0 };
    say_unless(&unless, view);
    memcpy(to, unless.at, sizeof unless.at);
}
