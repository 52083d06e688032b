#include "firmware/committer.h"

#include <assert.h>

void committer_init(struct committer *c, struct loop *loop, struct store *store)
{
    *c = (struct committer){ loop, store, NULL };
}

static void work(void *ctx)
{
    struct committer *c = ctx;
    store_job_run(c->job, c->store);
}

void committer_begin(struct committer *c, struct store_job *job)
{
    assert(c->job == NULL);
    c->job = job;
    loop_work(c->loop, work, c);
}

void committer_turn(struct committer *c, struct gateway *gateway)
{
    if (!loop_work_done(c->loop))
        return;
    struct store_job *done = c->job;
    c->job = NULL; /* first: the gateway may begin the next within the call */
    gateway_on_store_done(gateway, done);
}
