#include "firmware/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdatomic.h>
#include <uv.h>

#include "pipeline/err.h"

enum { LOOP_WATCHES_MAX = 48, LOOP_CALLS_MAX = 12, LOOP_STACK_BYTES = 256 * 1024 };

struct loop_watch {
    uv_poll_t poll;
    enum { WATCH_FREE, WATCH_USED, WATCH_CLOSING } state;
    int wanted;
    int ready;
};

struct call_slot {
    uv_thread_t thread;
    struct loop_call *of; /* NULL: free */
    void (*call)(void *ctx);
    void *ctx;
    atomic_bool ended;
};

struct loop {
    uv_loop_t uv;
    uv_timer_t timer;
    uv_async_t wake;
    uv_signal_t signals[3];
    struct loop_watch watches[LOOP_WATCHES_MAX];
    struct call_slot calls[LOOP_CALLS_MAX];
    uv_work_t work;
    void (*work_call)(void *ctx);
    void *work_ctx;
    bool working, worked;
    bool stop, reload;
};

static struct loop the_loop; /* libuv's handles must not move; there is one loop in the process */

/* --- calls that may block for minutes ------------------------------------------------------------
 */

/* Not libuv's pool: its threads are few, and the store's commits must not wait for one. */
static void on_thread(void *ctx)
{
    struct call_slot *slot = ctx;
    slot->call(slot->ctx);
    atomic_store(&slot->ended, true);
    loop_wake(&the_loop);
}

int loop_call(struct loop *loop, struct loop_call *of, void (*call)(void *ctx), void *ctx)
{
    const uv_thread_options_t options = { .flags = UV_THREAD_HAS_STACK_SIZE,
                                          .stack_size = LOOP_STACK_BYTES };
    assert(!of->busy);
    for (int i = 0; i < LOOP_CALLS_MAX; i++) {
        struct call_slot *slot = &loop->calls[i];
        if (slot->of != NULL)
            continue;
        *slot = (struct call_slot){ .of = of, .call = call, .ctx = ctx };
        *of = (struct loop_call){ .busy = true };
        if (uv_thread_create_ex(&slot->thread, &options, on_thread, slot) == 0)
            return 0;
        slot->of = NULL;
        of->busy = false;
        return WEIR_EIO;
    }
    return WEIR_EIO;
}

static void collect_calls(struct loop *loop)
{
    for (int i = 0; i < LOOP_CALLS_MAX; i++) {
        struct call_slot *slot = &loop->calls[i];
        if (slot->of == NULL || !atomic_load(&slot->ended))
            continue;
        (void)uv_thread_join(&slot->thread); /* it has said that it ended */
        *slot->of = (struct loop_call){ .done = true };
        slot->of = NULL;
    }
}

/* --- waiting -----------------------------------------------------------------------------------
 */

static void on_signal(uv_signal_t *signal, int number)
{
    struct loop *loop = signal->data;
    if (number == SIGHUP)
        loop->reload = true;
    else
        loop->stop = true;
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer; /* its only purpose is to end the wait */
}

static void on_wake(uv_async_t *wake)
{
    (void)wake;
}

struct loop *loop_open(void)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
    struct loop *loop = &the_loop;
    int err = uv_loop_init(&loop->uv);
    err = err ? err : uv_timer_init(&loop->uv, &loop->timer);
    err = err ? err : uv_async_init(&loop->uv, &loop->wake, on_wake);
    for (int i = 0; i < 3 && err == 0; i++) {
        loop->signals[i].data = loop;
        err = uv_signal_init(&loop->uv, &loop->signals[i]);
        err = err ? err : uv_signal_start(&loop->signals[i], on_signal, numbers[i]);
    }
    return err == 0 ? loop : NULL;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_close(struct loop *loop)
{
    for (int i = 0; i < LOOP_CALLS_MAX; i++)
        if (loop->calls[i].of != NULL)
            return; /* its thread will want to wake us; the process ends instead */
    uv_walk(&loop->uv, close_handle, NULL);
    (void)uv_run(&loop->uv, UV_RUN_NOWAIT); /* lets the closing callbacks run */
    (void)uv_loop_close(&loop->uv);         /* a handle that is left only leaves it open */
}

void loop_wait(struct loop *loop, int64_t timeout_ms)
{
    for (int i = 0; i < LOOP_WATCHES_MAX; i++)
        loop->watches[i].ready = 0;
    uv_update_time(&loop->uv); /* libuv's own time may be old by the length of the last turn */
    if (timeout_ms > 0) {
        /* Repeating: UV_RUN_ONCE may fire a short timer before it polls, and would then poll for
         * ever without one. */
        int err =
            uv_timer_start(&loop->timer, on_timer, (uint64_t)timeout_ms, (uint64_t)timeout_ms);
        assert(err == 0);
    }
    (void)uv_run(&loop->uv, timeout_ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    (void)uv_timer_stop(&loop->timer); /* never fails */
    collect_calls(loop);
}

void loop_wake(struct loop *loop)
{
    (void)uv_async_send(&loop->wake); /* cannot fail on an open handle */
}

/* --- file descriptors --------------------------------------------------------------------------
 */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct loop_watch *watch = poll->data;
    watch->ready |= (events & UV_READABLE) != 0 ? LOOP_READABLE : 0;
    watch->ready |= (events & UV_WRITABLE) != 0 ? LOOP_WRITABLE : 0;
    if (status < 0) {
        watch->ready = LOOP_READABLE | LOOP_WRITABLE;
        (void)uv_poll_stop(poll); /* libuv stopped it already; the owner learns more by reading */
    }
}

struct loop_watch *loop_watch(struct loop *loop, int fd)
{
    for (int i = 0; i < LOOP_WATCHES_MAX; i++) {
        struct loop_watch *watch = &loop->watches[i];
        if (watch->state != WATCH_FREE)
            continue;
        if (uv_poll_init(&loop->uv, &watch->poll, fd) != 0)
            return NULL;
        watch->poll.data = watch;
        watch->state = WATCH_USED;
        watch->wanted = 0;
        watch->ready = 0;
        return watch;
    }
    return NULL;
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct loop_watch *watch = handle->data;
    watch->state = WATCH_FREE;
}

void loop_unwatch(struct loop_watch *watch)
{
    assert(watch->state == WATCH_USED);
    watch->state = WATCH_CLOSING;
    watch->ready = 0;
    (void)uv_poll_stop(&watch->poll); /* never fails */
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

void loop_want(struct loop_watch *watch, int events)
{
    assert(watch->state == WATCH_USED);
    if (watch->wanted == events)
        return;
    watch->wanted = events;
    int wanted = ((events & LOOP_READABLE) != 0 ? UV_READABLE : 0) |
                 ((events & LOOP_WRITABLE) != 0 ? UV_WRITABLE : 0);
    if (wanted == 0)
        (void)uv_poll_stop(&watch->poll); /* never fails */
    else
        (void)uv_poll_start(&watch->poll, wanted, on_poll); /* the descriptor was good at init */
}

int loop_ready(const struct loop_watch *watch)
{
    return watch->ready;
}

/* --- the worker --------------------------------------------------------------------------------
 */

static void on_work(uv_work_t *work)
{
    struct loop *loop = work->data;
    loop->work_call(loop->work_ctx);
}

static void on_worked(uv_work_t *work, int status)
{
    struct loop *loop = work->data;
    assert(status == 0); /* nobody cancels it */
    loop->working = false;
    loop->worked = true;
}

void loop_work(struct loop *loop, void (*work)(void *ctx), void *ctx)
{
    assert(!loop->working && !loop->worked);
    loop->work.data = loop;
    loop->work_call = work;
    loop->work_ctx = ctx;
    loop->working = true;
    int err = uv_queue_work(&loop->uv, &loop->work, on_work, on_worked);
    assert(err == 0);
}

bool loop_work_done(struct loop *loop)
{
    bool worked = loop->worked;
    loop->worked = false;
    return worked;
}

/* --- signals -----------------------------------------------------------------------------------
 */

bool loop_told_to_stop(const struct loop *loop)
{
    return loop->stop;
}

bool loop_told_to_reload(struct loop *loop)
{
    bool reload = loop->reload;
    loop->reload = false;
    return reload;
}
