#include "firmware/cli/update_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "firmware/cli/cli.h"
#include "firmware/cli/update_job.h"
#include "pipeline/err.h"

enum { PATIENCE_MS = 10000, LOCK_PATIENCE_MS = 300, WHY_BYTES = RAUC_TEXT_BYTES + 64 };

/* --- one line in, one line out --- */

/* Without its end. False: nobody sent one. */
static bool read_line(char line[UPDATE_LINE_BYTES])
{
    size_t used = 0;
    while (used < UPDATE_LINE_BYTES - 1) {
        struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
        if (poll(&in, 1, PATIENCE_MS) <= 0)
            return false;
        ssize_t got = read(STDIN_FILENO, line + used, UPDATE_LINE_BYTES - 1 - used);
        if (got <= 0)
            return false;
        used += (size_t)got;
        line[used] = '\0';
        size_t end = strcspn(line, "\n");
        if (end < used) {
            line[end] = '\0';
            return end == used - 1; /* nothing behind it */
        }
    }
    return false;
}

static int answer(int status, struct json_writer *w)
{
    struct text body = json_done(w);
    (void)printf("%d %.*s\n", status, (int)body.bytes, body.at);
    return fflush(stdout) == 0 ? CLI_OK : CLI_PROBLEM;
}

static int refuse(int status, const char *why)
{
    char text[UPDATE_ANSWER_BYTES / 2];
    struct json_writer w = json_writer_over(text, sizeof text);
    json_object(&w);
    json_put_string(&w, "error", why);
    json_object_end(&w);
    (void)answer(status, &w); /* who does not listen is not told */
    return CLI_PROBLEM;
}

static int accept_it(void)
{
    char text[64];
    struct json_writer w = json_writer_over(text, sizeof text);
    json_object(&w);
    json_put_bool(&w, "accepted", true);
    json_object_end(&w);
    return answer(202, &w);
}

/* --- status --- */

void update_put_machine(struct json_writer *w, const struct rauc_state *state, const char *version)
{
    json_put_string(w, "board", state->compatible);
    json_put_string(w, "version", version);
    json_put_string(w, "updater", state->operation);
    json_key(w, "slots");
    json_array(w);
    for (int i = 0; i < state->slot_count; i++) {
        const struct rauc_slot *slot = &state->slots[i];
        json_object(w);
        json_put_string(w, "slot", slot->bootname);
        json_put_string(w, "state", slot->state);
        json_put_string(w, "boot", slot->good);
        json_put_bool(w, "starts_next", strcmp(slot->name, state->primary) == 0);
        json_object_end(w);
    }
    json_array_end(w);
}

/* WEIR_EIO, and why. */
static int look(struct rauc_state *state, char why[WHY_BYTES])
{
    struct rauc *rauc;
    (void)snprintf(why, WHY_BYTES, "there is no D-Bus here, and no updater");
    if (rauc_open(&rauc) != 0)
        return WEIR_EIO;
    int err = rauc_state(rauc, state);
    if (err != 0)
        (void)snprintf(why, WHY_BYTES, "no word from the updater (systemctl status rauc): %s",
                       rauc_why(rauc));
    rauc_close(rauc);
    return err;
}

static void put_fetched(struct json_writer *w, const struct update_service *s,
                        const struct job *job)
{
    char path[256];
    struct stat is;
    (void)snprintf(path, sizeof path, "%s/update.raucb", s->fetches_into);
    json_key(w, "fetched_bytes");
    if (job->state == JOB_RUNNING && stat(path, &is) == 0)
        json_integer(w, is.st_size);
    else
        json_null(w);
}

static int tell_status(const struct update_service *s)
{
    char text[UPDATE_ANSWER_BYTES - 16], why[WHY_BYTES];
    struct json_writer w = json_writer_over(text, sizeof text);
    struct rauc_state state;
    struct job job;
    if (look(&state, why) != 0)
        return refuse(503, why);
    job_read(s->folder, &job);
    json_object(&w);
    job_put(&w, &job);
    put_fetched(&w, s, &job);
    update_put_machine(&w, &state, s->version);
    json_object_end(&w);
    return answer(200, &w);
}

/* --- a job --- */

static int64_t wall_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* In the child: as on a command line, with one pipe for both of its outputs. */
static void work(const struct update_service *s, const struct job *job, const char *source, int out)
{
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
        _exit(CLI_PROBLEM);
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* refused, the lines come late */
    int status = s->act(s->ctx, job->verb, source);
    (void)fflush(stdout);
    _exit(status);
}

static void follow(const struct update_service *s, struct job *job, const char *source, int in)
{
    char line[1024];
    FILE *words = fdopen(in, "r");
    if (words == NULL)
        return;
    while (fgets(line, sizeof line, words) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (job_hear(job, line, source))
            (void)job_write(s->folder, job); /* the next line tries again */
    }
    (void)fclose(words); /* read only */
}

static void end(const struct update_service *s, struct job *job, bool done)
{
    static const char *const outcomes[][2] = {
        { "check", "signed, for this board, and not older than what runs" },
        { "install", "installed; the next start tries it" },
        { "confirm", "the slot that runs is good" },
        { "rollback", "the other slot is started next" },
    };
    job->state = done ? JOB_DONE : JOB_FAILED;
    job->ended_ms = wall_ms();
    for (int i = 0; i < 4 && done; i++)
        if (strcmp(job->verb, outcomes[i][0]) == 0)
            (void)snprintf(job->message, sizeof job->message, "%s", outcomes[i][1]);
    if (done && job->percent >= 0)
        job->percent = 100; /* RAUC's last word was that it is over */
    if (done)
        job->error[0] = '\0'; /* words that came on the way */
    else if (job->error[0] == '\0')
        (void)snprintf(job->error, sizeof job->error, "it failed without a word: journalctl -b");
    (void)job_write(s->folder, job); /* else it is told as interrupted */
}

static void run(const struct update_service *s, struct job *job, const char *source)
{
    int ends[2], status = -1;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        end(s, job, false);
        return;
    }
    pid_t child = fork();
    if (child == 0)
        work(s, job, source, ends[1]);
    (void)close(ends[1]); /* the child has its own */
    if (child > 0) {
        follow(s, job, source, ends[0]);
        (void)waitpid(child, &status, 0); /* it stays -1 */
    } else {
        (void)close(ends[0]); /* nothing comes */
    }
    end(s, job, child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == CLI_OK);
}

/* Whoever asked has his answer, and may go. */
static void let_go(void)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0)
        return;
    (void)dup2(nothing, STDIN_FILENO); /* can't fail with two descriptors that are open */
    (void)dup2(nothing, STDOUT_FILENO);
    (void)close(nothing);
}

/* The one before is told as over a moment before it lets go. */
static int lock_soon(const char *folder)
{
    int lock = job_lock(folder);
    for (int waited_ms = 0; lock == WEIR_EBUSY && waited_ms < LOCK_PATIENCE_MS; waited_ms += 50) {
        (void)poll(NULL, 0, 50); /* a signal ends it sooner */
        lock = job_lock(folder);
    }
    return lock;
}

static int begin(const struct update_service *s, const char *verb, const char *source)
{
    struct job job = { .state = JOB_RUNNING, .percent = -1, .began_ms = wall_ms() };
    struct rauc_state state;
    char why[WHY_BYTES];
    bool url = source[0] != '\0' && strcmp(source, "stick") != 0;
    (void)snprintf(job.verb, sizeof job.verb, "%s", verb);
    (void)snprintf(job.message, sizeof job.message, "%s",
                   strcmp(verb, "confirm") == 0 ? "at the gate" : url ? "fetching" : "looking");
    int lock = lock_soon(s->folder);
    if (lock == WEIR_EBUSY)
        return refuse(409, "another update is under way; GET /api/v1/update says how far it is");
    if (lock < 0) {
        (void)snprintf(why, sizeof why, "%s: %s", s->folder, strerror(errno));
        return refuse(503, why);
    }
    if (look(&state, why) != 0)
        return refuse(503, why);
    if (strcmp(state.operation, "idle") != 0)
        return refuse(409, "the updater is busy, for somebody else; try again when it is idle");
    if (job_write(s->folder, &job) != 0)
        return refuse(503, "what is under way can't be noted in /run: is there room?");
    (void)accept_it(); /* who does not listen is not told; it was asked for all the same */
    let_go();
    run(s, &job, source);
    (void)close(lock); /* nothing was written to it */
    return job.state == JOB_DONE ? CLI_OK : CLI_PROBLEM;
}

int update_serve(const struct update_service *s)
{
    char line[UPDATE_LINE_BYTES], *source;
    (void)signal(SIGPIPE, SIG_IGN); /* fails for no valid signal */
    if (!read_line(line))
        return refuse(400, "want one line");
    source = strchr(line, ' ');
    if (source != NULL)
        *source++ = '\0';
    bool brings = strcmp(line, "check") == 0 || strcmp(line, "install") == 0;
    bool alone = strcmp(line, "confirm") == 0 || strcmp(line, "rollback") == 0;
    if (strcmp(line, "status") == 0 && source == NULL)
        return tell_status(s);
    if (brings && source != NULL && update_source_is_sound(source))
        return begin(s, line, source);
    if (alone && source == NULL)
        return begin(s, line, "");
    return refuse(400, "want status, check SOURCE, install SOURCE, confirm or rollback");
}
