/* loop: waiting, on libuv. It only waits and remembers: its callbacks set what is ready, and the
 * turn that follows asks. So everything that a turn does stands in one place (daemon.c), in one
 * order.
 *
 * Watches are level-triggered: what is still ready when the next wait begins is ready again. One
 * thread, but for what loop_work and loop_call hand to others. Handles come from a fixed set. */
#ifndef FIRMWARE_LOOP_H
#define FIRMWARE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop; /* opaque */

enum { LOOP_READABLE = 1, LOOP_WRITABLE = 2 };

/* The one loop of the process; before the heap is sealed. NULL: the system refused. */
struct loop *loop_open(void);
void loop_close(struct loop *loop);

/* Until something is ready, at most so long; negative: no limit. */
void loop_wait(struct loop *loop, int64_t timeout_ms);
/* From another thread, or a callback: the next wait returns at once. */
void loop_wake(struct loop *loop);

/* --- file descriptors --------------------------------------------------------------------------
 */

struct loop_watch; /* opaque */

/* Watch a descriptor for nothing yet. NULL: all watches are in use, or the descriptor can't be
 * watched. A descriptor number that comes again needs a new watch. */
struct loop_watch *loop_watch(struct loop *loop, int fd);
/* Before or right after the descriptor is closed. */
void loop_unwatch(struct loop_watch *watch);
void loop_want(struct loop_watch *watch, int events);
/* What the last wait found, of what was wanted. An error or hang-up counts as both. */
int loop_ready(const struct loop_watch *watch);

/* --- calls that may block for minutes ------------------------------------------------------------
 */

struct loop_call { /* one of them; the caller's memory, zero at first */
    bool busy;
    bool done;
};

/* Run call(ctx) on a thread of its own; `done` is set in a later wait. The process may end before
 * it does. WEIR_EIO: there is no thread for it. */
int loop_call(struct loop *loop, struct loop_call *of, void (*call)(void *ctx), void *ctx);

/* --- the worker --------------------------------------------------------------------------------
 */

/* Run work(ctx) on another thread; loop_work_done is true once, in a turn after it ended. One at a
 * time. */
void loop_work(struct loop *loop, void (*work)(void *ctx), void *ctx);
bool loop_work_done(struct loop *loop);

/* --- signals -----------------------------------------------------------------------------------
 */

/* SIGTERM or SIGINT came; SIGHUP came since the last call. */
bool loop_told_to_stop(const struct loop *loop);
bool loop_told_to_reload(struct loop *loop);

#endif
