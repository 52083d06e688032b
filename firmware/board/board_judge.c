#include "firmware/board/board_judge.h"

#include <assert.h>

enum { FEED_LEAST_MS = 1000 };

static bool is_progress(const struct board_judgement *j, const struct board_sight *s)
{
    bool readings = s->received > j->received;
    bool proof = s->commits > j->commits && !s->waiting;
    bool full = s->failures > j->failures && s->disk_full;
    return readings || proof || full;
}

bool board_stands_still(const struct board_judgement *j, int64_t mono_ms)
{
    return j->begun && mono_ms - j->progress_ms > j->limit_ms / 2;
}

static bool feed_is_due(const struct board_judgement *j, int64_t mono_ms)
{
    if (!j->proved || mono_ms - j->fed_ms < FEED_LEAST_MS)
        return false;
    if (j->progress_ms > j->fed_ms)
        return true;
    /* Not ours yet, as what started the system feeds it still: it is opened as soon as that lets
     * go, since what is left of its time may be shorter than a silence. */
    if (j->granted_ms == 0)
        return !board_stands_still(j, mono_ms);
    /* A watchdog that can't count as far as was asked for is fed on the progress of before, as
     * long as the machine would still restart in time. */
    return mono_ms - j->fed_ms >= j->granted_ms / 3 &&
           mono_ms - j->progress_ms + j->granted_ms <= j->limit_ms;
}

static bool test_is_due(const struct board_judgement *j, const struct board_sight *s)
{
    int64_t silence_ms = j->limit_ms / BOARD_PARTS_OF_TIMEOUT;
    if (s->waiting || s->mono_ms - j->tested_ms < silence_ms)
        return false;
    return !j->proved || s->mono_ms - j->progress_ms >= silence_ms;
}

static enum led_pattern pattern_of(const struct board_judgement *j, const struct board_sight *s)
{
    if (s->health == HEALTH_FAILED || board_stands_still(j, s->mono_ms))
        return LED_FAILED;
    if (!j->proved)
        return LED_STARTING;
    if (s->alarm)
        return LED_ALERT;
    return s->health == HEALTH_DEGRADED ? LED_DEGRADED : LED_GOOD;
}

struct board_wish board_judge(struct board_judgement *j, const struct board_sight *s)
{
    assert(j->limit_ms > 0);
    if (!j->begun) { /* what was committed before we looked says nothing about now */
        j->begun = true;
        j->progress_ms = s->mono_ms;
        j->fed_ms = s->mono_ms - FEED_LEAST_MS;
        j->tested_ms = s->mono_ms - j->limit_ms;
    } else if (is_progress(j, s)) {
        j->proved = true;
        j->progress_ms = s->mono_ms;
    }
    j->commits = s->commits;
    j->received = s->received;
    j->failures = s->failures;
    struct board_wish wish = { .led = pattern_of(j, s), .relay = s->alarm };
    wish.feed = feed_is_due(j, s->mono_ms);
    wish.self_test = test_is_due(j, s);
    if (wish.feed)
        j->fed_ms = s->mono_ms;
    if (wish.self_test)
        j->tested_ms = s->mono_ms;
    assert(!wish.feed || j->proved);
    return wish;
}

bool board_moves(const struct board_judgement *j, int64_t mono_ms)
{
    return !j->begun || mono_ms - j->progress_ms < j->limit_ms;
}
