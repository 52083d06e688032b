/* board: what the gateway does with the machine that it runs on: it feeds the watchdog, shows on
 * the LED how it is, and holds the alarm relay. It looks once a second, lets board_judge decide,
 * and acts. Hardware that is not there is logged once and lived with. Time is given. */
#ifndef FIRMWARE_BOARD_H
#define FIRMWARE_BOARD_H

#include "firmware/board/board_judge.h"

enum {
    BOARD_LOOK_MS = 1000,    /* between two looks */
    BOARD_STORAGE_MS = 60000 /* between two questions to the storage */
};

struct board { /* the caller's memory; only board.c writes it */
    const struct config *config;
    struct hal hal;
    struct board_judgement judgement;
    int64_t looked_ms, storage_ms;
    bool looked;
    uint32_t missing;   /* bit per part that is not there, or that failed and was logged */
    bool running;       /* the watchdog */
    uint32_t timeout_s; /* that it granted */
    uint64_t feeds;
    enum led_pattern led;
    bool led_shown, relay, relay_shown;
    enum hal_press press; /* what the button did at this turn's look; PRESS_NONE: at none */
    bool supply_low;    /* when it was looked at last */
    bool worn;          /* the storage says that its end is near */
    char id[HAL_ID_BYTES];
    bool has_reset;
    enum reset_reason reset;
};

/* Logs what is there and what is not; the LED says that we are starting. The watchdog is not
 * started before the first progress, so that a process that is restarted for ever doesn't feed it
 * by opening it. */
void board_init(struct board *b, const struct hal *hal, const struct config *config);

/* Once a turn. True: gateway_self_test is wanted in this turn. */
bool board_turn(struct board *b, const struct gateway_view *view, int64_t mono_ms);

/* The gateway's health, and what the machine adds to it. */
struct health board_health(const struct board *b, const struct gateway_view *view);

/* How long the storage will last when all that is written to it goes on as since the machine
 * started, `up_ms` ago, in years; 0: there is no telling (no endurance stated, or nothing written).
 * What it says it has used of its life is taken off. */
double board_flash_years(const struct hal_board *board, const struct hal_storage *storage,
                         int64_t up_ms);

/* The end. In order: the watchdog is stopped, LED and relay go off. Not in order: the watchdog
 * counts on, and the LED says failed. */
void board_stop(struct board *b, bool in_order);

#endif
