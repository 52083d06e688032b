/* board_judge: decides what is done with the machine: whether the watchdog is fed, whether a
 * self-test is due, what the LED shows, and the relay. Pure: it is told what was seen, and when.
 *
 * The watchdog is fed for end-to-end progress alone: readings that were committed or, in silence, a
 * commit of the self-test that went through the store's worker and back. A process that lives, and
 * turns, and has readings waiting that it can't commit, gets its machine restarted. Only a disk
 * that says it is full counts as an answer too: a restart makes no room, and alerts still leave. */
#ifndef FIRMWARE_BOARD_JUDGE_H
#define FIRMWARE_BOARD_JUDGE_H

#include "firmware/board/health.h"

enum { BOARD_PARTS_OF_TIMEOUT = 4 }; /* silence lasts so much of the time-out before a self-test */

struct board_sight { /* what one look sees */
    int64_t mono_ms;
    uint64_t commits;  /* that came back from the store's worker */
    uint64_t received; /* readings, as of the last commit */
    bool waiting;      /* readings wait: taken and not committed, or not even taken in a while */
    uint64_t failures; /* of commits */
    bool disk_full;    /* is what the last of them said */
    enum health_state health;
    bool alarm;        /* an alert is open that should be heard */
};

struct board_wish { /* what should be done about it */
    bool feed;
    bool self_test; /* let a commit go through, though nothing waits for one */
    enum led_pattern led;
    bool relay;
};

struct board_judgement { /* what it remembers; only board_judge writes it, but for `granted_ms` */
    int64_t limit_ms;    /* without progress for so long, the machine restarts */
    int64_t granted_ms;  /* how far the watchdog counts; 0: it is not running */
    bool begun;          /* a first look was taken */
    bool proved;         /* there was progress */
    int64_t progress_ms; /* mono_ms of the last, or of the first look */
    int64_t fed_ms;
    int64_t tested_ms;   /* when a self-test was last wished for */
    uint64_t commits, received, failures; /* at the last look */
};

/* A look, at least once a second. A fresh judgement is zero but for `limit_ms`. */
struct board_wish board_judge(struct board_judgement *j, const struct board_sight *sight);

/* No progress for half of the time-out: something is wrong, and there is time to see it. */
bool board_stands_still(const struct board_judgement *j, int64_t mono_ms);
/* Whether there was progress within the time-out. */
bool board_moves(const struct board_judgement *j, int64_t mono_ms);

#endif
